/* SPDX-License-Identifier: Apache-2.0
 *
 * A recording owner of a connection. See conn_probe.h.
 */
#include "conn_probe.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "io/tls.h"

enum { TURN_MS = 1000 };

static const uint64_t patience_ns = 20000000000u;

static struct probe *probe_of(struct conn *c)
{
    return container_of(c, struct probe, conn);
}

static void on_open(struct conn *c)
{
    struct probe *p = probe_of(c);
    p->open_count++;
    if (p->says) probe_write(p, p->says);
    if (p->pauses_at_open) conn_pause(c);
}

static size_t on_input(struct conn *c, const char *data, size_t len)
{
    struct probe *p = probe_of(c);
    assert_false(c->is_paused);
    p->input_count++;
    if (len > p->largest_input) p->largest_input = len;
    size_t taken = p->take_max && p->take_max < len ? p->take_max : len;
    buffer_put(&p->got, data, taken);
    if (p->pauses) conn_pause(c);
    struct probe *to = p->echoes ? p : p->relay;
    if (to && taken) {
        outq_borrow(&to->out, data, taken);
        conn_want_flush(&to->conn);
    }
    if (p->victim) conn_close(&p->victim->conn, false);
    if (p->closes_early) conn_close(c, false);
    return taken;
}

static void on_eof(struct conn *c)
{
    struct probe *p = probe_of(c);
    p->eof_count++;
    p->was_truncated = c->is_truncated;
}

static void on_sent(struct conn *c)
{
    struct probe *p = probe_of(c);
    p->sent_count++;
    if (p->closes_at_sent) conn_close(c, false);
}

static void on_fault(struct conn *c, enum conn_fault fault)
{
    struct probe *p = probe_of(c);
    p->fault_count++;
    p->fault = (int)fault;
    if (c->tls) snprintf(p->failure, sizeof(p->failure), "%s", tls_failure(c->tls));
    if (!p->keeps_fault) conn_close(c, false);
}

static void on_deadline(struct conn *c)
{
    probe_of(c)->deadline_count++;
}

static void on_free(struct conn *c)
{
    struct probe *p = probe_of(c);
    p->free_count++;
    outq_reset(&p->out);
    buffer_reset(&p->got);
}

const struct conn_ops probe_ops = {
    .on_open = on_open,
    .on_input = on_input,
    .on_eof = on_eof,
    .on_sent = on_sent,
    .on_fault = on_fault,
    .on_deadline = on_deadline,
    .on_free = on_free,
};

void probe_init(struct probe *p, struct loop *l)
{
    memset(p, 0, sizeof(*p));
    p->fault = -1;
    outq_init(&p->out, &l->large_blocks);
}

int probe_pair(struct probe *p, struct loop *l)
{
    int fds[2];
    probe_init(p, l);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    conn_accept(&p->conn, l, &probe_ops, &p->out, fds[0], NULL);
    return fds[1];
}

int tcp_listen(struct address *a)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t          len = sizeof(in);
    int                fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, len), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    address_from_sockaddr(a, (struct sockaddr *)&in, len);
    return fd;
}

int probe_tcp(struct probe *p, struct loop *l)
{
    struct address          a;
    struct sockaddr_storage sa;
    probe_init(p, l);
    int       listening = tcp_listen(&a), near = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = address_to_sockaddr(&a, &sa);
    assert_int_equal(connect(near, (struct sockaddr *)&sa, len), 0);
    int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fd >= 0);
    close(listening);
    conn_accept(&p->conn, l, &probe_ops, &p->out, fd, NULL);
    return near;
}

void probe_write(struct probe *p, const char *text)
{
    outq_put(&p->out, text, strlen(text));
    conn_want_flush(&p->conn);
}

void probe_reset(struct probe *p, struct loop *l)
{
    conn_close(&p->conn, false);
    loop_turn(l, 0);
    assert_int_equal(p->free_count, 1);
}

void turn_until(struct loop *l, const unsigned *flag, unsigned value)
{
    uint64_t end_ns = clock_mono_ns() + patience_ns;
    while (*flag < value) {
        assert_true(clock_mono_ns() < end_ns);
        loop_turn(l, TURN_MS);
    }
}

void turn_until_bytes(struct loop *l, const struct buffer *b, size_t len)
{
    uint64_t end_ns = clock_mono_ns() + patience_ns;
    while (b->len < len) {
        assert_true(clock_mono_ns() < end_ns);
        loop_turn(l, TURN_MS);
    }
}

struct loop *make_loop(void)
{
    struct loop *l = loop_new(NULL);
    assert_non_null(l);
    return l;
}

void put(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Reads exactly what is expected. */
void expect(int fd, const char *text)
{
    char   got[256];
    size_t len = strlen(text);
    assert_int_equal(recv(fd, got, len, MSG_WAITALL), len);
    assert_memory_equal(got, text, len);
}

void expect_end(int fd)
{
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

void expect_reset(int fd)
{
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
}

void expect_got(const struct probe *p, const char *text)
{
    assert_int_equal(p->got.len, strlen(text));
    assert_memory_equal(p->got.data, text, p->got.len);
}

void abort_socket(int fd)
{
    struct linger l = { 1, 0 };
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)), 0);
    close(fd);
}
