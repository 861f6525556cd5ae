/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a request. See exchange.h.
 */
#include "proxy/exchange.h"

#include "proxy/attempt.h"
#include "proxy/buffering.h"
#include "proxy/downstream.h"
#include "proxy/exchange_log.h"
#include "proxy/farewell.h"
#include "proxy/forward.h"
#include "proxy/transform.h"
#include "proxy/tunnel.h"

static const char file_short[] = "file_changed";

/* ---- the end ---- */

static void free_exchange(struct exchange *x)
{
    attempt_forget(x);
    plan_use_unref(x->worker, x->use);
    buffer_reset(&x->held);
    arena_reset(&x->arena);
    block_give(&x->worker->exchange_blocks, x);
}

/* An origin that is still to answer is told that nobody waits any more. */
static void abandon_origin(struct exchange *x)
{
    if (!x->is_origin_waiting) return;
    x->is_origin_waiting = false;
    if (x->route->origin->cancel) x->route->origin->cancel(x, x->route->origin_config);
}

static void end_filters(struct exchange *x)
{
    for (unsigned i = x->filters_run; i-- > 0;) {
        const struct plan_filter *f = &x->route->filters[i];
        if (f->ops->on_end) f->ops->on_end(x, f->config, x->filter_states[i]);
    }
}

/* Whatever was running for it is let go of; what the client has not got yet is
 * up to its connection. Memory goes at the end of the turn. */
static void finish(struct exchange *x)
{
    struct worker      *w = x->worker;
    struct http_stream *s = x->stream;
    if (x->state == EXCHANGE_TUNNEL) counter_move(&w->stats->tunnels_active, -1);
    x->state = EXCHANGE_DONE;
    deadline_remove(&x->deadline);
    farewell_end(x);
    transform_stop(x);
    reply_stream_stop(x);
    attempt_cancel(x);
    abandon_origin(x);
    end_filters(x);
    exchange_log(x);
    counter_move(&w->stats->requests_active, -1);
    downstream_exchange_ended(x->downstream, x->request_ended);
    x->stream = NULL;
    list_append(&w->ended, &x->link);
    job_queue(w->loop, &w->free_ended);
    http_stream_close(s);
}

void exchange_free_ended(struct worker *w)
{
    while (!list_is_empty(&w->ended)) {
        struct exchange *x = container_of(w->ended.next, struct exchange, link);
        list_remove(&x->link);
        free_exchange(x);
    }
}

static void break_off(struct exchange *x, const char *reason)
{
    x->reason = reason;
    http_stream_reset(x->stream);
    finish(x);
}

static void finish_if_sent(struct exchange *x)
{
    if (x->response_ended && x->stream->unsent_bytes == 0) finish(x);
}

void exchange_fail(struct exchange *x, unsigned status, const char *reason)
{
    abandon_origin(x);
    if (x->status)
        break_off(x, reason);
    else
        exchange_reply_status(x, status, reason);
}

/* ---- the response ---- */

static void run_response_filters(struct exchange *x, struct http_head *head)
{
    for (size_t i = x->route->filter_count; i-- > 0;) {
        const struct plan_filter *f = &x->route->filters[i];
        bool                      is_due = i < x->filters_run || f->ops->on_response_always;
        if (f->ops->on_response && is_due)
            f->ops->on_response(x, f->config, x->filter_states[i], head);
    }
}

void exchange_respond(struct exchange *x, struct http_head *head)
{
    run_response_filters(x, head);
    x->status = head->status;
    x->response_body_bytes = head->body_bytes;
    http_stream_send_head(x->stream, head);
    exchange_enter(x, EXCHANGE_RELAY);
}

void exchange_switch(struct exchange *x, struct http_head *head)
{
    counter_add(&x->worker->stats->tunnels, 1);
    counter_move(&x->worker->stats->tunnels_active, 1);
    run_response_filters(x, head);
    x->status = head->status;
    x->response_body_bytes = -1;
    http_stream_send_head(x->stream, head);
    exchange_enter(x, EXCHANGE_TUNNEL);
}

void exchange_finish_tunnel(struct exchange *x)
{
    if (!x->request_ended || !x->response_ended) return;
    if (x->stream->unsent_bytes || attempt_backlog(x->attempt)) return;
    attempt_finish(x->attempt);
    finish(x);
}

void exchange_respond_body(struct exchange *x, struct slice data)
{
    if (x->transform) {
        transform_feed(x, data);
    } else {
        x->response_bytes += data.len;
        http_stream_send_body(x->stream, data);
    }
    exchange_progress(x);
}

/* Did the head say it all? Then the codec has ended the message by itself. */
static bool has_no_body(const struct exchange *x, int64_t body_bytes)
{
    return body_bytes == 0 || http_status_has_no_body(x->status) ||
           (x->request && x->request->method == HTTP_HEAD);
}

void exchange_respond_end(struct exchange *x, struct http_fields *trailers)
{
    if (x->transform) transform_finish(x, trailers);
    if (!has_no_body(x, x->response_body_bytes)) http_stream_send_end(x->stream, trailers);
    x->response_ended = true;
    finish_if_sent(x);
}

static void send_reply(struct exchange *x)
{
    struct http_head *head = x->reply.head;
    struct slice      body = x->reply.body;
    x->reply.head = NULL;
    x->status = head->status;
    x->response_body_bytes = head->body_bytes;
    http_stream_send_head(x->stream, head);
    bool has_body = !has_no_body(x, head->body_bytes);
    if (has_body) exchange_respond_body(x, body);
    exchange_progress(x);
    if (has_body && x->reply_stream.next)
        reply_stream_pump(x);
    else
        exchange_respond_end(x, NULL);
}

/* No head of a response, or no more of the request, in time. */
static void await_no_more(struct exchange *x)
{
    bool is_client = exchange_awaits_body(x);
    x->is_late = is_client;
    if (!is_client && x->state == EXCHANGE_RESPONSE_HEAD && attempt_try_again(x)) return;
    if (!is_client) attempt_timed_out(x->attempt);
    attempt_cancel(x);
    exchange_fail(x, is_client ? 408 : 504, is_client ? "body_timeout" : "response_timeout");
}

static void end_tunnel(struct exchange *x)
{
    if (x->farewell && farewell_goes_on(x)) return;
    break_off(x, x->reason ? x->reason : "tunnel_idle");
}

static void on_deadline(struct deadline *d)
{
    struct exchange *x = container_of(d, struct exchange, deadline);
    struct loop     *l = x->worker->loop;
    if (x->state == EXCHANGE_TUNNEL) {
        end_tunnel(x);
    } else if (x->state == EXCHANGE_RELAY) {
        bool is_client = x->stream->unsent_bytes > 0;
        if (!is_client) attempt_timed_out(x->attempt);
        break_off(x, is_client ? "write_timeout" : "response_timeout");
    } else if (x->state == EXCHANGE_REPLY_LOCAL) {
        if (x->is_origin_waiting)
            exchange_fail(x, 504, "origin_timeout");
        else if (x->reply.head)
            send_reply(x); /* the rest of the request is not worth more waiting */
        else
            break_off(x, "write_timeout");
    } else if (x->state == EXCHANGE_WAIT && x->wait == WAIT_BODY) {
        x->is_late = true;
        exchange_fail(x, 408, "body_timeout");
    } else if (x->state == EXCHANGE_WAIT) {
        attempt_wait_over(x);
    } else {
        await_no_more(x);
    }
    conn_flush_all(l);
}

/* Is the rest of the request short enough to be awaited, so that the connection
 * can be kept? */
static bool is_worth_awaiting(const struct exchange *x)
{
    return !x->request_ended && x->request && !x->request->expects_continue &&
           x->request->body_bytes > 0 && x->request->body_bytes <= EXCHANGE_HELD_MAX &&
           !x->is_invalid && !x->is_late;
}

void exchange_send_local(struct exchange *x, struct http_head *head, struct slice body)
{
    run_response_filters(x, head);
    x->reply = (struct local_reply){ head, body };
    x->is_origin_waiting = false;
    if (x->state == EXCHANGE_REPLY_LOCAL)
        exchange_progress(x);
    else
        exchange_enter(x, EXCHANGE_REPLY_LOCAL);
    attempt_cancel(x);
    http_stream_consumed(x->stream, x->received_bytes - x->consumed_bytes);
    x->consumed_bytes = x->received_bytes;
    if (!is_worth_awaiting(x)) send_reply(x);
}

/* ---- the request ---- */

static void start_answer(struct exchange *x)
{
    if (x->route->upstream) {
        forward_rewrite(x);
        tunnel_rewrite(x);
        if (!buffering_begin(x)) attempt_start(x);
        return;
    }
    x->is_origin_waiting = true;
    exchange_enter(x, EXCHANGE_REPLY_LOCAL);
    x->route->origin->start(x, x->route->origin_config);
}

static void run_request_filters(struct exchange *x)
{
    while (x->filter_next < x->route->filter_count) {
        unsigned                  i = x->filter_next++;
        const struct plan_filter *f = &x->route->filters[i];
        x->filters_run = x->filter_next;
        if (!f->ops->on_request) continue;
        if (f->ops->on_request(x, f->config, &x->filter_states[i]) != FILTER_CONTINUE) return;
    }
    start_answer(x);
}

void exchange_continue(struct exchange *x)
{
    if (x->state == EXCHANGE_REQUEST_FILTERS) run_request_filters(x);
}

/* The host as routing sees it: lower case, without port and final dot. */
static struct slice plain_host(struct exchange *x, struct slice authority)
{
    struct slice host = authority;
    size_t       end = authority.len && authority.data[0] == '[' ? slice_find(authority, ']') : 0;
    size_t       colon = end + slice_find(slice_from(authority, end), ':');
    bool         is_lower = true;
    host.len = colon;
    if (host.len && host.data[host.len - 1] == '.') host.len--;
    for (size_t i = 0; i < host.len; i++) is_lower &= !(host.data[i] >= 'A' && host.data[i] <= 'Z');
    if (is_lower) return host;
    char *copy = arena_alloc(&x->arena, host.len);
    for (size_t i = 0; i < host.len; i++)
        copy[i] = (char)(host.data[i] | (host.data[i] >= 'A' && host.data[i] <= 'Z' ? 0x20 : 0));
    return slice_make(copy, host.len);
}

/* May this connection's certificate speak for the host? RFC 9110 section 7.4. */
static bool is_misdirected(const struct exchange *x)
{
    const struct conn          *c = &x->downstream->conn;
    const struct plan_listener *l = x->downstream->listener->config;
    if (!c->tls) return false;
    struct slice sni = tls_sni(c->tls);
    if (sni.len == 0 || slice_eq(sni, x->host) || !l->tls) return false;
    return !tls_server_covers(l->tls[x->worker->index], c->tls, x->host);
}

static bool has_encoded_slash(struct slice path)
{
    for (size_t i = 0; i + 2 < path.len; i++)
        if (path.data[i] == '%' && ((path.data[i + 1] == '2' && path.data[i + 2] == 'F') ||
                                    (path.data[i + 1] == '5' && path.data[i + 2] == 'C')))
            return true;
    return false;
}

static const struct plan_route *find_route(struct exchange *x)
{
    const struct plan          *p = x->use->plan;
    const struct plan_listener *l = x->downstream->listener->config;
    if (l->only_route) return l->only_route;
    struct router_query q = { x->host, x->request, (uint16_t)(l - p->listeners) };
    struct router_match m = router_find(p->router, &q, x->worker->router_scratch);
    return m.route == ROUTER_NONE ? NULL : &p->routes[m.route];
}

/* Finds the route and checks what only it can say. False: answered. */
static bool route_request(struct exchange *x)
{
    const struct http_head  *head = x->request;
    const struct plan_route *route;
    x->host = plain_host(x, head->authority);
    forward_identify(x);
    if (is_misdirected(x)) {
        exchange_reply_status(x, 421, "misdirected_request");
        return false;
    }
    if (!(route = find_route(x))) {
        counter_add(&x->worker->stats->requests_unrouted, 1);
        exchange_reply_status(x, 404, "no_route");
        return false;
    }
    x->route = route;
    x->path = head->path;
    uint64_t most = route->policy->max_body;
    if (most && head->body_bytes > 0 && (uint64_t)head->body_bytes > most) {
        exchange_reply_status(x, 413, "body_too_large");
        return false;
    }
    if (x->use->plan->limits.allows_encoded_slash && !route->policy->allow_encoded_slash &&
        has_encoded_slash(head->path)) {
        exchange_reply_status(x, 400, "encoded_slash");
        return false;
    }
    return tunnel_judge(x);
}

static struct exchange *of_stream(struct http_stream *s)
{
    return s->owner;
}

static void on_head(struct http_stream *s, struct http_head *head)
{
    struct exchange *x = of_stream(s);
    x->request = head;
    x->started_ns = x->worker->loop->clock.now_ns;
    exchange_enter(x, EXCHANGE_ROUTE);
    if (!route_request(x)) return;
    exchange_enter(x, EXCHANGE_REQUEST_FILTERS);
    run_request_filters(x);
}

/* Room for what may be held: what is lent to a replica's connection must not move. */
static void make_room(struct exchange *x)
{
    int64_t all = x->request->body_bytes;
    if (x->held.data) return;
    buffer_reserve(&x->held, all > 0 && all < EXCHANGE_HELD_MAX ? (size_t)all : EXCHANGE_HELD_MAX);
}

/* Keeps a piece of the body for sending it later, or again. */
static void hold(struct exchange *x, struct slice data)
{
    struct attempt *a = x->attempt;
    bool            is_sent = a && a->stream;
    if (!x->is_held_whole) return;
    if (is_sent && !attempt_may_repeat(a)) {
        x->is_held_whole = false;
        return;
    }
    make_room(x);
    if (is_sent && data.len > x->held.capacity - x->held.len - 1)
        x->is_held_whole = false;
    else
        buffer_put(&x->held, data.data, data.len);
}

/* A body that trickles holds a replica for nothing, as long as the replica has not begun
 * to answer: then it is a conversation. Nor do gRPC's messages come at a rate. Only the
 * time counts in which the client was the one to wait for. */
static bool is_too_slow(const struct exchange *x)
{
    uint64_t ms = (x->worker->loop->clock.now_ns - x->body_ns) / 1000000;
    uint64_t rate = x->use->plan->settings->limits.body_min_rate;
    if (!x->body_ns || !rate || x->state == EXCHANGE_RELAY || ms <= exchange_timeouts(x)->body_idle)
        return false;
    return x->consumed_bytes == x->received_bytes && x->received_bytes < rate * (ms / 1000) &&
           !exchange_is_grpc(x);
}

/* The answer is our own. It does not wait for a body that trickles, and a body that goes
 * on does not keep a client that takes nothing of it. */
static void discard_body(struct exchange *x, size_t len, bool is_slow)
{
    x->consumed_bytes += len;
    http_stream_consumed(x->stream, len);
    if (!x->reply.head) return;
    if (is_slow)
        send_reply(x);
    else
        exchange_progress(x);
}

static void on_tunnel_body(struct exchange *x, struct slice data)
{
    if (x->request_ended || (x->farewell && !farewell_lets_pass(x, data))) {
        http_stream_consumed(x->stream, data.len);
        return;
    }
    x->received_bytes += data.len;
    attempt_body(x->attempt, data);
    exchange_progress(x);
}

static void on_body(struct http_stream *s, struct slice data)
{
    struct exchange *x = of_stream(s);
    if (x->state == EXCHANGE_TUNNEL) {
        on_tunnel_body(x, data);
        return;
    }
    uint64_t most = x->route->policy->max_body;
    bool     is_slow = is_too_slow(x);
    if (!x->body_ns) x->body_ns = x->worker->loop->clock.now_ns;
    x->received_bytes += data.len;
    if (most && x->received_bytes > most && x->state != EXCHANGE_REPLY_LOCAL) {
        exchange_fail(x, 413, "body_too_large");
        return;
    }
    if (is_slow && x->state != EXCHANGE_REPLY_LOCAL) {
        exchange_fail(x, 408, "body_too_slow");
        return;
    }
    if (x->state == EXCHANGE_REPLY_LOCAL) {
        discard_body(x, data.len, is_slow);
        return;
    }
    if (buffering_take(x, data)) return;
    hold(x, data);
    if (x->attempt) attempt_body(x->attempt, data);
    exchange_progress(x);
}

void exchange_sent_on(struct exchange *x, uint64_t total_bytes)
{
    if (total_bytes > x->received_bytes) total_bytes = x->received_bytes; /* a Close of our own */
    if (x->state == EXCHANGE_DONE || total_bytes <= x->consumed_bytes) return;
    size_t more = total_bytes - x->consumed_bytes;
    x->consumed_bytes = total_bytes;
    http_stream_consumed(x->stream, more);
    exchange_progress(x);
    if (x->state == EXCHANGE_TUNNEL) exchange_finish_tunnel(x);
}

static void on_trailers(struct http_stream *s, struct http_fields *trailers)
{
    of_stream(s)->request_trailers = trailers;
}

static void on_end(struct http_stream *s)
{
    struct exchange *x = of_stream(s);
    if (x->state == EXCHANGE_TUNNEL) {
        tunnel_client_ended(x);
        return;
    }
    x->request_ended = true;
    if (x->state == EXCHANGE_REPLY_LOCAL) {
        if (x->reply.head) send_reply(x);
        return;
    }
    if (buffering_end(x)) return;
    if (x->attempt) attempt_body_end(x->attempt);
    exchange_progress(x);
}

static void on_invalid(struct http_stream *s, const struct http_fault *fault)
{
    struct exchange *x = of_stream(s);
    enum stats_invalid class = stats_invalid_class(fault->status);
    counter_add(&x->worker->stats->requests_invalid[class], 1);
    x->is_invalid = true;
    if (x->reply.head) {
        send_reply(x);
        return;
    }
    exchange_fail(x, fault->status, fault->reason);
}

static void on_reset(struct http_stream *s, enum http_reset why)
{
    struct exchange *x = of_stream(s);
    x->reason = why == HTTP_RESET_TRUNCATED ? "client_truncated" : "client_closed";
    if (reply_stream_is_short(x)) x->reason = file_short;
    finish(x);
}

static void go_on_streaming(struct exchange *x)
{
    if (reply_stream_is_short(x))
        break_off(x, file_short);
    else if (x->response_ended)
        finish_if_sent(x);
    else if (!x->downstream->conn.is_write_dead) /* what is written to that one is dropped */
        reply_stream_queue(x);
}

static void on_sent(struct http_stream *s, size_t sent_bytes)
{
    struct exchange *x = of_stream(s);
    if (x->farewell) sent_bytes = farewell_sent(x, sent_bytes);
    if (x->transform) sent_bytes = transform_consume(x);
    if (x->attempt) attempt_consumed(x->attempt, sent_bytes);
    exchange_progress(x);
    if (x->state == EXCHANGE_TUNNEL)
        exchange_finish_tunnel(x);
    else if (x->reply_stream.next)
        go_on_streaming(x);
    else
        finish_if_sent(x);
}

static const struct http_stream_ops stream_ops = {
    .on_head = on_head,
    .on_body = on_body,
    .on_trailers = on_trailers,
    .on_end = on_end,
    .on_invalid = on_invalid,
    .on_reset = on_reset,
    .on_sent = on_sent,
};

void exchange_begin(struct downstream *d, struct http_stream *s)
{
    struct worker   *w = d->worker;
    struct exchange *x = block_take(&w->exchange_blocks);
    memset(x, 0, sizeof(*x));
    x->stream = s;
    x->downstream = d;
    x->worker = w;
    /* Of a listener that a reload removed: the plan that its configuration is in. */
    x->use = d->listener->use;
    plan_use_ref(x->use);
    x->route = x->use->plan->no_route;
    x->ask.random = &w->loop->random;
    x->is_held_whole = true;
    x->started_ns = w->loop->clock.now_ns;
    arena_init(&x->arena, &w->loop->small_blocks);
    deadline_init(&x->deadline, on_deadline);
    list_init(&x->link);
    counter_move(&w->stats->requests_active, 1);
    s->ops = &stream_ops;
    s->owner = x;
    s->arena = &x->arena;
}
