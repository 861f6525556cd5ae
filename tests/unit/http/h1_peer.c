/* SPDX-License-Identifier: Apache-2.0
 *
 * See h1_peer.h.
 */
#include "h1_peer.h"

#include "base/memory.h"

static struct h1_peer *peer_of(struct http_stream *s)
{
    return s->owner;
}

static void begin_line(struct h1_peer *p)
{
    if (p->is_in_body) buffer_put_char(&p->events, '\n');
    p->is_in_body = false;
}

static void put_fields(struct h1_peer *p, const struct http_fields *f)
{
    for (unsigned i = 0; i < f->count; i++)
        if (!f->items[i].is_dropped)
            buffer_printf(&p->events, " %.*s=%.*s", SLICE_ARG(f->items[i].name),
                          SLICE_ARG(f->items[i].value));
}

static void put_head(struct h1_peer *p, const char *event, struct http_head *head)
{
    begin_line(p);
    struct buffer *b = &p->events;
    p->head = head;
    buffer_puts(b, event);
    if (head->status) {
        buffer_printf(b, " %u [%.*s] %s", head->status, SLICE_ARG(head->reason), head->protocol);
    } else {
        buffer_printf(b, " %.*s %.*s", SLICE_ARG(head->method_name), SLICE_ARG(head->path));
        if (head->has_query) buffer_printf(b, "?%.*s", SLICE_ARG(head->query));
        buffer_printf(b, " %s @%.*s", head->protocol, SLICE_ARG(head->authority));
        if (head->scheme.len) buffer_printf(b, " scheme:%.*s", SLICE_ARG(head->scheme));
        if (head->expects_continue) buffer_puts(b, " expects");
        if (head->accepts_trailers) buffer_puts(b, " trailers-ok");
    }
    if (head->upgrade.len) buffer_printf(b, " upgrade:%.*s", SLICE_ARG(head->upgrade));
    buffer_printf(b, " body:%lld", (long long)head->body_bytes);
    put_fields(p, &head->fields);
    buffer_put_char(b, '\n');
}

static void on_head(struct http_stream *s, struct http_head *head)
{
    struct h1_peer *p = peer_of(s);
    put_head(p, "head", head);
    if (!p->answers_heads && !p->closes_at_head) return;
    struct http_head answer = { .status = 204 };
    if (p->answers_heads) http_stream_send_head(s, &answer);
    p->stream = NULL;
    http_stream_close(s);
}

static void on_informational(struct http_stream *s, struct http_head *head)
{
    put_head(peer_of(s), "info", head);
}

static void on_body(struct http_stream *s, struct slice data)
{
    struct h1_peer *p = peer_of(s);
    if (!p->is_in_body) buffer_puts(&p->events, "body ");
    p->is_in_body = true;
    buffer_put_slice(&p->events, data);
    if (!p->keeps_window) http_stream_consumed(s, data.len);
}

static void on_trailers(struct http_stream *s, struct http_fields *trailers)
{
    struct h1_peer *p = peer_of(s);
    begin_line(p);
    buffer_puts(&p->events, "trailers");
    put_fields(p, trailers);
    buffer_put_char(&p->events, '\n');
}

static void on_end(struct http_stream *s)
{
    struct h1_peer *p = peer_of(s);
    begin_line(p);
    buffer_puts(&p->events, "end\n");
    if (p->closes_at_end) {
        p->stream = NULL;
        http_stream_close(s);
    }
    if (p->frees_at_end) {
        codec_free(p->codec);
        p->codec = NULL;
    }
}

static void on_invalid(struct http_stream *s, const struct http_fault *fault)
{
    struct h1_peer *p = peer_of(s);
    begin_line(p);
    buffer_printf(&p->events, "invalid %u %s\n", fault->status, fault->reason);
}

static void on_reset(struct http_stream *s, enum http_reset why)
{
    static const char *const names[] = { "closed", "truncated", "peer", "malformed",
                                         "unprocessed" };
    struct h1_peer          *p = peer_of(s);
    begin_line(p);
    buffer_printf(&p->events, "reset %s\n", names[why]);
}

static void on_sent(struct http_stream *s, size_t sent_bytes)
{
    peer_of(s)->sent_bytes += sent_bytes;
}

static const struct http_stream_ops stream_ops = {
    .on_head = on_head,
    .on_informational = on_informational,
    .on_body = on_body,
    .on_trailers = on_trailers,
    .on_end = on_end,
    .on_invalid = on_invalid,
    .on_reset = on_reset,
    .on_sent = on_sent,
};

static void on_stream(struct http_codec *c, struct http_stream *s)
{
    struct h1_peer *p = c->owner;
    p->stream = s;
    s->ops = &stream_ops;
    s->owner = p;
    s->arena = &p->arena;
}

static void on_output(struct http_codec *c)
{
    struct h1_peer *p = c->owner;
    p->output_count++;
}

static void on_want_input(struct http_codec *c)
{
    struct h1_peer *p = c->owner;
    p->want_input_count++;
}

static void on_idle(struct http_codec *c)
{
    struct h1_peer *p = c->owner;
    p->idle_count++;
    p->was_reusable = codec_is_reusable(c);
}

static const struct http_codec_owner_ops owner_ops = { on_stream, on_output, on_want_input,
                                                       on_idle };

void h1_peer_init(struct h1_peer *p, enum http_role role)
{
    *p = (struct h1_peer){ 0 };
    p->limits = (struct http_limits){
        .request_line_bytes = 8192,
        .header_bytes = 16384,
        .header_count = 100,
        .trailer_bytes = 4096,
        .chunk_extension_bytes = 256,
        .informational_count = 8,
        .window_bytes = 65536,
        .merges_slashes = true,
    };
    block_pool_init(&p->blocks, 16384, 4);
    arena_init(&p->arena, NULL);
    memcpy(p->clock.http_date, "Sat, 21 Nov 2026 07:00:00 GMT", 30);
    p->codec = h1_codec_new(role, &owner_ops, p, &p->limits, &p->clock, &p->blocks, false);
}

void h1_peer_reset(struct h1_peer *p)
{
    codec_free(p->codec);
    arena_reset(&p->arena);
    block_pool_reset(&p->blocks);
    buffer_reset(&p->events);
    buffer_reset(&p->output);
}

size_t h1_peer_feed(struct h1_peer *p, struct slice input, size_t step)
{
    size_t at = 0;
    while (at < input.len && p->codec) {
        size_t n = step && step < input.len - at ? step : input.len - at;
        /* On the heap at its exact length, so that reading past it is found out. */
        struct buffer piece = BUFFER_INIT;
        piece.data = mem_alloc(n);
        memcpy(piece.data, input.data + at, n);
        size_t taken = codec_feed(p->codec, piece.data, n);
        buffer_reset(&piece);
        at += taken;
        if (taken < n) break;
    }
    return at;
}

void h1_peer_ask(struct h1_peer *p, enum http_method method)
{
    p->stream = codec_open(p->codec);
    on_stream(p->codec, p->stream);
    struct http_head head = {
        .method = method,
        .method_name = http_method_name(method),
        .path = S("/"),
        .authority = S("a.example"),
    };
    http_stream_send_head(p->stream, &head);
}

const char *h1_peer_output(struct h1_peer *p)
{
    while (!outq_is_empty(&p->codec->out)) {
        struct slice front = outq_front(&p->codec->out);
        buffer_put_slice(&p->output, front);
        outq_consume(&p->codec->out, front.len);
    }
    codec_sent(p->codec);
    return p->output.data ? p->output.data : "";
}

const char *h1_peer_events(struct h1_peer *p)
{
    begin_line(p);
    return p->events.data ? p->events.data : "";
}

void h1_peer_clear(struct h1_peer *p)
{
    buffer_reset(&p->events);
    buffer_reset(&p->output);
    p->is_in_body = false;
}
