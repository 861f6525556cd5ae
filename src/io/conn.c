/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a connection: opened by accept or connect, closed once, freed at
 * the end of the turn. See conn.h; its halves are conn_read.c and conn_write.c.
 *
 *   conn_accept ---------------------------> open --> conn_close --> on_free
 *      | (tls)                                ^
 *      +--> handshaking ----------------------+
 *   conn_connect --> connecting --(tls)--> handshaking
 */
#include "io/conn.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/conn_pump.h"
#include "io/tls.h"

static void run_deadline(struct deadline *d)
{
    struct conn *c = container_of(d, struct conn, deadline);
    if (c->ops->on_deadline) c->ops->on_deadline(c);
    conn_flush_all(c->loop);
}

void conn_opened(struct conn *c)
{
    c->is_handshaking = 0;
    if (conn_has_output(c)) conn_want_flush(c);
    if (c->ops->on_open) c->ops->on_open(c);
}

/* Connected: hands are to be shaken, or it is open. */
static void begin(struct conn *c)
{
    c->is_connecting = 0;
    if (!c->is_handshaking) {
        conn_opened(c);
        return;
    }
    /* Sends ClientHello; nothing is there to be read yet. */
    if (tls_handshake(c->tls) == TLS_AGAIN)
        conn_want_flush(c);
    else
        conn_fail(c, CONN_TLS_FAILED);
}

static enum conn_fault connect_fault(int error)
{
    switch (error) {
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ENETUNREACH:
    case ENETDOWN:
    case ENOENT:
    case ENOTDIR: return CONN_CONNECT_REFUSED;
    default: return CONN_CONNECT_FAILED;
    }
}

static void fail_connect(struct conn *c, int error)
{
    c->connect_errno = (int16_t)error;
    conn_fail(c, connect_fault(error));
}

/* The outcome of connect(2), asked for once. */
static void finish_connect(struct conn *c)
{
    int       error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0) error = errno;
    if (error)
        fail_connect(c, error);
    else
        begin(c);
}

static void run_watch(struct watch *w, int fd, unsigned what)
{
    (void)fd;
    struct conn *c = container_of(w, struct conn, watch);
    struct loop *l = c->loop;
    if (what & LOOP_PEER_CLOSED) c->has_peer_closed = 1;
    if (what & (LOOP_READABLE | LOOP_PEER_CLOSED)) c->is_readable = 1;
    if (what & LOOP_WRITABLE) {
        c->is_writable = !c->is_write_dead;
        if (c->is_connecting && !c->is_open_due && !c->has_fault) finish_connect(c);
        if (!c->is_closed && conn_has_output(c)) conn_want_flush(c);
    }
    if (c->is_readable && c->is_paused && c->is_watching && !c->is_handshaking) conn_peek(c);
    if (c->is_readable || c->has_fault) conn_read(c);
    conn_flush_all(l);
}

/* What is to be told from the loop, and reading that goes on. */
static void run_read_job(struct job *job)
{
    struct conn *c = container_of(job, struct conn, read_job);
    struct loop *l = c->loop;
    if (c->is_open_due) {
        c->is_open_due = 0;
        begin(c);
    }
    conn_read(c);
    conn_flush_all(l);
}

static void init(struct conn *c, struct loop *l, const struct conn_ops *ops, struct outq *out)
{
    *c = (struct conn){ .ops = ops, .loop = l, .out = out, .fd = -1 };
    deadline_init(&c->deadline, run_deadline);
    job_init(&c->read_job, run_read_job);
    list_init(&c->flush_link);
    list_init(&c->doubt_link);
}

void conn_accept(struct conn *c, struct loop *l, const struct conn_ops *ops, struct outq *out,
                 int fd, struct tls_server *tls)
{
    init(c, l, ops, out);
    c->fd = fd;
    c->is_writable = 1;
    c->is_readable = 1;
    if (tls) {
        c->tls = tls_accept(tls, l);
        c->is_handshaking = 1;
    }
    if (!watch_add(l, &c->watch, fd, true, run_watch)) conn_fail(c, CONN_RESET);
    job_queue(l, &c->read_job);
}

/* Returns the error of connect(2), or 0. With an error no socket is left. */
static int start_connect(struct conn *c, const struct conn_target *target)
{
    const struct address   *to = target->address;
    struct sockaddr_storage sa;
    socklen_t               len = address_to_sockaddr(to, &sa);
    const int               one = 1, zero = 0;
    if (!len) return EINVAL;
    c->fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) return errno;
    if (to->family != ADDRESS_UNIX) {
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        if (target->speaks_first) setsockopt(c->fd, IPPROTO_TCP, TCP_QUICKACK, &zero, sizeof(zero));
    }
    if (connect(c->fd, (struct sockaddr *)&sa, len) == 0) {
        c->is_open_due = 1;
        c->is_writable = 1;
        return 0;
    }
    if (errno == EINPROGRESS) return 0;
    int error = errno;
    close(c->fd);
    c->fd = -1;
    return error;
}

void conn_connect(struct conn *c, struct loop *l, const struct conn_ops *ops, struct outq *out,
                  const struct conn_target *to)
{
    init(c, l, ops, out);
    c->is_connecting = 1;
    int error = start_connect(c, to);
    if (!error && !watch_add(l, &c->watch, c->fd, true, run_watch)) error = ENOMEM;
    if (error) {
        fail_connect(c, error);
        job_queue(l, &c->read_job);
        return;
    }
    if (to->tls) {
        c->tls = tls_connect(to->tls, l, to->server_name);
        if (to->is_http_1) tls_offer_http_1(c->tls);
        c->is_handshaking = 1;
        if (to->preamble.len) outq_put(tls_out(c->tls), to->preamble.data, to->preamble.len);
    } else if (to->preamble.len) {
        c->kept = mem_slicedup(to->preamble);
        c->kept_bytes = (uint32_t)to->preamble.len;
        c->has_preamble = 1;
    }
    if (c->is_open_due) job_queue(l, &c->read_job);
}

void conn_start_tls(struct conn *c, struct tls_server *tls, struct slice first)
{
    c->tls = tls_accept(tls, c->loop);
    c->is_handshaking = 1;
    if (first.len) {
        tls_give(c->tls, first.data, first.len);
        tls_keep(c->tls);
    }
    job_queue(c->loop, &c->read_job);
}

void conn_pause(struct conn *c)
{
    c->is_paused = 1;
    c->is_watching = 0;
}

void conn_pause_watching(struct conn *c)
{
    c->is_paused = 1;
    c->is_watching = 1;
}

/* Is there something that conn_read() would tell? */
static bool has_news(const struct conn *c)
{
    return c->is_in_input || c->is_readable || c->kept_bytes || c->is_write_dead ||
           (c->has_eof && !c->has_told_eof) || (c->has_fault && !c->has_told_fault) ||
           (c->tls && tls_has_input(c->tls));
}

void conn_resume(struct conn *c)
{
    c->is_paused = 0;
    if (!c->is_closed && has_news(c)) job_queue(c->loop, &c->read_job);
}

void conn_shutdown_write(struct conn *c)
{
    c->wants_fin = 1;
    conn_want_flush(c);
}

/* close_notify where it is true: after all that was to be said. */
static void say_goodbye(struct conn *c)
{
    if (!c->tls || c->is_handshaking || c->has_sent_notify || c->has_eof) return;
    if (!c->is_writable || !outq_is_empty(c->out) || c->has_fault) return;
    tls_send_close_notify(c->tls);
    conn_send_tls(c);
}

static void close_socket(struct conn *c, bool is_reset)
{
    const struct linger abort_it = { .l_onoff = 1, .l_linger = 0 };
    watch_remove(&c->watch);
    if (is_reset) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &abort_it, sizeof(abort_it));
    close(c->fd);
    c->fd = -1;
}

void conn_close(struct conn *c, bool is_reset)
{
    if (c->is_closed) return;
    if (!is_reset && c->fd >= 0) say_goodbye(c);
    c->is_closed = 1;
    if (c->fd >= 0) close_socket(c, is_reset);
    deadline_remove(&c->deadline);
    job_cancel(&c->read_job);
    list_remove(&c->doubt_link);
    list_remove(&c->flush_link);
    c->is_gathered = 0;
    list_append(&c->loop->closed, &c->flush_link);
}

void conn_free_closed(struct loop *l)
{
    while (!list_is_empty(&l->closed)) {
        struct conn *c = container_of(l->closed.next, struct conn, flush_link);
        list_remove(&c->flush_link);
        tls_free(c->tls);
        free(c->kept);
        c->ops->on_free(c);
    }
}

const char *conn_fault_text(const struct conn *c, enum conn_fault fault)
{
    if (c->connect_errno == EMFILE || c->connect_errno == ENFILE)
        return "the gate is out of file descriptors";
    switch (fault) {
    case CONN_CONNECT_REFUSED: return "connect_refused";
    case CONN_CONNECT_FAILED: return "connect_failed";
    case CONN_TLS_FAILED: return c->tls ? tls_failure(c->tls) : "tls_failed";
    case CONN_RESET: return "connection_reset";
    }
    return "connection_failed";
}

void conn_peer(const struct conn *c, struct address *a)
{
    struct sockaddr_storage sa;
    socklen_t               len = sizeof(sa);
    *a = (struct address){ .family = ADDRESS_NONE };
    if (getpeername(c->fd, (struct sockaddr *)&sa, &len) == 0)
        address_from_sockaddr(a, (struct sockaddr *)&sa, len);
}

void conn_local(const struct conn *c, struct address *a)
{
    struct sockaddr_storage sa;
    socklen_t               len = sizeof(sa);
    *a = (struct address){ .family = ADDRESS_NONE };
    if (getsockname(c->fd, (struct sockaddr *)&sa, &len) == 0)
        address_from_sockaddr(a, (struct sockaddr *)&sa, len);
}
