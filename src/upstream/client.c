/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker's upstream connections. See client.h.
 *
 *   acquire --idle one--> in use --on_idle--> idle --deadline, EOF--> closed
 *      \--connect--> connecting --on_open--^
 */
#include "upstream/client.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/memory.h"
#include "http/h1.h"

/* A request that must not be sent twice takes an idle connection only when it
 * was used this recently: replicas close idle ones after seconds. */
enum { RECENT_MS = 1000, IDLE_BLOCKS_KEPT = 256 };

struct pool {
    struct list idle; /* the most recently used first */
    uint32_t    idle_count;
};

struct upstream_local {
    struct upstream *upstream;
    uint32_t         plan_count; /* this worker's plans that name it */
    struct list      busy;       /* connecting or with a stream */
    void            *balance_state;
    size_t           pool_count;
    struct pool      pools[]; /* by endpoint->index */
};

struct upstream_conn {
    struct conn             conn;
    struct http_codec      *codec;
    struct upstream_client *client;
    struct upstream_local  *local;
    struct endpoint        *endpoint;
    struct upstream_wait   *wait; /* whom it is being connected for, or NULL */
    struct list             link; /* local.busy or pool.idle */
    uint64_t                started_ns;
    uint64_t                connect_us;
    uint64_t                used_ms; /* when it became idle */
    bool                    is_idle;
    bool                    is_reused;
};

static struct upstream_conn *of_conn(struct conn *c)
{
    return container_of(c, struct upstream_conn, conn);
}

static struct pool *pool_of(struct upstream_conn *u)
{
    return &u->local->pools[u->endpoint->index];
}

static void leave_pool(struct upstream_conn *u)
{
    if (!u->is_idle) return;
    u->is_idle = false;
    pool_of(u)->idle_count--;
    counter_move(&u->client->counters->idle, -1);
}

/* After each request, since a connection may live for days. */
static void count_bytes(struct upstream_conn *u)
{
    counter_add(&u->client->counters->received_bytes, u->conn.received_bytes);
    counter_add(&u->client->counters->sent_bytes, u->conn.sent_bytes);
    u->conn.received_bytes = u->conn.sent_bytes = 0;
}

static void close_conn(struct upstream_conn *u)
{
    if (u->conn.is_closed) return;
    count_bytes(u);
    leave_pool(u);
    list_remove(&u->link);
    counter_move(&u->client->counters->active, -1);
    conn_close(&u->conn, false);
}

static void enter_pool(struct upstream_conn *u)
{
    struct upstream *up = u->local->upstream;
    struct pool     *pool = pool_of(u);
    if (up->idle_count_max == 0 || up->proxy_protocol != PROXY_PROTOCOL_OFF) {
        close_conn(u);
        return;
    }
    if (pool->idle_count >= up->idle_count_max)
        close_conn(container_of(pool->idle.prev, struct upstream_conn, link));
    count_bytes(u);
    list_remove(&u->link);
    list_prepend(&pool->idle, &u->link);
    u->is_idle = true;
    u->used_ms = u->client->loop->clock.now_ms;
    pool->idle_count++;
    counter_move(&u->client->counters->idle, 1);
    deadline_set(u->client->loop, &u->conn.deadline, up->keep_alive_ms);
}

/* ---- what the codec asks ---- */

static void on_output(struct http_codec *c)
{
    struct upstream_conn *u = c->owner;
    conn_want_flush(&u->conn);
}

static void on_want_input(struct http_codec *c)
{
    struct upstream_conn *u = c->owner;
    conn_resume(&u->conn);
}

static void on_idle(struct http_codec *c)
{
    struct upstream_conn *u = c->owner;
    if (u->conn.is_closed) return;
    if (codec_is_reusable(c) && !u->conn.has_eof && !u->conn.is_write_dead)
        enter_pool(u);
    else
        close_conn(u);
}

static const struct http_codec_owner_ops codec_owner_ops = {
    .on_output = on_output,
    .on_want_input = on_want_input,
    .on_idle = on_idle,
};

/* ---- what the connection tells ---- */

static void hand_over(struct upstream_conn *u)
{
    struct upstream_wait *w = u->wait;
    u->wait = NULL;
    if (!w) {
        enter_pool(u);
        return;
    }
    w->conn = NULL;
    w->ops->on_stream(w, codec_open(u->codec));
}

static void on_open(struct conn *c)
{
    struct upstream_conn *u = of_conn(c);
    u->connect_us = (clock_mono_ns() - u->started_ns) / 1000;
    deadline_clear(&c->deadline);
    hand_over(u);
}

static size_t on_input(struct conn *c, const char *data, size_t len)
{
    struct upstream_conn *u = of_conn(c);
    size_t                used = codec_feed(u->codec, data, len);
    if (c->is_closed) return len;
    /* Bytes that nobody asked for: a replica that breaks the protocol. */
    if (u->is_idle && !codec_is_reusable(u->codec)) {
        close_conn(u);
        return len;
    }
    if (!codec_wants_input(u->codec)) conn_pause(c);
    return used;
}

static void on_eof(struct conn *c)
{
    struct upstream_conn *u = of_conn(c);
    if (c->is_truncated)
        codec_feed_abort(u->codec);
    else
        codec_feed_eof(u->codec);
    /* An idle connection is of no use any more; a busy one still may be sending. */
    if (u->is_idle) close_conn(u);
}

static void on_sent(struct conn *c)
{
    codec_sent(of_conn(c)->codec);
}

static void fail(struct upstream_conn *u, enum conn_fault fault, const char *why)
{
    struct upstream_wait *w = u->wait;
    u->wait = NULL;
    counter_add(&u->client->counters->failed, 1);
    close_conn(u);
    if (!w) return;
    w->conn = NULL;
    w->ops->on_failed(w, fault, why);
}

static const char *fault_text(const struct conn *c, enum conn_fault fault)
{
    if (c->connect_errno == EMFILE || c->connect_errno == ENFILE)
        return "the gate is out of file descriptors";
    switch (fault) {
    case CONN_CONNECT_REFUSED: return "connect_refused";
    case CONN_CONNECT_FAILED: return "connect_failed";
    case CONN_TLS_FAILED: return c->tls ? tls_failure(c->tls) : "tls_failed";
    case CONN_RESET: return "connection_reset";
    }
    return "connection_failed";
}

static void on_fault(struct conn *c, enum conn_fault fault)
{
    struct upstream_conn *u = of_conn(c);
    if (c->is_connecting || c->is_handshaking || u->wait) {
        fail(u, fault, fault_text(c, fault));
        return;
    }
    codec_feed_abort(u->codec);
    close_conn(u);
}

static void on_deadline(struct conn *c)
{
    struct upstream_conn *u = of_conn(c);
    if (u->is_idle)
        close_conn(u);
    else if (c->is_connecting || c->is_handshaking)
        fail(u, CONN_CONNECT_FAILED, "connect_timeout");
}

static void on_free(struct conn *c)
{
    struct upstream_conn *u = of_conn(c);
    codec_free(u->codec);
    block_give(&u->client->conn_blocks, u);
}

static const struct conn_ops conn_ops = {
    .on_open = on_open,
    .on_input = on_input,
    .on_eof = on_eof,
    .on_sent = on_sent,
    .on_fault = on_fault,
    .on_deadline = on_deadline,
    .on_free = on_free,
};

/* ---- the interface ---- */

void upstream_client_init(struct upstream_client *c, struct loop *l, unsigned worker_index,
                          struct upstream_counters *counters)
{
    *c = (struct upstream_client){ .loop = l, .counters = counters, .worker_index = worker_index };
    block_pool_init(&c->conn_blocks, sizeof(struct upstream_conn), IDLE_BLOCKS_KEPT);
}

static void close_list(struct list *head)
{
    LIST_EACH_SAFE (it, head) close_conn(container_of(it, struct upstream_conn, link));
}

static void local_free(struct upstream_client *c, struct upstream_local *l)
{
    if (!l) return;
    c->locals[l->upstream->slot] = NULL;
    close_list(&l->busy);
    for (size_t i = 0; i < l->pool_count; i++) close_list(&l->pools[i].idle);
    free(l->balance_state);
    free(l);
}

void upstream_client_reset(struct upstream_client *c)
{
    for (uint32_t i = 0; i < c->local_count; i++) local_free(c, c->locals[i]);
    free(c->locals);
    c->locals = NULL;
    c->local_count = 0;
}

static struct upstream_local *local_new(struct upstream *u)
{
    const struct endpoint_set *set = atomic_load_explicit(&u->set, memory_order_acquire);
    struct upstream_local     *l = mem_zalloc(sizeof(*l) + set->count * sizeof(l->pools[0]));
    l->upstream = u;
    l->pool_count = set->count;
    l->balance_state = mem_zalloc(u->balance->state_bytes(set->count));
    list_init(&l->busy);
    for (size_t i = 0; i < set->count; i++) list_init(&l->pools[i].idle);
    return l;
}

void upstream_client_adopt(struct upstream_client *c, struct upstream *u)
{
    if (u->slot >= c->local_count) {
        uint32_t count = u->slot + 16;
        c->locals = mem_realloc(c->locals, count * sizeof(struct upstream_local *));
        memset(c->locals + c->local_count, 0,
               (count - c->local_count) * sizeof(struct upstream_local *));
        c->local_count = count;
    }
    if (!c->locals[u->slot]) c->locals[u->slot] = local_new(u);
    assert(c->locals[u->slot]->upstream == u);
    c->locals[u->slot]->plan_count++;
}

void upstream_client_release(struct upstream_client *c, struct upstream *u)
{
    struct upstream_local *l = c->locals[u->slot];
    if (--l->plan_count == 0) local_free(c, l);
}

struct endpoint *upstream_client_choose(struct upstream_client *c, struct upstream *u,
                                        struct balance_ask *ask)
{
    return balance_choose(u->balance, c->locals[u->slot]->balance_state,
                          atomic_load_explicit(&u->set, memory_order_acquire), ask);
}

static struct upstream_conn *take_idle(struct upstream_client *c, struct pool *pool,
                                       const struct upstream_wait *w)
{
    if (pool->idle_count == 0 || w->must_be_fresh || w->preamble.len) return NULL;
    struct upstream_conn *u = container_of(pool->idle.next, struct upstream_conn, link);
    if (w->must_be_recent && c->loop->clock.now_ms - u->used_ms > RECENT_MS) return NULL;
    leave_pool(u);
    list_remove(&u->link);
    list_append(&u->local->busy, &u->link);
    deadline_clear(&u->conn.deadline);
    u->is_reused = true;
    counter_add(&c->counters->reused, 1);
    return u;
}

static void connect_new(struct upstream_client *c, struct upstream_local *l, struct endpoint *e,
                        struct upstream_wait *w)
{
    struct upstream      *up = l->upstream;
    struct upstream_conn *u = block_take(&c->conn_blocks);
    struct tls_client    *tls = up->tls ? up->tls[c->worker_index] : NULL;
    memset(u, 0, sizeof(*u));
    u->client = c;
    u->local = l;
    u->endpoint = e;
    u->wait = w;
    u->started_ns = clock_mono_ns();
    u->codec = h1_codec_new(HTTP_CLIENT, &codec_owner_ops, u, &up->limits, &c->loop->clock,
                            &c->loop->large_blocks, tls != NULL);
    list_init(&u->link);
    list_append(&l->busy, &u->link);
    counter_add(&c->counters->opened, 1);
    counter_move(&c->counters->active, 1);
    w->conn = u;
    struct conn_target to = { &e->address, tls, slice_of(e->server_name), w->preamble };
    conn_connect(&u->conn, c->loop, &conn_ops, &u->codec->out, &to);
    deadline_set(c->loop, &u->conn.deadline, w->connect_ms);
}

struct http_stream *upstream_client_acquire(struct upstream_client *c, struct upstream *u,
                                            struct endpoint *e, struct upstream_wait *w)
{
    struct upstream_local *l = c->locals[u->slot];
    struct upstream_conn  *idle = take_idle(c, &l->pools[e->index], w);
    w->conn = NULL;
    if (idle) return codec_open(idle->codec);
    connect_new(c, l, e, w);
    return NULL;
}

void upstream_client_cancel(struct upstream_wait *w)
{
    if (!w->conn) return;
    w->conn->wait = NULL;
    w->conn = NULL;
}

bool upstream_stream_is_reused(const struct http_stream *s)
{
    const struct upstream_conn *u = s->codec->owner;
    return u->is_reused;
}

uint64_t upstream_stream_connect_us(const struct http_stream *s)
{
    const struct upstream_conn *u = s->codec->owner;
    return u->is_reused ? 0 : u->connect_us;
}
