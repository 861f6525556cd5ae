/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS connections, both ends ours, over TCP: the pump around the TLS layer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "conn_probe.h"
#include "io/tls.h"

struct ends {
    struct loop       *loop;
    struct tls_store  *store;
    struct tls_server *server_tls;
    struct tls_client *client_tls;
    struct tls_client *distrustful_tls; /* knows another authority */
    struct buffer      cert, key, other_cert, other_key;
    struct probe       server, client;
};

static int set_up(void **state)
{
    static const char *const names[] = { "a.example" };
    struct ends             *t = mem_zalloc(sizeof(*t));
    struct error             e;
    assert_true(tls_make_self_signed(names, 1, &t->cert, &t->key, &e));
    assert_true(tls_make_self_signed(names, 1, &t->other_cert, &t->other_key, &e));
    struct tls_certificate_pem pem = { "a.pem", buffer_slice(&t->cert), "a.key",
                                       buffer_slice(&t->key), S("") };
    struct tls_server_settings ss = { .certificates = &pem, .certificate_count = 1 };
    struct tls_client_settings cs = { .verifies = true, .ca = buffer_slice(&t->cert) };
    struct tls_client_settings ds = { .verifies = true, .ca = buffer_slice(&t->other_cert) };
    t->loop = make_loop();
    t->store = tls_store_new(&ss, NULL, &e);
    assert_non_null(t->store);
    t->server_tls = tls_server_new(t->store, NULL, &e);
    t->client_tls = tls_client_new(&cs, &e);
    t->distrustful_tls = tls_client_new(&ds, &e);
    assert_non_null(t->server_tls);
    assert_non_null(t->client_tls);
    assert_non_null(t->distrustful_tls);
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    struct ends *t = *state;
    loop_free(t->loop);
    tls_server_unref(t->server_tls);
    tls_client_unref(t->client_tls);
    tls_client_unref(t->distrustful_tls);
    tls_store_free(t->store);
    buffer_reset(&t->cert);
    buffer_reset(&t->key);
    buffer_reset(&t->other_cert);
    buffer_reset(&t->other_key);
    free(t);
    return 0;
}

static void start(struct ends *t, struct tls_client *tls, struct slice preamble)
{
    struct address a;
    int            listening = tcp_listen(&a);
    probe_init(&t->server, t->loop);
    probe_init(&t->client, t->loop);
    struct conn_target to = {
        .address = &a, .tls = tls, .server_name = S("a.example"), .preamble = preamble
    };
    conn_connect(&t->client.conn, t->loop, &probe_ops, &t->client.out, &to);
    int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fd >= 0);
    close(listening);
    conn_accept(&t->server.conn, t->loop, &probe_ops, &t->server.out, fd,
                preamble.len ? NULL : t->server_tls);
}

static void open_both(struct ends *t)
{
    start(t, t->client_tls, S(""));
    turn_until(t->loop, &t->client.open_count, 1);
    turn_until(t->loop, &t->server.open_count, 1);
}

static void close_both(struct ends *t)
{
    conn_close(&t->client.conn, false);
    conn_close(&t->server.conn, false);
    turn_until(t->loop, &t->client.free_count, 1);
    turn_until(t->loop, &t->server.free_count, 1);
    assert_int_equal(t->client.free_count + t->server.free_count, 2);
}

static void opens_and_echoes(void **state)
{
    struct ends *t = *state;
    open_both(t);
    assert_string_equal(tls_version(t->server.conn.tls), "TLSv1.3");
    t->server.echoes = true;
    for (unsigned i = 1; i <= 3; i++) {
        probe_write(&t->client, "hello");
        turn_until_bytes(t->loop, &t->client.got, 5 * i);
    }
    assert_memory_equal(t->client.got.data, "hellohellohello", 15);
    assert_int_equal(t->client.conn.sent_bytes, 15);
    assert_int_equal(t->server.conn.received_bytes, 15);
    assert_int_equal(t->server.open_count, 1);
    close_both(t);
}

/* A request that is queued before hands are shaken leaves with them. */
static void output_waits_for_the_handshake(void **state)
{
    struct ends *t = *state;
    start(t, t->client_tls, S(""));
    probe_write(&t->client, "early");
    t->server.says = "greeting";
    turn_until_bytes(t->loop, &t->server.got, 5);
    turn_until_bytes(t->loop, &t->client.got, 8);
    expect_got(&t->server, "early");
    expect_got(&t->client, "greeting");
    close_both(t);
}

/* The request came with the end of the handshake, but its reader is not ready: it
 * must outlive the buffer that it came in. */
static void pauses_when_opened(void **state)
{
    struct ends *t = *state;
    start(t, t->client_tls, S(""));
    probe_write(&t->client, "early");
    t->server.pauses_at_open = true;
    turn_until(t->loop, &t->server.open_count, 1);
    loop_turn(t->loop, 0);
    assert_int_equal(t->server.got.len, 0);
    memset(t->loop->cipher, 'x', LOOP_SCRATCH_BYTES);
    conn_resume(&t->server.conn);
    turn_until_bytes(t->loop, &t->server.got, 5);
    expect_got(&t->server, "early");
    close_both(t);
}

static void fill(char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) data[i] = (char)(i * 2654435761u >> 11);
}

static void carries_more_than_the_socket_takes(void **state)
{
    enum { TOTAL = 2 * 1024 * 1024 };
    struct ends *t = *state;
    char        *data = mem_alloc(TOTAL);
    int          small = 4096;
    fill(data, TOTAL);
    open_both(t);
    setsockopt(t->client.conn.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    outq_borrow(&t->client.out, data, TOTAL);
    conn_want_flush(&t->client.conn);
    conn_flush_all(t->loop);
    assert_int_equal(t->client.out.borrowed_bytes, 0);
    /* What may be encrypted ahead is bounded. */
    assert_true(outq_is_empty(tls_out(t->client.conn.tls)) == false);
    assert_true(tls_out(t->client.conn.tls)->bytes < 80 * 1024);
    turn_until_bytes(t->loop, &t->server.got, TOTAL);
    assert_memory_equal(t->server.got.data, data, TOTAL);
    free(data);
    close_both(t);
}

/* Pausing amid what one recv brought: the rest is neither lost nor given. */
static void pauses_amid_records(void **state)
{
    enum { TOTAL = 600 * 1024 };
    struct ends *t = *state;
    char        *data = mem_alloc(TOTAL);
    fill(data, TOTAL);
    open_both(t);
    t->server.pauses = true;
    outq_borrow(&t->client.out, data, TOTAL);
    conn_want_flush(&t->client.conn);
    conn_shutdown_write(&t->client.conn);
    while (t->server.got.len < TOTAL) {
        unsigned inputs = t->server.input_count;
        for (int i = 0; i < 3; i++) loop_turn(t->loop, 0);
        assert_true(t->server.input_count <= inputs + 1);
        assert_int_equal(t->server.eof_count, 0);
        conn_resume(&t->server.conn);
    }
    assert_int_equal(t->server.got.len, TOTAL);
    assert_memory_equal(t->server.got.data, data, TOTAL);
    conn_resume(&t->server.conn);
    turn_until(t->loop, &t->server.eof_count, 1);
    assert_false(t->server.was_truncated);
    free(data);
    close_both(t);
}

static void takes_a_part(void **state)
{
    struct ends *t = *state;
    open_both(t);
    t->server.take_max = 7;
    probe_write(&t->client, "0123456789");
    turn_until(t->loop, &t->server.input_count, 1);
    expect_got(&t->server, "0123456");
    conn_resume(&t->server.conn);
    turn_until_bytes(t->loop, &t->server.got, 10);
    expect_got(&t->server, "0123456789");
    close_both(t);
}

static void half_close_lets_the_other_answer(void **state)
{
    struct ends *t = *state;
    open_both(t);
    probe_write(&t->client, "question");
    conn_shutdown_write(&t->client.conn);
    turn_until(t->loop, &t->server.eof_count, 1);
    assert_false(t->server.was_truncated);
    expect_got(&t->server, "question");
    probe_write(&t->server, "answer");
    turn_until_bytes(t->loop, &t->client.got, 6);
    assert_int_equal(t->client.eof_count, 0);
    conn_close(&t->server.conn, false);
    turn_until(t->loop, &t->client.eof_count, 1);
    assert_int_equal(t->client.fault_count, 0);
    conn_close(&t->client.conn, false);
    turn_until(t->loop, &t->client.free_count, 1);
}

static void closing_says_goodbye(void **state)
{
    struct ends *t = *state;
    open_both(t);
    conn_close(&t->client.conn, false);
    turn_until(t->loop, &t->server.eof_count, 1);
    assert_false(t->server.was_truncated);
    conn_close(&t->server.conn, false);
    turn_until(t->loop, &t->server.free_count, 1);
}

/* With output left the end must not look like a good one. */
static void closing_amid_output_truncates(void **state)
{
    enum { TOTAL = 8 * 1024 * 1024 };
    struct ends *t = *state;
    char        *data = mem_zalloc(TOTAL);
    open_both(t);
    conn_pause(&t->server.conn);
    outq_borrow(&t->client.out, data, TOTAL);
    conn_want_flush(&t->client.conn);
    for (int i = 0; i < 3; i++) loop_turn(t->loop, 0);
    assert_false(outq_is_empty(&t->client.out));
    conn_close(&t->client.conn, false);
    conn_resume(&t->server.conn);
    while (!t->server.eof_count && !t->server.fault_count) loop_turn(t->loop, -1);
    assert_true(t->server.fault_count || t->server.was_truncated);
    assert_true(t->server.got.len < TOTAL);
    free(data);
    conn_close(&t->server.conn, false);
    turn_until(t->loop, &t->server.free_count, 1);
}

static void closing_before_output_is_flushed_truncates(void **state)
{
    struct ends *t = *state;
    open_both(t);
    probe_write(&t->client, "never sent");
    conn_close(&t->client.conn, false);
    turn_until(t->loop, &t->server.eof_count, 1);
    assert_true(t->server.was_truncated);
    assert_int_equal(t->server.got.len, 0);
    conn_close(&t->server.conn, false);
    turn_until(t->loop, &t->server.free_count, 1);
}

static void end_without_close_notify_is_truncated(void **state)
{
    struct ends *t = *state;
    open_both(t);
    probe_write(&t->client, "half of it");
    turn_until_bytes(t->loop, &t->server.got, 10);
    shutdown(t->client.conn.fd, SHUT_WR);
    turn_until(t->loop, &t->server.eof_count, 1);
    assert_true(t->server.was_truncated);
    close_both(t);
}

static void untrusted_certificate_fails_on_both_sides(void **state)
{
    struct ends *t = *state;
    start(t, t->distrustful_tls, S(""));
    /* The client closes when it is told, and its alert is on the way all the same. */
    turn_until(t->loop, &t->client.free_count, 1);
    turn_until(t->loop, &t->server.free_count, 1);
    assert_int_equal(t->client.fault, CONN_TLS_FAILED);
    assert_int_equal(t->server.fault, CONN_TLS_FAILED);
    assert_true(strlen(t->client.failure) > 0);
    assert_non_null(strstr(t->server.failure, "alert"));
    assert_int_equal(t->client.open_count + t->server.open_count, 0);
}

static void accept_plain_client(struct ends *t, int *peer)
{
    probe_init(&t->server, t->loop);
    *peer = probe_tcp(&t->server, t->loop);
    conn_start_tls(&t->server.conn, t->server_tls, S(""));
    t->server.keeps_fault = true;
}

static void plain_http_fails(void **state)
{
    struct ends *t = *state;
    int          peer;
    accept_plain_client(t, &peer);
    put(peer, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    turn_until(t->loop, &t->server.fault_count, 1);
    assert_int_equal(t->server.fault, CONN_TLS_FAILED);
    assert_non_null(strstr(t->server.failure, "plain HTTP"));
    probe_reset(&t->server, t->loop);
    close(peer);
}

static void peer_that_leaves_before_the_handshake(void **state)
{
    struct ends *t = *state;
    int          peer;
    accept_plain_client(t, &peer);
    loop_turn(t->loop, 0);
    close(peer);
    turn_until(t->loop, &t->server.fault_count, 1);
    assert_int_equal(t->server.fault, CONN_RESET);
    assert_int_equal(t->server.eof_count, 0);
    assert_non_null(strstr(t->server.failure, "closed"));
    probe_reset(&t->server, t->loop);
}

static struct tls_server *upgrade_with;

/* Takes "PROXY x\n", hands what follows to TLS. */
static size_t upgrade(struct conn *c, const char *data, size_t len)
{
    struct probe *p = container_of(c, struct probe, conn);
    const char   *end = memchr(data, '\n', len);
    if (c->tls) return probe_ops.on_input(c, data, len);
    if (!end) return 0;
    size_t used = (size_t)(end + 1 - data);
    buffer_put(&p->got, data, used);
    conn_start_tls(c, upgrade_with, slice_make(data + used, len - used));
    memset(c->loop->scratch, 'x', LOOP_SCRATCH_BYTES);
    return len;
}

static void starts_behind_a_preamble(void **state)
{
    struct ends    *t = *state;
    struct conn_ops ops = probe_ops;
    start(t, t->client_tls, S("PROXY x\n"));
    ops.on_input = upgrade;
    t->server.conn.ops = &ops;
    t->server.says = "welcome";
    upgrade_with = t->server_tls;
    probe_write(&t->client, "hello");
    turn_until_bytes(t->loop, &t->server.got, 13);
    turn_until_bytes(t->loop, &t->client.got, 7);
    expect_got(&t->server, "PROXY x\nhello");
    expect_got(&t->client, "welcome");
    assert_int_equal(t->server.open_count, 1);
    close_both(t);
}

/* All is there at once, and the end behind it: that is the TLS layer's as well. */
static void end_behind_a_preamble_is_not_a_plain_one(void **state)
{
    struct ends    *t = *state;
    struct conn_ops ops = probe_ops;
    int             peer;
    probe_init(&t->server, t->loop);
    peer = probe_tcp(&t->server, t->loop);
    ops.on_input = upgrade;
    t->server.conn.ops = &ops;
    upgrade_with = t->server_tls;
    conn_pause(&t->server.conn);
    put(peer, "PROXY x\nGET / HTTP/1.1\r\n\r\n");
    shutdown(peer, SHUT_WR);
    loop_turn(t->loop, -1);
    conn_resume(&t->server.conn);
    turn_until(t->loop, &t->server.free_count, 1);
    assert_int_equal(t->server.fault, CONN_TLS_FAILED);
    assert_int_equal(t->server.eof_count, 0);
    close(peer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(opens_and_echoes),
        TEST(output_waits_for_the_handshake),
        TEST(pauses_when_opened),
        TEST(carries_more_than_the_socket_takes),
        TEST(pauses_amid_records),
        TEST(takes_a_part),
        TEST(half_close_lets_the_other_answer),
        TEST(closing_says_goodbye),
        TEST(closing_amid_output_truncates),
        TEST(closing_before_output_is_flushed_truncates),
        TEST(end_without_close_notify_is_truncated),
        TEST(untrusted_certificate_fails_on_both_sides),
        TEST(plain_http_fails),
        TEST(peer_that_leaves_before_the_handshake),
        TEST(starts_behind_a_preamble),
        TEST(end_behind_a_preamble_is_not_a_plain_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
