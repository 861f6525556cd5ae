/* SPDX-License-Identifier: Apache-2.0
 *
 * Log-linear histogram. See histogram.h.
 */
#include "histogram.h"

static unsigned bucket_of(uint64_t value)
{
    const unsigned sub = 1u << HISTOGRAM_SUB_BITS;
    if (value < sub) return (unsigned)value;
    unsigned shift = 63u - (unsigned)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
    return (shift << HISTOGRAM_SUB_BITS) + (unsigned)(value >> shift);
}

/* The middle of a bucket. */
static uint64_t value_of(unsigned bucket)
{
    const unsigned sub = 1u << HISTOGRAM_SUB_BITS;
    if (bucket < 2 * sub) return bucket;
    unsigned shift = (bucket >> HISTOGRAM_SUB_BITS) - 1;
    uint64_t low = (uint64_t)(bucket - (shift << HISTOGRAM_SUB_BITS)) << shift;
    return low + (UINT64_C(1) << shift) / 2;
}

void histogram_add(struct histogram *h, uint64_t value)
{
    h->count++;
    h->sum += value;
    if (value > h->max) h->max = value;
    h->buckets[bucket_of(value)]++;
}

uint64_t histogram_at(const struct histogram *h, double fraction)
{
    uint64_t rank = (uint64_t)(fraction * (double)h->count);
    uint64_t seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen > rank) return value_of(i) < h->max ? value_of(i) : h->max;
    }
    return h->max;
}
