/* SPDX-License-Identifier: Apache-2.0
 *
 * Random by weight.
 */
#include "upstream/balance/balance.h"

static struct endpoint *choose(void *state, const struct endpoint_set *set,
                               const struct endpoint_tier *tier, const struct balance_ask *ask)
{
    (void)state;
    size_t at = balance_draw(set, tier, ask, BALANCE_NONE);
    return at == BALANCE_NONE ? NULL : tier->items[at];
}

extern const struct balance_ops balance_random;
const struct balance_ops        balance_random = { .name = "random", .choose = choose };
