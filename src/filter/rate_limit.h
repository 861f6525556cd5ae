/* SPDX-License-Identifier: Apache-2.0
 *
 * Rate limits as a request filter: one bucket a client address, 429 with
 * Retry-After when it is empty, RateLimit and RateLimit-Policy (the IETF's
 * httpapi draft) on every answer. A dry run counts and lets pass.
 */
#pragma once

#include "conf/settings.h"
#include "proxy/filter.h"

struct rate_limit;

struct rate_limit_counts {
    uint64_t admitted;
    uint64_t refused; /* in a dry run: would have been */
    uint64_t evictions;
};

/* Its config is a struct rate_limit. */
extern const struct filter_ops filter_rate_limit;

/* Shared by all workers; keeps no pointer to `s`. */
struct rate_limit *rate_limit_new(const struct rate_limit_settings *s, unsigned worker_count);
void               rate_limit_free(struct rate_limit *l);

/* Control thread. */
struct slice             rate_limit_name(const struct rate_limit *l);
struct rate_limit_counts rate_limit_count(const struct rate_limit *l);
