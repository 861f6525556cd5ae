/* SPDX-License-Identifier: Apache-2.0
 *
 * `maintenance`: while it is on, requests are told to come back later, but those of listed
 * addresses. Whether it is on, control finds out (a file, or a person over the admin socket) and
 * sets in flags: a request costs two loads, and no call of the system.
 */
#pragma once

#include <stdatomic.h>

#include "proxy/filter.h"

struct maintenance {
    const atomic_bool *is_asked; /* by a person */
    const atomic_bool *has_file; /* NULL: no file turns it on */
    struct cidr_set    allowed;
    struct slice       page, content_type; /* page.data NULL: the route's, or the gateway's own */
    uint64_t           retry_after_s;      /* 0: none */
    uint16_t           status;
};

static inline bool maintenance_is_asked(const struct maintenance *m)
{
    return atomic_load_explicit(m->is_asked, memory_order_relaxed);
}

static inline bool maintenance_has_file(const struct maintenance *m)
{
    return m->has_file && atomic_load_explicit(m->has_file, memory_order_relaxed);
}

static inline bool maintenance_is_on(const struct maintenance *m)
{
    return maintenance_is_asked(m) || maintenance_has_file(m);
}

/* Is that client told to come back later? */
static inline bool maintenance_refuses(const struct maintenance *m, const struct address *client)
{
    return maintenance_is_on(m) && !cidr_set_has(&m->allowed, client);
}

/* Its config is a struct maintenance. */
extern const struct filter_ops filter_maintenance;
