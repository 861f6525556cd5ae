/* SPDX-License-Identifier: Apache-2.0
 *
 * Smooth weighted round robin: each turn every endpoint gains its weight, the
 * one with most is chosen and pays the total back; so weights 5,1,1 give
 * a a b a c a a and never five in a row. Each worker takes turns on its own.
 */
#include "upstream/balance/balance.h"

static size_t state_bytes(size_t count)
{
    return count * sizeof(int64_t);
}

static struct endpoint *choose(void *state, const struct endpoint_set *set,
                               const struct balance_ask *ask)
{
    int64_t *credit = state;
    int64_t  total = 0;
    size_t   best = set->count;
    for (size_t i = 0; i < set->count; i++) {
        const struct endpoint *e = set->items[i];
        if (!balance_may_choose(e, ask)) continue;
        credit[i] += e->weight;
        total += e->weight;
        if (best == set->count || credit[i] > credit[best]) best = i;
    }
    if (best == set->count) return NULL;
    credit[best] -= total;
    return set->items[best];
}

extern const struct balance_ops balance_round_robin;
const struct balance_ops        balance_round_robin = { "round_robin", state_bytes, choose };
