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

/* Its config is a struct canonical. */
extern const struct filter_ops filter_canonical;
