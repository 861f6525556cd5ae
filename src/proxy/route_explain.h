/* SPDX-License-Identifier: Apache-2.0
 *
 * Why a request gets its route and not another one, in words. The winner is the
 * router's own (router_find()); so are the candidates that it looks at. Of all
 * other routes the host or the path does not fit, which is told from their
 * settings. Control thread only: costs as much as there are routes.
 */
#pragma once

#include "base/arena.h"
#include "proxy/route.h"

enum { ROUTE_REASON_MAX = 6 };

struct route_reason {
    uint32_t     route; /* index into settings->routes */
    struct slice why;   /* "the method is none of POST", "its path is a shorter prefix" */
};

struct route_explanation {
    struct router_match match; /* as router_find() says */
    struct slice        why;   /* it won; empty when nothing did */
    /* Those that come next, the nearest first; the rest is only counted. */
    struct route_reason others[ROUTE_REASON_MAX];
    size_t              other_count;
    size_t              left_count;
};

struct route_question {
    const struct router       *router;
    const struct settings     *settings; /* the router's */
    const struct router_query *query;
    struct router_scratch     *scratch;
    struct arena              *arena; /* of the texts */
};

void route_explain(const struct route_question *q, struct route_explanation *to);
