/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP calls that their owner ends, starts and frees the client of, from within
 * callbacks as well; and many at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "http_bench.h"

enum { MANY = 100 };

static void test_cancel_before_anything_happens(void **state)
{
    struct bench *t = *state;
    probe_start(&t->a, t->client, &t->options);
    probe_cancel(&t->a);
    for (int i = 0; i < 5; i++) loop_turn(t->loop, 10);
    assert_int_equal(accept(t->listening, NULL, NULL), -1);
    assert_int_equal(t->a.done_count, 0);
    http_call_cancel(NULL);
}

/* libcurl looks it up in a thread, which is left to itself. */
static void test_cancel_while_a_name_is_looked_up(void **state)
{
    struct bench *t = *state;
    t->endpoint = (struct http_endpoint){ .base = "http://localhost:1" };
    for (int i = 0; i < 20; i++) {
        probe_start(&t->a, t->client, &t->options);
        loop_turn(t->loop, 0);
        probe_cancel(&t->a);
    }
    assert_int_equal(t->a.done_count, 0);
}

static void test_cancel_while_waiting(void **state)
{
    struct bench *t = *state;
    int           fd = bench_begin(t);
    probe_cancel(&t->a);
    loop_turn(t->loop, 0);
    expect_end(fd);
    assert_int_equal(t->a.done_count, 0);
    close(fd);
}

static const char half[] = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nA: b\r\n\r\nhello";

static void expect_closed(int fd)
{
    char byte;
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
}

static void cancel_within(struct bench *t, enum http_moment when, unsigned heads, unsigned data)
{
    t->a = (struct http_probe){ .cancels = when };
    int fd = bench_begin(t);
    put(fd, when == ON_DONE ? whole : half);
    for (int i = 0; i < 10; i++) loop_turn(t->loop, 10);
    assert_int_equal(t->a.head_count, heads);
    assert_int_equal(t->a.data_count, data);
    assert_int_equal(t->a.done_count, when == ON_DONE);
    if (when != ON_DONE) expect_closed(fd);
    if (when == ON_FIELD)
        assert_true(slice_eq(buffer_slice(&t->a.fields), S("Content-Length=9\n")));
    close(fd);
    probe_forget(&t->a);
}

static void test_cancel_within_callbacks(void **state)
{
    struct bench *t = *state;
    cancel_within(t, ON_FIELD, 0, 0);
    cancel_within(t, ON_HEAD, 1, 0);
    cancel_within(t, ON_DATA, 1, 1);
    cancel_within(t, ON_DONE, 1, 1);
}

/* All end in one go; each that is told so cancels the one after it. */
static void test_cancel_of_others_that_have_news(void **state)
{
    static struct http_probe probes[8];
    struct bench            *t = *state;
    memset(probes, 0, sizeof(probes));
    t->options.total_ms = 300;
    for (size_t i = 0; i < 8; i++) {
        if (i % 2 == 0) probes[i].victim = &probes[i + 1];
        probe_start(&probes[i], t->client, &t->options);
    }
    for (size_t i = 0; i < 8; i += 2) turn_until(t->loop, &probes[i].done_count, 1);
    for (int i = 0; i < 10; i++) loop_turn(t->loop, 10);
    for (size_t i = 1; i < 8; i += 2) assert_int_equal(probes[i].done_count, 0);
}

static void test_client_is_freed_within_callbacks(void **state)
{
    struct bench *t = *state;
    for (enum http_moment when = ON_FIELD; when <= ON_DONE; when++) {
        t->a = (struct http_probe){ .frees_client = when };
        t->b = (struct http_probe){ 0 };
        int fd = bench_begin(t);
        probe_start(&t->b, t->client, &t->options);
        int other = accept_in(t->loop, t->listening);
        put(fd, whole);
        t->client = NULL;
        for (int i = 0; i < 10; i++) loop_turn(t->loop, 10);
        expect_end(fd);
        assert_int_equal(t->a.done_count, when == ON_DONE);
        assert_int_equal(t->b.done_count, 0);
        close(fd);
        close(other);
        probe_forget(&t->a);
        t->client = http_client_new(t->loop);
    }
}

static void test_client_is_freed_with_calls_running(void **state)
{
    struct bench *t = *state;
    int           fd = bench_begin(t);
    probe_start(&t->b, t->client, &t->options);
    http_client_free(t->client);
    t->client = NULL;
    expect_end(fd);
    loop_turn(t->loop, 0);
    assert_int_equal(t->a.done_count + t->b.done_count, 0);
    close(fd);
    http_client_free(NULL);
}

static void test_next_call_from_within_on_done(void **state)
{
    struct bench *t = *state;
    t->a.next = &t->options;
    t->a.after = &t->b;
    int fd = bench_begin(t);
    put(fd, whole);
    turn_until(t->loop, &t->a.done_count, 1);
    expect_request(t->loop, fd, "/x"); /* on the same connection */
    put(fd, whole);
    turn_until(t->loop, &t->b.done_count, 1);
    assert_string_equal(t->b.trouble, "");
    assert_true(probe_got(&t->b, "hello"));
    close(fd);
}

static void test_many_at_once(void **state)
{
    static struct http_probe probes[MANY];
    struct bench            *t = *state;
    int                      fds[MANY];
    memset(probes, 0, sizeof(probes));
    for (int i = 0; i < MANY; i++) probe_start(&probes[i], t->client, &t->options);
    for (int i = 0; i < MANY; i++) fds[i] = accept_in(t->loop, t->listening);
    for (int i = MANY - 1; i >= 0; i--) {
        expect_request(t->loop, fds[i], "/x");
        put(fds[i], whole);
    }
    for (int i = 0; i < MANY; i++) {
        turn_until(t->loop, &probes[i].done_count, 1);
        assert_string_equal(probes[i].trouble, "");
        assert_true(probe_got(&probes[i], "hello"));
        probe_forget(&probes[i]);
        close(fds[i]);
    }
}

static void test_many_are_cancelled_before_they_begin(void **state)
{
    static struct http_probe probes[MANY];
    struct bench            *t = *state;
    memset(probes, 0, sizeof(probes));
    for (int i = 0; i < MANY; i++) probe_start(&probes[i], t->client, &t->options);
    for (int i = 0; i < MANY; i += 2) probe_cancel(&probes[i]);
    http_client_free(t->client);
    t->client = NULL;
    for (int i = 0; i < MANY; i++) assert_int_equal(probes[i].done_count, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_set_up, bench_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_cancel_before_anything_happens),
        TEST(test_cancel_while_a_name_is_looked_up),
        TEST(test_cancel_while_waiting),
        TEST(test_cancel_within_callbacks),
        TEST(test_cancel_of_others_that_have_news),
        TEST(test_client_is_freed_within_callbacks),
        TEST(test_client_is_freed_with_calls_running),
        TEST(test_next_call_from_within_on_done),
        TEST(test_many_at_once),
        TEST(test_many_are_cancelled_before_they_begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
