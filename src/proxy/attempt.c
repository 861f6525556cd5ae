/* SPDX-License-Identifier: Apache-2.0
 *
 * One try at one endpoint. See attempt.h.
 */
#include "proxy/attempt.h"

#include "conf/types.h"
#include "io/proxy_protocol.h"
#include "proxy/affinity.h"
#include "proxy/attempt_parts.h"
#include "proxy/downstream.h"
#include "proxy/farewell.h"
#include "proxy/transform.h"
#include "proxy/tunnel.h"

/* The endpoint has one request less. Called once an attempt. */
static void leave_endpoint(struct attempt *a)
{
    if (!a->endpoint) return;
    upstream_client_leave(&a->x->worker->upstreams, upstream_of(a), a->endpoint);
    a->endpoint = NULL;
}

void attempt_count(struct attempt *a, unsigned status)
{
    struct exchange *x = a->x;
    struct series   *s = stats_upstream(x->worker->stats, upstream_of(a)->series);
    uint64_t         now_ns = x->worker->loop->clock.now_ns;
    uint64_t         response_bytes = x->transform ? transform_fed_bytes(x) : x->response_bytes;
    series_add(s, status, a->sent_bytes, response_bytes, (now_ns - a->began_ns) / 1000);
    if (x->first_byte_ns) histogram_add(&s->first_byte, (x->first_byte_ns - a->began_ns) / 1000);
}

/* Lets go of the stream and the endpoint. */
void attempt_release(struct attempt *a)
{
    upstream_client_cancel(&a->wait);
    struct http_stream *s = a->stream;
    a->stream = NULL;
    if (s) http_stream_close(s);
    leave_endpoint(a);
}

/* ---- how the endpoint did ---- */

/* Of a response that is cut short later, its head was a success. */
void attempt_note_success(struct attempt *a)
{
    uint64_t now_ns = a->x->worker->loop->clock.now_ns;
    endpoint_note_success(a->endpoint, (now_ns - a->started_ns) / 1000, now_ns);
}

void attempt_note_failure(struct attempt *a)
{
    struct upstream *u = upstream_of(a);
    uint32_t         most = u->settings->outlier_ejection.consecutive_failures;
    uint32_t in_a_row = endpoint_note_failure(a->endpoint, a->x->worker->loop->clock.now_ns);
    if (most && in_a_row >= most && u->on_suspect) u->on_suspect(u);
}

void attempt_warn(const struct attempt *a, const char *what, const char *why)
{
    struct worker *w = a->x->worker;
    log_bounded(w->log, &w->log_budget, w->loop->clock.now_ms, LOG_LEVEL_WARN,
                "upstream %s: %s %s: %s", upstream_of(a)->name, a->endpoint->text, what, why);
}

/* The replica's answer is of no use. */
static void give_up(struct attempt *a, unsigned status, const char *reason)
{
    attempt_count(a, 0);
    http_stream_reset(a->stream);
    attempt_release(a);
    exchange_fail(a->x, status, reason);
}

/* ---- what the stream tells ---- */

static struct attempt *of_stream(struct http_stream *s)
{
    return s->owner;
}

/* What was held of the body is let go of once all of it left and it cannot be sent again: a
 * response may go on for long. */
static void let_go_of_body(const struct attempt *a)
{
    struct exchange *x = a->x;
    if (!a->stream || a->stream->unsent_bytes || (x->is_held_whole && !a->has_response)) return;
    x->is_held_whole = false;
    buffer_reset(&x->held);
}

static void begin_tunnel(struct attempt *a, struct http_head *head)
{
    a->has_response = true;
    a->has_sent_end = false;
    const char *fault = tunnel_begin(a->x, head);
    if (!fault) return;
    attempt_warn(a, "sent a bad 101", fault);
    give_up(a, 502, fault);
}

/* One that `retry_on` names? */
static bool is_bad_status(const struct attempt *a, unsigned status)
{
    const struct upstream_settings *s = upstream_of(a)->settings;
    if (!(upstream_of(a)->retry_on >> RETRY_STATUS & 1)) return false;
    for (size_t i = 0; i < s->retry_on.count; i++) {
        struct slice one = s->retry_on.items[i];
        if (conf_retry_bit(one) == 1u << RETRY_STATUS && conf_status_fits(one, status)) return true;
    }
    return false;
}

static void on_head(struct http_stream *s, struct http_head *head)
{
    struct attempt  *a = of_stream(s);
    struct exchange *x = a->x;
    x->first_byte_ns = x->worker->loop->clock.now_ns;
    if (head->status >= 500)
        attempt_note_failure(a);
    else
        attempt_note_success(a);
    if (is_bad_status(a, head->status) && attempt_retry_status(a)) return;
    if (head->status == 101) {
        begin_tunnel(a, head);
        return;
    }
    if (x->request->must_switch && head->status < 300) {
        give_up(a, 502, "upgrade_ignored");
        return;
    }
    a->has_response = true;
    let_go_of_body(a);
    affinity_respond(x, head);
    exchange_respond(x, head);
}

static void on_informational(struct http_stream *s, struct http_head *head)
{
    struct exchange *x = of_stream(s)->x;
    exchange_progress(x);
    http_stream_send_informational(x->stream, head);
}

static void on_body(struct http_stream *s, struct slice data)
{
    struct exchange *x = of_stream(s)->x;
    if (x->farewell)
        farewell_relay(x, data);
    else
        exchange_respond_body(x, data);
}

static void on_trailers(struct http_stream *s, struct http_fields *trailers)
{
    of_stream(s)->trailers = trailers;
}

static void on_end(struct http_stream *s)
{
    struct attempt  *a = of_stream(s);
    struct exchange *x = a->x;
    if (x->state == EXCHANGE_TUNNEL) {
        tunnel_replica_ended(x);
        return;
    }
    attempt_count(a, x->status);
    attempt_release(a);
    exchange_respond_end(x, a->trailers);
}

static const char *reset_text(enum http_reset why)
{
    switch (why) {
    case HTTP_RESET_CLOSED: return "upstream_closed";
    case HTTP_RESET_TRUNCATED: return "upstream_truncated";
    case HTTP_RESET_PEER: return "upstream_reset";
    case HTTP_RESET_MALFORMED: return "upstream_malformed";
    case HTTP_RESET_UNPROCESSED: return "upstream_refused";
    }
    return "upstream_reset";
}

static void on_reset(struct http_stream *s, enum http_reset why)
{
    struct attempt *a = of_stream(s);
    if (!a->is_reused || (why != HTTP_RESET_CLOSED && why != HTTP_RESET_UNPROCESSED))
        attempt_warn(a, "broke off", reset_text(why));
    const struct failure f = { why, why == HTTP_RESET_UNPROCESSED ? RETRY_CONNECT : RETRY_RESET,
                               502, reset_text(why), false };
    attempt_give_up(a, &f);
}

static void on_invalid(struct http_stream *s, const struct http_fault *fault)
{
    struct attempt *a = of_stream(s);
    attempt_warn(a, "sent a malformed response", fault->reason);
    const struct failure f = { HTTP_RESET_MALFORMED, RETRY_MALFORMED, 502,
                               reset_text(HTTP_RESET_MALFORMED), true };
    attempt_give_up(a, &f);
}

static void on_sent(struct http_stream *s, size_t sent_bytes)
{
    struct attempt *a = of_stream(s);
    a->sent_bytes += sent_bytes;
    let_go_of_body(a);
    exchange_sent_on(a->x, a->sent_bytes);
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

/* ---- sending ---- */

static void send_request(struct attempt *a)
{
    struct exchange *x = a->x;
    struct http_head head = *x->request;
    if (upstream_of(a)->host.len) head.authority = upstream_of(a)->host;
    http_stream_send_head(a->stream, &head);
    if (head.body_bytes == 0) {
        a->has_sent_end = true;
        return;
    }
    if (x->held.len) http_stream_send_body(a->stream, buffer_slice(&x->held));
    if (x->held.len && !attempt_may_repeat(a)) x->is_held_whole = false;
    if (x->request_ended) attempt_body_end(a);
}

static void on_stream(struct upstream_wait *w, struct http_stream *s)
{
    struct attempt  *a = container_of(w, struct attempt, wait);
    struct exchange *x = a->x;
    s->ops = &stream_ops;
    s->owner = a;
    s->arena = &x->arena;
    a->stream = s;
    a->is_reused = upstream_stream_is_reused(s);
    a->started_ns = x->worker->loop->clock.now_ns;
    x->attempt_ns = a->started_ns;
    x->connect_us = upstream_stream_connect_us(s);
    exchange_enter(x, EXCHANGE_RESPONSE_HEAD);
    send_request(a);
}

static void on_failed(struct upstream_wait *w, enum conn_fault fault, const char *why)
{
    struct attempt *a = container_of(w, struct attempt, wait);
    bool is_timeout = fault == CONN_CONNECT_FAILED && slice_eq(slice_of(why), S("connect_timeout"));
    if (slice_eq(slice_of(why), S("upgrade_unsupported"))) { /* no fault of the replica's */
        attempt_warn(a, "speaks HTTP/2 and takes no WebSocket over it", why);
        attempt_count(a, 0);
        attempt_release(a);
        exchange_fail(a->x, 502, why);
        return;
    }
    attempt_warn(a, "cannot be connected to", why);
    const struct failure f = {
        .why = HTTP_RESET_UNPROCESSED,
        .kind = RETRY_CONNECT,
        .status = is_timeout ? 504 : 502,
        .reason = is_timeout ? "connect_timeout" : "connect_failed",
        .needs_other = is_timeout,
    };
    attempt_give_up(a, &f);
}

static const struct upstream_wait_ops wait_ops = { on_stream, on_failed };

/* The PROXY header of the client, for upstreams that want one. */
static struct slice make_preamble(struct exchange *x, enum setting_proxy_protocol version)
{
    struct address local;
    if (version == PROXY_PROTOCOL_OFF) return slice_make("", 0);
    char *text = arena_alloc(&x->arena, PROXY_WRITE_MAX);
    conn_local(&x->downstream->conn, &local);
    size_t len =
        proxy_protocol_write(version == PROXY_PROTOCOL_V1 ? 1 : 2, &x->client, &local, text);
    return slice_make(text, len);
}

void attempt_at(struct exchange *x, struct endpoint *e, bool must_be_fresh)
{
    struct upstream *up = x->route->upstream;
    struct attempt  *a = arena_zalloc(&x->arena, sizeof(*a));
    a->x = x;
    a->endpoint = e;
    a->began_ns = x->worker->loop->clock.now_ns;
    a->wait.ops = &wait_ops;
    a->wait.connect_ms = exchange_timeouts(x)->connect;
    a->wait.must_be_fresh = must_be_fresh;
    a->wait.must_be_recent = !http_method_is_idempotent(x->request->method);
    a->wait.is_upgrade = x->request->upgrade.len != 0;
    a->wait.preamble = make_preamble(x, up->proxy_protocol);
    atomic_fetch_add_explicit(&e->live->requests, 1, memory_order_relaxed);
    x->attempt = a;
    x->endpoint = e;
    x->first_byte_ns = 0;
    exchange_enter(x, EXCHANGE_ATTEMPT);
    struct http_stream *s = upstream_client_acquire(&x->worker->upstreams, up, e, &a->wait);
    if (s) on_stream(&a->wait, s);
}

void attempt_timed_out(struct attempt *a)
{
    if (!a || !a->endpoint) return;
    if (!a->is_late) attempt_note_failure(a);
    a->is_late = true;
    attempt_warn(a, "does not answer", "response_timeout");
    if (a->stream) upstream_stream_distrust(a->stream);
}

/* Over a shared connection a replica may say that it did nothing. */
bool attempt_may_repeat(const struct attempt *a)
{
    return http_method_is_idempotent(a->x->request->method) || a->stream->codec->is_shared;
}

void attempt_body(struct attempt *a, struct slice data)
{
    if (a->stream) http_stream_send_body(a->stream, data);
}

void attempt_body_end(struct attempt *a)
{
    if (!a->stream || a->has_sent_end) return;
    a->has_sent_end = true;
    http_stream_send_end(a->stream, a->x->request_trailers);
}

void attempt_consumed(struct attempt *a, size_t bytes)
{
    if (a->stream) http_stream_consumed(a->stream, bytes);
}

void attempt_finish(struct attempt *a)
{
    attempt_count(a, a->x->status);
    attempt_release(a);
}

void attempt_cancel(struct exchange *x)
{
    struct attempt *a = x->attempt;
    upstream_client_unqueue(&x->turn);
    if (!a || !a->endpoint) return;
    if (a->stream) {
        attempt_count(a, 0);
        http_stream_reset(a->stream);
    }
    attempt_release(a);
}

size_t attempt_backlog(const struct attempt *a)
{
    return a->stream ? a->stream->unsent_bytes : 0;
}
