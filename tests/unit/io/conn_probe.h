/* SPDX-License-Identifier: Apache-2.0
 *
 * An owner of a connection for tests: records what it is told and does what its
 * knobs say. The other end is a plain socket of the test.
 */
#pragma once

#include "base/buffer.h"
#include "io/conn.h"

struct probe {
    struct conn   conn;
    struct outq   out;
    struct buffer got;
    unsigned      open_count;
    unsigned      input_count;
    unsigned      eof_count;
    unsigned      sent_count;
    unsigned      fault_count;
    unsigned      deadline_count;
    unsigned      free_count;
    int           fault; /* the last one, or -1 */
    bool          was_truncated;
    size_t        largest_input;
    char          failure[128]; /* of TLS, as on_fault found it */

    /* Knobs. */
    size_t        take_max;     /* on_input takes at most so much; 0: everything */
    bool          pauses;       /* on_input pauses */
    bool          echoes;       /* on_input lends its bytes to the output */
    bool          closes_early; /* on_input closes */
    bool          keeps_fault;  /* on_fault does not close */
    bool          closes_at_sent;
    bool          pauses_at_open;
    struct probe *relay;  /* on_input lends its bytes to that one's output */
    struct probe *victim; /* on_input closes that one */
    const char   *says;   /* written at on_open */
};

extern const struct conn_ops probe_ops;

void probe_init(struct probe *p, struct loop *l);
/* On one end of a new socket pair; returns the other one, blocking. */
int probe_pair(struct probe *p, struct loop *l);
/* TCP over loopback, the same. */
int  probe_tcp(struct probe *p, struct loop *l);
void probe_write(struct probe *p, const char *text);
/* Closes it and lets the loop free it. */
void probe_reset(struct probe *p, struct loop *l);
/* A blocking, listening TCP socket on loopback. */
int tcp_listen(struct address *a);
/* Turns until `*flag` is at least `value`; fails the test after some seconds. */
void turn_until(struct loop *l, const unsigned *flag, unsigned value);
void turn_until_bytes(struct loop *l, const struct buffer *b, size_t len);

struct loop *make_loop(void);
void         put(int fd, const char *text);
/* Reads so many bytes, and they are `text`. */
void expect(int fd, const char *text);
void expect_end(int fd);
void expect_reset(int fd);
void expect_got(const struct probe *p, const char *text);
/* Closes with RST. */
void abort_socket(int fd);
