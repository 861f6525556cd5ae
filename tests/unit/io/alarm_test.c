/* SPDX-License-Identifier: Apache-2.0
 *
 * Alarms: to the millisecond, in order, and never early.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "conn_probe.h"
#include "io/alarm.h"

enum { MANY = 600 };

struct bell {
    struct alarm  alarm;
    struct loop  *loop;
    uint64_t      due_ns, rang_ns;
    unsigned      count;
    unsigned      again; /* set anew from within, so many times */
    struct bell  *victim;
    struct probe *probe; /* its input is counted */
    unsigned      inputs;
};

static void ring(struct alarm *a)
{
    struct bell *b = container_of(a, struct bell, alarm);
    assert_false(alarm_is_set(a));
    b->rang_ns = clock_mono_ns();
    b->count++;
    if (b->again && b->again--) alarm_set(b->loop, a, 0);
    if (b->victim) alarm_clear(&b->victim->alarm);
    if (b->probe) b->inputs = b->probe->input_count;
}

static void set(struct bell *b, struct loop *l, uint64_t after_ms)
{
    b->loop = l;
    b->due_ns = l->clock.now_ns + after_ms * 1000000;
    alarm_set(l, &b->alarm, after_ms);
}

static struct bell make_bell(void)
{
    struct bell b = { 0 };
    alarm_init(&b.alarm, ring);
    return b;
}

/* How late it is depends on who else wants the processor, so the best of many counts. */
static void rings_within_a_millisecond_and_never_early(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    uint64_t     best_ns = UINT64_MAX;
    for (unsigned i = 0; i < 20; i++) {
        struct bell b = make_bell();
        set(&b, l, 1 + i % 7);
        turn_until(l, &b.count, 1);
        assert_true(b.rang_ns >= b.due_ns);
        if (b.rang_ns - b.due_ns < best_ns) best_ns = b.rang_ns - b.due_ns;
    }
    assert_true(best_ns < 1000000);
    loop_free(l);
}

static void many_ring_in_order(void **state)
{
    (void)state;
    struct loop       *l = make_loop();
    static struct bell bells[MANY];
    unsigned           rung = 0;
    for (unsigned i = 0; i < MANY; i++) bells[i] = make_bell();
    for (unsigned i = 0; i < MANY; i++) set(&bells[i], l, 1 + random_below(&l->random, 50));
    /* Some are moved, some never ring. */
    for (unsigned i = 0; i < MANY; i += 3) set(&bells[i], l, 1 + random_below(&l->random, 50));
    for (unsigned i = 1; i < MANY; i += 3) alarm_clear(&bells[i].alarm);
    for (uint64_t end_ms = l->clock.now_ms + 60; l->clock.now_ms < end_ms;) loop_turn(l, 10);
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(bells[i].count, i % 3 != 1);
        if (!bells[i].count) continue;
        assert_true(bells[i].rang_ns >= bells[i].due_ns);
        rung++;
        for (unsigned k = 0; k < MANY; k++)
            if (bells[k].count && bells[k].due_ns < bells[i].due_ns)
                assert_true(bells[k].rang_ns <= bells[i].rang_ns);
    }
    assert_int_equal(rung, MANY - MANY / 3);
    loop_free(l);
}

static void a_bell_may_ring_again_and_silence_others(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    struct bell  a = make_bell(), b = make_bell();
    a.again = 3;
    a.victim = &b;
    set(&b, l, 3);
    set(&a, l, 1);
    turn_until(l, &a.count, 4);
    assert_int_equal(b.count, 0);
    assert_false(alarm_is_set(&b.alarm));
    /* The earliest cleared, the timer still runs for it; the next is not forgotten. */
    set(&a, l, 1);
    set(&b, l, 10);
    alarm_clear(&a.alarm);
    turn_until(l, &b.count, 1);
    assert_true(b.rang_ns >= b.due_ns);
    assert_int_equal(a.count, 4);
    loop_free(l);
}

/* An answer that has come is taken before the one who waits for it gives up. */
static void input_of_the_turn_comes_first(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    struct probe p;
    int          fd = probe_pair(&p, l);
    struct bell  b = make_bell();
    loop_turn(l, 0);
    b.probe = &p;
    set(&b, l, 1);
    loop_turn(l, 0); /* the kernel knows of it */
    usleep(5000);    /* the thread is late: both are there when it looks */
    put(fd, "answer");
    turn_until(l, &b.count, 1);
    assert_int_equal(b.inputs, 1);
    close(fd);
    probe_reset(&p, l);
    loop_free(l);
}

static void a_loop_may_go_before_its_alarms(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    struct bell  b = make_bell();
    set(&b, l, 1000);
    loop_free(l);
    alarm_clear(&b.alarm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rings_within_a_millisecond_and_never_early),
        cmocka_unit_test(many_ring_in_order),
        cmocka_unit_test(a_bell_may_ring_again_and_silence_others),
        cmocka_unit_test(input_of_the_turn_comes_first),
        cmocka_unit_test(a_loop_may_go_before_its_alarms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
