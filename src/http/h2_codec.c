/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP/2 codec's life and state. See h2.h.
 *
 * How a stream may be let go of, and what the peer sees:
 *
 *   received     sent         server                     client
 *   complete     complete     nothing                    nothing
 *   incomplete   complete     RST NO_ERROR, after END    RST CANCEL
 *   malformed    complete     RST PROTOCOL_ERROR         RST PROTOCOL_ERROR (unless it ended)
 *   any          incomplete   RST INTERNAL_ERROR         RST CANCEL
 *
 * The connection goes on in every case. A stream stays as long as its owner or nghttp2
 * knows it.
 */
#include "config.h"

#include "http/h2.h"

#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"
#include "http/h2_private.h"

enum {
    /* The connection's window: what stops a peer is its streams' windows. */
    CONNECTION_WINDOW_BYTES = 1 << 30,
    /* Frames that wait because the peer does not read; more, and we do not read either. */
    CLOGGED_FRAMES = 256,
    /* Of one that is sent: more than what was received and all that edits of headers make of
     * it. nghttp2 would say nothing of a longer one, and its stream would wait in vain. */
    SENT_HEAD_BYTES_MAX = 16 * 1024 * 1024,
    /* Of PING and SETTINGS, unsent: more than a budget lets arise. */
    ANSWERS_MAX = 4000,
    /* Requests that are still served after the notice, should its PING never be answered. */
    LAST_STREAMS = 1000,
    /* Streams' memory that a connection keeps for those to come. */
    SPARE_STREAMS = 16,
};

/* ---- streams ---- */

struct h2_stream *h2_stream_new(struct h2_codec *c, int32_t id)
{
    struct h2_stream *s = block_take(&c->stream_blocks);
    *s = (struct h2_stream){ .stream.codec = &c->base };
    s->id = id;
    s->length_left = -1;
    s->has_owner = true;
    list_init(&s->due_link);
    list_init(&s->lent_link);
    list_init(&s->rest_link);
    list_append(&c->streams, &s->link);
    outq_init(&s->body, c->base.out.pool);
    outq_init(&s->early, c->base.out.pool);
    c->stream_count++;
    c->open_count++;
    c->is_idle_due = false;
    return s;
}

static void stream_free(struct h2_codec *c, struct h2_stream *s)
{
    list_remove(&s->link);
    list_remove(&s->due_link);
    list_remove(&s->rest_link);
    h2_drop_queued(c, s);
    outq_reset(&s->early);
    h2_forget_marks(c, s);
    if (s->window_bytes) c->grown_bytes -= s->window_bytes - c->window_bytes;
    free(s->trailers);
    block_give(&c->stream_blocks, s);
    c->stream_count--;
}

void h2_stream_unuse(struct h2_codec *c, struct h2_stream *s)
{
    if (!s->has_owner && !s->is_at_nghttp2) stream_free(c, s);
}

void h2_reset_due(struct h2_codec *c, struct h2_stream *s, enum http_reset why)
{
    bool is_due = !list_is_empty(&s->due_link);
    bool is_early = s->early.bytes || s->is_early_end; /* that alone may be what is due */
    if (!s->has_owner || (is_due && !is_early)) return;
    outq_reset(&s->early);
    s->is_early_end = false;
    s->reset_why = (uint8_t)why;
    if (!is_due) list_append(&c->due, &s->due_link);
}

void h2_submit_reset(struct h2_codec *c, struct h2_stream *s, uint32_t code)
{
    if (!s->is_at_nghttp2 || s->is_reset || c->is_dead) return;
    s->is_reset = true;
    nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, s->id, code);
    c->base.owner_ops->on_output(&c->base);
}

/* ---- the connection ---- */

/* Nothing more is understood or said: what runs is told. */
static void die(struct h2_codec *c)
{
    if (c->is_dead) return;
    c->is_dead = c->is_last = true;
    LIST_EACH (it, &c->streams) {
        struct h2_stream *s = container_of(it, struct h2_stream, link);
        bool              is_over = s->is_end_framed && s->receive == H2_RECEIVE_END;
        bool              is_unsaid = !c->is_server && !s->id;
        if (!is_over) h2_reset_due(c, s, is_unsaid ? HTTP_RESET_UNPROCESSED : HTTP_RESET_PEER);
    }
}

void h2_give_up(struct h2_codec *c, uint32_t code, const char *abuse)
{
    if (c->is_giving_up || c->is_dead) return;
    c->base.abuse = abuse;
    c->is_giving_up = c->is_last = true;
    nghttp2_session_terminate_session(c->session, code);
    c->base.owner_ops->on_output(&c->base);
}

void h2_spend(struct h2_codec *c, enum h2_nuisance what)
{
    const char *reason = h2_budget_spend(&c->budget, what, c->base.clock->now_ms);
    if (reason) h2_give_up(c, NGHTTP2_ENHANCE_YOUR_CALM, reason);
}

static bool is_clogged(const struct h2_codec *c)
{
    return nghttp2_session_get_outbound_queue_size(c->session) >
           CLOGGED_FRAMES + (size_t)c->base.limits->stream_count;
}

/* What could not be told from within nghttp2. */
static void tell(struct h2_codec *c)
{
    h2_tell_due(c);
    if (!c->is_idle_due || c->open_count || c->is_freed) return;
    c->is_idle_due = false;
    c->base.owner_ops->on_idle(&c->base);
}

/* After each call into nghttp2 that came from the connection. */
static void settle(struct h2_codec *c)
{
    if (!outq_is_empty(&c->base.out)) c->base.owner_ops->on_output(&c->base);
    if (!c->is_dead && !nghttp2_session_want_read(c->session) &&
        !nghttp2_session_want_write(c->session))
        die(c);
    tell(c);
}

static void enter(struct h2_codec *c)
{
    assert(!c->is_feeding);
    c->is_feeding = true;
}

static void really_free(struct h2_codec *c)
{
    nghttp2_session_del(c->session);
    LIST_EACH_SAFE (it, &c->streams) stream_free(c, container_of(it, struct h2_stream, link));
    block_pool_reset(&c->stream_blocks);
    h2_head_reset(&c->head);
    outq_reset(&c->base.out);
    free(c->marks);
    free(c);
}

static void leave(struct h2_codec *c)
{
    c->is_feeding = false;
    if (c->is_freed) really_free(c);
}

static void free_codec(struct http_codec *base)
{
    struct h2_codec *c = h2_of(base);
    if (!c->is_feeding) {
        really_free(c);
        return;
    }
    c->is_freed = c->is_dead = c->is_last = true;
    LIST_EACH (it, &c->streams) container_of(it, struct h2_stream, link)->has_owner = false;
    list_init(&c->due);
}

static void receive(struct h2_codec *c, const char *data, size_t len)
{
    c->is_in_nghttp2 = true;
    ssize_t n = nghttp2_session_mem_recv(c->session, (const uint8_t *)data, len);
    c->is_in_nghttp2 = false;
    if (n >= 0) return;
    if (n == NGHTTP2_ERR_NOMEM) abort();
    if (n == NGHTTP2_ERR_FLOODED)
        h2_give_up(c, NGHTTP2_ENHANCE_YOUR_CALM, "answer_flood");
    else if (n != NGHTTP2_ERR_BAD_CLIENT_MAGIC)
        h2_give_up(c, NGHTTP2_PROTOCOL_ERROR, NULL);
    h2_pull(c);
    die(c);
}

static bool wants_input(const struct http_codec *base)
{
    const struct h2_codec *c = (const struct h2_codec *)(const void *)base;
    return !c->is_dead && !c->is_giving_up && !c->is_clogged;
}

static size_t feed(struct http_codec *base, const char *data, size_t len)
{
    struct h2_codec *c = h2_of(base);
    if (!wants_input(base)) return 0;
    enter(c);
    receive(c, data, len);
    if (!c->is_freed) {
        h2_pull(c);
        c->is_clogged = is_clogged(c);
        settle(c);
    }
    leave(c);
    return len;
}

/* The peer's end: what awaited more of it gets nothing any more. */
static enum http_reset lost(const struct h2_stream *s)
{
    if (s->receive == H2_RECEIVE_BODY) return HTTP_RESET_TRUNCATED;
    if (s->receive == H2_RECEIVE_END) return HTTP_RESET_PEER;
    return s->informational_count ? HTTP_RESET_TRUNCATED : HTTP_RESET_CLOSED;
}

static void feed_end(struct h2_codec *c, bool is_abort)
{
    c->is_last = true;
    LIST_EACH (it, &c->streams) {
        struct h2_stream *s = container_of(it, struct h2_stream, link);
        if (is_abort || s->receive != H2_RECEIVE_END) h2_reset_due(c, s, lost(s));
    }
    if (is_abort || !c->is_server) c->is_dead = true;
    tell(c);
}

/* Who has finished sending cannot even say what it takes any more: a client is gone. */
static void feed_eof(struct http_codec *base)
{
    struct h2_codec *c = h2_of(base);
    enter(c);
    feed_end(c, c->is_server);
    leave(c);
}

static void feed_abort(struct http_codec *base)
{
    struct h2_codec *c = h2_of(base);
    enter(c);
    feed_end(c, true);
    leave(c);
}

static bool is_in_head(const struct http_codec *base)
{
    const struct h2_codec *c = (const struct h2_codec *)(const void *)base;
    return c->is_server && (c->head_id || !c->has_settings) && !c->is_dead;
}

static void expire(struct http_codec *base)
{
    struct h2_codec *c = h2_of(base);
    if (!is_in_head(base)) return;
    enter(c);
    h2_give_up(c, NGHTTP2_ENHANCE_YOUR_CALM, c->head_id ? "header_timeout" : NULL);
    h2_pull(c);
    die(c);
    tell(c);
    leave(c);
}

/* While input is looked at, what it is answered with waits for the end of that. */
static void prepare(struct http_codec *base)
{
    struct h2_codec *c = h2_of(base);
    if (!c->is_feeding) h2_pull(c);
}

static void sent(struct http_codec *base)
{
    struct h2_codec *c = h2_of(base);
    enter(c);
    h2_tell_sent(c);
    if (!c->is_freed) {
        h2_pull(c);
        if (c->is_giving_up && outq_is_empty(&base->out)) die(c);
        settle(c);
    }
    if (c->is_clogged && !c->is_freed && !c->is_dead && !is_clogged(c)) {
        c->is_clogged = false;
        base->owner_ops->on_want_input(base);
    }
    leave(c);
}

static bool is_reusable(const struct http_codec *base)
{
    const struct h2_codec *c = (const struct h2_codec *)(const void *)base;
    if (c->is_last || c->is_dead) return false;
    return c->is_server || nghttp2_session_check_request_allowed(c->session);
}

static bool is_blank(const struct http_codec *base)
{
    (void)base;
    return false;
}

static unsigned room(const struct http_codec *base)
{
    const struct h2_codec *c = (const struct h2_codec *)(const void *)base;
    if (c->is_server || !is_reusable(base)) return 0;
    if (!base->is_settled) return !c->stream_count;
    uint32_t most =
        nghttp2_session_get_remote_settings(c->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    if (most > base->limits->stream_count) most = base->limits->stream_count;
    return most > c->stream_count ? most - c->stream_count : 0;
}

static struct http_stream *open_stream(struct http_codec *base)
{
    struct h2_codec *c = h2_of(base);
    if (!room(base)) return NULL;
    return &h2_stream_new(c, 0)->stream;
}

/* RFC 9113 section 6.8: first that there will be a last one; which it was, once what
 * was on its way has come. */
static void shutdown_codec(struct http_codec *base)
{
    struct h2_codec *c = h2_of(base);
    if (c->is_last || !c->is_server) {
        c->is_last = true;
        return;
    }
    if (c->is_leaving) {
        if (!c->open_count) h2_finish_leaving(c);
        return;
    }
    c->is_leaving = true;
    c->last_count = LAST_STREAMS;
    nghttp2_submit_shutdown_notice(c->session);
    nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
    base->owner_ops->on_output(base);
}

void h2_finish_leaving(struct h2_codec *c)
{
    if (!c->is_leaving || c->is_last) return;
    c->is_last = true;
    nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(c->session), NGHTTP2_NO_ERROR,
                          NULL, 0);
    c->base.owner_ops->on_output(&c->base);
}

/* Is the client itself what keeps the stream's bytes here? */
static bool is_stalled(const struct h2_codec *c, const struct h2_stream *s)
{
    if (!c->is_server || !s->is_at_nghttp2 || !(s->body.bytes || s->lent.len)) return false;
    return nghttp2_session_get_stream_remote_window_size(c->session, s->id) <= 0 ||
           nghttp2_session_get_remote_window_size(c->session) <= 0;
}

static void reset(struct http_stream *stream)
{
    struct h2_stream *s = h2_stream_of(stream);
    struct h2_codec  *c = h2_of(stream->codec);
    if (is_stalled(c, s)) h2_spend(c, H2_NUISANCE_STALL);
    h2_drop_queued(c, s);
    h2_submit_reset(c, s, c->is_server ? NGHTTP2_INTERNAL_ERROR : NGHTTP2_CANCEL);
    s->send = H2_SEND_END;
}

void h2_finish_stream(struct h2_codec *c, struct h2_stream *s)
{
    if (s->is_peer_done) return;
    if (s->is_malformed)
        h2_submit_reset(c, s, NGHTTP2_PROTOCOL_ERROR);
    else
        h2_submit_reset(c, s, c->is_server ? NGHTTP2_NO_ERROR : NGHTTP2_CANCEL);
}

static void close_stream(struct http_stream *stream)
{
    struct h2_stream *s = h2_stream_of(stream);
    struct h2_codec  *c = h2_of(stream->codec);
    assert(s->has_owner);
    s->has_owner = false;
    list_remove(&s->due_link);
    if (s->send != H2_SEND_END || (!c->is_server && !s->is_received))
        reset(stream);
    else if (s->is_end_framed)
        h2_finish_stream(c, s);
    else if (!c->is_server) /* answered whole before it had all been said */
        reset(stream);
    h2_stream_unuse(c, s);
    if (--c->open_count) return;
    if (c->is_feeding)
        c->is_idle_due = true;
    else
        c->base.owner_ops->on_idle(&c->base);
}

/* ---- making one ---- */

static const struct http_codec_ops codec_ops = {
    .feed = feed,
    .feed_eof = feed_eof,
    .feed_abort = feed_abort,
    .expire = expire,
    .sent = sent,
    .wants_input = wants_input,
    .is_reusable = is_reusable,
    .is_blank = is_blank,
    .is_in_head = is_in_head,
    .prepare = prepare,
    .room = room,
    .open = open_stream,
    .shutdown = shutdown_codec,
    .free = free_codec,
    .send_informational = h2_send_informational,
    .send_head = h2_send_head,
    .send_body = h2_send_body,
    .send_range = h2_send_range,
    .send_end = h2_send_end,
    .consumed = h2_consumed,
    .reset = reset,
    .close = close_stream,
};

/* What nghttp2 bounds too, with an answer that says less than ours: h2_budget.c does. */
static void lift_bounds(nghttp2_option *options)
{
#if HAVE_NGHTTP2_OPTION_SET_MAX_CONTINUATIONS
    nghttp2_option_set_max_continuations(options, 100000);
#endif
#if HAVE_NGHTTP2_OPTION_SET_STREAM_RESET_RATE_LIMIT
    nghttp2_option_set_stream_reset_rate_limit(options, 100000, 10000);
#endif
    (void)options;
}

static void make_session(struct h2_codec *c)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option            *options;
    int                        error = 0;
    error |= nghttp2_session_callbacks_new(&callbacks);
    error |= nghttp2_option_new(&options);
    if (error) abort();
    h2_set_callbacks(callbacks);
    h2_set_send_callbacks(callbacks);
    nghttp2_option_set_no_auto_window_update(options, 1);
    nghttp2_option_set_no_http_messaging(options, 1); /* rules.h and h2_head.c judge */
    nghttp2_option_set_no_closed_streams(options, 1);
    nghttp2_option_set_max_outbound_ack(options, ANSWERS_MAX);
    nghttp2_option_set_max_send_header_block_length(options, SENT_HEAD_BYTES_MAX);
    lift_bounds(options);
    if (c->is_server)
        error = nghttp2_session_server_new2(&c->session, callbacks, c, options);
    else
        error = nghttp2_session_client_new2(&c->session, callbacks, c, options);
    if (error) abort();
    nghttp2_option_del(options);
    nghttp2_session_callbacks_del(callbacks);
}

static void submit_settings(struct h2_codec *c)
{
    const struct http_limits *limits = c->base.limits;
    c->window_bytes = limits->window_bytes;
    nghttp2_settings_entry common[] = {
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits->window_bytes },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits->header_bytes },
        { NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
        /* Of a server: */
        { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits->stream_count },
        { NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1 },
    };
    if (!c->is_server) common[3] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 };
    int error =
        nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, common, c->is_server ? 5 : 4);
    error |= nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0,
                                                   CONNECTION_WINDOW_BYTES);
    if (error) abort();
}

struct http_codec *h2_codec_new(enum http_role role, const struct http_codec_owner_ops *ops,
                                void *owner, const struct http_limits *limits,
                                const struct clock *clock, struct block_pool *blocks, bool is_tls)
{
    struct h2_codec *c = mem_zalloc(sizeof(*c));
    c->base = (struct http_codec){
        .ops = &codec_ops,
        .owner_ops = ops,
        .owner = owner,
        .limits = limits,
        .clock = clock,
        .is_tls = is_tls,
        .is_shared = true,
    };
    c->is_server = role == HTTP_SERVER;
    block_pool_init(&c->stream_blocks, sizeof(struct h2_stream), SPARE_STREAMS);
    outq_init(&c->base.out, blocks);
    list_init(&c->streams);
    list_init(&c->due);
    list_init(&c->lent);
    list_init(&c->resting);
    h2_budget_init(&c->budget, clock->now_ms);
    make_session(c);
    submit_settings(c);
    ops->on_output(&c->base);
    return &c->base;
}
