/* SPDX-License-Identifier: Apache-2.0
 *
 * What client.c (who gets which connection), choice.c (which endpoint, and whose turn it is)
 * and connection.c (the life of one) share. Nobody else includes it.
 */
#pragma once

#include <assert.h>

#include "upstream/client.h"

/* A worker's connections to one endpoint. */
struct pool {
    struct endpoint       *endpoint; /* a reference */
    struct upstream_local *local;    /* NULL: the worker has let go of the upstream */
    struct list            idle;     /* the most recently used first */
    uint32_t               idle_count;
    uint32_t               conn_count; /* not closed */
    uint64_t               user_count; /* requests that named it, connections not freed */
    struct list            shared;     /* in use, and may carry more */
    struct list            watches;    /* upstream_watch: of requests */
    struct list            connecting; /* for several requests, since it will or may carry many */
    bool                   was_shared; /* the last one could */
    bool                   is_let_go;  /* freed after its last use */
    unsigned               stream_max; /* of the last one; 0: not known */
};

struct upstream_local {
    struct upstream        *upstream;
    struct upstream_client *client;
    uint32_t                plan_count; /* this worker's plans that name it */
    struct list             busy;       /* connections that are made or have a stream */
    struct pool           **pools;      /* by endpoint->slot; NULL: none yet */
    uint32_t                pool_count;
    uint32_t                conn_count; /* to all of them */
    uint32_t                idle_count; /* of these */
    struct balance_state    balance;
    struct list             queue;  /* turns; the longest waiting first */
    struct upstream_turn   *trying; /* out of the queue just now, and not in it again */
    struct job              wake_job;
    struct deadline         look;      /* while somebody waits */
    uint64_t                budget;    /* retries put by, in hundredths */
    uint64_t                budget_ms; /* when it was last diminished */
};

struct upstream_conn {
    struct conn             conn;
    struct http_codec      *codec; /* NULL until open */
    struct upstream_client *client;
    struct upstream_local  *local; /* until it is closed */
    struct pool            *pool;
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
    bool                    is_own; /* made for one request, closed after it */
};

/* ---- connection.c ---- */
extern const struct conn_ops upstream_conn_ops;
void                         upstream_conn_close(struct upstream_conn *u);
/* Out of the idle ones: it is about to carry a stream. */
void upstream_conn_leave_pool(struct upstream_conn *u);
/* The connection is made for it too; and no longer. */
void upstream_conn_wait(struct upstream_conn *u, struct upstream_wait *w);
void upstream_conn_unwait(struct upstream_wait *w);

/* ---- client.c ---- */
/* Has it wait for a connection that is being made, when that will carry many, or makes
 * one. */
void upstream_client_connect(struct upstream_local *l, struct pool *pool, struct upstream_wait *w);
struct upstream_local *upstream_local_find(const struct upstream_client *c, uint32_t slot,
                                           const struct upstream *u);

/* ---- pool.c ---- */
/* There is none yet. */
struct pool *upstream_pool_make(struct upstream_local *l, struct endpoint *e);
/* Made when there is none yet. Each request asks three times. */
static inline struct pool *upstream_pool_of(struct upstream_local *l, struct endpoint *e)
{
    struct pool *pool = e->slot < l->pool_count ? l->pools[e->slot] : NULL;
    assert(!pool || pool->endpoint == e);
    return pool ? pool : upstream_pool_make(l, e);
}
/* A user less; it may be gone by then. */
void upstream_pool_unuse(struct pool *pool);
/* Could a request have a connection of it now? */
bool upstream_pool_has_room(const struct pool *pool);
/* One more is about to be made: at a limit an idle one goes instead, of this or of another pool. */
void upstream_pool_make_room(struct pool *pool);
/* One that is being made and will have room, as far as is known; or NULL. */
struct upstream_conn *upstream_pool_connecting(const struct pool *pool);
/* Where its endpoint is leaving: closes the idle connections, tells those who watch it; frees it
 * when nobody uses it. */
void upstream_pool_leave(struct pool *pool);
/* The same, whether the endpoint is leaving or not, and later as well. */
void upstream_pool_let_go(struct pool *pool);
/* Its worker lets go of the upstream: closes all idle ones, keeps what is still used. */
void upstream_pool_abandon(struct pool *pool);

/* ---- choice.c ---- */
/* There may be room: those who wait try again, at the end of the turn. */
void upstream_local_wake(struct upstream_local *l);
void upstream_local_init_queue(struct upstream_local *l);
void upstream_local_reset_queue(struct upstream_local *l);
