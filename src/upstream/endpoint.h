/* SPDX-License-Identifier: Apache-2.0
 *
 * One replica, as all threads see it: where it is, and its live state. An
 * endpoint is one identity at one address; it lives as long as a roster, a set
 * or a worker's connections refer to it.
 */
#pragma once

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "io/address.h"
#include "io/mailbox.h"

/* One cache line of atomics, written by every worker, relaxed: what two of them write at once
 * may count for one. Outlives the endpoint: the next one of the same identity takes it over. */
struct endpoint_live {
    alignas(64) _Atomic uint32_t active; /* attempts in progress */
    _Atomic uint32_t connections;        /* open or being opened */
    _Atomic uint32_t failures;           /* in a row, of traffic */
    _Atomic uint32_t ref_count;
    /* Peak EWMA of the time to a response's head; 0: none yet. A double, because at
     * thousands of requests a second one sample moves it by less than a nanosecond. */
    _Atomic double   latency_us;
    _Atomic uint64_t latency_ns; /* when that was, monotonic */
    _Atomic uint64_t requests;   /* attempts begun */
    _Atomic uint64_t outcomes;   /* attempts that ended well or ill */
    _Atomic uint64_t failed;     /* of the outcomes */
    /* Takes no new requests, or is gone: workers close idle connections, and what goes on for
     * long is told. */
    _Atomic bool is_leaving;
};

struct endpoint {
    struct address        address; /* a Unix path is its own */
    char                 *identity;
    char                 *text;        /* for logs: "10.0.0.7:80" */
    char                 *server_name; /* host as configured, for SNI and verification */
    struct endpoint_live *live;
    uint32_t              weight; /* as configured, >= 1 */
    bool                  is_backup;
    uint32_t              slot; /* in its upstream: where a worker keeps what it knows of it */
    _Atomic uint32_t      ref_count;
    /* The last reference is gone, on any thread: called with `unused_arg` instead of freeing.
     * NULL: it is freed. */
    void (*on_unused)(struct endpoint *e, void *arg);
    void          *unused_arg;
    struct message message; /* for on_unused */
};

/* What a source says of one endpoint. Texts are borrowed. */
enum source_state { SOURCE_READY, SOURCE_STARTING, SOURCE_UNHEALTHY, SOURCE_DRAINING };

struct endpoint_spec {
    struct slice      identity; /* empty: the text */
    struct address    address;
    struct slice      text;        /* empty: made from the address */
    struct slice      server_name; /* empty: the IP address; nothing for a Unix socket */
    uint32_t          weight;
    bool              is_backup;
    bool              must_listen; /* a new one, ready as it is: not before it takes a connection */
    enum source_state state;
    struct slice      reason; /* of the state, for people; empty when ready */
};

/* For who keeps what is known of an endpoint beyond its end. Unref accepts NULL. */
void endpoint_live_ref(struct endpoint_live *live);
void endpoint_live_unref(struct endpoint_live *live);

/* `live` NULL: a new one; else it gets another reference. The endpoint has one reference. */
struct endpoint *endpoint_new(const struct endpoint_spec *spec, struct endpoint_live *live);
void             endpoint_ref(struct endpoint *e);
void             endpoint_unref(struct endpoint *e);
/* At once, whatever refers to it. Accepts NULL. */
void endpoint_free(struct endpoint *e);

static inline bool endpoint_is_leaving(const struct endpoint *e)
{
    return atomic_load_explicit(&e->live->is_leaving, memory_order_relaxed);
}

static inline void endpoint_set_leaving(struct endpoint *e, bool is_leaving)
{
    atomic_store_explicit(&e->live->is_leaving, is_leaving, memory_order_relaxed);
}

/* An attempt had an outcome. Returns how many failures in a row that makes. `us`: how long
 * the response's head took. */
uint32_t endpoint_note_failure(struct endpoint *e, uint64_t now_ns);
void     endpoint_note_success(struct endpoint *e, uint64_t us, uint64_t now_ns);
/* The mean latency, less what time has taken off since the last sample; 0: none yet. */
double endpoint_latency_us(const struct endpoint *e, uint64_t now_ns);

/* ---- sets ---- */

/* Endpoints of one priority that may be chosen, immutable. */
struct endpoint_tier {
    size_t            count;
    struct endpoint **items;
    uint32_t         *weights; /* effective, by index; those of equal ones are equal */
    uint64_t          total_weight;
    bool              is_even; /* all weights are equal */
    struct alias     *aliases; /* for weighted draws (balance/alias.h); NULL when is_even */
    void             *table;   /* the algorithm's; NULL: it has none, or count is 0 */
};

/* Ejected ones are a retry's last resort. */
enum { TIER_PRIMARY, TIER_BACKUP, TIER_EJECTED, TIER_COUNT };

struct balance_ops;

struct endpoint_set {
    uint64_t                  id; /* unique in the process: what a worker's state was made for */
    const struct balance_ops *balance;
    struct endpoint_tier      tiers[TIER_COUNT];
    uint32_t request_max; /* in progress at one endpoint; 0: no limit. Set by who publishes it */
};

/* Any thread without locks; what is given is copied, the endpoints are borrowed. Frees with
 * endpoint_set_free(). `config` is the algorithm's (balance.h). */
struct endpoint_pick {
    struct endpoint *endpoint;
    uint32_t         weight; /* effective */
    bool             is_ejected;
};
struct endpoint_set *endpoint_set_new(const struct balance_ops *balance, const void *config,
                                      const struct endpoint_pick *picks, size_t count);
void                 endpoint_set_free(struct endpoint_set *set);
