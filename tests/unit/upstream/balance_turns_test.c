/* SPDX-License-Identifier: Apache-2.0
 *
 * round_robin: exact shares, smoothness, and turns that are not lost.
 */
#include "balance_rig.h"

enum { MANY = 1000 };

static void equal_weights_rotate(void **unused)
{
    (void)unused;
    static const size_t counts[] = { 2, 3, MANY };
    for (unsigned c = 0; c < 3; c++) {
        struct rig r;
        rig_init(&r, BALANCE_ROUND_ROBIN, NULL, counts[c]);
        int first = rig_choose(&r);
        for (size_t i = 1; i < 3 * counts[c]; i++)
            assert_int_equal(rig_choose(&r), ((size_t)first + i) % counts[c]);
        rig_reset(&r);
    }
}

/* Workers do not march in step: their first turns are spread. */
static void workers_start_apart(void **unused)
{
    (void)unused;
    static const uint32_t uneven[] = { 1, 2, 1, 2, 1, 2, 1, 2 };
    for (unsigned k = 0; k < 2; k++) {
        struct rig r;
        unsigned   firsts[8] = { 0 }, different = 0;
        rig_init(&r, BALANCE_ROUND_ROBIN, k ? uneven : NULL, 8);
        for (unsigned worker = 0; worker < 64; worker++) {
            balance_state_reset(&r.state);
            firsts[rig_choose(&r)]++;
        }
        for (unsigned i = 0; i < 8; i++) different += firsts[i] > 0;
        assert_in_range(different, 4, 8);
        rig_reset(&r);
    }
}

/* In any stretch each has what its weight says, but for two turns. */
static void check_smooth(const uint32_t *weights, size_t count, unsigned turns)
{
    struct rig r;
    double     total = 0;
    unsigned   seen[MANY] = { 0 };
    rig_init(&r, BALANCE_ROUND_ROBIN, weights, count);
    for (size_t i = 0; i < count; i++) total += weights[i];
    for (unsigned turn = 1; turn <= turns; turn++) {
        int at = rig_choose(&r);
        seen[at]++;
        double off = seen[at] - turn * (weights[at] / total);
        assert_true(off > -2 && off < 2);
    }
    for (size_t i = 0; i < count; i++) {
        double off = seen[i] - turns * (weights[i] / total);
        assert_true(off > -2 && off < 2);
    }
    rig_reset(&r);
}

static void shares_are_exact_all_along(void **unused)
{
    (void)unused;
    static const uint32_t small[][3] = { { 5, 1, 1 }, { 1, 1000, 3 }, { 2, 3, 5 }, { 1, 2, 1 } };
    uint32_t              many[MANY];
    for (unsigned i = 0; i < 4; i++) check_smooth(small[i], 3, 10000);
    check_smooth((const uint32_t[]){ 1, 2 }, 2, 1000);
    for (unsigned i = 0; i < MANY; i++) many[i] = 1 + i * 7919 % 100;
    check_smooth(many, MANY, 200000);
}

/* From whatever place a worker starts. */
static void five_one_one_is_spread(void **unused)
{
    (void)unused;
    static const uint32_t weights[] = { 5, 1, 1 };
    struct rig            r;
    rig_init(&r, BALANCE_ROUND_ROBIN, weights, 3);
    for (unsigned worker = 0; worker < 200; worker++) {
        unsigned row = 0;
        balance_state_reset(&r.state);
        for (unsigned i = 0; i < 70; i++) {
            row = rig_choose(&r) == 0 ? row + 1 : 0;
            assert_in_range(row, 0, 4);
        }
    }
    rig_reset(&r);
}

/* The first endpoint is full at every second request. Were its turn lost with such a request it
 * would never come: three later there is such a one again. In a rotation it comes one later
 * each time, every four instead of three; by deadlines it is made up for. */
static void who_was_full_keeps_its_turn(void **unused)
{
    (void)unused;
    static const uint32_t uneven[] = { 1, 2, 3 };
    for (unsigned k = 0; k < 2; k++) {
        struct rig r;
        unsigned   seen[3] = { 0 };
        rig_init(&r, BALANCE_ROUND_ROBIN, k ? uneven : NULL, 3);
        r.set->request_max = 1;
        for (unsigned i = 0; i < 6000; i++) {
            rig_set_active(&r, 0, i % 2);
            seen[rig_choose(&r)]++;
        }
        assert_in_range(seen[0], k ? 990 : 1490, k ? 1010 : 2010);
        assert_in_range(seen[1], 1990, k ? 2010 : 2260);
        rig_reset(&r);
    }
}

/* Of two, one fails each request that it gets first; the other one is asked next. It is the
 * first one's turn at every second request, not at each. */
static void a_retry_takes_no_turn(void **unused)
{
    (void)unused;
    struct rig r;
    unsigned   first = 0;
    rig_init(&r, BALANCE_ROUND_ROBIN, NULL, 2);
    for (unsigned i = 0; i < 100; i++) {
        r.ask.tried_count = 0;
        if (rig_choose(&r) != 0) continue;
        first++;
        balance_tried(&r.ask, r.endpoints[0]);
        assert_int_equal(rig_choose(&r), 1);
    }
    assert_int_equal(first, 50);
    rig_reset(&r);
}

/* Back from being full, an endpoint is next at once, and has no more than its share then. */
static void who_was_full_does_not_catch_up(void **unused)
{
    (void)unused;
    static const uint32_t uneven[] = { 2, 1, 1, 1 };
    for (unsigned k = 0; k < 2; k++) {
        struct rig r;
        unsigned   seen[4];
        rig_init(&r, BALANCE_ROUND_ROBIN, k ? uneven : NULL, 4);
        r.set->request_max = 1;
        rig_set_active(&r, 0, 1);
        rig_count(&r, 999, seen);
        assert_int_equal(seen[0], 0);
        for (unsigned i = 1; i < 4; i++) assert_in_range(seen[i], 331, 335);
        rig_set_active(&r, 0, 0);
        assert_int_equal(rig_choose(&r), 0);
        rig_count(&r, 100, seen);
        assert_in_range(seen[0], k ? 38 : 24, k ? 42 : 26);
        rig_reset(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_weights_rotate),           cmocka_unit_test(workers_start_apart),
        cmocka_unit_test(shares_are_exact_all_along),     cmocka_unit_test(five_one_one_is_spread),
        cmocka_unit_test(who_was_full_keeps_its_turn),    cmocka_unit_test(a_retry_takes_no_turn),
        cmocka_unit_test(who_was_full_does_not_catch_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
