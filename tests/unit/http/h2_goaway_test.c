/* SPDX-License-Identifier: Apache-2.0
 *
 * GOAWAY over HTTP/2, the peer's and ours: what is served, what may be asked again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "h2_peer.h"

#define GET ":method GET\n:scheme http\n:authority a.example\n:path /\n"
#define POST ":method POST\n:scheme http\n:authority a.example\n:path /\n"
#define HEAD_OF(id, method) #id " head " method " / http://a.example"

enum { NO_ERROR };

static void feed_goaway(struct h2_peer *p, uint32_t last_id, uint32_t code)
{
    struct buffer in = BUFFER_INIT;
    h2_put_goaway(&in, last_id, code);
    h2_peer_feed(p, &in, 0);
}

static void goaway_of_a_server(void **state)
{
    (void)state;
    struct h2_peer *p = h2_peer_new_client();
    for (unsigned i = 0; i < 3; i++) h2_peer_ask(p, HTTP_GET, 0);
    h2_peer_frames(p);
    feed_goaway(p, INT32_MAX, NO_ERROR);
    h2_peer_expect(p, "");
    assert_false(codec_is_reusable(p->codec));
    assert_int_equal(codec_room(p->codec), 0);
    assert_null(codec_open(p->codec));
    feed_goaway(p, 3, NO_ERROR);
    h2_peer_expect(p, "5 reset unprocessed\n");
    h2_peer_close(&p->streams[2]);
    h2_peer_feed_headers(p, 3, H2_END_STREAM, ":status 204\n");
    h2_peer_feed_headers(p, 1, 0, ":status 200\n");
    h2_peer_feed_data(p, 1, H2_END_STREAM, "abc");
    h2_peer_expect(p, "3 head 204\n3 end\n1 head 200 body:-1\n1 body abc\n1 end\n");
    h2_peer_close(&p->streams[0]);
    h2_peer_close(&p->streams[1]);
    assert_int_equal(p->idle_count, 1);
    assert_false(p->was_reusable);
    h2_peer_free(p);
}

/* Nothing of it was done: the connection's end does not make that untrue. */
static void goaway_below_all(void **state)
{
    (void)state;
    struct h2_peer *p = h2_peer_new_client();
    for (unsigned i = 0; i < 2; i++) h2_peer_ask(p, HTTP_POST, -1);
    h2_peer_frames(p);
    feed_goaway(p, 0, NO_ERROR);
    const char *events = h2_peer_events(p); /* in any order */
    assert_non_null(strstr(events, "1 reset unprocessed\n"));
    assert_non_null(strstr(events, "3 reset unprocessed\n"));
    h2_peer_free(p);
}

/* Its request was begun, its head comes too late: nothing was done. */
static void goaway_before_the_head(void **state)
{
    (void)state;
    for (unsigned is_alone = 0; is_alone < 2; is_alone++) {
        struct h2_peer  *p = h2_peer_new_client();
        struct http_head head = {
            .method = HTTP_GET, .method_name = S("GET"), .path = S("/"), .authority = S("a")
        };
        if (!is_alone) h2_peer_ask(p, HTTP_GET, 0);
        h2_peer_frames(p);
        struct http_stream *s = codec_open(p->codec);
        p->codec->owner_ops->on_stream(p->codec, s);
        h2_peer_ask(p, HTTP_GET, 0); /* queued, not sent */
        feed_goaway(p, !is_alone, NO_ERROR);
        http_stream_send_head(s, &head);
        h2_peer_frames(p);
        const char *events = h2_peer_events(p);
        assert_non_null(
            strstr(events, is_alone ? "1 reset unprocessed\n" : "3 reset unprocessed\n"));
        assert_non_null(
            strstr(events, is_alone ? "3 reset unprocessed\n" : "5 reset unprocessed\n"));
        h2_peer_free(p);
    }
}

static void goaway_of_a_client(void **state)
{
    (void)state;
    struct h2_peer *p = h2_peer_new_server();
    h2_peer_feed_headers(p, 1, 0, POST);
    feed_goaway(p, 0, NO_ERROR);
    assert_false(codec_is_reusable(p->codec));
    assert_true(codec_wants_input(p->codec));
    h2_peer_feed_data(p, 1, H2_END_STREAM, "abc");
    h2_peer_expect(p, HEAD_OF(1, "POST") " body:-1\n1 body abc\n1 end\n");
    h2_peer_answer(&p->streams[0], 204, 0);
    h2_peer_close(&p->streams[0]);
    assert_false(p->was_reusable);
    assert_string_equal(h2_peer_frames(p), "HEADERS 1 END_STREAM :status=204\n");
    h2_peer_free(p);
}

#define NOTICE "GOAWAY 2147483647 0\n"

/* A request that was on its way to us is served. */
static void shutdown_in_two_steps(void **state)
{
    (void)state;
    struct h2_peer *p = h2_peer_new_server();
    struct buffer   in = BUFFER_INIT;
    h2_peer_feed_headers(p, 1, H2_END_STREAM, GET);
    codec_shutdown(p->codec);
    codec_shutdown(p->codec);
    assert_string_equal(h2_peer_frames(p), "PING\n" NOTICE);
    assert_true(codec_is_reusable(p->codec));
    h2_peer_feed_headers(p, 3, H2_END_STREAM, GET);
    h2_put_ping(&in, H2_ACK, "\0\0\0\0\0\0\0\0");
    h2_peer_feed(p, &in, 0);
    assert_false(codec_is_reusable(p->codec));
    assert_string_equal(h2_peer_frames(p), "GOAWAY 3 0\n");
    h2_peer_clear(p);
    h2_peer_feed_headers(p, 5, H2_END_STREAM, GET);
    h2_peer_expect(p, "");
    for (unsigned i = 0; i < 2; i++) {
        h2_peer_answer(&p->streams[i], 204, 0);
        h2_peer_close(&p->streams[i]);
    }
    assert_string_equal(h2_peer_frames(p),
                        "HEADERS 1 END_STREAM :status=204\nHEADERS 3 END_STREAM :status=204\n");
    assert_false(codec_wants_input(p->codec));
    h2_peer_free(p);
}

static void shutdown_when_idle(void **state)
{
    (void)state;
    struct h2_peer *p = h2_peer_new_server();
    codec_shutdown(p->codec);
    assert_true(codec_is_reusable(p->codec));
    codec_shutdown(p->codec);
    assert_false(codec_is_reusable(p->codec));
    assert_string_equal(h2_peer_frames(p), "PING\n" NOTICE "GOAWAY 0 0\n");
    h2_peer_free(p);
}

/* A client that never answers the PING is served so many more. */
static void shutdown_unanswered(void **state)
{
    (void)state;
    struct h2_peer *p = h2_peer_new_server();
    codec_shutdown(p->codec);
    h2_peer_frames(p);
    p->deeds[H2_PEER_ON_END] = H2_PEER_ANSWER;
    for (unsigned i = 0; i < 1000; i++) {
        assert_true(codec_is_reusable(p->codec));
        h2_peer_feed_headers(p, 2 * i + 1, H2_END_STREAM, GET);
    }
    assert_false(codec_is_reusable(p->codec));
    assert_int_equal(p->stream_count, 1000);
    assert_non_null(strstr(h2_peer_frames(p), "GOAWAY 1999 0\n"));
    h2_peer_free(p);
}

/* The last answer is framed and not taken yet: it is no less complete for that. */
static void shutdown_with_an_answer_on_its_way(void **state)
{
    (void)state;
    struct h2_peer *p = h2_peer_new_server();
    struct buffer   in = BUFFER_INIT, bytes = BUFFER_INIT;
    h2_peer_feed_headers(p, 1, H2_END_STREAM, GET);
    codec_shutdown(p->codec);
    h2_put_ping(&in, H2_ACK, "\0\0\0\0\0\0\0\0");
    h2_peer_feed(p, &in, 0);
    h2_peer_frames(p);
    h2_peer_clear(p);
    h2_peer_answer(&p->streams[0], 200, -1);
    h2_peer_send(&p->streams[0], 30000);
    h2_peer_end(&p->streams[0]);
    while (h2_peer_take(p, 1000, &bytes)) {}
    h2_peer_expect(p, "");
    assert_int_equal(p->streams[0].sent_bytes, 30000);
    assert_int_equal(p->streams[0].stream->unsent_bytes, 0);
    assert_false(codec_is_reusable(p->codec));
    buffer_reset(&bytes);
    h2_peer_free(p);
}

static void shutdown_of_a_client(void **state)
{
    (void)state;
    struct h2_peer *p = h2_peer_new_client();
    h2_peer_ask(p, HTTP_GET, 0);
    codec_shutdown(p->codec);
    assert_false(codec_is_reusable(p->codec));
    assert_int_equal(codec_room(p->codec), 0);
    h2_peer_frames(p);
    h2_peer_feed_headers(p, 1, H2_END_STREAM, ":status 204\n");
    h2_peer_expect(p, "1 head 204\n1 end\n");
    h2_peer_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goaway_of_a_server),
        cmocka_unit_test(goaway_below_all),
        cmocka_unit_test(goaway_before_the_head),
        cmocka_unit_test(goaway_of_a_client),
        cmocka_unit_test(shutdown_in_two_steps),
        cmocka_unit_test(shutdown_when_idle),
        cmocka_unit_test(shutdown_unanswered),
        cmocka_unit_test(shutdown_with_an_answer_on_its_way),
        cmocka_unit_test(shutdown_of_a_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
