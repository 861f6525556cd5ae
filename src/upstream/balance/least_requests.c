/* SPDX-License-Identifier: Apache-2.0
 *
 * The less busy of two random choices (Mitzenmacher 2001), by weight: the default.
 * It needs no state that workers would have to share but each endpoint's count of
 * active requests, and does not herd as a strict minimum would.
 */
#include "upstream/balance/balance.h"

static uint64_t active_at(const struct endpoint_tier *tier, size_t i)
{
    return atomic_load_explicit(&tier->items[i]->live->active, memory_order_relaxed);
}

/* Is a less loaded for its weight than b? No when both are idle: then the first draw, which
 * was by weight, stands. */
static bool is_less_busy(const struct endpoint_tier *tier, size_t a, size_t b)
{
    return active_at(tier, a) * tier->weights[b] < active_at(tier, b) * tier->weights[a];
}

static struct endpoint *choose(void *state, const struct endpoint_set *set,
                               const struct endpoint_tier *tier, const struct balance_ask *ask)
{
    (void)state;
    size_t two[2];
    if (!balance_draw_two(set, tier, ask, two)) return NULL;
    return tier->items[is_less_busy(tier, two[1], two[0]) ? two[1] : two[0]];
}

extern const struct balance_ops balance_least_requests;
const struct balance_ops balance_least_requests = { .name = "least_requests", .choose = choose };
