/* SPDX-License-Identifier: Apache-2.0
 *
 * A rate limit whose counts are in Redis: what this gateway holds of it (filter/lease),
 * and what it asks. A request is admitted or refused from memory, or waits for an answer
 * for as long as the store's deadline at most.
 */
#pragma once

#include "base/gcra.h"
#include "filter/lease.h"
#include "filter/limit_store.h"

struct limit_remote;

enum limit_outcome {
    LIMIT_DECIDED,
    LIMIT_WAITS,  /* on_answer comes, unless it is forgotten before */
    LIMIT_FAILED, /* Redis cannot be asked: see on_failure */
    LIMIT_LATE,   /* the same; but it may still count the request */
};

/* A request that waits; embedded in its state. */
struct limit_ask {
    /* From the loop; `outcome` is not LIMIT_WAITS. Whether the request passes: if it does by
     * on_failure, the token that is granted too late is its own. */
    bool (*on_answer)(struct limit_ask *ask);
    enum limit_outcome   outcome;
    struct gcra_decision decision; /* with LIMIT_DECIDED */
    struct limit_call   *call;     /* NULL: does not wait */
};

/* What workers keep of it. */
extern const struct plan_part_ops limit_remote_part;

/* Control thread. `store` must outlive it. Keeps no pointer to `s`. NULL: its
 * memory cannot be had. */
struct limit_remote *limit_remote_new(struct limit_store               *store,
                                      const struct rate_limit_settings *s);
void                 limit_remote_free(struct limit_remote *r);
struct lease_counts  limit_remote_count(const struct limit_remote *r);
/* "exact" or "lease", as it stands now. */
const char *limit_remote_mode(const struct limit_remote *r);
/* Live gateways, for a share of the limit: at least 1. */
unsigned                limit_remote_gateways(const struct limit_remote *r);
enum setting_on_failure limit_remote_on_failure(const struct limit_remote *r);

/* Takes one request of `key`; ask->on_answer is set, the rest is filled in. */
enum limit_outcome limit_remote_take(struct limit_remote *r, unsigned worker, struct slice key,
                                     struct limit_ask *ask);
/* The request has passed all the same, after LIMIT_FAILED; the key's bucket here is full again
 * in so long. Redis is told when it can be. */
void limit_remote_owe(struct limit_remote *r, unsigned worker, struct slice key, uint64_t full_ms);
/* The request is gone. */
void limit_forget(struct limit_ask *ask);
