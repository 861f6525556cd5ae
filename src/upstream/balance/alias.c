/* SPDX-License-Identifier: Apache-2.0
 *
 * Building alias tables. See alias.h.
 *
 * Each index has a box of the average weight. What is lighter than that fills
 * its box up with a piece of a heavier one. All in integers, so that nothing is
 * lost but what the last step rounds: 2^-32 of a box.
 */
#include "upstream/balance/alias.h"

#include <stdlib.h>

#include "base/memory.h"

/* part / whole in 32 bits; part < whole. */
static uint32_t fraction(uint64_t part, uint64_t whole)
{
    return (uint32_t)(((unsigned __int128)part << 32) / whole);
}

struct alias *alias_table_new(const uint32_t *weights, size_t count)
{
    struct alias *table = mem_alloc(count * sizeof(*table));
    uint64_t     *left = mem_alloc(count * sizeof(*left)); /* weight times count, to be placed */
    uint32_t     *todo = mem_alloc(count * sizeof(*todo)); /* light ones in front, heavy behind */
    uint64_t      box = 0;
    size_t        light = 0, heavy = count;
    for (size_t i = 0; i < count; i++) box += weights[i];
    for (size_t i = 0; i < count; i++) {
        left[i] = (uint64_t)weights[i] * count;
        todo[left[i] < box ? light++ : --heavy] = (uint32_t)i;
        table[i] = (struct alias){ UINT32_MAX, (uint32_t)i }; /* the whole box */
    }
    while (light && heavy < count) {
        uint32_t a = todo[--light], b = todo[heavy];
        table[a] = (struct alias){ fraction(left[a], box), b };
        left[b] -= box - left[a];
        if (left[b] >= box) continue;
        heavy++;
        todo[light++] = b;
    }
    free(left);
    free(todo);
    return table;
}
