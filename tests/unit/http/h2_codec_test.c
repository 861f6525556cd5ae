/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP/2 codec's behaviour while all goes well: a client codec and a server codec
 * of ours wired to each other, and a server against frames made by hand. Tunnels:
 * h2_tunnel_test.c. How streams and connections end: h2_close_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "h2_peer.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define GET ":method GET\n:scheme http\n:authority a.example\n:path /\n"
#define POST ":method POST\n:scheme http\n:authority a.example\n:path /\n"

enum { WINDOW_BYTES = 65536, SETTINGS_WINDOW = 4 };

/* ---- messages ---- */

static void request_and_response(void **state)
{
    (void)state;
    struct h2_pair         x = h2_pair_new(WINDOW_BYTES);
    struct h2_peer_stream *asked = h2_peer_ask(x.client, HTTP_POST, -1);
    h2_peer_send(asked, 5);
    h2_peer_exchange(x.client, x.server);
    h2_peer_expect(x.server, "1 head POST / http://a.example body:-1\n1 body abcde\n");
    h2_peer_end(asked);
    h2_peer_exchange(x.client, x.server);
    h2_peer_expect(x.server, "1 end\n");
    h2_peer_answer(&x.server->streams[0], 200, 3);
    h2_peer_send(&x.server->streams[0], 3);
    h2_peer_end(&x.server->streams[0]);
    h2_peer_exchange(x.client, x.server);
    h2_peer_expect(x.client, "1 head 200 body:3\n1 body abc\n1 end\n");
    h2_peer_close(asked);
    h2_peer_close(&x.server->streams[0]);
    assert_int_equal(x.client->idle_count, 1);
    assert_int_equal(x.server->idle_count, 1);
    assert_string_equal(h2_peer_frames(x.client), "");
    assert_string_equal(h2_peer_frames(x.server), "");
    h2_pair_free(x);
}

/* The answer is complete before the request is. */
static void both_bodies_at_once(void **state)
{
    (void)state;
    struct h2_pair         x = h2_pair_new(WINDOW_BYTES);
    struct h2_peer_stream *asked = h2_peer_ask(x.client, HTTP_POST, -1);
    h2_peer_exchange(x.client, x.server);
    struct h2_peer_stream *got = &x.server->streams[0];
    h2_peer_answer(got, 200, -1);
    for (unsigned i = 0; i < 3; i++) {
        h2_peer_send(asked, 2);
        h2_peer_send(got, 4);
        h2_peer_exchange(x.client, x.server);
    }
    h2_peer_end(got);
    h2_peer_exchange(x.client, x.server);
    h2_peer_end(asked);
    h2_peer_exchange(x.client, x.server);
    h2_peer_expect(x.server, "1 head POST / http://a.example body:-1\n1 body abcdef\n1 end\n");
    h2_peer_expect(x.client, "1 head 200 body:-1\n1 body abcdefghijkl\n1 end\n");
    h2_peer_close(asked);
    h2_peer_close(got);
    assert_string_equal(h2_peer_frames(x.server), "");
    h2_pair_free(x);
}

/* Larger than what is framed ahead, than the windows, and than a frame. */
static void large_bodies(void **state)
{
    (void)state;
    enum { PIECE = 50000, PIECES = 12 };
    struct h2_pair         x = h2_pair_new(WINDOW_BYTES);
    struct h2_peer_stream *asked = h2_peer_ask(x.client, HTTP_PUT, (int64_t)PIECE * PIECES);
    h2_peer_exchange(x.client, x.server);
    struct h2_peer_stream *got = &x.server->streams[0];
    h2_peer_answer(got, 200, -1);
    for (unsigned i = 0; i < PIECES; i++) {
        h2_peer_send(asked, PIECE);
        h2_peer_send(got, PIECE);
        h2_peer_settle(x.client);
        h2_peer_settle(x.server);
    }
    h2_peer_end(asked);
    h2_peer_end(got);
    h2_peer_exchange(x.client, x.server);
    h2_peer_expect(x.server, "1 head PUT / http://a.example body:600000\n"
                             "1 body <600000>\n1 end\n");
    h2_peer_expect(x.client, "1 head 200 body:-1\n1 body <600000>\n1 end\n");
    assert_int_equal(asked->stream->unsent_bytes + got->stream->unsent_bytes, 0);
    assert_int_equal(got->sent_bytes, PIECE * PIECES);
    h2_peer_close(asked);
    h2_peer_close(got);
    h2_pair_free(x);
}

static void trailers(void **state)
{
    (void)state;
    struct h2_pair         x = h2_pair_new(WINDOW_BYTES);
    struct h2_peer_stream *asked = h2_peer_ask(x.client, HTTP_POST, -1);
    struct http_fields     f = { 0 };
    struct arena           a;
    arena_init(&a, NULL);
    http_fields_add_named(&f, &a, arena_copy(&a, S("X-Sum")), arena_copy(&a, S("1")));
    http_fields_add_named(&f, &a, S("Transfer-Encoding"), S("chunked"));
    h2_peer_send(asked, 1);
    http_stream_send_end(asked->stream, &f);
    h2_peer_exchange(x.client, x.server);
    h2_peer_expect(x.server, "1 head POST / http://a.example body:-1\n1 body a\n"
                             "1 trailers x-sum=1\n1 end\n");
    /* They are kept until the body before them has left; the exchange's memory is not. */
    h2_peer_answer(&x.server->streams[0], 200, -1);
    h2_peer_send(&x.server->streams[0], 300000);
    http_stream_send_end(x.server->streams[0].stream, &f);
    h2_peer_settle(x.server);
    arena_reset(&a);
    h2_peer_exchange(x.client, x.server);
    h2_peer_expect(x.client, "1 head 200 body:-1\n1 body <300000>\n1 trailers x-sum=1\n1 end\n");
    h2_peer_close(asked);
    h2_peer_close(&x.server->streams[0]);
    h2_pair_free(x);
}

/* Nothing but trailers; trailers of which nothing is left are an end. */
static void trailers_without_a_body(void **state)
{
    (void)state;
    struct h2_pair         x = h2_pair_new(WINDOW_BYTES);
    struct h2_peer_stream *asked = h2_peer_ask(x.client, HTTP_POST, -1);
    struct http_fields     f = { 0 };
    http_fields_add_named(&f, &asked->arena, S("grpc-status"), S("0"));
    http_stream_send_end(asked->stream, &f);
    h2_peer_exchange(x.client, x.server);
    h2_peer_expect(x.server, "1 head POST / http://a.example body:-1\n"
                             "1 trailers grpc-status=0\n1 end\n");
    http_fields_drop(&f, FIELD_OTHER);
    f.items[0].is_dropped = true;
    h2_peer_answer(&x.server->streams[0], 200, -1);
    http_stream_send_end(x.server->streams[0].stream, &f);
    assert_string_equal(h2_peer_frames(x.server), "HEADERS 1 :status=200\nDATA 1 0 END_STREAM\n");
    h2_peer_close(asked);
    h2_peer_close(&x.server->streams[0]);
    h2_pair_free(x);
}

static void keep_file(struct outq_file *f)
{
    (void)f;
}

/* `size` bytes, of which a range of `bytes` is sent behind ten others. */
static struct h2_pair send_range(struct outq_file *f, size_t size, size_t bytes)
{
    struct h2_pair    x = h2_pair_new(WINDOW_BYTES);
    struct outq_range range = { f, 0, bytes };
    h2_peer_ask(x.client, HTTP_GET, 0);
    h2_peer_exchange(x.client, x.server);
    struct h2_peer_stream *got = &x.server->streams[0];
    *f = (struct outq_file){ .fd = memfd_create("h2", 0), .ref_count = 1, .free = keep_file };
    char *text = mem_alloc(size);
    for (size_t i = 0; i < size; i++) text[i] = (char)('a' + (10 + i) % 26);
    assert_int_equal(write(f->fd, text, size), size);
    free(text);
    h2_peer_answer(got, 200, (int64_t)bytes + 20);
    h2_peer_send(got, 10);
    http_stream_send_range(got->stream, &range);
    got->given_bytes += bytes;
    h2_peer_send(got, 10);
    h2_peer_end(got);
    h2_peer_exchange(x.client, x.server);
    close(f->fd);
    return x;
}

static void a_range_of_a_file(void **state)
{
    (void)state;
    enum { BYTES = 50000 };
    struct outq_file f;
    struct h2_pair   x = send_range(&f, BYTES, BYTES);
    h2_peer_expect(x.client, "1 head 200 body:50020\n1 body <50020>\n1 end\n");
    assert_int_equal(x.server->streams[0].sent_bytes, BYTES + 20);
    assert_int_equal(f.ref_count, 1);
    h2_peer_close(&x.client->streams[0]);
    h2_peer_close(&x.server->streams[0]);
    h2_pair_free(x);
}

static void a_short_file_resets_the_stream(void **state)
{
    (void)state;
    struct outq_file f;
    struct h2_pair   x = send_range(&f, 40000, 50000);
    assert_true(f.is_short);
    assert_non_null(strstr(h2_peer_events(x.client), "1 reset"));
    assert_non_null(strstr(h2_peer_events(x.server), "1 reset"));
    h2_peer_close(&x.client->streams[0]);
    h2_peer_close(&x.server->streams[0]);
    assert_int_equal(f.ref_count, 1);
    h2_pair_free(x);
}

static void informational(void **state)
{
    (void)state;
    struct h2_pair         x = h2_pair_new(WINDOW_BYTES);
    struct h2_peer_stream *asked = h2_peer_ask(x.client, HTTP_GET, 0);
    struct http_head       hints = { .status = 103 }, go_on = { .status = 100 },
                     switching = { .status = 101 };
    h2_peer_exchange(x.client, x.server);
    struct h2_peer_stream *got = &x.server->streams[0];
    http_fields_add_named(&hints.fields, &got->arena, S("Link"), S("</a>"));
    http_stream_send_informational(got->stream, &hints);
    http_stream_send_informational(got->stream, &go_on);
    http_stream_send_informational(got->stream, &switching); /* HTTP/2 has none */
    h2_peer_answer(got, 204, 0);
    http_stream_send_informational(got->stream, &hints); /* too late */
    h2_peer_exchange(x.client, x.server);
    h2_peer_expect(x.client, "1 info 103 link=</a>\n1 info 100\n1 head 204\n1 end\n");
    h2_peer_close(asked);
    h2_peer_close(got);
    h2_pair_free(x);
}

static const struct bodiless {
    enum http_method method;
    unsigned         status;
    int64_t          body_bytes;
    const char      *frames;
    const char      *events;
} bodiless[] = {
    { HTTP_GET, 200, 0, "HEADERS 1 END_STREAM :status=200 content-length=0\n",
      "1 head 200\n1 end\n" },
    { HTTP_GET, 204, 7, "HEADERS 1 END_STREAM :status=204\n", "1 head 204\n1 end\n" },
    { HTTP_GET, 204, -1, "HEADERS 1 END_STREAM :status=204\n", "1 head 204\n1 end\n" },
    { HTTP_GET, 304, 7, "HEADERS 1 END_STREAM :status=304 content-length=7\n",
      "1 head 304 body:7\n1 end\n" },
    { HTTP_GET, 304, -1, "HEADERS 1 END_STREAM :status=304\n", "1 head 304 body:-1\n1 end\n" },
    { HTTP_HEAD, 200, 7, "HEADERS 1 END_STREAM :status=200 content-length=7\n",
      "1 head 200 body:7\n1 end\n" },
    { HTTP_HEAD, 200, -1, "HEADERS 1 END_STREAM :status=200\n", "1 head 200 body:-1\n1 end\n" },
    { HTTP_HEAD, 404, 0, "HEADERS 1 END_STREAM :status=404 content-length=0\n",
      "1 head 404\n1 end\n" },
};

static void answers_without_a_body(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bodiless); i++) {
        const struct bodiless *c = &bodiless[i];
        for (unsigned turn = 0; turn < 2; turn++) {
            struct h2_pair x = h2_pair_new(WINDOW_BYTES);
            h2_peer_ask(x.client, c->method, 0);
            h2_peer_exchange(x.client, x.server);
            h2_peer_answer(&x.server->streams[0], c->status, c->body_bytes);
            if (turn == 0) {
                assert_string_equal(h2_peer_frames(x.server), c->frames);
            } else {
                h2_peer_exchange(x.client, x.server);
                h2_peer_expect(x.client, c->events);
            }
            h2_peer_close(&x.server->streams[0]);
            assert_string_equal(h2_peer_frames(x.server), "");
            h2_pair_free(x);
        }
    }
}

/* What a client codec writes of a head. */
static void writes_requests(void **state)
{
    (void)state;
    struct h2_peer  *p = h2_peer_new_client();
    struct http_head head = {
        .method = HTTP_POST,
        .method_name = S("POST"),
        .path = S("/a"),
        .query = S(""),
        .has_query = true,
        .authority = S("b:1"),
        .accepts_trailers = true,
        .expects_continue = true,
        .body_bytes = 5,
    };
    h2_peer_ask(p, HTTP_POST, 0);
    assert_string_equal(h2_peer_frames(p),
                        "HEADERS 1 END_STREAM :method=POST :scheme=http :authority=a.example "
                        ":path=/ content-length=0\n");
    struct http_stream *s = codec_open(p->codec);
    p->codec->owner_ops->on_stream(p->codec, s);
    http_fields_add_named(&head.fields, s->arena, S("X-Any"), S("1"));
    http_fields_add_named(&head.fields, s->arena, S("ACCEPT"), S("*/*"));
    http_fields_add_named(&head.fields, s->arena, S("Connection"), S("x"));
    http_fields_add_named(&head.fields, s->arena, S("Host"), S("other"));
    http_fields_add_named(&head.fields, s->arena, S("Gone"), S("x"));
    head.fields.items[4].is_dropped = true;
    http_stream_send_head(s, &head);
    assert_string_equal(h2_peer_frames(p),
                        "HEADERS 3 :method=POST :scheme=http :authority=b:1 :path=/a? x-any=1 "
                        "accept=*/* content-length=5 te=trailers expect=100-continue\n");
    h2_peer_free(p);
}

/* ---- flow control ---- */

static void a_window_stops_one_stream_only(void **state)
{
    (void)state;
    struct h2_pair         x = h2_pair_new(1000);
    struct h2_peer_stream *slow = h2_peer_ask(x.client, HTTP_POST, -1);
    struct h2_peer_stream *fast = h2_peer_ask(x.client, HTTP_POST, -1);
    x.server->keeps_window = true;
    h2_peer_send(slow, 2500);
    h2_peer_end(slow);
    h2_peer_exchange(x.client, x.server);
    h2_peer_expect(x.server, "1 head POST / http://a.example body:-1\n"
                             "3 head POST / http://a.example body:-1\n1 body <1000>\n");
    assert_int_equal(slow->stream->unsent_bytes, 1500);
    h2_peer_send(fast, 30);
    h2_peer_end(fast);
    h2_peer_exchange(x.client, x.server);
    h2_peer_expect(x.server, "3 body abcdefghijklmnopqrstuvwxyzabcd\n3 end\n");
    http_stream_consumed(x.server->streams[0].stream, 1000);
    h2_peer_exchange(x.client, x.server);
    h2_peer_expect(x.server, "1 body <1000>\n");
    /* Small amounts add up before they are told. */
    for (unsigned i = 0; i < 1000; i++) http_stream_consumed(x.server->streams[0].stream, 1);
    h2_peer_exchange(x.client, x.server);
    h2_peer_expect(x.server, "1 body <500>\n1 end\n");
    assert_int_equal(slow->stream->unsent_bytes, 0);
    h2_peer_answer(&x.server->streams[0], 204, 0);
    h2_peer_answer(&x.server->streams[1], 204, 0);
    h2_peer_exchange(x.client, x.server);
    for (unsigned i = 0; i < 2; i++) {
        h2_peer_close(&x.server->streams[i]);
        h2_peer_close(&x.client->streams[i]);
    }
    h2_pair_free(x);
}

/* The connection's window never stops anybody: more than 64 KiB wait in many streams. */
static void many_streams_wait_at_once(void **state)
{
    (void)state;
    struct h2_pair x = h2_pair_new(WINDOW_BYTES);
    x.server->keeps_window = true;
    for (unsigned i = 0; i < 20; i++) h2_peer_send(h2_peer_ask(x.client, HTTP_POST, -1), 70000);
    h2_peer_exchange(x.client, x.server);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(x.server->streams[i].unconsumed, WINDOW_BYTES);
        assert_int_equal(x.client->streams[i].stream->unsent_bytes, 70000 - WINDOW_BYTES);
    }
    h2_pair_free(x);
}

/* ---- output ---- */

/* What was lent and cannot be framed is copied; h2_peer_settle() frees it. */
static void lent_bodies_are_copied(void **state)
{
    (void)state;
    struct h2_peer *p = h2_peer_new_server();
    struct buffer   in = BUFFER_INIT;
    h2_put_setting(&in, SETTINGS_WINDOW, 0);
    h2_put_headers(&in, 1, H2_END_STREAM, GET);
    h2_peer_feed(p, &in, 0);
    h2_peer_answer(&p->streams[0], 200, -1);
    for (unsigned i = 0; i < 3; i++) { /* two in one event, then one in its own */
        h2_peer_send(&p->streams[0], 10000);
        if (i) h2_peer_settle(p);
    }
    assert_int_equal(p->lent_count, 0);
    assert_string_equal(h2_peer_frames(p), "HEADERS 1 :status=200\n");
    assert_int_equal(p->streams[0].stream->unsent_bytes, 30000);
    h2_put_word(&in, H2_WINDOW_UPDATE, 1, 5);
    h2_peer_feed(p, &in, 0);
    assert_string_equal(h2_peer_frames(p), "DATA 1 5\n");
    h2_put_word(&in, H2_WINDOW_UPDATE, 1, 12000);
    h2_peer_feed(p, &in, 0);
    assert_string_equal(h2_peer_frames(p), "DATA 1 12000\n");
    assert_int_equal(p->streams[0].stream->unsent_bytes, 17995);
    assert_int_equal(p->streams[0].sent_bytes, 12005);
    h2_peer_end(&p->streams[0]);
    h2_put_word(&in, H2_WINDOW_UPDATE, 1, 17995);
    h2_peer_feed(p, &in, 0);
    assert_string_equal(h2_peer_frames(p), "DATA 1 16384\nDATA 1 1611 END_STREAM\n");
    h2_peer_free(p);
}

/* No more than so much is framed ahead of the transport. */
static void frames_are_not_made_far_ahead(void **state)
{
    (void)state;
    struct h2_pair         x = h2_pair_new(1 << 24);
    struct h2_peer_stream *asked = h2_peer_ask(x.client, HTTP_GET, 0);
    struct buffer          bytes = BUFFER_INIT;
    h2_peer_exchange(x.client, x.server);
    struct h2_peer_stream *got = &x.server->streams[0];
    h2_peer_answer(got, 200, -1);
    h2_peer_send(got, 500000);
    h2_peer_end(got);
    h2_peer_settle(x.server);
    size_t ahead = x.server->codec->out.bytes;
    assert_in_range(ahead, 144 * 1024, 144 * 1024 + 16384 + 64);
    assert_int_equal(h2_peer_take(x.server, SIZE_MAX, &bytes), ahead);
    assert_in_range(got->sent_bytes, ahead - 200, ahead);
    assert_int_equal(got->stream->unsent_bytes, 500000 - got->sent_bytes);
    h2_peer_feed(x.client, &bytes, 0);
    h2_peer_exchange(x.client, x.server);
    h2_peer_expect(x.client, "1 head 200 body:-1\n1 body <500000>\n1 end\n");
    assert_int_equal(got->sent_bytes, 500000);
    assert_int_equal(got->stream->unsent_bytes, 0);
    h2_peer_close(asked);
    h2_peer_close(got);
    h2_pair_free(x);
}

/* Who has more to say than others does not keep them waiting. */
static void streams_take_turns(void **state)
{
    (void)state;
    struct h2_pair x = h2_pair_new(1 << 24);
    struct buffer  bytes = BUFFER_INIT;
    for (unsigned i = 0; i < 3; i++) h2_peer_ask(x.client, HTTP_GET, 0);
    h2_peer_exchange(x.client, x.server);
    for (unsigned i = 0; i < 3; i++) {
        h2_peer_answer(&x.server->streams[i], 200, -1);
        h2_peer_send(&x.server->streams[i], i ? 100000 : 1000000);
        h2_peer_end(&x.server->streams[i]);
    }
    for (unsigned i = 0; i < 2; i++) {
        assert_true(h2_peer_take(x.server, SIZE_MAX, &bytes) > 0);
        assert_in_range(x.server->streams[2].sent_bytes, 1, 99999);
        assert_in_range(x.server->streams[0].sent_bytes, 1,
                        x.server->streams[2].sent_bytes + 65536);
    }
    h2_peer_feed(x.client, &bytes, 0);
    h2_peer_exchange(x.client, x.server);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(x.server->streams[i].stream->unsent_bytes, 0);
        h2_peer_close(&x.server->streams[i]);
    }
    h2_pair_free(x);
}

/* Taken a byte at a time, with two streams whose frames alternate. */
static void sent_bytes_are_told(void **state)
{
    (void)state;
    struct h2_pair x = h2_pair_new(WINDOW_BYTES);
    struct buffer  bytes = BUFFER_INIT;
    size_t         taken = 0;
    h2_peer_ask(x.client, HTTP_GET, 0);
    h2_peer_ask(x.client, HTTP_GET, 0);
    h2_peer_exchange(x.client, x.server);
    for (unsigned i = 0; i < 2; i++) h2_peer_answer(&x.server->streams[i], 200, -1);
    for (unsigned i = 0; i < 6; i++) {
        h2_peer_send(&x.server->streams[i % 2], 100 + 1000 * i);
        h2_peer_settle(x.server);
    }
    for (unsigned i = 0; i < 2; i++) h2_peer_end(&x.server->streams[i]);
    while (h2_peer_take(x.server, 1, &bytes)) {
        size_t told = x.server->streams[0].sent_bytes + x.server->streams[1].sent_bytes;
        taken++;
        assert_true(told <= taken);
        assert_true(taken - told < 6000); /* a frame, and heads */
    }
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(x.server->streams[i].stream->unsent_bytes, 0);
        assert_int_equal(x.server->streams[i].sent_bytes, x.server->streams[i].given_bytes);
    }
    h2_peer_feed(x.client, &bytes, 1);
    for (unsigned i = 0; i < 2; i++) h2_peer_close(&x.server->streams[i]);
    h2_pair_free(x);
}

/* A stream that is let go of while its frames wait: those that stay are told theirs. */
static void sent_bytes_of_a_closed_stream(void **state)
{
    (void)state;
    struct h2_pair x = h2_pair_new(WINDOW_BYTES);
    struct buffer  bytes = BUFFER_INIT;
    for (unsigned i = 0; i < 3; i++) h2_peer_ask(x.client, HTTP_GET, 0);
    h2_peer_exchange(x.client, x.server);
    for (unsigned i = 0; i < 3; i++) {
        h2_peer_answer(&x.server->streams[i], 200, -1);
        h2_peer_send(&x.server->streams[i], 5000);
        h2_peer_end(&x.server->streams[i]);
    }
    h2_peer_settle(x.server);
    h2_peer_close(&x.server->streams[1]);
    while (h2_peer_take(x.server, 700, &bytes)) {}
    assert_int_equal(x.server->streams[0].sent_bytes, 5000);
    assert_int_equal(x.server->streams[1].sent_bytes, 0);
    assert_int_equal(x.server->streams[2].sent_bytes, 5000);
    h2_peer_feed(x.client, &bytes, 0);
    h2_peer_expect(x.client, "1 head 200 body:-1\n3 head 200 body:-1\n5 head 200 body:-1\n"
                             "1 body <5000>\n1 end\n3 body <5000>\n3 end\n5 body <5000>\n5 end\n");
    h2_peer_close(&x.server->streams[0]);
    h2_peer_close(&x.server->streams[2]);
    h2_pair_free(x);
}

/* ---- how many ---- */

static void room_follows_settings(void **state)
{
    (void)state;
    struct h2_peer *p = h2_peer_new(HTTP_CLIENT, WINDOW_BYTES, 5);
    struct buffer   in = BUFFER_INIT;
    assert_false(p->codec->is_settled);
    assert_int_equal(codec_room(p->codec), 1);
    h2_peer_ask(p, HTTP_GET, 0);
    assert_int_equal(codec_room(p->codec), 0);
    assert_null(codec_open(p->codec));
    h2_put_setting(&in, 3, 3);
    h2_peer_feed(p, &in, 0);
    assert_true(p->codec->is_settled);
    assert_false(p->codec->takes_upgrade);
    assert_int_equal(codec_room(p->codec), 2);
    h2_peer_ask(p, HTTP_GET, 0);
    h2_peer_ask(p, HTTP_GET, 0);
    assert_int_equal(codec_room(p->codec), 0);
    h2_put_setting(&in, 3, 100);
    h2_peer_feed(p, &in, 0);
    assert_int_equal(codec_room(p->codec), 2); /* ours is less */
    h2_put_setting(&in, 3, 1);
    h2_peer_feed(p, &in, 0);
    assert_int_equal(codec_room(p->codec), 0);
    assert_true(codec_is_reusable(p->codec));
    h2_peer_free(p);
    p = h2_peer_new_server();
    assert_int_equal(codec_room(p->codec), 0);
    h2_peer_free(p);
}

/* A stream counts until the peer knows that it is over. */
static void room_comes_back(void **state)
{
    (void)state;
    struct h2_peer *p = h2_peer_new(HTTP_CLIENT, WINDOW_BYTES, 1);
    struct buffer   in = BUFFER_INIT;
    h2_put_frame(&in, H2_SETTINGS, 0, 0, S(""));
    h2_peer_feed(p, &in, 0);
    h2_peer_ask(p, HTTP_GET, 0);
    h2_peer_frames(p);
    h2_put_headers(&in, 1, H2_END_STREAM, ":status 204\n");
    h2_peer_feed(p, &in, 0);
    assert_int_equal(codec_room(p->codec), 0);
    h2_peer_close(&p->streams[0]);
    assert_int_equal(codec_room(p->codec), 1);
    h2_peer_ask(p, HTTP_GET, 0);
    h2_peer_frames(p);
    h2_peer_close(&p->streams[1]);
    assert_string_equal(h2_peer_frames(p), "RST_STREAM 3 8\n");
    assert_int_equal(codec_room(p->codec), 1);
    /* Never sent, never counted. */
    struct http_stream *s = codec_open(p->codec);
    p->codec->owner_ops->on_stream(p->codec, s);
    assert_int_equal(codec_room(p->codec), 0);
    http_stream_close(s);
    assert_int_equal(codec_room(p->codec), 1);
    assert_string_equal(h2_peer_frames(p), "");
    h2_peer_free(p);
}

/* ---- by hand ---- */

/* Cut in any way, blocks in pieces, padding and all. */
static void input_in_pieces(void **state)
{
    (void)state;
    for (size_t step = 0; step < 40; step++) {
        struct h2_peer *p = h2_peer_new_server();
        struct buffer   in = BUFFER_INIT, block = BUFFER_INIT;
        h2_put_block(&block, POST "te trailers\ncookie a=1\ncookie b=2\n");
        struct slice all = buffer_slice(&block);
        h2_put_frame(&in, H2_HEADERS, 0, 1, slice_make(all.data, 10));
        h2_put_frame(&in, H2_CONTINUATION, 0, 1, slice_make(all.data + 10, 1));
        h2_put_frame(&in, H2_CONTINUATION, 0, 1, S(""));
        h2_put_frame(&in, H2_CONTINUATION, H2_END_HEADERS, 1, slice_from(all, 11));
        h2_put_frame(&in, H2_DATA, H2_PADDED, 1, S("\2abc\0\0"));
        h2_put_frame(&in, H2_DATA, 0, 1, S(""));
        h2_put_ping(&in, 0, "12345678");
        h2_put_frame(&in, 0x55, 0, 1, S("unknown"));
        h2_put_headers(&in, 3, H2_END_STREAM, GET);
        h2_put_data(&in, 1, 0, "defg");
        h2_put_headers(&in, 1, H2_END_STREAM, "x-sum 1\n");
        h2_peer_feed(p, &in, step);
        h2_peer_expect(p, "1 head POST / http://a.example trailers-ok body:-1 cookie=a=1; b=2\n"
                          "1 body abc\n3 head GET / http://a.example\n3 end\n1 body defg\n"
                          "1 trailers x-sum=1\n1 end\n");
        assert_string_equal(h2_peer_frames(p), "PING ACK\n");
        buffer_reset(&block);
        h2_peer_free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_and_response),
        cmocka_unit_test(both_bodies_at_once),
        cmocka_unit_test(large_bodies),
        cmocka_unit_test(trailers),
        cmocka_unit_test(trailers_without_a_body),
        cmocka_unit_test(a_range_of_a_file),
        cmocka_unit_test(a_short_file_resets_the_stream),
        cmocka_unit_test(informational),
        cmocka_unit_test(answers_without_a_body),
        cmocka_unit_test(writes_requests),
        cmocka_unit_test(a_window_stops_one_stream_only),
        cmocka_unit_test(many_streams_wait_at_once),
        cmocka_unit_test(lent_bodies_are_copied),
        cmocka_unit_test(frames_are_not_made_far_ahead),
        cmocka_unit_test(streams_take_turns),
        cmocka_unit_test(sent_bytes_are_told),
        cmocka_unit_test(sent_bytes_of_a_closed_stream),
        cmocka_unit_test(room_follows_settings),
        cmocka_unit_test(room_comes_back),
        cmocka_unit_test(input_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
