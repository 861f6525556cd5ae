/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP calls against sockets of the test: what the owner is told of answers that
 * come whole or as a stream, and which connection they come by.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <unistd.h>

#include "http_bench.h"

/* ---- good answers ---- */

static void test_answer_with_length(void **state)
{
    struct bench *t = *state;
    bench_play(t, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nApi-Version:  1.44 \r\n\r\nhello");
    assert_string_equal(t->a.trouble, "");
    assert_int_equal(t->a.status, 200);
    assert_int_equal(t->a.head_count, 1);
    assert_true(slice_eq(buffer_slice(&t->a.fields), S("Content-Length=5\nApi-Version=1.44\n")));
    assert_true(probe_got(&t->a, "hello"));
}

static void test_answer_until_the_end(void **state)
{
    struct bench *t = *state;
    bench_play(t, "HTTP/1.0 200 OK\r\n\r\nall of it");
    assert_string_equal(t->a.trouble, "");
    assert_true(probe_got(&t->a, "all of it"));
}

static void test_answer_without_body(void **state)
{
    struct bench *t = *state;
    bench_play(t, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_string_equal(t->a.trouble, "");
    assert_int_equal(t->a.status, 204);
    assert_int_equal(t->a.data_count, 0);
}

static void test_trailers_and_interim_heads_are_passed_over(void **state)
{
    struct bench *t = *state;
    bench_play(
        t, "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nSum: 1\r\n\r\n");
    assert_string_equal(t->a.trouble, "");
    assert_int_equal(t->a.status, 200);
    assert_int_equal(t->a.head_count, 1);
    assert_true(slice_eq(buffer_slice(&t->a.fields), S("Transfer-Encoding=chunked\n")));
    assert_true(probe_got(&t->a, "hi"));
}

static void test_other_status_is_an_answer(void **state)
{
    struct bench *t = *state;
    bench_play(t, "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone");
    assert_string_equal(t->a.trouble, "");
    assert_int_equal(t->a.status, 404);
    assert_true(probe_got(&t->a, "none"));
    probe_forget(&t->a);
    t->a = (struct http_probe){ 0 };
    bench_play(t, "HTTP/1.1 500 Oh\r\nContent-Length: 3\r\n\r\nbad");
    assert_string_equal(t->a.trouble, "");
    assert_int_equal(t->a.status, 500);
    assert_true(probe_got(&t->a, "bad"));
}

static void test_redirect_is_not_followed(void **state)
{
    struct bench *t = *state;
    bench_play(t, "HTTP/1.1 302 Found\r\nLocation: http://docker/y\r\nContent-Length: 0\r\n\r\n");
    assert_string_equal(t->a.trouble, "");
    assert_int_equal(t->a.status, 302);
    assert_int_equal(accept(t->listening, NULL, NULL), -1);
}

static void test_headers_and_target_are_sent(void **state)
{
    static const char *const headers[] = { "X-One: 1", "Accept: application/json", NULL };
    struct bench            *t = *state;
    char                     got[512] = "";
    t->options.headers = headers;
    t->options.target = "/v1.41/../events?filters=%7B%22a%22%7D";
    probe_start(&t->a, t->client, &t->options);
    int fd = accept_in(t->loop, t->listening);
    while (recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT) < 0) loop_turn(t->loop, 20);
    assert_non_null(strstr(got, "GET /v1.41/../events?filters=%7B%22a%22%7D HTTP/1.1\r\n"));
    assert_non_null(strstr(got, "\r\nHost: docker\r\n"));
    assert_non_null(strstr(got, "\r\nX-One: 1\r\n"));
    assert_non_null(strstr(got, "\r\nAccept: application/json\r\n"));
    close(fd);
    probe_finish(&t->a, t->loop);
}

static void test_tcp_without_proxy(void **state)
{
    struct bench  *t = *state;
    struct address a;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    bench_use_tcp(t, &a);
    bench_play(t, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntcp");
    unsetenv("http_proxy");
    unsetenv("ALL_PROXY");
    assert_string_equal(t->a.trouble, "");
    assert_true(probe_got(&t->a, "tcp"));
}

/* ---- streams ---- */

static void test_stream_is_told_as_it_comes(void **state)
{
    struct bench *t = *state;
    int           fd = bench_begin(t);
    put(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    turn_until(t->loop, &t->a.head_count, 1);
    put(fd, "6\r\n{\"a\":1\r\n");
    turn_until_bytes(t->loop, &t->a.data, 6);
    assert_true(probe_got(&t->a, "{\"a\":1"));
    put(fd, "5\r\n}\n"); /* the midst of a chunk */
    turn_until_bytes(t->loop, &t->a.data, 8);
    put(fd, "{}\n\r\n1\r\nx\r\n2\r\nyz\r\n"); /* its end, and two more */
    turn_until_bytes(t->loop, &t->a.data, 14);
    assert_true(probe_got(&t->a, "{\"a\":1}\n{}\nxyz"));
    assert_int_equal(t->a.done_count, 0);
    put(fd, "0\r\n\r\n");
    turn_until(t->loop, &t->a.done_count, 1);
    assert_string_equal(t->a.trouble, "");
    close(fd);
}

static void test_stream_byte_by_byte(void **state)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                 "3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n";
    struct bench     *t = *state;
    int               fd = bench_begin(t);
    for (const char *c = answer; *c; c++) {
        put(fd, (char[]){ *c, '\0' });
        loop_turn(t->loop, 0);
    }
    turn_until(t->loop, &t->a.done_count, 1);
    assert_string_equal(t->a.trouble, "");
    assert_true(probe_got(&t->a, "abc0123456789"));
    assert_true(t->a.data_count > 5);
    close(fd);
}

static void test_stream_that_ends_in_the_midst(void **state)
{
    struct bench *t = *state;
    bench_play(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    assert_string_equal(t->a.trouble, "the connection broke off");
    assert_true(probe_got(&t->a, "abc"));
}

static void test_stream_that_is_reset(void **state)
{
    struct bench  *t = *state;
    struct address a;
    bench_use_tcp(t, &a);
    int fd = bench_begin(t);
    put(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    turn_until_bytes(t->loop, &t->a.data, 3);
    abort_socket(fd);
    turn_until(t->loop, &t->a.done_count, 1);
    assert_string_equal(t->a.trouble, "the connection broke off");
}

/* ---- connections ---- */

static void test_connection_is_kept(void **state)
{
    struct bench *t = *state;
    int           fd = bench_begin(t);
    for (int i = 0; i < 3; i++) {
        put(fd, whole);
        turn_until(t->loop, &t->a.done_count, 1);
        assert_string_equal(t->a.trouble, "");
        probe_forget(&t->a);
        t->a = (struct http_probe){ 0 };
        probe_start(&t->a, t->client, &t->options);
        expect_request(t->loop, fd, "/x");
    }
    assert_int_equal(accept(t->listening, NULL, NULL), -1);
    close(fd);
}

static void test_server_is_another_one_at_the_same_path(void **state)
{
    struct bench *t = *state;
    int           fd = bench_begin(t);
    put(fd, whole);
    turn_until(t->loop, &t->a.done_count, 1);
    close(fd);
    close(t->listening);
    t->listening = listen_at(t->path);
    probe_forget(&t->a);
    t->a = (struct http_probe){ 0 };
    fd = bench_begin(t);
    put(fd, whole);
    turn_until(t->loop, &t->a.done_count, 1);
    assert_string_equal(t->a.trouble, "");
    close(fd);
}

/* The server closes what it has kept just when the next request comes. */
static void test_kept_connection_that_ends_at_the_next_request(void **state)
{
    struct bench *t = *state;
    int           fd = bench_begin(t);
    put(fd, whole);
    turn_until(t->loop, &t->a.done_count, 1);
    probe_start(&t->b, t->client, &t->options);
    expect_request(t->loop, fd, "/x");
    close(fd);
    fd = accept_in(t->loop, t->listening);
    expect_request(t->loop, fd, "/x");
    put(fd, whole);
    turn_until(t->loop, &t->b.done_count, 1);
    assert_string_equal(t->b.trouble, "");
    close(fd);
}

/* The kernel's queue is full, so the first try is lost; the next one comes a second later. */
static void test_connect_that_takes_its_time(void **state)
{
    struct bench           *t = *state;
    struct sockaddr_storage sa;
    struct address          a;
    bench_use_tcp(t, &a);
    assert_int_equal(listen(t->listening, 0), 0);
    int       filler = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = address_to_sockaddr(&a, &sa);
    assert_int_equal(connect(filler, (struct sockaddr *)&sa, len), 0);
    t->options.connect_ms = 20000;
    probe_start(&t->a, t->client, &t->options);
    for (int i = 0; i < 5; i++) loop_turn(t->loop, 10);
    close(accept_in(t->loop, t->listening)); /* the filler's; now there is room */
    int fd = accept_in(t->loop, t->listening);
    expect_request(t->loop, fd, "/x");
    put(fd, whole);
    turn_until(t->loop, &t->a.done_count, 1);
    assert_string_equal(t->a.trouble, "");
    close(filler);
    close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_set_up, bench_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_answer_with_length),
        TEST(test_answer_until_the_end),
        TEST(test_answer_without_body),
        TEST(test_trailers_and_interim_heads_are_passed_over),
        TEST(test_other_status_is_an_answer),
        TEST(test_redirect_is_not_followed),
        TEST(test_headers_and_target_are_sent),
        TEST(test_tcp_without_proxy),
        TEST(test_stream_is_told_as_it_comes),
        TEST(test_stream_byte_by_byte),
        TEST(test_stream_that_ends_in_the_midst),
        TEST(test_stream_that_is_reset),
        TEST(test_connection_is_kept),
        TEST(test_server_is_another_one_at_the_same_path),
        TEST(test_kept_connection_that_ends_at_the_next_request),
        TEST(test_connect_that_takes_its_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
