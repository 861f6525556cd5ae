/* SPDX-License-Identifier: Apache-2.0
 *
 * Private to limit_*.c: one worker's side of the store.
 *
 *   limit_remote  --calls-->  limit_node (one a server)  -->  io/redis_conn
 *        ^                        | deadline, circuit
 *        '---- answer, failure ---'
 */
#pragma once

#include <stdalign.h>

#include "filter/limit_remote.h"
#include "io/alarm.h"
#include "io/redis_conn.h"

enum {
    LIMIT_PROBE_MS = 500,      /* while a circuit is open */
    LIMIT_SETTLE_MS = 750,     /* until other gateways have found the server, too */
    LIMIT_CONNECT_MS = 1000,   /* until a connection is ready */
    LIMIT_FAILURES_MAX = 3,    /* in a row: the circuit opens */
    LIMIT_WINDOW_CALLS = 20,   /* at least so many in a second, and more than half failed */
    LIMIT_QUEUE_MAX = 4096,    /* calls that wait for a connection to be ready */
    LIMIT_TROUBLE_BYTES = 128, /* of a text for people */
};

struct limit_counters {
    struct counter calls, replies, late, lost, errors, refused, reply_us, opened, open, ready;
};

/* Found by loop and index; all of it is that worker's alone but the counters. */
struct limit_worker {
    alignas(64) struct limit_store *store;
    struct loop          *loop; /* NULL: no plan with the store is adopted */
    unsigned              index;
    unsigned              use_count; /* plans */
    struct list           nodes;
    struct list           calls;   /* all that are under way */
    struct list           remotes; /* struct limit_local.link */
    struct deadline       sweep;
    struct block_pool     blocks; /* calls */
    struct limit_counters counters;
};

struct limit_store {
    struct arena           arena;
    struct redis_settings *settings; /* its own copy */
    struct slice           username, password, server_name;
    uint32_t               database;
    struct redis_store    *shared;
    void                  *keeper;
    struct tls_client    **tls; /* one a worker and, last, control's; NULL: plain */
    unsigned               worker_count;
    struct limit_worker   *workers;
    _Atomic uint64_t owed_ms; /* when a request last passed without Redis, of a shared limit */
    _Atomic uint64_t trouble[LIMIT_TROUBLE_BYTES / 8]; /* a text; torn at worst */
};

/* One question of a remote; lives until its answer or the connection's end. */
struct limit_call {
    struct redis_call    redis;
    struct list          link;       /* worker->calls */
    struct list          wait_link;  /* node->awaited: a request waits */
    struct list          queue_link; /* node->queue: not sent yet */
    struct limit_node   *node;
    struct limit_remote *remote; /* NULL: let go */
    struct limit_ask    *ask;    /* who waits; NULL: nobody (any more) */
    uint64_t             asked_ns;
    int64_t              want; /* negative: gives back */
    uint32_t             ticket;
    uint8_t              hops;      /* redirections followed */
    bool                 is_failed; /* told so; a late answer counts all the same */
    bool                 is_spent;  /* by on_failure's word: who asked has passed */
    bool                 sends_script;
    bool                 is_debt;   /* charges for what passed before: its grant is nobody's */
    bool                 is_asking; /* after ASK: RESP's ASKING goes before it */
    uint8_t              key_len;
    char                 key[LEASE_KEY_MAX];
};

/* ---- limit_node.c ---- */
/* To the server of that place in the present map (NULL: of none); false: not sent, nothing
 * is under way. */
bool limit_send_to(struct limit_worker *w, struct limit_call *call, const struct redis_node *to);
/* Connects to what the present map names, and lets go of the rest. */
void limit_nodes_sync(struct limit_worker *w);
void limit_nodes_close(struct limit_worker *w);
/* An answer or an error came: what it says of the server's health. */
void limit_node_succeeded(struct limit_node *n);
void limit_node_failed(struct limit_node *n);
/* In the present map, or NULL. */
const struct redis_node *limit_node_place(const struct limit_node *n);

/* ---- limit_store.c ---- */
void limit_set_trouble(struct limit_store *st, const char *text);

/* ---- limit_remote.c ---- */
enum { LIMIT_ARGS = 7, LIMIT_TEXT_BYTES = 512 };
/* The command; its parts that differ from call to call are written to `text`. */
void limit_remote_args(const struct limit_call *call, struct slice args[LIMIT_ARGS],
                       char text[LIMIT_TEXT_BYTES]);
/* Its reply; NULL: the connection has ended. */
void limit_remote_answered(struct limit_worker *w, struct limit_call *call,
                           const struct redis_reply *r);
/* Nobody waits any more, though it is under way: too late, or the circuit opened. */
void limit_remote_give_up(struct limit_call *call);
void limit_remote_sweep(struct limit_worker *w);
/* A server can be asked again: before all else it is told of what passed without it. True:
 * something is left that could not be sent. */
bool limit_remote_settle(struct limit_worker *w);
