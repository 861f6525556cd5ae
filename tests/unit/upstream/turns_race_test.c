/* SPDX-License-Identifier: Apache-2.0
 *
 * Turns that come with connections, and of workers on two threads.
 */
#include "client_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <pthread.h>

#include "io/deadline.h"

static struct bench   bench;
static struct request requests[2]; /* of one worker */

static int tear_down(void **state)
{
    (void)state;
    bench_reset(&bench);
    return 0;
}

static void begin(const char *lines, const char *list)
{
    bench_init(&bench, lines, list);
    for (unsigned i = 0; i < 2; i++) request_init(&requests[i], &bench, 0, (char)('a' + i));
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
    assert_true(request_waits(r));
}

/* ---- connections ---- */

/* By itself: it is to be told. */
static bool does_not_look(void)
{
    deadline_clear(&bench.sides[0].client.locals[0]->look);
    return false;
}

static void a_connection_that_nobody_waits_for_is_room(void **state)
{
    (void)state;
    bench_listen(&bench);
    begin("    limits: { connections: 2 }\n", bench_list(&bench, "x"));
    enter(&requests[0]);
    requests[0].wait.ops = &(const struct upstream_wait_ops){ NULL, NULL };
    requests[0].wait.connect_ms = 10000;
    assert_null(upstream_client_acquire(&requests[0].side->client, bench.rig.now.upstream,
                                        requests[0].endpoint, &requests[0].wait));
    line_up(&requests[1]);
    request_end(&requests[0]); /* its client is gone; the connection is being made */
    bench_until(&bench, does_not_look() || requests[1].endpoint);
    request_connect(&requests[1]);
    assert_true(upstream_stream_is_reused(requests[1].stream));
    request_end(&requests[0]);
    request_end(&requests[1]);
}

static void a_connection_that_ends_is_room(void **state)
{
    (void)state;
    bench_listen(&bench);
    begin("    limits: { connections_per_server: 2 }\n", bench_list(&bench, "x"));
    enter(&requests[0]);
    request_connect(&requests[0]);
    line_up(&requests[1]);
    bench_turn(&bench);
    assert_true(request_waits(&requests[1]));
    request_leave(&requests[0]);
    side_turn(&bench, 0);
    assert_true(request_waits(&requests[1])); /* it is still in use */
    request_end(&requests[0]);                /* amid its answer: it is closed */
    does_not_look();
    side_turn(&bench, 0);
    assert_non_null(requests[1].endpoint);
    request_connect(&requests[1]);
    assert_false(upstream_stream_is_reused(requests[1].stream));
    request_end(&requests[0]);
    request_end(&requests[1]);
}

/* ---- two threads ---- */

enum { ROUNDS = 20000 };

struct racer {
    unsigned       side;
    struct request requests[4];
    unsigned       done_count;
};

static void race_turn(struct racer *r)
{
    for (unsigned i = 0; i < 4; i++) {
        struct request *one = &r->requests[i];
        if (one->endpoint) {
            request_leave(one);
            r->done_count++;
        }
        if (!one->endpoint && !request_waits(one) && r->done_count < ROUNDS)
            assert_true(request_seek(one));
    }
}

static void *race(void *arg)
{
    struct racer *r = arg;
    uint64_t      end_ns = bench_patience();
    bool          is_waiting = true;
    while (r->done_count < ROUNDS || is_waiting) {
        is_waiting = false;
        race_turn(r);
        for (unsigned i = 0; i < 4; i++)
            is_waiting |= r->requests[i].endpoint || request_waits(&r->requests[i]);
        /* Nothing but the other's word, or its own, brings it on: it does not look by itself. */
        deadline_clear(&bench.sides[r->side].client.locals[0]->look);
        loop_turn(bench.sides[r->side].loop, 20);
        if (clock_mono_ns() > end_ns) break;
    }
    return NULL;
}

/* Both are done, each with all of its own, and the counts are what they were. */
static void threads_serve_each_other(void **state)
{
    static struct racer racers[2];
    pthread_t           threads[2];
    (void)state;
    begin("    limits: { requests: 2, requests_per_server: 1 }\n", "x y");
    for (unsigned i = 0; i < 2; i++) {
        racers[i] = (struct racer){ .side = i };
        for (unsigned k = 0; k < 4; k++) request_init(&racers[i].requests[k], &bench, i, 0);
    }
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    for (unsigned i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < 2; i++) assert_true(racers[i].done_count >= ROUNDS);
    assert_int_equal(bench_queued(&bench), 0);
    for (unsigned i = 0; i < 2; i++)
        for (unsigned k = 0; k < 4; k++) request_end(&racers[i].requests[k]);
}

#define TEST(f) cmocka_unit_test_teardown(f, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_connection_that_nobody_waits_for_is_room),
        TEST(a_connection_that_ends_is_room),
        TEST(threads_serve_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
