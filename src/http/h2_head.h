/* SPDX-License-Identifier: Apache-2.0
 *
 * A header block of HTTP/2, field by field as HPACK gives it, and the head that
 * it makes: the rules of RFC 9113 section 8.2 and 8.3, then those that all
 * versions share (rules.h). The first fault is kept; what follows it is only
 * counted.
 */
#pragma once

#include "base/buffer.h"
#include "http/rules.h"

enum h2_head_kind { H2_HEAD_REQUEST, H2_HEAD_RESPONSE, H2_HEAD_TRAILERS };

enum h2_pseudo {
    H2_METHOD,
    H2_SCHEME,
    H2_AUTHORITY,
    H2_PATH,
    H2_PROTOCOL,
    H2_STATUS,
    H2_PSEUDO_COUNT,
};

/* A value in `text`. */
struct h2_span {
    uint32_t at;
    uint32_t len;
};

struct h2_line {
    struct h2_span name;
    struct h2_span value;
    uint16_t       id;
};

/* One a connection: a block is never interleaved with another (RFC 9113 section
 * 4.3). The texts lie as HTTP/1 would write them, so that they can leave in one copy. */
struct h2_head {
    struct buffer     text;
    struct h2_line   *lines;
    uint32_t          count;
    uint32_t          capacity;
    uint64_t          list_bytes; /* all names and values so far */
    struct h2_span    pseudo[H2_PSEUDO_COUNT];
    unsigned          pseudo_seen; /* bit per enum h2_pseudo */
    unsigned          cookie_count;
    enum h2_head_kind kind;
    struct http_fault fault; /* reason NULL: none so far */
};

void h2_head_reset(struct h2_head *h);
void h2_head_begin(struct h2_head *h, enum h2_head_kind kind);
void h2_head_add(struct h2_head *h, struct slice name, struct slice value,
                 const struct http_limits *limits);

/* The finished head, in the arena. NULL and *f when it is malformed; then *method_name
 * (may be empty) says what was asked, for the answer. `has_body`: more follows. */
struct http_head *h2_head_request(const struct h2_head *h, struct arena *a,
                                  const struct http_limits *limits, bool has_body, bool is_tls,
                                  struct http_fault *f);
/* The same of a response. `body_bytes` of the head is what content-length said, or -1. */
struct http_head *h2_head_response(const struct h2_head *h, struct arena *a, struct http_fault *f);
/* What may not trail is dropped. */
struct http_fields *h2_head_trailers(const struct h2_head *h, struct arena *a,
                                     struct http_fault *f);
/* Was the request's method HEAD, whether or not the rest was understood? */
bool h2_head_is_of_head(const struct h2_head *h);
