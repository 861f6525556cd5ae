/* SPDX-License-Identifier: Apache-2.0
 *
 * Conditional requests (RFC 9110 section 13): whether a request for something that has
 * these validators is to be answered as usual.
 */
#pragma once

#include "http/message.h"

/* Of what would be sent. */
struct http_validators {
    struct slice etag; /* with its quotes; W/ in front of a weak one */
    int64_t      modified_s;
    bool         is_date_weak; /* it may change again within that second */
};

enum http_condition {
    CONDITION_HOLDS,
    CONDITION_NOT_MODIFIED, /* 304 to GET and HEAD */
    CONDITION_FAILED,       /* 412 */
};

/* If-Match, If-Unmodified-Since, If-None-Match, If-Modified-Since, in the order of section
 * 13.2.2. The request is a GET or HEAD. */
enum http_condition http_judge_conditions(const struct http_fields     *request,
                                          const struct http_validators *v);
/* If-Range: may Range be looked at? Also when there is none. */
bool http_if_range_holds(const struct http_fields *request, const struct http_validators *v);
