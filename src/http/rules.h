/* SPDX-License-Identifier: Apache-2.0
 *
 * What every version of HTTP asks of a head: the fields that speak of the
 * connection, the framing and the host are read, judged and taken out of the
 * list, with what Connection names (RFC 9110 section 7.6.1).
 */
#pragma once

#include "http/codec.h"

struct http_control {
    int64_t      content_length; /* -1: none given */
    struct slice host;
    uint8_t      host_count;
    bool         is_chunked;
    bool         says_close;      /* Connection: close */
    bool         says_keep_alive; /* Connection: keep-alive */
    bool         names_upgrade;   /* Connection: upgrade */
};

/* Fields that a codec answers for itself: they never come from a list. */
#define HTTP_CONTROL_SET                                                                           \
    (UINT64_C(1) << FIELD_CONNECTION | UINT64_C(1) << FIELD_KEEP_ALIVE |                           \
     UINT64_C(1) << FIELD_TRANSFER_ENCODING | UINT64_C(1) << FIELD_CONTENT_LENGTH |                \
     UINT64_C(1) << FIELD_TE | UINT64_C(1) << FIELD_TRAILER | UINT64_C(1) << FIELD_UPGRADE |       \
     UINT64_C(1) << FIELD_PROXY_CONNECTION | UINT64_C(1) << FIELD_HTTP2_SETTINGS |                 \
     UINT64_C(1) << FIELD_HOST | UINT64_C(1) << FIELD_EXPECT)

static inline bool http_is_control_field(unsigned id)
{
    return HTTP_CONTROL_SET >> id & 1;
}

/* Sets *f, returns false: for `return http_refuse(...)`. */
bool http_refuse(struct http_fault *f, uint16_t status, const char *reason);

/* Reads and drops the control fields of `head`; sets its expects_continue,
 * accepts_trailers and upgrade. False and *f when one is malformed. */
bool http_control_take(struct http_head *head, struct http_control *ctl, bool is_request,
                       struct http_fault *f) __attribute__((warn_unused_result));
/* Splits head->target, which begins with "/", into path (in its normal form) and query. */
bool http_split_target(struct http_head *head, struct arena *a, const struct http_limits *limits,
                       struct http_fault *f) __attribute__((warn_unused_result));
/* Judges Host (there must be one when `is_required`) against head->authority,
 * which is what the target said or empty, and sets head->authority. */
bool http_check_host(struct http_head *head, const struct http_control *ctl, bool is_required,
                     bool is_tls, struct http_fault *f) __attribute__((warn_unused_result));
/* Drops what a trailer section may not hold (RFC 9110 section 6.5.1). */
void http_trailers_clean(struct http_fields *trailers);

/* Takes the next element of a comma-separated list off `*list`; white space is
 * trimmed, empty elements are passed over. False at the end. */
bool http_list_next(struct slice *list, struct slice *element);
