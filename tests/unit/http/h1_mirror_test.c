/* SPDX-License-Identifier: Apache-2.0
 *
 * What the server codec understood and the client codec wrote is understood
 * again as the same, and so for responses on the way back: nothing that one
 * side accepts is written so that the next reads it differently.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "h1_peer.h"
#include "h1_request_cases.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The part of a transcript that must survive: everything but how the client
 * spoke to us (version, scheme). */
static void put_gist(struct buffer *to, const char *events)
{
    static const char *const hop[] = { " HTTP/1.0", " HTTP/1.1", " scheme:https", " scheme:http" };
    while (*events) {
        size_t skip = 0;
        for (size_t i = 0; i < COUNT(hop) && !skip; i++)
            if (strncmp(events, hop[i], strlen(hop[i])) == 0) skip = strlen(hop[i]);
        if (!skip) buffer_put_char(to, *events++);
        events += skip;
    }
}

static void pass_request_on(const struct h1_case *c)
{
    struct h1_peer in;
    struct h1_peer out;
    struct h1_peer again;
    h1_peer_init(&in, HTTP_SERVER);
    h1_peer_init(&out, HTTP_CLIENT);
    h1_peer_init(&again, HTTP_SERVER);
    h1_peer_feed(&in, c->input, 0);

    out.stream = codec_open(out.codec);
    out.codec->owner_ops->on_stream(out.codec, out.stream);
    if (in.head->authority.len == 0) in.head->authority = S("a"); /* as a 1.0 client may */
    http_stream_send_head(out.stream, in.head);
    const char *events = h1_peer_events(&in);
    const char *body = strstr(events, "\nbody ");
    if (body) {
        body += strlen("\nbody ");
        http_stream_send_body(out.stream, slice_make(body, (size_t)(strchr(body, '\n') - body)));
    }
    struct http_fields trailers = { 0 };
    if (strstr(events, "\ntrailers A=b C=d")) {
        http_fields_add_named(&trailers, &out.arena, S("A"), S("b"));
        http_fields_add_named(&trailers, &out.arena, S("C"), S("d"));
    }
    if (in.head->body_bytes != 0) http_stream_send_end(out.stream, &trailers);
    h1_peer_output(&out);
    h1_peer_feed(&again, buffer_slice(&out.output), 0);

    struct buffer expected = BUFFER_INIT;
    struct buffer got = BUFFER_INIT;
    put_gist(&expected, c->events);
    put_gist(&got, h1_peer_events(&again));
    char *host = strstr(expected.data, " @ ");
    if (host) {
        struct buffer named = BUFFER_INIT;
        buffer_printf(&named, "%.*s @a%s", (int)(host - expected.data), expected.data, host + 2);
        buffer_reset(&expected);
        expected = named;
    }
    if (strcmp(got.data, expected.data) != 0)
        fail_msg("%s: written as\n%s-- understood as\n%s-- expected --\n%s", c->what,
                 out.output.data, got.data, expected.data);
    buffer_reset(&expected);
    buffer_reset(&got);
    h1_peer_reset(&in);
    h1_peer_reset(&out);
    h1_peer_reset(&again);
}

static void requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good_requests); i++) pass_request_on(&good_requests[i]);
}

static void pass_response_on(const char *text)
{
    struct h1_peer in;
    struct h1_peer out;
    struct h1_peer again;
    h1_peer_init(&in, HTTP_CLIENT);
    h1_peer_init(&out, HTTP_SERVER);
    h1_peer_init(&again, HTTP_CLIENT);
    h1_peer_ask(&in, HTTP_GET);
    h1_peer_ask(&again, HTTP_GET);
    h1_peer_feed(&in, slice_of(text), 0);
    codec_feed_eof(in.codec);
    h1_peer_feed(&out, S("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n"), 0);
    http_stream_send_head(out.stream, in.head);
    const char *events = h1_peer_events(&in);
    const char *body = strstr(events, "\nbody ");
    if (body) {
        body += strlen("\nbody ");
        http_stream_send_body(out.stream, slice_make(body, (size_t)(strchr(body, '\n') - body)));
    }
    if (in.head->body_bytes != 0 && in.head->status != 304) http_stream_send_end(out.stream, NULL);
    h1_peer_output(&out);
    h1_peer_feed(&again, buffer_slice(&out.output), 1);
    struct buffer expected = BUFFER_INIT;
    struct buffer got = BUFFER_INIT;
    put_gist(&expected, events);
    put_gist(&got, h1_peer_events(&again));
    assert_string_equal(got.data, expected.data);
    assert_true(codec_is_reusable(again.codec));
    buffer_reset(&expected);
    buffer_reset(&got);
    h1_peer_reset(&in);
    h1_peer_reset(&out);
    h1_peer_reset(&again);
}

static void responses(void **state)
{
    (void)state;
#define DATE "Date: x\r\n"
    static const char *const texts[] = {
        "HTTP/1.1 200 OK\r\n" DATE "Content-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\n" DATE "Content-Length: 0\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\n" DATE "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.0 404 Gone fishing\r\n" DATE "X:   y \r\n\r\nuntil close",
        "HTTP/1.1 304 Not Modified\r\n" DATE "Content-Length: 5\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n" DATE "Connection: X\r\nX: y\r\n\r\n",
    };
    for (size_t i = 0; i < COUNT(texts); i++) pass_response_on(texts[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests),
        cmocka_unit_test(responses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
