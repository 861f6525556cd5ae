/* SPDX-License-Identifier: Apache-2.0
 *
 * A watch of Redis for tests, and a farm of Sentinels or a cluster that it follows
 * (tests/e2e/redisfarm.py).
 */
#pragma once

#include <stdio.h>
#include <sys/types.h>

#include "base/log.h"
#include "control/redis_watch.h"

struct rig {
    struct log                log;
    struct loop              *loop;
    struct dns               *dns;
    struct mailbox            mailbox;
    struct redis_settings     settings;
    struct sentinel_settings  sentinel;
    struct redis_watch       *watch;
    struct redis_store       *store;
    struct redis_watch_status status; /* by rig_look() */
    unsigned                  retired_count;
};

void rig_init(struct rig *r);
/* A watch of `url`, after what settings say. */
void rig_watch(struct rig *r, const char *url);
void rig_reset(struct rig *r);
/* Reads the status. */
const struct redis_watch_status *rig_look(struct rig *r);
/* The published address that has the key; "": none. */
const char *rig_owner(struct rig *r, const char *key);
/* Turns the loop until it holds; fails the test after a minute. */
#define RIG_UNTIL(r, condition)                                                                    \
    for (uint64_t end_ns_ = clock_mono_ns() + 60000000000u; !(condition);) {                       \
        assert_true(clock_mono_ns() < end_ns_);                                                    \
        loop_turn((r)->loop, 5);                                                                   \
    }
/* Turns it for so long. */
void rig_turn(struct rig *r, uint64_t ms);

struct farm {
    pid_t pid;
    int   in, out;
    char  answer[512];
};

/* "sentinel", "cluster". The password of Redis is "secret", that of Sentinels "watch". */
void farm_start(struct farm *f, const char *kind);
/* A line of Python about `farm`; what it is, while the loop turns. */
const char *farm_do(struct farm *f, struct rig *r, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void farm_stop(struct farm *f);
