/* SPDX-License-Identifier: Apache-2.0
 *
 * One worker's connections to upstreams: connecting, keeping idle ones,
 * handing out streams. Knows nothing of what requests mean. One thread only.
 */
#pragma once

#include "base/counter.h"
#include "base/list.h"
#include "io/conn.h"
#include "upstream/upstream.h"

struct upstream_wait;

/* Counted here, shown by proxy/stats.h. */
struct upstream_counters {
    struct counter opened, reused, failed, active, idle;
    struct counter received_bytes, sent_bytes;
};

struct upstream_client {
    struct loop              *loop;
    struct upstream_counters *counters;
    unsigned                  worker_index;
    struct upstream_local   **locals; /* by upstream->slot */
    uint32_t                  local_count;
    struct outq               no_output; /* stays empty: of connections that are not open */
    struct block_pool         conn_blocks;
    struct log_budget         log_budget;
};

struct upstream_wait_ops {
    /* A stream on a connection to the endpoint. The receiver sets ops, owner, arena. */
    void (*on_stream)(struct upstream_wait *w, struct http_stream *s);
    /* No connection could be made; nothing was sent. `why` is a constant phrase. */
    void (*on_failed)(struct upstream_wait *w, enum conn_fault fault, const char *why);
};

/* A request that needs a stream; embedded in an attempt. */
struct upstream_wait {
    const struct upstream_wait_ops *ops;
    struct upstream_conn           *conn;          /* being connected for it, or NULL */
    struct list                     link;          /* conn's waits */
    uint8_t                         refused_count; /* by connections that were leaving */
    uint64_t                        connect_ms;    /* deadline, TLS handshake included */
    bool                            must_be_fresh; /* no pooled connection: a replay */
    bool         must_be_recent; /* a pooled one only when just used: not idempotent */
    bool         is_upgrade;     /* the request asks for a tunnel */
    struct slice preamble;       /* PROXY header, or empty */
};

void upstream_client_init(struct upstream_client *c, struct loop *l, unsigned worker_index,
                          struct upstream_counters *counters);
/* Closes everything. */
void upstream_client_reset(struct upstream_client *c);

/* A plan that names the upstream was adopted or released by this worker. At the
 * last release the worker's connections to it are closed and its state freed. */
void upstream_client_adopt(struct upstream_client *c, struct upstream *u);
void upstream_client_release(struct upstream_client *c, struct upstream *u);

/* Chooses an endpoint; NULL when the upstream has none. */
struct endpoint *upstream_client_choose(struct upstream_client *c, struct upstream *u,
                                        struct balance_ask *ask);
/* Returns a stream at once when an idle connection can be used; else NULL, and
 * w->ops is called later, never from within. w->is_reused tells. */
struct http_stream *upstream_client_acquire(struct upstream_client *c, struct upstream *u,
                                            struct endpoint *e, struct upstream_wait *w);
/* No longer wanted; a connection that is being made goes on to the pool. */
void upstream_client_cancel(struct upstream_wait *w);

/* Its connection was silent for too long: it takes no further streams. */
void upstream_stream_distrust(struct http_stream *s);

/* Of the connection that a stream stands on. */
bool     upstream_stream_is_reused(const struct http_stream *s);
uint64_t upstream_stream_connect_us(const struct http_stream *s); /* 0 when reused */
