/* SPDX-License-Identifier: Apache-2.0
 *
 * random, least_requests and least_time: draws by weight, and what they avoid.
 */
#include "balance_rig.h"

#define SECOND 1000000000ULL

enum { MANY = 1000, DRAWS = 100000 };

static uint32_t mixed[MANY];

static int fill_mixed(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < MANY; i++) mixed[i] = 1 + i % 10;
    return 0;
}

/* Ten standard deviations: about one endpoint in 10^22 is that far out by chance. */
static void random_goes_by_weight(void **unused)
{
    (void)unused;
    static const size_t counts[] = { 2, 10, MANY };
    for (unsigned c = 0; c < 3; c++) {
        struct rig r;
        unsigned   seen[MANY];
        rig_init(&r, BALANCE_RANDOM, mixed, counts[c]);
        rig_count(&r, DRAWS, seen);
        rig_assert_shares(&r, seen, DRAWS, 10);
        rig_reset(&r);
    }
}

/* Those that are left share by weight, be they many or two of a thousand. */
static void random_goes_by_weight_among_those_left(void **unused)
{
    (void)unused;
    for (unsigned left = 2; left <= 800; left *= 20) {
        struct rig r;
        unsigned   seen[MANY];
        rig_init(&r, BALANCE_RANDOM, mixed, MANY);
        r.set->request_max = 1;
        for (unsigned i = 0; i < MANY; i++) {
            r.is_out[i] = i < MANY - left; /* for what is expected */
            rig_set_active(&r, i, r.is_out[i]);
        }
        rig_count(&r, DRAWS, seen);
        rig_assert_shares(&r, seen, DRAWS, 10);
        rig_reset(&r);
    }
}

static void the_less_busy_of_two_by_weight(void **unused)
{
    (void)unused;
    static const uint32_t weights[] = { 1, 4 };
    struct rig            r;
    rig_init(&r, BALANCE_LEAST_REQUESTS, weights, 2);
    rig_set_active(&r, 0, 1);
    rig_set_active(&r, 1, 3);
    for (unsigned i = 0; i < 100; i++) assert_int_equal(rig_choose(&r), 1);
    rig_set_active(&r, 1, 5);
    for (unsigned i = 0; i < 100; i++) assert_int_equal(rig_choose(&r), 0);
    rig_reset(&r);
}

/* Two choices keep the longest queue short (log log n): 1,000 requests over 100 endpoints do
 * not pile up as random ones would, of which one has 20 at least with all likelihood. */
static void queues_stay_even(void **unused)
{
    (void)unused;
    struct rig r;
    rig_init(&r, BALANCE_LEAST_REQUESTS, NULL, 100);
    for (unsigned i = 0; i < 1000; i++) {
        int at = rig_choose(&r);
        atomic_fetch_add(&r.endpoints[at]->live->active, 1);
    }
    for (unsigned i = 0; i < 100; i++)
        assert_in_range(atomic_load(&r.endpoints[i]->live->active), 5, 14);
    rig_reset(&r);
}

/* Under load requests in progress are in proportion to weights. */
static void queues_follow_weights(void **unused)
{
    (void)unused;
    for (unsigned k = 0; k < 2; k++) {
        struct rig r;
        rig_init(&r, k ? BALANCE_LEAST_TIME : BALANCE_LEAST_REQUESTS, mixed, 10);
        r.ask.now_ns = SECOND;
        for (unsigned i = 0; i < 10; i++) endpoint_note_success(r.endpoints[i], 1000, SECOND);
        for (unsigned i = 0; i < 5500; i++) {
            int at = rig_choose(&r);
            atomic_fetch_add(&r.endpoints[at]->live->active, 1);
        }
        for (unsigned i = 0; i < 10; i++) {
            uint32_t active = atomic_load(&r.endpoints[i]->live->active);
            assert_in_range(active, 100 * mixed[i] - 25, 100 * mixed[i] + 25);
        }
        rig_reset(&r);
    }
}

static void the_quicker_is_chosen(void **unused)
{
    (void)unused;
    struct rig r;
    rig_init(&r, BALANCE_LEAST_TIME, NULL, 2);
    r.ask.now_ns = SECOND;
    endpoint_note_success(r.endpoints[0], 1000, SECOND);
    endpoint_note_success(r.endpoints[1], 3500, SECOND);
    for (unsigned i = 0; i < 100; i++) assert_int_equal(rig_choose(&r), 0);
    rig_set_active(&r, 0, 2); /* 3,000 against 3,500 */
    for (unsigned i = 0; i < 100; i++) assert_int_equal(rig_choose(&r), 0);
    rig_set_active(&r, 0, 3); /* 4,000 */
    for (unsigned i = 0; i < 100; i++) assert_int_equal(rig_choose(&r), 1);
    rig_reset(&r);
}

/* One request finds out; while it is on its way no other follows. */
static void the_unknown_gets_one_request(void **unused)
{
    (void)unused;
    struct rig r;
    rig_init(&r, BALANCE_LEAST_TIME, NULL, 2);
    r.ask.now_ns = SECOND;
    endpoint_note_success(r.endpoints[0], 1000, SECOND);
    for (unsigned i = 0; i < 100; i++) assert_int_equal(rig_choose(&r), 1);
    rig_set_active(&r, 1, 1);
    rig_set_active(&r, 0, 500);
    for (unsigned i = 0; i < 100; i++) assert_int_equal(rig_choose(&r), 0);
    rig_reset(&r);
}

static void slowness_is_forgotten(void **unused)
{
    (void)unused;
    struct rig r;
    rig_init(&r, BALANCE_LEAST_TIME, NULL, 2);
    endpoint_note_failure(r.endpoints[0], SECOND); /* as if it took a second */
    for (uint64_t s = 1; s < 20; s++) {
        r.ask.now_ns = s * SECOND;
        endpoint_note_success(r.endpoints[1], 1000, s * SECOND);
        assert_int_equal(rig_choose(&r), 1);
    }
    r.ask.now_ns = 200 * SECOND;
    endpoint_note_success(r.endpoints[1], 1000, r.ask.now_ns);
    assert_int_equal(rig_choose(&r), 0);
    rig_reset(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_goes_by_weight),
        cmocka_unit_test(random_goes_by_weight_among_those_left),
        cmocka_unit_test(the_less_busy_of_two_by_weight),
        cmocka_unit_test(queues_stay_even),
        cmocka_unit_test(queues_follow_weights),
        cmocka_unit_test(the_quicker_is_chosen),
        cmocka_unit_test(the_unknown_gets_one_request),
        cmocka_unit_test(slowness_is_forgotten),
    };
    return cmocka_run_group_tests(tests, fill_mixed, NULL);
}
