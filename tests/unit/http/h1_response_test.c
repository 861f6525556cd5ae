/* SPDX-License-Identifier: Apache-2.0
 *
 * What the client codec understands of a replica and what it refuses, whole and
 * cut at every place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "h1_peer.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct response {
    const char      *what;
    struct slice     input;
    const char      *events;
    enum http_method method;
    bool             has_eof;
    bool             is_reusable; /* afterwards */
};

#define R "HTTP/1.1 200 OK\r\n"
#define BAD(what, input, reason)                                                                   \
    {                                                                                              \
        what, SLICE(input), "invalid 502 " reason "\n", HTTP_GET, false, false                     \
    }

static const struct response bad_responses[] = {
    BAD("HTTP/0.9", "<html>hello</html>\n", "bad_status_line"),
    BAD("SSH", "SSH-2.0-OpenSSH_9.2\r\n", "bad_status_line"),
    BAD("empty line first", "\r\nHTTP/1.1 200 OK\r\n\r\n", "bad_status_line"),
    BAD("lower case", "http/1.1 200 OK\r\n\r\n", "bad_status_line"),
    BAD("ICY", "ICY 200 OK\r\n\r\n", "bad_status_line"),
    BAD("HTTP/2", "HTTP/2 200 OK\r\n\r\n", "bad_status_line"),
    BAD("HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n", "bad_status_line"),
    BAD("HTTP/1", "HTTP/1 200 OK\r\n\r\n", "bad_status_line"),
    BAD("HTTP/1.x", "HTTP/1.x 200 OK\r\n\r\n", "bad_status_line"),
    BAD("no status", "HTTP/1.1\r\n\r\n", "bad_status_line"),
    BAD("two spaces", "HTTP/1.1  200 OK\r\n\r\n", "bad_status_line"),
    BAD("tab", "HTTP/1.1\t200 OK\r\n\r\n", "bad_status_line"),
    BAD("two digits", "HTTP/1.1 20 OK\r\n\r\n", "bad_status_line"),
    BAD("four digits", "HTTP/1.1 2000 OK\r\n\r\n", "bad_status_line"),
    BAD("leading zero", "HTTP/1.1 0200 OK\r\n\r\n", "bad_status_line"),
    BAD("099", "HTTP/1.1 099 OK\r\n\r\n", "bad_status_line"),
    BAD("600", "HTTP/1.1 600 OK\r\n\r\n", "bad_status_line"),
    BAD("-20", "HTTP/1.1 -20 OK\r\n\r\n", "bad_status_line"),
    BAD("+20", "HTTP/1.1 +20 OK\r\n\r\n", "bad_status_line"),
    BAD("2x0", "HTTP/1.1 2x0 OK\r\n\r\n", "bad_status_line"),
    BAD("200OK", "HTTP/1.1 200OK\r\n\r\n", "bad_status_line"),
    BAD("huge status", "HTTP/1.1 4294967496 OK\r\n\r\n", "bad_status_line"),
    BAD("control in reason", "HTTP/1.1 200 O\x01K\r\n\r\n", "bad_field_value"),
    BAD("LF after reason", "HTTP/1.1 200 OK\nA: b\r\n\r\n", "bare_lf"),
    BAD("CR in reason", "HTTP/1.1 200 O\rK\r\n\r\n", "bare_cr"),
    BAD("bare LFs", "HTTP/1.1 200 OK\nA: b\n\n", "bare_lf"),
    BAD("folded", R "A: b\r\n c\r\n\r\n", "obs_fold"),
    BAD("space before colon", R "A : b\r\n\r\n", "space_before_colon"),
    BAD("no colon", R "A\r\n\r\n", "bad_field_name"),
    BAD("NUL in value", R "A: \0\r\n\r\n", "bad_field_value"),
    BAD("length -1", R "Content-Length: -1\r\n\r\n", "bad_content_length"),
    BAD("length list", R "Content-Length: 5, 5\r\n\r\nhello", "bad_content_length"),
    BAD("lengths differ", R "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", "bad_content_length"),
    BAD("length 2^63", R "Content-Length: 9223372036854775808\r\n\r\n", "bad_content_length"),
    BAD("encoding and length", R "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        "length_with_transfer_encoding"),
    BAD("encoding in 1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "transfer_encoding_in_http_1_0"),
    BAD("gzip", R "Transfer-Encoding: gzip\r\n\r\n", "bad_transfer_encoding"),
    BAD("gzip, chunked", R "Transfer-Encoding: gzip, chunked\r\n\r\n",
        "unsupported_transfer_encoding"),
    BAD("unasked 101", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "unasked_upgrade"),
    { "chunk size", SLICE(R "Transfer-Encoding: chunked\r\n\r\nxyz\r\n"),
      "head 200 [OK] HTTP/1.1 body:-1\ninvalid 502 bad_chunk_size\n", HTTP_GET, false, false },
    { "1xx flood",
      SLICE("HTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 A\r\n\r\n"
            "HTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 A\r\n\r\n"
            "HTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 A\r\n\r\nHTTP/1.1 103 A\r\n\r\n"),
      "info 103 [A] HTTP/1.1 body:0\ninfo 103 [A] HTTP/1.1 body:0\n"
      "info 103 [A] HTTP/1.1 body:0\ninfo 103 [A] HTTP/1.1 body:0\n"
      "info 103 [A] HTTP/1.1 body:0\ninfo 103 [A] HTTP/1.1 body:0\n"
      "info 103 [A] HTTP/1.1 body:0\ninfo 103 [A] HTTP/1.1 body:0\n"
      "invalid 502 too_many_informational\n",
      HTTP_GET, false, false },
};

#define HEAD_200 "head 200 [OK] HTTP/1.1"

static const struct response good_responses[] = {
    { "length", SLICE(R "Content-Length: 5\r\n\r\nhello"), HEAD_200 " body:5\nbody hello\nend\n",
      HTTP_GET, false, true },
    { "length 0", SLICE(R "Content-Length: 0\r\n\r\n"), HEAD_200 " body:0\nend\n", HTTP_GET, false,
      true },
    { "no reason", SLICE("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"),
      "head 200 [] HTTP/1.1 body:0\nend\n", HTTP_GET, false, true },
    { "no reason, no space", SLICE("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"),
      "head 200 [] HTTP/1.1 body:0\nend\n", HTTP_GET, false, true },
    { "reason", SLICE("HTTP/1.1 404 Not \xc3\xa9 here\r\nContent-Length: 0\r\n\r\n"),
      "head 404 [Not \xc3\xa9 here] HTTP/1.1 body:0\nend\n", HTTP_GET, false, true },
    { "chunked", SLICE(R "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n"),
      HEAD_200 " body:-1\nbody hello\ntrailers A=b\nend\n", HTTP_GET, false, true },
    { "close", SLICE(R "Connection: close\r\nContent-Length: 1\r\n\r\nx"),
      HEAD_200 " body:1\nbody x\nend\n", HTTP_GET, false, false },
    { "until close", SLICE(R "\r\nhello"), HEAD_200 " body:-1\nbody hello\nend\n", HTTP_GET, true,
      false },
    { "until close, nothing", SLICE(R "\r\n"), HEAD_200 " body:-1\nend\n", HTTP_GET, true, false },
    { "1.0", SLICE("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx"),
      "head 200 [OK] HTTP/1.0 body:1\nbody x\nend\n", HTTP_GET, false, false },
    { "1.0 kept", SLICE("HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: Keep-Alive\r\n\r\nx"),
      "head 200 [OK] HTTP/1.0 body:1\nbody x\nend\n", HTTP_GET, false, true },
    { "204 with length", SLICE("HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n"),
      "head 204 [No] HTTP/1.1 body:0\nend\n", HTTP_GET, false, true },
    { "204 with a body", SLICE("HTTP/1.1 204 No\r\n\r\nhello"),
      "head 204 [No] HTTP/1.1 body:0\nend\n", HTTP_GET, false, false },
    { "304 with length", SLICE("HTTP/1.1 304 Not\r\nContent-Length: 5\r\nETag: x\r\n\r\n"),
      "head 304 [Not] HTTP/1.1 body:5 ETag=x\nend\n", HTTP_GET, false, true },
    { "HEAD with length", SLICE(R "Content-Length: 5\r\n\r\n"), HEAD_200 " body:5\nend\n",
      HTTP_HEAD, false, true },
    { "HEAD with chunked", SLICE(R "Transfer-Encoding: chunked\r\n\r\n"),
      HEAD_200 " body:-1\nend\n", HTTP_HEAD, false, true },
    { "HEAD with a body", SLICE(R "Content-Length: 5\r\n\r\nhello"), HEAD_200 " body:5\nend\n",
      HTTP_HEAD, false, false },
    { "surplus after length", SLICE(R "Content-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n\r\n"),
      HEAD_200 " body:1\nbody x\nend\n", HTTP_GET, false, false },
    { "surplus after chunks", SLICE(R "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n\r\n"),
      HEAD_200 " body:-1\nbody x\nend\n", HTTP_GET, false, false },
    { "informational",
      SLICE("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: a\r\n\r\n"
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"),
      "info 100 [Continue] HTTP/1.1 body:0\ninfo 103 [Hints] HTTP/1.1 body:0 Link=a\n" HEAD_200
      " body:1\nbody x\nend\n",
      HTTP_GET, false, true },
    { "hop-by-hop fields",
      SLICE(R "Connection: x-a\r\nKeep-Alive: timeout=5\r\nX-A: 1\r\nContent-Length: 0\r\nTrailer: "
              "z\r\nServer: s\r\n\r\n"),
      HEAD_200 " body:0 Server=s\nend\n", HTTP_GET, false, true },
    { "cut short by EOF", SLICE(R "Content-Length: 5\r\n\r\nhell"),
      HEAD_200 " body:5\nbody hell\nreset truncated\n", HTTP_GET, true, false },
    { "chunks cut short", SLICE(R "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
      HEAD_200 " body:-1\nbody hello\nreset truncated\n", HTTP_GET, true, false },
    { "last chunk cut short", SLICE(R "Transfer-Encoding: chunked\r\n\r\n0\r\n"),
      HEAD_200 " body:-1\nreset truncated\n", HTTP_GET, true, false },
    { "trailers cut short", SLICE(R "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n"),
      HEAD_200 " body:-1\nreset truncated\n", HTTP_GET, true, false },
    { "head cut short", SLICE(R "Content-Le"), "reset truncated\n", HTTP_GET, true, false },
    { "one byte", SLICE("H"), "reset truncated\n", HTTP_GET, true, false },
    { "nothing", SLICE(""), "reset closed\n", HTTP_GET, true, false },
    { "100 and nothing", SLICE("HTTP/1.1 100 Continue\r\n\r\n"),
      "info 100 [Continue] HTTP/1.1 body:0\nreset truncated\n", HTTP_GET, true, false },
};

static void expect_events(const struct response *c, size_t first, size_t step)
{
    struct h1_peer p;
    h1_peer_init(&p, HTTP_CLIENT);
    h1_peer_ask(&p, c->method);
    h1_peer_feed(&p, slice_make(c->input.data, first), 0);
    h1_peer_feed(&p, slice_from(c->input, first), step);
    if (c->has_eof) codec_feed_eof(p.codec);
    const char *events = h1_peer_events(&p);
    if (strcmp(events, c->events) != 0)
        fail_msg("%s (cut after %zu, then every %zu):\n%s-- expected --\n%s", c->what, first, step,
                 events, c->events);
    h1_peer_output(&p);
    http_stream_close(p.stream);
    if (codec_is_reusable(p.codec) != c->is_reusable)
        fail_msg("%s (cut after %zu, then every %zu): reusable is %d", c->what, first, step,
                 codec_is_reusable(p.codec));
    assert_int_equal(codec_room(p.codec), c->is_reusable);
    assert_int_equal(p.idle_count, 1);
    h1_peer_reset(&p);
}

static void expect_all_ways(const struct response *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        expect_events(&cases[i], 0, 0);
        expect_events(&cases[i], 0, 1);
        for (size_t cut = 1; cut < cases[i].input.len; cut++) expect_events(&cases[i], cut, 0);
    }
}

static void refuses(void **state)
{
    (void)state;
    expect_all_ways(bad_responses, COUNT(bad_responses));
}

static void understands(void **state)
{
    (void)state;
    expect_all_ways(good_responses, COUNT(good_responses));
}

static void bounds_the_head(void **state)
{
    (void)state;
    static const size_t steps[] = { 0, 1, 999 };
    for (size_t i = 0; i < COUNT(steps); i++) {
        struct h1_peer p;
        h1_peer_init(&p, HTTP_CLIENT);
        h1_peer_ask(&p, HTTP_GET);
        struct buffer b = BUFFER_INIT;
        buffer_puts(&b, R "A: ");
        memset(buffer_reserve(&b, 20000), 'a', 20000);
        b.len += 20000;
        h1_peer_feed(&p, buffer_slice(&b), steps[i]);
        assert_string_equal(h1_peer_events(&p), "invalid 502 head_too_large\n");
        assert_true(p.codec->is_broken);
        buffer_reset(&b);
        h1_peer_reset(&p);
    }
}

static void an_abort_completes_nothing(void **state)
{
    (void)state;
    struct h1_peer p;
    h1_peer_init(&p, HTTP_CLIENT);
    h1_peer_ask(&p, HTTP_GET);
    h1_peer_feed(&p, S(R "\r\nhello"), 0);
    codec_feed_abort(p.codec);
    assert_string_equal(h1_peer_events(&p), HEAD_200 " body:-1\nbody hello\nreset truncated\n");
    http_stream_close(p.stream);
    assert_true(p.codec->is_broken);
    h1_peer_reset(&p);

    h1_peer_init(&p, HTTP_CLIENT);
    h1_peer_ask(&p, HTTP_GET);
    codec_feed_abort(p.codec);
    assert_string_equal(h1_peer_events(&p), "reset closed\n");
    h1_peer_reset(&p);
}

static void a_replica_that_talks_unasked_is_done_with(void **state)
{
    (void)state;
    struct h1_peer p;
    h1_peer_init(&p, HTTP_CLIENT);
    assert_int_equal(codec_room(p.codec), 1);
    assert_true(codec_wants_input(p.codec));
    assert_int_equal(h1_peer_feed(&p, S("HTTP/1.1 408 Timeout\r\n\r\n"), 0), 24);
    assert_int_equal(codec_room(p.codec), 0);
    assert_null(codec_open(p.codec));
    assert_string_equal(buffer_slice(&p.events).data, "");
    h1_peer_reset(&p);

    /* Opened in the same moment: nothing was sent, so that it is safe to go elsewhere. */
    h1_peer_init(&p, HTTP_CLIENT);
    p.stream = codec_open(p.codec);
    p.codec->owner_ops->on_stream(p.codec, p.stream);
    h1_peer_feed(&p, S("HTTP/1.1 408 Timeout\r\n\r\n"), 0);
    assert_string_equal(h1_peer_events(&p), "reset closed\n");
    http_stream_close(p.stream);
    h1_peer_reset(&p);

    h1_peer_init(&p, HTTP_CLIENT);
    codec_feed_eof(p.codec);
    assert_int_equal(codec_room(p.codec), 0);
    h1_peer_reset(&p);
}

/* The surplus counts before the owner hears of the end, and so could reuse it. */
static void surplus_is_known_when_the_stream_closes(void **state)
{
    (void)state;
    struct h1_peer p;
    h1_peer_init(&p, HTTP_CLIENT);
    h1_peer_ask(&p, HTTP_GET);
    p.closes_at_end = true;
    struct slice input = S(R "Content-Length: 1\r\n\r\nxy");
    assert_int_equal(h1_peer_feed(&p, input, 0), input.len - 1);
    assert_false(p.was_reusable);
    assert_false(codec_wants_input(p.codec));
    h1_peer_reset(&p);
}

static void let_go_of_at_the_head(void **state)
{
    (void)state;
    static const struct {
        const char *input;
        bool        is_reusable;
    } cases[] = {
        { R "Content-Length: 0\r\n\r\n", true },
        { R "Content-Length: 0\r\n\r\nsurplus", false },
        { R "Content-Length: 1\r\n\r\nx", false },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct h1_peer p;
        h1_peer_init(&p, HTTP_CLIENT);
        p.closes_at_head = true;
        h1_peer_ask(&p, HTTP_GET);
        h1_peer_feed(&p, slice_of(cases[i].input), 0);
        assert_int_equal(p.was_reusable, cases[i].is_reusable);
        assert_int_equal(p.idle_count, 1);
        h1_peer_reset(&p);
    }
}

static void is_a_tunnel_after_101(void **state)
{
    (void)state;
    struct h1_peer p;
    h1_peer_init(&p, HTTP_CLIENT);
    p.stream = codec_open(p.codec);
    p.codec->owner_ops->on_stream(p.codec, p.stream);
    struct http_head head = {
        .method = HTTP_GET,
        .method_name = S("GET"),
        .path = S("/"),
        .authority = S("a"),
        .upgrade = S("websocket"),
    };
    http_stream_send_head(p.stream, &head);
    assert_string_equal(
        h1_peer_output(&p),
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    struct slice input = S("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
                           "Upgrade: websocket\r\n\r\n\x81\x05hello");
    assert_int_equal(h1_peer_feed(&p, input, 0), input.len);
    assert_string_equal(h1_peer_events(&p),
                        "head 101 [Switching Protocols] HTTP/1.1 upgrade:websocket body:0\n"
                        "body \x81\x05hello\n");
    assert_false(codec_is_reusable(p.codec));
    h1_peer_clear(&p);
    h1_peer_output(&p);
    /* Bytes go both ways, and each direction ends by itself. */
    h1_peer_clear(&p);
    http_stream_send_body(p.stream, S("\x81\x02hi"));
    http_stream_send_end(p.stream, NULL);
    assert_string_equal(h1_peer_output(&p), "\x81\x02hi");
    assert_true(p.codec->has_ended);
    h1_peer_feed(&p, S("more"), 0);
    codec_feed_eof(p.codec);
    assert_string_equal(h1_peer_events(&p), "body more\nend\n");
    http_stream_close(p.stream);
    assert_false(p.codec->is_broken);
    h1_peer_reset(&p);
}

int main(void)
{
    printf("%zu responses to refuse\n", COUNT(bad_responses));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses),
        cmocka_unit_test(understands),
        cmocka_unit_test(bounds_the_head),
        cmocka_unit_test(an_abort_completes_nothing),
        cmocka_unit_test(a_replica_that_talks_unasked_is_done_with),
        cmocka_unit_test(surplus_is_known_when_the_stream_closes),
        cmocka_unit_test(let_go_of_at_the_head),
        cmocka_unit_test(is_a_tunnel_after_101),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
