/* SPDX-License-Identifier: Apache-2.0
 *
 * Points in time to the millisecond, for what a request waits for; everything else
 * has deadlines (io/loop.h), which cost nothing to move. A heap over one timerfd of
 * the loop: setting costs a system call only when nothing that is set comes earlier.
 */
#pragma once

#include "io/loop.h"

/* Embedded. Runs once, on the loop's thread, at the end of a turn: after the input that
 * the turn has brought. */
struct alarm {
    struct loop *loop; /* NULL: not set */
    uint64_t     at_ns;
    uint32_t     place; /* in the heap */
    void (*run)(struct alarm *a);
};

void alarm_init(struct alarm *a, void (*run)(struct alarm *));
/* Never early, counted from the turn's start; at least 1 ms. One that is set is moved. */
void alarm_set(struct loop *l, struct alarm *a, uint64_t after_ms);
/* Also before the memory goes. */
void alarm_clear(struct alarm *a);

static inline bool alarm_is_set(const struct alarm *a)
{
    return a->loop != NULL;
}

/* ---- used by io/loop.c only ---- */
struct alarms *alarms_new(struct loop *l); /* NULL: the kernel refuses */
void           alarms_free(struct alarms *s);
