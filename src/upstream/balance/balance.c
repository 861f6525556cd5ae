/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of balancing algorithms and what they share. See balance.h.
 */
#include "upstream/balance/balance.h"

extern const struct balance_ops balance_least_requests;
extern const struct balance_ops balance_round_robin;
extern const struct balance_ops balance_random;

const struct balance_ops *const balance_algorithms[] = {
    &balance_least_requests,
    &balance_round_robin,
    &balance_random,
};

bool balance_may_choose(const struct endpoint *e, const struct balance_ask *ask)
{
    if (e->is_backup != (ask->pass == BALANCE_BACKUPS)) return false;
    for (unsigned i = 0; i < ask->tried_count; i++)
        if (ask->tried[i] == e) return false;
    return true;
}

void balance_tried(struct balance_ask *ask, const struct endpoint *e)
{
    if (ask->tried_count < BALANCE_TRIED_MAX) ask->tried[ask->tried_count++] = e;
}

struct endpoint *balance_choose(const struct balance_ops *ops, void *state,
                                const struct endpoint_set *set, struct balance_ask *ask)
{
    if (set->count == 0) return NULL;
    /* Where there is no choice, there is nothing to choose. */
    if (set->count == 1 && !ask->tried_count) return set->items[0];
    struct endpoint *e = NULL;
    for (ask->pass = BALANCE_PRIMARIES; !e && ask->pass <= BALANCE_BACKUPS; ask->pass++) {
        if (ask->pass == BALANCE_BACKUPS && !set->has_backups) continue;
        e = ops->choose(state, set, ask);
    }
    return e;
}

size_t balance_no_state(size_t count)
{
    (void)count;
    return 0;
}

struct endpoint *balance_draw(const struct endpoint_set *set, const struct balance_ask *ask,
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
