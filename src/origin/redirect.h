/* SPDX-License-Identifier: Apache-2.0
 *
 * Redirects: `redirect:` of a route to a place with parts of the request in its path and query
 * (http/target.h: never to a host that a client chose), and `redirect: https` of a listener to
 * the same URL by TLS.
 */
#pragma once

#include "http/pattern.h"
#include "http/uri.h"
#include "proxy/filter.h"

struct redirect;

/* In the arena. `of_route`: the expression of the route's path, or NULL: what captures when the
 * redirect has no `match` of its own. NULL and *e. */
const struct redirect *redirect_build(const struct redirect_settings *s, const pcre2_code *of_route,
                                      const struct uri_rules *rules, struct arena *a,
                                      struct error *e);

/* Where a request of that host goes: NULL and the location, or why it gets none: a constant. */
const char *redirect_location(const struct redirect *r, const struct http_head *request,
                              struct slice host, struct pattern_matcher *m, struct arena *a,
                              struct slice *location);

/* Its config is a struct redirect. */
extern const struct origin_ops origin_redirect;

struct https_redirect {
    uint16_t port; /* of the listener with TLS; 443 is left out */
};

/* Its config is a struct https_redirect. 308: method and body stay. */
extern const struct origin_ops origin_https_redirect;
