/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP calls that get no good answer, none at all, or more than they want: what
 * the owner is told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http_bench.h"

enum { NOBODY = 65534 };

/* ---- no good answer ---- */

static void test_short_answer(void **state)
{
    struct bench *t = *state;
    bench_play(t, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello");
    assert_string_equal(t->a.trouble, "the connection broke off");
}

static void test_closed_without_an_answer(void **state)
{
    struct bench *t = *state;
    bench_play(t, "");
    assert_string_equal(t->a.trouble, "the connection broke off before there was an answer");
    assert_int_equal(t->a.head_count, 0);
}

static void test_other_protocol(void **state)
{
    struct bench *t = *state;
    bench_play(t, "SSH-2.0-OpenSSH_9.2\r\n");
    assert_string_equal(t->a.trouble, "the answer is not HTTP: received HTTP/0.9 when not allowed");
}

static void test_bad_chunk(void **state)
{
    struct bench *t = *state;
    bench_play(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n");
    assert_true(slice_starts_with(slice_of(t->a.trouble), S("the answer is not HTTP: ")));
}

static void test_silence(void **state)
{
    struct bench *t = *state;
    uint64_t      from_ns = clock_mono_ns();
    t->options.total_ms = 300;
    int fd = bench_begin(t);
    turn_until(t->loop, &t->a.done_count, 1);
    assert_string_equal(t->a.trouble, "no answer within 300ms");
    assert_true(clock_mono_ns() - from_ns >= 300 * 1000000u);
    close(fd);
}

static void test_answer_that_takes_too_long(void **state)
{
    struct bench *t = *state;
    t->options.total_ms = 1000;
    int fd = bench_begin(t);
    put(fd, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello");
    turn_until(t->loop, &t->a.done_count, 1);
    assert_string_equal(t->a.trouble, "no whole answer within 1s");
    assert_true(probe_got(&t->a, "hello"));
    close(fd);
}

static void test_silent_handshake(void **state)
{
    struct bench *t = *state;
    char          expected[256];
    t->endpoint.base = "https://docker";
    t->options.connect_ms = 200;
    t->options.total_ms = 20000;
    probe_start(&t->a, t->client, &t->options);
    int fd = accept_in(t->loop, t->listening);
    probe_finish(&t->a, t->loop);
    snprintf(expected, sizeof(expected), "cannot connect to %s within 200ms", t->path);
    assert_string_equal(t->a.trouble, expected);
    close(fd);
}

static void expect_refusal(struct bench *t, const char *place, const char *reason)
{
    char expected[512];
    probe_start(&t->a, t->client, &t->options);
    probe_finish(&t->a, t->loop);
    snprintf(expected, sizeof(expected), "cannot connect to %s: %s", place, reason);
    assert_string_equal(t->a.trouble, expected);
}

static void test_nobody_listens(void **state)
{
    struct bench  *t = *state;
    struct address a;
    char           base[64];
    close(t->listening);
    t->listening = -1;
    expect_refusal(t, t->path, "connection refused");
    t->a = (struct http_probe){ 0 };
    close(tcp_listen(&a));
    snprintf(base, sizeof(base), "http://127.0.0.1:%u", a.port);
    t->endpoint = (struct http_endpoint){ .base = base };
    expect_refusal(t, base + strlen("http://"), "connection refused");
}

static void test_name_that_is_looked_up(void **state)
{
    struct bench *t = *state;
    t->endpoint = (struct http_endpoint){ .base = "http://localhost:1" };
    expect_refusal(t, "localhost:1", "connection refused");
}

static void test_no_such_socket(void **state)
{
    struct bench *t = *state;
    unlink(t->path);
    expect_refusal(t, t->path, "no such file or directory");
}

static void test_path_that_is_too_long(void **state)
{
    struct bench *t = *state;
    char          path[200];
    memset(path, 'a', sizeof(path));
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    t->endpoint.unix_socket = path;
    expect_refusal(t, path, "the path is too long");
}

static void test_permission_denied(void **state)
{
    struct bench *t = *state;
    if (geteuid() != 0) skip();
    chmod(t->path, 0600);
    assert_int_equal(seteuid(NOBODY), 0);
    probe_start(&t->a, t->client, &t->options);
    for (int i = 0; i < 1000 && !t->a.done_count; i++) loop_turn(t->loop, 20);
    assert_int_equal(seteuid(0), 0);
    char expected[256];
    snprintf(expected, sizeof(expected), "cannot connect to %s: permission denied", t->path);
    assert_string_equal(t->a.trouble, expected);
}

static void test_bad_address(void **state)
{
    struct bench *t = *state;
    t->endpoint = (struct http_endpoint){ .base = "http://[::zz]" };
    probe_start(&t->a, t->client, &t->options);
    probe_finish(&t->a, t->loop);
    assert_string_not_equal(t->a.trouble, "");
    t->a = (struct http_probe){ 0 };
    t->endpoint = (struct http_endpoint){ .base = "file:///etc/passwd#" };
    probe_start(&t->a, t->client, &t->options);
    probe_finish(&t->a, t->loop);
    assert_string_not_equal(t->a.trouble, "");
}

/* ---- bounds ---- */

static void test_body_over_the_bound(void **state)
{
    struct bench *t = *state;
    t->options.body_max = 4;
    bench_play(t, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    assert_string_equal(t->a.trouble, "the answer is longer than 4 bytes");
}

static void test_body_at_the_bound(void **state)
{
    struct bench *t = *state;
    t->options.body_max = 5;
    bench_play(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    assert_string_equal(t->a.trouble, "");
    assert_true(probe_got(&t->a, "hello"));
}

static void test_endless_head(void **state)
{
    struct bench *t = *state;
    int           fd = bench_begin(t);
    put(fd, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; !t->a.done_count; i++) {
        assert_true(i < 100000);
        (void)!send(fd, "A: 0123456789012345678901234567890123456789\r\n", 45, MSG_NOSIGNAL);
        loop_turn(t->loop, 0);
    }
    assert_string_equal(t->a.trouble, "the answer's head is longer than 65536 bytes");
    close(fd);
}

static void test_endless_line_of_the_head(void **state)
{
    struct bench *t = *state;
    int           fd = bench_begin(t);
    put(fd, "HTTP/1.1 200 OK\r\nA: ");
    for (int i = 0; !t->a.done_count; i++) {
        assert_true(i < 100000);
        (void)!send(fd, "0123456789012345678901234567890123456789", 40, MSG_NOSIGNAL);
        loop_turn(t->loop, 0);
    }
    assert_string_equal(t->a.trouble, "a line of the answer's head is too long");
    close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_set_up, bench_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_short_answer),
        TEST(test_closed_without_an_answer),
        TEST(test_other_protocol),
        TEST(test_bad_chunk),
        TEST(test_silence),
        TEST(test_answer_that_takes_too_long),
        TEST(test_silent_handshake),
        TEST(test_nobody_listens),
        TEST(test_name_that_is_looked_up),
        TEST(test_no_such_socket),
        TEST(test_path_that_is_too_long),
        TEST(test_permission_denied),
        TEST(test_bad_address),
        TEST(test_body_over_the_bound),
        TEST(test_body_at_the_bound),
        TEST(test_endless_head),
        TEST(test_endless_line_of_the_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
