/* SPDX-License-Identifier: Apache-2.0
 *
 * The workers and their threads, as control handles them: all at once, and what
 * is to be done on one worker's thread.
 */
#pragma once

#include <pthread.h>

#include "base/error.h"
#include "io/mailbox.h"
#include "proxy/worker.h"

struct crew_member {
    struct worker *worker;
    pthread_t      thread;
};

struct crew {
    struct crew_member *members;
    struct mailbox    **mailboxes; /* by index; the same order */
    unsigned            count;
    bool                is_running;
    unsigned            drained_count;
    struct mailbox     *control;
    void (*on_drained)(struct crew *c); /* control thread: all have */
    void *arg;
};

void crew_init(struct crew *c, unsigned count, struct mailbox *control);
/* Makes the workers and starts their threads. False and *e when the kernel refuses. */
bool crew_start(struct crew *c, struct log *log, struct access_log *access, enum log_format format,
                struct error *e);
void crew_publish(struct crew *c, struct plan *p);
void crew_drain(struct crew *c);
/* Ends all threads and waits for them. */
void crew_stop(struct crew *c);
void crew_reset(struct crew *c);

/* Runs on a worker's thread; now, when the crew does not run. */
void crew_do(struct crew *c, unsigned index, void (*run)(struct worker *w, void *arg), void *arg);
/* Once every worker has done all that was sent before, `done` runs on the control thread. */
void crew_barrier(struct crew *c, void (*done)(void *arg), void *arg);
