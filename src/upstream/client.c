/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker's upstream connections. See client.h.
 *
 *   acquire --idle one--> in use --on_idle--> idle --deadline, EOF--> closed
 *      |  \--one in use that has room--^
 *      \--connect, or wait for one that connects--> connecting --on_open--^
 */
#include "upstream/client.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/memory.h"
#include "http/h1.h"
#include "http/h2.h"

/* A request that must not be sent twice takes an idle connection only when it
 * was used this recently: replicas close idle ones after seconds. */
enum { RECENT_MS = 1000, IDLE_BLOCKS_KEPT = 256, REFUSALS_MAX = 3 };

struct pool {
    struct list idle; /* the most recently used first */
    uint32_t    idle_count;
    struct list shared;     /* in use, and may carry more */
    struct list connecting; /* for several requests, since it will or may carry many */
    bool        was_shared; /* the last one could */
    unsigned    stream_max; /* of the last one; 0: not known */
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
    struct http_codec      *codec; /* NULL until open */
    struct upstream_client *client;
    struct upstream_local  *local;
    struct endpoint        *endpoint;
    struct list             waits; /* whom it is being connected for */
    unsigned                wait_count;
    unsigned                given_count; /* streams, until it is settled */
    struct list             link;        /* local.busy or pool.idle */
    struct list             share_link;  /* pool.connecting, then pool.shared */
    uint64_t                started_ns;
    uint64_t                connect_us;
    uint64_t                used_ms; /* when it became idle */
    bool                    is_new;  /* connecting, or not settled yet */
    bool                    has_stream;
    bool                    is_http_1; /* no other version was offered */
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
    list_remove(&u->share_link);
    counter_move(&u->client->counters->active, -1);
    /* Other messages say themselves where they end. */
    conn_close(&u->conn, u->codec && u->codec->is_tunnel && u->codec->is_broken);
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
    list_remove(&u->share_link);
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
        close_conn(u);
}

static void on_idle(struct http_codec *c)
{
    struct upstream_conn *u = c->owner;
    u->has_stream = false;
    /* Of a new one, settle() will see what it is good for. */
    if (!u->conn.is_closed && !u->is_new) rest(u);
}

static const struct http_codec_owner_ops codec_owner_ops = {
    .on_output = on_output,
    .on_want_input = on_want_input,
    .on_idle = on_idle,
};

/* ---- what the connection tells ---- */

static void join_or_connect(struct upstream_client *c, struct upstream_local *l, struct endpoint *e,
                            struct upstream_wait *w);

static struct upstream_wait *first_wait(struct upstream_conn *u)
{
    if (list_is_empty(&u->waits)) return NULL;
    return container_of(u->waits.next, struct upstream_wait, link);
}

static void take_wait(struct upstream_wait *w)
{
    w->conn->wait_count--;
    list_remove(&w->link);
    w->conn = NULL;
}

static void make_codec(struct upstream_conn *u, bool is_h2)
{
    struct upstream *up = u->local->upstream;
    struct loop     *l = u->client->loop;
    struct http_codec *(*make)(enum http_role, const struct http_codec_owner_ops *, void *,
                               const struct http_limits *, const struct clock *,
                               struct block_pool *, bool) = is_h2 ? h2_codec_new : h1_codec_new;
    u->codec = make(HTTP_CLIENT, &codec_owner_ops, u, &up->limits, &l->clock, &l->large_blocks,
                    u->conn.tls != NULL);
    u->conn.out = &u->codec->out;
    u->conn.is_gathering = u->codec->is_shared;
    if (!u->is_http_1) pool_of(u)->was_shared = u->codec->is_shared;
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
        take_wait(w);
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
        take_wait(w);
        if (is_useless && ++w->refused_count > REFUSALS_MAX)
            w->ops->on_failed(w, CONN_RESET, "connection_closed");
        else
            join_or_connect(u->client, u->local, u->endpoint, w);
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
    if (u->codec->is_shared) pool_of(u)->stream_max = u->given_count + codec_room(u->codec);
    hand_over(u);
    if (u->conn.is_closed) return;
    if (u->has_stream && u->codec->is_shared) list_append(&pool_of(u)->shared, &u->share_link);
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
                u->endpoint->text, u->codec->abuse);
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
    if (u->is_idle && !codec_is_reusable(u->codec)) close_conn(u);
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
        close_conn(u);
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
    if (!c->is_closed && u->is_idle && !codec_is_reusable(u->codec)) close_conn(u);
}

static void fail(struct upstream_conn *u, enum conn_fault fault, const char *why)
{
    struct upstream_wait *w;
    counter_add(&u->client->counters->failed, 1);
    list_remove(&u->share_link); /* nobody else is to wait for it */
    if (u->codec) codec_feed_abort(u->codec);
    close_conn(u);
    while ((w = first_wait(u))) {
        take_wait(w);
        w->ops->on_failed(w, fault, why);
    }
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
    if (!u->codec) {
        fail(u, fault, fault_text(c, fault));
        return;
    }
    codec_feed_abort(u->codec);
    if (first_wait(u))
        fail(u, fault, fault_text(c, fault));
    else
        close_conn(u);
}

static void on_deadline(struct conn *c)
{
    struct upstream_conn *u = of_conn(c);
    if (u->is_idle)
        close_conn(u);
    else if (u->is_new)
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
    .on_flush = on_flush,
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
    outq_init(&c->no_output, &l->large_blocks);
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
    for (size_t i = 0; i < set->count; i++) {
        list_init(&l->pools[i].idle);
        list_init(&l->pools[i].shared);
        list_init(&l->pools[i].connecting);
    }
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

/* May the request go over the connection, whatever else it carries? */
static bool suits(const struct upstream_conn *u, const struct upstream_wait *w)
{
    return !w->is_upgrade || u->codec->takes_upgrade;
}

static struct upstream_conn *take_shared(struct pool *pool, const struct upstream_wait *w)
{
    LIST_EACH (it, &pool->shared) {
        struct upstream_conn *u = container_of(it, struct upstream_conn, share_link);
        if (codec_room(u->codec) && suits(u, w)) return u;
    }
    return NULL;
}

static struct upstream_conn *take_idle(struct upstream_client *c, struct pool *pool,
                                       const struct upstream_wait *w)
{
    if (pool->idle_count == 0) return NULL;
    struct upstream_conn *u = container_of(pool->idle.next, struct upstream_conn, link);
    if (w->must_be_recent && c->loop->clock.now_ms - u->used_ms > RECENT_MS) return NULL;
    if (!suits(u, w) || !codec_room(u->codec)) return NULL;
    leave_pool(u);
    list_remove(&u->link);
    list_append(&u->local->busy, &u->link);
    if (u->codec->is_shared) list_append(&pool->shared, &u->share_link);
    deadline_clear(&u->conn.deadline);
    return u;
}

static struct upstream_conn *take(struct upstream_client *c, struct pool *pool,
                                  const struct upstream_wait *w)
{
    if (w->must_be_fresh || w->preamble.len) return NULL;
    struct upstream_conn *u = take_shared(pool, w);
    if (!u) u = take_idle(c, pool, w);
    if (!u) return NULL;
    u->is_reused = true;
    counter_add(&c->counters->reused, 1);
    return u;
}

static void wait_for(struct upstream_conn *u, struct upstream_wait *w)
{
    w->conn = u;
    u->wait_count++;
    list_append(&u->waits, &w->link);
}

/* Will a new connection carry many streams, as far as is known? */
static bool is_to_be_shared(const struct upstream *up, const struct pool *pool,
                            const struct upstream_wait *w)
{
    if (w->preamble.len || (w->is_upgrade && up->protocol != PROTOCOL_SETTING_H2)) return false;
    return up->protocol == PROTOCOL_SETTING_H2 ||
           (up->protocol == PROTOCOL_SETTING_AUTO && pool->was_shared);
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
    u->started_ns = clock_mono_ns();
    u->is_new = true;
    list_init(&u->link);
    list_init(&u->share_link);
    list_init(&u->waits);
    list_append(&l->busy, &u->link);
    if (is_to_be_shared(up, pool_of(u), w)) list_append(&pool_of(u)->connecting, &u->share_link);
    counter_add(&c->counters->opened, 1);
    counter_move(&c->counters->active, 1);
    wait_for(u, w);
    u->is_http_1 = w->is_upgrade && up->protocol == PROTOCOL_SETTING_AUTO;
    struct conn_target to = {
        .address = &e->address,
        .tls = tls,
        .server_name = slice_of(e->server_name),
        .preamble = w->preamble,
        .is_http_1 = u->is_http_1,
    };
    conn_connect(&u->conn, c->loop, &conn_ops, &c->no_output, &to);
    deadline_set(c->loop, &u->conn.deadline, w->connect_ms);
}

/* One that is being made and will have room, as far as is known. */
static struct upstream_conn *find_connecting(const struct pool *pool)
{
    LIST_EACH (it, &pool->connecting) {
        struct upstream_conn *u = container_of(it, struct upstream_conn, share_link);
        if (!pool->stream_max || u->wait_count + u->given_count < pool->stream_max) return u;
    }
    return NULL;
}

/* Waits for a connection that is being made, when it will carry many, or makes one. */
static void join_or_connect(struct upstream_client *c, struct upstream_local *l, struct endpoint *e,
                            struct upstream_wait *w)
{
    struct pool          *pool = &l->pools[e->index];
    struct upstream_conn *u = is_to_be_shared(l->upstream, pool, w) ? find_connecting(pool) : NULL;
    if (u)
        wait_for(u, w);
    else
        connect_new(c, l, e, w);
}

struct http_stream *upstream_client_acquire(struct upstream_client *c, struct upstream *u,
                                            struct endpoint *e, struct upstream_wait *w)
{
    struct upstream_local *l = c->locals[u->slot];
    struct upstream_conn  *found = take(c, &l->pools[e->index], w);
    w->conn = NULL;
    list_init(&w->link);
    if (found) {
        found->has_stream = true;
        return codec_open(found->codec);
    }
    join_or_connect(c, l, e, w);
    return NULL;
}

void upstream_stream_distrust(struct http_stream *s)
{
    codec_shutdown(s->codec);
}

void upstream_client_cancel(struct upstream_wait *w)
{
    if (w->conn) take_wait(w);
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
