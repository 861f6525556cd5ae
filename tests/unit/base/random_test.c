/* SPDX-License-Identifier: Apache-2.0
 *
 * Random numbers: the published sequence, ranges, and that seeds differ.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"

/* The first outputs of xoshiro256** for the state 1, 2, 3, 4, by the reference code. */
static void follows_the_reference(void **state)
{
    (void)state;
    static const uint64_t expected[] = {
        11520,
        0,
        1509978240,
        1215971899390074240,
        1216172134540287360,
        607988272756665600,
        16172922978634559625u,
        8476171486693032832,
        10595114339597558777u,
        2904607092377533576,
    };
    struct random r = { { 1, 2, 3, 4 } };
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        assert_true(random_next(&r) == expected[i]);
}

static void stays_below_the_bound_and_reaches_all(void **state)
{
    (void)state;
    struct random r = { { 1, 2, 3, 4 } };
    unsigned      hits[10] = { 0 };
    for (int i = 0; i < 100000; i++) {
        uint32_t n = random_below(&r, 10);
        assert_true(n < 10);
        hits[n]++;
    }
    /* Five standard deviations (95 each) about 10,000. */
    for (int i = 0; i < 10; i++) assert_in_range(hits[i], 9525, 10475);
    for (int i = 0; i < 100; i++) assert_int_equal(random_below(&r, 1), 0);
    for (int i = 0; i < 100; i++) assert_true(random_below(&r, UINT32_MAX) < UINT32_MAX);
}

static void two_generators_differ(void **state)
{
    (void)state;
    struct random a, b;
    random_init(&a);
    random_init(&b);
    assert_memory_not_equal(&a, &b, sizeof(a));
    assert_true(random_next(&a) != random_next(&b));
}

static void secrets_fill_exactly(void **state)
{
    (void)state;
    unsigned char bytes[34] = { 0 }, seen = 0;
    for (int round = 0; round < 64; round++) {
        random_secret(bytes + 1, 32);
        assert_int_equal(bytes[0], 0);
        assert_int_equal(bytes[33], 0);
        seen |= bytes[32];
    }
    assert_int_equal(seen, 0xff);
    random_secret(bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_the_reference),
        cmocka_unit_test(stays_below_the_bound_and_reaches_all),
        cmocka_unit_test(two_generators_differ),
        cmocka_unit_test(secrets_fill_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
