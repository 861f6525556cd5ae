/* SPDX-License-Identifier: Apache-2.0
 *
 * The reading half of a connection. See conn.h.
 *
 * A read that does not fill its buffer has emptied the socket, so there is no
 * second one to hear EAGAIN: the next edge tells of more. EPOLLRDHUP tells that
 * the end lies behind what was read. One case escapes: data and a reset that
 * arrive together look like data alone, since libevent drops EPOLLRDHUP when
 * EPOLLERR is set. Therefore a connection that fell silent after such a read is
 * read once more a second later ("doubt").
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/memory.h"
#include "io/conn_pump.h"
#include "io/tls.h"

enum {
    READS_MAX = 2, /* full buffers in one go; then others have their turn */
    RECORD_MAX = 16384,
    DOUBT_MS = 1000,
};

void conn_fail(struct conn *c, enum conn_fault fault)
{
    if (c->has_fault || c->has_told_fault) return;
    c->has_fault = 1;
    c->fault = fault & 3;
    c->is_readable = 0;
}

/* May input be given to the owner now? */
static bool is_open_for_input(const struct conn *c)
{
    return !c->is_closed && !c->is_paused && !c->kept_bytes;
}

/* May the socket be read now? Shaking hands is no input: a pause does not stop it. */
static bool may_read(const struct conn *c)
{
    if (c->is_closed || c->has_eof || c->has_fault || c->is_connecting) return false;
    return c->is_handshaking || is_open_for_input(c);
}

static void doubt(struct conn *c)
{
    struct loop *l = c->loop;
    if (!list_is_empty(&c->doubt_link)) return;
    if (list_is_empty(&l->doubts)) deadline_set(l, &l->doubt_deadline, DOUBT_MS);
    list_append(&l->doubts, &c->doubt_link);
}

void conn_check_doubts(struct deadline *d)
{
    struct loop *l = container_of(d, struct loop, doubt_deadline);
    while (!list_is_empty(&l->doubts)) {
        struct conn *c = container_of(l->doubts.next, struct conn, doubt_link);
        list_remove(&c->doubt_link);
        c->is_readable = 1;
        if (!c->is_paused) job_queue(l, &c->read_job);
    }
}

/* recv(2) into `to`. False when nothing came: then the socket is empty, or the
 * end or an error has been noted. */
static bool receive(struct conn *c, char *to, size_t *got)
{
    ssize_t n;
    do n = recv(c->fd, to, LOOP_SCRATCH_BYTES, 0);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        *got = (size_t)n;
        c->is_readable = n == LOOP_SCRATCH_BYTES || c->has_peer_closed;
        if (!c->is_readable) doubt(c);
        return true;
    }
    c->is_readable = 0;
    if (n == 0) {
        c->has_peer_closed = 1;
        if (c->was_reset)
            conn_fail(c, CONN_RESET);
        else
            c->has_eof = 1;
    } else if (errno != EAGAIN && errno != EWOULDBLOCK) {
        conn_fail(c, CONN_RESET);
    }
    return false;
}

/* Has the owner look at `data` and writes what came of it, since `data` may have
 * been lent to queues. Returns how much is left. */
static size_t offer(struct conn *c, const char *data, size_t len)
{
    job_cancel(&c->read_job);
    c->is_in_input = 1;
    size_t taken = c->ops->on_input(c, data, len);
    assert(taken <= len);
    conn_flush_all(c->loop);
    c->is_in_input = 0;
    /* Not taken is paused, unless he has already asked for the rest. */
    if (taken < len && list_is_empty(&c->read_job.link)) c->is_paused = 1;
    return len - taken;
}

static void keep(struct conn *c, const char *data, size_t len)
{
    c->kept = mem_alloc(len);
    memcpy(c->kept, data, len);
    c->kept_bytes = (uint32_t)len;
}

static void give(struct conn *c, const char *data, size_t len)
{
    c->received_bytes += len;
    size_t left = offer(c, data, len);
    if (left && !c->is_closed) keep(c, data + len - left, left);
}

static void give_kept(struct conn *c)
{
    char  *data = c->kept;
    size_t len = c->kept_bytes;
    c->kept = NULL;
    c->kept_bytes = 0;
    size_t left = offer(c, data, len);
    if (left == len) {
        c->kept = data;
        c->kept_bytes = (uint32_t)len;
        return;
    }
    if (left && !c->is_closed) keep(c, data + len - left, left);
    free(data);
}

/* The owner may start TLS while he looks at the input. */
static void read_plain(struct conn *c)
{
    size_t got;
    for (int i = 0; c->is_readable && !c->tls && may_read(c); i++) {
        if (i == READS_MAX) {
            job_queue(c->loop, &c->read_job);
            return;
        }
        if (receive(c, c->loop->scratch, &got)) give(c, c->loop->scratch, got);
    }
}

static void end_tls(struct conn *c, enum tls_result r)
{
    c->is_readable = 0;
    if (r == TLS_BROKEN) {
        conn_fail(c, CONN_RESET);
        return;
    }
    c->has_eof = 1;
    c->is_truncated = r == TLS_TRUNCATED;
}

/* Gives what the TLS layer has, several records at a time, until it wants more. */
static void decrypt(struct conn *c)
{
    char           *scratch = c->loop->scratch;
    enum tls_result r = TLS_OK;
    while (r == TLS_OK) {
        if (!is_open_for_input(c)) {
            if (!c->is_closed) tls_keep(c->tls);
            return;
        }
        size_t len = 0;
        do {
            size_t got = 0;
            r = tls_read(c->tls, scratch + len, LOOP_SCRATCH_BYTES - len, &got);
            len += got;
        } while (r == TLS_OK && LOOP_SCRATCH_BYTES - len >= RECORD_MAX);
        /* An answer to a key update, or an alert. */
        if (!outq_is_empty(tls_out(c->tls))) conn_want_flush(c);
        if (r != TLS_OK && r != TLS_AGAIN) end_tls(c, r);
        if (len) give(c, scratch, len);
    }
}

/* True when hands are shaken. */
static bool shake_hands(struct conn *c)
{
    enum tls_result r = tls_handshake(c->tls);
    if (!outq_is_empty(tls_out(c->tls)) && !tls_out_may_wait(c->tls)) conn_want_flush(c);
    if (r == TLS_AGAIN) return false;
    if (r == TLS_OK) {
        conn_opened(c);
        return !c->is_closed;
    }
    /* The alert first: the peer is to know why. */
    conn_send_tls(c);
    conn_fail(c, CONN_TLS_FAILED);
    return false;
}

static void use_cipher(struct conn *c)
{
    if (c->is_handshaking && !shake_hands(c)) return;
    decrypt(c);
}

/* The peer has finished; the TLS layer says what end it was. */
static void give_tls_end(struct conn *c)
{
    c->has_eof = 0;
    tls_give(c->tls, NULL, 0);
    if (c->is_handshaking) {
        (void)tls_handshake(c->tls); /* for its words: tls_failure() */
        conn_fail(c, CONN_RESET);
        return;
    }
    decrypt(c);
    /* Paused before that came to light: met again then. */
    if (!c->has_eof && !c->has_fault) c->is_readable = 1;
}

static void read_tls(struct conn *c)
{
    size_t got;
    if (may_read(c) && tls_has_input(c->tls)) use_cipher(c);
    for (int i = 0; c->is_readable && may_read(c); i++) {
        if (i == READS_MAX) {
            job_queue(c->loop, &c->read_job);
            return;
        }
        if (receive(c, c->loop->cipher, &got)) {
            tls_give(c->tls, c->loop->cipher, got);
            use_cipher(c);
        } else if (c->has_eof) {
            give_tls_end(c);
            return;
        }
    }
}

/* After the end, an edge can only be an error; what a TLS peer sends after its
 * close_notify is nobody's. */
static void read_past_end(struct conn *c)
{
    size_t got;
    if (c->is_closed) return;
    if (c->is_readable) receive(c, c->loop->scratch, &got);
    c->is_readable = 0;
    if (c->is_write_dead) conn_fail(c, CONN_RESET);
}

/* The end comes after all input: not while some is kept, or while the owner
 * does not want to hear. That it never came to be open he hears at once. */
static void tell_end(struct conn *c)
{
    bool is_failure = c->has_fault && (c->fault != CONN_RESET || c->is_handshaking);
    if (!is_failure && !is_open_for_input(c)) return;
    if (c->is_closed) return;
    if (c->has_eof && !c->has_told_eof) {
        c->has_told_eof = 1;
        c->ops->on_eof(c);
        conn_flush_all(c->loop);
    }
    if (c->is_closed || !c->has_fault || c->has_told_fault) return;
    c->has_told_fault = 1;
    c->ops->on_fault(c, (enum conn_fault)c->fault);
    conn_flush_all(c->loop);
}

bool conn_is_quiet(const struct conn *c)
{
    char byte;
    return recv(c->fd, &byte, 1, MSG_PEEK) < 0 && errno == EAGAIN;
}

void conn_peek(struct conn *c)
{
    char byte;
    if (c->is_closed || c->has_told_fault) return;
    /* A peer that said more, or FIN, before it went away is found out by writing only. */
    if (!c->is_write_dead) {
        ssize_t n = recv(c->fd, &byte, 1, MSG_PEEK);
        if (n >= 0 || errno == EAGAIN || errno == EINTR) return;
    }
    conn_fail(c, CONN_RESET);
    c->has_told_fault = 1;
    c->ops->on_fault(c, CONN_RESET);
}

void conn_read(struct conn *c)
{
    if (c->is_closed || c->has_told_fault) return;
    job_cancel(&c->read_job);
    if (c->is_write_dead && c->is_paused && c->is_watching && !c->is_handshaking) {
        conn_peek(c);
        return;
    }
    if (c->kept_bytes && !c->has_preamble && !c->is_paused) give_kept(c);
    if (c->has_told_eof)
        read_past_end(c);
    else if (may_read(c) && c->tls)
        read_tls(c);
    else if (may_read(c))
        read_plain(c);
    tell_end(c);
}
