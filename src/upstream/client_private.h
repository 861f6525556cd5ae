/* SPDX-License-Identifier: Apache-2.0
 *
 * What client.c (pools, who gets which connection) and connection.c (the life of one)
 * share. Nobody else includes it.
 */
#pragma once

#include "upstream/client.h"

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
void upstream_client_connect(struct upstream_client *c, struct upstream_local *l,
                             struct endpoint *e, struct upstream_wait *w);
