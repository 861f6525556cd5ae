/* SPDX-License-Identifier: Apache-2.0
 *
 * Connecting: TCP and Unix sockets, preambles, failures.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/un.h>
#include <unistd.h>

#include "conn_probe.h"
#include "io/conn_pump.h"

static void connects(void **state)
{
    (void)state;
    struct loop   *l = make_loop();
    struct probe   p;
    struct address a, peer_address;
    int            listening = tcp_listen(&a), one = 0;
    socklen_t      len = sizeof(one);
    probe_init(&p, l);
    p.says = "hello";
    struct conn_target to = { .address = &a, .preamble = S("PROXY ") };
    conn_connect(&p.conn, l, &probe_ops, &p.out, &to);
    assert_int_equal(p.open_count, 0);
    turn_until(l, &p.open_count, 1);
    int peer = accept(listening, NULL, NULL);
    expect(peer, "PROXY hello");
    assert_int_equal(p.conn.sent_bytes, 5);
    put(peer, "welcome");
    turn_until(l, &p.input_count, 1);
    expect_got(&p, "welcome");
    conn_peer(&p.conn, &peer_address);
    assert_true(address_eq(&a, &peer_address));
    assert_int_equal(getsockopt(p.conn.fd, IPPROTO_TCP, TCP_NODELAY, &one, &len), 0);
    assert_int_not_equal(one, 0);
    probe_reset(&p, l);
    close(peer);
    close(listening);
    loop_free(l);
}

/* A preamble goes out even when the owner has nothing to say. */
static void sends_a_lone_preamble(void **state)
{
    (void)state;
    struct loop   *l = make_loop();
    struct probe   p;
    struct address a;
    int            listening = tcp_listen(&a);
    probe_init(&p, l);
    struct conn_target to = { .address = &a, .preamble = S("PROXY UNKNOWN\r\n") };
    conn_connect(&p.conn, l, &probe_ops, &p.out, &to);
    turn_until(l, &p.open_count, 1);
    int peer = accept(listening, NULL, NULL);
    expect(peer, "PROXY UNKNOWN\r\n");
    assert_int_equal(p.conn.kept_bytes, 0);
    assert_int_equal(p.sent_count, 0);
    probe_reset(&p, l);
    close(peer);
    close(listening);
    loop_free(l);
}

/* Lent before the connection stands: copied, and sent once it does. */
static void output_may_come_before_the_connection(void **state)
{
    (void)state;
    struct loop   *l = make_loop();
    struct probe   p;
    struct address a;
    char           text[] = "GET /";
    int            listening = tcp_listen(&a);
    probe_init(&p, l);
    struct conn_target to = { .address = &a };
    conn_connect(&p.conn, l, &probe_ops, &p.out, &to);
    outq_borrow(&p.out, text, 5);
    conn_want_flush(&p.conn);
    conn_flush_all(l);
    memset(text, 'x', 5);
    turn_until(l, &p.sent_count, 1);
    int peer = accept(listening, NULL, NULL);
    expect(peer, "GET /");
    probe_reset(&p, l);
    close(peer);
    close(listening);
    loop_free(l);
}

static void refused_connection_is_told_from_the_loop(void **state)
{
    (void)state;
    struct loop   *l = make_loop();
    struct probe   p;
    struct address a;
    close(tcp_listen(&a));
    probe_init(&p, l);
    struct conn_target to = { .address = &a };
    conn_connect(&p.conn, l, &probe_ops, &p.out, &to);
    assert_int_equal(p.fault_count, 0);
    turn_until(l, &p.fault_count, 1);
    assert_int_equal(p.fault, CONN_CONNECT_REFUSED);
    assert_int_equal(p.open_count, 0);
    turn_until(l, &p.free_count, 1);
    loop_free(l);
}

static void failure_at_once_is_told_from_the_loop(void **state)
{
    (void)state;
    struct loop   *l = make_loop();
    struct probe   p;
    struct address none = { .family = ADDRESS_UNIX, .path = "/nonexistent/socket" };
    probe_init(&p, l);
    p.keeps_fault = true;
    struct conn_target to = { .address = &none, .preamble = S("x") };
    conn_connect(&p.conn, l, &probe_ops, &p.out, &to);
    conn_pause(&p.conn);
    assert_int_equal(p.fault_count, 0);
    loop_turn(l, 0);
    loop_turn(l, 0);
    assert_int_equal(p.fault_count, 1);
    assert_int_equal(p.fault, CONN_CONNECT_REFUSED);
    probe_reset(&p, l);
    loop_free(l);
}

static void connects_to_a_unix_socket(void **state)
{
    (void)state;
    struct loop       *l = make_loop();
    struct probe       p;
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    char               name[64];
    snprintf(name, sizeof(name), "@wharfgate-conn-test-%d", (int)getpid());
    memcpy(un.sun_path + 1, name + 1, strlen(name) - 1);
    int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listening, (struct sockaddr *)&un,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))),
                     0);
    assert_int_equal(listen(listening, 4), 0);
    struct address     a = { .family = ADDRESS_UNIX, .path = name };
    struct conn_target to = { .address = &a };
    probe_init(&p, l);
    p.says = "over a path";
    conn_connect(&p.conn, l, &probe_ops, &p.out, &to);
    assert_int_equal(p.open_count, 0);
    turn_until(l, &p.sent_count, 1);
    assert_int_equal(p.open_count, 1);
    int peer = accept(listening, NULL, NULL);
    expect(peer, "over a path");
    probe_reset(&p, l);
    close(peer);
    close(listening);
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connects),
        cmocka_unit_test(sends_a_lone_preamble),
        cmocka_unit_test(output_may_come_before_the_connection),
        cmocka_unit_test(refused_connection_is_told_from_the_loop),
        cmocka_unit_test(failure_at_once_is_told_from_the_loop),
        cmocka_unit_test(connects_to_a_unix_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
