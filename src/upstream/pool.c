/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker's connections to one endpoint, and how long they outlive its being
 * chosen. See client_private.h.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"
#include "upstream/client_private.h"

static struct pool *pool_new(struct upstream_local *l, struct endpoint *e)
{
    struct pool *pool = mem_zalloc(sizeof(*pool));
    endpoint_ref(e);
    pool->endpoint = e;
    pool->local = l;
    list_init(&pool->idle);
    list_init(&pool->shared);
    list_init(&pool->watches);
    list_init(&pool->connecting);
    return pool;
}

static void grow(struct upstream_local *l, uint32_t slot)
{
    uint32_t count = slot + 8;
    l->pools = mem_realloc(l->pools, count * sizeof(l->pools[0]));
    memset(l->pools + l->pool_count, 0, (count - l->pool_count) * sizeof(l->pools[0]));
    l->pool_count = count;
}

struct pool *upstream_pool_make(struct upstream_local *l, struct endpoint *e)
{
    if (e->slot >= l->pool_count) grow(l, e->slot);
    return l->pools[e->slot] = pool_new(l, e);
}

static void pool_free(struct pool *pool)
{
    if (pool->local) pool->local->pools[pool->endpoint->slot] = NULL;
    endpoint_unref(pool->endpoint);
    free(pool);
}

static bool is_leaving(const struct pool *pool)
{
    return endpoint_is_leaving(pool->endpoint);
}

static void free_if_unused(struct pool *pool)
{
    if (pool->user_count) return;
    if (!pool->local || pool->is_let_go || is_leaving(pool)) pool_free(pool);
}

void upstream_pool_unuse(struct pool *pool)
{
    assert(pool->user_count);
    pool->user_count--;
    free_if_unused(pool);
}

static void close_idle(struct pool *pool)
{
    LIST_EACH_SAFE (it, &pool->idle)
        upstream_conn_close(container_of(it, struct upstream_conn, link));
}

static void tell_watches(struct pool *pool)
{
    while (!list_is_empty(&pool->watches)) {
        struct upstream_watch *w = container_of(pool->watches.next, struct upstream_watch, link);
        list_remove(&w->link);
        w->on_leaving(w);
    }
}

void upstream_pool_leave(struct pool *pool)
{
    if (!is_leaving(pool)) return;
    close_idle(pool);
    tell_watches(pool);
    free_if_unused(pool);
}

void upstream_pool_let_go(struct pool *pool)
{
    pool->is_let_go = true;
    close_idle(pool);
    free_if_unused(pool);
}

void upstream_pool_abandon(struct pool *pool)
{
    close_idle(pool);
    pool->local = NULL;
    free_if_unused(pool);
}

struct upstream_conn *upstream_pool_connecting(const struct pool *pool)
{
    LIST_EACH (it, &pool->connecting) {
        struct upstream_conn *u = container_of(it, struct upstream_conn, share_link);
        if (!pool->stream_max || u->wait_count + u->given_count < pool->stream_max) return u;
    }
    return NULL;
}

static bool has_shared_room(const struct pool *pool)
{
    LIST_EACH (it, &pool->shared)
        if (codec_room(container_of(it, struct upstream_conn, share_link)->codec)) return true;
    return upstream_pool_connecting(pool);
}

bool upstream_pool_has_room(const struct pool *pool)
{
    const struct upstream_local *l = pool->local;
    const struct upstream       *u = l->upstream;
    if (!u->endpoint_connection_max && !u->connection_max) return true;
    if (pool->idle_count || has_shared_room(pool)) return true;
    if (u->endpoint_connection_max && pool->conn_count >= u->endpoint_connection_max) return false;
    return !u->connection_max || l->conn_count < u->connection_max || l->idle_count;
}

static void close_oldest(struct pool *pool)
{
    upstream_conn_close(container_of(pool->idle.prev, struct upstream_conn, link));
}

static struct pool *most_idle(const struct upstream_local *l)
{
    struct pool *most = NULL;
    for (uint32_t i = 0; i < l->pool_count; i++)
        if (l->pools[i] && (!most || l->pools[i]->idle_count > most->idle_count))
            most = l->pools[i];
    return most;
}

void upstream_pool_make_room(struct pool *pool)
{
    const struct upstream_local *l = pool->local;
    const struct upstream       *u = l->upstream;
    uint32_t                     most = u->endpoint_connection_max;
    if (most && pool->conn_count >= most && pool->idle_count) close_oldest(pool);
    if (u->connection_max && l->conn_count >= u->connection_max && l->idle_count)
        close_oldest(most_idle(l));
}
