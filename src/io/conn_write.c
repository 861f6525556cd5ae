/* SPDX-License-Identifier: Apache-2.0
 *
 * The writing half of a connection. See conn.h.
 *
 * A write that is cut short has filled the socket: the next edge tells of room.
 * What could not be written is copied where it was only lent (outq_own()),
 * because the lender's buffer is about to be used again. Ranges of files go by
 * sendfile(2), or, with TLS, are read into the loop's staging and encrypted from
 * there.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include "base/memory.h"
#include "io/conn_pump.h"
#include "io/tls.h"

enum {
    IOV_MAX_COUNT = 64,
    /* Ciphertext that may wait for the socket: beyond it plaintext stays in *out,
     * where its owner bounds it. */
    CIPHER_AHEAD_BYTES = LOOP_STAGING_BYTES,
    /* So much is not gathered any longer, but written: copying more costs more than a write. */
    GATHERED_BYTES = 16 * 1024,
    /* Marks that arise while marks are served: after so many rounds, jobs first. */
    FLUSH_ROUNDS_MAX = 16,
};

static bool is_notify_due(const struct conn *c)
{
    return c->tls && !c->is_handshaking && c->wants_fin && !c->has_sent_notify;
}

static bool is_fin_due(const struct conn *c)
{
    return c->wants_fin && !c->has_sent_fin;
}

bool conn_has_output(const struct conn *c)
{
    return !outq_is_empty(c->out) || c->has_preamble || is_fin_due(c) ||
           (c->tls && !outq_is_empty(tls_out(c->tls)));
}

bool conn_has_unsent(const struct conn *c)
{
    if (c->is_write_dead) return false;
    return !outq_is_empty(c->out) || (c->tls && !outq_is_empty(tls_out(c->tls)));
}

static void drop_preamble(struct conn *c)
{
    if (!c->has_preamble) return;
    free(c->kept);
    c->kept = NULL;
    c->kept_bytes = 0;
    c->has_preamble = 0;
    if (c->is_readable) job_queue(c->loop, &c->read_job);
}

/* Nothing can be written any more. Whether the peer has said something before it
 * went away, reading shows. */
static void note_write_error(struct conn *c, int error)
{
    c->is_write_dead = 1;
    c->is_writable = 0;
    c->was_reset = error != EPIPE;
    c->is_readable = 1;
    drop_preamble(c);
    if (!c->is_paused || c->is_watching) job_queue(c->loop, &c->read_job);
}

/* What is queued cannot be said. */
static void give_up_writing(struct conn *c)
{
    c->is_write_dead = 1;
    c->is_writable = 0;
    conn_fail(c, CONN_RESET);
    job_queue(c->loop, &c->read_job);
}

/* A system call has refused. */
static void note_send_error(struct conn *c)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        c->is_writable = 0;
    else
        note_write_error(c, errno);
}

/* One system call. Returns how many bytes the socket took. */
static size_t send_iovec(struct conn *c, struct iovec *iov, int count)
{
    size_t  len = 0;
    ssize_t n;
    for (int i = 0; i < count; i++) len += iov[i].iov_len;
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)count };
    do
        n = count == 1 ? send(c->fd, iov->iov_base, len, MSG_NOSIGNAL)
                       : sendmsg(c->fd, &msg, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n >= 0) {
        if ((size_t)n < len) c->is_writable = 0;
        return (size_t)n;
    }
    note_send_error(c);
    return 0;
}

/* The same for a range of a file. That only some of it went may mean that there is not more of
 * it: what the next call says tells. */
static size_t send_range(struct conn *c, const struct outq_range *range)
{
    off_t   offset = (off_t)range->offset;
    ssize_t n;
    do n = sendfile(c->fd, range->file->fd, &offset, range->bytes);
    while (n < 0 && errno == EINTR);
    if (n > 0) return (size_t)n;
    if (n < 0) {
        note_send_error(c);
        return 0;
    }
    range->file->is_short = true;
    give_up_writing(c);
    return 0;
}

static size_t consume_preamble(struct conn *c, size_t sent)
{
    if (!c->has_preamble) return sent;
    if (sent < c->kept_bytes) {
        memmove(c->kept, c->kept + sent, c->kept_bytes - sent);
        c->kept_bytes -= (uint32_t)sent;
        return 0;
    }
    sent -= c->kept_bytes;
    drop_preamble(c);
    return sent;
}

static size_t send_bytes(struct conn *c)
{
    struct iovec iov[IOV_MAX_COUNT];
    int          count = 0;
    if (c->has_preamble) iov[count++] = (struct iovec){ c->kept, c->kept_bytes };
    count += outq_iovec(c->out, iov + count, IOV_MAX_COUNT - count);
    return consume_preamble(c, send_iovec(c, iov, count));
}

/* While it holds, packets are full: head and file share them, and sendfile(2) does not push each
 * of its 64 KiB (a tenth of its cost). A Unix socket knows nothing of it, and needs not. */
static void cork(struct conn *c, int is_on)
{
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_CORK, &is_on, sizeof(is_on));
}

static void write_plain(struct conn *c)
{
    bool has_files = c->is_writable && c->out->range_count > 0;
    if (has_files) cork(c, true);
    while (c->is_writable && (c->has_preamble || !outq_is_empty(c->out))) {
        struct outq_range range;
        bool              is_file = !c->has_preamble && outq_front_range(c->out, &range);
        size_t            sent = is_file ? send_range(c, &range) : send_bytes(c);
        if (sent) outq_consume(c->out, sent);
        c->sent_bytes += sent;
    }
    if (has_files) cork(c, false);
}

void conn_send_tls(struct conn *c)
{
    struct outq *cipher = tls_out(c->tls);
    while (c->is_writable && !outq_is_empty(cipher)) {
        struct iovec iov[IOV_MAX_COUNT];
        size_t       sent = send_iovec(c, iov, outq_iovec(cipher, iov, IOV_MAX_COUNT));
        if (sent) outq_consume(cipher, sent);
    }
}

/* At most `room` bytes of *out, where they lie, or with a file among them in one piece. Returns
 * how many entries; 0: a file was short. */
static int gather_plain(struct conn *c, struct iovec *iov, size_t room)
{
    if (c->out->range_count) {
        size_t len = c->out->bytes < room ? c->out->bytes : room;
        if (!c->loop->staging) c->loop->staging = mem_alloc(LOOP_STAGING_BYTES);
        iov[0] = (struct iovec){ c->loop->staging, len };
        return outq_copy(c->out, c->loop->staging, len);
    }
    int count = outq_iovec(c->out, iov, IOV_MAX_COUNT), used = 0;
    for (size_t len = 0; used < count && len < room; used++) {
        if (iov[used].iov_len > room - len) iov[used].iov_len = room - len;
        len += iov[used].iov_len;
    }
    return used;
}

/* Encrypts what may wait. False when there is nothing to encrypt, or no room. */
static bool encrypt(struct conn *c)
{
    size_t waiting = tls_out(c->tls)->bytes, len = 0;
    if (outq_is_empty(c->out) || waiting >= CIPHER_AHEAD_BYTES) return false;
    struct iovec iov[IOV_MAX_COUNT];
    int          used = gather_plain(c, iov, CIPHER_AHEAD_BYTES - waiting);
    if (!used) {
        give_up_writing(c);
        return false;
    }
    for (int i = 0; i < used; i++) len += iov[i].iov_len;
    if (tls_write(c->tls, iov, used) != TLS_OK) {
        give_up_writing(c);
        return false;
    }
    outq_consume(c->out, len);
    c->sent_bytes += len;
    return true;
}

static void write_tls(struct conn *c)
{
    bool goes_on = true;
    while (goes_on && !c->is_write_dead) {
        goes_on = !c->is_handshaking && encrypt(c);
        if (is_notify_due(c) && outq_is_empty(c->out)) {
            tls_send_close_notify(c->tls);
            c->has_sent_notify = 1;
        }
        conn_send_tls(c);
        /* Ciphertext that waited has left no room for more; now that it has gone, no
         * edge will tell. */
        goes_on |= !c->is_handshaking && c->is_writable && !outq_is_empty(c->out);
    }
}

static void finish_writing(struct conn *c)
{
    if (!is_fin_due(c) || c->is_connecting || c->has_preamble || !outq_is_empty(c->out)) return;
    if (c->tls && (c->is_handshaking || !outq_is_empty(tls_out(c->tls)))) return;
    c->has_sent_fin = 1;
    shutdown(c->fd, SHUT_WR);
}

/* As if it had been written, so that whoever waits for it goes on; the end is on
 * its way by conn_read(). */
static void drop_output(struct conn *c)
{
    c->has_sent_fin = c->wants_fin;
    if (outq_is_empty(c->out)) return;
    outq_consume(c->out, c->out->bytes);
    if (c->has_told_eof && !c->is_paused) job_queue(c->loop, &c->read_job);
}

/* Is *out, all of it owned now, to wait for what the rest of the turn adds? */
static bool gather(struct conn *c)
{
    struct loop *l = c->loop;
    if (!c->is_gathering || l->is_gathered || c->out->bytes >= GATHERED_BYTES || c->wants_fin)
        return false;
    outq_own(c->out);
    list_remove(&c->flush_link); /* what on_flush put in may have marked it again */
    c->is_gathered = 1;
    list_append(&l->gathered, &c->flush_link);
    return true;
}

static void flush(struct conn *c)
{
    if (c->ops->on_flush) c->ops->on_flush(c);
    if (gather(c)) return;
    size_t before = c->out->bytes, cipher_before = c->tls ? tls_out(c->tls)->bytes : 0;
    if (!c->is_connecting && !c->is_write_dead) {
        if (c->tls)
            write_tls(c);
        else
            write_plain(c);
        if (!c->is_write_dead) finish_writing(c);
    }
    if (c->is_write_dead) drop_output(c);
    outq_own(c->out);
    bool has_sent = c->out->bytes < before;
    has_sent |= c->tls && tls_out(c->tls)->bytes < cipher_before;
    if (has_sent && c->ops->on_sent) c->ops->on_sent(c);
}

static void take_marks(struct list *from, struct list *to)
{
    list_init(to);
    if (list_is_empty(from)) return;
    *to = *from;
    to->next->prev = to->prev->next = to;
    list_init(from);
}

void conn_flush_all(struct loop *l)
{
    if (list_is_empty(&l->flushes) || l->is_flushing) return;
    struct list batch;
    l->is_flushing = true;
    for (int round = 0; round < FLUSH_ROUNDS_MAX && !list_is_empty(&l->flushes); round++) {
        take_marks(&l->flushes, &batch);
        while (!list_is_empty(&batch)) {
            struct conn *c = container_of(batch.next, struct conn, flush_link);
            list_remove(&c->flush_link);
            flush(c);
        }
    }
    /* Whoever is still at it: next time, but nothing lent may remain. */
    LIST_EACH (it, &l->flushes) {
        struct conn *c = container_of(it, struct conn, flush_link);
        if (c->ops->on_flush) c->ops->on_flush(c);
        outq_own(c->out);
    }
    l->is_flushing = false;
}

void conn_flush_gathered(struct loop *l)
{
    struct list batch;
    take_marks(&l->gathered, &batch);
    while (!list_is_empty(&batch)) {
        struct conn *c = container_of(batch.next, struct conn, flush_link);
        list_remove(&c->flush_link);
        c->is_gathered = 0;
        conn_want_flush(c);
    }
    l->is_gathered = true;
    conn_flush_all(l);
    l->is_gathered = false;
}

void conn_want_flush(struct conn *c)
{
    if (c->is_closed) return;
    if (c->is_gathered) {
        c->is_gathered = 0;
        list_remove(&c->flush_link);
    }
    if (!list_is_empty(&c->flush_link)) return;
    list_append(&c->loop->flushes, &c->flush_link);
}
