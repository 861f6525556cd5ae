/* SPDX-License-Identifier: Apache-2.0
 *
 * What all balancing algorithms have in common: none, one and many endpoints,
 * those that were tried or are full, backups, and sets that change.
 */
#include "balance_rig.h"

enum { DRAWS = 30000, MANY = 1000 };

static uint32_t mixed[MANY];

static int fill_mixed(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < MANY; i++) mixed[i] = 1 + i % 3;
    return 0;
}

/* A key of its own for each request, where keys matter. */
static int choose_next(struct rig *r, unsigned i)
{
    r->ask.has_hash = true;
    r->ask.hash = rig_hash(i);
    return rig_choose(r);
}

static void names_are_in_order(void **unused)
{
    (void)unused;
    static const char *const names[] = { "least_requests", "round_robin", "random", "least_time",
                                         "ring_hash",      "maglev",      "sticky" };
    for (unsigned k = 0; k < RIG_ALGORITHMS; k++)
        assert_string_equal(balance_algorithms[k]->name, names[k]);
}

static void none_gives_null(void **unused)
{
    (void)unused;
    for (unsigned k = 0; k < RIG_ALGORITHMS; k++) {
        struct rig r;
        rig_init(&r, k, NULL, 0);
        assert_int_equal(rig_choose(&r), RIG_NONE);
        rig_reset(&r);
    }
}

static void one_is_chosen_until_it_was_tried(void **unused)
{
    (void)unused;
    for (unsigned k = 0; k < RIG_ALGORITHMS; k++) {
        struct rig r;
        rig_init(&r, k, NULL, 1);
        assert_int_equal(choose_next(&r, 0), 0);
        balance_tried(&r.ask, r.endpoints[0]);
        assert_int_equal(choose_next(&r, 0), RIG_NONE);
        rig_reset(&r);
    }
}

static void check_tried(enum setting_balance k, const uint32_t *weights, size_t count)
{
    struct rig r;
    rig_init(&r, k, weights, count);
    size_t most = count < BALANCE_TRIED_MAX ? count : BALANCE_TRIED_MAX;
    for (size_t i = 0; i < most; i++) {
        int at = choose_next(&r, 0);
        assert_true(at >= 0);
        for (unsigned j = 0; j < r.ask.tried_count; j++)
            assert_ptr_not_equal(r.ask.tried[j], r.endpoints[at]);
        balance_tried(&r.ask, r.endpoints[at]);
    }
    assert_true((choose_next(&r, 0) == RIG_NONE) == (count == most));
    rig_reset(&r);
}

static void none_is_tried_twice(void **unused)
{
    (void)unused;
    for (unsigned k = 0; k < RIG_ALGORITHMS; k++) {
        static const size_t counts[] = { 2, 3, 10, MANY };
        for (unsigned c = 0; c < 4; c++) {
            check_tried(k, NULL, counts[c]);
            check_tried(k, mixed, counts[c]);
        }
    }
}

/* All but one are full; then that one, too. */
static void check_full(enum setting_balance k, const uint32_t *weights, size_t count)
{
    struct rig r;
    rig_init(&r, k, weights, count);
    r.set->request_max = 4;
    size_t free_one = count * 2 / 3;
    for (size_t i = 0; i < count; i++) rig_set_active(&r, i, i == free_one ? 3 : 4);
    for (unsigned i = 0; i < 50; i++) assert_int_equal(choose_next(&r, i), (int)free_one);
    rig_set_active(&r, free_one, 4);
    assert_int_equal(choose_next(&r, 0), RIG_NONE);
    r.set->request_max = 5;
    assert_int_not_equal(choose_next(&r, 0), RIG_NONE);
    rig_reset(&r);
}

static void full_ones_are_passed_over(void **unused)
{
    (void)unused;
    for (unsigned k = 0; k < RIG_ALGORITHMS; k++) {
        static const size_t counts[] = { 1, 2, 10, MANY };
        for (unsigned c = 0; c < 4; c++) {
            check_full(k, NULL, counts[c]);
            check_full(k, mixed, counts[c]);
        }
    }
}

static void backups_wait_for_primaries_to_fail(void **unused)
{
    (void)unused;
    for (unsigned k = 0; k < RIG_ALGORITHMS; k++) {
        struct rig r;
        rig_init_tiers(&r, k, NULL, 4, 2);
        for (unsigned i = 0; i < 50; i++) assert_in_range(choose_next(&r, i), 0, 1);
        balance_tried(&r.ask, r.endpoints[0]);
        for (unsigned i = 0; i < 50; i++) assert_int_equal(choose_next(&r, i), 1);
        balance_tried(&r.ask, r.endpoints[1]);
        for (unsigned i = 0; i < 50; i++) assert_in_range(choose_next(&r, i), 2, 3);
        balance_tried(&r.ask, r.endpoints[2]);
        balance_tried(&r.ask, r.endpoints[3]);
        assert_int_equal(choose_next(&r, 0), RIG_NONE);
        rig_reset(&r);
    }
}

/* Ten standard deviations of independent draws: a true fault is far outside. The ring's points
 * deviate by themselves and are looked at in their own tests. */
static void shares_follow_weights(void **unused)
{
    (void)unused;
    static const uint32_t weights[] = { 1, 2, 7 };
    for (unsigned k = 0; k < RIG_ALGORITHMS; k++) {
        if (k == BALANCE_RING_HASH || k == BALANCE_MAGLEV) continue;
        struct rig r;
        unsigned   seen[MANY];
        rig_init(&r, k, weights, 3);
        rig_count(&r, DRAWS, seen);
        rig_assert_shares(&r, seen, DRAWS, 10);
        rig_reset(&r);
        rig_init(&r, k, NULL, MANY);
        rig_count(&r, 10 * DRAWS, seen);
        rig_assert_shares(&r, seen, 10 * DRAWS, 10);
        rig_reset(&r);
    }
}

/* A worker's state is of the set it sees: fewer endpoints, more, none, another algorithm. */
static void state_follows_the_set(void **unused)
{
    (void)unused;
    for (unsigned k = 0; k < RIG_ALGORITHMS; k++) {
        struct rig r;
        rig_init_tiers(&r, k, mixed, 40, 30);
        for (unsigned round = 0; round < 60; round++) {
            unsigned left = round * 17 % 41;
            for (size_t i = 0; i < r.count; i++) r.is_out[i] = (i * 7 + round) % 40 >= left;
            r.settings.algorithm = (k + round / 20) % RIG_ALGORITHMS;
            rig_publish(&r);
            for (unsigned i = 0; i < 50; i++) {
                int at = choose_next(&r, i);
                assert_true(left ? at >= 0 && !r.is_out[at] : at == RIG_NONE);
            }
        }
        rig_reset(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_in_order),
        cmocka_unit_test(none_gives_null),
        cmocka_unit_test(one_is_chosen_until_it_was_tried),
        cmocka_unit_test(none_is_tried_twice),
        cmocka_unit_test(full_ones_are_passed_over),
        cmocka_unit_test(backups_wait_for_primaries_to_fail),
        cmocka_unit_test(shares_follow_weights),
        cmocka_unit_test(state_follows_the_set),
    };
    return cmocka_run_group_tests(tests, fill_mixed, NULL);
}
