/* SPDX-License-Identifier: Apache-2.0
 *
 * How streams and connections of HTTP/2 end: resets, malformed messages, lost
 * connections, and owners that let go from within an event. GOAWAY: h2_goaway_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "h2_peer.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define GET ":method GET\n:scheme http\n:authority a.example\n:path /\n"
#define POST ":method POST\n:scheme http\n:authority a.example\n:path /\n"
#define TUNNEL                                                                                     \
    ":method CONNECT\n:protocol websocket\n:scheme http\n:authority a.example\n:path /chat\n"
#define HEAD_OF(id, method) #id " head " method " / http://a.example"

enum { NO_ERROR, INTERNAL_ERROR = 2, REFUSED_STREAM = 7, CANCEL };

static void feed_reset(struct h2_peer *p, uint32_t id, uint32_t code)
{
    struct buffer in = BUFFER_INIT;
    h2_put_word(&in, H2_RST_STREAM, id, code);
    h2_peer_feed(p, &in, 0);
}

/* ---- a server's streams ---- */

/* What becomes of a request, answered as it earns, and let go of. */
static const struct ending {
    const char *what;
    const char *head;
    unsigned    flags;
    const char *data;     /* with END_STREAM unless is_open; NULL: none */
    const char *trailers; /* with END_STREAM; NULL: none */
    bool        is_open;
    const char *events;
    unsigned    status;
    const char *frames;
} endings[] = {
    { "complete", GET, H2_END_STREAM, NULL, NULL, false, HEAD_OF(1, "GET") "\n1 end\n", 204,
      "HEADERS 1 END_STREAM :status=204\n" },
    { "not complete", POST, 0, "abc", NULL, true, HEAD_OF(1, "POST") " body:-1\n1 body abc\n", 413,
      "HEADERS 1 END_STREAM :status=413 content-length=0\nRST_STREAM 1 0\n" },
    { "malformed", POST "Abc x\n", 0, NULL, NULL, false, "1 invalid 400 bad_field_name\n", 400,
      "HEADERS 1 END_STREAM :status=400 content-length=0\nRST_STREAM 1 1\n" },
    { "malformed and over", GET "connection x\n", H2_END_STREAM, NULL, NULL, false,
      "1 invalid 400 connection_specific_field\n", 400,
      "HEADERS 1 END_STREAM :status=400 content-length=0\n" },
    { "malformed, and more of it", POST "te x\n", 0, "abc", "x y\n", false,
      "1 invalid 400 connection_specific_field\n", 400,
      "HEADERS 1 END_STREAM :status=400 content-length=0\n" },
    { "too many fields",
      POST "a b\na b\na b\na b\na b\na b\na b\na b\na b\na b\na b\na b\na b\na b\na b\na b\na b\n"
           "a b\na b\na b\na b\n",
      0, NULL, NULL, false, "1 invalid 431 too_many_fields\n", 431,
      "HEADERS 1 END_STREAM :status=431 content-length=0\nRST_STREAM 1 0\n" },
    { "CONNECT", ":method CONNECT\n:authority a:1\n", 0, NULL, NULL, false,
      "1 invalid 405 connect_refused\n", 405,
      "HEADERS 1 END_STREAM :status=405 content-length=0\nRST_STREAM 1 1\n" },
    { "length kept", POST "content-length 3\n", 0, "abc", NULL, false,
      HEAD_OF(1, "POST") " body:3\n1 body abc\n1 end\n", 204,
      "HEADERS 1 END_STREAM :status=204\n" },
    { "too long", POST "content-length 2\n", 0, "abc", NULL, true,
      HEAD_OF(1, "POST") " body:2\n1 invalid 400 body_longer_than_length\n", 400,
      "HEADERS 1 END_STREAM :status=400 content-length=0\nRST_STREAM 1 1\n" },
    { "longer than nothing", POST "content-length 0\n", 0, "a", NULL, false,
      HEAD_OF(1, "POST") "\n1 invalid 400 body_longer_than_length\n", 400,
      "HEADERS 1 END_STREAM :status=400 content-length=0\n" },
    { "too short", POST "content-length 4\n", 0, "abc", NULL, false,
      HEAD_OF(1, "POST") " body:4\n1 body abc\n1 invalid 400 body_shorter_than_length\n", 400,
      "HEADERS 1 END_STREAM :status=400 content-length=0\n" },
    { "too short, trailers", POST "content-length 4\n", 0, NULL, "x y\n", false,
      HEAD_OF(1, "POST") " body:4\n1 trailers x=y\n1 invalid 400 body_shorter_than_length\n", 400,
      "HEADERS 1 END_STREAM :status=400 content-length=0\n" },
    { "pseudo-header in trailers", POST, 0, NULL, ":path /\n", false,
      HEAD_OF(1, "POST") " body:-1\n1 invalid 400 bad_pseudo_header\n", 400,
      "HEADERS 1 END_STREAM :status=400 content-length=0\n" },
    { "trailers that say nothing", POST, 0, NULL, "host x\n", false,
      HEAD_OF(1, "POST") " body:-1\n1 end\n", 204, "HEADERS 1 END_STREAM :status=204\n" },
};

static void ends_of_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(endings); i++) {
        const struct ending *c = &endings[i];
        struct h2_peer      *p = h2_peer_new_server();
        h2_peer_feed_headers(p, 1, c->flags, c->head);
        if (c->data)
            h2_peer_feed_data(p, 1, c->is_open || c->trailers ? 0 : H2_END_STREAM, c->data);
        if (c->trailers) h2_peer_feed_headers(p, 1, H2_END_STREAM, c->trailers);
        if (strcmp(h2_peer_events(p), c->events) != 0)
            fail_msg("%s:\n%s", c->what, h2_peer_events(p));
        h2_peer_answer(&p->streams[0], c->status, 0);
        h2_peer_close(&p->streams[0]);
        const char *frames = h2_peer_frames(p);
        if (strcmp(frames, c->frames) != 0) fail_msg("%s:\n%s", c->what, frames);
        /* The connection goes on. */
        h2_peer_clear(p);
        if (!strstr(c->frames, "RST") && c->is_open) h2_peer_feed_data(p, 1, 0, "late");
        h2_peer_feed_headers(p, 3, H2_END_STREAM, GET);
        h2_peer_expect(p, HEAD_OF(3, "GET") "\n3 end\n");
        assert_true(codec_is_reusable(p->codec));
        assert_int_equal(p->idle_count, 1);
        h2_peer_free(p);
    }
}

static void trailers_must_end(void **state)
{
    (void)state;
    struct h2_peer *p = h2_peer_new_server();
    h2_peer_feed_headers(p, 1, 0, POST);
    h2_peer_feed_headers(p, 1, 0, "x y\n");
    assert_non_null(strstr(h2_peer_events(p), "1 invalid 400 trailers_without_end\n"));
    h2_peer_free(p);
}

/* What is still received of a stream that was let go of is nobody's. */
static void late_frames_are_ignored(void **state)
{
    (void)state;
    struct h2_peer *p = h2_peer_new_server();
    h2_peer_feed_headers(p, 1, 0, POST);
    h2_peer_answer(&p->streams[0], 204, 0);
    h2_peer_close(&p->streams[0]);
    assert_string_equal(h2_peer_frames(p), "HEADERS 1 END_STREAM :status=204\nRST_STREAM 1 0\n");
    h2_peer_clear(p);
    for (unsigned i = 0; i < 100; i++) h2_peer_feed_data(p, 1, 0, "0123456789");
    h2_peer_feed_headers(p, 1, H2_END_STREAM, "x y\n");
    feed_reset(p, 1, CANCEL);
    h2_peer_expect(p, "");
    assert_string_equal(h2_peer_frames(p), "");
    assert_true(codec_is_reusable(p->codec));
    h2_peer_free(p);
}

/* The answer was not complete: the client sees it. */
static void answers_broken_off(void **state)
{
    (void)state;
    for (unsigned turn = 0; turn < 5; turn++) {
        struct h2_peer        *p = h2_peer_new_server();
        struct h2_peer_stream *t = &p->streams[0];
        h2_peer_feed_headers(p, 1, H2_END_STREAM, GET);
        if (turn) h2_peer_answer(t, 200, 10);
        if (turn) h2_peer_frames(p);
        if (turn > 1) h2_peer_send(t, 4);
        if (turn == 2) http_stream_reset(t->stream);
        if (turn == 3) h2_peer_end(t); /* fewer than it said */
        if (turn == 4) h2_peer_frames(p);
        assert_int_equal(t->stream->unsent_bytes, 0);
        h2_peer_close(t);
        assert_string_equal(h2_peer_frames(p), "RST_STREAM 1 2\n");
        assert_true(codec_is_reusable(p->codec));
        h2_peer_free(p);
    }
}

static void the_client_resets(void **state)
{
    (void)state;
    struct h2_peer *p = h2_peer_new_server();
    h2_peer_feed_headers(p, 1, 0, POST);
    h2_peer_feed_headers(p, 3, H2_END_STREAM, GET);
    h2_peer_feed_headers(p, 5, H2_END_STREAM, GET);
    h2_peer_answer(&p->streams[1], 200, -1);
    h2_peer_send(&p->streams[1], 100000); /* more than the window takes */
    h2_peer_answer(&p->streams[2], 204, 0);
    h2_peer_frames(p);
    h2_peer_clear(p);
    feed_reset(p, 1, CANCEL);
    feed_reset(p, 3, NO_ERROR);
    feed_reset(p, 5, CANCEL); /* it was complete */
    h2_peer_expect(p, "1 reset peer\n3 reset peer\n");
    /* Nothing that is said reaches anybody. */
    h2_peer_answer(&p->streams[0], 200, -1);
    h2_peer_close(&p->streams[0]);
    h2_peer_close(&p->streams[1]);
    h2_peer_close(&p->streams[2]);
    assert_string_equal(h2_peer_frames(p), "");
    assert_int_equal(p->idle_count, 1);
    assert_true(p->was_reusable);
    h2_peer_free(p);
}

/* A head that is larger than can be said. */
static void an_answer_that_cannot_be_said(void **state)
{
    (void)state;
    struct h2_peer  *p = h2_peer_new_server();
    struct http_head head = { .status = 200, .body_bytes = 5 };
    h2_peer_feed_headers(p, 1, H2_END_STREAM, GET);
    h2_peer_clear(p);
    size_t bytes = (size_t)17 << 20;
    char  *value = calloc(1, bytes);
    memset(value, 'v', bytes);
    http_fields_add_named(&head.fields, &p->streams[0].arena, S("big"), slice_make(value, bytes));
    http_stream_send_head(p->streams[0].stream, &head);
    free(value);
    h2_peer_send(&p->streams[0], 5);
    h2_peer_end(&p->streams[0]);
    assert_string_equal(h2_peer_frames(p), "RST_STREAM 1 2\n");
    h2_peer_expect(p, "1 reset peer\n");
    assert_true(codec_is_reusable(p->codec));
    h2_peer_free(p);
}

/* ---- a client's streams ---- */

static const struct reply {
    const char *what;
    const char *head;
    bool        is_end;
    const char *data;  /* with END_STREAM; NULL: none */
    uint32_t    reset; /* code + 1; 0: none */
    const char *events;
    const char *frames; /* after it is let go of */
} replies[] = {
    { "complete", ":status 200\n", false, "abc", 0, "1 head 200 body:-1\n1 body abc\n1 end\n", "" },
    { "too short", ":status 200\ncontent-length 4\n", false, "abc", 0,
      "1 head 200 body:4\n1 body abc\n1 reset truncated\n", "" },
    { "too long", ":status 200\ncontent-length 2\n", false, "abc", 0,
      "1 head 200 body:2\n1 invalid 502 body_longer_than_length\n", "" },
    { "nothing of a length", ":status 200\ncontent-length 2\n", true, NULL, 0,
      "1 invalid 502 body_shorter_than_length\n", "" },
    { "a body of 204", ":status 204\n", false, "abc", 0,
      "1 head 204\n1 invalid 502 body_longer_than_length\n", "" },
    { "a body of 304", ":status 304\ncontent-length 3\n", false, "abc", 0,
      "1 head 304 body:3\n1 invalid 502 body_longer_than_length\n", "" },
    { "malformed", ":status 200\nA b\n", false, NULL, 0, "1 invalid 502 bad_field_name\n",
      "RST_STREAM 1 8\n" },
    { "no status", "a b\n", true, NULL, 0, "1 invalid 502 bad_status_line\n", "" },
    { "101", ":status 101\n", false, NULL, 0, "1 invalid 502 bad_status_line\n",
      "RST_STREAM 1 8\n" },
    { "1xx that ends", ":status 103\n", true, NULL, 0, "1 invalid 502 bad_status_line\n", "" },
    { "refused", NULL, false, NULL, REFUSED_STREAM + 1, "1 reset unprocessed\n", "" },
    { "reset", NULL, false, NULL, CANCEL + 1, "1 reset peer\n", "" },
    { "reset amid it", ":status 200\n", false, NULL, INTERNAL_ERROR + 1,
      "1 head 200 body:-1\n1 reset peer\n", "" },
    { "not complete", ":status 200\n", false, NULL, 0, "1 head 200 body:-1\n", "RST_STREAM 1 8\n" },
};

static void ends_of_responses(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(replies); i++) {
        const struct reply *c = &replies[i];
        struct h2_peer     *p = h2_peer_new_client();
        h2_peer_ask(p, HTTP_GET, 0);
        h2_peer_frames(p);
        if (c->head) h2_peer_feed_headers(p, 1, c->is_end ? H2_END_STREAM : 0, c->head);
        if (c->data) h2_peer_feed_data(p, 1, H2_END_STREAM, c->data);
        if (c->reset) feed_reset(p, 1, c->reset - 1);
        if (strcmp(h2_peer_events(p), c->events) != 0)
            fail_msg("%s:\n%s", c->what, h2_peer_events(p));
        h2_peer_close(&p->streams[0]);
        const char *frames = h2_peer_frames(p);
        if (strcmp(frames, c->frames) != 0) fail_msg("%s:\n%s", c->what, frames);
        assert_true(codec_is_reusable(p->codec));
        assert_int_equal(codec_room(p->codec), 100);
        h2_peer_free(p);
    }
}

static void informational_is_bounded(void **state)
{
    (void)state;
    struct h2_peer *p = h2_peer_new_client();
    h2_peer_ask(p, HTTP_GET, 0);
    h2_peer_frames(p);
    for (unsigned i = 0; i < 4; i++) h2_peer_feed_headers(p, 1, 0, ":status 100\n");
    h2_peer_expect(p, "1 info 100\n1 info 100\n1 info 100\n1 invalid 502 too_many_informational\n");
    h2_peer_free(p);
}

/* An answer before the request was complete, then RST_STREAM(NO_ERROR). */
static void an_early_answer(void **state)
{
    (void)state;
    struct h2_peer *p = h2_peer_new_client();
    h2_peer_ask(p, HTTP_POST, -1);
    h2_peer_send(&p->streams[0], 5);
    h2_peer_frames(p);
    h2_peer_feed_headers(p, 1, H2_END_STREAM, ":status 413\n");
    h2_peer_expect(p, "1 head 413\n1 end\n");
    feed_reset(p, 1, NO_ERROR);
    h2_peer_expect(p, "1 reset peer\n");
    h2_peer_close(&p->streams[0]);
    assert_string_equal(h2_peer_frames(p), "");
    /* Let go of without waiting for it. */
    h2_peer_ask(p, HTTP_POST, -1);
    h2_peer_frames(p);
    h2_peer_feed_headers(p, 3, H2_END_STREAM, ":status 413\n");
    h2_peer_close(&p->streams[1]);
    assert_string_equal(h2_peer_frames(p), "RST_STREAM 3 8\n");
    assert_int_equal(codec_room(p->codec), 100);
    h2_peer_free(p);
}

/* ---- the connection ends ---- */

static void expires(void **state)
{
    (void)state;
    struct h2_peer *p = h2_peer_new_server();
    struct buffer   in = BUFFER_INIT, block = BUFFER_INIT;
    h2_peer_feed_headers(p, 1, 0, POST);
    h2_peer_clear(p);
    assert_false(codec_is_in_head(p->codec));
    codec_expire(p->codec);
    assert_true(codec_is_reusable(p->codec));
    h2_put_block(&block, GET);
    h2_put_frame(&in, H2_HEADERS, H2_END_STREAM, 3, buffer_slice(&block));
    h2_peer_feed(p, &in, 0);
    assert_true(codec_is_in_head(p->codec));
    codec_expire(p->codec);
    h2_peer_expect(p, "1 reset peer\n");
    assert_string_equal(p->codec->abuse, "header_timeout");
    assert_string_equal(h2_peer_frames(p), "GOAWAY 3 11\n");
    assert_false(codec_is_reusable(p->codec));
    assert_false(codec_wants_input(p->codec));
    assert_int_equal(codec_feed(p->codec, "x", 1), 0);
    buffer_reset(&block);
    h2_peer_free(p);

    p = h2_peer_new(HTTP_SERVER, 65536, 100); /* that gets no preface */
    assert_true(codec_is_in_head(p->codec));
    codec_expire(p->codec);
    assert_null(p->codec->abuse);
    assert_false(codec_is_reusable(p->codec));
    h2_peer_free(p);
}

/* A block that can belong to nobody any more is not waited for. */
static void half_a_block_of_a_dead_stream(void **state)
{
    (void)state;
    struct h2_peer *p = h2_peer_new_server();
    struct buffer   in = BUFFER_INIT, block = BUFFER_INIT;
    h2_peer_feed_headers(p, 1, 0, POST);
    h2_put_block(&block, "x y\n");
    h2_put_frame(&in, H2_HEADERS, H2_END_STREAM, 1, slice_make(block.data, 2));
    h2_peer_feed(p, &in, 0);
    assert_true(codec_is_in_head(p->codec));
    h2_peer_close(&p->streams[0]);
    assert_string_equal(h2_peer_frames(p), "RST_STREAM 1 2\n");
    assert_false(codec_is_in_head(p->codec));
    h2_put_frame(&in, H2_CONTINUATION, H2_END_HEADERS, 1, slice_from(buffer_slice(&block), 2));
    h2_put_headers(&in, 3, H2_END_STREAM, GET);
    h2_peer_clear(p);
    h2_peer_feed(p, &in, 0);
    h2_peer_expect(p, HEAD_OF(3, "GET") "\n3 end\n");
    buffer_reset(&block);
    h2_peer_free(p);
}

/* Each state of a stream, and what it hears when the connection ends. */
static void a_server_loses_its_client(void **state)
{
    (void)state;
    for (unsigned is_abort = 0; is_abort < 2; is_abort++) {
        struct h2_peer *p = h2_peer_new_server();
        h2_peer_feed_headers(p, 1, 0, POST);
        h2_peer_feed_headers(p, 3, H2_END_STREAM, GET);
        h2_peer_feed_headers(p, 5, H2_END_STREAM, GET);
        h2_peer_feed_headers(p, 7, 0, GET "A b\n");
        h2_peer_answer(&p->streams[2], 200, -1);
        h2_peer_send(&p->streams[2], 5);
        h2_peer_clear(p);
        (is_abort ? codec_feed_abort : codec_feed_eof)(p->codec);
        h2_peer_expect(p, "1 reset truncated\n3 reset peer\n5 reset peer\n7 reset peer\n");
        assert_false(codec_is_reusable(p->codec));
        for (unsigned i = 0; i < 4; i++) h2_peer_close(&p->streams[i]);
        assert_int_equal(p->idle_count, 1);
        h2_peer_free(p);
    }
}

static void a_client_loses_its_server(void **state)
{
    (void)state;
    for (unsigned is_abort = 0; is_abort < 2; is_abort++) {
        struct h2_peer *p = h2_peer_new_client();
        for (unsigned i = 0; i < 4; i++) h2_peer_ask(p, HTTP_POST, -1);
        h2_peer_frames(p);
        h2_peer_feed_headers(p, 3, 0, ":status 103\n");
        h2_peer_feed_headers(p, 5, 0, ":status 200\n");
        h2_peer_feed_headers(p, 7, H2_END_STREAM, ":status 200\n");
        struct http_stream *unsaid = codec_open(p->codec);
        p->codec->owner_ops->on_stream(p->codec, unsaid);
        h2_peer_clear(p);
        (is_abort ? codec_feed_abort : codec_feed_eof)(p->codec);
        const char *events = is_abort ? "1 reset closed\n3 reset truncated\n5 reset truncated\n"
                                        "7 reset peer\n9 reset closed\n"
                                      : "1 reset closed\n3 reset truncated\n5 reset truncated\n"
                                        "9 reset closed\n";
        h2_peer_expect(p, events);
        assert_int_equal(codec_room(p->codec), 0);
        for (unsigned i = 0; i < 5; i++) h2_peer_close(&p->streams[i]);
        assert_int_equal(p->idle_count, 1);
        h2_peer_free(p);
    }
}

/* A tunnel whose early bytes were not told yet hears of its end all the same. */
static void early_bytes_and_an_end(void **state)
{
    (void)state;
    for (unsigned turn = 0; turn < 6; turn++) {
        struct h2_peer *p = h2_peer_new_server();
        bool            is_ended = turn >= 3;
        h2_peer_feed_headers(p, 1, 0, TUNNEL);
        h2_peer_feed_data(p, 1, is_ended ? H2_END_STREAM : 0, "abc");
        h2_peer_answer(&p->streams[0], 101, 0);
        h2_peer_clear(p);
        p->deeds[H2_PEER_ON_BODY] = p->deeds[H2_PEER_ON_RESET] = H2_PEER_CLOSE;
        if (turn % 3 == 0)
            feed_reset(p, 1, CANCEL);
        else if (turn % 3 == 1)
            codec_feed_abort(p->codec);
        else
            codec_feed_eof(p->codec);
        /* What came early may be told or not; an end is. */
        if (p->streams[0].stream) fail_msg("%u: nothing was told: %s", turn, h2_peer_events(p));
        h2_peer_free(p);
    }
}

/* ---- from within events ---- */

/* All that a client's stream may hear, and then a lost connection. */
static void client_scene(struct h2_peer *p)
{
    for (unsigned i = 0; i < 3; i++) h2_peer_ask(p, HTTP_POST, -1);
    for (unsigned i = 0; i < 3; i++)
        if (p->codec && p->streams[i].stream) h2_peer_send(&p->streams[i], 9000);
    if (p->codec) h2_peer_frames(p);
    struct buffer in = BUFFER_INIT;
    h2_put_headers(&in, 1, 0, ":status 103\n");
    h2_put_headers(&in, 1, 0, ":status 200\n");
    h2_put_data(&in, 1, 0, "abc");
    h2_put_data(&in, 1, 0, "def");
    h2_put_headers(&in, 1, H2_END_STREAM, "x y\n");
    h2_put_headers(&in, 3, 0, "x y\n");
    h2_put_word(&in, H2_RST_STREAM, 5, CANCEL);
    h2_put_ping(&in, 0, "12345678");
    h2_peer_feed(p, &in, 0);
    if (p->codec) h2_peer_settle(p);
    if (p->codec) codec_feed_abort(p->codec);
}

static void server_scene(struct h2_peer *p)
{
    struct buffer in = BUFFER_INIT, bytes = BUFFER_INIT;
    h2_put_headers(&in, 1, 0, POST);
    h2_put_data(&in, 1, 0, "abc");
    h2_put_data(&in, 1, 0, "def");
    h2_put_headers(&in, 1, H2_END_STREAM, "x y\n");
    h2_put_headers(&in, 3, 0, POST "A b\n");
    h2_put_headers(&in, 5, 0, POST);
    h2_put_word(&in, H2_RST_STREAM, 5, CANCEL);
    h2_put_headers(&in, 7, 0, POST "content-length 1\n");
    h2_put_data(&in, 7, H2_END_STREAM, "abc");
    h2_put_ping(&in, 0, "12345678");
    h2_peer_feed(p, &in, 0);
    if (p->codec && p->stream_count && p->streams[0].stream) {
        h2_peer_answer(&p->streams[0], 200, -1);
        h2_peer_send(&p->streams[0], 9000);
    }
    if (p->codec) h2_peer_take(p, 9000, &bytes);
    if (p->codec) h2_peer_take(p, 9000, &bytes);
    if (p->codec) codec_feed_abort(p->codec);
    buffer_reset(&bytes);
}

/* Close and free where it hurts most; AddressSanitizer looks. */
static void owners_let_go_within_events(void **state)
{
    static const enum h2_peer_deed deeds[] = { H2_PEER_CLOSE, H2_PEER_FREE };
    (void)state;
    for (unsigned event = 0; event < H2_PEER_EVENTS; event++) {
        for (unsigned i = 0; i < COUNT(deeds); i++) {
            struct h2_peer *p = h2_peer_new_client();
            p->deeds[event] = deeds[i];
            client_scene(p);
            bool is_met = deeds[i] == H2_PEER_FREE ? !p->codec : !p->streams[0].stream;
            h2_peer_free(p);
            p = h2_peer_new_server();
            p->deeds[event] = deeds[i];
            server_scene(p);
            if (deeds[i] == H2_PEER_FREE) is_met |= !p->codec;
            for (unsigned s = 0; s < p->stream_count; s++) is_met |= !p->streams[s].stream;
            if (!is_met) fail_msg("event %u did not come", event);
            h2_peer_free(p);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_of_requests),
        cmocka_unit_test(trailers_must_end),
        cmocka_unit_test(late_frames_are_ignored),
        cmocka_unit_test(answers_broken_off),
        cmocka_unit_test(the_client_resets),
        cmocka_unit_test(an_answer_that_cannot_be_said),
        cmocka_unit_test(ends_of_responses),
        cmocka_unit_test(informational_is_bounded),
        cmocka_unit_test(an_early_answer),
        cmocka_unit_test(expires),
        cmocka_unit_test(half_a_block_of_a_dead_stream),
        cmocka_unit_test(a_server_loses_its_client),
        cmocka_unit_test(a_client_loses_its_server),
        cmocka_unit_test(early_bytes_and_an_end),
        cmocka_unit_test(owners_let_go_within_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
