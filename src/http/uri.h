/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets and authorities (RFC 3986, RFC 9112 section 3.2). Paths come out in
 * one normal form, so that what a route matches is what a replica is sent.
 * Refused is what different programs read differently: see uri_path().
 */
#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"

struct uri_rules {
    bool allows_encoded_slash; /* %2f, %5c, a raw backslash and "..;" */
    bool merges_slashes;       /* "//" -> "/" */
};

/* The normal form of a path that begins with "/": percent-encodings of
 * unreserved bytes decoded, others in upper case, bytes that a path may not
 * hold encoded, dot segments removed. `*path` is `raw` itself when nothing had
 * to change, else in the arena. Returns NULL, or why the path is refused: a
 * constant. */
const char *uri_path(struct slice raw, const struct uri_rules *rules, struct arena *a,
                     struct slice *path);

/* host [ ":" port ] with a host that is a registered name, an IPv4 address or
 * an IPv6 literal; no user information. */
struct uri_authority {
    struct slice text; /* as given, but without an empty port */
    struct slice host; /* IPv6 with its brackets */
    uint16_t     port; /* 0: none given */
};

bool uri_authority(struct slice text, struct uri_authority *to) __attribute__((warn_unused_result));
/* The same host in any case, and the same port when it is missing in one:
 * `default_port` is that of the scheme. */
bool uri_authority_is_same(const struct uri_authority *a, const struct uri_authority *b,
                           uint16_t default_port);
