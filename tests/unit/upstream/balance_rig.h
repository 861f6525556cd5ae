/* SPDX-License-Identifier: Apache-2.0
 *
 * Endpoints, a set of them and one worker's state, for tests of balancing. Random
 * numbers start from a fixed seed: a test that passes once passes always.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "upstream/balance/balance.h"

enum { RIG_ALGORITHMS = BALANCE_STICKY + 1, RIG_NONE = -1 };

struct rig {
    struct balance_settings settings;
    struct balance_config   config;
    struct endpoint       **endpoints; /* their slots are their indexes here */
    uint32_t               *weights;
    bool                   *is_out;      /* not in the next set */
    bool                    is_reversed; /* the next set is in the opposite order */
    size_t                  count;
    struct endpoint_set    *set;
    struct balance_state    state;
    struct random           random;
    struct balance_ask      ask;
};

/* `weights` NULL: all 1. Those from `primaries` on are backups. */
void rig_init(struct rig *r, enum setting_balance algorithm, const uint32_t *weights, size_t count);
void rig_init_tiers(struct rig *r, enum setting_balance algorithm, const uint32_t *weights,
                    size_t count, size_t primaries);
void rig_reset(struct rig *r);
/* A new set of those that are not out. The worker's state stays. */
void rig_publish(struct rig *r);
/* Which was chosen, or RIG_NONE. */
int rig_choose(struct rig *r);
/* How often each is chosen. `seen` has room for all. */
void rig_count(struct rig *r, unsigned draws, unsigned *seen);
void rig_set_active(struct rig *r, size_t i, uint32_t active);
/* The key's hash of the n-th request. */
uint64_t rig_hash(uint64_t n);
/* For every key below `count` who gets it, with nothing tried or full. */
void rig_owners(struct rig *r, int *owners, size_t count);
/* seen[i] is within `deviations` standard deviations of draws * weights[i] / total. */
void rig_assert_shares(const struct rig *r, const unsigned *seen, unsigned draws,
                       unsigned deviations);
