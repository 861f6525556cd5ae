/* SPDX-License-Identifier: Apache-2.0
 *
 * What a roster takes over from the one before a reload, rest, and ends amid
 * everything.
 */
#include "roster_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

static struct rig rig;

static const char checked[] = "    health_check: { rise: 2, fall: 1 }\n";

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
    roster_flush(rig.now.roster);
    rig_later(&rig, 500);
    rig_told(&rig);
}

static void judge_all(const char *names, bool is_good)
{
    for (; *names; names++) rig_judge(&rig, *names, is_good);
}

/* A reload, and the source's list at once. */
static void reload(const char *lines, const char *list)
{
    rig_reload(&rig, lines);
    rig_told(&rig);
    rig_update(&rig, list);
    roster_flush(rig.now.roster);
}

/* ---- heirs ---- */

static void verdicts_stay(void **state)
{
    (void)state;
    begin(checked, "a b c");
    judge_all("ab", true);
    judge_all("b", false);
    int64_t since_us = rig_member(&rig, 'b')->since_us;
    reload("    health_check: { rise: 3, fall: 1 }\n", "a b c");
    assert_string_equal(rig_members(&rig), "a:ready b:unhealthy c:unchecked");
    assert_string_equal(rig_set(&rig), "a");
    assert_string_equal(rig_told(&rig), ""); /* it is no news */
    assert_true(rig_member(&rig, 'b')->since_us == since_us);
    assert_string_equal(rig_member(&rig, 'b')->reason, "checks fail: 500 No");
    assert_int_equal(rig.now.roster->counts[ENDPOINT_READY], 1);
    assert_int_equal(rig.now.roster->counts[ENDPOINT_UNHEALTHY], 1);
}

static void newcomers_have_none(void **state)
{
    (void)state;
    begin(checked, "a");
    judge_all("a", true);
    reload(checked, "a b");
    assert_string_equal(rig_members(&rig), "a:ready b:unchecked");
    assert_string_equal(rig_told(&rig), "b:unchecked ");
}

/* Who was at work is not held up; who was not has yet to listen. */
static void who_must_listen_still(void **state)
{
    (void)state;
    begin("", "a~ b~");
    rig_judge(&rig, 'a', true);
    reload("    retries: 1\n", "a~ b~ c~");
    assert_string_equal(rig_members(&rig), "a:ready b:starting c:starting");
}

static void ejections_stay(void **state)
{
    (void)state;
    begin("    outlier_ejection: { base_time: 10s }\n", "a b c");
    rig_fail(&rig, 'a', 5);
    rig_later(&rig, 4000);
    reload("    outlier_ejection: { base_time: 11s }\n", "a b c");
    assert_string_equal(rig_members(&rig), "a:ejected b:ready c:ready");
    assert_string_equal(rig_set(&rig), "b c");
    assert_string_equal(rig_member(&rig, 'a')->reason, "5 failures in a row");
    assert_int_equal(rig_member(&rig, 'a')->ejection_level, 1);
    rig_later(&rig, 5900);
    assert_string_equal(rig_told(&rig), "");
    rig_later(&rig, 200);
    assert_string_equal(rig_told(&rig), "a:ready ");
}

/* Whoever turns it off wants the replica back. */
static void ejections_end_when_they_are_off(void **state)
{
    (void)state;
    begin("", "a b c");
    rig_fail(&rig, 'a', 5);
    reload("    outlier_ejection: { max_share: off }\n", "a b c");
    assert_string_equal(rig_members(&rig), "a:ready b:ready c:ready");
    assert_string_equal(rig_set(&rig), "a b c");
}

static void live_numbers_are_shared(void **state)
{
    (void)state;
    begin("", "a b");
    struct endpoint *before = rig_member(&rig, 'a')->endpoint;
    atomic_store(&before->live->active, 7);
    rig_fail(&rig, 'a', 3);
    reload("    retries: 1\n", "a b");
    struct endpoint *after = rig_member(&rig, 'a')->endpoint;
    assert_ptr_not_equal(after, before);
    assert_ptr_equal(after->live, before->live);
    assert_int_equal(atomic_load(&after->live->active), 7);
    /* Three before and two after are five. */
    rig_fail(&rig, 'a', 2);
    assert_string_equal(rig_members(&rig), "a:ejected b:ready");
}

/* Old failures do not count in a new roster's first interval. */
static void rates_begin_anew(void **state)
{
    (void)state;
    const char *lines = "    outlier_ejection: { consecutive_failures: off, interval: 1s }\n";
    begin(lines, "a b");
    rig_fail(&rig, 'a', 100);
    reload("    outlier_ejection: { consecutive_failures: off, interval: 2s }\n", "a b");
    rig_succeed(&rig, 'a', 50);
    rig_succeed(&rig, 'b', 50);
    rig_later(&rig, 3000);
    assert_string_equal(rig_members(&rig), "a:ready b:ready");
}

static void new_checks_do_not_hold_up_who_was_at_work(void **state)
{
    (void)state;
    begin("", "a b?");
    reload(checked, "a b c");
    assert_string_equal(rig_members(&rig), "a:ready b:unchecked c:unchecked");
    assert_string_equal(rig_set(&rig), "a");
    judge_all("a", false);
    assert_string_equal(rig_members(&rig), "a:unhealthy b:unchecked c:unchecked");
}

static void without_checks_all_are_well(void **state)
{
    (void)state;
    begin(checked, "a b");
    judge_all("ab", true);
    judge_all("b", false);
    reload("", "a b");
    assert_string_equal(rig_members(&rig), "a:ready b:ready");
    assert_string_equal(rig_told(&rig), "b:ready ");
}

/* The same name at another address is not who it was. */
static void who_moved_is_not_an_heir(void **state)
{
    (void)state;
    begin(checked, "a b");
    judge_all("ab", true);
    struct endpoint_live *live = rig_member(&rig, 'a')->endpoint->live;
    reload("    health_check: { rise: 3 }\n", "a=99 b");
    assert_string_equal(rig_members(&rig), "a:unchecked b:ready");
    assert_ptr_not_equal(rig_member(&rig, 'a')->endpoint->live, live);
}

/* A name's addresses may be known only later. */
static void heirs_wait_for_the_source(void **state)
{
    (void)state;
    begin(checked, "a b");
    judge_all("ab", true);
    rig_reload(&rig, "    health_check: { rise: 3 }\n");
    rig_update(&rig, "a");
    rig_later(&rig, 1000);
    rig_update(&rig, "a b");
    rig_later(&rig, 100);
    assert_string_equal(rig_set(&rig), "a b");
    /* Once only: who left and comes again is new. */
    rig_update(&rig, "a");
    rig_update(&rig, "a b");
    assert_string_equal(rig_members(&rig), "a:ready b:unchecked");
}

static void slow_start_goes_on(void **state)
{
    (void)state;
    begin("    slow_start: 10s\n", "a b");
    rig_later(&rig, 11000);
    rig_update(&rig, "a b c");
    rig_later(&rig, 5000);
    reload("    slow_start: 10s\n    retries: 1\n", "a b c");
    const struct endpoint_tier *t = &atomic_load(&rig.now.upstream->set)->tiers[TIER_PRIMARY];
    assert_int_equal(t->weights[0], 100);
    assert_true(t->weights[2] > 40 && t->weights[2] < 60);
    rig_later(&rig, 6000);
    assert_string_equal(rig_set(&rig), "a*100 b*100 c*100");
}

/* A reload is no beginning: who comes after it is a newcomer among those at work. */
static void newcomers_grow_after_a_reload_too(void **state)
{
    (void)state;
    begin("    slow_start: 10s\n", "a b");
    rig_later(&rig, 11000);
    reload("    slow_start: 10s\n    retries: 1\n", "a b c");
    assert_string_equal(rig_set(&rig), "a*100 b*100 c*10");
}

/* ---- rest ---- */

static void nothing_happens_while_frozen(void **state)
{
    (void)state;
    begin("    outlier_ejection: { base_time: 1s }\n", "a b c");
    rig_fail(&rig, 'b', 5);
    uint64_t sets = rig.now.roster->set_count;
    rig_told(&rig);
    roster_freeze(rig.now.roster, true);
    roster_freeze(rig.now.roster, true);
    rig_fail(&rig, 'a', 50);
    rig_later(&rig, 60000);
    roster_flush(rig.now.roster);
    assert_string_equal(rig_told(&rig), "");
    assert_string_equal(rig_set(&rig), "a c");
    assert_int_equal(rig.now.roster->set_count, sets);
}

static void thawed_it_takes_up_where_it_was(void **state)
{
    (void)state;
    begin("    outlier_ejection: { base_time: 1s }\n", "a b c");
    rig_fail(&rig, 'b', 5);
    roster_freeze(rig.now.roster, true);
    rig_later(&rig, 60000);
    rig_told(&rig);
    roster_freeze(rig.now.roster, false);
    rig_turn(&rig);
    assert_string_equal(rig_told(&rig), "b:ready ");
    assert_string_equal(rig_set(&rig), "a b c");
    rig_fail(&rig, 'a', 5);
    assert_string_equal(rig_told(&rig), "a:ejected ");
}

/* A reload has taken some out of the configuration; another puts them back. */
static void who_is_kept_nowhere_is_leaving(void **state)
{
    struct map kept;
    (void)state;
    begin("", "a b");
    map_init(&kept);
    map_put(&kept, S("a"), &kept);
    roster_freeze(rig.now.roster, true);
    assert_true(roster_abandon(rig.now.roster, &kept));
    assert_false(endpoint_is_leaving(rig_member(&rig, 'a')->endpoint));
    assert_true(endpoint_is_leaving(rig_member(&rig, 'b')->endpoint));
    map_put(&kept, S("b"), &kept);
    assert_false(roster_abandon(rig.now.roster, &kept));
    roster_freeze(rig.now.roster, false);
    rig_turn(&rig);
    assert_false(endpoint_is_leaving(rig_member(&rig, 'b')->endpoint));
    map_reset(&kept);
}

/* What was pending at the beginning of the rest is not lost. */
static void what_was_pending_is_published_later(void **state)
{
    (void)state;
    begin("", "a b c");
    rig_update(&rig, "a c");
    roster_freeze(rig.now.roster, true);
    rig_later(&rig, 1000);
    assert_string_equal(rig_set(&rig), "a b c");
    roster_freeze(rig.now.roster, false);
    rig_turn(&rig);
    assert_string_equal(rig_set(&rig), "a c");
}

/* ---- slots ---- */

static uint32_t slot_of(char name)
{
    return rig_member(&rig, name)->endpoint->slot;
}

static void a_slot_is_given_again_after_the_last_reference(void **state)
{
    (void)state;
    begin("", "a b");
    struct endpoint *b = rig_member(&rig, 'b')->endpoint;
    uint32_t         slot = slot_of('b');
    assert_int_not_equal(slot_of('a'), slot);
    endpoint_ref(b); /* a worker's connections */
    rig_update(&rig, "a");
    rig_turn(&rig);
    rig_update(&rig, "a c");
    assert_int_not_equal(slot_of('c'), slot);
    rig_pass(&rig);
    rig_update(&rig, "a c d");
    assert_int_not_equal(slot_of('d'), slot);
    endpoint_unref(b);
    rig_update(&rig, "a c d e");
    assert_int_equal(slot_of('e'), slot);
}

static void many_slots_are_all_different(void **state)
{
    const char *names = "abcdefghijklmnopqrstuvwxyz";
    char        list[64] = "";
    bool        seen[64] = { false };
    (void)state;
    for (size_t i = 0; i < 26; i++) memcpy(list + 2 * i, (char[]){ names[i], ' ' }, 2);
    list[51] = 0;
    begin("", list);
    for (size_t i = 0; i < 26; i++) {
        assert_true(slot_of(names[i]) < 64);
        assert_false(seen[slot_of(names[i])]);
        seen[slot_of(names[i])] = true;
    }
}

/* The last reference may be dropped by a worker: control hears of it by message. */
static void slots_go_back_by_message(void **state)
{
    struct mailbox control;
    (void)state;
    begin("", "a");
    assert_true(mailbox_init(&control, rig.loop, NULL));
    rig_load(&rig.before, "", 1);
    rig.before.roster =
        roster_new(rig.before.upstream, rig.loop, &control, rig.now.roster->ops, &rig, NULL);
    struct half before = rig.now;
    rig.now = rig.before;
    rig.before = before;
    rig_update(&rig, "a b");
    struct endpoint *b = rig_member(&rig, 'b')->endpoint;
    uint32_t         slot = b->slot;
    endpoint_ref(b);
    rig_update(&rig, "a");
    roster_flush(rig.now.roster);
    rig_pass(&rig);
    endpoint_unref(b);
    rig_update(&rig, "a c");
    assert_int_not_equal(slot_of('c'), slot);
    loop_turn(rig.loop, 0);
    rig_update(&rig, "a c d");
    assert_int_equal(slot_of('d'), slot);
    roster_free(rig.now.roster);
    rig.now.roster = NULL;
    rig_pass(&rig);
    mailbox_reset(&control);
}

/* ---- ends ---- */

static void it_may_end_amid_everything(void **state)
{
    (void)state;
    begin("    slow_start: 1m\n    health_check: { serve_unchecked: true }\n", "a b c d e");
    rig_fail(&rig, 'a', 5);
    rig_later(&rig, 70000);
    rig_reload(&rig, "    slow_start: 2m\n    health_check: { serve_unchecked: true }\n");
    rig_update(&rig, "a b f g"); /* heirs that will not come; newcomers that grow */
    rig_turn(&rig);
    rig_update(&rig, "a b f");   /* somebody leaves: a set is due */
    rig_update(&rig, "a b f h"); /* and a deadline */
    rig_fail(&rig, 'b', 2);
    rig_update(&rig, "a f h");
    roster_free(rig.now.roster); /* what is retired outlives it */
    rig.now.roster = NULL;
    rig_later(&rig, 1000);
}

static void endpoints_outlive_it(void **state)
{
    (void)state;
    begin("", "a");
    struct endpoint *a = rig_member(&rig, 'a')->endpoint;
    endpoint_ref(a);
    roster_free(rig.now.roster);
    rig.now.roster = NULL;
    rig_pass(&rig);
    assert_string_equal(a->identity, "a");
    endpoint_unref(a); /* and with it the map of slots */
}

static void nothing_may_end_as_well(void **state)
{
    (void)state;
    rig_init(&rig, "");
    roster_free(NULL);
    rig_reset(&rig);
    rig_init(&rig, "");
    rig_reload(&rig, "");
}

#define TEST(f) cmocka_unit_test_teardown(f, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(verdicts_stay),
        TEST(newcomers_have_none),
        TEST(who_must_listen_still),
        TEST(ejections_stay),
        TEST(ejections_end_when_they_are_off),
        TEST(live_numbers_are_shared),
        TEST(rates_begin_anew),
        TEST(new_checks_do_not_hold_up_who_was_at_work),
        TEST(without_checks_all_are_well),
        TEST(who_moved_is_not_an_heir),
        TEST(heirs_wait_for_the_source),
        TEST(slow_start_goes_on),
        TEST(newcomers_grow_after_a_reload_too),
        TEST(nothing_happens_while_frozen),
        TEST(who_is_kept_nowhere_is_leaving),
        TEST(thawed_it_takes_up_where_it_was),
        TEST(what_was_pending_is_published_later),
        TEST(a_slot_is_given_again_after_the_last_reference),
        TEST(many_slots_are_all_different),
        TEST(slots_go_back_by_message),
        TEST(it_may_end_amid_everything),
        TEST(endpoints_outlive_it),
        TEST(nothing_may_end_as_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
