/* SPDX-License-Identifier: Apache-2.0
 *
 * One worker's side of upstreams: choosing an endpoint, connections to it,
 * streams, and the queue of requests that find none for the moment. Knows
 * nothing of what requests mean. One thread only.
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
    struct counter queued, queue_full; /* requests that had to wait; that could not even that */
};

struct upstream_client {
    struct loop              *loop;
    struct mailbox           *mailbox; /* of the loop; NULL: no other worker has to be told */
    struct upstream_counters *counters;
    unsigned                  worker_index; /* control's is the number of workers */
    struct upstream_local   **locals;       /* by upstream->slot */
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
    bool         must_be_recent; /* a pooled one only when just used, and whole: not idempotent */
    bool         must_be_own;    /* a connection for it alone, closed after it: a check */
    bool         is_upgrade;     /* the request asks for a tunnel */
    struct slice preamble;       /* PROXY header, or empty */
};

/* A request that waits for room or for an endpoint; embedded in an exchange. */
struct upstream_turn {
    struct list            link;
    struct upstream_local *local;     /* whose queue it is in; NULL: in none */
    bool                   is_picky;  /* has tried some, and may find no room where others do */
    uint64_t               queued_ms; /* when it came into the queue */
    /* It may be its turn: it is out of the queue, and tries. Queued again from within, it is
     * where it was. */
    void (*run)(struct upstream_turn *t);
};

/* Of a request that goes on for as long as its ends like; embedded in it. */
struct upstream_watch {
    struct list link;
    /* Its endpoint takes no new requests any more. Called once at most. */
    void (*on_leaving)(struct upstream_watch *w);
};

void upstream_client_init(struct upstream_client *c, struct loop *l, unsigned worker_index,
                          struct upstream_counters *counters);
/* Closes everything. */
void upstream_client_reset(struct upstream_client *c);

/* A plan that names the upstream was adopted or released by this worker. At the
 * last release the worker's connections to it are closed and its state freed. */
void upstream_client_adopt(struct upstream_client *c, struct upstream *u);
void upstream_client_release(struct upstream_client *c, struct upstream *u);
/* Another set was published (or the upstream, found in that slot, is gone already): closes
 * idle connections to what is leaving, and lets those that wait try again. */
void upstream_client_sync(struct upstream_client *c, uint32_t slot, const struct upstream *u);

/* ---- choosing ---- */

enum upstream_choice {
    UPSTREAM_CHOSEN,
    UPSTREAM_TRIED, /* there are endpoints, but this request has tried all that have room */
    UPSTREAM_BUSY,  /* all are at a limit, or others wait already: wait for a turn */
    UPSTREAM_EMPTY, /* no endpoint is ready */
};

/* Chooses an endpoint and counts the request as one of its active ones, until
 * upstream_client_leave(). The endpoint is there until upstream_client_forget() as well:
 * once for each time that it was chosen. */
enum upstream_choice upstream_client_choose(struct upstream_client *c, struct upstream *u,
                                            struct balance_ask *ask, struct endpoint **chosen);
/* The same endpoint again, whatever its limits say; an active request more. */
void upstream_client_enter(struct upstream *u, struct endpoint *e);
/* Of a request that was chosen for: until list_remove() of its link. False: the endpoint is
 * leaving already. */
bool upstream_client_watch(struct upstream_client *c, struct upstream *u, struct endpoint *e,
                           struct upstream_watch *w) __attribute__((warn_unused_result));
/* A request less; whoever waits may have its place. */
void upstream_client_leave(struct upstream_client *c, struct upstream *u, struct endpoint *e);
void upstream_client_forget(struct upstream_client *c, struct upstream *u, struct endpoint *e);

/* False when the queue is full. */
bool upstream_client_queue(struct upstream_client *c, struct upstream *u, struct upstream_turn *t);
/* No longer; nothing when it is in no queue. */
void upstream_client_unqueue(struct upstream_turn *t);

/* A request came for the upstream: a part of a retry is put by. */
void upstream_client_earn(struct upstream_client *c, struct upstream *u);
/* Takes one retry from the budget; false when there is none. */
bool upstream_client_spend(struct upstream_client *c, struct upstream *u);

/* ---- connections ---- */

/* Returns a stream at once when a connection can be used; else NULL, and
 * w->ops is called later, never from within. */
struct http_stream *upstream_client_acquire(struct upstream_client *c, struct upstream *u,
                                            struct endpoint *e, struct upstream_wait *w);
/* No longer wanted; a connection that is being made goes on to the pool, unless it was to be
 * its own. */
void upstream_client_cancel(struct upstream_wait *w);
/* Nothing more will be asked of the endpoint: what is kept of it goes, now or after its last
 * use. Only where it is not chosen. */
void upstream_client_let_go(struct upstream_client *c, struct upstream *u, struct endpoint *e);

/* Its connection was silent for too long: it takes no further streams. */
void upstream_stream_distrust(struct http_stream *s);

/* Of the connection that a stream stands on. */
bool     upstream_stream_is_reused(const struct http_stream *s);
uint64_t upstream_stream_connect_us(const struct http_stream *s); /* 0 when reused */
