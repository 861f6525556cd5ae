/* SPDX-License-Identifier: Apache-2.0
 *
 * A plan: a whole configuration, compiled. Immutable once published; built and
 * freed by control (control/plan_build.c), used by workers. An exchange keeps
 * the plan that it began with.
 *
 * References: a worker holds one for as long as the plan is its current one or
 * an exchange or connection of its uses it; it counts its own users without
 * atomics (struct plan_use in worker.h) and gives its one reference back by
 * plan_release().
 */
#pragma once

#include <stdatomic.h>

#include "base/arena.h"
#include "conf/settings.h"
#include "http/codec.h"
#include "io/address.h"
#include "io/tls.h"
#include "proxy/address_limits.h"
#include "proxy/filter.h"
#include "proxy/route.h"
#include "upstream/upstream.h"

struct plan_filter {
    const struct filter_ops *ops;
    const void              *config;
};

/* A page for an answer of the gateway's own: a file's content, read at build. */
struct plan_page {
    uint16_t     status; /* 0: any other */
    struct slice body;
    struct slice content_type;
};

struct plan_part {
    const struct plan_part_ops *ops;
    void                       *part;
};

struct plan_route {
    struct slice                  name;
    const struct policy_settings *policy;
    uint32_t                      series;
    struct upstream              *upstream; /* or NULL: */
    const struct origin_ops      *origin;
    const void                   *origin_config;
    const struct plan_filter     *filters;
    size_t                        filter_count;
    const struct plan_page       *pages;
    size_t                        page_count;
    const pcre2_code             *pattern; /* of its path, or NULL */
};

/* Bound sockets of one address, one a worker; lives as long as a plan names it. */
struct listen_socket {
    struct address address;
    char           text[ADDRESS_TEXT_MAX]; /* as bound: a port 0 is the real one */
    unsigned       plan_count;             /* control thread only */
    unsigned       count; /* workers that accept from it: all, or 1 (admin, Unix sockets) */
    int            fds[];
};

struct plan_listener {
    const struct listener_settings *settings;
    struct slice                    name;
    struct listen_socket          **sockets;
    size_t                          socket_count;
    struct tls_server             **tls;         /* one a worker, or NULL: plain */
    struct cidr_set                 trusted;     /* X-Forwarded-* believed */
    struct cidr_set                 proxy_from;  /* PROXY header required */
    struct address_limits          *per_address; /* the same one in each plan; NULL: is_admin */
    struct address_rule             address_rule;
    /* Not NULL: every request goes here (redirect: https; admin), not to the router. */
    const struct plan_route *only_route;
    bool                     is_admin;
};

struct plan {
    struct arena             arena;
    uint64_t                 generation; /* from 1 */
    struct settings         *settings;
    const struct router     *router;
    struct plan_listener    *listeners; /* settings' order; admin ones last */
    size_t                   listener_count;
    struct plan_route       *routes; /* settings' order */
    size_t                   route_count;
    const struct plan_route *no_route;  /* 404 and what fails before routing: policy = defaults */
    struct upstream        **upstreams; /* all that routes name */
    size_t                   upstream_count;
    struct plan_part        *parts; /* adopted in this order, released in the reverse */
    size_t                   part_count;
    struct http_limits       limits;
    unsigned                 worker_count;
    bool                     logs_access;

    _Atomic unsigned worker_refs;
    /* The last worker has let go. Any worker's thread: posts to control. */
    void (*on_unused)(struct plan *p);
    void *on_unused_arg;
};

static inline void plan_release(struct plan *p)
{
    if (atomic_fetch_sub_explicit(&p->worker_refs, 1, memory_order_acq_rel) == 1) p->on_unused(p);
}
