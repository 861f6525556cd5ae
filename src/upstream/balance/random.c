/* SPDX-License-Identifier: Apache-2.0
 *
 * Random by weight; and, built on the same draw, the less busy of two random
 * choices (Mitzenmacher 2001), which is the default: it needs no state that
 * workers would have to share but the count of active requests.
 */
#include "upstream/balance/balance.h"

static size_t no_state(size_t count)
{
    (void)count;
    return 0;
}

/* One endpoint with probability by weight among those that may be chosen, other
 * than `not_this`. */
static struct endpoint *draw(const struct endpoint_set *set, const struct balance_ask *ask,
                             const struct endpoint *not_this)
{
    uint32_t total = 0;
    for (size_t i = 0; i < set->count; i++)
        if (set->items[i] != not_this && balance_may_choose(set->items[i], ask))
            total += set->items[i]->weight;
    if (!total) return NULL;
    uint32_t at = random_below(ask->random, total);
    for (size_t i = 0; i < set->count; i++) {
        struct endpoint *e = set->items[i];
        if (e == not_this || !balance_may_choose(e, ask)) continue;
        if (at < e->weight) return e;
        at -= e->weight;
    }
    return NULL;
}

static struct endpoint *choose_random(void *state, const struct endpoint_set *set,
                                      const struct balance_ask *ask)
{
    (void)state;
    return draw(set, ask, NULL);
}

/* Is a less loaded for its weight than b? */
static bool is_less_busy(struct endpoint *a, struct endpoint *b)
{
    uint64_t active_a = atomic_load_explicit(&a->live.active, memory_order_relaxed);
    uint64_t active_b = atomic_load_explicit(&b->live.active, memory_order_relaxed);
    return (active_a + 1) * b->weight < (active_b + 1) * a->weight;
}

static struct endpoint *choose_least(void *state, const struct endpoint_set *set,
                                     const struct balance_ask *ask)
{
    (void)state;
    struct endpoint *a = draw(set, ask, NULL);
    struct endpoint *b = a ? draw(set, ask, a) : NULL;
    return b && is_less_busy(b, a) ? b : a;
}

extern const struct balance_ops balance_random;
extern const struct balance_ops balance_least_requests;
const struct balance_ops balance_random = { "random", no_state, choose_random };
const struct balance_ops balance_least_requests = { "least_requests", no_state, choose_least };
