/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker's upstream connections. See client.h.
 *
 *   acquire --idle one--> in use --on_idle--> idle --deadline, EOF--> closed
 *      |  \--one in use that has room--^
 *      \--connect, or wait for one that connects--> connecting --on_open--^
 */
#include "upstream/client_private.h"

#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"

/* A request that must not be sent twice takes an idle connection only when it was used this
 * recently, since replicas close idle ones after seconds, and only when no end of it has come. */
enum { RECENT_MS = 1000, IDLE_BLOCKS_KEPT = 256 };

/* The budget for retries begins with what so long a time of quiet brings. */
enum { BUDGET_HEAD_START_MS = 10000 };

void upstream_client_init(struct upstream_client *c, struct loop *l, unsigned worker_index,
                          struct upstream_counters *counters)
{
    *c = (struct upstream_client){ .loop = l, .counters = counters, .worker_index = worker_index };
    block_pool_init(&c->conn_blocks, sizeof(struct upstream_conn), IDLE_BLOCKS_KEPT);
    outq_init(&c->no_output, &l->large_blocks);
}

/* ---- what is kept of an upstream ---- */

static struct upstream_peer *peer_of(const struct upstream_local *l)
{
    return &l->upstream->peers[l->client->worker_index];
}

static void local_free(struct upstream_client *c, struct upstream_local *l)
{
    if (!l) return;
    c->locals[l->upstream->slot] = NULL;
    atomic_store(&peer_of(l)->client, NULL);
    upstream_local_reset_queue(l);
    LIST_EACH_SAFE (it, &l->busy) upstream_conn_close(container_of(it, struct upstream_conn, link));
    for (uint32_t i = 0; i < l->pool_count; i++)
        if (l->pools[i]) upstream_pool_abandon(l->pools[i]);
    free(l->pools);
    balance_state_reset(&l->balance);
    free(l);
}

void upstream_client_reset(struct upstream_client *c)
{
    for (uint32_t i = 0; i < c->local_count; i++) local_free(c, c->locals[i]);
    free(c->locals);
    c->locals = NULL;
    c->local_count = 0;
}

static struct upstream_local *local_new(struct upstream_client *c, struct upstream *u)
{
    struct upstream_local *l = mem_zalloc(sizeof(*l));
    l->upstream = u;
    l->client = c;
    l->budget_ms = c->loop->clock.now_ms - BUDGET_HEAD_START_MS;
    list_init(&l->busy);
    upstream_local_init_queue(l);
    atomic_store(&peer_of(l)->is_nudged, false);
    if (c->mailbox) atomic_store(&peer_of(l)->client, c);
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
    if (!c->locals[u->slot]) c->locals[u->slot] = local_new(c, u);
    assert(c->locals[u->slot]->upstream == u);
    c->locals[u->slot]->plan_count++;
}

void upstream_client_release(struct upstream_client *c, struct upstream *u)
{
    struct upstream_local *l = c->locals[u->slot];
    if (--l->plan_count == 0) local_free(c, l);
}

struct upstream_local *upstream_local_find(const struct upstream_client *c, uint32_t slot,
                                           const struct upstream *u)
{
    struct upstream_local *l = slot < c->local_count ? c->locals[slot] : NULL;
    return l && l->upstream == u ? l : NULL;
}

static void leave_pools(struct upstream_local *l)
{
    for (uint32_t i = 0; i < l->pool_count; i++)
        if (l->pools[i]) upstream_pool_leave(l->pools[i]);
}

/* An endpoint is leaving in the upstreams that reloads have replaced as well. */
void upstream_client_sync(struct upstream_client *c, uint32_t slot, const struct upstream *u)
{
    struct upstream_local *l = upstream_local_find(c, slot, u);
    if (!l) return;
    for (uint32_t i = 0; i < c->local_count; i++)
        if (c->locals[i] && c->locals[i]->upstream->load == u->load) leave_pools(c->locals[i]);
    upstream_local_wake(l);
}

/* ---- connections ---- */

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
    if (w->must_be_recent && !conn_is_quiet(&u->conn)) return NULL;
    upstream_conn_leave_pool(u);
    list_remove(&u->link);
    list_append(&u->local->busy, &u->link);
    if (u->codec->is_shared) list_append(&pool->shared, &u->share_link);
    deadline_clear(&u->conn.deadline);
    return u;
}

static struct upstream_conn *take(struct upstream_client *c, struct pool *pool,
                                  const struct upstream_wait *w)
{
    if (w->must_be_fresh || w->must_be_own || w->preamble.len) return NULL;
    struct upstream_conn *u = take_shared(pool, w);
    if (!u) u = take_idle(c, pool, w);
    if (!u) return NULL;
    u->is_reused = true;
    counter_add(&c->counters->reused, 1);
    return u;
}

/* Will a new connection carry many streams, as far as is known? */
static bool is_to_be_shared(const struct upstream *up, const struct pool *pool,
                            const struct upstream_wait *w)
{
    if (w->must_be_own || w->preamble.len) return false;
    if (w->is_upgrade && up->protocol != PROTOCOL_SETTING_H2) return false;
    return up->protocol == PROTOCOL_SETTING_H2 ||
           (up->protocol == PROTOCOL_SETTING_AUTO && pool->was_shared);
}

static struct upstream_conn *conn_new(struct upstream_local *l, struct pool *pool)
{
    struct upstream_client *c = l->client;
    struct upstream_conn   *u = block_take(&c->conn_blocks);
    memset(u, 0, sizeof(*u));
    u->client = c;
    u->local = l;
    u->pool = pool;
    u->started_ns = clock_mono_ns();
    u->is_new = true;
    list_init(&u->link);
    list_init(&u->share_link);
    list_init(&u->waits);
    list_append(&l->busy, &u->link);
    pool->user_count++;
    pool->conn_count++;
    l->conn_count++;
    atomic_fetch_add_explicit(&pool->endpoint->live->connections, 1, memory_order_relaxed);
    counter_add(&c->counters->opened, 1);
    counter_move(&c->counters->active, 1);
    return u;
}

static void connect_new(struct upstream_local *l, struct pool *pool, struct upstream_wait *w)
{
    struct upstream        *up = l->upstream;
    struct upstream_client *c = l->client;
    const struct endpoint  *e = pool->endpoint;
    upstream_pool_make_room(pool);
    struct upstream_conn *u = conn_new(l, pool);
    if (is_to_be_shared(up, pool, w)) list_append(&pool->connecting, &u->share_link);
    upstream_conn_wait(u, w);
    u->is_own = w->must_be_own;
    u->is_http_1 = w->is_upgrade && up->protocol == PROTOCOL_SETTING_AUTO;
    struct conn_target to = {
        .address = &e->address,
        .tls = up->tls ? up->tls[c->worker_index] : NULL,
        .server_name = slice_of(e->server_name),
        .preamble = w->preamble,
        .is_http_1 = u->is_http_1,
        .speaks_first = u->is_own,
    };
    conn_connect(&u->conn, c->loop, &upstream_conn_ops, &c->no_output, &to);
    deadline_set(c->loop, &u->conn.deadline, w->connect_ms);
}

/* Waits for a connection that is being made, when it will carry many, or makes one. */
void upstream_client_connect(struct upstream_local *l, struct pool *pool, struct upstream_wait *w)
{
    bool                  may_share = is_to_be_shared(l->upstream, pool, w);
    struct upstream_conn *u = may_share ? upstream_pool_connecting(pool) : NULL;
    if (u)
        upstream_conn_wait(u, w);
    else
        connect_new(l, pool, w);
}

struct http_stream *upstream_client_acquire(struct upstream_client *c, struct upstream *u,
                                            struct endpoint *e, struct upstream_wait *w)
{
    struct upstream_local *l = c->locals[u->slot];
    struct pool           *pool = upstream_pool_of(l, e);
    struct upstream_conn  *found = take(c, pool, w);
    w->conn = NULL;
    list_init(&w->link);
    if (found) {
        found->has_stream = true;
        return codec_open(found->codec);
    }
    upstream_client_connect(l, pool, w);
    return NULL;
}

void upstream_stream_distrust(struct http_stream *s)
{
    codec_shutdown(s->codec);
}

void upstream_client_cancel(struct upstream_wait *w)
{
    struct upstream_conn *u = w->conn;
    if (!u) return;
    upstream_conn_unwait(w);
    if (u->is_own) upstream_conn_close(u);
}

void upstream_client_let_go(struct upstream_client *c, struct upstream *u, struct endpoint *e)
{
    struct upstream_local *l = upstream_local_find(c, u->slot, u);
    struct pool           *pool = l && e->slot < l->pool_count ? l->pools[e->slot] : NULL;
    if (pool && pool->endpoint == e) upstream_pool_let_go(pool);
}

bool upstream_client_watch(struct upstream_client *c, struct upstream *u, struct endpoint *e,
                           struct upstream_watch *w)
{
    if (endpoint_is_leaving(e)) return false;
    list_append(&upstream_pool_of(c->locals[u->slot], e)->watches, &w->link);
    return true;
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
