/* SPDX-License-Identifier: Apache-2.0
 *
 * One URL for each page: `canonical_host` and `trailing_slash` send other spellings to it by one
 * 308, which keeps the method and the body. Where to is the configured host or the request's own,
 * and a path that begins with one slash: never a place that a client chose.
 */
#pragma once

#include "http/uri.h"
#include "proxy/filter.h"

struct canonical {
    struct slice                host; /* empty: any */
    enum setting_trailing_slash slash;
    struct uri_rules            rules;
};

enum { CANONICAL_STATUS = 308 };

/* Why a request of that host does not stay, a constant, and where it goes: unset where that is no
 * path that a request may have. NULL: it stays. */
const char *canonical_move(const struct canonical *c, const struct http_head *request,
                           struct slice host, bool is_secure, struct arena *a,
                           struct slice *location);

/* Its config is a struct canonical. */
extern const struct filter_ops filter_canonical;
