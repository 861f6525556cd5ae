/* SPDX-License-Identifier: Apache-2.0
 *
 * Deadlines, by a clock that the test turns.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/memory.h"
#include "conn_probe.h"
#include "io/deadline.h"

enum { PRECISION_MS = 50 };

struct timer {
    struct deadline  deadline;
    struct loop     *loop;
    uint64_t         ran_ms;
    unsigned         count;
    uint64_t         again_ms; /* set anew from within */
    struct deadline *victim;   /* removed from within */
};

static void run(struct deadline *d)
{
    struct timer *t = container_of(d, struct timer, deadline);
    t->count++;
    t->ran_ms = t->loop->clock.now_ms;
    if (t->again_ms) deadline_set(t->loop, d, t->again_ms);
    if (t->victim) deadline_remove(t->victim);
}

static void timer_init(struct timer *t, struct loop *l)
{
    *t = (struct timer){ .loop = l };
    deadline_init(&t->deadline, run);
}

static void advance(struct loop *l, uint64_t by_ms)
{
    l->clock.now_ms += by_ms;
    deadline_wheel_advance(l);
}

static void runs_once_on_time(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    for (uint64_t after_ms = 0; after_ms < 400; after_ms += 7) {
        struct timer t;
        timer_init(&t, l);
        uint64_t set_ms = l->clock.now_ms;
        deadline_set(l, &t.deadline, after_ms);
        while (!t.count) advance(l, 1);
        assert_true(t.ran_ms >= set_ms + after_ms);
        assert_true(t.ran_ms <= set_ms + after_ms + PRECISION_MS);
        advance(l, 1000);
        assert_int_equal(t.count, 1);
        assert_int_equal(t.deadline.at_ms, 0);
    }
    loop_free(l);
}

static void moving_it_ahead_is_a_number_only(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    struct timer t;
    timer_init(&t, l);
    deadline_set(l, &t.deadline, 1000);
    uint64_t slot_ms = t.deadline.slot_ms, start_ms = l->clock.now_ms;
    for (int i = 0; i < 9; i++) {
        advance(l, 100);
        deadline_set(l, &t.deadline, 1000);
        assert_int_equal(t.deadline.slot_ms, slot_ms);
    }
    advance(l, 999);
    assert_int_equal(t.count, 0);
    while (!t.count) advance(l, 1);
    assert_true(t.ran_ms >= start_ms + 1900 && t.ran_ms <= start_ms + 1900 + PRECISION_MS);
    loop_free(l);
}

static void moving_it_back_takes_effect(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    struct timer t;
    timer_init(&t, l);
    deadline_set(l, &t.deadline, 60000);
    deadline_set(l, &t.deadline, 100);
    advance(l, 99);
    assert_int_equal(t.count, 0);
    advance(l, PRECISION_MS);
    assert_int_equal(t.count, 1);
    loop_free(l);
}

static void cleared_and_removed_do_not_run(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    struct timer cleared, removed, again;
    timer_init(&cleared, l);
    timer_init(&removed, l);
    timer_init(&again, l);
    deadline_set(l, &cleared.deadline, 100);
    deadline_set(l, &removed.deadline, 100);
    deadline_set(l, &again.deadline, 100);
    deadline_clear(&cleared.deadline);
    deadline_clear(&again.deadline);
    deadline_remove(&removed.deadline);
    deadline_remove(&removed.deadline);
    deadline_set(l, &again.deadline, 100);
    advance(l, 1000);
    assert_int_equal(cleared.count, 0);
    assert_int_equal(removed.count, 0);
    assert_int_equal(again.count, 1);
    assert_true(list_is_empty(&cleared.deadline.link));
    loop_free(l);
}

static void far_ones_are_parked(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    struct timer hour, forever;
    timer_init(&hour, l);
    timer_init(&forever, l);
    uint64_t start_ms = l->clock.now_ms;
    deadline_set(l, &hour.deadline, 3600000);
    deadline_set(l, &forever.deadline, UINT64_MAX);
    while (!hour.count) {
        advance(l, 500);
        assert_true(l->clock.now_ms < start_ms + 3601000);
    }
    assert_true(hour.ran_ms >= start_ms + 3600000);
    assert_int_equal(forever.count, 0);
    loop_free(l);
}

/* A thread that was held up for longer than the wheel is round. */
static void a_long_gap_loses_none(void **state)
{
    (void)state;
    enum { COUNT = 600 };
    struct loop  *l = make_loop();
    struct timer *t = mem_alloc(COUNT * sizeof(*t));
    for (size_t i = 0; i < COUNT; i++) {
        timer_init(&t[i], l);
        deadline_set(l, &t[i].deadline, i * 40);
    }
    advance(l, 100000);
    for (size_t i = 0; i < COUNT; i++) assert_int_equal(t[i].count, 1);
    loop_free(l);
    free(t);
}

static void random_times_run_in_order(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    struct loop  *l = make_loop();
    struct timer *t = mem_alloc(COUNT * sizeof(*t));
    uint64_t      start_ms = l->clock.now_ms;
    for (size_t i = 0; i < COUNT; i++) {
        timer_init(&t[i], l);
        deadline_set(l, &t[i].deadline, random_below(&l->random, 40000));
        if (i % 3 == 0) deadline_set(l, &t[i].deadline, random_below(&l->random, 40000));
    }
    uint64_t *at_ms = mem_alloc(COUNT * sizeof(*at_ms));
    for (size_t i = 0; i < COUNT; i++) at_ms[i] = t[i].deadline.at_ms;
    while (l->clock.now_ms < start_ms + 41000) advance(l, 1 + random_below(&l->random, 5));
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(t[i].count, 1);
        assert_true(t[i].ran_ms >= at_ms[i] && t[i].ran_ms <= at_ms[i] + PRECISION_MS);
    }
    loop_free(l);
    free(t);
    free(at_ms);
}

static void may_set_itself_and_remove_its_neighbour(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    struct timer a, b;
    timer_init(&a, l);
    timer_init(&b, l);
    a.again_ms = 100;
    a.victim = &b.deadline;
    deadline_set(l, &a.deadline, 100);
    deadline_set(l, &b.deadline, 100);
    for (int i = 0; i < 100; i++) advance(l, 10);
    assert_int_equal(b.count, 0);
    assert_true(a.count >= 7 && a.count <= 10);
    loop_free(l);
}

/* An idle loop is woken for slots that hold something, and for no others. */
static void the_timer_is_for_the_next_slot_in_use(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    struct timer near_one, far_one;
    timer_init(&near_one, l);
    timer_init(&far_one, l);
    assert_int_equal(deadline_wheel_next_ms(l), 0);
    for (uint64_t after_ms = 1; after_ms < 16000; after_ms += 61) {
        deadline_set(l, &near_one.deadline, after_ms);
        deadline_set(l, &far_one.deadline, after_ms + 200);
        uint64_t next_ms = deadline_wheel_next_ms(l);
        assert_int_equal(next_ms, near_one.deadline.slot_ms);
        assert_true(next_ms >= l->clock.now_ms + after_ms);
        deadline_remove(&near_one.deadline);
        deadline_remove(&far_one.deadline);
        advance(l, 17000);
        assert_int_equal(deadline_wheel_next_ms(l), 0);
    }
    loop_free(l);
}

static void runs_by_the_real_clock(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    struct timer t;
    timer_init(&t, l);
    uint64_t start_ns = clock_mono_ns();
    deadline_set(l, &t.deadline, 40);
    turn_until(l, &t.count, 1);
    assert_true(clock_mono_ns() - start_ns >= 39000000u);
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_once_on_time),
        cmocka_unit_test(moving_it_ahead_is_a_number_only),
        cmocka_unit_test(moving_it_back_takes_effect),
        cmocka_unit_test(cleared_and_removed_do_not_run),
        cmocka_unit_test(far_ones_are_parked),
        cmocka_unit_test(a_long_gap_loses_none),
        cmocka_unit_test(random_times_run_in_order),
        cmocka_unit_test(may_set_itself_and_remove_its_neighbour),
        cmocka_unit_test(the_timer_is_for_the_next_slot_in_use),
        cmocka_unit_test(runs_by_the_real_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
