/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker's encoders: a few are kept for the next body, and all of them together never
 * take more than the pool may. One thread only.
 */
#pragma once

#include "base/counter.h"
#include "http/coding.h"

/* Kept by whoever runs the encoders; the owner reads them. */
struct coder_counters {
    struct counter responses[CODING_COUNT];
    struct counter in_bytes[CODING_COUNT];
    struct counter out_bytes[CODING_COUNT];
    struct counter refused; /* for lack of memory */
};

/* Most bodies leave in one piece; libzstd writes a whole one without keeping any of it. */
enum { CODER_OUT_BYTES = 72 * 1024 };

struct coder_pool {
    struct list            idle;       /* the one used last first */
    size_t                 idle_count; /* at most CODER_IDLE_MAX */
    size_t                 used_bytes; /* by their bounds, idle ones included */
    size_t                 max_bytes;  /* set by the owner, any time */
    char                  *out; /* CODER_OUT_BYTES, for whoever runs one; NULL until the first */
    struct coder_counters *counters; /* set by the owner */
};

void coder_pool_init(struct coder_pool *p);
/* Those that were taken have been given back. */
void coder_pool_reset(struct coder_pool *p);
/* One that has begun; NULL: there is no memory for it. */
struct coder *coder_pool_take(struct coder_pool *p, enum http_coding coding, int level,
                              int64_t body_bytes);
void          coder_pool_give(struct coder_pool *p, struct coder *c);
