/* SPDX-License-Identifier: Apache-2.0
 *
 * What a request costs in the HTTP/1 codec alone: a GET with 5 fields is parsed,
 * written anew for a replica, its response with 10 fields and 1 KiB parsed and
 * written anew for the client. No sockets. Counts are exact under
 *     valgrind --tool=callgrind h1_micro 2000    (and 1000: take the difference)
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "http/h1.h"

enum { BODY_BYTES = 1024, ARENA_BLOCK_BYTES = 4096, OUT_BLOCK_BYTES = 16384 };

static const char request_text[] =
    "GET /shop/items?page=2&sort=price HTTP/1.1\r\n"
    "Host: shop.example.com\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Cookie: session=0123456789abcdef0123456789abcdef\r\n"
    "\r\n";

static const char response_head[] = "HTTP/1.1 200 OK\r\n"
                                    "Server: app/1.4.2\r\n"
                                    "Date: Sat, 21 Nov 2026 07:00:00 GMT\r\n"
                                    "Content-Type: text/html; charset=utf-8\r\n"
                                    "Content-Length: 1024\r\n"
                                    "Last-Modified: Fri, 20 Nov 2026 12:34:56 GMT\r\n"
                                    "ETag: \"5f3e-62a1b7c8d9e0f\"\r\n"
                                    "Cache-Control: max-age=60, must-revalidate\r\n"
                                    "Vary: Accept-Encoding\r\n"
                                    "X-Content-Type-Options: nosniff\r\n"
                                    "Connection: keep-alive\r\n"
                                    "\r\n";

struct bench {
    struct block_pool   small;
    struct block_pool   large;
    struct arena        arena;
    struct clock        clock;
    struct http_codec  *server;
    struct http_codec  *client;
    struct http_stream *down;
    struct http_stream *up;
    unsigned long       done_count;
};

static void up_head(struct http_stream *s, struct http_head *head)
{
    struct bench *b = s->owner;
    http_stream_send_head(b->down, head);
}

static void up_body(struct http_stream *s, struct slice data)
{
    struct bench *b = s->owner;
    http_stream_send_body(b->down, data);
    http_stream_consumed(s, data.len);
}

static void up_end(struct http_stream *s)
{
    struct bench *b = s->owner;
    http_stream_send_end(b->down, NULL);
    http_stream_close(s);
    http_stream_close(b->down);
    b->done_count++;
}

static void on_sent(struct http_stream *s, size_t bytes)
{
    (void)s;
    (void)bytes;
}

static void on_invalid(struct http_stream *s, const struct http_fault *fault)
{
    (void)s;
    fprintf(stderr, "h1_micro: %s\n", fault->reason);
    exit(1);
}

static void down_end(struct http_stream *s)
{
    (void)s;
}

static const struct http_stream_ops up_ops = {
    .on_head = up_head,
    .on_body = up_body,
    .on_end = up_end,
    .on_invalid = on_invalid,
    .on_sent = on_sent,
};

static void down_head(struct http_stream *s, struct http_head *head)
{
    struct bench *b = s->owner;
    b->up = codec_open(b->client);
    b->up->ops = &up_ops;
    b->up->owner = b;
    b->up->arena = &b->arena;
    http_stream_send_head(b->up, head);
}

static const struct http_stream_ops down_ops = {
    .on_head = down_head,
    .on_end = down_end,
    .on_invalid = on_invalid,
    .on_sent = on_sent,
};

static void on_stream(struct http_codec *c, struct http_stream *s)
{
    struct bench *b = c->owner;
    b->down = s;
    s->ops = &down_ops;
    s->owner = b;
    s->arena = &b->arena;
}

static void ignore(struct http_codec *c)
{
    (void)c;
}

static const struct http_codec_owner_ops owner_ops = { on_stream, ignore, ignore, ignore };

static void written(struct http_codec *c)
{
    outq_consume(&c->out, c->out.bytes);
    codec_sent(c);
}

static void one_request(struct bench *b, const char *response, size_t response_bytes)
{
    codec_feed(b->server, request_text, sizeof(request_text) - 1);
    written(b->client);
    codec_feed(b->client, response, response_bytes);
    written(b->server);
    arena_reset(&b->arena);
}

int main(int argc, char **argv)
{
    static const struct http_limits limits = {
        .request_line_bytes = 8192,
        .header_bytes = 16384,
        .header_count = 100,
        .trailer_bytes = 4096,
        .chunk_extension_bytes = 4096,
        .informational_count = 8,
        .window_bytes = 65536,
        .merges_slashes = true,
    };
    unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
    struct bench  b = { 0 };
    block_pool_init(&b.small, ARENA_BLOCK_BYTES, 16);
    block_pool_init(&b.large, OUT_BLOCK_BYTES, 16);
    arena_init(&b.arena, &b.small);
    clock_refresh(&b.clock);
    b.server = h1_codec_new(HTTP_SERVER, &owner_ops, &b, &limits, &b.clock, &b.large, false);
    b.client = h1_codec_new(HTTP_CLIENT, &owner_ops, &b, &limits, &b.clock, &b.large, false);

    size_t response_bytes = sizeof(response_head) - 1 + BODY_BYTES;
    char  *response = mem_zalloc(response_bytes);
    memcpy(response, response_head, sizeof(response_head) - 1);
    uint64_t start = clock_mono_ns();
    for (unsigned long i = 0; i < count; i++) one_request(&b, response, response_bytes);
    uint64_t spent = clock_mono_ns() - start;
    printf("%lu requests, %.0f ns each\n", b.done_count, (double)spent / (double)count);

    free(response);
    codec_free(b.server);
    codec_free(b.client);
    arena_reset(&b.arena);
    block_pool_reset(&b.small);
    block_pool_reset(&b.large);
    return b.done_count == count ? 0 : 1;
}
