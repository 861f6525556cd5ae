/* SPDX-License-Identifier: Apache-2.0
 *
 * The immutable sets of endpoints that workers choose from. See endpoint.h.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "upstream/balance/alias.h"
#include "upstream/balance/balance.h"
#include "upstream/endpoint.h"

/* The one mutable thing of all sets: numbers are never given twice in the process, so that a
 * worker's state for a set that was freed is not taken for that of one in the same memory, or
 * of another upstream in the same slot. From 1: a zeroed state is of no set. */
static uint64_t next_id(void)
{
    static _Atomic uint64_t last;
    return atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
}

static void tier_add(struct endpoint_tier *tier, const struct endpoint_pick *pick)
{
    uint32_t weight = pick->weight ? pick->weight : 1;
    if (tier->count && weight != tier->weights[0]) tier->is_even = false;
    tier->items[tier->count] = pick->endpoint;
    tier->weights[tier->count++] = weight;
    tier->total_weight += weight;
}

static unsigned tier_of(const struct endpoint_pick *pick)
{
    if (pick->is_ejected) return TIER_EJECTED;
    return pick->endpoint->is_backup ? TIER_BACKUP : TIER_PRIMARY;
}

static void tier_fill(struct endpoint_tier *tier, const struct endpoint_pick *picks, size_t count,
                      unsigned which)
{
    size_t room = 0;
    for (size_t i = 0; i < count; i++) room += tier_of(&picks[i]) == which;
    tier->is_even = true;
    if (!room) return;
    tier->items = mem_alloc(room * sizeof(struct endpoint *));
    tier->weights = mem_alloc(room * sizeof(tier->weights[0]));
    for (size_t i = 0; i < count; i++)
        if (tier_of(&picks[i]) == which) tier_add(tier, &picks[i]);
    if (!tier->is_even) tier->aliases = alias_table_new(tier->weights, tier->count);
}

struct endpoint_set *endpoint_set_new(const struct balance_ops *balance, const void *config,
                                      const struct endpoint_pick *picks, size_t count)
{
    struct endpoint_set *set = mem_zalloc(sizeof(*set));
    set->id = next_id();
    set->balance = balance;
    for (unsigned i = 0; i < TIER_COUNT; i++) {
        struct endpoint_tier *tier = &set->tiers[i];
        tier_fill(tier, picks, count, i);
        if (tier->count && balance->table_new) tier->table = balance->table_new(tier, config);
    }
    return set;
}

void endpoint_set_free(struct endpoint_set *set)
{
    if (!set) return;
    for (unsigned i = 0; i < TIER_COUNT; i++) {
        struct endpoint_tier *tier = &set->tiers[i];
        if (tier->table) set->balance->table_free(tier->table);
        free(tier->aliases);
        free(tier->items);
        free(tier->weights);
    }
    free(set);
}
