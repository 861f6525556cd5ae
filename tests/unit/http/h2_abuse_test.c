/* SPDX-License-Identifier: Apache-2.0
 *
 * What an HTTP/2 peer may not do to a connection: floods, heads far too large, bytes of
 * another protocol, answers that it does not take.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "h2_peer.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define GET ":method GET\n:scheme http\n:authority a.example\n:path /\n"
#define POST ":method POST\n:scheme http\n:authority a.example\n:path /\n"

enum { CANCEL = 8, CLOSED = 7, CONTINUED = 8 /* of the kinds of flood */ };

static void feed_headers(struct h2_peer *p, uint32_t id, unsigned flags, const char *lines)
{
    struct buffer in = BUFFER_INIT;
    h2_put_headers(&in, id, flags, lines);
    h2_peer_feed(p, &in, 0);
}

static void feed_reset(struct h2_peer *p, uint32_t id, uint32_t code)
{
    struct buffer in = BUFFER_INIT;
    h2_put_word(&in, H2_RST_STREAM, id, code);
    h2_peer_feed(p, &in, 0);
}

static void put_flood(struct buffer *in, unsigned kind, unsigned i)
{
    switch (kind) {
    case 0: h2_put_ping(in, 0, "12345678"); break;
    case 1: h2_put_frame(in, H2_SETTINGS, 0, 0, S("")); break;
    case 2: h2_put_frame(in, H2_PRIORITY, 0, 1, S("\0\0\0\0\5")); break;
    case 3: h2_put_word(in, H2_WINDOW_UPDATE, 0, 1); break;
    case 4: h2_put_data(in, 1, 0, ""); break;
    case 5:
        h2_put_headers(in, 2 * i + 3, H2_END_STREAM, GET);
        h2_put_word(in, H2_RST_STREAM, 2 * i + 3, CANCEL);
        break;
    case 6: h2_put_headers(in, 2 * i + 3, 0, GET "A b\n"); break;
    case 7: h2_put_headers(in, 1, H2_END_STREAM, GET); break;
    default: h2_put_frame(in, H2_CONTINUATION, 0, 3, S("")); break;
    }
}

/* Less what the first SETTINGS took, 20 points of 2000. An answer gives one back. */
static const struct {
    const char *reason;
    unsigned    count;
} floods[] = {
    { "ping_flood", 990 },           { "settings_flood", 99 },       { "priority_flood", 1980 },
    { "window_update_flood", 1980 }, { "empty_data_flood", 495 },    { "reset_flood", 495 },
    { "reset_flood", 660 },          { "closed_stream_flood", 494 }, { "continuation_flood", 495 },
};

/* One more than is borne: GOAWAY(ENHANCE_YOUR_CALM), and nothing is read any more. */
static void floods_end_the_connection(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < COUNT(floods); kind++) {
        struct h2_peer *p = h2_peer_new_server();
        struct buffer   in = BUFFER_INIT;
        unsigned        count = 0;
        p->deeds[H2_PEER_ON_RESET] = H2_PEER_CLOSE;
        p->deeds[H2_PEER_ON_INVALID] = H2_PEER_ANSWER;
        feed_headers(p, 1, 0, POST);
        if (kind == CLOSED) feed_reset(p, 1, CANCEL);
        if (kind == CONTINUED) h2_put_frame(&in, H2_HEADERS, H2_END_STREAM, 3, S(""));
        while (count < 5000 && codec_is_reusable(p->codec)) {
            put_flood(&in, kind, count++);
            h2_peer_feed(p, &in, 0);
            if (codec_is_reusable(p->codec)) h2_peer_frames(p);
        }
        if (!p->codec->abuse || strcmp(p->codec->abuse, floods[kind].reason) != 0)
            fail_msg("%u: %s", kind, p->codec->abuse);
        if (count != floods[kind].count + 1)
            fail_msg("%s: ended after %u", floods[kind].reason, count);
        assert_non_null(strstr(h2_peer_frames(p), " 11\n"));
        assert_non_null(strstr(h2_peer_events(p), "1 reset peer\n"));
        assert_int_equal(p->idle_count > 0, 1);
        assert_false(codec_wants_input(p->codec));
        h2_peer_free(p);
    }
}

/* Two for each frame that we sent. */
static void flow_control_of_a_download_is_no_flood(void **state)
{
    (void)state;
    struct h2_peer *p = h2_peer_new_server();
    struct buffer   in = BUFFER_INIT;
    unsigned        count = 0;
    feed_headers(p, 1, H2_END_STREAM, GET);
    h2_peer_answer(&p->streams[0], 200, -1);
    for (unsigned i = 0; i < 100; i++) {
        h2_peer_send(&p->streams[0], 10);
        h2_peer_frames(p);
    }
    while (count < 5000 && codec_is_reusable(p->codec)) {
        put_flood(&in, 3, count++);
        h2_peer_feed(p, &in, 0);
    }
    assert_int_equal(count, 1980 + 200 + 1);
    assert_string_equal(p->codec->abuse, "window_update_flood");
    h2_peer_free(p);
}

/* GET with so many fields of 1000 bytes. */
static void feed_large(struct h2_peer *p, uint32_t id, unsigned count)
{
    struct buffer in = BUFFER_INIT, block = BUFFER_INIT;
    char          line[1000];
    memset(line, 'x', sizeof(line));
    memcpy(line, "name ", 5);
    memcpy(line + sizeof(line) - 2, "\n", 2);
    h2_put_block(&block, GET);
    for (unsigned i = 0; i < count; i++) h2_put_block(&block, line);
    size_t first = block.len < 16384 ? block.len : 16384;
    h2_put_frame(&in, H2_HEADERS, H2_END_STREAM, id, slice_make(block.data, first));
    h2_put_frame(&in, H2_CONTINUATION, H2_END_HEADERS, id, slice_from(buffer_slice(&block), first));
    h2_peer_feed(p, &in, 0);
    buffer_reset(&block);
}

/* One that is too large earns an answer; far too large, the end. */
static void a_head_far_too_large(void **state)
{
    (void)state;
    struct h2_peer *p = h2_peer_new_server();
    feed_large(p, 1, 15);
    h2_peer_expect(p, "1 invalid 431 head_too_large\n");
    assert_true(codec_is_reusable(p->codec));
    feed_large(p, 3, 18);
    assert_string_equal(p->codec->abuse, "header_flood");
    h2_peer_expect(p, "1 reset peer\n");
    assert_string_equal(h2_peer_frames(p), "GOAWAY 3 11\n");
    h2_peer_free(p);
}

static void a_client_of_another_protocol(void **state)
{
    (void)state;
    struct h2_peer *p = h2_peer_new(HTTP_SERVER, 65536, 100);
    struct buffer   in = BUFFER_INIT;
    buffer_puts(&in, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    h2_peer_feed(p, &in, 0);
    assert_false(codec_wants_input(p->codec));
    assert_false(codec_is_reusable(p->codec));
    assert_null(p->codec->abuse);
    h2_peer_free(p);
}

static void a_broken_frame(void **state)
{
    (void)state;
    struct h2_peer *p = h2_peer_new_server();
    struct buffer   in = BUFFER_INIT;
    feed_headers(p, 1, 0, POST);
    h2_peer_clear(p);
    h2_put_frame(&in, H2_PING, 0, 0, S("short"));
    h2_peer_feed(p, &in, 0);
    h2_peer_expect(p, "1 reset peer\n");
    assert_string_equal(h2_peer_frames(p), "GOAWAY 1 6\n");
    assert_null(p->codec->abuse);
    h2_peer_free(p);
}

/* A client that does not read its answers is not read from, until it does. */
static void reading_stops_while_answers_wait(void **state)
{
    (void)state;
    struct h2_peer *p = h2_peer_new_server();
    struct buffer   in = BUFFER_INIT, bytes = BUFFER_INIT;
    h2_put_setting(&in, 4, 1 << 20);
    h2_put_word(&in, H2_WINDOW_UPDATE, 0, 1 << 20);
    h2_put_headers(&in, 1, H2_END_STREAM, GET);
    h2_peer_feed(p, &in, 0);
    h2_peer_answer(&p->streams[0], 200, -1);
    h2_peer_send(&p->streams[0], 400000);
    h2_peer_settle(p);
    for (unsigned i = 0; i < 900 && codec_wants_input(p->codec); i++) {
        h2_put_ping(&in, 0, "12345678");
        h2_peer_feed(p, &in, 0);
    }
    assert_false(codec_wants_input(p->codec));
    assert_true(codec_is_reusable(p->codec));
    assert_int_equal(codec_feed(p->codec, "x", 1), 0);
    assert_int_equal(p->want_input_count, 0);
    while (h2_peer_take(p, SIZE_MAX, &bytes)) {}
    assert_true(codec_wants_input(p->codec));
    assert_int_equal(p->want_input_count, 1);
    buffer_reset(&bytes);
    h2_peer_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floods_end_the_connection),
        cmocka_unit_test(flow_control_of_a_download_is_no_flood),
        cmocka_unit_test(a_head_far_too_large),
        cmocka_unit_test(a_client_of_another_protocol),
        cmocka_unit_test(a_broken_frame),
        cmocka_unit_test(reading_stops_while_answers_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
