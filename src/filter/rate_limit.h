/* SPDX-License-Identifier: Apache-2.0
 *
 * Rate limits as a request filter: the rules of a route, asked in order; 429 with
 * Retry-After by the first whose bucket is empty, or a pause until it is the request's
 * turn; RateLimit and RateLimit-Policy (the IETF's httpapi draft) of all of them on every
 * answer. A dry run counts and lets pass. docs/design/limits.md is the page.
 */
#pragma once

#include "conf/settings.h"
#include "filter/limit_top.h"
#include "proxy/filter.h"

struct limit_remote;
struct limit_store;
struct rate_limit;

struct rate_limit_counts {
    uint64_t admitted;
    uint64_t delayed;   /* of them, those that had to wait for their turn */
    uint64_t refused;   /* in a dry run: would have been */
    uint64_t fallbacks; /* decided by on_failure, since Redis could not be asked */
    uint64_t evictions;
    uint64_t lost_tokens; /* of keys that had to make room: taken in Redis, used by nobody */
};

/* What a route has: its rules. Lives in the plan. */
struct rate_limit_chain {
    struct rate_limit *const *rules;
    size_t                    count;
};

/* Its config is a struct rate_limit_chain. */
extern const struct filter_ops filter_rate_limit;

/* Shared by all workers; keeps no pointer to `s`. `store`, which must outlive it, is where the
 * rule's counts are, unless they are its own. NULL: its memory cannot be had. */
struct rate_limit *rate_limit_new(const struct rate_limit_settings *s, struct limit_store *store,
                                  unsigned worker_count);
void               rate_limit_free(struct rate_limit *l);

/* Control thread. */
struct slice             rate_limit_name(const struct rate_limit *l);
struct rate_limit_counts rate_limit_count(const struct rate_limit *l);
/* Its keys that were refused most of late, the largest first; at most `most`. Returns how
 * many. */
size_t rate_limit_top(const struct rate_limit *l, struct limit_top_key *to, size_t most);
/* What workers keep of it, or NULL: nothing. */
struct limit_remote *rate_limit_remote(const struct rate_limit *l);
