/* SPDX-License-Identifier: Apache-2.0
 *
 * Random by weight.
 */
#include "upstream/balance/balance.h"

static struct endpoint *choose(void *state, const struct endpoint_set *set,
                               const struct balance_ask *ask)
{
    (void)state;
    return balance_draw(set, ask, NULL);
}

extern const struct balance_ops balance_random;
const struct balance_ops        balance_random = { "random", balance_no_state, choose };
