/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of balancing algorithms and what they share. See balance.h.
 */
#include "upstream/balance/balance.h"

#include "upstream/balance/alias.h"

/* Draws before all are looked at: one costs as much as looking at two or three. */
enum { DRAWS_MAX = 32 };

extern const struct balance_ops balance_least_requests;
extern const struct balance_ops balance_round_robin;
extern const struct balance_ops balance_random;
extern const struct balance_ops balance_least_time;
extern const struct balance_ops balance_ring_hash;
extern const struct balance_ops balance_maglev;
extern const struct balance_ops balance_sticky;

const struct balance_ops *const balance_algorithms[] = {
    [BALANCE_LEAST_REQUESTS] = &balance_least_requests,
    [BALANCE_ROUND_ROBIN] = &balance_round_robin,
    [BALANCE_RANDOM] = &balance_random,
    [BALANCE_LEAST_TIME] = &balance_least_time,
    [BALANCE_RING_HASH] = &balance_ring_hash,
    [BALANCE_MAGLEV] = &balance_maglev,
    [BALANCE_STICKY] = &balance_sticky,
};

void balance_state_reset(struct balance_state *s)
{
    for (unsigned i = 0; i < TIER_COUNT; i++)
        if (s->tiers[i]) s->ops->state_free(s->tiers[i]);
    *s = (struct balance_state){ 0 };
}

static void remake_state(struct balance_state *s, const struct endpoint_set *set,
                         struct random *random)
{
    balance_state_reset(s);
    s->set_id = set->id;
    s->ops = set->balance;
    if (!s->ops->state_new) return;
    for (unsigned i = 0; i < TIER_COUNT; i++)
        if (set->tiers[i].count) s->tiers[i] = s->ops->state_new(&set->tiers[i], random);
}

struct endpoint *balance_choose(struct balance_state *state, const struct endpoint_set *set,
                                const struct balance_ask *ask)
{
    if (state->set_id != set->id) remake_state(state, set, ask->random);
    for (unsigned i = 0; i < TIER_COUNT; i++) {
        const struct endpoint_tier *tier = &set->tiers[i];
        struct endpoint            *e = NULL;
        if (i == TIER_EJECTED && !ask->is_retry) break;
        /* Where there is no choice, there is nothing to choose. */
        if (tier->count == 1)
            e = balance_may_choose(set, tier->items[0], ask) ? tier->items[0] : NULL;
        else if (tier->count)
            e = set->balance->choose(state->tiers[i], set, tier, ask);
        if (e) return e;
    }
    return NULL;
}

void balance_tried(struct balance_ask *ask, struct endpoint *e)
{
    if (ask->tried_count < BALANCE_TRIED_MAX) ask->tried[ask->tried_count++] = e;
}

bool balance_was_tried(const struct endpoint *e, const struct balance_ask *ask)
{
    for (unsigned i = 0; i < ask->tried_count; i++)
        if (ask->tried[i] == e) return true;
    return false;
}

bool balance_may_choose(const struct endpoint_set *set, const struct endpoint *e,
                        const struct balance_ask *ask)
{
    if (balance_was_tried(e, ask)) return false;
    return !set->request_max ||
           atomic_load_explicit(&e->live->active, memory_order_relaxed) < set->request_max;
}

size_t balance_draw_any(const struct endpoint_tier *tier, struct random *random)
{
    if (tier->is_even) return random_below(random, (uint32_t)tier->count);
    return alias_draw(tier->aliases, tier->count, random);
}

/* A number in [0, bound); bound > 0. */
static uint64_t draw_below(struct random *random, uint64_t bound)
{
    return (uint64_t)((unsigned __int128)random_next(random) * bound >> 64);
}

/* Most may not be chosen: looks at all, once, as what may be chosen changes meanwhile. Each
 * takes the place of what was found before with the probability of its weight (Chao 1982). */
static size_t draw_of_few(const struct endpoint_set *set, const struct endpoint_tier *tier,
                          const struct balance_ask *ask, size_t not_this)
{
    size_t   found = BALANCE_NONE;
    uint64_t total = 0;
    for (size_t i = 0; i < tier->count; i++) {
        if (i == not_this || !balance_may_choose(set, tier->items[i], ask)) continue;
        total += tier->weights[i];
        if (draw_below(ask->random, total) < tier->weights[i]) found = i;
    }
    return found;
}

size_t balance_draw(const struct endpoint_set *set, const struct endpoint_tier *tier,
                    const struct balance_ask *ask, size_t not_this)
{
    for (size_t i = 0; i < DRAWS_MAX && i < tier->count; i++) {
        size_t at = balance_draw_any(tier, ask->random);
        if (at != not_this && balance_may_choose(set, tier->items[at], ask)) return at;
    }
    return draw_of_few(set, tier, ask, not_this);
}

bool balance_draw_two(const struct endpoint_set *set, const struct endpoint_tier *tier,
                      const struct balance_ask *ask, size_t two[2])
{
    two[0] = balance_draw(set, tier, ask, BALANCE_NONE);
    if (two[0] == BALANCE_NONE) return false;
    two[1] = balance_draw(set, tier, ask, two[0]);
    if (two[1] == BALANCE_NONE) two[1] = two[0];
    return true;
}

bool balance_has_headroom(const struct endpoint_tier *tier, size_t index, uint32_t max_load,
                          const struct balance_ask *ask)
{
    if (!max_load) return true;
    uint64_t active = atomic_load_explicit(&tier->items[index]->live->active, memory_order_relaxed);
    /* active + 1 <= ceil(max_load / 100 * (load + 1) * weight / total), without the division. */
    return (unsigned __int128)active * 100 * tier->total_weight <
           (unsigned __int128)max_load * ((uint64_t)ask->load + 1) * tier->weights[index];
}

struct balance_seek balance_seek_start(const struct endpoint_set  *set,
                                       const struct endpoint_tier *tier,
                                       const struct balance_ask *ask, uint32_t max_load)
{
    return (struct balance_seek){
        .set = set,
        .tier = tier,
        .ask = ask,
        .max_load = max_load,
        .hash = ask->has_hash ? ask->hash : random_next(ask->random),
        .owner = BALANCE_NONE,
    };
}

bool balance_seek_at(struct balance_seek *s, size_t index)
{
    if (!balance_may_choose(s->set, s->tier->items[index], s->ask)) return false;
    if (balance_has_headroom(s->tier, index, s->max_load, s->ask)) return true;
    if (s->owner == BALANCE_NONE) s->owner = index;
    return false;
}

struct endpoint *balance_seek_rest(const struct balance_seek *s)
{
    struct balance_seek rest = *s;
    size_t count = s->tier->count, at = s->owner == BALANCE_NONE ? s->hash % count : s->owner;
    for (size_t i = 0; i < count; i++, at = at + 1 < count ? at + 1 : 0)
        if (balance_seek_at(&rest, at)) return s->tier->items[at];
    return rest.owner == BALANCE_NONE ? NULL : s->tier->items[rest.owner];
}
