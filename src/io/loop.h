/* SPDX-License-Identifier: Apache-2.0
 *
 * The event loop of one thread, over libevent (which appears nowhere outside
 * io/). A turn: wait, refresh the clock, run what became ready, then the
 * deferred jobs, until none is left.
 */
#pragma once

#include <event2/event_struct.h>

#include "base/block.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/random.h"

enum { LOOP_SCRATCH_BYTES = 128 * 1024, LOOP_STAGING_BYTES = 64 * 1024 };

struct loop;
struct loop_fd;

/* A job for the end of the turn. Embedded; a job that is queued is not queued twice. */
struct job {
    struct list link;
    void (*run)(struct job *job);
};

/* A point in time that may be moved at no cost; see loop_deadline_set(). */
struct deadline {
    struct list link;
    uint64_t    at_ms;   /* clock.now_ms scale; 0: none */
    uint64_t    slot_ms; /* when the wheel will look at it next */
    void (*run)(struct deadline *d);
};

/* Readiness of a descriptor: one persistent event; edge-triggered for both
 * directions (epoll_ctl once), or level-triggered for reading (watch_select()). `what` is
 * LOOP_READABLE | LOOP_WRITABLE | LOOP_PEER_CLOSED. */
enum { LOOP_READABLE = 1, LOOP_WRITABLE = 2, LOOP_PEER_CLOSED = 4 };

struct watch {
    struct event event;
    struct loop *loop;
    void (*run)(struct watch *w, int fd, unsigned what);
};

struct loop {
    struct event_base *base;
    struct clock       clock;
    struct random      random;
    struct log        *log;
    struct block_pool  small_blocks; /* 4 KiB: arenas, heads */
    struct block_pool  large_blocks; /* 16 KiB: queued bodies */
    struct list        jobs;
    struct list        flushes;  /* connections with output to write after the present event */
    struct list        gathered; /* those whose output waits for the end of the turn */
    struct list        closed;   /* connections to be freed at the end of the turn */
    char              *scratch;  /* LOOP_SCRATCH_BYTES: where plain input lands */
    char              *cipher;   /* the same for TLS records */
    char              *staging;  /* LOOP_STAGING_BYTES: files on their way into TLS; NULL: none
                                    was yet */
    struct deadline_wheel *wheel;
    struct alarms         *alarms; /* io/alarm.h */
    bool                   must_stop;
    uint64_t               turn_count;

    /* Used by io/ only. */
    uint64_t        seen_turn;   /* the turn that the clock was refreshed in */
    struct event    wait_timer;  /* bounds the wait of loop_turn() */
    bool            is_flushing; /* conn_flush_all() does not nest */
    bool            is_gathered; /* what waited for the end of the turn is written now */
    struct list     doubts;      /* connections whose end may have gone unseen: conn_read.c */
    struct deadline doubt_deadline;
    struct loop_fd *stale_fds; /* see loop_close_fd() */
    size_t          stale_fd_count;
};

/* NULL and *e when the kernel refuses. `log` is borrowed. */
struct loop *loop_new(struct log *log);
void         loop_free(struct loop *l);
/* Runs turns until loop_stop(). */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);
/* One turn; waits for at most `wait_ms` (-1: until something happens). */
void loop_turn(struct loop *l, int wait_ms);

void job_init(struct job *j, void (*run)(struct job *));
void job_queue(struct loop *l, struct job *j);
void job_cancel(struct job *j);

void deadline_init(struct deadline *d, void (*run)(struct deadline *));
/* Later than before: only a number moves. Precision is some 50 ms, never early. */
void deadline_set(struct loop *l, struct deadline *d, uint64_t after_ms);
void deadline_clear(struct deadline *d);  /* only the number; stays linked */
void deadline_remove(struct deadline *d); /* before the memory goes */

/* The descriptor is borrowed. Starts at once; level-triggered when !is_edge. */
bool watch_add(struct loop *l, struct watch *w, int fd, bool is_edge,
               void (*run)(struct watch *, int, unsigned));
/* What a level-triggered watch looks for from now on: LOOP_READABLE, as after watch_add(),
 * LOOP_WRITABLE (which comes again and again while there is room) or both. */
bool watch_select(struct watch *w, unsigned what);
void watch_remove(struct watch *w);
/* Closes a descriptor that was watched and that another process holds as well (a
 * listening socket): only once the kernel has forgotten the watch, a turn later,
 * since closing alone would leave it reporting for ever. */
void loop_close_fd(struct loop *l, int fd);
/* The clock, refreshed unless this turn has done so: for the first that runs in it. */
void loop_refresh(struct loop *l);
