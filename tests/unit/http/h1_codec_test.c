/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP/1 codec's behaviour: what is written, when a connection may be used
 * again, how streams end, when input is wanted.
 */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "h1_peer.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define DATE "Date: Sat, 21 Nov 2026 07:00:00 GMT\r\n"
#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

static void answer(struct h1_peer *p, unsigned status, int64_t body_bytes)
{
    struct http_head head = { .status = (uint16_t)status, .body_bytes = body_bytes };
    http_stream_send_head(p->stream, &head);
}

/* ---- server: framing of responses ---- */

struct reply {
    const char *what;
    const char *request;
    unsigned    status;
    int64_t     body_bytes;
    const char *body; /* NULL: the head ends the message */
    const char *output;
    bool        is_reusable;
};

static const struct reply replies[] = {
    { "length", GET, 200, 2, "hi", "HTTP/1.1 200 OK\r\n" DATE "Content-Length: 2\r\n\r\nhi", true },
    { "empty", GET, 200, 0, NULL, "HTTP/1.1 200 OK\r\n" DATE "Content-Length: 0\r\n\r\n", true },
    { "chunked", GET, 200, -1, "hello",
      "HTTP/1.1 200 OK\r\n" DATE "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
      true },
    { "chunked and empty", GET, 200, -1, "",
      "HTTP/1.1 200 OK\r\n" DATE "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", true },
    { "unregistered status", GET, 299, 0, NULL,
      "HTTP/1.1 299 \r\n" DATE "Content-Length: 0\r\n\r\n", true },
    { "204", GET, 204, 0, NULL, "HTTP/1.1 204 No Content\r\n" DATE "\r\n", true },
    { "204 with a length given", GET, 204, 7, NULL, "HTTP/1.1 204 No Content\r\n" DATE "\r\n",
      true },
    { "304", GET, 304, -1, NULL, "HTTP/1.1 304 Not Modified\r\n" DATE "\r\n", true },
    { "304 with length", GET, 304, 9, NULL,
      "HTTP/1.1 304 Not Modified\r\n" DATE "Content-Length: 9\r\n\r\n", true },
    { "HEAD", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 200, 9, NULL,
      "HTTP/1.1 200 OK\r\n" DATE "Content-Length: 9\r\n\r\n", true },
    { "HEAD, empty", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 200, 0, NULL,
      "HTTP/1.1 200 OK\r\n" DATE "Content-Length: 0\r\n\r\n", true },
    { "HEAD, unknown", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 200, -1, NULL,
      "HTTP/1.1 200 OK\r\n" DATE "\r\n", true },
    { "close asked for", "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n", 200, 0, NULL,
      "HTTP/1.1 200 OK\r\n" DATE "Content-Length: 0\r\nConnection: close\r\n\r\n", false },
    { "1.0", "GET / HTTP/1.0\r\n\r\n", 200, 2, "hi",
      "HTTP/1.1 200 OK\r\n" DATE "Content-Length: 2\r\nConnection: close\r\n\r\nhi", false },
    { "1.0 kept", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, 2, "hi",
      "HTTP/1.1 200 OK\r\n" DATE "Content-Length: 2\r\nConnection: keep-alive\r\n\r\nhi", true },
    { "1.0 until close", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, -1, "hi",
      "HTTP/1.1 200 OK\r\n" DATE "Connection: close\r\n\r\nhi", false },
    { "1.0 keep-alive and close", "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", 200, 0,
      NULL, "HTTP/1.1 200 OK\r\n" DATE "Content-Length: 0\r\nConnection: close\r\n\r\n", false },
    { "request not complete", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe", 413, 0,
      NULL,
      "HTTP/1.1 413 Content Too Large\r\n" DATE "Content-Length: 0\r\nConnection: close\r\n\r\n",
      false },
    { "request complete", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhe", 413, 0, NULL,
      "HTTP/1.1 413 Content Too Large\r\n" DATE "Content-Length: 0\r\n\r\n", true },
};

static void writes_responses(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(replies); i++) {
        const struct reply *r = &replies[i];
        struct h1_peer      p;
        h1_peer_init(&p, HTTP_SERVER);
        h1_peer_feed(&p, slice_of(r->request), 0);
        answer(&p, r->status, r->body_bytes);
        if (r->body) {
            http_stream_send_body(p.stream, slice_of(r->body));
            http_stream_send_end(p.stream, NULL);
        }
        http_stream_close(p.stream);
        if (strcmp(h1_peer_output(&p), r->output) != 0)
            fail_msg("%s:\n%s-- expected --\n%s", r->what, h1_peer_output(&p), r->output);
        if (codec_is_reusable(p.codec) != r->is_reusable) fail_msg("%s: reusable", r->what);
        assert_int_equal(codec_wants_input(p.codec), r->is_reusable);
        assert_false(p.codec->is_broken);
        h1_peer_reset(&p);
    }
}

static void writes_fields(void **state)
{
    (void)state;
    struct h1_peer p;
    h1_peer_init(&p, HTTP_SERVER);
    h1_peer_feed(&p, S(GET), 0);
    struct http_head head = { .status = 200, .reason = S("Fine"), .body_bytes = 0 };
    http_fields_add_named(&head.fields, &p.arena, S("dAtE"), S("today"));
    http_fields_add_named(&head.fields, &p.arena, S("X-A"), S("1"));
    http_fields_add_named(&head.fields, &p.arena, S("Server"), S("s"));
    http_fields_add_named(&head.fields, &p.arena, S("Connection"), S("bogus"));
    http_fields_add_named(&head.fields, &p.arena, S("Content-Length"), S("77"));
    http_fields_add_named(&head.fields, &p.arena, S("Empty"), S(""));
    http_fields_drop(&head.fields, FIELD_SERVER);
    http_stream_send_head(p.stream, &head);
    http_stream_close(p.stream);
    assert_string_equal(h1_peer_output(&p), "HTTP/1.1 200 Fine\r\ndAtE: today\r\nX-A: 1\r\n"
                                            "Empty: \r\nContent-Length: 0\r\n\r\n");
    h1_peer_reset(&p);
}

/* Fields that lie in memory as lines are copied as such, others not. */
static void writes_fields_wherever_they_lie(void **state)
{
    (void)state;
    static const char memory[] = "A: 1\r\nB: 2\r\nC:\t3\r\nD: 4xyE: 5\r\nF: 6\r\nG: 7";
    static const struct {
        size_t name, value;
    } places[] = { { 0, 3 }, { 6, 9 }, { 12, 15 }, { 18, 21 }, { 24, 27 }, { 30, 33 }, { 36, 39 } };
    struct h1_peer p;
    h1_peer_init(&p, HTTP_SERVER);
    h1_peer_feed(&p, S(GET), 0);
    struct http_head head = { .status = 200, .body_bytes = 0 };
    for (size_t i = 0; i < COUNT(places); i++)
        http_fields_add(&head.fields, &p.arena, i == 5 ? FIELD_SERVER : FIELD_OTHER,
                        slice_make(memory + places[i].name, 1),
                        slice_make(memory + places[i].value, 1));
    http_fields_drop(&head.fields, FIELD_SERVER);
    http_stream_send_head(p.stream, &head);
    assert_string_equal(h1_peer_output(&p),
                        "HTTP/1.1 200 OK\r\n" DATE "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n"
                        "E: 5\r\nG: 7\r\nContent-Length: 0\r\n\r\n");
    h1_peer_reset(&p);
}

/* A head that is larger than a block of the output queue. */
static void writes_large_heads(void **state)
{
    (void)state;
    struct h1_peer p;
    h1_peer_init(&p, HTTP_SERVER);
    h1_peer_feed(&p, S(GET), 0);
    char value[20000];
    memset(value, 'v', sizeof(value));
    struct http_head head = { .status = 200, .body_bytes = 0 };
    http_fields_add_named(&head.fields, &p.arena, S("A"), slice_make(value, sizeof(value)));
    http_stream_send_head(p.stream, &head);
    h1_peer_output(&p);
    assert_int_equal(p.output.len, sizeof(value) + strlen("HTTP/1.1 200 OK\r\n" DATE
                                                          "A: \r\nContent-Length: 0\r\n\r\n"));
    h1_peer_reset(&p);
}

static void sends_trailers_to_who_takes_them(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        const char *end;
    } cases[] = {
        { GET, "2\r\nhi\r\n0\r\n\r\n" },
        { "GET / HTTP/1.1\r\nHost: a\r\nTE: gzip, trailers\r\n\r\n",
          "2\r\nhi\r\n0\r\nA: b\r\n\r\n" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct h1_peer p;
        h1_peer_init(&p, HTTP_SERVER);
        h1_peer_feed(&p, slice_of(cases[i].request), 0);
        answer(&p, 200, -1);
        http_stream_send_body(p.stream, S("hi"));
        struct http_fields trailers = { 0 };
        http_fields_add_named(&trailers, &p.arena, S("A"), S("b"));
        http_stream_send_end(p.stream, &trailers);
        const char *output = h1_peer_output(&p);
        assert_non_null(strstr(output, "\r\n\r\n"));
        assert_string_equal(strstr(output, "\r\n\r\n") + 4, cases[i].end);
        h1_peer_reset(&p);
    }
}

static void informational_goes_where_it_is_understood(void **state)
{
    (void)state;
    struct http_head go_on = { .status = 100 };
    struct h1_peer   p;
    h1_peer_init(&p, HTTP_SERVER);
    h1_peer_feed(
        &p, S("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"), 0);
    http_stream_send_informational(p.stream, &go_on);
    assert_string_equal(h1_peer_output(&p), "HTTP/1.1 100 Continue\r\n\r\n");
    h1_peer_feed(&p, S("hi"), 0);
    answer(&p, 204, 0);
    h1_peer_clear(&p);
    http_stream_send_informational(p.stream, &go_on);
    assert_string_equal(h1_peer_output(&p), "HTTP/1.1 204 No Content\r\n" DATE "\r\n");
    assert_true(codec_is_reusable(p.codec));
    h1_peer_reset(&p);

    h1_peer_init(&p, HTTP_SERVER);
    h1_peer_feed(&p, S("PUT / HTTP/1.0\r\nContent-Length: 2\r\n\r\n"), 0);
    http_stream_send_informational(p.stream, &go_on);
    assert_string_equal(h1_peer_output(&p), "");
    h1_peer_reset(&p);
}

/* ---- client: requests ---- */

static struct http_head request(enum http_method method, int64_t body_bytes)
{
    return (struct http_head){
        .method = method,
        .method_name = http_method_name(method),
        .path = S("/a"),
        .authority = S("h:8080"),
        .body_bytes = body_bytes,
    };
}

static void open_client(struct h1_peer *p)
{
    h1_peer_init(p, HTTP_CLIENT);
    p->stream = codec_open(p->codec);
    p->codec->owner_ops->on_stream(p->codec, p->stream);
}

static void expect_request(const struct http_head *head, const char *output)
{
    struct h1_peer p;
    open_client(&p);
    http_stream_send_head(p.stream, head);
    assert_string_equal(h1_peer_output(&p), output);
    h1_peer_reset(&p);
}

static void writes_requests(void **state)
{
    (void)state;
    struct http_head head = request(HTTP_GET, 0);
    expect_request(&head, "GET /a HTTP/1.1\r\nHost: h:8080\r\n\r\n");
    head.has_query = true;
    expect_request(&head, "GET /a? HTTP/1.1\r\nHost: h:8080\r\n\r\n");
    head.query = S("b=c");
    head.accepts_trailers = true;
    expect_request(&head, "GET /a?b=c HTTP/1.1\r\nHost: h:8080\r\n"
                          "Connection: te\r\nTE: trailers\r\n\r\n");
    head = request(HTTP_POST, 0);
    expect_request(&head, "POST /a HTTP/1.1\r\nHost: h:8080\r\nContent-Length: 0\r\n\r\n");
    head = request(HTTP_PUT, 7);
    head.expects_continue = true;
    expect_request(&head, "PUT /a HTTP/1.1\r\nHost: h:8080\r\nExpect: 100-continue\r\n"
                          "Content-Length: 7\r\n\r\n");
    head = request(HTTP_DELETE, -1);
    expect_request(&head,
                   "DELETE /a HTTP/1.1\r\nHost: h:8080\r\nTransfer-Encoding: chunked\r\n\r\n");
    head = request(HTTP_OPTIONS, 0);
    head.path = S("*");
    expect_request(&head, "OPTIONS * HTTP/1.1\r\nHost: h:8080\r\n\r\n");
    head = request(HTTP_METHOD_OTHER, 0);
    head.method_name = S("BREW");
    expect_request(&head, "BREW /a HTTP/1.1\r\nHost: h:8080\r\n\r\n");
}

static void a_client_connection_carries_many_requests(void **state)
{
    (void)state;
    struct h1_peer p;
    h1_peer_init(&p, HTTP_CLIENT);
    for (int i = 0; i < 3; i++) {
        h1_peer_ask(&p, HTTP_GET);
        assert_int_equal(codec_room(p.codec), 0);
        assert_null(codec_open(p.codec));
        h1_peer_output(&p);
        h1_peer_feed(&p, S("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"), 1);
        assert_string_equal(h1_peer_events(&p), "head 200 [OK] HTTP/1.1 body:2\nbody hi\nend\n");
        h1_peer_clear(&p);
        http_stream_close(p.stream);
        assert_int_equal(codec_room(p.codec), 1);
        assert_int_equal(p.idle_count, i + 1);
    }
    h1_peer_reset(&p);
}

static void a_reply_before_the_request_is_complete(void **state)
{
    (void)state;
    struct h1_peer p;
    open_client(&p);
    struct http_head head = request(HTTP_POST, 10);
    http_stream_send_head(p.stream, &head);
    http_stream_send_body(p.stream, S("hello"));
    h1_peer_feed(&p, S("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"), 0);
    assert_string_equal(h1_peer_events(&p), "head 413 [Too Large] HTTP/1.1 body:0\nend\n");
    assert_false(codec_is_reusable(p.codec));
    http_stream_close(p.stream);
    assert_int_equal(codec_room(p.codec), 0);
    assert_true(p.codec->is_broken);
    h1_peer_reset(&p);
}

static void let_go_before_the_response_is_complete(void **state)
{
    (void)state;
    struct h1_peer p;
    h1_peer_init(&p, HTTP_CLIENT);
    h1_peer_ask(&p, HTTP_GET);
    h1_peer_feed(&p, S("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe"), 0);
    http_stream_close(p.stream);
    assert_true(p.codec->is_broken);
    assert_false(codec_is_reusable(p.codec));
    assert_int_equal(codec_room(p.codec), 0);
    h1_peer_reset(&p);
}

/* ---- ends of streams ---- */

static void a_response_cut_short_breaks_the_connection(void **state)
{
    (void)state;
    struct h1_peer p;
    h1_peer_init(&p, HTTP_SERVER);
    h1_peer_feed(&p, S(GET), 0);
    answer(&p, 200, 5);
    http_stream_send_body(p.stream, S("hell"));
    http_stream_send_end(p.stream, NULL);
    assert_true(p.codec->is_broken);
    http_stream_send_body(p.stream, S("o"));
    http_stream_close(p.stream);
    assert_false(codec_is_reusable(p.codec));
    h1_peer_reset(&p);

    h1_peer_init(&p, HTTP_SERVER);
    h1_peer_feed(&p, S(GET), 0);
    answer(&p, 200, -1);
    http_stream_send_body(p.stream, S("hell"));
    http_stream_close(p.stream);
    assert_true(p.codec->is_broken);
    assert_null(strstr(h1_peer_output(&p), "0\r\n\r\n"));
    h1_peer_reset(&p);

    h1_peer_init(&p, HTTP_SERVER);
    h1_peer_feed(&p, S("GET / HTTP/1.0\r\n\r\n"), 0);
    answer(&p, 200, -1);
    http_stream_send_body(p.stream, S("hell"));
    http_stream_reset(p.stream);
    http_stream_close(p.stream);
    assert_true(p.codec->is_broken);
    h1_peer_reset(&p);
}

static void a_request_cut_short(void **state)
{
    (void)state;
    static const char *const heads[] = {
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n",
    };
    for (size_t i = 0; i < COUNT(heads); i++) {
        for (int is_abort = 0; is_abort < 2; is_abort++) {
            struct h1_peer p;
            h1_peer_init(&p, HTTP_SERVER);
            h1_peer_feed(&p, slice_of(heads[i]), 0);
            h1_peer_feed(&p, S("hell"), 0);
            h1_peer_events(&p);
            h1_peer_clear(&p);
            if (is_abort)
                codec_feed_abort(p.codec);
            else
                codec_feed_eof(p.codec);
            assert_string_equal(h1_peer_events(&p), "reset truncated\n");
            assert_false(codec_is_reusable(p.codec));
            http_stream_close(p.stream);
            h1_peer_reset(&p);
        }
    }
}

static void a_client_that_shuts_its_side_is_still_answered(void **state)
{
    (void)state;
    struct h1_peer p;
    h1_peer_init(&p, HTTP_SERVER);
    h1_peer_feed(&p, S(GET), 0);
    h1_peer_clear(&p);
    codec_feed_eof(p.codec);
    assert_string_equal(h1_peer_events(&p), "");
    answer(&p, 204, 0);
    assert_string_equal(h1_peer_output(&p),
                        "HTTP/1.1 204 No Content\r\n" DATE "Connection: close\r\n\r\n");
    http_stream_close(p.stream);
    assert_false(codec_is_reusable(p.codec));
    h1_peer_reset(&p);

    h1_peer_init(&p, HTTP_SERVER);
    h1_peer_feed(&p, S(GET), 0);
    h1_peer_clear(&p);
    codec_feed_abort(p.codec);
    assert_string_equal(h1_peer_events(&p), "reset peer\n");
    http_stream_close(p.stream);
    h1_peer_reset(&p);
}

static void an_end_between_requests(void **state)
{
    (void)state;
    static const char *const begun[] = { "", "GET / HT", "\r" };
    for (size_t i = 0; i < COUNT(begun); i++) {
        struct h1_peer p;
        h1_peer_init(&p, HTTP_SERVER);
        h1_peer_feed(&p, slice_of(begun[i]), 0);
        codec_feed_eof(p.codec);
        assert_string_equal(h1_peer_events(&p), "");
        assert_false(codec_is_reusable(p.codec));
        assert_false(codec_wants_input(p.codec));
        h1_peer_reset(&p);
    }
}

static void a_head_that_takes_too_long(void **state)
{
    (void)state;
    struct h1_peer p;
    h1_peer_init(&p, HTTP_SERVER);
    codec_expire(p.codec);
    assert_string_equal(h1_peer_events(&p), "");
    assert_true(codec_is_reusable(p.codec));
    h1_peer_feed(&p, S("HEAD / HTTP/1.1\r\nHo"), 0);
    codec_expire(p.codec);
    assert_string_equal(h1_peer_events(&p), "invalid 408 header_timeout\n");
    answer(&p, 408, 0);
    http_stream_close(p.stream);
    assert_string_equal(h1_peer_output(&p), "HTTP/1.1 408 Request Timeout\r\n" DATE
                                            "Content-Length: 0\r\nConnection: close\r\n\r\n");
    assert_false(codec_is_reusable(p.codec));
    h1_peer_reset(&p);
}

static void a_malformed_head_of_head(void **state)
{
    (void)state;
    struct h1_peer p;
    h1_peer_init(&p, HTTP_SERVER);
    h1_peer_feed(&p, S("HEAD / HTTP/1.1\r\nHost: a\r\nbad\r\n\r\n"), 0);
    answer(&p, 400, 4);
    http_stream_send_body(p.stream, S("page"));
    http_stream_send_end(p.stream, NULL);
    assert_int_equal(p.stream->unsent_bytes, 0);
    http_stream_close(p.stream);
    assert_string_equal(h1_peer_output(&p), "HTTP/1.1 400 Bad Request\r\n" DATE
                                            "Content-Length: 4\r\nConnection: close\r\n\r\n");
    assert_false(p.codec->is_broken);
    h1_peer_reset(&p);
}

static void a_client_that_leaves_before_its_400(void **state)
{
    (void)state;
    struct h1_peer p;
    h1_peer_init(&p, HTTP_SERVER);
    h1_peer_feed(&p, S("BAD\r\n\r\n"), 0);
    h1_peer_clear(&p);
    codec_feed_eof(p.codec);
    assert_string_equal(h1_peer_events(&p), "");
    codec_feed_abort(p.codec);
    assert_string_equal(h1_peer_events(&p), "reset peer\n");
    http_stream_close(p.stream);
    h1_peer_reset(&p);
}

/* ---- when input is wanted ---- */

static void pipelined_requests_wait_their_turn(void **state)
{
    (void)state;
    struct h1_peer p;
    h1_peer_init(&p, HTTP_SERVER);
    struct slice input = S(GET "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx" GET);
    size_t       at = h1_peer_feed(&p, input, 0);
    assert_int_equal(at, strlen(GET));
    assert_false(codec_wants_input(p.codec));
    assert_int_equal(h1_peer_feed(&p, slice_from(input, at), 0), 0);
    assert_string_equal(h1_peer_events(&p), "head GET / HTTP/1.1 @a body:0\nend\n");
    answer(&p, 204, 0);
    assert_int_equal(p.want_input_count, 0);
    http_stream_close(p.stream);
    assert_int_equal(p.want_input_count, 1);
    assert_true(codec_wants_input(p.codec));
    h1_peer_clear(&p);
    at += h1_peer_feed(&p, slice_from(input, at), 0);
    assert_string_equal(h1_peer_events(&p), "head POST /2 HTTP/1.1 @a body:1\nbody x\nend\n");
    answer(&p, 204, 0);
    http_stream_close(p.stream);
    h1_peer_clear(&p);
    at += h1_peer_feed(&p, slice_from(input, at), 0);
    assert_int_equal(at, input.len);
    assert_string_equal(h1_peer_events(&p), "head GET / HTTP/1.1 @a body:0\nend\n");
    h1_peer_reset(&p);
}

/* Answered and closed from within on_head: without going deeper each time. Such answers
 * are complete at once, sent or not; while many are unsent, no request is taken. */
static void answers_from_within_events(void **state)
{
    (void)state;
    struct h1_peer p;
    h1_peer_init(&p, HTTP_SERVER);
    p.answers_heads = true;
    struct buffer b = BUFFER_INIT;
    for (int i = 0; i < 1000; i++) buffer_puts(&b, GET);
    size_t   at = 0;
    unsigned rounds = 0;
    while ((at += codec_feed(p.codec, b.data + at, b.len - at)) < b.len) {
        assert_in_range(p.codec->out.bytes, 16384, 16384 + 200);
        assert_false(codec_wants_input(p.codec));
        assert_int_equal(codec_feed(p.codec, b.data + at, b.len - at), 0);
        assert_int_equal(p.want_input_count, rounds);
        h1_peer_output(&p);
        assert_int_equal(p.want_input_count, ++rounds);
        assert_true(codec_wants_input(p.codec));
    }
    assert_in_range(rounds, 3, 10);
    assert_int_equal(p.idle_count, 1000);
    assert_true(codec_is_reusable(p.codec));
    h1_peer_output(&p);
    assert_int_equal(p.output.len, 1000 * strlen("HTTP/1.1 204 No Content\r\n" DATE "\r\n"));
    buffer_reset(&b);
    h1_peer_reset(&p);
}

static void is_freed_from_within_an_event(void **state)
{
    (void)state;
    struct h1_peer p;
    h1_peer_init(&p, HTTP_CLIENT);
    h1_peer_ask(&p, HTTP_GET);
    p.closes_at_end = p.frees_at_end = true;
    h1_peer_feed(&p, S("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"), 0);
    assert_null(p.codec);
    h1_peer_reset(&p);

    h1_peer_init(&p, HTTP_SERVER);
    p.frees_at_end = true;
    h1_peer_feed(&p, S(GET GET), 0);
    assert_null(p.codec);
    h1_peer_reset(&p);
}

static void a_full_window_stops_the_reading(void **state)
{
    (void)state;
    struct h1_peer p;
    h1_peer_init(&p, HTTP_SERVER);
    p.keeps_window = true;
    p.limits.window_bytes = 100;
    struct buffer b = BUFFER_INIT;
    memset(buffer_reserve(&b, 1000), 'x', 1000);
    b.len = 1000;
    h1_peer_feed(&p, S("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"), 0);
    assert_int_equal(h1_peer_feed(&p, buffer_slice(&b), 50), 150);
    assert_false(codec_wants_input(p.codec));
    http_stream_consumed(p.stream, 60);
    assert_int_equal(p.want_input_count, 0);
    assert_false(codec_wants_input(p.codec));
    http_stream_consumed(p.stream, 40);
    assert_int_equal(p.want_input_count, 1);
    assert_true(codec_wants_input(p.codec));
    http_stream_consumed(p.stream, 50);
    assert_int_equal(p.want_input_count, 1);
    /* One feed is taken whole; the next one waits. */
    assert_int_equal(h1_peer_feed(&p, slice_from(buffer_slice(&b), 150), 0), 850);
    assert_false(codec_wants_input(p.codec));
    http_stream_consumed(p.stream, 850);
    assert_int_equal(p.want_input_count, 1);
    answer(&p, 204, 0);
    http_stream_close(p.stream);
    assert_true(codec_wants_input(p.codec));
    buffer_reset(&b);
    h1_peer_reset(&p);
}

/* ---- output ---- */

static void tells_what_has_left(void **state)
{
    (void)state;
    struct h1_peer p;
    h1_peer_init(&p, HTTP_SERVER);
    h1_peer_feed(&p, S(GET), 0);
    answer(&p, 200, 3000);
    size_t head_bytes = p.codec->out.bytes;
    char   data[2000];
    memset(data, 'd', sizeof(data));
    http_stream_send_body(p.stream, slice_make(data, sizeof(data)));
    assert_int_equal(p.codec->out.borrowed_bytes, sizeof(data));
    assert_int_equal(p.stream->unsent_bytes, 2000);
    outq_consume(&p.codec->out, head_bytes);
    codec_sent(p.codec);
    assert_int_equal(p.sent_bytes, 0);
    outq_consume(&p.codec->out, 1500);
    codec_sent(p.codec);
    assert_int_equal(p.sent_bytes, 1500);
    http_stream_send_body(p.stream, slice_make(data, 500));
    http_stream_send_body(p.stream, slice_make(data, 500));
    assert_int_equal(p.codec->out.borrowed_bytes, 500);
    http_stream_send_end(p.stream, NULL);
    outq_consume(&p.codec->out, p.codec->out.bytes);
    codec_sent(p.codec);
    assert_int_equal(p.sent_bytes, 3000);
    assert_int_equal(p.stream->unsent_bytes, 0);
    http_stream_close(p.stream);
    assert_true(codec_is_reusable(p.codec));
    h1_peer_reset(&p);
}

static void shuts_down_in_order(void **state)
{
    (void)state;
    struct h1_peer p;
    h1_peer_init(&p, HTTP_SERVER);
    codec_shutdown(p.codec);
    assert_false(codec_is_reusable(p.codec));
    assert_false(codec_wants_input(p.codec));
    h1_peer_reset(&p);

    h1_peer_init(&p, HTTP_SERVER);
    h1_peer_feed(&p, S(GET), 0);
    codec_shutdown(p.codec);
    answer(&p, 204, 0);
    http_stream_close(p.stream);
    assert_non_null(strstr(h1_peer_output(&p), "Connection: close"));
    assert_false(codec_is_reusable(p.codec));
    h1_peer_reset(&p);

    /* A request of which a part has come is still served. */
    h1_peer_init(&p, HTTP_SERVER);
    h1_peer_feed(&p, S("GET / HT"), 0);
    codec_shutdown(p.codec);
    assert_true(codec_is_reusable(p.codec));
    h1_peer_feed(&p, S("TP/1.1\r\nHost: a\r\n\r\n"), 0);
    answer(&p, 204, 0);
    http_stream_close(p.stream);
    assert_non_null(strstr(h1_peer_output(&p), "Connection: close"));
    assert_false(codec_is_reusable(p.codec));
    h1_peer_reset(&p);

    h1_peer_init(&p, HTTP_CLIENT);
    codec_shutdown(p.codec);
    assert_int_equal(codec_room(p.codec), 0);
    h1_peer_reset(&p);
}

static void an_idle_codec_is_small(void **state)
{
    (void)state;
    struct h1_peer p;
    h1_peer_init(&p, HTTP_SERVER);
    h1_peer_feed(&p, S("GET / HTTP/1.1\r\n"), 1);
    h1_peer_feed(&p, S("Host: a\r\n\r\n"), 1);
    answer(&p, 204, 0);
    http_stream_close(p.stream);
    h1_peer_output(&p);
    assert_null(p.codec->out.first);
    assert_in_range(malloc_usable_size(p.codec), 1, 168);
    h1_peer_reset(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_responses),
        cmocka_unit_test(writes_fields),
        cmocka_unit_test(writes_fields_wherever_they_lie),
        cmocka_unit_test(writes_large_heads),
        cmocka_unit_test(sends_trailers_to_who_takes_them),
        cmocka_unit_test(informational_goes_where_it_is_understood),
        cmocka_unit_test(writes_requests),
        cmocka_unit_test(a_client_connection_carries_many_requests),
        cmocka_unit_test(a_reply_before_the_request_is_complete),
        cmocka_unit_test(let_go_before_the_response_is_complete),
        cmocka_unit_test(a_response_cut_short_breaks_the_connection),
        cmocka_unit_test(a_request_cut_short),
        cmocka_unit_test(a_client_that_shuts_its_side_is_still_answered),
        cmocka_unit_test(an_end_between_requests),
        cmocka_unit_test(a_head_that_takes_too_long),
        cmocka_unit_test(a_malformed_head_of_head),
        cmocka_unit_test(a_client_that_leaves_before_its_400),
        cmocka_unit_test(pipelined_requests_wait_their_turn),
        cmocka_unit_test(answers_from_within_events),
        cmocka_unit_test(is_freed_from_within_an_event),
        cmocka_unit_test(a_full_window_stops_the_reading),
        cmocka_unit_test(tells_what_has_left),
        cmocka_unit_test(shuts_down_in_order),
        cmocka_unit_test(an_idle_codec_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
