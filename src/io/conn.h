/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection: a stream socket, plain or TLS, and the pump that moves its
 * bytes. One edge-triggered event for both directions; reads right after
 * accept, writes right away. What the bytes mean is the owner's business.
 *
 *   kernel --recv--> scratch --(TLS)--> ops->on_input
 *   kernel <--writev-- (TLS) <-------- *out            after each event: flush
 *
 * Embedded in its owner. All calls and callbacks on the loop's thread. After
 * conn_close() no callback but on_free, which comes at the end of the turn.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/outq.h"
#include "io/address.h"
#include "io/loop.h"

struct conn;
struct tls;        /* io/tls.h: the TLS layer of one connection */
struct tls_server; /* io/tls.h: a listener's certificates, one worker's */
struct tls_client; /* io/tls.h: how to speak TLS to an upstream, one worker's */

enum conn_fault {
    CONN_CONNECT_REFUSED, /* also unreachable, no such path */
    CONN_CONNECT_FAILED,  /* any other error of connect(2) */
    CONN_TLS_FAILED,      /* handshake: alert, bad certificate, garbage */
    CONN_RESET,           /* ECONNRESET, EPIPE, broken TLS record, EOF without close_notify
                             is on_eof with is_truncated set */
};

/* on_open, on_flush, on_sent and on_deadline may be NULL. */
struct conn_ops {
    /* Connected and, with TLS, handshake done. For an accepted plain connection
     * it is not called: it is open at once. */
    void (*on_open)(struct conn *c);
    /* Input. Returns how many bytes were taken; the rest is kept and given again
     * after conn_resume(). Must not be called with the connection paused. */
    size_t (*on_input)(struct conn *c, const char *data, size_t len);
    /* The peer has finished sending; writing may still work. */
    void (*on_eof)(struct conn *c);
    /* *out is about to be written, or copied where it was lent: at the end of each event
     * that asked for it. What is still to be said may be put into it. */
    void (*on_flush)(struct conn *c);
    /* Some of *out was written (encrypted, with TLS; told again when that has gone to the
     * kernel); it may be empty now. Also when is_write_dead made it be dropped. */
    void (*on_sent)(struct conn *c);
    /* Dead, unusable both ways. The owner must conn_close() (now or soon). An error on
     * writing is reported only once nothing more can be read: a peer that answered
     * and closed is heard out. */
    void (*on_fault)(struct conn *c, enum conn_fault fault);
    /* The deadline set by deadline_set(&c->deadline) has passed. */
    void (*on_deadline)(struct conn *c);
    /* Last call: free the memory that embeds the connection. */
    void (*on_free)(struct conn *c);
};

struct conn {
    const struct conn_ops *ops;
    struct loop           *loop;
    struct outq           *out;  /* what to write; the owner's (a codec's) queue */
    struct tls            *tls;  /* NULL: plain */
    char                  *kept; /* input that on_input did not take */
    uint32_t               kept_bytes;
    int                    fd;
    unsigned               is_connecting : 1;
    unsigned               is_handshaking : 1;
    unsigned               is_readable : 1;     /* the kernel may have bytes */
    unsigned               is_writable : 1;     /* the kernel may have room */
    unsigned               has_peer_closed : 1; /* EPOLLRDHUP seen: a short read is not the end */
    unsigned               has_eof : 1;         /* on_eof delivered or due */
    unsigned               is_truncated : 1;    /* TLS ended without close_notify */
    unsigned               is_paused : 1;
    unsigned               is_watching : 1;   /* paused by conn_pause_watching() */
    unsigned               is_write_dead : 1; /* EPIPE: output is discarded, input still read */
    unsigned               is_closed : 1;
    unsigned               is_in_input : 1;
    /* The owner's: many events of a turn add to *out, so that it is written at the turn's
     * end, unless there is much of it. */
    unsigned is_gathering : 1;
    /* Used by io/conn*.c only. */
    unsigned        is_gathered : 1; /* flush_link is in loop->gathered */
    unsigned        has_told_eof : 1;
    unsigned        has_told_fault : 1;
    unsigned        has_fault : 1;       /* `fault` is to be told */
    unsigned        fault : 2;           /* enum conn_fault */
    unsigned        is_open_due : 1;     /* connected at once: tell it from the loop */
    unsigned        has_preamble : 1;    /* `kept` is to be sent before everything else */
    unsigned        was_reset : 1;       /* a write met ECONNRESET: EOF now means that */
    unsigned        wants_fin : 1;       /* after *out */
    unsigned        has_sent_notify : 1; /* close_notify */
    unsigned        has_sent_fin : 1;
    int16_t         connect_errno;  /* of a failed connect(2), for messages */
    uint64_t        received_bytes; /* of plaintext; the owner takes both */
    uint64_t        sent_bytes;
    struct watch    watch;
    struct deadline deadline;
    struct job      read_job;   /* resumes reading outside of other events */
    struct list     flush_link; /* in loop->flushes or ->gathered; closed: in ->closed */
    struct list     doubt_link; /* in loop->doubts */
};

/* `fd` is nonblocking and becomes the connection's. `tls` NULL for plain.
 * Reads at once at the end of the present event. */
void conn_accept(struct conn *c, struct loop *l, const struct conn_ops *ops, struct outq *out,
                 int fd, struct tls_server *tls);

struct conn_target {
    const struct address *address;
    struct tls_client    *tls;         /* NULL: plain */
    struct slice          server_name; /* for SNI and verification unless `tls` fixes one */
    struct slice          preamble;    /* sent before everything else (PROXY protocol); copied */
    bool                  is_http_1;   /* TLS: offer HTTP/1.1 alone */
    /* Once it is open there is something to say at once: that acknowledges the connection
     * too, which saves a packet at both ends. */
    bool speaks_first;
};

/* Starts connecting. A failure is reported by on_fault from the loop, never from
 * within. */
void conn_connect(struct conn *c, struct loop *l, const struct conn_ops *ops, struct outq *out,
                  const struct conn_target *to);
/* Turns an accepted, plain connection into a TLS one (after a PROXY header):
 * `first` are bytes already received. */
void conn_start_tls(struct conn *c, struct tls_server *tls, struct slice first);

/* Mark: *out is to be written when the present event is done. */
void conn_want_flush(struct conn *c);
/* Writes what is marked on this loop. Called by the pump after every event;
 * timers and mailbox handlers call it too. */
void conn_flush_all(struct loop *l);

void conn_pause(struct conn *c);
/* Pauses, but a connection that the peer resets meanwhile, or that cannot be written to
 * any more, is told by on_fault. An end (FIN) is not: it may be half a close. */
void conn_pause_watching(struct conn *c);
/* Is something written not yet in the kernel's hands? With TLS *out may be empty before. */
bool conn_has_unsent(const struct conn *c);
/* Has the peer neither sent anything nor ended since it was read last? Asks the kernel, which may
 * know what this turn of the loop has not come to yet. */
bool conn_is_quiet(const struct conn *c);
/* Reading goes on at the end of the present event. */
void conn_resume(struct conn *c);
/* No more writing: FIN (and close_notify) once *out is empty. */
void conn_shutdown_write(struct conn *c);
/* Closes the descriptor at once; *out, which must still be there, is not written any more
 * (TLS says close_notify if it was empty). `is_reset`: with RST, so that a
 * peer sees that it was cut off. */
void conn_close(struct conn *c, bool is_reset);

/* Of on_fault, as a constant phrase with underscores; in words where it is TLS's, or where the
 * gate itself lacks something ("the gate is ..."). */
const char *conn_fault_text(const struct conn *c, enum conn_fault fault);

/* The address of the other end as the kernel knows it. */
void conn_peer(const struct conn *c, struct address *a);
void conn_local(const struct conn *c, struct address *a);
