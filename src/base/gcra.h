/* SPDX-License-Identifier: Apache-2.0
 *
 * The local store of rate limits: the generic cell rate algorithm over a fixed
 * table of one 64-bit time a key, shared by all workers without locks and
 * without an allocation a request.
 *
 * A key's state is its theoretical arrival time (TAT): the instant at which its
 * bucket is full again. A request moves it on by the emission interval and is
 * admitted while it lies less than burst + 1 intervals ahead of now. So over
 * any window w a key is admitted at most w / interval + burst + 1 times. A key
 * whose TAT has passed needs no memory: forgetting it changes nothing.
 *
 * Keys are hashed with a random secret into sets of three; when all three are
 * in use, the one that would be full soonest makes room, which is counted. Of
 * a million keys less than one pair shares a bucket because their hashes agree.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct gcra_table;

struct gcra_rule {
    uint64_t interval_ns; /* between two requests at the full rate */
    uint64_t span_ns;     /* interval x (burst + 1): how far ahead a TAT may lie */
};

struct gcra_decision {
    bool     admitted;
    uint32_t remaining;      /* further requests that would be admitted now */
    uint64_t retry_after_ms; /* until one would be admitted; 0 when this one was */
    uint64_t reset_ms;       /* until the bucket is full again */
    uint64_t early_ms;       /* an admitted one: so long before its time without a burst */
};

/* `count` a period, neither of them 0; rounded so that the rate is never exceeded. */
struct gcra_rule gcra_rule_make(uint64_t count, uint64_t period_ms, uint32_t burst);

/* At most `bytes` (a power of two is used whole, and at least 4 KiB); 32 hold three
 * keys, and memory is touched as it is used. 64 MiB keep a million keys that are all
 * in use with 4 in a thousand forgotten early. NULL: the system has not that much. */
struct gcra_table *gcra_table_new(size_t bytes);
void               gcra_table_free(struct gcra_table *t);

/* Any thread. Takes one request of `key` at `now_ns` (monotonic; threads may differ by a
 * little). A refused one changes nothing. */
struct gcra_decision gcra_take(struct gcra_table *t, struct slice key, const struct gcra_rule *rule,
                               uint64_t now_ns);

/* Whether gcra_take() would admit, and what is there before it; changes nothing. */
struct gcra_decision gcra_peek(const struct gcra_table *t, struct slice key,
                               const struct gcra_rule *rule, uint64_t now_ns);

/* Keys that were forgotten before their bucket was full. */
uint64_t gcra_evictions(const struct gcra_table *t);
