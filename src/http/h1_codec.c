/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP/1 codec's life and state. See h1.h.
 *
 * How a stream may be let go of, and what becomes of the connection:
 *
 *   received     sent         server                       client
 *   complete     complete     next request, unless last    idle, unless last
 *   incomplete   complete     closes once written          broken
 *   any          incomplete   broken                       broken
 *
 * "Last": either side said close, HTTP/1.0 without keep-alive, a body that the
 * end of the connection ends, surplus bytes, end of input, shutdown.
 * "Broken": base.is_broken, and what is left in the queue is worth nothing.
 */
#include "http/h1.h"

#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"
#include "http/h1_private.h"

/* Unsent answers beyond which no request is taken. */
enum { CLOGGED_BYTES = 16 * 1024 };

struct h1_exchange *h1_exchange_of(struct h1_codec *c)
{
    if (!c->x) c->x = arena_zalloc(c->stream.arena, sizeof(*c->x));
    return c->x;
}

void h1_drop_begun(struct h1_codec *c)
{
    if (!c->begun) return;
    buffer_reset(c->begun);
    free(c->begun);
    c->begun = NULL;
}

void h1_break(struct h1_codec *c)
{
    c->base.is_broken = true;
    c->is_last = true;
    c->receive = H1_RECEIVE_DEAD;
    c->send = H1_SEND_DONE;
}

bool h1_takes_input(const struct h1_codec *c)
{
    if (c->receive == H1_RECEIVE_DEAD) return false;
    return !c->is_server || c->receive != H1_RECEIVE_NOTHING;
}

bool h1_is_clogged(const struct h1_codec *c)
{
    return c->is_server && !c->is_open && c->base.out.bytes >= CLOGGED_BYTES;
}

bool h1_wants_input(const struct http_codec *base)
{
    const struct h1_codec *c = (const struct h1_codec *)(const void *)base;
    return !c->is_choked && h1_takes_input(c) && !h1_is_clogged(c);
}

void h1_begin_tunnel(struct h1_codec *c)
{
    h1_exchange_of(c);
    c->base.is_tunnel = c->is_last = true;
    c->receive = H1_RECEIVE_UNTIL_CLOSE;
    c->send = H1_SEND_UNTIL_CLOSE;
}

static bool is_reusable(const struct http_codec *base)
{
    const struct h1_codec *c = (const struct h1_codec *)(const void *)base;
    return !c->is_last && c->receive != H1_RECEIVE_DEAD;
}

static bool is_blank(const struct http_codec *base)
{
    const struct h1_codec *c = (const struct h1_codec *)(const void *)base;
    return is_reusable(base) && !c->is_open && !c->begun && !c->is_ending && !c->is_feeding &&
           outq_is_empty(&base->out);
}

static bool is_in_head(const struct http_codec *base)
{
    const struct h1_codec *c = (const struct h1_codec *)(const void *)base;
    return c->is_server && !c->is_open && c->receive == H1_RECEIVE_HEAD &&
           (c->begun || c->is_line_skipped);
}

static unsigned room(const struct http_codec *base)
{
    const struct h1_codec *c = (const struct h1_codec *)(const void *)base;
    return !c->is_server && !c->is_open && is_reusable(base);
}

static struct http_stream *open_stream(struct http_codec *base)
{
    struct h1_codec *c = h1_of(base);
    if (!room(base)) return NULL;
    c->is_open = true;
    c->serial++;
    c->send = H1_SEND_HEAD;
    c->stream = (struct http_stream){ .codec = base };
    return &c->stream;
}

static void sent(struct http_codec *base)
{
    struct h1_codec    *c = h1_of(base);
    struct http_stream *s = &c->stream;
    if (c->is_clogged && !c->is_open && h1_wants_input(base)) {
        c->is_clogged = false;
        base->owner_ops->on_want_input(base);
    }
    if (!c->is_open || s->unsent_bytes <= base->out.bytes) return;
    size_t gone = s->unsent_bytes - base->out.bytes;
    s->unsent_bytes -= gone;
    s->ops->on_sent(s, gone);
}

static void shutdown_codec(struct http_codec *base)
{
    struct h1_codec *c = h1_of(base);
    if (c->is_server && !c->is_open && c->begun) {
        c->is_ending = true;
        return;
    }
    c->is_last = true;
    if (!c->is_open) c->receive = H1_RECEIVE_DEAD;
}

static void really_free(struct h1_codec *c)
{
    h1_drop_begun(c);
    outq_reset(&c->base.out);
    free(c);
}

static void free_codec(struct http_codec *base)
{
    struct h1_codec *c = h1_of(base);
    if (!c->is_feeding) {
        really_free(c);
        return;
    }
    c->is_freed = true;
    c->is_open = false;
    c->receive = H1_RECEIVE_DEAD;
    c->serial++;
}

static void enter(struct h1_codec *c)
{
    assert(!c->is_feeding);
    c->is_feeding = true;
}

static void leave(struct h1_codec *c)
{
    c->is_feeding = false;
    if (c->is_freed) really_free(c);
}

static size_t feed(struct http_codec *base, const char *data, size_t len)
{
    struct h1_codec *c = h1_of(base);
    enter(c);
    size_t taken = h1_feed(c, data, len);
    leave(c);
    return taken;
}

static void feed_eof(struct http_codec *base)
{
    struct h1_codec *c = h1_of(base);
    enter(c);
    h1_feed_end(c, false);
    leave(c);
}

static void feed_abort(struct http_codec *base)
{
    struct h1_codec *c = h1_of(base);
    enter(c);
    h1_feed_end(c, true);
    leave(c);
}

static void expire(struct http_codec *base)
{
    struct h1_codec *c = h1_of(base);
    enter(c);
    h1_expire(c);
    leave(c);
}

static void reset(struct http_stream *s)
{
    h1_break(h1_of(s->codec));
}

static void close_stream(struct http_stream *s)
{
    struct h1_codec *c = h1_of(s->codec);
    assert(c->is_open);
    bool is_received = c->receive == H1_RECEIVE_NOTHING;
    if (c->send != H1_SEND_DONE || (!is_received && !c->is_server))
        h1_break(c);
    else if (!is_received)
        c->is_last = true;
    c->is_open = false;
    c->is_choked = false;
    c->x = NULL;
    h1_drop_begun(c);
    if (c->is_last)
        c->receive = H1_RECEIVE_DEAD;
    else
        c->receive = c->is_server ? H1_RECEIVE_HEAD : H1_RECEIVE_NOTHING;
    c->serial++;
    c->is_clogged = h1_is_clogged(c);
    const struct http_codec_owner_ops *ops = c->base.owner_ops;
    if (c->is_server && !c->is_feeding && h1_wants_input(&c->base)) ops->on_want_input(&c->base);
    ops->on_idle(&c->base);
}

static const struct http_codec_ops codec_ops = {
    .feed = feed,
    .feed_eof = feed_eof,
    .feed_abort = feed_abort,
    .expire = expire,
    .sent = sent,
    .wants_input = h1_wants_input,
    .is_reusable = is_reusable,
    .is_blank = is_blank,
    .is_in_head = is_in_head,
    .room = room,
    .open = open_stream,
    .shutdown = shutdown_codec,
    .free = free_codec,
    .send_informational = h1_send_informational,
    .send_head = h1_send_head,
    .send_body = h1_send_body,
    .send_range = h1_send_range,
    .send_end = h1_send_end,
    .consumed = h1_consumed,
    .reset = reset,
    .close = close_stream,
};

struct http_codec *h1_codec_new(enum http_role role, const struct http_codec_owner_ops *ops,
                                void *owner, const struct http_limits *limits,
                                const struct clock *clock, struct block_pool *blocks, bool is_tls)
{
    struct h1_codec *c = mem_zalloc(sizeof(*c));
    c->base = (struct http_codec){
        .ops = &codec_ops,
        .owner_ops = ops,
        .owner = owner,
        .limits = limits,
        .clock = clock,
        .is_tls = is_tls,
        .is_settled = true,
        .takes_upgrade = true,
    };
    outq_init(&c->base.out, blocks);
    c->is_server = role == HTTP_SERVER;
    c->receive = c->is_server ? H1_RECEIVE_HEAD : H1_RECEIVE_NOTHING;
    c->send = H1_SEND_HEAD;
    return &c->base;
}
