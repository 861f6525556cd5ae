/* SPDX-License-Identifier: Apache-2.0
 *
 * The budget of a connection: floods end after so many, time gives back, frames that
 * were sent pay for what they cause.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "http/h2_budget.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct flood {
    enum h2_nuisance what;
    unsigned         count; /* so many are borne at once */
    const char      *reason;
} floods[] = {
    { H2_NUISANCE_RESET, 500, "reset_flood" },
    { H2_NUISANCE_PING, 1000, "ping_flood" },
    { H2_NUISANCE_SETTINGS, 100, "settings_flood" },
    { H2_NUISANCE_PRIORITY, 2000, "priority_flood" },
    { H2_NUISANCE_WINDOW_UPDATE, 2000, "window_update_flood" },
    { H2_NUISANCE_EMPTY_DATA, 500, "empty_data_flood" },
    { H2_NUISANCE_CONTINUATION, 500, "continuation_flood" },
    { H2_NUISANCE_CLOSED_STREAM, 500, "closed_stream_flood" },
    { H2_NUISANCE_STALL, 10, "window_stall" },
};

/* How many are borne until one is too much. */
static unsigned spend_all(struct h2_budget *b, enum h2_nuisance what, uint64_t now_ms)
{
    unsigned count = 0;
    while (count < 100000 && !h2_budget_spend(b, what, now_ms)) count++;
    return count;
}

static void floods_end(void **state)
{
    (void)state;
    assert_int_equal(COUNT(floods), H2_NUISANCE_COUNT);
    for (size_t i = 0; i < COUNT(floods); i++) {
        struct h2_budget b;
        h2_budget_init(&b, 12345);
        assert_int_equal(spend_all(&b, floods[i].what, 12345), floods[i].count);
        assert_string_equal(h2_budget_spend(&b, floods[i].what, 12345), floods[i].reason);
    }
}

/* One kind leaves nothing for another. */
static void floods_add_up(void **state)
{
    (void)state;
    struct h2_budget b;
    h2_budget_init(&b, 0);
    for (unsigned i = 0; i < 250; i++) assert_null(h2_budget_spend(&b, H2_NUISANCE_RESET, 0));
    assert_int_equal(spend_all(&b, H2_NUISANCE_PING, 0), 500);
    assert_string_equal(h2_budget_spend(&b, H2_NUISANCE_PRIORITY, 0), "priority_flood");
}

static void time_gives_back(void **state)
{
    (void)state;
    struct h2_budget b;
    h2_budget_init(&b, 1000);
    assert_int_equal(spend_all(&b, H2_NUISANCE_RESET, 1000), 500);
    assert_non_null(h2_budget_spend(&b, H2_NUISANCE_RESET, 1019));
    assert_int_equal(spend_all(&b, H2_NUISANCE_RESET, 2019), 50);
    assert_int_equal(spend_all(&b, H2_NUISANCE_RESET, 4019), 100);
    /* Never more than there was. */
    assert_int_equal(spend_all(&b, H2_NUISANCE_RESET, 1000000), 500);
    assert_int_equal(spend_all(&b, H2_NUISANCE_RESET, UINT64_MAX / 1000), 500);
}

/* What is below the rate goes on for ever, even when asked more often than a point takes. */
static void a_low_rate_is_borne(void **state)
{
    (void)state;
    struct h2_budget b;
    h2_budget_init(&b, 0);
    for (unsigned i = 0; i < 100000; i++)
        assert_null(h2_budget_spend(&b, H2_NUISANCE_RESET, i * 21)); /* 47 a second */
    h2_budget_init(&b, 0);
    for (unsigned i = 0; i < 100000; i++)
        assert_null(h2_budget_spend(&b, H2_NUISANCE_PRIORITY, i * 6)); /* 166 a second */
}

static void a_higher_rate_is_not(void **state)
{
    (void)state;
    struct h2_budget b;
    unsigned         count = 0;
    h2_budget_init(&b, 0);
    while (count < 100000 && !h2_budget_spend(&b, H2_NUISANCE_RESET, count * 10)) count++;
    assert_in_range(count, 900, 1100); /* 100 a second: 50 of them are too many */
    count = 0;                         /* and with less than a point between two of them */
    h2_budget_init(&b, 0);
    while (count < 100000 && !h2_budget_spend(&b, H2_NUISANCE_PRIORITY, count)) count++;
    assert_in_range(count, 2450, 2550);
}

static void frames_earn(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(floods); i++) {
        enum h2_nuisance what = floods[i].what;
        bool may_be_earned = what == H2_NUISANCE_PING || what == H2_NUISANCE_WINDOW_UPDATE;
        struct h2_budget b;
        h2_budget_init(&b, 0);
        for (unsigned n = 0; n < 100; n++) h2_budget_earn(&b, 100);
        assert_int_equal(spend_all(&b, what, 0), floods[i].count + (may_be_earned ? 200 : 0));
    }
}

/* Large frames pay for more: a peer may open both windows for each 4 KiB. */
static void large_frames_earn_more(void **state)
{
    (void)state;
    struct h2_budget b;
    h2_budget_init(&b, 0);
    for (unsigned n = 0; n < 100; n++) h2_budget_earn(&b, 16384);
    assert_int_equal(spend_all(&b, H2_NUISANCE_WINDOW_UPDATE, 0), 2000 + 100 * (2 + 16));
}

/* A long download does not buy a flood for later. */
static void earnings_are_bounded(void **state)
{
    (void)state;
    struct h2_budget b;
    h2_budget_init(&b, 0);
    for (unsigned n = 0; n < 100000; n++) h2_budget_earn(&b, 0);
    assert_int_equal(spend_all(&b, H2_NUISANCE_WINDOW_UPDATE, 0), 2000 + 8000);
    for (unsigned n = 0; n < 5; n++) h2_budget_earn(&b, 0);
    assert_int_equal(spend_all(&b, H2_NUISANCE_PING, 0), 10);
}

/* A point for each request that was answered; never more than there are at first. */
static void answers_are_rewarded(void **state)
{
    (void)state;
    struct h2_budget b;
    h2_budget_init(&b, 0);
    for (unsigned n = 0; n < 100; n++) h2_budget_reward(&b);
    assert_int_equal(spend_all(&b, H2_NUISANCE_RESET, 0), 500);
    for (unsigned n = 0; n < 100; n++) h2_budget_reward(&b);
    assert_int_equal(spend_all(&b, H2_NUISANCE_RESET, 0), 25);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floods_end),
        cmocka_unit_test(floods_add_up),
        cmocka_unit_test(time_gives_back),
        cmocka_unit_test(a_low_rate_is_borne),
        cmocka_unit_test(a_higher_rate_is_not),
        cmocka_unit_test(frames_earn),
        cmocka_unit_test(large_frames_earn_more),
        cmocka_unit_test(earnings_are_bounded),
        cmocka_unit_test(answers_are_rewarded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
