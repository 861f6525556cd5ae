/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages to a loop from any thread, in order of posting per sender: a
 * lock-free stack that the receiver takes whole and reverses, and an eventfd
 * that is written only when the box was empty.
 */
#pragma once

#include <stdatomic.h>

#include "io/loop.h"

/* Embedded in what is sent; belongs to the receiver from mailbox_post() on. */
struct message {
    struct message *next;
    void (*run)(struct message *m, void *receiver); /* on the receiver's thread */
};

struct mailbox {
    _Atomic(struct message *) top;
    int                       wake_fd;
    void                     *receiver;
    struct loop              *loop;
    struct watch              watch;
};

bool mailbox_init(struct mailbox *m, struct loop *l, void *receiver);
/* Any thread. Never blocks. */
void mailbox_post(struct mailbox *m, struct message *msg);
/* On the receiver's thread: what is there now, without waiting for the loop. */
void mailbox_run(struct mailbox *m);
/* On the receiver's thread, or after its end, once no sender is left; runs what is still there. */
void mailbox_reset(struct mailbox *m);
