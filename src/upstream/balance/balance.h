/* SPDX-License-Identifier: Apache-2.0
 *
 * Choosing an endpoint. One algorithm a file, listed in balance.c. An algorithm
 * has a table, built once a set by control and shared by all workers, and may
 * have a state of each worker's own. Choosing never waits and never allocates.
 */
#pragma once

#include "base/random.h"
#include "conf/settings.h"
#include "upstream/endpoint.h"

enum { BALANCE_TRIED_MAX = 10 };

/* What a request asks of the balancer; lives as long as the request. */
struct balance_ask {
    struct random   *random;
    uint64_t         now_ns;                   /* monotonic */
    uint64_t         hash;                     /* of the key, for algorithms that go by one */
    bool             has_hash;                 /* false: the request has no key; any will do */
    struct slice     token;                    /* sticky: the cookie's value, or empty */
    bool             is_retry;                 /* ejected ones will do, when nothing else is left */
    uint32_t         load;                     /* requests in progress at the whole upstream */
    struct endpoint *tried[BALANCE_TRIED_MAX]; /* not again */
    unsigned         tried_count;
};

/* What an algorithm is built with. */
struct balance_config {
    const struct balance_settings *settings;
    struct slice                   upstream;   /* its name */
    uint8_t                        secret[32]; /* sticky: the key of its tokens */
};

struct balance_ops {
    const char *name;
    bool        has_key;  /* goes by ask.hash */
    bool        is_fixed; /* does not ramp weights: keys would move */
    /* Of a tier that is otherwise complete; NULL when not needed. Control thread. */
    void *(*table_new)(const struct endpoint_tier *tier, const struct balance_config *config);
    void (*table_free)(void *table);
    /* A worker's own state for a tier, made anew for each set; NULL when not needed. It
     * outlives the set and keeps no pointer into it. */
    void *(*state_new)(const struct endpoint_tier *tier, struct random *random);
    void (*state_free)(void *state);
    /* NULL only when nothing may be chosen. The tier has at least two. */
    struct endpoint *(*choose)(void *state, const struct endpoint_set *set,
                               const struct endpoint_tier *tier, const struct balance_ask *ask);
};

/* In the order of enum setting_balance. */
extern const struct balance_ops *const balance_algorithms[];

/* A worker's state for one upstream. Zeroed at first. */
struct balance_state {
    uint64_t                  set_id;
    const struct balance_ops *ops;
    void                     *tiers[TIER_COUNT];
};
void balance_state_reset(struct balance_state *s);

/* Primaries first; backups when no primary may be chosen; for a retry, ejected ones at last.
 * NULL: all were tried or are at their limit, or there is none. */
struct endpoint *balance_choose(struct balance_state *state, const struct endpoint_set *set,
                                const struct balance_ask *ask);
/* The endpoint was tried: not again for this request. */
void balance_tried(struct balance_ask *ask, struct endpoint *e);

/* sticky: the token that names an endpoint, of `size` bytes without NUL, or an empty slice
 * when the set's algorithm is another. Lives as long as the set. */
struct slice balance_token(const struct endpoint_set *set, const struct endpoint *e);

/* ---- for algorithms: endpoints are indexes into a tier ---- */

#define BALANCE_NONE SIZE_MAX

bool balance_was_tried(const struct endpoint *e, const struct balance_ask *ask);
/* Was it not tried, and has it room? */
bool balance_may_choose(const struct endpoint_set *set, const struct endpoint *e,
                        const struct balance_ask *ask);
/* An index with probability by weight, whether it may be chosen or not; O(1). */
size_t balance_draw_any(const struct endpoint_tier *tier, struct random *random);
/* One with probability by weight among those that may be chosen, other than `not_this` (or
 * BALANCE_NONE); O(1) unless most may not be. BALANCE_NONE: there is none. */
size_t balance_draw(const struct endpoint_set *set, const struct endpoint_tier *tier,
                    const struct balance_ask *ask, size_t not_this);
/* Two different ones, or the same twice when there is but one. False: there is none. */
bool balance_draw_two(const struct endpoint_set *set, const struct endpoint_tier *tier,
                      const struct balance_ask *ask, size_t two[2]);
/* May one more request be put on it, when none may have more than settings.max_load percent
 * of its share of ask->load? Always true for 0. */
bool balance_has_headroom(const struct endpoint_tier *tier, size_t index, uint32_t max_load,
                          const struct balance_ask *ask);

/* For algorithms that go by a key: looks at the places where the key belongs, in order. */
struct balance_seek {
    const struct endpoint_set  *set;
    const struct endpoint_tier *tier;
    const struct balance_ask   *ask;
    uint32_t                    max_load;
    uint64_t                    hash;  /* of the key; random when there is none */
    size_t                      owner; /* the first that only lacks headroom, or BALANCE_NONE */
};
struct balance_seek balance_seek_start(const struct endpoint_set  *set,
                                       const struct endpoint_tier *tier,
                                       const struct balance_ask *ask, uint32_t max_load);
/* May it be chosen, and has it headroom? */
bool balance_seek_at(struct balance_seek *s, size_t index);
/* No such place was found: all endpoints, from the owner on. One with headroom, else the owner,
 * else any. NULL: none may be chosen. */
struct endpoint *balance_seek_rest(const struct balance_seek *s);
