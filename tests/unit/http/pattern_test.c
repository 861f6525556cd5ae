/* SPDX-License-Identifier: Apache-2.0
 *
 * Expressions: what they capture, and that none costs more than its limits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/pattern.h"

struct bench {
    struct arena           arena;
    struct pattern_matcher m;
    struct counter         gave_up;
};

static struct bench *set_up(void)
{
    static struct bench b;
    arena_init(&b.arena, NULL);
    pattern_matcher_init(&b.m);
    b.gave_up = (struct counter){ 0 };
    b.m.gave_up = &b.gave_up;
    return &b;
}

static void tear_down(struct bench *b)
{
    pattern_matcher_reset(&b->m);
    arena_reset(&b->arena);
}

static void groups_are_parts_of_the_text(void **state)
{
    struct bench *b = set_up();
    struct error  e;
    struct slice  text = S("/shop/42"), captures[PATTERN_CAPTURES_MAX];
    (void)state;
    pcre2_code *code = pattern_compile(S("^/(x)?([a-z]+)/(?<id>\\d+)$"), false, &b->arena, &e);
    assert_non_null(code);
    assert_int_equal(pattern_group_count(code), 3);
    assert_int_equal(pattern_group(code, S("id")), 3);
    assert_int_equal(pattern_group(code, S("else")), 0);
    assert_int_equal(pattern_group(code, S("2")), 2);
    assert_int_equal(pattern_group(code, S("4")), 0);
    assert_int_equal(pattern_group(code, S("0")), 0);
    assert_int_equal(pattern_group(code, S("")), 0);
    assert_true(pattern_matches(code, text, &b->m));
    pattern_captures(code, &b->m, text, captures);
    assert_true(slice_eq(captures[0], text));
    assert_true(slice_eq(captures[1], S(""))); /* it took no part */
    assert_true(slice_eq(captures[2], S("shop")));
    assert_true(slice_eq(captures[3], S("42")));
    for (size_t i = 4; i < PATTERN_CAPTURES_MAX; i++) assert_int_equal(captures[i].len, 0);
    tear_down(b);
}

/* Of an expression with fewer groups than the one before. */
static void nothing_is_left_of_the_last_match(void **state)
{
    struct bench *b = set_up();
    struct error  e;
    struct slice  captures[PATTERN_CAPTURES_MAX];
    (void)state;
    pcre2_code *more = pattern_compile(S("(a)(b)"), false, &b->arena, &e);
    pcre2_code *less = pattern_compile(S("(A)"), true, &b->arena, &e);
    assert_true(pattern_matches(more, S("xxab"), &b->m));
    assert_true(pattern_matches(less, S("a"), &b->m));
    pattern_captures(less, &b->m, S("a"), captures);
    assert_true(slice_eq(captures[1], S("a")));
    assert_int_equal(captures[2].len, 0);
    tear_down(b);
}

static void what_explodes_gives_up_and_is_counted(void **state)
{
    static const char *const evil[] = { "^(a+)+$", "^(a|aa)+$", "^(a|a?)+$", "(a*)*[xy]",
                                        "^([a-z]+)*$" };
    struct bench            *b = set_up();
    struct error             e;
    char                     text[4096];
    (void)state;
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '!';
    for (size_t i = 0; i < sizeof(evil) / sizeof(evil[0]); i++) {
        pcre2_code *code = pattern_compile(slice_of(evil[i]), false, &b->arena, &e);
        b->m.has_hit_limit = false;
        assert_false(pattern_matches(code, slice_make(text, sizeof(text)), &b->m));
        if (!b->m.has_hit_limit) fail_msg("%s", evil[i]);
        assert_int_equal(counter_get(&b->gave_up), i + 1);
    }
    tear_down(b);
}

static void a_bad_one_says_where(void **state)
{
    struct bench *b = set_up();
    struct error  e;
    (void)state;
    assert_null(pattern_compile(S("^/(a"), false, &b->arena, &e));
    assert_string_equal(e.text, "missing closing parenthesis at character 5");
    tear_down(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_are_parts_of_the_text),
        cmocka_unit_test(nothing_is_left_of_the_last_match),
        cmocka_unit_test(what_explodes_gives_up_and_is_counted),
        cmocka_unit_test(a_bad_one_says_where),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
