/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/1 heads: bytes in, http_head out, nothing else (RFC 9112 sections 2-5).
 * Two steps: find where a head ends, then parse it once. Slices point into the
 * bytes given, which must therefore live as long as the head.
 */
#pragma once

#include "http/names.h"
#include "http/rules.h"

/* What must follow the bytes that are parsed, for h1_end_text() to fill: marks at
 * which the scanning stops. */
enum { H1_SLACK_BYTES = HTTP_NAME_SLACK_BYTES + 1 };

static inline void h1_end_text(char *end)
{
    memset(end, 0, H1_SLACK_BYTES);
    *end = ':';
}

struct h1_message {
    struct http_head    head;
    struct http_control control;
    unsigned            minor_version; /* 0 or 1: a later minor version counts as 1 */
    size_t              head_bytes;    /* its length, empty line included */
};

/* With room for about as many fields as a head of that length has. */
struct h1_message *h1_message_new(struct arena *a, size_t head_bytes)
    __attribute__((returns_nonnull));

/* Length of the head at the beginning of `data`, its empty line included, or 0
 * when it is not complete. `from`: where to start looking, what lies before it
 * (less 2 bytes) was looked at. A line end without CR counts as one here, so that
 * such heads are refused at once and not waited for. */
size_t h1_head_length(const char *data, size_t len, size_t from);

/* The same of a trailer section: `data` begins just after the last chunk's line. */
size_t h1_trailers_length(const char *data, size_t len, size_t from);

/* Is what is there of an incomplete head already beyond help? Looks at the first
 * line and the size only. False and *f then. */
bool h1_check_begun_request(struct slice begun, const struct http_limits *limits,
                            struct http_fault *f) __attribute__((warn_unused_result));
bool h1_check_begun_response(struct slice begun, const struct http_limits *limits,
                             struct http_fault *f) __attribute__((warn_unused_result));

/* `text` begins with a whole head. On failure what was understood of it stays in m
 * (the method, for the answer). When `text` turns out to be only the beginning of
 * a head, that is a failure like others. */
bool h1_parse_request(struct h1_message *m, struct slice text, struct arena *a,
                      const struct http_limits *limits, bool is_tls, struct http_fault *f)
    __attribute__((warn_unused_result));
bool h1_parse_response(struct h1_message *m, struct slice text, struct arena *a,
                       const struct http_limits *limits, struct http_fault *f)
    __attribute__((warn_unused_result));
/* `text`: field lines and the empty line. What may not trail is dropped. */
bool h1_parse_trailers(struct http_fields *trailers, struct slice text, struct arena *a,
                       const struct http_limits *limits, struct http_fault *f)
    __attribute__((warn_unused_result));
