/* SPDX-License-Identifier: Apache-2.0
 *
 * Conditions, in the order of RFC 9110 section 13.2.2, for a file with the ETag "a" that
 * was changed at 08:49:37.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/conditional.h"

#define BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"
#define SAME "Sun, 06 Nov 1994 08:49:37 GMT"
#define AFTER "Sun, 06 Nov 1994 08:49:38 GMT"

enum { MODIFIED_S = 784111777 };

/* "Name: value" each, up to a NULL. */
static void add(struct http_fields *f, struct arena *a, const char *const *lines)
{
    for (; *lines; lines++) {
        struct slice line = slice_of(*lines);
        size_t       colon = slice_find(line, ':');
        http_fields_add_named(f, a, slice_make(line.data, colon), slice_from(line, colon + 2));
    }
}

static const struct {
    const char         *lines[4];
    enum http_condition found;
} conditions[] = {
    { { NULL }, CONDITION_HOLDS },
    { { "If-Match: \"a\"" }, CONDITION_HOLDS },
    { { "If-Match: *" }, CONDITION_HOLDS },
    { { "If-Match: \"x\", \"a\"" }, CONDITION_HOLDS },
    { { "If-Match: \"x\"", "If-Match: \"a\"" }, CONDITION_HOLDS },
    { { "If-Match: \"x\"" }, CONDITION_FAILED },
    { { "If-Match: W/\"a\"" }, CONDITION_FAILED },
    { { "If-Match: a" }, CONDITION_FAILED },
    { { "If-Unmodified-Since: " BEFORE }, CONDITION_FAILED },
    { { "If-Unmodified-Since: " SAME }, CONDITION_HOLDS },
    { { "If-Unmodified-Since: " AFTER }, CONDITION_HOLDS },
    { { "If-Unmodified-Since: whenever" }, CONDITION_HOLDS },
    { { "If-Match: \"a\"", "If-Unmodified-Since: " BEFORE }, CONDITION_HOLDS },
    { { "If-None-Match: \"a\"" }, CONDITION_NOT_MODIFIED },
    { { "If-None-Match: W/\"a\"" }, CONDITION_NOT_MODIFIED },
    { { "If-None-Match: \"x\",\"y\" , W/\"a\"" }, CONDITION_NOT_MODIFIED },
    { { "If-None-Match: \"x\"", "If-None-Match: \"a\"" }, CONDITION_NOT_MODIFIED },
    { { "If-None-Match: *" }, CONDITION_NOT_MODIFIED },
    { { "If-None-Match: \"x\"" }, CONDITION_HOLDS },
    { { "If-None-Match: \"x, \"a\"" }, CONDITION_HOLDS }, /* the tag `x, `, then no tag */
    { { "If-None-Match: \"" }, CONDITION_HOLDS },
    { { "If-None-Match: W/" }, CONDITION_HOLDS },
    { { "If-Modified-Since: " BEFORE }, CONDITION_HOLDS },
    { { "If-Modified-Since: " SAME }, CONDITION_NOT_MODIFIED },
    { { "If-Modified-Since: " AFTER }, CONDITION_NOT_MODIFIED },
    { { "If-Modified-Since: 784111777" }, CONDITION_HOLDS },
    { { "If-None-Match: \"x\"", "If-Modified-Since: " AFTER }, CONDITION_HOLDS },
    { { "If-None-Match: \"a\"", "If-Modified-Since: " BEFORE }, CONDITION_NOT_MODIFIED },
    { { "If-Match: \"x\"", "If-None-Match: \"a\"" }, CONDITION_FAILED },
    { { "If-Match: \"a\"", "If-None-Match: \"a\"" }, CONDITION_NOT_MODIFIED },
    { { "If-Unmodified-Since: " BEFORE, "If-None-Match: \"a\"" }, CONDITION_FAILED },
};

static void conditions_are_judged_in_order(void **state)
{
    (void)state;
    struct http_validators v = { S("\"a\""), MODIFIED_S, false };
    for (size_t i = 0; i < sizeof(conditions) / sizeof(conditions[0]); i++) {
        struct arena       a;
        struct http_fields f = { 0 };
        arena_init(&a, NULL);
        add(&f, &a, conditions[i].lines);
        if (http_judge_conditions(&f, &v) != conditions[i].found)
            fail_msg("%s", conditions[i].lines[0]);
        arena_reset(&a);
    }
}

static void a_weak_etag_matches_weakly_only(void **state)
{
    (void)state;
    struct http_validators v = { S("W/\"a\""), MODIFIED_S, false };
    struct arena           a;
    struct http_fields     f = { 0 }, g = { 0 };
    arena_init(&a, NULL);
    add(&f, &a, (const char *const[]){ "If-Match: W/\"a\"", NULL });
    assert_int_equal(http_judge_conditions(&f, &v), CONDITION_FAILED);
    add(&g, &a, (const char *const[]){ "If-None-Match: \"a\"", "If-Range: W/\"a\"", NULL });
    assert_int_equal(http_judge_conditions(&g, &v), CONDITION_NOT_MODIFIED);
    assert_false(http_if_range_holds(&g, &v));
    arena_reset(&a);
}

static void if_range_wants_the_very_same(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        bool        is_date_weak, holds;
    } rows[] = {
        { NULL, false, true },       { "\"a\"", false, true }, { "\"x\"", false, false },
        { "W/\"a\"", false, false }, { SAME, false, true },    { SAME, true, false },
        { AFTER, false, false },     { BEFORE, false, false }, { "a", false, false },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct http_validators v = { S("\"a\""), MODIFIED_S, rows[i].is_date_weak };
        struct arena           a;
        struct http_fields     f = { 0 };
        arena_init(&a, NULL);
        if (rows[i].value) http_fields_add_named(&f, &a, S("If-Range"), slice_of(rows[i].value));
        if (http_if_range_holds(&f, &v) != rows[i].holds) fail_msg("%s", rows[i].value);
        arena_reset(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions_are_judged_in_order),
        cmocka_unit_test(a_weak_etag_matches_weakly_only),
        cmocka_unit_test(if_range_wants_the_very_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
