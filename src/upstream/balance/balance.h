/* SPDX-License-Identifier: Apache-2.0
 *
 * Choosing an endpoint. One algorithm a file, listed in balance.c. An
 * algorithm sees the endpoints that may be chosen and keeps its state per
 * worker; it never waits and never allocates while choosing.
 */
#pragma once

#include "base/random.h"
#include "upstream/endpoint.h"

enum { BALANCE_TRIED_MAX = 8 };

enum balance_pass { BALANCE_PRIMARIES, BALANCE_BACKUPS };

/* What a request asks of the balancer; lives as long as the request. */
struct balance_ask {
    struct random         *random;
    const struct endpoint *tried[BALANCE_TRIED_MAX]; /* not again */
    unsigned               tried_count;
    enum balance_pass      pass; /* set by balance_choose() */
};

struct balance_ops {
    const char *name;
    /* Bytes of state a worker keeps for a set of `count` endpoints; zeroed at first. */
    size_t (*state_bytes)(size_t count);
    /* NULL only when nothing may be chosen. */
    struct endpoint *(*choose)(void *state, const struct endpoint_set *set,
                               const struct balance_ask *ask);
};

/* In the order of enum setting_balance. */
extern const struct balance_ops *const balance_algorithms[];

/* Primaries first; backups when no primary is left to try. NULL: all were tried. */
struct endpoint *balance_choose(const struct balance_ops *ops, void *state,
                                const struct endpoint_set *set, struct balance_ask *ask);
/* The endpoint was tried: not again for this request. */
void balance_tried(struct balance_ask *ask, const struct endpoint *e);

/* For algorithms: may this one be chosen in the present pass? */
bool balance_may_choose(const struct endpoint *e, const struct balance_ask *ask);
/* For algorithms: one with probability by weight among those that may be chosen,
 * other than `not_this` (may be NULL). */
struct endpoint *balance_draw(const struct endpoint_set *set, const struct balance_ask *ask,
                              const struct endpoint *not_this);
/* For algorithms without state. */
size_t balance_no_state(size_t count);
