/* SPDX-License-Identifier: Apache-2.0
 *
 * What plans share: found again by key, freed with the last plan, ids dense.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "control/registry.h"
#include "proxy/stats.h"

static void count_free(struct registry_item *item, void *arg)
{
    (void)item;
    ++*(int *)arg;
}

static struct registry_item *add(struct registry *r, const char *key, int *freed)
{
    return registry_add(r, REGISTRY_TLS, slice_of(key), freed, count_free, freed);
}

static void what_two_plans_hold_is_freed_with_the_second(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    struct arena     old, new;
    int              freed = 0;
    arena_init(&old, NULL);
    arena_init(&new, NULL);
    registry_hold(r, add(r, "a", &freed), &old);
    struct registry_item *again = registry_find(r, REGISTRY_TLS, S("a"));
    assert_non_null(again);
    assert_ptr_equal(again->object, &freed);
    registry_hold(r, again, &new);
    arena_reset(&old);
    assert_int_equal(freed, 0);
    assert_non_null(registry_find(r, REGISTRY_TLS, S("a")));
    arena_reset(&new);
    assert_int_equal(freed, 1);
    assert_null(registry_find(r, REGISTRY_TLS, S("a")));
    registry_free(r);
}

static void kinds_do_not_mix(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    struct arena     plan;
    int              freed = 0;
    arena_init(&plan, NULL);
    registry_hold(r, add(r, "a", &freed), &plan);
    assert_null(registry_find(r, REGISTRY_UPSTREAM, S("a")));
    arena_reset(&plan);
    registry_free(r);
}

static void what_is_forgotten_lives_on_beside_its_successor(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    struct arena     old, new;
    int              freed_old = 0, freed_new = 0;
    arena_init(&old, NULL);
    arena_init(&new, NULL);
    struct registry_item *item = add(r, "a", &freed_old);
    registry_hold(r, item, &old);
    registry_forget(r, item);
    assert_null(registry_find(r, REGISTRY_TLS, S("a")));
    registry_hold(r, add(r, "a", &freed_new), &new);
    arena_reset(&old);
    assert_int_equal(freed_old, 1);
    assert_ptr_equal(registry_find(r, REGISTRY_TLS, S("a"))->object, &freed_new);
    arena_reset(&new);
    assert_int_equal(freed_new, 1);
    registry_free(r);
}

static void slots_are_dense_and_used_again(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    for (uint32_t i = 0; i < 40; i++) assert_int_equal(registry_take_slot(r), i);
    registry_give_slot(r, 7);
    registry_give_slot(r, 3);
    assert_int_equal(registry_take_slot(r), 3);
    assert_int_equal(registry_take_slot(r), 7);
    assert_int_equal(registry_take_slot(r), 40);
    registry_free(r);
}

static void a_name_keeps_its_series_over_plans(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    struct arena     plan;
    arena_init(&plan, NULL);
    assert_int_equal(registry_hold_series(r, SERIES_ROUTE, S("a"), 10, &plan), 1);
    assert_int_equal(registry_hold_series(r, SERIES_ROUTE, S("b"), 10, &plan), 2);
    assert_int_equal(registry_hold_series(r, SERIES_UPSTREAM, S("b"), 10, &plan), 1);
    arena_reset(&plan);
    assert_int_equal(registry_hold_series(r, SERIES_ROUTE, S("c"), 10, &plan), 3);
    assert_int_equal(registry_hold_series(r, SERIES_ROUTE, S("b"), 10, &plan), 2);
    arena_reset(&plan);
    registry_free(r);
}

static void past_the_bound_ids_of_gone_names_are_taken_then_other(void **state)
{
    (void)state;
    struct registry *r = registry_new();
    struct arena     one, two;
    arena_init(&one, NULL);
    arena_init(&two, NULL);
    assert_int_equal(registry_hold_series(r, SERIES_ROUTE, S("a"), 2, &one), 1);
    assert_int_equal(registry_hold_series(r, SERIES_ROUTE, S("b"), 2, &two), 2);
    assert_int_equal(registry_hold_series(r, SERIES_ROUTE, S("c"), 2, &two), STATS_SERIES_OTHER);
    arena_reset(&one);
    assert_int_equal(registry_hold_series(r, SERIES_ROUTE, S("c"), 2, &two), 1);
    assert_int_equal(registry_hold_series(r, SERIES_ROUTE, S("a"), 2, &two), STATS_SERIES_OTHER);
    size_t              count;
    const struct slice *names = registry_series_names(r, SERIES_ROUTE, &one, &count);
    assert_int_equal(count, 3);
    assert_true(slice_eq(names[0], S("_other")));
    assert_true(slice_eq(names[1], S("c")));
    assert_true(slice_eq(names[2], S("b")));
    arena_reset(&two);
    names = registry_series_names(r, SERIES_ROUTE, &one, &count);
    assert_int_equal(names[1].len, 0);
    arena_reset(&one);
    registry_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_two_plans_hold_is_freed_with_the_second),
        cmocka_unit_test(kinds_do_not_mix),
        cmocka_unit_test(what_is_forgotten_lives_on_beside_its_successor),
        cmocka_unit_test(slots_are_dense_and_used_again),
        cmocka_unit_test(a_name_keeps_its_series_over_plans),
        cmocka_unit_test(past_the_bound_ids_of_gone_names_are_taken_then_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
