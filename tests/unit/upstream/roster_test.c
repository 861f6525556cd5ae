/* SPDX-License-Identifier: Apache-2.0
 *
 * Who belongs to an upstream, what state each is in, and the sets that are
 * published. Ejection and slow start: roster_eject_test.c; reloads and ends:
 * roster_reload_test.c.
 */
#include "roster_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

static struct rig rig;

static const char checked[] = "    health_check: { rise: 2, fall: 3 }\n";

static int tear_down(void **state)
{
    (void)state;
    rig_reset(&rig);
    return 0;
}

/* A first list, published. */
static void begin(const char *lines, const char *list)
{
    rig_init(&rig, lines);
    rig_update(&rig, list);
    roster_flush(rig.now.roster);
    rig_later(&rig, 1000);
    rig_pass(&rig);
    rig_told(&rig);
}

static uint64_t set_count(void)
{
    return rig.now.roster->set_count;
}

static void expect_reason(char name, const char *text)
{
    assert_string_equal(rig_member(&rig, name)->reason, text);
}

/* ---- the table of states in docs/design/balance.md ---- */

static void ready_and_no_check_is_configured(void **state)
{
    (void)state;
    begin("", "a");
    assert_string_equal(rig_members(&rig), "a:ready");
    assert_string_equal(rig_set(&rig), "a");
    expect_reason('a', "");
}

static void ready_and_up(void **state)
{
    (void)state;
    begin(checked, "a");
    assert_string_equal(rig_set(&rig), "");
    rig_judge(&rig, 'a', true);
    assert_string_equal(rig_told(&rig), "a:ready ");
    assert_string_equal(rig_set(&rig), "a");
    expect_reason('a', "");
}

static void ready_and_unknown(void **state)
{
    (void)state;
    begin(checked, "a");
    assert_string_equal(rig_members(&rig), "a:unchecked");
    assert_string_equal(rig_set(&rig), "");
    expect_reason('a', "no good check yet: no check has ended yet");
    rig_judge(&rig, 'a', false);
    assert_string_equal(rig_members(&rig), "a:unchecked");
    expect_reason('a', "no good check yet: 500 No");
}

static void ready_and_unknown_but_served(void **state)
{
    (void)state;
    begin("    health_check: { serve_unchecked: true }\n", "a");
    assert_string_equal(rig_members(&rig), "a:ready");
    assert_string_equal(rig_set(&rig), "a");
}

static void ready_and_down(void **state)
{
    (void)state;
    begin(checked, "a b");
    rig_judge(&rig, 'a', true);
    rig_judge(&rig, 'b', true);
    for (int i = 0; i < 3; i++) rig_judge(&rig, 'a', false);
    assert_string_equal(rig_members(&rig), "a:unhealthy b:ready");
    assert_string_equal(rig_set(&rig), "b");
    expect_reason('a', "checks fail: 500 No");
}

static void ready_and_ejected(void **state)
{
    (void)state;
    begin(checked, "a b c");
    for (const char *name = "abc"; *name; name++) rig_judge(&rig, *name, true);
    rig_fail(&rig, 'a', 5);
    assert_string_equal(rig_members(&rig), "a:ejected b:ready c:ready");
    assert_string_equal(rig_set(&rig), "b c");
    expect_reason('a', "5 failures in a row");
    /* What checks say comes before what is guessed. */
    for (int i = 0; i < 3; i++) rig_judge(&rig, 'a', false);
    assert_string_equal(rig_members(&rig), "a:unhealthy b:ready c:ready");
    rig_judge(&rig, 'a', true);
    rig_judge(&rig, 'a', true);
    assert_string_equal(rig_members(&rig), "a:ejected b:ready c:ready");
}

static void the_source_comes_first(void **state)
{
    (void)state;
    begin(checked, "a b c d");
    for (const char *name = "abcd"; *name; name++) rig_judge(&rig, *name, true);
    rig_fail(&rig, 'd', 5);
    rig_told(&rig);
    rig_update(&rig, "a? b! c- d?");
    rig_turn(&rig);
    assert_string_equal(rig_members(&rig), "a:starting b:unhealthy c:draining d:starting");
    assert_string_equal(rig_told(&rig), "a:starting b:unhealthy c:draining d:starting ");
    assert_string_equal(rig_set(&rig), "");
    expect_reason('b', "says the source");
    rig_update(&rig, "a b c d");
    rig_later(&rig, 100);
    assert_string_equal(rig_members(&rig), "a:ready b:ready c:ready d:ejected");
    assert_string_equal(rig_set(&rig), "a b c");
    expect_reason('b', "");
}

static bool is_leaving(char name)
{
    return endpoint_is_leaving(rig_member(&rig, name)->endpoint);
}

/* Idle connections to it are of no use any more. */
static void draining_is_leaving(void **state)
{
    (void)state;
    begin("", "a b");
    rig_update(&rig, "a! b-");
    rig_turn(&rig);
    assert_false(is_leaving('a'));
    assert_true(is_leaving('b'));
    rig_update(&rig, "a b");
    rig_later(&rig, 100);
    assert_false(is_leaving('b'));
}

/* Not when most are: then it is hardly the fault of each. */
static void an_unhealthy_one_is_leaving_while_others_are_well(void **state)
{
    (void)state;
    begin("", "a b c");
    rig_update(&rig, "a! b c");
    rig_turn(&rig);
    assert_true(is_leaving('a'));
    rig_update(&rig, "a! b! c");
    rig_turn(&rig);
    assert_false(is_leaving('a'));
    assert_false(is_leaving('b'));
    rig_update(&rig, "a b! c");
    rig_later(&rig, 100);
    assert_false(is_leaving('a'));
    assert_true(is_leaving('b'));
}

/* A new one is asked until it takes a connection, and never again. */
static void who_must_listen_first(void **state)
{
    (void)state;
    begin("", "a~ b");
    rig_turn(&rig);
    assert_string_equal(rig_members(&rig), "a:starting b:ready");
    assert_string_equal(rig_set(&rig), "b");
    expect_reason('a', "not tried yet");
    rig_judge(&rig, 'a', false);
    expect_reason('a', "takes no connections yet: 500 No");
    rig_update(&rig, "a-~ b");
    assert_string_equal(rig_members(&rig), "a:draining b:ready");
    rig_update(&rig, "a~ b");
    assert_string_equal(rig_members(&rig), "a:starting b:ready");
    rig_judge(&rig, 'a', true);
    expect_reason('a', "");
    assert_int_equal(rig_member(&rig, 'a')->probe_us, 0); /* it is not checked */
    rig_later(&rig, 100);
    assert_string_equal(rig_set(&rig), "a b");
    rig_update(&rig, "a~ b c~");
    assert_string_equal(rig_members(&rig), "a:ready b:ready c:starting");
}

/* The first good check says as much. */
static void who_is_checked_need_not(void **state)
{
    (void)state;
    begin(checked, "a~");
    assert_string_equal(rig_members(&rig), "a:unchecked");
    rig_judge(&rig, 'a', true);
    assert_string_equal(rig_members(&rig), "a:ready");
}

/* No set is made for one that may not be chosen yet: the next one need not wait for its turn. */
static void one_that_is_awaited_makes_no_set(void **state)
{
    (void)state;
    begin("", "a");
    rig_later(&rig, 1000);
    uint64_t sets = rig.now.roster->set_count;
    rig_update(&rig, "a b~");
    rig_later(&rig, 100);
    assert_int_equal(rig.now.roster->set_count, sets);
    rig_judge(&rig, 'b', true);
    rig_turn(&rig);
    assert_string_equal(rig_set(&rig), "a b");
}

static void states_are_counted(void **state)
{
    (void)state;
    begin(checked, "a b c? d! e- f");
    const size_t *counts = rig.now.roster->counts;
    rig_judge(&rig, 'a', true);
    assert_int_equal(counts[ENDPOINT_READY], 1);
    assert_int_equal(counts[ENDPOINT_UNCHECKED], 2);
    assert_int_equal(counts[ENDPOINT_STARTING], 1);
    assert_int_equal(counts[ENDPOINT_UNHEALTHY], 1);
    assert_int_equal(counts[ENDPOINT_DRAINING], 1);
    rig_update(&rig, "a f-");
    assert_int_equal(counts[ENDPOINT_READY], 1);
    assert_int_equal(counts[ENDPOINT_UNCHECKED], 0);
    assert_int_equal(counts[ENDPOINT_STARTING], 0);
    assert_int_equal(counts[ENDPOINT_DRAINING], 1);
    assert_int_equal(rig.now.roster->member_count, 2);
}

/* ---- verdicts ---- */

static void the_first_good_check_is_enough(void **state)
{
    (void)state;
    begin(checked, "a");
    rig_judge(&rig, 'a', false);
    rig_judge(&rig, 'a', false);
    assert_true(roster_is_unsure(rig_member(&rig, 'a')));
    rig_judge(&rig, 'a', true);
    assert_string_equal(rig_members(&rig), "a:ready");
    assert_false(roster_is_unsure(rig_member(&rig, 'a')));
}

static void unknown_that_fails_is_down(void **state)
{
    (void)state;
    begin("    health_check: { fall: 3, serve_unchecked: true }\n", "a b");
    rig_judge(&rig, 'a', false);
    rig_judge(&rig, 'a', false);
    assert_string_equal(rig_members(&rig), "a:ready b:ready");
    rig_judge(&rig, 'a', false);
    assert_string_equal(rig_members(&rig), "a:unhealthy b:ready");
    /* From here on `rise` holds. */
    rig_judge(&rig, 'a', true);
    assert_string_equal(rig_members(&rig), "a:unhealthy b:ready");
    rig_judge(&rig, 'a', true);
    assert_string_equal(rig_members(&rig), "a:ready b:ready");
}

static void only_in_a_row_counts(void **state)
{
    (void)state;
    begin(checked, "a");
    rig_judge(&rig, 'a', true);
    for (int i = 0; i < 5; i++) {
        rig_judge(&rig, 'a', false);
        rig_judge(&rig, 'a', false);
        assert_true(roster_is_unsure(rig_member(&rig, 'a')));
        rig_judge(&rig, 'a', true);
        assert_false(roster_is_unsure(rig_member(&rig, 'a')));
    }
    assert_string_equal(rig_members(&rig), "a:ready");
    for (int i = 0; i < 3; i++) rig_judge(&rig, 'a', false);
    for (int i = 0; i < 5; i++) {
        rig_judge(&rig, 'a', true);
        rig_judge(&rig, 'a', false);
    }
    assert_string_equal(rig_members(&rig), "a:unhealthy");
    assert_int_equal(rig_member(&rig, 'a')->check_count, 29);
    assert_int_equal(rig_member(&rig, 'a')->check_failures, 18);
}

/* ---- lists ---- */

static void the_same_again_is_nothing_new(void **state)
{
    (void)state;
    begin("", "a b*3 c+ d? e- f!");
    uint64_t sets = set_count();
    for (int i = 0; i < 3; i++) {
        rig_update(&rig, "a b*3 c+ d? e- f!");
        rig_later(&rig, 100);
    }
    assert_int_equal(set_count(), sets);
    assert_string_equal(rig_told(&rig), "");
    assert_int_equal(rig.came_count, 6);
    assert_int_equal(rig.went_count, 0);
}

static void members_are_in_the_sources_order(void **state)
{
    (void)state;
    begin("", "c a b");
    assert_string_equal(rig_members(&rig), "c:ready a:ready b:ready");
    assert_string_equal(rig_set(&rig), "c a b");
    rig_update(&rig, "b d c a");
    rig_turn(&rig);
    assert_string_equal(rig_members(&rig), "b:ready d:ready c:ready a:ready");
    assert_string_equal(rig_set(&rig), "b d c a");
}

static void who_is_not_named_goes(void **state)
{
    (void)state;
    begin("", "a b c");
    struct endpoint *b = rig_member(&rig, 'b')->endpoint;
    endpoint_ref(b);
    rig_update(&rig, "a c");
    assert_true(endpoint_is_leaving(b));
    assert_int_equal(rig.went_count, 1);
    rig_turn(&rig);
    assert_string_equal(rig_set(&rig), "a c");
    assert_int_equal(atomic_load(&b->ref_count), 2); /* until all workers have passed */
    rig_pass(&rig);
    assert_int_equal(atomic_load(&b->ref_count), 1);
    endpoint_unref(b);
}

static void a_moved_one_is_another(void **state)
{
    (void)state;
    begin(checked, "a b");
    rig_judge(&rig, 'a', true);
    rig_judge(&rig, 'b', true);
    struct endpoint      *before = rig_member(&rig, 'a')->endpoint;
    struct endpoint_live *live = before->live;
    rig_update(&rig, "a=99 b");
    assert_true(endpoint_is_leaving(before));
    rig_turn(&rig);
    struct endpoint *after = rig_member(&rig, 'a')->endpoint;
    assert_ptr_not_equal(after, before);
    assert_ptr_not_equal(after->live, live);
    assert_int_not_equal(after->slot, before->slot);
    assert_int_equal(after->address.port, 99);
    assert_string_equal(rig_members(&rig), "a:unchecked b:ready");
    assert_string_equal(rig_set(&rig), "b");
    assert_int_equal(rig.came_count, 3);
    assert_int_equal(rig.went_count, 1);
}

static void another_server_name_is_another(void **state)
{
    struct endpoint_spec specs[2];
    (void)state;
    begin("", "a b");
    rig_specs("a b", specs, 2);
    specs[0].server_name = S("app.internal");
    roster_update(rig.now.roster, specs, 2, NULL);
    assert_string_equal(rig_member(&rig, 'a')->endpoint->server_name, "app.internal");
    assert_int_equal(rig.went_count, 1);
    roster_update(rig.now.roster, specs, 2, NULL);
    assert_int_equal(rig.went_count, 1);
}

static void the_first_of_two_counts(void **state)
{
    (void)state;
    begin("", "a*2 b a*5 a=99");
    assert_string_equal(rig_set(&rig), "a*2 b");
    assert_int_equal(rig_member(&rig, 'a')->endpoint->address.port, 1000 + 'a');
    uint64_t sets = set_count();
    rig_update(&rig, "a*2 b a*5 a=99");
    rig_later(&rig, 100);
    assert_int_equal(set_count(), sets);
    assert_int_equal(rig.came_count, 2);
}

static void weights_and_backups_change_in_place(void **state)
{
    (void)state;
    begin("", "a b c");
    struct endpoint *a = rig_member(&rig, 'a')->endpoint;
    rig_update(&rig, "a*7 b c");
    rig_later(&rig, 100);
    assert_string_equal(rig_set(&rig), "a*7 b c");
    rig_update(&rig, "a*7 b+ c");
    rig_later(&rig, 100);
    assert_string_equal(rig_set(&rig), "a*7 c + b");
    assert_ptr_equal(rig_member(&rig, 'a')->endpoint, a);
    rig_update(&rig, "a+ b+ c+");
    rig_later(&rig, 100);
    assert_string_equal(rig_set(&rig), "+ a b c");
    rig_update(&rig, "a*0 b c"); /* none is no weight */
    rig_later(&rig, 100);
    assert_string_equal(rig_set(&rig), "a b c");
    assert_string_equal(rig_told(&rig), "");
}

static void trouble_is_told_once(void **state)
{
    struct endpoint_spec specs[2];
    (void)state;
    begin("", "a b");
    assert_int_equal(rig.trouble_count, 0);
    size_t count = rig_specs("a b", specs, 2);
    roster_update(rig.now.roster, specs, count, "cannot resolve app.test");
    roster_update(rig.now.roster, specs, count, "cannot resolve app.test");
    assert_int_equal(rig.trouble_count, 1);
    assert_string_equal(rig.now.roster->trouble, "cannot resolve app.test");
    roster_update(rig.now.roster, specs, count, NULL);
    assert_int_equal(rig.trouble_count, 2);
    assert_string_equal(rig.now.roster->trouble, "");
}

/* ---- sets ---- */

static void nobody_is_in_the_first_one(void **state)
{
    (void)state;
    rig_init(&rig, "");
    assert_false(rig.now.roster->has_source);
    assert_string_equal(rig_set(&rig), "");
    rig_update(&rig, "");
    assert_true(rig.now.roster->has_source);
    assert_string_equal(rig_set(&rig), "");
}

/* At once is at the end of the turn, once for all that it brings. */
static void who_leaves_is_gone_at_the_end_of_the_turn(void **state)
{
    (void)state;
    begin("", "a b c d");
    rig_update(&rig, "a b c d e");
    rig_turn(&rig); /* the last set is old: nothing to gather */
    uint64_t sets = set_count();
    rig_update(&rig, "a b c e");
    rig_update(&rig, "a b e");
    rig_update(&rig, "a b e f");
    assert_int_equal(set_count(), sets);
    rig_turn(&rig);
    assert_int_equal(set_count(), sets + 1);
    assert_string_equal(rig_set(&rig), "a b e f");
}

static void additions_are_gathered(void **state)
{
    (void)state;
    begin("", "a");
    uint64_t sets = set_count();
    rig_update(&rig, "a b");
    rig_turn(&rig);
    assert_int_equal(set_count(), sets + 1);
    rig_update(&rig, "a b c");
    rig_turn(&rig);
    rig_update(&rig, "a b c d");
    rig_later(&rig, 40);
    assert_int_equal(set_count(), sets + 1);
    rig_later(&rig, 60); /* 50, and what deadlines are inexact by */
    assert_int_equal(set_count(), sets + 2);
    assert_string_equal(rig_set(&rig), "a b c d");
    rig_later(&rig, 1000);
    assert_int_equal(set_count(), sets + 2);
}

/* What somebody's leaving brings about takes along what was gathered. */
static void one_set_has_it_all(void **state)
{
    (void)state;
    begin("", "a b");
    rig_update(&rig, "a b c");
    rig_turn(&rig);
    uint64_t sets = set_count();
    rig_update(&rig, "a b c d");
    rig_update(&rig, "a c d");
    rig_turn(&rig);
    assert_int_equal(set_count(), sets + 1);
    assert_string_equal(rig_set(&rig), "a c d");
    rig_later(&rig, 1000);
    assert_int_equal(set_count(), sets + 1);
}

static void a_bad_verdict_counts_at_once(void **state)
{
    (void)state;
    begin("    health_check: { fall: 1 }\n", "a b");
    rig_judge(&rig, 'a', true);
    rig_judge(&rig, 'b', true);
    rig_later(&rig, 100);
    rig_update(&rig, "a b c");
    rig_turn(&rig); /* just now there was a set */
    rig_judge(&rig, 'a', false);
    assert_string_equal(rig_set(&rig), "b");
}

static void flush_does_not_wait(void **state)
{
    (void)state;
    begin("", "a");
    uint64_t sets = set_count();
    rig_update(&rig, "a b");
    roster_flush(rig.now.roster);
    assert_string_equal(rig_set(&rig), "a b");
    roster_flush(rig.now.roster);
    rig_later(&rig, 1000);
    assert_int_equal(set_count(), sets + 1);
}

#define TEST(f) cmocka_unit_test_teardown(f, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ready_and_no_check_is_configured),
        TEST(ready_and_up),
        TEST(ready_and_unknown),
        TEST(ready_and_unknown_but_served),
        TEST(ready_and_down),
        TEST(ready_and_ejected),
        TEST(the_source_comes_first),
        TEST(draining_is_leaving),
        TEST(an_unhealthy_one_is_leaving_while_others_are_well),
        TEST(who_must_listen_first),
        TEST(who_is_checked_need_not),
        TEST(one_that_is_awaited_makes_no_set),
        TEST(states_are_counted),
        TEST(the_first_good_check_is_enough),
        TEST(unknown_that_fails_is_down),
        TEST(only_in_a_row_counts),
        TEST(the_same_again_is_nothing_new),
        TEST(members_are_in_the_sources_order),
        TEST(who_is_not_named_goes),
        TEST(a_moved_one_is_another),
        TEST(another_server_name_is_another),
        TEST(the_first_of_two_counts),
        TEST(weights_and_backups_change_in_place),
        TEST(trouble_is_told_once),
        TEST(nobody_is_in_the_first_one),
        TEST(who_leaves_is_gone_at_the_end_of_the_turn),
        TEST(additions_are_gathered),
        TEST(one_set_has_it_all),
        TEST(a_bad_verdict_counts_at_once),
        TEST(flush_does_not_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
