/* SPDX-License-Identifier: Apache-2.0
 *
 * What route_build.c makes and route.c reads: the router's tables. For those
 * files (and route_match.c) only.
 *
 *   host text --map--> struct route_host
 *                        nodes:    sorted by path; "= /x" and prefixes
 *                        regexes:  in the order in which they are tried
 *                        fallback: "/" or no path
 *   each leads to a list of candidates: route indices, the one with the most
 *   conditions first, ended by CANDIDATES_END.
 */
#pragma once

#include "base/buffer.h"
#include "base/map.h"
#include "http/pattern.h"
#include "proxy/route.h"

#define CANDIDATES_END UINT32_MAX
enum { CANDIDATES_NONE = 0 }; /* candidates[0] is CANDIDATES_END */

enum text_test_kind { TEXT_IS_PRESENT, TEXT_IS_EXACT, TEXT_MATCHES_REGEX };

/* A header's or a query parameter's condition. */
struct text_test {
    struct slice        name;
    struct slice        value;
    const pcre2_code   *regex;
    enum text_test_kind kind;
    enum http_field_id  field; /* of a header */
};

struct route_conditions {
    uint32_t          method_bits; /* by enum http_method; 0 with no other_methods: any */
    struct slice     *other_methods;
    size_t            other_method_count;
    uint16_t         *listeners; /* none: any */
    size_t            listener_count;
    struct text_test *headers;
    size_t            header_count;
    struct text_test *query;
    size_t            query_count;
};

/* One path that routes of a host name. `parent` is the longest other node whose
 * path this one's begins with, or -1. */
struct path_node {
    const char *path;
    uint32_t    len;
    int32_t     parent;
    uint32_t    exact;  /* candidates of "= path" */
    uint32_t    prefix; /* candidates of "path" */
};

struct path_regex {
    const pcre2_code *code;
    uint32_t          candidates;
};

struct route_host {
    const struct path_node  *nodes;
    const struct path_regex *regexes;
    uint32_t                 node_count;
    uint32_t                 regex_count;
    uint32_t                 fallback;
};

struct router {
    struct map                            exact;    /* host -> struct route_host */
    struct map                            suffixes; /* what follows "*." -> struct route_host */
    size_t                                suffix_bytes_max;
    const struct route_host              *any; /* routes without a host, or NULL */
    const uint32_t                       *candidates;
    const struct route_conditions *const *conditions; /* by route; NULL: none */
    const pcre2_code                    **patterns;   /* of paths, by route; NULL: none */
};

struct router_scratch {
    struct pattern_matcher matcher;
    struct buffer          decoded[2]; /* a query parameter's name and value */
};

/* route_match.c */
/* ROUTER_MATCHES, or what failed; then *what names it. */
enum router_verdict route_conditions_check(const struct route_conditions *c,
                                           const struct router_query *q, struct router_scratch *s,
                                           struct slice *what);
