/* SPDX-License-Identifier: Apache-2.0
 *
 * A client's connection. See downstream.h.
 */
#include "proxy/downstream.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "http/h1.h"
#include "http/h2.h"
#include "io/proxy_protocol.h"
#include "proxy/exchange.h"

enum {
    PROXY_HEADER_MS = 5000,
    LINGER_MS = 2000,
    ONLY_REQUEST_MS = 1000,     /* for the first request, once we are stopping */
    BLANK_MS = 1000,            /* idle for so long, a connection gives its codec back */
    LINGER_BYTES = 1024 * 1024, /* discarded of what a client goes on sending */
};

static struct downstream *of_conn(struct conn *c)
{
    return container_of(c, struct downstream, conn);
}

static const struct settings *settings_of(const struct downstream *d)
{
    return d->listener->use->plan->settings;
}

/* After each request, since a connection may live for days. */
static void count_bytes(struct downstream *d)
{
    counter_add(&d->worker->stats->received_bytes, d->conn.received_bytes);
    counter_add(&d->worker->stats->sent_bytes, d->conn.sent_bytes);
    d->conn.received_bytes = d->conn.sent_bytes = 0;
}

static void close_now(struct downstream *d, bool is_reset)
{
    if (d->conn.is_closed) return;
    list_remove(&d->link);
    if (d->state == DOWNSTREAM_IDLE) counter_move(&d->worker->stats->connections_idle, -1);
    list_remove(&d->idle_link);
    count_bytes(d);
    if (d->address_place) address_limits_leave(d->listener->config->per_address, d->address_place);
    d->listener->open_count--;
    d->worker->open_count--;
    conn_close(&d->conn, is_reset);
}

/* How long an idle connection keeps its codec, or, without one, is kept itself. */
static uint64_t rest_ms(const struct downstream *d, uint64_t keep_alive_ms)
{
    return d->codec && keep_alive_ms > BLANK_MS ? BLANK_MS : keep_alive_ms;
}

/* Is it to take no more requests than it must? */
static bool is_ending(const struct downstream *d)
{
    return d->worker->is_draining || d->listener->is_stopped;
}

static bool is_leaving(const struct downstream *d)
{
    return d->is_leaving || is_ending(d);
}

/* The only writer of d->state once the connection runs: arms the state's deadline. */
static void enter(struct downstream *d, enum downstream_state state)
{
    const struct timeout_settings *t = &settings_of(d)->timeouts;
    const uint64_t                 after_ms[] = {
                        [DOWNSTREAM_PROXY_HEADER] = PROXY_HEADER_MS,
                        [DOWNSTREAM_HANDSHAKE] = t->tls_handshake,
                        [DOWNSTREAM_IDLE] = rest_ms(d, t->keep_alive),
                        [DOWNSTREAM_HEAD] = t->header,
                        [DOWNSTREAM_BUSY] = 0,
                        [DOWNSTREAM_CLOSING] = t->write_idle,
                        [DOWNSTREAM_LINGER] = LINGER_MS,
    };
    bool was_idle = d->state == DOWNSTREAM_IDLE, is_idle = state == DOWNSTREAM_IDLE;
    d->state = (uint8_t)state;
    d->has_rested = d->is_head_timed = false;
    if (was_idle != is_idle) {
        list_remove(&d->idle_link);
        if (is_idle) list_append(&d->worker->idle, &d->idle_link);
        if (is_idle) count_bytes(d);
        counter_move(&d->worker->stats->connections_idle, is_idle ? 1 : -1);
    }
    if (after_ms[state])
        deadline_set(d->worker->loop, &d->conn.deadline, after_ms[state]);
    else
        deadline_clear(&d->conn.deadline);
}

/* Everything is written: FIN first where unread input would turn a close into a reset. */
static void finish_close(struct downstream *d)
{
    if (!d->must_linger || d->conn.has_eof || d->conn.is_write_dead) {
        close_now(d, false);
        return;
    }
    conn_shutdown_write(&d->conn);
    enter(d, DOWNSTREAM_LINGER);
    conn_resume(&d->conn);
}

static void close_when_written(struct downstream *d)
{
    if (d->state >= DOWNSTREAM_CLOSING) return;
    if (d->codec) codec_prepare(d->codec);
    /* What the client is about to send on a shared connection must not make a reset of
     * the last words that it is sent. */
    if (d->codec && d->codec->is_shared) d->must_linger = true;
    enter(d, DOWNSTREAM_CLOSING);
    if (!conn_has_unsent(&d->conn)) finish_close(d);
}

/* No exchange is running; the end of what was answered may still be on its way. */
static void close_idle(struct downstream *d)
{
    if (d->codec) codec_prepare(d->codec);
    if (conn_has_unsent(&d->conn))
        close_when_written(d);
    else
        close_now(d, false);
}

/* Will the codec take no further request, and none is running? */
static bool is_over(const struct downstream *d)
{
    return d->codec && d->state < DOWNSTREAM_CLOSING && d->exchange_count == 0 &&
           !codec_is_reusable(d->codec);
}

/* The codec has given the connection up because of what the client did. */
static void tell_abuse(struct downstream *d)
{
    struct worker *w = d->worker;
    char           text[ADDRESS_TEXT_MAX];
    counter_add(&w->stats->connections_abusive, 1);
    log_bounded(w->log, &w->log_budget, w->loop->clock.now_ms, LOG_LEVEL_WARN,
                "client %.*s: its connection is closed: %s", (int)address_format_ip(&d->peer, text),
                text, d->codec->abuse);
    d->codec->abuse = NULL;
}

/* ---- what the codec asks ---- */

static void on_stream(struct http_codec *c, struct http_stream *s)
{
    struct downstream *d = c->owner;
    uint32_t           most = settings_of(d)->limits.requests_per_connection;
    if (d->state != DOWNSTREAM_BUSY) enter(d, DOWNSTREAM_BUSY);
    d->exchange_count++;
    d->request_count++;
    if ((most && d->request_count >= most) || is_ending(d)) codec_shutdown(c);
    exchange_begin(d, s);
}

static void on_output(struct http_codec *c)
{
    struct downstream *d = c->owner;
    if (c->has_ended)
        conn_shutdown_write(&d->conn);
    else
        conn_want_flush(&d->conn);
}

static void on_want_input(struct http_codec *c)
{
    struct downstream *d = c->owner;
    if (d->state < DOWNSTREAM_CLOSING) conn_resume(&d->conn);
}

/* Who got through before we stopped is served once, if he asks soon. */
static void await_only_request(struct downstream *d)
{
    enter(d, DOWNSTREAM_IDLE);
    deadline_set(d->worker->loop, &d->conn.deadline, ONLY_REQUEST_MS);
}

static void on_idle(struct http_codec *c)
{
    struct downstream *d = c->owner;
    if (d->conn.is_closed) return;
    if (c->is_broken)
        close_now(d, true);
    else if (!codec_is_reusable(c)) /* an end that is yet to be told comes after kept input */
        close_when_written(d);
    else if (is_leaving(d))
        await_only_request(d);
    else
        enter(d, DOWNSTREAM_IDLE);
}

static const struct http_codec_owner_ops codec_owner_ops = {
    .on_stream = on_stream,
    .on_output = on_output,
    .on_want_input = on_want_input,
    .on_idle = on_idle,
};

/* ---- which protocol ---- */

enum protocol { PROTOCOL_H1, PROTOCOL_H2, PROTOCOL_UNKNOWN };

static void keep_preface(struct downstream *d, const char *data, size_t len)
{
    if (!d->preface) d->preface = mem_zalloc(sizeof(*d->preface));
    buffer_put(d->preface, data, len);
}

static void drop_preface(struct downstream *d)
{
    if (!d->preface) return;
    buffer_reset(d->preface);
    free(d->preface);
    d->preface = NULL;
}

/* In the clear only who begins as HTTP/2 does speaks it (RFC 9113 section 3.3). */
static enum protocol protocol_by_preface(const struct downstream *d, struct slice data)
{
    static const char preface[] = H2_PREFACE;
    size_t            before = d->preface ? d->preface->len : 0;
    size_t            len = H2_PREFACE_TELLS_BYTES - before;
    if (len > data.len) len = data.len;
    /* What was kept so far is its beginning. */
    if (memcmp(data.data, &preface[before], len) != 0) return PROTOCOL_H1;
    return before + len == H2_PREFACE_TELLS_BYTES ? PROTOCOL_H2 : PROTOCOL_UNKNOWN;
}

/* The one place where a protocol is chosen. */
static enum protocol choose_protocol(struct downstream *d, struct slice data)
{
    const struct listener_settings *s = d->listener->config->settings;
    if (d->conn.tls) return tls_alpn(d->conn.tls) == TLS_ALPN_H2 ? PROTOCOL_H2 : PROTOCOL_H1;
    return s->http2 == HTTP2_ON ? protocol_by_preface(d, data) : PROTOCOL_H1;
}

static void make_codec(struct downstream *d, enum protocol protocol)
{
    struct worker   *w = d->worker;
    http_codec_make *make = protocol == PROTOCOL_H2 ? h2_codec_new : h1_codec_new;
    d->codec = make(HTTP_SERVER, &codec_owner_ops, d, &w->limits, &w->loop->clock,
                    &w->loop->large_blocks, d->conn.tls != NULL);
    d->conn.out = &d->codec->out;
    d->conn.is_gathering = d->codec->is_shared;
}

/* False: the bytes, which were kept, do not tell yet. */
static bool have_codec(struct downstream *d, struct slice data)
{
    if (d->codec) return true;
    enum protocol protocol = choose_protocol(d, data);
    if (protocol == PROTOCOL_UNKNOWN) {
        keep_preface(d, data.data, data.len);
        if (d->state == DOWNSTREAM_IDLE) enter(d, DOWNSTREAM_HEAD);
        return false;
    }
    make_codec(d, protocol);
    if (d->preface) codec_feed(d->codec, d->preface->data, d->preface->len);
    drop_preface(d);
    return true;
}

/* Idle for a while: the codec's memory serves others until the next request. */
static void rest(struct downstream *d)
{
    uint64_t keep_alive_ms = settings_of(d)->timeouts.keep_alive;
    codec_free(d->codec);
    d->codec = NULL;
    d->conn.out = &d->worker->no_output;
    deadline_set(d->worker->loop, &d->conn.deadline, keep_alive_ms - BLANK_MS);
}

/* PROXY header and TLS are through. */
static void open_for_requests(struct downstream *d)
{
    if (is_ending(d))
        await_only_request(d);
    else
        enter(d, DOWNSTREAM_IDLE);
}

/* Is it, idle for a while, to be kept without its codec, or until its answers have left? */
static bool may_rest(struct downstream *d)
{
    uint64_t keep_alive_ms = settings_of(d)->timeouts.keep_alive;
    if (!d->codec || d->has_rested || keep_alive_ms <= BLANK_MS || is_leaving(d)) return false;
    if (codec_is_blank(d->codec)) {
        rest(d);
        return true;
    }
    d->has_rested = true;
    deadline_set(d->worker->loop, &d->conn.deadline, keep_alive_ms - BLANK_MS);
    return true;
}

/* ---- what the connection tells ---- */

static void on_open(struct conn *c)
{
    struct downstream *d = of_conn(c);
    struct counter    *kind =
        tls_is_resumed(c->tls) ? &d->worker->stats->tls_resumed : &d->worker->stats->tls_full;
    counter_add(kind, 1);
    open_for_requests(d);
}

static struct tls_server *tls_of(const struct downstream *d)
{
    struct tls_server **servers = d->listener->config->tls;
    return servers ? servers[d->worker->index] : NULL;
}

/* A head that has begun has a deadline of its own, whatever else is running. */
static void watch_head(struct downstream *d)
{
    bool is_in_head = codec_is_in_head(d->codec);
    if (d->state == DOWNSTREAM_IDLE && is_in_head) {
        enter(d, DOWNSTREAM_HEAD);
    } else if (d->state == DOWNSTREAM_HEAD && !is_in_head) {
        enter(d, DOWNSTREAM_IDLE);
    } else if (d->state == DOWNSTREAM_BUSY && is_in_head != d->is_head_timed) {
        d->is_head_timed = is_in_head;
        if (is_in_head)
            deadline_set(d->worker->loop, &d->conn.deadline, settings_of(d)->timeouts.header);
        else
            deadline_clear(&d->conn.deadline);
    }
}

static size_t feed(struct downstream *d, const char *data, size_t len)
{
    if (!have_codec(d, slice_make(data, len))) return len;
    size_t used = codec_feed(d->codec, data, len);
    if (d->codec->abuse) tell_abuse(d);
    if (d->conn.is_closed) return len;
    watch_head(d);
    if (is_over(d)) close_idle(d);
    if (d->conn.is_closed) return len;
    if (d->state < DOWNSTREAM_CLOSING && !codec_wants_input(d->codec))
        conn_pause_watching(&d->conn);
    return used;
}

/* May `peer` have one more connection? Else it is said; the caller closes. */
static bool may_enter(struct worker_listener *wl, const struct address *peer, uint32_t *place)
{
    const struct plan_listener *config = wl->config;
    const struct clock         *clock = &wl->worker->loop->clock;
    char                        text[ADDRESS_TEXT_MAX];
    *place = 0;
    if (!config->per_address) return true;
    enum address_verdict verdict = address_limits_enter(config->per_address, &config->address_rule,
                                                        peer, clock->now_ns, place);
    if (verdict == ADDRESS_ADMITTED) return true;
    log_bounded(wl->worker->log, &wl->worker->log_budget, clock->now_ms, LOG_LEVEL_WARN,
                "client %.*s: its connection to the listener %.*s is closed: %s",
                (int)address_format_ip(peer, text), text, SLICE_ARG(config->name),
                verdict == ADDRESS_CONNECTIONS ? "it has max_connections_per_address"
                                               : "more than tls.handshakes_per_address");
    return false;
}

/* The PROXY header is through; `rest` came behind it. Returns how much was taken. */
static size_t open_behind_proxy(struct downstream *d, struct slice rest)
{
    struct tls_server *tls = tls_of(d);
    if (tls) {
        enter(d, DOWNSTREAM_HANDSHAKE);
        conn_start_tls(&d->conn, tls, rest);
        return rest.len;
    }
    open_for_requests(d);
    return rest.len && !d->conn.is_closed ? feed(d, rest.data, rest.len) : rest.len;
}

static size_t take_proxy_header(struct downstream *d, const char *data, size_t len)
{
    struct proxy_header header;
    keep_preface(d, data, len);
    enum proxy_status status = proxy_protocol_parse(d->preface->data, d->preface->len, &header);
    if (status == PROXY_NEEDS_MORE) return len;
    if (status == PROXY_INVALID) {
        log_debug(d->worker->log, "PROXY header refused: %s", header.reason);
        close_now(d, true);
        return len;
    }
    if (!header.is_local) {
        d->peer = header.src;
        if (!may_enter(d->listener, &d->peer, &d->address_place)) {
            close_now(d, true);
            return len;
        }
    }
    /* The rest where it was received: it may be lent to a queue, the preface goes now. */
    size_t taken = len - (d->preface->len - header.used);
    drop_preface(d);
    return taken + open_behind_proxy(d, slice_make(data + taken, len - taken));
}

static size_t on_input(struct conn *c, const char *data, size_t len)
{
    struct downstream *d = of_conn(c);
    if (d->state >= DOWNSTREAM_IDLE && d->state < DOWNSTREAM_CLOSING) return feed(d, data, len);
    if (d->state == DOWNSTREAM_PROXY_HEADER) return take_proxy_header(d, data, len);
    if (d->state == DOWNSTREAM_LINGER) {
        d->discarded_bytes += (uint32_t)len;
        if (d->discarded_bytes > LINGER_BYTES) close_now(d, true);
    }
    return len;
}

static void on_eof(struct conn *c)
{
    struct downstream *d = of_conn(c);
    if (d->codec && d->state < DOWNSTREAM_CLOSING) {
        if (c->is_truncated)
            codec_feed_abort(d->codec);
        else
            codec_feed_eof(d->codec);
    }
    if (c->is_closed || d->state == DOWNSTREAM_BUSY || d->state == DOWNSTREAM_CLOSING) return;
    if (d->state == DOWNSTREAM_IDLE || d->state == DOWNSTREAM_HEAD)
        close_idle(d);
    else
        close_now(d, false);
}

static void on_flush(struct conn *c)
{
    struct downstream *d = of_conn(c);
    if (d->codec) codec_prepare(d->codec);
}

static void on_sent(struct conn *c)
{
    struct downstream *d = of_conn(c);
    if (d->codec) codec_sent(d->codec);
    if (d->codec && d->codec->abuse) tell_abuse(d);
    if (c->is_closed) return;
    if (is_over(d)) close_idle(d);
    if (c->is_closed) return;
    if (d->state == DOWNSTREAM_CLOSING && !conn_has_unsent(c))
        finish_close(d);
    else if (d->state == DOWNSTREAM_CLOSING || d->has_rested)
        enter(d, d->state); /* progress: the deadline starts anew */
}

static void on_fault(struct conn *c, enum conn_fault fault)
{
    struct downstream *d = of_conn(c);
    if (fault == CONN_TLS_FAILED) {
        counter_add(&d->worker->stats->tls_failed, 1);
        log_debug(d->worker->log, "TLS handshake failed: %s", c->tls ? tls_failure(c->tls) : "?");
    } else if (d->exchange_count) {
        counter_add(&d->worker->stats->connections_reset, 1);
    }
    if (d->codec) codec_feed_abort(d->codec);
    close_now(d, false);
}

static void expire_head(struct downstream *d)
{
    if (d->codec) codec_expire(d->codec);
    if (d->codec && d->codec->abuse) tell_abuse(d);
    /* An empty line is no head that could be answered. */
    if (!d->conn.is_closed && d->state == DOWNSTREAM_HEAD) close_idle(d);
    conn_flush_all(d->conn.loop);
}

/* Idle for long enough. A client that can be told to leave is, and is served once more if
 * it was about to ask. */
static void end_idle(struct downstream *d)
{
    bool was_told = d->is_leaving;
    d->is_leaving = true;
    if (d->codec) codec_shutdown(d->codec);
    if (d->codec && codec_is_reusable(d->codec) && !was_told) {
        await_only_request(d);
        return;
    }
    counter_add(&d->worker->stats->connections_closed_idle, 1);
    close_idle(d);
}

static void on_deadline(struct conn *c)
{
    struct downstream *d = of_conn(c);
    if (d->state == DOWNSTREAM_HEAD || d->state == DOWNSTREAM_BUSY) {
        expire_head(d);
        return;
    }
    if (d->state == DOWNSTREAM_IDLE) {
        if (!may_rest(d)) end_idle(d);
        return;
    }
    close_now(d, d->state == DOWNSTREAM_CLOSING);
}

static void on_free(struct conn *c)
{
    struct downstream      *d = of_conn(c);
    struct worker          *w = d->worker;
    struct worker_listener *wl = d->listener;
    codec_free(d->codec);
    drop_preface(d);
    block_give(&w->downstream_blocks, d);
    counter_move(&w->stats->connections_active, -1);
    w->connection_count--;
    worker_listener_unref(wl);
    worker_check_drained(w);
}

static const struct conn_ops conn_ops = {
    .on_open = on_open,
    .on_input = on_input,
    .on_eof = on_eof,
    .on_flush = on_flush,
    .on_sent = on_sent,
    .on_fault = on_fault,
    .on_deadline = on_deadline,
    .on_free = on_free,
};

/* ---- the interface ---- */

/* The connection that has been idle longest; of one listener, or of all (NULL). */
static struct downstream *oldest_idle(struct worker *w, const struct worker_listener *wl)
{
    LIST_EACH (it, &w->idle) {
        struct downstream *d = container_of(it, struct downstream, idle_link);
        if (!wl || d->listener == wl) return d;
    }
    return NULL;
}

/* Room for one more? An idle connection makes it: where the listener has its own bound,
 * one of that listener's. */
static bool make_room(struct worker_listener *wl)
{
    struct worker *w = wl->worker;
    uint64_t       most = wl->config->settings ? wl->config->settings->max_connections : 0;
    bool           is_listener_full = most && wl->open_count >= most;
    if (!is_listener_full && w->open_count < w->connection_max) return true;
    counter_add(&w->stats->connections_shed, 1);
    struct downstream *idle = oldest_idle(w, is_listener_full ? wl : NULL);
    if (!idle) return false;
    close_now(idle, false);
    return true;
}

void downstream_accept(struct worker_listener *wl, int fd, const struct address *peer)
{
    struct worker *w = wl->worker;
    bool           has_proxy = cidr_set_has(&wl->config->proxy_from, peer);
    uint32_t       place = 0;
    if (!has_proxy && !may_enter(wl, peer, &place)) {
        listener_refuse(fd);
        return;
    }
    if (!make_room(wl)) {
        if (place) address_limits_leave(wl->config->per_address, place);
        close(fd);
        return;
    }
    struct downstream *d = block_take(&w->downstream_blocks);
    memset(d, 0, sizeof(*d));
    d->worker = w;
    d->listener = wl;
    d->peer = *peer;
    d->address_place = place;
    d->state = DOWNSTREAM_HANDSHAKE;
    list_init(&d->link);
    list_init(&d->idle_link);
    list_append(&w->downstreams, &d->link);
    wl->connection_count++;
    wl->open_count++;
    w->connection_count++;
    w->open_count++;
    counter_add(&w->stats->connections_accepted, 1);
    counter_move(&w->stats->connections_active, 1);

    struct tls_server *tls = tls_of(d);
    conn_accept(&d->conn, w->loop, &conn_ops, &w->no_output, fd, has_proxy ? NULL : tls);
    if (has_proxy)
        enter(d, DOWNSTREAM_PROXY_HEADER);
    else if (tls)
        enter(d, DOWNSTREAM_HANDSHAKE);
    else
        enter(d, DOWNSTREAM_IDLE);
}

void downstream_drain(struct downstream *d)
{
    if (d->conn.is_closed) return;
    d->is_leaving = true;
    if (d->codec) codec_shutdown(d->codec);
    bool may_ask = d->codec ? codec_is_reusable(d->codec) : !d->request_count;
    if (d->state == DOWNSTREAM_IDLE && may_ask)
        await_only_request(d);
    else if (d->state == DOWNSTREAM_IDLE || is_over(d))
        close_idle(d);
}

void downstream_drop(struct downstream *d, bool is_reset)
{
    if (d->codec && d->exchange_count) codec_feed_abort(d->codec);
    close_now(d, is_reset);
}

void downstream_exchange_ended(struct downstream *d, bool request_was_complete)
{
    d->exchange_count--;
    d->must_linger |= !request_was_complete;
}
