/* SPDX-License-Identifier: Apache-2.0
 *
 * Decimal digits against printf, around every change of their number.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/decimal.h"

static void check(uint64_t n)
{
    char text[DECIMAL_BYTES_MAX + 1], expected[DECIMAL_BYTES_MAX + 1];
    *decimal_put(text, n) = '\0';
    snprintf(expected, sizeof(expected), "%llu", (unsigned long long)n);
    assert_string_equal(text, expected);
}

static void digits_are_those_of_printf(void **state)
{
    (void)state;
    for (uint64_t n = 0; n < 2000; n++) check(n);
    for (uint64_t power = 1; power <= UINT64_MAX / 10; power *= 10)
        for (uint64_t n = 10 * power - 3; n < 10 * power + 3; n++) check(n);
    check(UINT64_MAX);
    check(UINT64_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digits_are_those_of_printf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
