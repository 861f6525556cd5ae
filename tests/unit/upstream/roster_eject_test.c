/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is left out because of what traffic saw, for how long, and how newcomers get
 * their share.
 */
#include "roster_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct rig rig;

/* Failures in a row only; and rates only. */
#define STREAKS(more) "    outlier_ejection: { error_rate: off, " more " }\n"
#define RATES(more) "    outlier_ejection: { consecutive_failures: off, " more " }\n"

static int tear_down(void **state)
{
    (void)state;
    rig_reset(&rig);
    return 0;
}

static void begin(const char *lines, const char *list)
{
    rig_init(&rig, lines);
    rig_update(&rig, list);
    rig_later(&rig, 500);
    rig_told(&rig);
}

/* Until something is told; returns after how many milliseconds, to ten. */
static uint64_t until_told(void)
{
    uint64_t ms = 0;
    for (; !rig.states[0]; ms += 10) {
        assert_true(ms < 1000000);
        rig_later(&rig, 10);
    }
    return ms;
}

static void expect_after(uint64_t ms, const char *told)
{
    uint64_t after_ms = until_told();
    assert_true(after_ms >= ms && after_ms <= ms + 100);
    assert_string_equal(rig_told(&rig), told);
}

/* ---- failures in a row ---- */

static void so_many_in_a_row_eject(void **state)
{
    (void)state;
    begin(STREAKS("consecutive_failures: 5"), "a b c");
    rig_fail(&rig, 'a', 4);
    rig_succeed(&rig, 'a', 1);
    rig_fail(&rig, 'a', 4);
    rig_fail(&rig, 'b', 4);
    assert_string_equal(rig_told(&rig), "");
    rig_fail(&rig, 'a', 1);
    assert_string_equal(rig_told(&rig), "a:ejected ");
    assert_string_equal(rig_set(&rig), "b c");
    assert_string_equal(rig_member(&rig, 'a')->reason, "5 failures in a row");
    assert_int_equal(rig_member(&rig, 'a')->ejection_count, 1);
    assert_int_equal(rig.now.roster->ejection_count, 1);
}

static void zero_is_off(void **state)
{
    (void)state;
    begin(STREAKS("consecutive_failures: off"), "a b c");
    rig_fail(&rig, 'a', 100);
    roster_suspect(rig.now.roster);
    rig_later(&rig, 60000);
    assert_string_equal(rig_told(&rig), "");
}

static void a_share_of_zero_is_off(void **state)
{
    (void)state;
    begin("    outlier_ejection: { max_share: off }\n", "a b c");
    rig_succeed(&rig, 'b', 1000);
    rig_fail(&rig, 'a', 100);
    rig_later(&rig, 60000);
    assert_string_equal(rig_told(&rig), "");
}

static void a_suspicion_is_heard_once(void **state)
{
    (void)state;
    begin("", "a b c");
    atomic_store(&rig.now.upstream->is_suspected, true);
    roster_suspect(rig.now.roster);
    assert_false(atomic_load(&rig.now.upstream->is_suspected));
    assert_string_equal(rig_told(&rig), "");
}

/* ---- how long ---- */

static void each_one_is_longer(void **state)
{
    (void)state;
    begin(STREAKS("base_time: 1s, max_time: 3s"), "a b c");
    rig_fail(&rig, 'a', 5);
    rig_told(&rig);
    expect_after(1000, "a:ready ");
    rig_fail(&rig, 'a', 1);
    rig_told(&rig);
    expect_after(2000, "a:ready ");
    for (int i = 0; i < 3; i++) {
        rig_fail(&rig, 'a', 1);
        rig_told(&rig);
        expect_after(3000, "a:ready ");
    }
    assert_string_equal(rig_set(&rig), "a b c");
    assert_int_equal(rig_member(&rig, 'a')->ejection_count, 5);
}

static void back_it_is_on_probation(void **state)
{
    (void)state;
    begin(STREAKS("base_time: 1s, max_time: 1m, consecutive_failures: 3"), "a b c");
    rig_fail(&rig, 'a', 7); /* some were under way yet */
    rig_told(&rig);
    expect_after(1000, "a:ready ");
    rig_succeed(&rig, 'a', 1); /* passed */
    rig_fail(&rig, 'a', 2);
    assert_string_equal(rig_told(&rig), "");
    rig_fail(&rig, 'a', 1);
    assert_string_equal(rig_told(&rig), "a:ejected ");
    expect_after(2000, "a:ready ");
    rig_fail(&rig, 'a', 1);
    assert_string_equal(rig_told(&rig), "a:ejected ");
    assert_string_equal(rig_member(&rig, 'a')->reason, "3 failures in a row");
}

static void in_time_it_is_forgotten(void **state)
{
    (void)state;
    begin(STREAKS("base_time: 1s, max_time: 10s"), "a b c");
    for (int i = 0; i < 3; i++) {
        rig_fail(&rig, 'a', 5);
        rig_told(&rig);
        until_told();
        rig_told(&rig);
    }
    assert_int_equal(rig_member(&rig, 'a')->ejection_level, 3);
    rig_later(&rig, 9900);
    rig_fail(&rig, 'a', 5);
    rig_told(&rig);
    expect_after(4000, "a:ready ");
    rig_later(&rig, 10000);
    rig_fail(&rig, 'a', 5);
    rig_told(&rig);
    expect_after(1000, "a:ready ");
}

/* ---- how many ---- */

static void only_a_share_is_ejected(void **state)
{
    (void)state;
    begin(STREAKS("max_share: 30%, base_time: 10s"), "a b c d e f g h i j");
    for (const char *name = "abcdef"; *name; name++) rig_fail(&rig, *name, 5);
    assert_string_equal(rig_told(&rig), "a:ejected b:ejected c:ejected ");
    assert_string_equal(rig_set(&rig), "d e f g h i j");
    /* As soon as these are back, the next ones: it is thought over again by itself. */
    until_told();
    assert_string_equal(rig_told(&rig), "a:ready b:ready c:ready ");
    until_told();
    assert_string_equal(rig_told(&rig), "d:ejected e:ejected f:ejected ");
}

static void one_may_always_be(void **state)
{
    (void)state;
    begin(STREAKS("max_share: 1%"), "a b c");
    rig_fail(&rig, 'a', 5);
    rig_fail(&rig, 'b', 5);
    assert_string_equal(rig_told(&rig), "a:ejected ");
}

static void the_last_one_never_is(void **state)
{
    (void)state;
    begin(STREAKS("max_share: 100%, panic_threshold: off"), "a b c? d");
    for (const char *name = "abd"; *name; name++) rig_fail(&rig, *name, 50);
    assert_string_equal(rig_told(&rig), "a:ejected b:ejected ");
    assert_string_equal(rig_set(&rig), "d");
    /* The other one goes: nobody is left but who is ejected. */
    rig_update(&rig, "a b");
    rig_turn(&rig);
    assert_string_equal(rig_set(&rig), "");
}

static void nor_is_the_only_one(void **state)
{
    (void)state;
    begin(STREAKS("max_share: 100%"), "a");
    rig_fail(&rig, 'a', 50);
    rig_later(&rig, 10000);
    assert_string_equal(rig_told(&rig), "");
}

/* ---- error rates ---- */

static void expect_after_interval(const char *told)
{
    rig_later(&rig, 10200);
    assert_string_equal(rig_told(&rig), told);
}

/* Of each `failed` of `all` requests. */
static void requests(char name, unsigned failed, unsigned all)
{
    rig_fail(&rig, name, failed);
    rig_succeed(&rig, name, all - failed);
}

static void a_high_rate_ejects(void **state)
{
    (void)state;
    begin(RATES("error_rate: 50%"), "a b c");
    requests('a', 10, 20);
    requests('b', 9, 20);
    requests('c', 0, 100);
    expect_after_interval("a:ejected ");
    assert_string_equal(rig_member(&rig, 'a')->reason, "10 of 20 requests failed");
    assert_string_equal(rig_set(&rig), "b c");
}

static void a_few_requests_say_nothing(void **state)
{
    (void)state;
    begin(RATES("error_rate: 50%"), "a b c");
    requests('a', 19, 19);
    requests('b', 0, 100);
    expect_after_interval("");
    /* Nor do those of one interval count in the next. */
    requests('a', 19, 19);
    requests('b', 0, 100);
    expect_after_interval("");
}

/* When all fail alike, it is something else that fails. */
static void others_are_no_better(void **state)
{
    (void)state;
    begin(RATES("error_rate: 10%"), "a b c");
    for (const char *name = "abc"; *name; name++) requests(*name, 90, 100);
    expect_after_interval("");
    requests('a', 100, 100);
    requests('b', 50, 100);
    requests('c', 50, 100);
    expect_after_interval(""); /* half as badly is not less than half */
    requests('a', 100, 100);
    requests('b', 49, 100);
    requests('c', 49, 100);
    expect_after_interval("a:ejected ");
}

static void nobody_else_was_asked(void **state)
{
    (void)state;
    begin(RATES("error_rate: 10%"), "a b+");
    requests('a', 100, 100);
    expect_after_interval("");
}

static void rates_obey_the_share(void **state)
{
    (void)state;
    begin(RATES("error_rate: 50%, max_share: 1%"), "a b c d e");
    requests('a', 100, 100);
    requests('b', 100, 100);
    requests('c', 0, 1000);
    expect_after_interval("a:ejected ");
}

static void the_rate_of_before_does_not_count(void **state)
{
    (void)state;
    begin(RATES("error_rate: 50%, base_time: 1s"), "a b c");
    requests('a', 100, 100);
    requests('b', 0, 100);
    rig_later(&rig, 9700);
    until_told();
    assert_string_equal(rig_told(&rig), "a:ejected ");
    requests('a', 50, 50); /* under way yet */
    until_told();
    assert_string_equal(rig_told(&rig), "a:ready ");
    requests('a', 0, 100);
    requests('b', 0, 100);
    expect_after_interval("");
}

/* ---- panic ---- */

static void when_too_few_remain_ejections_do_not_count(void **state)
{
    (void)state;
    begin(STREAKS("max_share: 100%, panic_threshold: 50%, base_time: 10s"), "a b c d");
    rig_fail(&rig, 'a', 5);
    rig_fail(&rig, 'b', 5);
    assert_string_equal(rig_set(&rig), "c d"); /* half of them are not fewer than half */
    assert_false(rig.now.roster->is_in_panic);
    rig_later(&rig, 1000);
    rig_fail(&rig, 'c', 5);
    assert_true(rig.now.roster->is_in_panic);
    assert_string_equal(rig_set(&rig), "a b c d");
    assert_string_equal(rig_members(&rig), "a:ejected b:ejected c:ejected d:ready");
    rig_told(&rig);
    until_told();
    rig_later(&rig, 100);
    assert_false(rig.now.roster->is_in_panic);
    assert_string_equal(rig_told(&rig), "a:ready b:ready ");
    assert_string_equal(rig_set(&rig), "a b d");
}

/* Checks are no guess. */
static void verdicts_hold_in_a_panic(void **state)
{
    (void)state;
    begin("    health_check: { fall: 1, serve_unchecked: true }\n" STREAKS(
              "max_share: 100%, panic_threshold: 60%, base_time: 10s"),
          "a b c d");
    rig_judge(&rig, 'd', false);
    rig_fail(&rig, 'a', 5);
    rig_fail(&rig, 'b', 5);
    assert_string_equal(rig_set(&rig), "a b c");
    /* Whoever is used in spite of it is gone at once, too. */
    rig_judge(&rig, 'a', false);
    assert_string_equal(rig_set(&rig), "b c");
}

static void without_a_threshold_there_is_no_panic(void **state)
{
    (void)state;
    begin(STREAKS("max_share: 100%, panic_threshold: off"), "a b c");
    rig_fail(&rig, 'a', 5);
    rig_fail(&rig, 'b', 5);
    assert_string_equal(rig_set(&rig), "c");
}

/* ---- slow start ---- */

static const char slow[] = "    slow_start: 10s\n    outlier_ejection: { error_rate: off }\n";

static uint32_t weight_of(size_t at)
{
    return atomic_load(&rig.now.upstream->set)->tiers[TIER_PRIMARY].weights[at];
}

static void newcomers_get_their_share_in_steps(void **state)
{
    uint32_t last = 10;
    (void)state;
    begin(slow, "a b*2");
    assert_string_equal(rig_set(&rig), "a*100 b*200");
    rig_later(&rig, 10000);
    rig_update(&rig, "a b*2 c");
    rig_turn(&rig);
    assert_string_equal(rig_set(&rig), "a*100 b*200 c*10");
    for (unsigned s = 1; s < 10; s++) {
        rig_later(&rig, 1000);
        uint32_t due = 10 + 9 * s;
        assert_true(weight_of(2) > last && weight_of(2) <= due && weight_of(2) + 9 >= due);
        last = weight_of(2);
    }
    rig_later(&rig, 2000); /* the last step is as inexact as all */
    assert_string_equal(rig_set(&rig), "a*100 b*200 c*100");
    uint64_t sets = rig.now.roster->set_count;
    assert_true(sets <= 3 + 21);
    rig_later(&rig, 60000);
    assert_int_equal(rig.now.roster->set_count, sets);
}

static void the_first_ones_have_it_at_once(void **state)
{
    (void)state;
    begin(slow, "a");
    rig_later(&rig, 5000);
    rig_update(&rig, "a b");
    rig_later(&rig, 100);
    assert_string_equal(rig_set(&rig), "a*100 b*100");
}

/* Nothing else sets the clock going. */
static void who_became_healthy_grows(void **state)
{
    (void)state;
    rig_init(&rig, "    health_check: { fall: 1, rise: 1 }\n    slow_start: 10s\n"
                   "    outlier_ejection: { error_rate: off }\n");
    rig_update(&rig, "a b");
    rig_judge(&rig, 'a', true);
    rig_later(&rig, 11000);
    rig_judge(&rig, 'b', true);
    rig_later(&rig, 100);
    assert_string_equal(rig_set(&rig), "a*100 b*10");
    rig_later(&rig, 5000);
    assert_true(weight_of(1) > 40 && weight_of(1) < 60);
    rig_later(&rig, 6000);
    assert_string_equal(rig_set(&rig), "a*100 b*100");
}

static void who_was_ejected_grows_again(void **state)
{
    (void)state;
    begin(slow, "a b c");
    rig_later(&rig, 11000);
    rig_fail(&rig, 'a', 5);
    rig_later(&rig, 30100);
    assert_true(weight_of(0) >= 10 && weight_of(0) < 20);
    rig_later(&rig, 11000);
    assert_string_equal(rig_set(&rig), "a*100 b*100 c*100");
}

/* Keys would move. */
static void some_algorithms_do_not_ramp(void **state)
{
    (void)state;
    begin("    balance: ring_hash\n    slow_start: 10s\n", "a b");
    rig_later(&rig, 11000);
    rig_update(&rig, "a b c");
    rig_turn(&rig);
    assert_string_equal(rig_set(&rig), "a b c");
    uint64_t sets = rig.now.roster->set_count;
    rig_later(&rig, 20000);
    assert_int_equal(rig.now.roster->set_count, sets);
}

#define TEST(f) cmocka_unit_test_teardown(f, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(so_many_in_a_row_eject),
        TEST(zero_is_off),
        TEST(a_share_of_zero_is_off),
        TEST(a_suspicion_is_heard_once),
        TEST(each_one_is_longer),
        TEST(back_it_is_on_probation),
        TEST(in_time_it_is_forgotten),
        TEST(only_a_share_is_ejected),
        TEST(one_may_always_be),
        TEST(the_last_one_never_is),
        TEST(nor_is_the_only_one),
        TEST(a_high_rate_ejects),
        TEST(a_few_requests_say_nothing),
        TEST(others_are_no_better),
        TEST(nobody_else_was_asked),
        TEST(rates_obey_the_share),
        TEST(the_rate_of_before_does_not_count),
        TEST(when_too_few_remain_ejections_do_not_count),
        TEST(verdicts_hold_in_a_panic),
        TEST(without_a_threshold_there_is_no_panic),
        TEST(newcomers_get_their_share_in_steps),
        TEST(the_first_ones_have_it_at_once),
        TEST(who_became_healthy_grows),
        TEST(who_was_ejected_grows_again),
        TEST(some_algorithms_do_not_ramp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
