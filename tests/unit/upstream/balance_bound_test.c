/* SPDX-License-Identifier: Apache-2.0
 *
 * ring_hash and maglev with a bound: no endpoint has more than max_load percent
 * of its share, whatever the keys.
 */
#include "balance_rig.h"

enum { REQUESTS = 5000 };

static const enum setting_balance both[] = { BALANCE_RING_HASH, BALANCE_MAGLEV };

static void init(struct rig *r, enum setting_balance algorithm, const uint32_t *weights,
                 size_t count)
{
    rig_init(r, algorithm, weights, count);
    r->settings.max_load = 125;
    rig_publish(r);
    r->ask.has_hash = true;
}

/* Requests that do not end. `hot` of ten have one key, the others one each. */
static void check_bound(enum setting_balance algorithm, const uint32_t *weights, size_t count,
                        unsigned hot)
{
    struct rig r;
    double     total = 0;
    init(&r, algorithm, weights, count);
    for (size_t i = 0; i < count; i++) total += r.weights[i];
    for (r.ask.load = 0; r.ask.load < REQUESTS; r.ask.load++) {
        r.ask.hash = r.ask.load % 10 < hot ? 1 : rig_hash(r.ask.load);
        int at = rig_choose(&r);
        assert_true(at >= 0);
        uint32_t active = atomic_fetch_add(&r.endpoints[at]->live->active, 1) + 1;
        double   most = 1.25 * (r.ask.load + 1) * r.weights[at] / total;
        assert_true(active < most + 1); /* rounded up */
    }
    rig_reset(&r);
}

static void the_bound_holds(void **unused)
{
    (void)unused;
    static const size_t counts[] = { 2, 10, 1000 };
    uint32_t            weights[1000];
    for (unsigned i = 0; i < 1000; i++) weights[i] = 1 + i % 5;
    for (unsigned k = 0; k < 2; k++) {
        for (unsigned c = 0; c < 3; c++) {
            check_bound(both[k], NULL, counts[c], 10);
            check_bound(both[k], NULL, counts[c], 3);
            check_bound(both[k], weights, counts[c], 10);
            check_bound(both[k], weights, counts[c], 0);
        }
    }
}

/* While the owner has room, the key stays. Beyond it goes to the same others each time. */
static void keys_stay_while_they_can(void **unused)
{
    (void)unused;
    for (unsigned k = 0; k < 2; k++) {
        struct rig r;
        init(&r, both[k], NULL, 10);
        for (unsigned key = 0; key < 100; key++) {
            r.ask.hash = rig_hash(key);
            for (size_t i = 0; i < 10; i++) rig_set_active(&r, i, 10);
            r.ask.load = 100;
            int owner = rig_choose(&r);
            rig_set_active(&r, (size_t)owner, 12); /* 12.625 may be */
            assert_int_equal(rig_choose(&r), owner);
            rig_set_active(&r, (size_t)owner, 13);
            int second = rig_choose(&r);
            assert_int_not_equal(second, owner);
            for (unsigned i = 0; i < 10; i++) assert_int_equal(rig_choose(&r), second);
        }
        rig_reset(&r);
    }
}

static void without_a_bound_one_key_has_one_endpoint(void **unused)
{
    (void)unused;
    for (unsigned k = 0; k < 2; k++) {
        struct rig r;
        init(&r, both[k], NULL, 10);
        r.settings.max_load = 0;
        rig_publish(&r);
        int owner = rig_choose(&r);
        rig_set_active(&r, (size_t)owner, 1000000);
        assert_int_equal(rig_choose(&r), owner);
        rig_reset(&r);
    }
}

/* None has headroom, as when the load is counted late: the owner, not nobody. */
static void without_headroom_the_owner_is_chosen(void **unused)
{
    (void)unused;
    for (unsigned k = 0; k < 2; k++) {
        struct rig r;
        init(&r, both[k], NULL, 1000);
        for (unsigned key = 0; key < 50; key++) {
            r.ask.hash = rig_hash(key);
            for (size_t i = 0; i < 1000; i++) rig_set_active(&r, i, 0);
            int owner = rig_choose(&r);
            for (size_t i = 0; i < 1000; i++) rig_set_active(&r, i, 2);
            assert_int_equal(rig_choose(&r), owner);
        }
        rig_reset(&r);
    }
}

static void headroom_is_exact(void **unused)
{
    (void)unused;
    static const uint32_t       weights[] = { 1, 3 };
    struct rig                  r;
    const struct endpoint_tier *tier;
    rig_init(&r, BALANCE_RANDOM, weights, 2);
    tier = &r.set->tiers[TIER_PRIMARY];
    r.ask.load = 15; /* with this one 16: shares are 4 and 12, bounds 5 and 15 */
    for (uint32_t active = 0; active < 20; active++) {
        rig_set_active(&r, 0, active);
        rig_set_active(&r, 1, active);
        assert_true(balance_has_headroom(tier, 0, 125, &r.ask) == (active < 5));
        assert_true(balance_has_headroom(tier, 1, 125, &r.ask) == (active < 15));
        assert_true(balance_has_headroom(tier, 0, 0, &r.ask));
    }
    rig_set_active(&r, 1, UINT32_MAX);
    r.ask.load = UINT32_MAX;
    assert_true(balance_has_headroom(tier, 1, 200, &r.ask));
    rig_reset(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bound_holds),
        cmocka_unit_test(keys_stay_while_they_can),
        cmocka_unit_test(without_a_bound_one_key_has_one_endpoint),
        cmocka_unit_test(without_headroom_the_owner_is_chosen),
        cmocka_unit_test(headroom_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
