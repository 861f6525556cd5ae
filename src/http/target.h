/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a request is rewritten or redirected to: a text of the configuration with parts of the
 * request in it, `https://${host}/new/$1?${query}`.
 *
 *   $1 ... $9, ${match:NAME}   what the pattern's groups captured of the path
 *   ${path} ${query} ${host}   of the request; $$ is a `$`
 *
 * It cannot become another place than the configuration names: scheme and authority are fixed
 * text, or the host is the request's own, which the codec has checked. What follows is a path in
 * the normal form of uri.h, which begins with exactly one "/", or nothing at all comes out. What
 * is put into a query keeps within its place: delimiters in it are percent-encoded.
 */
#pragma once

#include "http/pattern.h"
#include "http/uri.h"

enum target_piece_kind { TARGET_TEXT, TARGET_CAPTURE, TARGET_PATH, TARGET_QUERY, TARGET_HOST };

struct target_piece {
    enum target_piece_kind kind;
    unsigned               group; /* of TARGET_CAPTURE */
    struct slice           text;  /* of TARGET_TEXT */
};

struct target_pieces {
    struct target_piece *items;
    size_t               count;
};

struct target {
    struct slice         origin;   /* "https://example.org", "https://"; empty: a path alone */
    bool                 has_host; /* ${host} comes next */
    struct slice         port;     /* then this: ":8443", or nothing */
    struct target_pieces path;
    struct target_pieces query;
    bool                 has_query; /* "?" stands there */
    struct slice         fragment;  /* with its "#" */
};

/* What of the request goes in. */
struct target_ask {
    struct slice     path, query, host;
    struct slice     captures[PATTERN_CAPTURES_MAX];
    struct uri_rules rules;
};

/* In the arena; keeps pointers to `text`. `code`: what captures, or NULL. `is_local`: neither an
 * origin nor a fragment may stand there. False and *e. */
bool target_parse(struct target *t, struct slice text, const pcre2_code *code, bool is_local,
                  struct arena *a, struct error *e);

/* NULL and the path in its normal form, or why it is refused: a constant. */
const char *target_path(const struct target *t, const struct target_ask *ask, struct arena *a,
                        struct slice *path);
/* The same of the query; empty: there is none. Of a target that has_query. */
const char *target_query(const struct target *t, const struct target_ask *ask, struct arena *a,
                         struct slice *query);
/* The whole, for Location. As target_path(). */
const char *target_location(const struct target *t, const struct target_ask *ask, struct arena *a,
                            struct slice *location);
/* uri_path(), and no line end that `before` did not have: none can be put together. */
const char *target_normal_path(struct slice made, struct slice before,
                               const struct uri_rules *rules, struct arena *a, struct slice *path);
