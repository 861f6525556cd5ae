/* SPDX-License-Identifier: Apache-2.0
 *
 * The script's sum, and how its numbers are written. What it does is tested in a
 * real Redis: tests/e2e/test_limit_script.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "filter/limit_script.h"

static void the_sum_is_that_of_the_text(void **state)
{
    (void)state;
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned      len;
    char          hex[2 * EVP_MAX_MD_SIZE + 1];
    assert_int_equal(
        EVP_Digest(limit_script_text, strlen(limit_script_text), sum, &len, EVP_sha1(), NULL), 1);
    for (unsigned i = 0; i < len; i++) snprintf(hex + 2 * i, 3, "%02x", sum[i]);
    assert_string_equal(limit_script_sha1, hex);
}

static void check(uint64_t interval_ns, uint32_t burst, const char *interval, const char *span)
{
    struct limit_script_args args;
    limit_script_args(&args, interval_ns, burst);
    assert_string_equal(args.interval, interval);
    assert_string_equal(args.span, span);
}

static void numbers_are_quarters_rounded_up(void **state)
{
    (void)state;
    check(100000000, 20, "100000", "2100000");
    check(0, 0, "0.25", "0.25");
    check(1, 2, "0.25", "0.75");
    check(500, 2, "0.5", "1.5");
    check(333333334, 2, "333333.5", "1000000.5");
    check(1750, 3, "1.75", "7");
    check(UINT64_MAX, UINT32_MAX, "316224000000000", "316224000000000");
    check(1000000000, UINT32_MAX, "1000000", "316224000000000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sum_is_that_of_the_text),
        cmocka_unit_test(numbers_are_quarters_rounded_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
