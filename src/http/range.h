/* SPDX-License-Identifier: Apache-2.0
 *
 * Range requests (RFC 9110 section 14): which bytes are asked for.
 */
#pragma once

#include <stdint.h>

#include "base/slice.h"

enum { HTTP_RANGES_MAX = 16 };

struct http_range {
    uint64_t first;
    uint64_t bytes;
};

struct http_ranges {
    struct http_range items[HTTP_RANGES_MAX]; /* in the order of the request */
    unsigned          count;
};

enum http_range_result {
    RANGE_NONE,          /* the field is to be ignored: all of it */
    RANGE_SOME,          /* 206 */
    RANGE_UNSATISFIABLE, /* 416 */
};

/* The value of Range, for `size` bytes. Ignored, as section 14.2 allows, are other units, what
 * is malformed, ranges of nothing, more than HTTP_RANGES_MAX ranges, and those that ask for more
 * than all. */
enum http_range_result http_ranges_read(struct slice value, uint64_t size, struct http_ranges *to);
