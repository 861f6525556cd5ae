/* SPDX-License-Identifier: Apache-2.0
 *
 * A bucket as the Redis script keeps it (src/filter/limit_script.c), in whole
 * nanoseconds: for tests and simulations, which have clocks of their own.
 */
#pragma once

#include <stdint.h>

#include "filter/lease.h"

struct bucket_rule {
    uint64_t interval_ns;
    uint64_t span_ns; /* interval x (burst + 1) */
};

/* A TAT of 0 or in the past is a full bucket. A negative `want` gives back. */
static inline struct lease_answer bucket_ask(uint64_t *tat, const struct bucket_rule *r,
                                             int64_t want, uint64_t now_ns)
{
    uint64_t ahead = *tat > now_ns ? *tat - now_ns : 0;
    if (ahead > r->span_ns) ahead = r->span_ns;
    uint64_t room = (r->span_ns - ahead) / r->interval_ns;
    uint64_t granted = want < 0 ? 0 : (uint64_t)want < room ? (uint64_t)want : room;
    uint64_t back = want < 0 ? (uint64_t)-want * r->interval_ns : 0;
    ahead += granted * r->interval_ns;
    ahead -= back < ahead ? back : ahead;
    *tat = now_ns + ahead;
    uint64_t free_ns = r->span_ns - ahead, left = free_ns / r->interval_ns;
    return (struct lease_answer){ .granted = (uint32_t)granted,
                                  .left = (uint32_t)left,
                                  .retry_after_us =
                                      left ? 0 : (r->interval_ns - free_ns + 999) / 1000 };
}
