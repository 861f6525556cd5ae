/* SPDX-License-Identifier: Apache-2.0
 *
 * Which endpoint a request gets within limits, what becomes of connections to one that
 * leaves, and what retries may cost. Queues: turns_test.c.
 */
#include "client_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "../io/conn_probe.h"

static struct bench   bench;
static struct request a, b, c, d;

static int tear_down(void **state)
{
    (void)state;
    bench_reset(&bench);
    return 0;
}

static void begin(const char *lines, const char *list)
{
    bench_init(&bench, lines, list);
    request_init(&a, &bench, 0, 'a');
    request_init(&b, &bench, 0, 'b');
    request_init(&c, &bench, 1, 'c');
    request_init(&d, &bench, 1, 'd');
}

/* The same with a replica, at which all named are. */
static void begin_connected(const char *lines, const char *names)
{
    bench_listen(&bench);
    begin(lines, bench_list(&bench, names));
}

static void end_all(void)
{
    struct request *all[] = { &a, &b, &c, &d };
    for (size_t i = 0; i < 4; i++) request_end(all[i]);
}

#define expect_choice(r, choice) assert_int_equal(request_choose(r), choice)

/* ---- limits of requests ---- */

static void nobody_is_ready(void **state)
{
    (void)state;
    begin("", "x? y!");
    expect_choice(&a, UPSTREAM_EMPTY);
    bench_update(&bench, "x y");
    expect_choice(&a, UPSTREAM_CHOSEN);
    end_all();
}

static void without_limits_nothing_is_full(void **state)
{
    struct request many[200];
    (void)state;
    begin("", "x");
    for (size_t i = 0; i < 200; i++) {
        request_init(&many[i], &bench, i % 2, '.');
        expect_choice(&many[i], UPSTREAM_CHOSEN);
    }
    assert_int_equal(bench_active(&bench, 'x'), 200);
    assert_int_equal(atomic_load(&bench.rig.now.upstream->load->active),
                     0); /* nobody asks for it */
    for (size_t i = 0; i < 200; i++) request_end(&many[i]);
}

static void of_all_requests(void **state)
{
    (void)state;
    begin("    limits: { requests: 3 }\n", "x y");
    expect_choice(&a, UPSTREAM_CHOSEN);
    expect_choice(&b, UPSTREAM_CHOSEN);
    expect_choice(&c, UPSTREAM_CHOSEN);
    expect_choice(&d, UPSTREAM_BUSY);
    assert_int_equal(atomic_load(&bench.rig.now.upstream->load->active), 3);
    request_leave(&a);
    expect_choice(&d, UPSTREAM_CHOSEN);
    end_all();
}

static void of_those_at_one_server(void **state)
{
    (void)state;
    begin("    limits: { requests_per_server: 1 }\n", "x y+");
    expect_choice(&a, UPSTREAM_CHOSEN);
    assert_string_equal(a.endpoint->identity, "x");
    expect_choice(&c, UPSTREAM_CHOSEN); /* the backup, since the other is full */
    assert_string_equal(c.endpoint->identity, "y");
    expect_choice(&b, UPSTREAM_BUSY);
    request_leave(&a);
    expect_choice(&b, UPSTREAM_CHOSEN);
    assert_string_equal(b.endpoint->identity, "x");
    end_all();
}

/* What is turned away is not counted for a moment. */
static void turned_away_is_not_counted(void **state)
{
    (void)state;
    begin("    limits: { requests: 5, requests_per_server: 1 }\n", "x");
    expect_choice(&a, UPSTREAM_CHOSEN);
    for (int i = 0; i < 10; i++) expect_choice(&b, UPSTREAM_BUSY);
    assert_int_equal(bench_active(&bench, 'x'), 1);
    assert_int_equal(atomic_load(&bench.rig.now.upstream->load->active), 1);
    end_all();
}

static void the_same_one_again_whatever_limits_say(void **state)
{
    (void)state;
    begin("    limits: { requests: 1, requests_per_server: 1 }\n", "x");
    expect_choice(&a, UPSTREAM_CHOSEN);
    upstream_client_enter(bench.rig.now.upstream, a.endpoint);
    assert_int_equal(bench_active(&bench, 'x'), 2);
    upstream_client_leave(&a.side->client, bench.rig.now.upstream, a.endpoint);
    assert_int_equal(bench_active(&bench, 'x'), 1);
    end_all();
}

/* ---- what was tried ---- */

static void all_were_tried(void **state)
{
    (void)state;
    begin("", "x y");
    expect_choice(&a, UPSTREAM_CHOSEN);
    request_give_up(&a);
    expect_choice(&a, UPSTREAM_CHOSEN);
    request_give_up(&a);
    assert_ptr_not_equal(a.ask.tried[0], a.ask.tried[1]);
    expect_choice(&a, UPSTREAM_TRIED);
    end_all();
}

/* Then it waits for the other one. */
static void the_one_not_tried_is_full(void **state)
{
    (void)state;
    begin("    limits: { requests_per_server: 1 }\n", "x y");
    expect_choice(&a, UPSTREAM_CHOSEN);
    expect_choice(&c, UPSTREAM_CHOSEN);
    request_give_up(&a);
    expect_choice(&a, UPSTREAM_BUSY);
    request_leave(&c);
    expect_choice(&a, UPSTREAM_CHOSEN);
    end_all();
}

/* ---- limits of connections ---- */

static const char per_server[] = "    balance: round_robin\n"
                                 "    limits: { connections_per_server: 2 }\n"; /* one a worker */
static const char in_all[] = "    limits: { connections: 2 }\n";

static void of_connections_to_one(void **state)
{
    (void)state;
    begin_connected(per_server, "xy");
    expect_choice(&a, UPSTREAM_CHOSEN);
    request_connect(&a);
    struct endpoint *first = a.endpoint;
    expect_choice(&b, UPSTREAM_CHOSEN);
    assert_ptr_not_equal(b.endpoint, first); /* that one is full for this worker */
    request_leave(&b);
    expect_choice(&b, UPSTREAM_CHOSEN);
    assert_ptr_not_equal(b.endpoint, first);
    expect_choice(&c, UPSTREAM_CHOSEN);
    expect_choice(&d, UPSTREAM_CHOSEN);
    end_all();
}

static void an_idle_connection_is_room(void **state)
{
    (void)state;
    begin_connected(per_server, "x");
    expect_choice(&a, UPSTREAM_CHOSEN);
    request_connect(&a);
    expect_choice(&b, UPSTREAM_BUSY);
    int fd = replica_accept(&bench);
    request_ask(&a, fd);
    expect_choice(&b, UPSTREAM_CHOSEN);
    request_connect(&b);
    assert_true(upstream_stream_is_reused(b.stream));
    end_all();
    close(fd);
}

/* Of the other endpoint, and of no use for this one. */
static void an_idle_connection_makes_room(void **state)
{
    (void)state;
    begin_connected(in_all, "xy");
    expect_choice(&a, UPSTREAM_CHOSEN);
    request_connect(&a);
    int fd = replica_accept(&bench);
    request_ask(&a, fd);
    request_give_up(&a); /* say its answer was of no use */
    expect_choice(&a, UPSTREAM_CHOSEN);
    assert_ptr_not_equal(a.endpoint, a.ask.tried[0]);
    request_connect(&a);
    assert_int_equal(a.failed_count, 0);
    expect_reset(fd);
    assert_int_equal(bench.sides[0].client.locals[0]->conn_count, 1);
    assert_int_equal(bench.sides[0].client.locals[0]->idle_count, 0);
    end_all();
    close(fd);
}

/* Neither is the limit passed by a request that may not take the idle one there is. */
static void a_fresh_connection_takes_the_place_of_an_idle_one(void **state)
{
    (void)state;
    begin_connected(per_server, "x");
    expect_choice(&a, UPSTREAM_CHOSEN);
    request_connect(&a);
    int fd = replica_accept(&bench);
    request_ask(&a, fd);
    request_leave(&a);
    expect_choice(&b, UPSTREAM_CHOSEN);
    b.wait.must_be_fresh = true;
    request_connect(&b);
    assert_false(upstream_stream_is_reused(b.stream));
    assert_int_equal(atomic_load(&b.endpoint->live->connections), 1);
    expect_reset(fd);
    end_all();
    close(fd);
}

/* A worker's share is per endpoint: of more than can be passed over, all but one are full. */
static void the_one_with_room_is_found_among_many(void **state)
{
    struct request many[23];
    char           names[25];
    int            fds[23];
    (void)state;
    for (size_t i = 0; i < 24; i++) names[i] = (char)('a' + i);
    names[24] = 0;
    begin_connected(per_server, names);
    for (size_t i = 0; i < 23; i++) {
        request_init(&many[i], &bench, 0, '.');
        expect_choice(&many[i], UPSTREAM_CHOSEN);
        request_connect(&many[i]);
        assert_int_equal(many[i].failed_count, 0);
        fds[i] = replica_accept(&bench);
    }
    for (int i = 0; i < 50; i++) {
        expect_choice(&a, UPSTREAM_CHOSEN);
        for (size_t k = 0; k < 23; k++) assert_ptr_not_equal(a.endpoint, many[k].endpoint);
        request_leave(&a);
    }
    for (size_t i = 0; i < 23; i++) {
        request_end(&many[i]);
        close(fds[i]);
    }
    end_all();
}

/* ---- endpoints that leave ---- */

static struct pool *pool_of(const struct request *r, uint32_t slot)
{
    const struct upstream_local *l = r->side->client.locals[0];
    return slot < l->pool_count ? l->pools[slot] : NULL;
}

static void idle_connections_are_closed(void **state)
{
    (void)state;
    begin_connected("", "xy");
    expect_choice(&a, UPSTREAM_CHOSEN);
    char     gone = a.endpoint->identity[0];
    uint32_t slot = a.endpoint->slot;
    request_connect(&a);
    int fd = replica_accept(&bench);
    request_ask(&a, fd);
    request_end(&a);
    assert_int_equal(pool_of(&a, slot)->idle_count, 1);
    bench_update(&bench, bench_list(&bench, gone == 'x' ? "y" : "x"));
    expect_reset(fd);
    bench_turn(&bench);
    assert_null(pool_of(&a, slot));
    end_all();
    close(fd);
}

/* What runs is not disturbed; then the pool and the slot go. */
static void a_request_finishes_at_one_that_left(void **state)
{
    (void)state;
    begin_connected("", "x");
    expect_choice(&a, UPSTREAM_CHOSEN);
    struct endpoint *x = a.endpoint;
    endpoint_ref(x);
    request_connect(&a);
    int fd = replica_accept(&bench);
    bench_update(&bench, "");
    assert_non_null(pool_of(&a, x->slot));
    request_ask(&a, fd);
    expect_reset(fd); /* not kept any more */
    bench_turn(&bench);
    assert_non_null(pool_of(&a, x->slot)); /* it is still chosen */
    request_end(&a);
    assert_null(pool_of(&a, x->slot));
    assert_int_equal(atomic_load(&x->ref_count), 1);
    assert_int_equal(atomic_load(&x->live->active), 0);
    assert_int_equal(atomic_load(&x->live->connections), 0);
    endpoint_unref(x);
    close(fd);
}

/* Chosen from a set that another had replaced already, never connected. */
static void a_tried_one_may_leave(void **state)
{
    (void)state;
    begin("", "x y");
    for (int i = 0; i < 2; i++) {
        expect_choice(&a, UPSTREAM_CHOSEN);
        request_give_up(&a);
    }
    bench_update(&bench, "z");
    expect_choice(&a, UPSTREAM_CHOSEN);
    assert_string_equal(a.endpoint->identity, "z");
    uint32_t slots[] = { a.ask.tried[0]->slot, a.ask.tried[1]->slot };
    for (int i = 0; i < 2; i++) assert_int_equal(pool_of(&a, slots[i])->user_count, 1);
    request_end(&a);
    for (int i = 0; i < 2; i++) assert_null(pool_of(&a, slots[i]));
}

/* Drained, it is asked nothing new; back again, it is as before. */
static void a_drained_one_may_come_back(void **state)
{
    (void)state;
    begin_connected("", "x");
    char list[64];
    expect_choice(&a, UPSTREAM_CHOSEN);
    request_connect(&a);
    int fd = replica_accept(&bench);
    snprintf(list, sizeof(list), "%s-", bench_list(&bench, "x"));
    bench_update(&bench, list);
    expect_choice(&b, UPSTREAM_EMPTY);
    bench_update(&bench, bench_list(&bench, "x"));
    request_ask(&a, fd);
    request_end(&a);
    expect_choice(&b, UPSTREAM_CHOSEN);
    request_connect(&b);
    assert_true(upstream_stream_is_reused(b.stream));
    end_all();
    close(fd);
}

/* The worker lets go of the upstream while a connection is being made for nobody any more. */
static void a_connection_may_outlive_its_request(void **state)
{
    (void)state;
    begin_connected("", "x");
    expect_choice(&a, UPSTREAM_CHOSEN);
    a.wait.ops = &(const struct upstream_wait_ops){ NULL, NULL };
    a.wait.connect_ms = 1000;
    assert_null(
        upstream_client_acquire(&a.side->client, bench.rig.now.upstream, a.endpoint, &a.wait));
    end_all();
}

/* ---- the budget of retries ---- */

static unsigned spend_all(struct request *r)
{
    unsigned count = 0;
    while (upstream_client_spend(&r->side->client, bench.rig.now.upstream)) count++;
    return count;
}

static void begin_without(struct request *r)
{
    begin("    retry_budget: 10%\n", "x");
    spend_all(r);
    r->side->client.locals[0]->budget = 0; /* nor a part of one */
}

static void earn(struct request *r, unsigned count)
{
    while (count--) upstream_client_earn(&r->side->client, bench.rig.now.upstream);
}

static void later(struct request *r, uint64_t ms)
{
    r->side->loop->clock.now_ms += ms;
}

static void retries_are_a_share_of_the_requests(void **state)
{
    (void)state;
    begin_without(&a);
    earn(&a, 1000);
    assert_int_equal(spend_all(&a), 100);
    earn(&a, 9);
    assert_int_equal(spend_all(&a), 0);
    earn(&a, 1);
    assert_int_equal(spend_all(&a), 1);
}

/* Three a second, of two workers one and a half each. */
static void a_few_are_always_there(void **state)
{
    (void)state;
    begin("    retry_budget: 10%\n", "x");
    unsigned first = spend_all(&a);
    assert_true(first >= 5 && first <= 15); /* from the beginning on */
    bench_reset(&bench);
    begin_without(&a);
    later(&a, 1000);
    assert_int_equal(spend_all(&a), 1);
    later(&a, 1000); /* what was left of before is counted */
    assert_int_equal(spend_all(&a), 1);
    later(&a, 1000);
    assert_int_equal(spend_all(&a), 2);
    later(&a, 3600000);
    unsigned most = spend_all(&a);
    assert_true(most >= 5 && most <= 15);
}

static void what_was_put_by_fades(void **state)
{
    (void)state;
    begin("    retry_budget: 10%\n", "x");
    earn(&a, 100000);
    later(&a, 10000);
    unsigned left = spend_all(&a); /* of 10,000, 0.9^10 */
    assert_true(left > 3300 && left < 3700);
    earn(&a, 100000);
    later(&a, 100000);
    assert_true(spend_all(&a) < 20);
}

/* An hour of calm, and then a replica breaks: the requests of just now count. */
static void calm_does_not_use_it_up(void **state)
{
    (void)state;
    begin("    retry_budget: 10%\n", "x");
    for (int s = 0; s < 200; s++) {
        earn(&a, 1000);
        later(&a, 1000);
    }
    unsigned left = spend_all(&a); /* 100 a second, of nine seconds or so */
    assert_true(left > 800 && left < 1000);
}

static void off_is_no_bound(void **state)
{
    (void)state;
    begin("    retry_budget: off\n", "x");
    for (int i = 0; i < 10000; i++)
        assert_true(upstream_client_spend(&a.side->client, bench.rig.now.upstream));
}

#define TEST(f) cmocka_unit_test_teardown(f, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nobody_is_ready),
        TEST(without_limits_nothing_is_full),
        TEST(of_all_requests),
        TEST(of_those_at_one_server),
        TEST(turned_away_is_not_counted),
        TEST(the_same_one_again_whatever_limits_say),
        TEST(all_were_tried),
        TEST(the_one_not_tried_is_full),
        TEST(of_connections_to_one),
        TEST(an_idle_connection_is_room),
        TEST(an_idle_connection_makes_room),
        TEST(a_fresh_connection_takes_the_place_of_an_idle_one),
        TEST(the_one_with_room_is_found_among_many),
        TEST(idle_connections_are_closed),
        TEST(a_request_finishes_at_one_that_left),
        TEST(a_tried_one_may_leave),
        TEST(a_drained_one_may_come_back),
        TEST(a_connection_may_outlive_its_request),
        TEST(retries_are_a_share_of_the_requests),
        TEST(a_few_are_always_there),
        TEST(what_was_put_by_fades),
        TEST(calm_does_not_use_it_up),
        TEST(off_is_no_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
