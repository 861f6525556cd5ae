/* SPDX-License-Identifier: Apache-2.0
 *
 * Whose turn it is: requests that wait for a place, on two workers, and that none waits
 * beside a free one. On two threads: turns_race_test.c.
 */
#include "client_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { MANY = 8 };

static struct bench   bench;
static struct request first[MANY], second[MANY]; /* of either worker: "ABC", "abc" */

static const char one_place[] = "    limits: { requests: 1 }\n";
static const char one_each[] = "    limits: { requests_per_server: 1 }\n";

static int tear_down(void **state)
{
    (void)state;
    bench_reset(&bench);
    return 0;
}

static void begin(const char *lines, const char *list)
{
    bench_init(&bench, lines, list);
    for (unsigned i = 0; i < MANY; i++) {
        request_init(&first[i], &bench, 0, (char)('A' + i));
        request_init(&second[i], &bench, 1, (char)('a' + i));
    }
}

static void end_all(void)
{
    for (unsigned i = 0; i < MANY; i++) {
        request_end(&first[i]);
        request_end(&second[i]);
    }
}

/* Gets a place. */
static void enter(struct request *r)
{
    assert_true(request_seek(r));
    assert_non_null(r->endpoint);
}

/* Finds none. */
static void line_up(struct request *r)
{
    assert_true(request_seek(r));
    assert_null(r->endpoint);
    assert_true(request_waits(r));
}

static bool is_nudged(unsigned side)
{
    return atomic_load(&bench.rig.now.upstream->peers[side].is_nudged);
}

/* ---- one worker ---- */

static void first_come_first_served(void **state)
{
    (void)state;
    begin(one_place, "x y");
    enter(&first[0]);
    for (int i = 1; i < 6; i++) line_up(&first[i]);
    assert_int_equal(bench_queued(&bench), 5);
    for (int i = 0; i < 5; i++) {
        side_turn(&bench, 0);
        assert_false(request_waits(&first[i]));
        assert_true(request_waits(&first[i + 1]));
        request_leave(&first[i]);
        assert_null(first[i + 1].endpoint); /* not from within */
        side_turn(&bench, 0);
        assert_non_null(first[i + 1].endpoint);
    }
    assert_string_equal(bench.order, "ABCDEF");
    assert_int_equal(bench_queued(&bench), 0);
    assert_int_equal(bench.sides[0].counters.queued.value, 5);
    end_all();
}

/* Two places at once in one turn. */
static void as_many_as_there_are_places(void **state)
{
    (void)state;
    begin(one_each, "x y z");
    for (int i = 0; i < 3; i++) enter(&first[i]);
    for (int i = 3; i < 7; i++) line_up(&first[i]);
    request_leave(&first[0]);
    request_leave(&first[1]);
    side_turn(&bench, 0);
    assert_non_null(first[3].endpoint);
    assert_non_null(first[4].endpoint);
    assert_null(first[5].endpoint);
    assert_int_equal(bench_queued(&bench), 2);
    end_all();
}

/* Whoever comes in the turn in which a place is given back. */
static void newcomers_go_behind_those_that_wait(void **state)
{
    (void)state;
    begin(one_place, "x");
    enter(&first[0]);
    line_up(&first[1]);
    side_turn(&bench, 0);
    request_leave(&first[0]);
    line_up(&first[2]);
    side_turn(&bench, 0);
    assert_non_null(first[1].endpoint);
    assert_true(request_waits(&first[2]));
    assert_string_equal(bench.order, "AB");
    end_all();
}

/* It came before all that wait. */
static void a_retry_does_not(void **state)
{
    (void)state;
    begin(one_place, "x y");
    enter(&first[0]);
    line_up(&first[1]);
    side_turn(&bench, 0);
    request_give_up(&first[0]);
    enter(&first[0]);
    side_turn(&bench, 0);
    assert_true(request_waits(&first[1]));
    end_all();
}

static void the_queue_is_bounded(void **state)
{
    (void)state;
    begin("    limits: { requests: 1, queue: 3 }\n", "x");
    enter(&first[0]);
    line_up(&first[1]);
    line_up(&second[0]); /* the bound is the upstream's */
    line_up(&first[2]);
    assert_false(request_seek(&first[3]));
    assert_false(request_seek(&second[1]));
    assert_false(request_waits(&first[3]));
    assert_int_equal(bench.sides[0].counters.queue_full.value, 1);
    assert_int_equal(bench.sides[1].counters.queue_full.value, 1);
    assert_int_equal(bench_queued(&bench), 3);
    bench_turn(&bench); /* they have looked, and still have their places */
    bench_turn(&bench);
    assert_int_equal(bench_queued(&bench), 3);
    assert_false(request_seek(&first[3]));
    request_end(&first[1]); /* its client is gone */
    line_up(&first[3]);
    end_all();
}

static void without_a_queue_nobody_waits(void **state)
{
    (void)state;
    begin("    limits: { requests: 1, queue: off }\n", "x");
    enter(&first[0]);
    assert_false(request_seek(&first[1]));
    assert_int_equal(bench_queued(&bench), 0);
    end_all();
}

static void who_goes_away_is_passed_over(void **state)
{
    (void)state;
    begin(one_place, "x");
    enter(&first[0]);
    for (int i = 1; i < 4; i++) line_up(&first[i]);
    request_leave(&first[0]);
    request_end(&first[1]);
    side_turn(&bench, 0);
    assert_non_null(first[2].endpoint);
    request_end(&first[3]);
    assert_int_equal(bench_queued(&bench), 0);
    request_end(&first[3]); /* twice is once */
    assert_int_equal(bench_queued(&bench), 0);
    end_all();
}

/* A retry waits for y alone; those behind it can have x. */
static void who_waits_for_one_holds_up_nobody(void **state)
{
    (void)state;
    begin(one_each, "x y");
    enter(&first[0]);
    enter(&first[1]);
    request_give_up(&first[0]);
    line_up(&first[0]);
    side_turn(&bench, 0);
    enter(&first[2]); /* at once */
    assert_ptr_equal(first[2].endpoint, first[0].ask.tried[0]);
    line_up(&first[3]);
    line_up(&first[4]);
    request_leave(&first[2]);
    side_turn(&bench, 0);
    assert_non_null(first[3].endpoint);
    assert_true(request_waits(&first[0]));
    request_leave(&first[1]);
    side_turn(&bench, 0);
    assert_non_null(first[0].endpoint); /* and it is still the first */
    assert_true(request_waits(&first[4]));
    end_all();
}

/* ---- waiting for an endpoint ---- */

static void a_new_set_wakes_all(void **state)
{
    (void)state;
    begin("", "x?");
    line_up(&first[0]);
    line_up(&second[0]);
    line_up(&first[1]);
    for (int i = 0; i < 3; i++) bench_turn(&bench);
    assert_int_equal(bench_queued(&bench), 3);
    bench_update(&bench, "x");
    assert_string_equal(bench.order, "ABa");
    assert_int_equal(bench_queued(&bench), 0);
    end_all();
}

/* Then they wait for a turn, in the same order, and lose no place to the bound. */
static void endpoints_may_be_too_few_for_all(void **state)
{
    (void)state;
    begin("    limits: { requests: 2, queue: 4 }\n", "");
    for (int i = 0; i < 4; i++) line_up(&first[i]);
    bench_update(&bench, "x");
    assert_string_equal(bench.order, "AB");
    assert_int_equal(bench_queued(&bench), 2);
    for (int i = 0; i < 2; i++) {
        request_leave(&first[i]);
        side_turn(&bench, 0);
    }
    assert_string_equal(bench.order, "ABCD");
    end_all();
}

/* ---- two workers ---- */

/* Both ask for the last place, and one has it. */
static void the_last_place_is_one_workers(void **state)
{
    (void)state;
    begin("    limits: { requests: 2 }\n", "x");
    enter(&first[0]);
    enter(&second[0]);
    line_up(&first[1]);
    line_up(&second[1]);
    bench_turn(&bench);
    assert_int_equal(atomic_load(&bench.rig.now.upstream->load->active), 2);
    assert_int_equal(bench_queued(&bench), 2);
    end_all();
}

static void another_workers_queue_is_told(void **state)
{
    (void)state;
    begin(one_place, "x");
    enter(&first[0]);
    line_up(&second[0]);
    bench_turn(&bench);
    request_leave(&first[0]);
    assert_true(is_nudged(1));
    side_turn(&bench, 0);
    assert_null(second[0].endpoint); /* its thread has not heard yet */
    side_turn(&bench, 1);
    assert_non_null(second[0].endpoint);
    assert_false(is_nudged(1));
    end_all();
}

/* Told twice is told once, and served twice. */
static void one_word_is_enough_for_all_places(void **state)
{
    (void)state;
    begin(one_each, "x y");
    enter(&first[0]);
    enter(&first[1]);
    line_up(&second[0]);
    line_up(&second[1]);
    bench_turn(&bench);
    request_leave(&first[0]);
    request_leave(&first[1]);
    bench_turn(&bench);
    assert_string_equal(bench.order, "ABab");
    end_all();
}

/* Of two places this worker needs but one. */
static void the_word_is_passed_on(void **state)
{
    (void)state;
    begin(one_each, "x y");
    enter(&second[0]);
    enter(&second[1]);
    line_up(&second[2]);
    line_up(&first[0]);
    bench_turn(&bench);
    request_leave(&second[0]);
    request_leave(&second[1]);
    assert_false(is_nudged(0)); /* its own is the first */
    side_turn(&bench, 1);
    assert_non_null(second[2].endpoint);
    assert_true(is_nudged(0));
    side_turn(&bench, 0);
    assert_non_null(first[0].endpoint);
    end_all();
}

/* Who was told is gone by then: the place goes to others, not to waste. */
static void the_word_reaches_somebody(void **state)
{
    (void)state;
    begin(one_place, "x");
    enter(&first[0]);
    line_up(&second[0]);
    bench_turn(&bench);
    request_leave(&first[0]);
    assert_true(is_nudged(1));
    request_end(&second[0]);
    atomic_fetch_add(&bench.rig.now.upstream->load->active, 1); /* somebody was faster */
    line_up(&first[1]);
    side_turn(&bench, 0);
    atomic_fetch_sub(&bench.rig.now.upstream->load->active, 1);
    assert_true(request_waits(&first[1]));
    side_turn(&bench, 1);
    assert_true(is_nudged(0));
    side_turn(&bench, 0);
    assert_non_null(first[1].endpoint);
    end_all();
}

/* Nor when those whom it was for leave before they have looked. */
static void a_place_of_those_who_leave_is_not_missed(void **state)
{
    (void)state;
    begin(one_place, "x");
    enter(&first[0]);
    line_up(&first[1]);
    line_up(&second[0]);
    bench_turn(&bench);
    request_leave(&first[0]);
    request_end(&first[1]);
    side_turn(&bench, 0);
    assert_true(is_nudged(1));
    side_turn(&bench, 1);
    assert_non_null(second[0].endpoint);
    end_all();
}

/* The place is given back after the look for one, and before the queue is joined. */
static void a_place_of_just_then_is_not_missed(void **state)
{
    (void)state;
    begin(one_place, "x");
    enter(&first[0]);
    assert_int_equal(request_choose(&second[0]), UPSTREAM_BUSY);
    request_leave(&first[0]);
    assert_false(is_nudged(1)); /* nobody was there */
    assert_true(
        upstream_client_queue(&second[0].side->client, bench.rig.now.upstream, &second[0].turn));
    side_turn(&bench, 1);
    assert_non_null(second[0].endpoint);
    end_all();
}

static void (*run_as_ever)(struct upstream_turn *t);

static void seek_and_be_late(struct upstream_turn *t)
{
    struct request *r = container_of(t, struct request, turn);
    t->run = run_as_ever;
    assert_int_equal(request_choose(r), UPSTREAM_BUSY);
    request_leave(&first[0]);  /* another thread, between the two */
    assert_true(is_nudged(1)); /* it was counted all the while */
    assert_true(upstream_client_queue(&r->side->client, bench.rig.now.upstream, t));
}

/* The same while it has its turn. */
static void nor_is_one_while_it_tries(void **state)
{
    (void)state;
    begin(one_place, "x");
    enter(&first[0]);
    line_up(&second[0]);
    run_as_ever = second[0].turn.run;
    second[0].turn.run = seek_and_be_late;
    side_turn(&bench, 1);
    side_turn(&bench, 1);
    assert_non_null(second[0].endpoint);
    end_all();
}

/* Else a worker that is busy enough would serve its own for ever. */
static void who_has_waited_longer_is_first(void **state)
{
    (void)state;
    begin(one_place, "x");
    enter(&first[0]);
    line_up(&second[0]);
    bench.sides[0].loop->clock.now_ms += 100;
    line_up(&first[1]);
    request_leave(&first[0]);
    assert_true(is_nudged(1));
    side_turn(&bench, 1);
    assert_non_null(second[0].endpoint);
    bench_turn(&bench);
    assert_true(request_waits(&first[1]));
    end_all();
}

/* Telling takes time: for a moment's difference it is not done. */
static void a_little_longer_is_not_longer(void **state)
{
    (void)state;
    begin(one_place, "x");
    enter(&first[0]);
    line_up(&second[0]);
    bench.sides[0].loop->clock.now_ms = bench.sides[1].loop->clock.now_ms + 10;
    line_up(&first[1]);
    request_leave(&first[0]);
    assert_false(is_nudged(1));
    side_turn(&bench, 0);
    assert_non_null(first[1].endpoint);
    end_all();
}

/* It counts at the same replica, and tells only its own upstream's queue: as after a reload. */
static void a_place_that_nobody_tells_of_is_found(void **state)
{
    (void)state;
    begin(one_each, "x");
    struct endpoint_live *live = rig_member(&bench.rig, 'x')->endpoint->live;
    atomic_fetch_add(&live->active, 1);
    line_up(&first[0]);
    bench_turn(&bench);
    atomic_fetch_sub(&live->active, 1);
    bench_until(&bench, first[0].endpoint);
    end_all();
}

/* A worker lets go of the upstream while it is told. */
static void the_word_may_come_too_late(void **state)
{
    (void)state;
    begin(one_place, "x");
    enter(&first[0]);
    line_up(&second[0]);
    bench_turn(&bench);
    request_leave(&first[0]);
    request_end(&second[0]);
    upstream_client_release(&bench.sides[1].client, bench.rig.now.upstream);
    side_turn(&bench, 1);
    upstream_client_adopt(&bench.sides[1].client, bench.rig.now.upstream);
    assert_false(is_nudged(1)); /* back again, it is not taken for told */
    enter(&first[1]);
    line_up(&second[1]);
    bench_turn(&bench);
    request_leave(&first[1]);
    side_turn(&bench, 1);
    assert_non_null(second[1].endpoint);
    end_all();
}

#define TEST(f) cmocka_unit_test_teardown(f, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(first_come_first_served),
        TEST(as_many_as_there_are_places),
        TEST(newcomers_go_behind_those_that_wait),
        TEST(a_retry_does_not),
        TEST(the_queue_is_bounded),
        TEST(without_a_queue_nobody_waits),
        TEST(who_goes_away_is_passed_over),
        TEST(who_waits_for_one_holds_up_nobody),
        TEST(a_new_set_wakes_all),
        TEST(endpoints_may_be_too_few_for_all),
        TEST(the_last_place_is_one_workers),
        TEST(another_workers_queue_is_told),
        TEST(one_word_is_enough_for_all_places),
        TEST(the_word_is_passed_on),
        TEST(the_word_reaches_somebody),
        TEST(a_place_of_those_who_leave_is_not_missed),
        TEST(a_place_of_just_then_is_not_missed),
        TEST(nor_is_one_while_it_tries),
        TEST(who_has_waited_longer_is_first),
        TEST(a_little_longer_is_not_longer),
        TEST(a_place_that_nobody_tells_of_is_found),
        TEST(the_word_may_come_too_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
