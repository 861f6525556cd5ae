/* SPDX-License-Identifier: Apache-2.0
 *
 * `rewrite:` of a route: the path and query that its server sees. The route has been chosen by
 * then, and stays. What comes out is in the normal form of http/uri.h; what has none is refused,
 * so that no rewriting makes a path that a request could not have had.
 */
#pragma once

#include "http/target.h"
#include "proxy/filter.h"

struct rewrite;

/* In the arena. NULL and *e. */
const struct rewrite *rewrite_build(const struct rewrite_settings *s, const struct uri_rules *rules,
                                    struct arena *a, struct error *e);

struct rewrite_result {
    struct slice path, query;
    bool         has_query;
    struct slice prefix;  /* that was stripped, or empty */
    const char  *refused; /* why, or NULL */
};

void rewrite_run(const struct rewrite *r, const struct http_head *head, struct slice host,
                 struct pattern_matcher *m, struct arena *a, struct rewrite_result *to);

/* Its config is a struct rewrite. */
extern const struct filter_ops filter_rewrite;
