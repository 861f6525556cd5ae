/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP calls against sockets of the test: what the owner is told of good
 * answers, of bad ones and of none; and when it may cancel, start and free.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http_probe.h"

enum { MANY = 100, NOBODY = 65534 };

struct bench {
    struct loop             *loop;
    struct http_client      *client;
    char                     folder[64], path[96];
    struct http_endpoint     endpoint;
    struct http_call_options options;
    int                      listening;
    struct http_probe        a, b;
};

static int set_up(void **state)
{
    static struct bench t;
    t = (struct bench){ .folder = "/tmp/wharfgate-http-XXXXXX" };
    assert_non_null(mkdtemp(t.folder));
    chmod(t.folder, 0755);
    snprintf(t.path, sizeof(t.path), "%s/socket", t.folder);
    t.loop = make_loop();
    t.client = http_client_new(t.loop);
    t.endpoint = (struct http_endpoint){ .base = "http://docker", .unix_socket = t.path };
    t.options = (struct http_call_options){ .endpoint = &t.endpoint, .target = "/x" };
    t.listening = listen_at(t.path);
    *state = &t;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *t = *state;
    http_client_free(t->client);
    probe_forget(&t->a);
    probe_forget(&t->b);
    loop_turn(t->loop, 0);
    loop_free(t->loop);
    if (t->listening >= 0) close(t->listening);
    unlink(t->path);
    rmdir(t->folder);
    return 0;
}

/* A call that has come to the server; returns its end. */
static int begin(struct bench *t)
{
    probe_start(&t->a, t->client, &t->options);
    int fd = accept_in(t->loop, t->listening);
    expect_request(t->loop, fd, t->options.target);
    return fd;
}

/* The server says `text` and closes; what comes of it. */
static void play(struct bench *t, const char *text)
{
    int fd = begin(t);
    put(fd, text);
    close(fd);
    turn_until(t->loop, &t->a.done_count, 1);
}

/* ---- good answers ---- */

static void test_answer_with_length(void **state)
{
    struct bench *t = *state;
    play(t, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nApi-Version:  1.44 \r\n\r\nhello");
    assert_string_equal(t->a.trouble, "");
    assert_int_equal(t->a.status, 200);
    assert_int_equal(t->a.head_count, 1);
    assert_true(slice_eq(buffer_slice(&t->a.fields), S("Content-Length=5\nApi-Version=1.44\n")));
    assert_true(probe_got(&t->a, "hello"));
}

static void test_answer_until_the_end(void **state)
{
    struct bench *t = *state;
    play(t, "HTTP/1.0 200 OK\r\n\r\nall of it");
    assert_string_equal(t->a.trouble, "");
    assert_true(probe_got(&t->a, "all of it"));
}

static void test_answer_without_body(void **state)
{
    struct bench *t = *state;
    play(t, "HTTP/1.1 204 No Content\r\n\r\n");
    assert_string_equal(t->a.trouble, "");
    assert_int_equal(t->a.status, 204);
    assert_int_equal(t->a.data_count, 0);
}

static void test_trailers_and_interim_heads_are_passed_over(void **state)
{
    struct bench *t = *state;
    play(t, "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
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
    play(t, "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone");
    assert_string_equal(t->a.trouble, "");
    assert_int_equal(t->a.status, 404);
    assert_true(probe_got(&t->a, "none"));
    probe_forget(&t->a);
    t->a = (struct http_probe){ 0 };
    play(t, "HTTP/1.1 500 Oh\r\nContent-Length: 3\r\n\r\nbad");
    assert_string_equal(t->a.trouble, "");
    assert_int_equal(t->a.status, 500);
    assert_true(probe_got(&t->a, "bad"));
}

static void test_redirect_is_not_followed(void **state)
{
    struct bench *t = *state;
    play(t, "HTTP/1.1 302 Found\r\nLocation: http://docker/y\r\nContent-Length: 0\r\n\r\n");
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
    char           base[64];
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    close(t->listening);
    t->listening = tcp_listen(&a);
    snprintf(base, sizeof(base), "http://127.0.0.1:%u", a.port);
    t->endpoint = (struct http_endpoint){ .base = base };
    play(t, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntcp");
    unsetenv("http_proxy");
    unsetenv("ALL_PROXY");
    assert_string_equal(t->a.trouble, "");
    assert_true(probe_got(&t->a, "tcp"));
}

/* ---- streams ---- */

static void test_stream_is_told_as_it_comes(void **state)
{
    struct bench *t = *state;
    int           fd = begin(t);
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
    int               fd = begin(t);
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
    play(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    assert_string_equal(t->a.trouble, "the connection broke off");
    assert_true(probe_got(&t->a, "abc"));
}

static void test_stream_that_is_reset(void **state)
{
    struct bench  *t = *state;
    struct address a;
    char           base[64];
    close(t->listening);
    t->listening = tcp_listen(&a);
    snprintf(base, sizeof(base), "http://127.0.0.1:%u", a.port);
    t->endpoint = (struct http_endpoint){ .base = base };
    int fd = begin(t);
    put(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    turn_until_bytes(t->loop, &t->a.data, 3);
    abort_socket(fd);
    turn_until(t->loop, &t->a.done_count, 1);
    assert_string_equal(t->a.trouble, "the connection broke off");
}

/* ---- no good answer ---- */

static void test_short_answer(void **state)
{
    struct bench *t = *state;
    play(t, "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello");
    assert_string_equal(t->a.trouble, "the connection broke off");
}

static void test_closed_without_an_answer(void **state)
{
    struct bench *t = *state;
    play(t, "");
    assert_string_equal(t->a.trouble, "the connection broke off before there was an answer");
    assert_int_equal(t->a.head_count, 0);
}

static void test_other_protocol(void **state)
{
    struct bench *t = *state;
    play(t, "SSH-2.0-OpenSSH_9.2\r\n");
    assert_string_equal(t->a.trouble, "the answer is not HTTP: received HTTP/0.9 when not allowed");
}

static void test_bad_chunk(void **state)
{
    struct bench *t = *state;
    play(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n");
    assert_true(slice_starts_with(slice_of(t->a.trouble), S("the answer is not HTTP: ")));
}

static void test_silence(void **state)
{
    struct bench *t = *state;
    uint64_t      from_ns = clock_mono_ns();
    t->options.total_ms = 300;
    int fd = begin(t);
    turn_until(t->loop, &t->a.done_count, 1);
    assert_string_equal(t->a.trouble, "no answer within 300ms");
    assert_true(clock_mono_ns() - from_ns >= 300 * 1000000u);
    close(fd);
}

static void test_answer_that_takes_too_long(void **state)
{
    struct bench *t = *state;
    t->options.total_ms = 1000;
    int fd = begin(t);
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
    play(t, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    assert_string_equal(t->a.trouble, "the answer is longer than 4 bytes");
}

static void test_body_at_the_bound(void **state)
{
    struct bench *t = *state;
    t->options.body_max = 5;
    play(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    assert_string_equal(t->a.trouble, "");
    assert_true(probe_got(&t->a, "hello"));
}

static void test_endless_head(void **state)
{
    struct bench *t = *state;
    int           fd = begin(t);
    put(fd, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; !t->a.done_count; i++) {
        assert_true(i < 100000);
        (void)!send(fd, "A: 0123456789012345678901234567890123456789\r\n", 45, MSG_NOSIGNAL);
        loop_turn(t->loop, 0);
    }
    assert_string_equal(t->a.trouble, "the answer's head is longer than 65536 bytes");
    close(fd);
}

/* ---- ends that the owner makes ---- */

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

static void test_cancel_while_waiting(void **state)
{
    struct bench *t = *state;
    int           fd = begin(t);
    probe_cancel(&t->a);
    loop_turn(t->loop, 0);
    expect_end(fd);
    assert_int_equal(t->a.done_count, 0);
    close(fd);
}

static const char whole[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: b\r\n\r\nhello";

static const char half[] = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nA: b\r\n\r\nhello";

static void expect_closed(int fd)
{
    char byte;
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
}

static void cancel_within(struct bench *t, enum http_moment when, unsigned heads, unsigned data)
{
    t->a = (struct http_probe){ .cancels = when };
    int fd = begin(t);
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
        int fd = begin(t);
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
    int           fd = begin(t);
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
    int fd = begin(t);
    put(fd, whole);
    turn_until(t->loop, &t->a.done_count, 1);
    expect_request(t->loop, fd, "/x"); /* on the same connection */
    put(fd, whole);
    turn_until(t->loop, &t->b.done_count, 1);
    assert_string_equal(t->b.trouble, "");
    assert_true(probe_got(&t->b, "hello"));
    close(fd);
}

/* ---- connections ---- */

static void test_connection_is_kept(void **state)
{
    struct bench *t = *state;
    int           fd = begin(t);
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
    int           fd = begin(t);
    put(fd, whole);
    turn_until(t->loop, &t->a.done_count, 1);
    close(fd);
    close(t->listening);
    t->listening = listen_at(t->path);
    probe_forget(&t->a);
    t->a = (struct http_probe){ 0 };
    fd = begin(t);
    put(fd, whole);
    turn_until(t->loop, &t->a.done_count, 1);
    assert_string_equal(t->a.trouble, "");
    close(fd);
}

/* The server closes what it has kept just when the next request comes. */
static void test_kept_connection_that_ends_at_the_next_request(void **state)
{
    struct bench *t = *state;
    int           fd = begin(t);
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
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
        TEST(test_short_answer),
        TEST(test_closed_without_an_answer),
        TEST(test_other_protocol),
        TEST(test_bad_chunk),
        TEST(test_silence),
        TEST(test_answer_that_takes_too_long),
        TEST(test_silent_handshake),
        TEST(test_nobody_listens),
        TEST(test_no_such_socket),
        TEST(test_path_that_is_too_long),
        TEST(test_permission_denied),
        TEST(test_bad_address),
        TEST(test_body_over_the_bound),
        TEST(test_body_at_the_bound),
        TEST(test_endless_head),
        TEST(test_cancel_before_anything_happens),
        TEST(test_cancel_while_waiting),
        TEST(test_cancel_within_callbacks),
        TEST(test_cancel_of_others_that_have_news),
        TEST(test_client_is_freed_within_callbacks),
        TEST(test_client_is_freed_with_calls_running),
        TEST(test_next_call_from_within_on_done),
        TEST(test_connection_is_kept),
        TEST(test_server_is_another_one_at_the_same_path),
        TEST(test_kept_connection_that_ends_at_the_next_request),
        TEST(test_many_at_once),
        TEST(test_many_are_cancelled_before_they_begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
