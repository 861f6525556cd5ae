/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection to a replica: what it becomes once it is open, who gets streams on it
 * as soon as it is known how many it takes, and how it ends. See client_private.h.
 *
 *   connecting --on_open--> new --settle--> in use <--> idle
 *
 * New over HTTP/2 is until the replica's SETTINGS: it carries one stream, and others wait.
 */
#include <stdlib.h>

#include "http/h1.h"
#include "http/h2.h"
#include "upstream/client_private.h"

enum { REFUSALS_MAX = 3 };

static struct upstream_conn *of_conn(struct conn *c)
{
    return container_of(c, struct upstream_conn, conn);
}

void upstream_conn_leave_pool(struct upstream_conn *u)
{
    if (!u->is_idle) return;
    u->is_idle = false;
    u->pool->idle_count--;
    u->local->idle_count--;
    counter_move(&u->client->counters->idle, -1);
}

/* There is room for a connection, or on one: whoever waits for that is told. */
static void tell_room(struct upstream_conn *u)
{
    const struct upstream *up = u->local->upstream;
    if (up->connection_max || up->endpoint_connection_max) upstream_local_wake(u->local);
}

/* After each request, since a connection may live for days. */
static void count_bytes(struct upstream_conn *u)
{
    counter_add(&u->client->counters->received_bytes, u->conn.received_bytes);
    counter_add(&u->client->counters->sent_bytes, u->conn.sent_bytes);
    u->conn.received_bytes = u->conn.sent_bytes = 0;
}

/* Is nothing on its way, either way, and would closing it leave TIME_WAIT at this end? */
static bool is_at_rest(const struct upstream_conn *u)
{
    return u->codec && !u->codec->is_shared && !u->conn.tls && !u->conn.has_peer_closed &&
           !u->is_new && codec_room(u->codec) && !conn_has_unsent(&u->conn);
}

/* One at rest ends with RST: who connects and disconnects much would else use up the local
 * ports towards a replica, and connect(2) looks for a free one ever longer. */
void upstream_conn_close(struct upstream_conn *u)
{
    if (u->conn.is_closed) return;
    bool is_reset = is_at_rest(u) || (u->codec && u->codec->is_tunnel && u->codec->is_broken);
    count_bytes(u);
    upstream_conn_leave_pool(u);
    list_remove(&u->link);
    list_remove(&u->share_link);
    u->pool->conn_count--;
    u->local->conn_count--;
    atomic_fetch_sub_explicit(&u->pool->endpoint->live->connections, 1, memory_order_relaxed);
    counter_move(&u->client->counters->active, -1);
    tell_room(u);
    /* Messages say themselves where they end, but for a tunnel's. */
    conn_close(&u->conn, is_reset);
}

static void enter_pool(struct upstream_conn *u)
{
    struct upstream *up = u->local->upstream;
    struct pool     *pool = u->pool;
    bool             is_of_use = up->idle_count_max && up->proxy_protocol == PROXY_PROTOCOL_OFF &&
                     !endpoint_is_leaving(pool->endpoint);
    if (!is_of_use) {
        upstream_conn_close(u);
        return;
    }
    if (pool->idle_count >= up->idle_count_max)
        upstream_conn_close(container_of(pool->idle.prev, struct upstream_conn, link));
    count_bytes(u);
    list_remove(&u->link);
    list_remove(&u->share_link);
    list_prepend(&pool->idle, &u->link);
    u->is_idle = true;
    u->used_ms = u->client->loop->clock.now_ms;
    pool->idle_count++;
    u->local->idle_count++;
    counter_move(&u->client->counters->idle, 1);
    tell_room(u);
    deadline_set(u->client->loop, &u->conn.deadline, up->keep_alive_ms);
}

/* ---- what the codec asks ---- */

static void on_output(struct http_codec *c)
{
    struct upstream_conn *u = c->owner;
    if (c->has_ended)
        conn_shutdown_write(&u->conn);
    else
        conn_want_flush(&u->conn);
}

static void on_want_input(struct http_codec *c)
{
    struct upstream_conn *u = c->owner;
    conn_resume(&u->conn);
}

/* No stream is open. */
static void rest(struct upstream_conn *u)
{
    if (codec_is_reusable(u->codec) && !u->conn.has_eof && !u->conn.is_write_dead)
        enter_pool(u);
    else
        upstream_conn_close(u);
}

static void on_idle(struct http_codec *c)
{
    struct upstream_conn *u = c->owner;
    u->has_stream = false;
    if (u->conn.is_closed) return;
    /* Of a new one, settle() will see what it is good for. */
    if (u->is_own)
        upstream_conn_close(u);
    else if (!u->is_new)
        rest(u);
}

static const struct http_codec_owner_ops codec_owner_ops = {
    .on_output = on_output,
    .on_want_input = on_want_input,
    .on_idle = on_idle,
};

/* ---- what the connection tells ---- */

void upstream_conn_wait(struct upstream_conn *u, struct upstream_wait *w)
{
    w->conn = u;
    u->wait_count++;
    list_append(&u->waits, &w->link);
}

static struct upstream_wait *first_wait(struct upstream_conn *u)
{
    if (list_is_empty(&u->waits)) return NULL;
    return container_of(u->waits.next, struct upstream_wait, link);
}

void upstream_conn_unwait(struct upstream_wait *w)
{
    w->conn->wait_count--;
    list_remove(&w->link);
    w->conn = NULL;
}

static void make_codec(struct upstream_conn *u, bool is_h2)
{
    struct upstream *up = u->local->upstream;
    struct loop     *l = u->client->loop;
    http_codec_make *make = is_h2 ? h2_codec_new : h1_codec_new;
    u->codec = make(HTTP_CLIENT, &codec_owner_ops, u, &up->limits, &l->clock, &l->large_blocks,
                    u->conn.tls != NULL);
    u->conn.out = &u->codec->out;
    u->conn.is_gathering = u->codec->is_shared;
    if (!u->is_http_1) u->pool->was_shared = u->codec->is_shared;
}

static void give_stream(struct upstream_conn *u, struct upstream_wait *w)
{
    u->has_stream = true;
    u->given_count++;
    w->ops->on_stream(w, codec_open(u->codec));
}

/* The first that may have a stream now. */
static struct upstream_wait *next_wait(struct upstream_conn *u)
{
    LIST_EACH (it, &u->waits) {
        struct upstream_wait *w = container_of(it, struct upstream_wait, link);
        if (!w->is_upgrade || u->codec->is_settled) return w;
    }
    return NULL;
}

/* Streams for those who wait, as many as there is room for. */
static void hand_over(struct upstream_conn *u)
{
    struct upstream_wait *w;
    while (!u->conn.is_closed && codec_room(u->codec) && (w = next_wait(u))) {
        upstream_conn_unwait(w);
        if (w->is_upgrade && !u->codec->takes_upgrade)
            w->ops->on_failed(w, CONN_CONNECT_FAILED, "upgrade_unsupported");
        else
            give_stream(u, w);
    }
}

static void fail(struct upstream_conn *u, enum conn_fault fault, const char *why);

/* For whom there is no room: others, but not one after the other without end. */
static void send_elsewhere(struct upstream_conn *u)
{
    struct upstream_wait *w;
    bool                  is_useless = !codec_is_reusable(u->codec) || !u->has_stream;
    while ((w = first_wait(u))) {
        upstream_conn_unwait(w);
        if (is_useless && ++w->refused_count > REFUSALS_MAX)
            w->ops->on_failed(w, CONN_RESET, "connection_closed");
        else
            upstream_client_connect(u->local, u->pool, w);
    }
}

/* It is known what the connection takes: those who wait have it, or others. */
static void settle(struct upstream_conn *u)
{
    u->is_new = false;
    list_remove(&u->share_link);
    deadline_clear(&u->conn.deadline);
    if (!u->codec->is_settled) {
        fail(u, CONN_RESET, "the server does not speak HTTP/2");
        return;
    }
    if (u->codec->is_shared) u->pool->stream_max = u->has_stream + codec_room(u->codec);
    hand_over(u);
    if (u->conn.is_closed) return;
    if (u->has_stream && u->codec->is_shared && !u->is_own)
        list_append(&u->pool->shared, &u->share_link);
    send_elsewhere(u);
    if (!u->has_stream && !u->conn.is_closed) rest(u);
}

static void on_open(struct conn *c)
{
    struct upstream_conn *u = of_conn(c);
    enum setting_protocol protocol = u->local->upstream->protocol;
    bool                  has_alpn = c->tls && tls_alpn(c->tls) == TLS_ALPN_H2;
    u->connect_us = (clock_mono_ns() - u->started_ns) / 1000;
    if (protocol == PROTOCOL_SETTING_H2 && c->tls && !has_alpn) {
        fail(u, CONN_TLS_FAILED, "the server does not offer HTTP/2 (ALPN)");
        return;
    }
    make_codec(u, has_alpn || (protocol == PROTOCOL_SETTING_H2 && !c->tls));
    /* Over HTTP/2 the replica's first frame says how many streams it takes; until then,
     * the deadline of connecting holds. */
    if (u->codec->is_settled)
        settle(u);
    else
        hand_over(u);
}

/* The codec has given the connection up because of what the replica did. */
static void tell_abuse(struct upstream_conn *u)
{
    struct upstream_client *c = u->client;
    if (!u->codec->abuse) return;
    log_bounded(c->loop->log, &c->log_budget, c->loop->clock.now_ms, LOG_LEVEL_WARN,
                "upstream %s: %s: its connection is closed: %s", u->local->upstream->name,
                u->pool->endpoint->text, u->codec->abuse);
    u->codec->abuse = NULL;
}

static size_t on_input(struct conn *c, const char *data, size_t len)
{
    struct upstream_conn *u = of_conn(c);
    size_t                used = codec_feed(u->codec, data, len);
    tell_abuse(u);
    if (c->is_closed) return len;
    if (u->is_new && (u->codec->is_settled || !codec_is_reusable(u->codec))) settle(u);
    if (c->is_closed) return len;
    /* Bytes that nobody asked for: a replica that breaks the protocol. */
    if (u->is_idle && !codec_is_reusable(u->codec)) upstream_conn_close(u);
    if (c->is_closed) return len;
    if (!codec_wants_input(u->codec)) conn_pause(c);
    return used;
}

static void on_eof(struct conn *c)
{
    struct upstream_conn *u = of_conn(c);
    if (!u->codec) {
        fail(u, CONN_RESET, "connection_closed");
        return;
    }
    if (c->is_truncated)
        codec_feed_abort(u->codec);
    else
        codec_feed_eof(u->codec);
    if (c->is_closed) return;
    /* An idle connection is of no use any more; a busy one still may be sending. */
    if (u->is_new)
        fail(u, CONN_RESET, "connection_closed");
    else if (u->is_idle)
        upstream_conn_close(u);
}

static void on_flush(struct conn *c)
{
    struct upstream_conn *u = of_conn(c);
    if (u->codec) codec_prepare(u->codec);
}

static void on_sent(struct conn *c)
{
    struct upstream_conn *u = of_conn(c);
    if (u->codec) codec_sent(u->codec);
    if (!c->is_closed && u->is_idle && !codec_is_reusable(u->codec)) upstream_conn_close(u);
}

static void fail(struct upstream_conn *u, enum conn_fault fault, const char *why)
{
    struct upstream_wait *w;
    counter_add(&u->client->counters->failed, 1);
    list_remove(&u->share_link); /* nobody else is to wait for it */
    if (u->codec) codec_feed_abort(u->codec);
    upstream_conn_close(u);
    while ((w = first_wait(u))) {
        upstream_conn_unwait(w);
        w->ops->on_failed(w, fault, why);
    }
}

static void on_fault(struct conn *c, enum conn_fault fault)
{
    struct upstream_conn *u = of_conn(c);
    if (!u->codec || first_wait(u)) {
        fail(u, fault, conn_fault_text(c, fault));
        return;
    }
    codec_feed_abort(u->codec);
    upstream_conn_close(u);
}

static void on_deadline(struct conn *c)
{
    struct upstream_conn *u = of_conn(c);
    if (u->is_idle)
        upstream_conn_close(u);
    else if (u->is_new)
        fail(u, CONN_CONNECT_FAILED, "connect_timeout");
}

static void on_free(struct conn *c)
{
    struct upstream_conn *u = of_conn(c);
    codec_free(u->codec);
    upstream_pool_unuse(u->pool);
    block_give(&u->client->conn_blocks, u);
}

const struct conn_ops upstream_conn_ops = {
    .on_open = on_open,
    .on_input = on_input,
    .on_eof = on_eof,
    .on_flush = on_flush,
    .on_sent = on_sent,
    .on_fault = on_fault,
    .on_deadline = on_deadline,
    .on_free = on_free,
};
