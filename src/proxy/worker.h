/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker: one thread with its own loop, listeners, connections, pools and
 * counters. It shares nothing that it writes with another worker but the
 * endpoints' live state. Control speaks to it by messages.
 */
#pragma once

#include "http/coder_pool.h"
#include "io/listener.h"
#include "io/loop.h"
#include "io/mailbox.h"
#include "proxy/access_log.h"
#include "proxy/plan.h"
#include "proxy/stats.h"
#include "upstream/client.h"

/* A worker's hold on a plan: counted by that worker alone. */
struct plan_use {
    struct list  link; /* worker.plan_uses */
    struct plan *plan;
    uint64_t     use_count; /* exchanges, listeners with connections; +1 while current */
};

/* A listening socket that this worker accepts from, or did: it stays while a
 * connection that it accepted lives. */
struct worker_listener {
    struct list                 link; /* worker.listeners */
    struct worker              *worker;
    struct listener             listener;
    struct listen_socket       *socket; /* identity across plans; not read once stopped */
    struct plan_use            *use;    /* the plan that `config` belongs to */
    const struct plan_listener *config;
    uint64_t                    connection_count;
    uint64_t                    open_count; /* of them, not closed: what bounds are about */
    bool                        is_stopped;
};

struct worker {
    unsigned               index;
    struct loop           *loop;
    struct mailbox         mailbox;
    struct log            *log;
    struct log_budget      log_budget; /* of lines that requests cause */
    struct worker_stats   *stats;
    struct access_ring    *ring; /* of the access log, NULL: off */
    enum log_format        log_format;
    struct router_scratch *router_scratch;
    struct upstream_client upstreams;
    struct coder_pool      coders;

    struct plan_use   *current;
    struct http_limits limits; /* of the current plan; where codecs look */
    struct list        plan_uses;
    struct list        listeners;
    struct list        downstreams; /* all connections from clients */
    struct list        websockets;  /* farewell.c's */
    struct list        idle;        /* of them, those between requests; the oldest first */
    struct outq        no_output;   /* stays empty: of connections without a codec yet */
    struct block_pool  downstream_blocks;
    struct block_pool  exchange_blocks;
    struct list        ended; /* exchanges to be freed at the end of the turn */
    struct job         free_ended;
    uint64_t           connection_count;
    uint64_t           open_count;     /* of them, not closed */
    uint64_t           connection_max; /* this worker's share of limits.max_connections */
    uint64_t           id_prefix;      /* of request ids */
    uint64_t           id_next;
    char               id_text[16]; /* id_prefix in hexadecimal */
    bool               is_draining;
    /* Called on the worker's thread when is_draining and nothing is left. */
    void (*on_drained)(struct worker *w);
    void *on_drained_arg;
};

struct worker_params {
    unsigned            index;
    struct log         *log;
    struct access_ring *ring;
    enum log_format     log_format;
    void (*on_drained)(struct worker *w);
    void *on_drained_arg;
};

/* Control thread. NULL and *e when the kernel refuses. */
struct worker *worker_new(const struct worker_params *p, struct error *e);
/* The thread's main function: returns after worker_post_stop(). */
void worker_run(struct worker *w);
/* After the thread has ended. */
void worker_free(struct worker *w);

/* ---- from control, any time; each takes effect on the worker's thread ---- */
/* Makes `p` the current plan: starts and stops listeners by difference. The
 * caller has counted this worker in p->worker_refs. */
void worker_post_plan(struct worker *w, struct plan *p);
/* Stops accepting, closes idle connections, finishes the rest; then on_drained. */
void worker_post_drain(struct worker *w);
/* Ends the loop at once; connections are dropped. */
void worker_post_stop(struct worker *w);

/* ---- for proxy/ ---- */
void plan_use_ref(struct plan_use *u);
void plan_use_unref(struct worker *w, struct plan_use *u);
/* A connection that it accepted is gone. */
void worker_listener_unref(struct worker_listener *wl);
/* A connection is gone: was it the last that draining waits for? */
void worker_check_drained(struct worker *w);
