/* SPDX-License-Identifier: Apache-2.0
 *
 * Random draws by weight in constant time: the alias method (Walker 1977, built
 * as by Vose 1991). One random number a draw, one cache line.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/random.h"

/* An index is drawn evenly; it stands with probability threshold / 2^32, else `other` does. */
struct alias {
    uint32_t threshold;
    uint32_t other;
};

/* As many as there are weights, of which none is 0; free with free(). */
struct alias *alias_table_new(const uint32_t *weights, size_t count);

static inline size_t alias_draw(const struct alias *table, size_t count, struct random *random)
{
    uint64_t            x = random_next(random);
    size_t              i = (size_t)((x >> 32) * count >> 32);
    const struct alias *a = &table[i];
    return (uint32_t)x < a->threshold ? i : a->other;
}
