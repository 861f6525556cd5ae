/* SPDX-License-Identifier: Apache-2.0
 *
 * What the server codec understands and what it refuses, whole and cut at every
 * place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "h1_peer.h"
#include "h1_request_cases.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* In pieces of `step` bytes; `first`: the length of the first piece, or 0. */
static void expect_events(const struct h1_case *c, size_t first, size_t step)
{
    struct h1_peer p;
    h1_peer_init(&p, HTTP_SERVER);
    h1_peer_feed(&p, slice_make(c->input.data, first), 0);
    h1_peer_feed(&p, slice_from(c->input, first), step);
    const char *events = h1_peer_events(&p);
    if (strcmp(events, c->events) != 0)
        fail_msg("%s (cut after %zu, then every %zu):\n%s-- expected --\n%s", c->what, first, step,
                 events, c->events);
    h1_peer_reset(&p);
}

/* A fault may be seen before the input is all there, but it is the same one. */
static void expect_all_ways(const struct h1_case *cases, size_t count)
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
    expect_all_ways(bad_requests, COUNT(bad_requests));
}

static void refuses_chunks(void **state)
{
    (void)state;
    expect_all_ways(bad_chunks, COUNT(bad_chunks));
}

static void understands(void **state)
{
    (void)state;
    expect_all_ways(good_requests, COUNT(good_requests));
}

static void a_refused_connection_takes_nothing_more(void **state)
{
    (void)state;
    struct h1_peer p;
    h1_peer_init(&p, HTTP_SERVER);
    struct slice input = S("GET / HTTP/2.0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    h1_peer_feed(&p, input, 0);
    assert_string_equal(h1_peer_events(&p), "invalid 505 unsupported_version\n");
    assert_int_equal(h1_peer_feed(&p, input, 0), 0);
    assert_false(codec_wants_input(p.codec));
    assert_false(codec_is_reusable(p.codec));
    struct http_head answer = { .status = 505, .body_bytes = 2 };
    http_stream_send_head(p.stream, &answer);
    http_stream_send_body(p.stream, S("no"));
    http_stream_send_end(p.stream, NULL);
    http_stream_close(p.stream);
    assert_string_equal(h1_peer_output(&p), "HTTP/1.1 505 HTTP Version Not Supported\r\n"
                                            "Date: Sat, 21 Nov 2026 07:00:00 GMT\r\n"
                                            "Content-Length: 2\r\nConnection: close\r\n\r\nno");
    assert_false(p.codec->is_broken);
    assert_false(codec_is_reusable(p.codec));
    assert_int_equal(p.idle_count, 1);
    assert_int_equal(p.want_input_count, 0);
    h1_peer_reset(&p);
}

/* ---- bounds ---- */

static void put_many(struct buffer *b, char c, size_t count)
{
    memset(buffer_reserve(b, count), c, count);
    b->len += count;
}

static const char *events_of(struct h1_peer *p, struct buffer *input, size_t step)
{
    h1_peer_reset(p);
    h1_peer_init(p, HTTP_SERVER);
    h1_peer_feed(p, buffer_slice(input), step);
    return h1_peer_events(p);
}

static void expect_bound(struct buffer *input, const char *events, bool is_prefix)
{
    static const size_t steps[] = { 0, 1, 7, 1000, 4096 };
    for (size_t i = 0; i < COUNT(steps); i++) {
        struct h1_peer p;
        h1_peer_init(&p, HTTP_SERVER);
        const char *got = events_of(&p, input, steps[i]);
        if (is_prefix)
            assert_memory_equal(got, events, strlen(events));
        else
            assert_string_equal(got, events);
        h1_peer_reset(&p);
    }
    buffer_reset(input);
}

static void bounds_the_request_line(void **state)
{
    (void)state;
    struct buffer b = BUFFER_INIT;
    buffer_puts(&b, "GET /");
    put_many(&b, 'a', 8192 - strlen("GET / HTTP/1.1"));
    buffer_puts(&b, " HTTP/1.1\r\nHost: a\r\n\r\n");
    expect_bound(&b, "head GET /aaa", true);

    buffer_puts(&b, "GET /");
    put_many(&b, 'a', 8192 - strlen("GET / HTTP/1.1") + 1);
    buffer_puts(&b, " HTTP/1.1\r\nHost: a\r\n\r\n");
    expect_bound(&b, "invalid 414 request_line_too_long\n", false);

    buffer_puts(&b, "GET /");
    put_many(&b, 'a', 100000);
    expect_bound(&b, "invalid 414 request_line_too_long\n", false);
}

static void bounds_the_head(void **state)
{
    (void)state;
    struct buffer b = BUFFER_INIT;
    buffer_puts(&b, "GET / HTTP/1.1\r\nHost: a\r\nA: ");
    put_many(&b, 'a', 16384 - b.len - 4);
    buffer_puts(&b, "\r\n\r\n");
    expect_bound(&b, "head GET / HTTP/1.1 @a body:0 A=aaa", true);

    buffer_puts(&b, "GET / HTTP/1.1\r\nHost: a\r\nA: ");
    put_many(&b, 'a', 16384 - b.len - 3);
    buffer_puts(&b, "\r\n\r\n");
    expect_bound(&b, "invalid 431 head_too_large\n", false);

    buffer_puts(&b, "GET / HTTP/1.1\r\nHost: a\r\nA: ");
    put_many(&b, 'a', 200000);
    expect_bound(&b, "invalid 431 head_too_large\n", false);
}

static void bounds_the_fields(void **state)
{
    (void)state;
    struct buffer b = BUFFER_INIT;
    buffer_puts(&b, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 99; i++) buffer_printf(&b, "a%d: b\r\n", i);
    buffer_puts(&b, "\r\n");
    expect_bound(&b, "head GET / HTTP/1.1 @a body:0 a0=b a1=b", true);

    buffer_puts(&b, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 100; i++) buffer_printf(&b, "a%d: b\r\n", i);
    buffer_puts(&b, "\r\n");
    expect_bound(&b, "invalid 431 too_many_fields\n", false);
}

static void bounds_extensions_of_a_body(void **state)
{
    (void)state;
    struct buffer b = BUFFER_INIT;
    buffer_puts(&b, CHUNKED "1;");
    put_many(&b, 'x', 254);
    buffer_puts(&b, "\r\na\r\n0\r\n\r\n");
    expect_bound(&b, CHUNKED_HEAD "body a\nend\n", false);

    buffer_puts(&b, CHUNKED "1;");
    put_many(&b, 'x', 300);
    buffer_puts(&b, "\r\na\r\n0\r\n\r\n");
    expect_bound(&b, CHUNKED_HEAD "invalid 400 chunk_extension_too_large\n", false);

    buffer_puts(&b, CHUNKED);
    for (int i = 0; i < 100; i++) buffer_puts(&b, "1;xyz\r\na\r\n");
    expect_bound(&b, CHUNKED_HEAD "body aaaaaaaaa", true);
}

static void bounds_trailers(void **state)
{
    (void)state;
    struct buffer b = BUFFER_INIT;
    buffer_puts(&b, CHUNKED "0\r\nA: ");
    put_many(&b, 'x', 4096 - strlen("A: \r\n"));
    buffer_puts(&b, "\r\n\r\n");
    expect_bound(&b, CHUNKED_HEAD "trailers A=xxx", true);

    buffer_puts(&b, CHUNKED "0\r\nA: ");
    put_many(&b, 'x', 4096 - strlen("A: \r\n") + 1);
    buffer_puts(&b, "\r\n\r\n");
    expect_bound(&b, CHUNKED_HEAD "invalid 431 trailers_too_large\n", false);

    buffer_puts(&b, CHUNKED "0\r\nA: ");
    put_many(&b, 'x', 100000);
    expect_bound(&b, CHUNKED_HEAD "invalid 431 trailers_too_large\n", false);

    buffer_puts(&b, CHUNKED "0\r\n");
    for (int i = 0; i < 101; i++) buffer_printf(&b, "a%d: b\r\n", i);
    buffer_puts(&b, "\r\n");
    expect_bound(&b, CHUNKED_HEAD "invalid 431 too_many_fields\n", false);
}

int main(void)
{
    printf("%zu requests and bodies to refuse\n", COUNT(bad_requests) + COUNT(bad_chunks));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses),
        cmocka_unit_test(refuses_chunks),
        cmocka_unit_test(understands),
        cmocka_unit_test(a_refused_connection_takes_nothing_more),
        cmocka_unit_test(bounds_the_request_line),
        cmocka_unit_test(bounds_the_head),
        cmocka_unit_test(bounds_the_fields),
        cmocka_unit_test(bounds_extensions_of_a_body),
        cmocka_unit_test(bounds_trailers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
