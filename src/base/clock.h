/* SPDX-License-Identifier: Apache-2.0
 *
 * Time. A struct clock is a cache that one thread refreshes once a turn of its
 * loop; texts that change once a second are made once a second.
 */
#pragma once

#include <stdint.h>
#include <time.h>

struct clock {
    uint64_t now_ns;          /* CLOCK_MONOTONIC, at the turn's start */
    uint64_t now_ms;          /* the same in milliseconds */
    int64_t  wall_us;         /* CLOCK_REALTIME since the epoch, microseconds */
    int64_t  text_second;     /* what the texts below were made for */
    char     http_date[32];   /* IMF-fixdate, RFC 9110 section 5.6.7; 29 bytes and NUL */
    char     iso_seconds[24]; /* 2026-11-21T07:00:00, UTC; 19 bytes and NUL */
    char     log_date[32];    /* 21/Nov/2026:07:00:00 +0000; 26 bytes and NUL */
};

void clock_refresh(struct clock *c);

/* Straight from the kernel, not cached. */
uint64_t clock_mono_ns(void);
int64_t  clock_wall_us(void);
