/* SPDX-License-Identifier: Apache-2.0
 *
 * What supervisor and worker process say to each other: one datagram of a
 * SOCK_SEQPACKET pair is one message with a text and descriptors. Long answers
 * travel as a memfd. Malformed datagrams are refused, never trusted.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/slice.h"

enum wire_kind {
    /* Worker process -> supervisor; each is answered by one WIRE_ANSWER. */
    WIRE_READ = 1, /* text: path; answer: fd */
    WIRE_TAKE,     /* the same to build a plan from; answer: its fd, a memfd of the content,
                      which the supervisor keeps if the plan serves */
    WIRE_APPEND,   /* text: path; answer: fd */
    WIRE_GLOB,     /* text: pattern; answer: memfd of NUL-terminated paths */
    WIRE_BIND,     /* text: address, number: how many in all, first: of them; answer: fds */
    WIRE_UNBIND,   /* text: address */
    WIRE_PREPARE,  /* a reload begins */
    WIRE_COMMIT,   /* a plan was built; number: 1 when it serves */
    WIRE_READY,    /* number: generation; text: the ready file's content or a piece of it;
                      first: 1 when it is the last one */
    WIRE_ANSWER,   /* number: 1 done, 0 refused (text: why) */

    /* Supervisor -> worker process, unasked. */
    WIRE_RELOAD,
    WIRE_REOPEN,
    WIRE_STOP,
};

enum { WIRE_FDS_MAX = 64, WIRE_TEXT_MAX = 8192 };

struct wire_message {
    uint32_t kind; /* enum wire_kind */
    uint32_t number;
    uint32_t first;
    uint32_t text_bytes;
    char     text[WIRE_TEXT_MAX + 1]; /* NUL-terminated on receipt */
    int      fds[WIRE_FDS_MAX];
    uint32_t fd_count;
};

enum wire_result { WIRE_OK, WIRE_NOTHING, WIRE_CLOSED, WIRE_BROKEN };

void wire_init(struct wire_message *m, enum wire_kind kind, uint32_t number);
/* Cut to WIRE_TEXT_MAX. */
void wire_set_text(struct wire_message *m, struct slice text);

/* The descriptors stay the caller's. */
enum wire_result wire_send(int fd, const struct wire_message *m, int flags)
    __attribute__((warn_unused_result));
/* The descriptors become the caller's, close-on-exec. */
enum wire_result wire_receive(int fd, struct wire_message *m, int flags)
    __attribute__((warn_unused_result));
void wire_close_fds(struct wire_message *m);

/* A memfd that holds `content`, positioned at its start; -1 on failure. */
int wire_memfd(struct slice content);
