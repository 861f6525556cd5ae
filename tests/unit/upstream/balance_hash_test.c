/* SPDX-License-Identifier: Apache-2.0
 *
 * ring_hash and maglev: who owns which keys, and what moves when endpoints come
 * and go.
 */
#include "balance_rig.h"

enum { KEYS = 100000, MANY = 1000 };

static const enum setting_balance both[] = { BALANCE_RING_HASH, BALANCE_MAGLEV };

static int before[KEYS], after[KEYS];

/* Keys that have another owner, and are neither of `out` before nor after. */
static unsigned count_moved(int out)
{
    unsigned moved = 0;
    for (unsigned i = 0; i < KEYS; i++)
        moved += before[i] != after[i] && before[i] != out && after[i] != out;
    return moved;
}

static void count_owned(const int *owners, unsigned *seen, size_t count)
{
    memset(seen, 0, count * sizeof(*seen));
    for (unsigned i = 0; i < KEYS; i++) seen[owners[i]]++;
}

static void a_key_has_one_owner_in_any_order(void **unused)
{
    (void)unused;
    for (unsigned k = 0; k < 2; k++) {
        struct rig r;
        uint32_t   weights[50];
        for (unsigned i = 0; i < 50; i++) weights[i] = 1 + i % 3;
        rig_init(&r, both[k], weights, 50);
        rig_owners(&r, before, KEYS);
        r.is_reversed = true;
        rig_publish(&r);
        rig_owners(&r, after, KEYS);
        assert_memory_equal(before, after, sizeof(before));
        rig_reset(&r);
    }
}

/* A hash at either end of the range has an owner, too. */
static void the_ring_is_closed(void **unused)
{
    (void)unused;
    for (unsigned k = 0; k < 2; k++) {
        struct rig r;
        rig_init(&r, both[k], NULL, 3);
        r.ask.has_hash = true;
        r.ask.hash = UINT64_MAX;
        int last = rig_choose(&r);
        r.ask.hash = 0;
        int first = rig_choose(&r);
        assert_in_range(first, 0, 2);
        assert_in_range(last, 0, 2);
        if (both[k] == BALANCE_RING_HASH) assert_int_equal(first, last);
        rig_reset(&r);
    }
}

/* An endpoint's share on the ring deviates by 1 / sqrt(160 * weight), 8 %; five times that. */
static void a_rings_shares_are_near(void **unused)
{
    (void)unused;
    static const uint32_t weights[] = { 1, 2, 7 };
    static const uint32_t large[] = { 300, 600, 2100 };
    unsigned              seen[MANY];
    for (unsigned k = 0; k < 3; k++) {
        struct rig r;
        size_t     count = k == 2 ? 100 : 3;
        rig_init(&r, BALANCE_RING_HASH, k == 0 ? weights : k == 1 ? large : NULL, count);
        rig_owners(&r, before, KEYS);
        count_owned(before, seen, count);
        for (size_t i = 0; i < count; i++) {
            double expected = k == 2 ? KEYS / 100.0 : KEYS * weights[i] / 10.0;
            assert_in_range(seen[i], expected * 0.6, expected * 1.4);
        }
        rig_reset(&r);
    }
}

/* To an entry of 65,537, which is far below what a draw of keys deviates by. */
static void maglevs_shares_are_exact(void **unused)
{
    (void)unused;
    static const uint32_t weights[] = { 1, 2, 7 };
    unsigned              seen[100];
    for (unsigned k = 0; k < 2; k++) {
        struct rig r;
        rig_init(&r, BALANCE_MAGLEV, k ? NULL : weights, k ? 100 : 3);
        rig_owners(&r, before, KEYS);
        count_owned(before, seen, r.count);
        rig_assert_shares(&r, seen, KEYS, 6);
        rig_reset(&r);
    }
}

static void a_thousand_all_own_keys(void **unused)
{
    (void)unused;
    for (unsigned k = 0; k < 2; k++) {
        struct rig r;
        unsigned   seen[MANY];
        rig_init(&r, both[k], NULL, MANY);
        rig_owners(&r, before, KEYS);
        count_owned(before, seen, MANY);
        for (size_t i = 0; i < MANY; i++) assert_in_range(seen[i], 30, 200);
        rig_reset(&r);
    }
}

/* `most`: of the others' keys. What the one that is out had goes to many. */
static void check_movement(enum setting_balance algorithm, const uint32_t *weights, unsigned most)
{
    struct rig r;
    unsigned   heirs[100], heir_count = 0;
    rig_init(&r, algorithm, weights, 100);
    rig_owners(&r, before, KEYS);
    r.is_out[42] = true;
    rig_publish(&r);
    rig_owners(&r, after, KEYS);
    assert_in_range(count_moved(42), 0, most);
    memset(heirs, 0, sizeof(heirs));
    for (unsigned i = 0; i < KEYS; i++) heirs[after[i]] += before[i] == 42;
    assert_int_equal(heirs[42], 0);
    for (unsigned i = 0; i < 100; i++) heir_count += heirs[i] > 0;
    assert_in_range(heir_count, 50, 99);
    /* Back again: just as it was. */
    memcpy(after, before, sizeof(after));
    r.is_out[42] = false;
    rig_publish(&r);
    rig_owners(&r, before, KEYS);
    assert_memory_equal(before, after, sizeof(before));
    rig_reset(&r);
}

static void a_ring_moves_only_the_keys_of_who_left(void **unused)
{
    (void)unused;
    uint32_t weights[100];
    for (unsigned i = 0; i < 100; i++) weights[i] = 1 + i % 4;
    weights[42] = 20; /* the average falls when it leaves */
    check_movement(BALANCE_RING_HASH, NULL, 0);
    check_movement(BALANCE_RING_HASH, weights, 0);
}

/* One of 100: one per cent of the keys must move; as many of the others' do. The paper has about
 * that (section 5.3); three per cent would be a fault. */
static void maglev_moves_little_else(void **unused)
{
    (void)unused;
    uint32_t weights[100];
    for (unsigned i = 0; i < 100; i++) weights[i] = 1 + i % 4;
    check_movement(BALANCE_MAGLEV, NULL, KEYS * 3 / 100);
    check_movement(BALANCE_MAGLEV, weights, KEYS * 3 / 100);
}

/* The keys of an endpoint that was tried go to many others, each always to the same. */
static void second_choices_are_fixed_and_spread(void **unused)
{
    (void)unused;
    for (unsigned k = 0; k < 2; k++) {
        struct rig r;
        unsigned   seen[20], different = 0;
        rig_init(&r, both[k], NULL, 20);
        balance_tried(&r.ask, r.endpoints[3]);
        rig_owners(&r, before, KEYS);
        rig_owners(&r, after, KEYS);
        assert_memory_equal(before, after, sizeof(before));
        count_owned(before, seen, 20);
        assert_int_equal(seen[3], 0);
        r.ask.tried_count = 0;
        rig_owners(&r, after, KEYS);
        assert_int_equal(count_moved(3), 0);
        memset(seen, 0, sizeof(seen));
        for (unsigned i = 0; i < KEYS; i++) seen[before[i]] += after[i] == 3;
        for (unsigned i = 0; i < 20; i++) different += seen[i] > 0;
        assert_int_equal(different, 19);
        rig_reset(&r);
    }
}

/* Of the keys of one that was tried, others get what their weights say. */
static void maglevs_second_choices_follow_weights(void **unused)
{
    (void)unused;
    struct rig r;
    uint32_t   weights[20];
    unsigned   seen[20] = { 0 }, keys = 0;
    for (unsigned i = 0; i < 20; i++) weights[i] = 1 + i % 4;
    rig_init(&r, BALANCE_MAGLEV, weights, 20);
    rig_owners(&r, before, KEYS);
    balance_tried(&r.ask, r.endpoints[3]);
    rig_owners(&r, after, KEYS);
    for (unsigned i = 0; i < KEYS; i++) {
        if (before[i] != 3) continue;
        seen[after[i]]++;
        keys++;
    }
    r.is_out[3] = true;
    rig_assert_shares(&r, seen, keys, 6);
    rig_reset(&r);
}

static void without_a_key_any_will_do(void **unused)
{
    (void)unused;
    for (unsigned k = 0; k < 2; k++) {
        struct rig r;
        unsigned   seen[10];
        rig_init(&r, both[k], NULL, 10);
        r.ask.hash = 1;
        rig_count(&r, 10000, seen);
        for (unsigned i = 0; i < 10; i++) assert_in_range(seen[i], 600, 1400);
        rig_reset(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_has_one_owner_in_any_order),
        cmocka_unit_test(the_ring_is_closed),
        cmocka_unit_test(a_rings_shares_are_near),
        cmocka_unit_test(maglevs_shares_are_exact),
        cmocka_unit_test(a_thousand_all_own_keys),
        cmocka_unit_test(a_ring_moves_only_the_keys_of_who_left),
        cmocka_unit_test(maglev_moves_little_else),
        cmocka_unit_test(second_choices_are_fixed_and_spread),
        cmocka_unit_test(maglevs_second_choices_follow_weights),
        cmocka_unit_test(without_a_key_any_will_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
