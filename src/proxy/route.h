/* SPDX-License-Identifier: Apache-2.0
 *
 * The router: which route of the configuration serves a request. Built once a
 * plan, immutable, read by every worker without a lock or an allocation.
 *
 * Of all routes whose match holds for a request, the most specific one wins.
 * Compared in this order (docs/routing.md):
 *   1. host:  exact > "*.suffix", the longest first > no host
 *   2. path:  "= /x" exact > longest prefix > "~ regex" in the file's order
 *             > "/" or no path
 *   3. the number of conditions (methods, listeners, each header, each query)
 *   4. the route's name, in byte order
 * The place in the file matters between regular expressions only. Two routes
 * with one and the same match are refused when the plan is built.
 *
 * Hidden here: the host tables, the path nodes, compiled expressions.
 */
#pragma once

#include <stdint.h>

#include "base/counter.h"
#include "base/error.h"
#include "conf/settings.h"
#include "http/message.h"
#include "http/pattern.h"

struct router;
/* What matching writes to: one a worker. */
struct router_scratch;

enum { ROUTER_NONE = -1 };

struct router_query {
    struct slice            host;     /* as the client named it: any case, port, final dot */
    const struct http_head *head;     /* path, query, method and fields are looked at */
    uint16_t                listener; /* index into settings->listeners */
};

struct router_match {
    int32_t route; /* index into settings->routes, or ROUTER_NONE */
    /* A regular expression gave up at its limits and was taken as not matching. */
    bool has_hit_limit;
};

/* Why a candidate did not win; for explanations. */
enum router_verdict {
    ROUTER_MATCHES, /* all of it holds; the first such candidate is the one that serves */
    ROUTER_METHOD,
    ROUTER_LISTENER,
    ROUTER_HEADER,
    ROUTER_QUERY,
    ROUTER_REGEX, /* the path does not match */
};

/* `settings` and the arena must outlive the router. NULL and *e, which names the
 * place, when a path or expression is wrong or two routes match the same. */
const struct router *router_new(const struct settings *settings, struct arena *arena,
                                struct error *e);

/* The same; every fault goes to `report`, at its place. */
struct conf_report;
const struct router *router_new_reporting(const struct settings *settings, struct arena *arena,
                                          struct conf_report *report);

/* `gave_up`: counts the matches that reached a limit, or NULL. */
struct router_scratch *router_scratch_new(struct counter *gave_up);
void                   router_scratch_free(struct router_scratch *s);
/* For other expressions of the same thread. */
struct pattern_matcher *router_scratch_matcher(struct router_scratch *s);

/* The expression of that route's path, or NULL. */
const pcre2_code *router_path_pattern(const struct router *r, size_t route);

struct router_match router_find(const struct router *r, const struct router_query *q,
                                struct router_scratch *s);

/* Calls `visit` for each route whose host and path may serve the request, the
 * most specific first, winners and losers. `what` is the condition that failed
 * (a header's or a parameter's name), or empty. */
void router_explain(const struct router *r, const struct router_query *q, struct router_scratch *s,
                    void (*visit)(void *arg, int32_t route, enum router_verdict verdict,
                                  struct slice what),
                    void *arg);
