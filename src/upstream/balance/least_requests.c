/* SPDX-License-Identifier: Apache-2.0
 *
 * The less busy of two random choices (Mitzenmacher 2001), by weight: the default.
 * It needs no state that workers would have to share but each endpoint's count of
 * active requests, and does not herd as a strict minimum would.
 */
#include "upstream/balance/balance.h"

/* Is a less loaded for its weight than b? */
static bool is_less_busy(struct endpoint *a, struct endpoint *b)
{
    uint64_t active_a = atomic_load_explicit(&a->live.active, memory_order_relaxed);
    uint64_t active_b = atomic_load_explicit(&b->live.active, memory_order_relaxed);
    return (active_a + 1) * b->weight < (active_b + 1) * a->weight;
}

static struct endpoint *choose(void *state, const struct endpoint_set *set,
                               const struct balance_ask *ask)
{
    (void)state;
    struct endpoint *a = balance_draw(set, ask, NULL);
    struct endpoint *b = a ? balance_draw(set, ask, a) : NULL;
    return b && is_less_busy(b, a) ? b : a;
}

extern const struct balance_ops balance_least_requests;
const struct balance_ops balance_least_requests = { "least_requests", balance_no_state, choose };
