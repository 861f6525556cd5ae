/* SPDX-License-Identifier: Apache-2.0
 *
 * When members are checked, what a roster makes of it, and that anything may end at
 * any time.
 */
#include "probe_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct rig rig;

static const char good[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
static const char bad[] = "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n";

static int tear_down(void **state)
{
    (void)state;
    rig_reset(&rig);
    return 0;
}

static void begin(const char *health_check, const char *answer)
{
    rig_init(&rig, health_check, "");
    rig_listen(&rig, NULL);
    if (answer) rig_answer(&rig, answer);
}

static struct check *check_of(size_t i)
{
    return rig_member(&rig, i)->prober;
}

/* From the beginning of the last check to the next one. */
static uint64_t pause_ms(size_t i)
{
    return check_of(i)->due_ms - check_of(i)->began_ms;
}

static void expect_state(enum endpoint_state state)
{
    assert_string_equal(endpoint_state_name(rig_member(&rig, 0)->state),
                        endpoint_state_name(state));
}

/* ---- verdicts ---- */

static void verdicts_rise_and_fall(void **state)
{
    (void)state;
    begin("{ interval: 100ms, fast_interval: 100ms, rise: 2, fall: 3 }", bad);
    rig_check(&rig, false, "500 Internal Server Error");
    expect_state(ENDPOINT_UNCHECKED);
    rig_answer(&rig, good);
    rig_expect(&rig, true, "200 OK"); /* the first good one is enough */
    expect_state(ENDPOINT_READY);
    rig_answer(&rig, bad);
    rig_expect(&rig, false, "500 Internal Server Error");
    rig_expect(&rig, false, "500 Internal Server Error");
    expect_state(ENDPOINT_READY);
    rig_expect(&rig, false, "500 Internal Server Error");
    expect_state(ENDPOINT_UNHEALTHY);
    rig_answer(&rig, good);
    rig_expect(&rig, true, "200 OK");
    expect_state(ENDPOINT_UNHEALTHY);
    rig_expect(&rig, true, "200 OK");
    expect_state(ENDPOINT_READY);
    assert_int_equal(rig.state_count, 3);
    assert_int_equal(rig_member(&rig, 0)->check_failures, 4);
    assert_true(rig_member(&rig, 0)->probe_time_us > 0);
}

/* ---- pace ---- */

static void the_first_is_at_once_and_the_second_anywhere(void **state)
{
    uint64_t least_ms = 60000, most_ms = 0;
    (void)state;
    begin("{ interval: 60s }", good);
    rig_start(&rig, 64);
    for (size_t i = 0; i < 64; i++) {
        while (rig_member(&rig, i)->check_count < 1) rig_turn(&rig);
        if (pause_ms(i) < least_ms) least_ms = pause_ms(i);
        if (pause_ms(i) > most_ms) most_ms = pause_ms(i);
    }
    /* Of 64 draws: all miss a sixth of the range once in 10^5 runs. */
    assert_true(least_ms < 10000);
    assert_true(most_ms > 50000 && most_ms <= 60000);
}

static void the_next_are_an_interval_later(void **state)
{
    (void)state;
    begin("{ interval: 200ms }", good);
    rig_check(&rig, true, "200 OK");
    for (int i = 0; i < 3; i++) {
        rig_expect(&rig, true, "200 OK");
        assert_true(pause_ms(0) >= 180 && pause_ms(0) <= 220);
    }
}

static void it_is_asked_faster_while_unsure(void **state)
{
    (void)state;
    begin("{ interval: 60s, fast_interval: 200ms, fall: 2 }", bad);
    rig_check(&rig, false, "500 Internal Server Error"); /* unknown */
    assert_true(pause_ms(0) >= 180 && pause_ms(0) <= 220);
    rig_answer(&rig, good);
    rig_expect(&rig, true, "200 OK");
    assert_true(pause_ms(0) <= 60000);
    check_of(0)->due_ms = 0;
    rig_answer(&rig, bad);
    deadline_set(rig.loop, &check_of(0)->deadline, 1);
    rig_expect(&rig, false, "500 Internal Server Error"); /* up, and one bad */
    assert_true(pause_ms(0) >= 180 && pause_ms(0) <= 220);
    rig_expect(&rig, false, "500 Internal Server Error"); /* down for sure */
    assert_true(pause_ms(0) >= 54000 && pause_ms(0) <= 66000);
}

static void it_is_never_slower_for_that(void **state)
{
    (void)state;
    begin("{ interval: 200ms, fast_interval: 10s }", bad);
    rig_check(&rig, false, "500 Internal Server Error");
    assert_true(pause_ms(0) >= 180 && pause_ms(0) <= 220);
}

/* ---- many ---- */

static void only_so_many_run_at_once(void **state)
{
    (void)state;
    begin("{ interval: 60s, timeout: 10s }", good);
    rig_start(&rig, 1000);
    assert_int_equal(rig.prober.running_count, PROBER_RUNNING_MAX);
    for (size_t i = 0; i < 1000; i++)
        while (rig_member(&rig, i)->check_count < 1) {
            rig_turn(&rig);
            assert_true(rig.prober.running_count <= PROBER_RUNNING_MAX);
        }
    for (size_t i = 0; i < 1000; i++) assert_true(rig_member(&rig, i)->is_probe_good);
    assert_int_equal(rig.roster->counts[ENDPOINT_READY], 1000);
}

static void others_wait_in_order(void **state)
{
    (void)state;
    begin("{ interval: 60s, timeout: 300ms }", NULL);
    rig_start(&rig, PROBER_RUNNING_MAX + 2);
    assert_ptr_equal(rig.prober.waiting.next, &check_of(PROBER_RUNNING_MAX)->link);
    while (rig_member(&rig, PROBER_RUNNING_MAX)->check_count < 1) rig_turn(&rig);
    struct check *first = check_of(PROBER_RUNNING_MAX);
    assert_true(first->began_ms >= check_of(0)->began_ms + 300);
    assert_true(check_of(PROBER_RUNNING_MAX + 1)->began_ms >= first->began_ms);
}

/* ---- ends ---- */

static void those_that_wait_may_end(void **state)
{
    (void)state;
    begin("{ interval: 60s, timeout: 10s }", good);
    rig_start(&rig, PROBER_RUNNING_MAX + 2);
    prober_stop(&rig.prober, rig_member(&rig, PROBER_RUNNING_MAX));
    assert_ptr_equal(rig.prober.waiting.next, &check_of(PROBER_RUNNING_MAX + 1)->link);
    while (rig_member(&rig, PROBER_RUNNING_MAX + 1)->check_count < 1) rig_turn(&rig);
    assert_int_equal(rig_member(&rig, PROBER_RUNNING_MAX)->check_count, 0);
}

static void it_begins_once(void **state)
{
    (void)state;
    begin("{ interval: 60s, timeout: 10s }", NULL);
    rig_start(&rig, 1);
    prober_start(&rig.prober, rig_member(&rig, 0));
    assert_int_equal(rig.prober.running_count, 1);
}

/* Nothing is kept of an endpoint that has left: its slot is given out again. */
static void what_left_is_forgotten(void **state)
{
    (void)state;
    begin("{ interval: 60s, timeout: 10s }", good);
    for (int i = 0; i < 4; i++) {
        rig_check(&rig, true, "200 OK");
        assert_int_equal(rig_member(&rig, 0)->endpoint->slot, 0);
        rig_start(&rig, 0);
        for (int turn = 0; turn < 3; turn++) rig_turn(&rig);
    }
}

static void stop_first(struct rig *r, struct member *m)
{
    prober_stop(&r->prober, m);
}

static void it_may_end_at_any_time(void **state)
{
    (void)state;
    for (int turns = 0; turns < 12; turns++) {
        begin("{ path: / }", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
        rig_then(&rig, S("hello"));
        rig_start(&rig, 3);
        for (int i = 0; i < turns; i++) {
            loop_turn(rig.loop, 0);
            if (i % 2) rig_turn(&rig);
        }
        prober_stop(&rig.prober, rig_member(&rig, 1));
        prober_stop(&rig.prober, rig_member(&rig, 1));
        loop_turn(rig.loop, 0);
        assert_null(rig_member(&rig, 1)->prober);
        rig_reset(&rig);
    }
    begin("{ path: / }", good);
}

static void members_may_go(void **state)
{
    (void)state;
    begin("{ interval: 100ms }", NULL);
    rig_start(&rig, 300); /* some run, some wait */
    rig_turn(&rig);
    rig_start(&rig, 10);
    rig_turn(&rig);
    assert_int_equal(rig.prober.running_count, 10);
    rig_start(&rig, 0);
    rig_turn(&rig);
    assert_int_equal(rig.prober.running_count, 0);
    assert_int_equal(rig.roster->member_count, 0);
}

static void it_may_end_by_its_own_verdict(void **state)
{
    static const char *const checks[] = { "{ path: / }", "{ body: \"^$\" }", "{ type: tcp }" };
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        begin(checks[i], good);
        rig.on_state = stop_first;
        rig_check(&rig, true, i == 2 ? "connected" : "200 OK");
        assert_null(rig_member(&rig, 0)->prober);
        assert_int_equal(rig.prober.running_count, 0);
        rig_turn(&rig);
        rig_reset(&rig);
    }
    begin("{ path: / }", good);
}

static void drop_all(struct rig *r, struct member *m)
{
    (void)m;
    r->on_state = NULL;
    roster_update(r->roster, NULL, 0, NULL);
}

/* By timeout, too: the verdict comes from a deadline. */
static void all_may_go_by_a_verdict(void **state)
{
    (void)state;
    begin("{ serve_unchecked: true, timeout: 50ms, fall: 1 }", NULL);
    rig.on_state = drop_all;
    rig_start(&rig, 300);
    while (rig.roster->member_count) rig_turn(&rig);
    assert_int_equal(rig.prober.running_count, 0);
}

static void start_again(struct rig *r, struct member *m)
{
    r->on_state = NULL;
    prober_stop(&r->prober, m);
    prober_start(&r->prober, m);
}

static void it_may_begin_again_by_its_own_verdict(void **state)
{
    (void)state;
    begin("{ interval: 60s }", good);
    rig.on_state = start_again;
    rig_check(&rig, true, "200 OK");
    rig_expect(&rig, true, "200 OK");
    assert_int_equal(rig.prober.running_count, 0);
}

static void nothing_is_checked_without_checks(void **state)
{
    (void)state;
    begin("false", good);
    rig_start(&rig, 1);
    rig_turn(&rig);
    assert_null(rig_member(&rig, 0)->prober);
    assert_int_equal(rig.prober.running_count, 0);
    expect_state(ENDPOINT_READY);
}

/* ---- a thread that is busy ---- */

static void sleep_ms(unsigned ms)
{
    struct timespec t = { ms / 1000, ms % 1000 * 1000000L };
    nanosleep(&t, NULL);
}

/* The answers are in the sockets when the thread comes back, long after the timeout. */
static void block_with_answers(size_t count)
{
    rig_start(&rig, count);
    while (rig.got.len < count || rig.accepted_count < count || rig.prober.running_count < count)
        loop_turn(rig.loop, 0);
    for (int i = 0; i < 5; i++) loop_turn(rig.loop, 0);
    rig_turn(&rig); /* writes them; nobody has read */
    sleep_ms(700);
    loop_turn(rig.loop, 0);
}

static void a_late_thread_judges_nothing(void **state)
{
    (void)state;
    begin("{ interval: 60s, timeout: 500ms }", good);
    block_with_answers(1);
    assert_int_equal(rig_member(&rig, 0)->check_count, 1);
    assert_true(rig_member(&rig, 0)->is_probe_good);
}

/* More than are told of in one go. */
static void a_late_thread_looks_at_all_answers(void **state)
{
    (void)state;
    begin("{ interval: 60s, timeout: 500ms }", good);
    block_with_answers(200);
    for (size_t i = 0; i < 200; i++) {
        while (rig_member(&rig, i)->check_count < 1) rig_turn(&rig);
        assert_true(rig_member(&rig, i)->is_probe_good);
    }
}

static void a_late_thread_times_out_all_the_same(void **state)
{
    (void)state;
    begin("{ interval: 60s, timeout: 100ms }", NULL);
    rig_start(&rig, 1);
    for (int i = 0; i < 10; i++) loop_turn(rig.loop, 0);
    sleep_ms(400);
    loop_turn(rig.loop, 0);
    assert_int_equal(rig_member(&rig, 0)->check_count, 0); /* it has some time more */
    rig_expect(&rig, false, "no answer within 100ms");
}

/* However late it always is. */
static void a_thread_that_is_always_late_judges_in_the_end(void **state)
{
    (void)state;
    begin("{ interval: 60s, timeout: 100ms }", NULL);
    rig_start(&rig, 1);
    for (int i = 0; i < 14; i++) {
        loop_turn(rig.loop, 0);
        sleep_ms(210);
    }
    assert_int_equal(rig_member(&rig, 0)->check_count, 1);
}

#define TEST(f) cmocka_unit_test_teardown(f, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(verdicts_rise_and_fall),
        TEST(the_first_is_at_once_and_the_second_anywhere),
        TEST(the_next_are_an_interval_later),
        TEST(it_is_asked_faster_while_unsure),
        TEST(it_is_never_slower_for_that),
        TEST(only_so_many_run_at_once),
        TEST(others_wait_in_order),
        TEST(those_that_wait_may_end),
        TEST(it_begins_once),
        TEST(what_left_is_forgotten),
        TEST(it_may_end_at_any_time),
        TEST(members_may_go),
        TEST(it_may_end_by_its_own_verdict),
        TEST(all_may_go_by_a_verdict),
        TEST(it_may_begin_again_by_its_own_verdict),
        TEST(nothing_is_checked_without_checks),
        TEST(a_late_thread_judges_nothing),
        TEST(a_late_thread_looks_at_all_answers),
        TEST(a_late_thread_times_out_all_the_same),
        TEST(a_thread_that_is_always_late_judges_in_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
