/* SPDX-License-Identifier: Apache-2.0
 *
 * Active health checks: asks each member of a roster regularly and tells the
 * roster what came of it (roster_judge). Checks go the way that requests go,
 * over connections of their own. Control thread only.
 */
#pragma once

#include "upstream/client.h"
#include "upstream/roster.h"

enum { PROBER_RUNNING_MAX = 256 };

struct prober {
    struct loop             *loop;
    struct upstream_client   client;
    struct upstream_counters counters;
    struct probed          **probed; /* by upstream->slot; NULL: without checks */
    uint32_t                 probed_count;
    struct list              waiting; /* checks that are due, while too many run */
    unsigned                 running_count;
    struct block_pool        bodies; /* of answers that a regular expression looks at */
    struct body_matcher     *matcher;
    struct log_budget        log_budget;
};

/* `worker_count`: the index behind the last worker is control's (upstream.tls). */
void prober_init(struct prober *p, struct loop *l, unsigned worker_count);
/* Every member was stopped, every upstream released. Turn the loop once more after it. */
void prober_reset(struct prober *p);

/* Before the first and after the last of its members. As often as you like. */
void prober_adopt(struct prober *p, struct upstream *u);
void prober_release(struct prober *p, struct upstream *u);

/* The first check is made at once, or as soon as fewer run. For an upstream without checks
 * nothing, or connections until one is taken, if the member is to listen first. */
void prober_start(struct prober *p, struct member *m);
/* Breaks off what runs and tells nobody; also when it was never started. Safe in whatever
 * roster_judge() calls. */
void prober_stop(struct prober *p, struct member *m);
