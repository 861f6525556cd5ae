/* SPDX-License-Identifier: Apache-2.0
 *
 * Alias tables: each index has the probability that its weight says.
 */
#include "upstream/balance/alias.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MANY = 1000 };

/* What the whole table gives to `index`, in boxes. */
static double boxes_of(const struct alias *table, size_t count, size_t index)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        double own = table[i].threshold / 4294967296.0;
        assert_true(table[i].other < count);
        if (table[i].other == index) sum += 1 - own;
        if (i == index) sum += own;
    }
    return sum;
}

static void check(const uint32_t *weights, size_t count)
{
    struct alias *table = alias_table_new(weights, count);
    double        total = 0;
    for (size_t i = 0; i < count; i++) total += weights[i];
    for (size_t i = 0; i < count; i++) {
        double off = boxes_of(table, count, i) - weights[i] * (double)count / total;
        /* Each box is rounded once, by at most 2^-32. */
        assert_true(off < count / 4.2e9 && off > -(count / 4.2e9));
    }
    free(table);
}

static void probabilities_are_the_weights(void **unused)
{
    (void)unused;
    static const uint32_t small[][4] = {
        { 1, 1, 1, 1 }, { 1, 2, 3, 4 }, { 1, 1000, 1, 1 }, { 5, 1, 1, 7 }, { UINT32_MAX, 1, 2, 3 },
    };
    for (size_t i = 0; i < sizeof(small) / sizeof(small[0]); i++)
        for (size_t count = 1; count <= 4; count++) check(small[i], count);
}

static void so_are_those_of_many(void **unused)
{
    (void)unused;
    uint32_t      weights[MANY];
    struct random random = { { 1, 2, 3, 4 } };
    for (unsigned round = 0; round < 5; round++) {
        for (size_t i = 0; i < MANY; i++) weights[i] = 1 + random_below(&random, 1000);
        check(weights, MANY);
    }
}

static void draws_read_both_sides(void **unused)
{
    (void)unused;
    static const struct alias table[] = { { UINT32_MAX / 4 * 3, 1 }, { 0, 2 }, { UINT32_MAX, 2 } };
    struct random             random = { { 1, 2, 3, 4 } };
    unsigned                  seen[3] = { 0 };
    for (unsigned i = 0; i < 120000; i++) seen[alias_draw(table, 3, &random)]++;
    /* 1/4, 1/12 and 2/3 of the draws; ten standard deviations are 1,633 at most. */
    assert_in_range(seen[0], 30000 - 1634, 30000 + 1634);
    assert_in_range(seen[1], 10000 - 1634, 10000 + 1634);
    assert_in_range(seen[2], 80000 - 1634, 80000 + 1634);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(probabilities_are_the_weights),
        cmocka_unit_test(so_are_those_of_many),
        cmocka_unit_test(draws_read_both_sides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
