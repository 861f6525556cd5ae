/* SPDX-License-Identifier: Apache-2.0
 *
 * Concurrency limits as a request filter: how many requests of a key are in
 * progress, from their head to the last byte of the answer; a WebSocket for as
 * long as it lives. 429 with Retry-After when it is too many. A dry run counts
 * and lets pass. docs/design/limits.md is the page.
 */
#pragma once

#include "conf/settings.h"
#include "proxy/filter.h"

struct concurrency_limit;

struct concurrency_counts {
    uint64_t admitted;
    uint64_t refused;   /* in a dry run: would have been */
    uint64_t untracked; /* found no place in the table, and passed */
    uint64_t active;    /* admitted ones in progress */
};

/* What a route has: its limits, asked in this order. Lives in the plan. */
struct concurrency_chain {
    struct concurrency_limit *const *limits;
    size_t                           count;
};

/* Its config is a struct concurrency_chain. */
extern const struct filter_ops filter_concurrency;

/* Shared by all workers; keeps no pointer to `s`. */
struct concurrency_limit *concurrency_limit_new(const struct concurrency_limit_settings *s,
                                                unsigned worker_count);
void                      concurrency_limit_free(struct concurrency_limit *l);

/* Control thread. */
struct slice              concurrency_limit_name(const struct concurrency_limit *l);
struct concurrency_counts concurrency_limit_count(const struct concurrency_limit *l);
