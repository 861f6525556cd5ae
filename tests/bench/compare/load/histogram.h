/* SPDX-License-Identifier: Apache-2.0
 *
 * Latencies in log-linear buckets: 128 to each power of two, so that a value is
 * known to within 0.8 %. Fixed size, no allocation.
 */
#pragma once

#include <stdint.h>

enum {
    HISTOGRAM_SUB_BITS = 7,
    HISTOGRAM_BUCKETS = (64 - HISTOGRAM_SUB_BITS) << HISTOGRAM_SUB_BITS
};

struct histogram {
    uint64_t count, sum, max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void     histogram_add(struct histogram *h, uint64_t value);
uint64_t histogram_at(const struct histogram *h, double fraction);
