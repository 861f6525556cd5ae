/* SPDX-License-Identifier: Apache-2.0
 *
 * Slices: comparing, ends, finding.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/slice.h"

static void of_text(void **state)
{
    (void)state;
    assert_int_equal(slice_of("abc").len, 3);
    assert_int_equal(slice_of("").len, 0);
    assert_int_equal(slice_of(NULL).len, 0);
    assert_int_equal(S("a\0b").len, 3);
}

static void equality(void **state)
{
    (void)state;
    assert_true(slice_eq(S("abc"), slice_make("abcdef", 3)));
    assert_false(slice_eq(S("abc"), S("abd")));
    assert_false(slice_eq(S("abc"), S("ab")));
    assert_true(slice_eq(S(""), slice_make(NULL, 0)));
    assert_false(slice_eq(S("Host"), S("host")));
    assert_true(slice_eq_nocase(S("Host"), S("hOST")));
    assert_false(slice_eq_nocase(S("Host"), S("Hos")));
    assert_false(slice_eq_nocase(S("Hos"), S("Host")));
    assert_true(slice_eq_nocase(slice_make(NULL, 0), S("")));
}

static void ends(void **state)
{
    (void)state;
    assert_true(slice_starts_with(S("/api/x"), S("/api")));
    assert_false(slice_starts_with(S("/ap"), S("/api")));
    assert_true(slice_starts_with(S("x"), slice_make(NULL, 0)));
    assert_true(slice_ends_with(S("a.example.org"), S(".example.org")));
    assert_false(slice_ends_with(S("example.org"), S(".example.org")));
    assert_true(slice_ends_with(S("x"), slice_make(NULL, 0)));
}

static void finding(void **state)
{
    (void)state;
    assert_int_equal(slice_find(S("a:b:c"), ':'), 1);
    assert_int_equal(slice_find(S("abc"), ':'), 3);
    assert_int_equal(slice_find(slice_make("abc:", 3), ':'), 3);
    assert_int_equal(slice_find(slice_make(NULL, 0), ':'), 0);
    assert_true(slice_eq(slice_from(S("a:b"), 2), S("b")));
    assert_int_equal(slice_from(S("a:b"), 3).len, 0);
    assert_null(slice_from(slice_make(NULL, 0), 0).data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_text),
        cmocka_unit_test(equality),
        cmocka_unit_test(ends),
        cmocka_unit_test(finding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
