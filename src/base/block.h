/* SPDX-License-Identifier: Apache-2.0
 *
 * A free list of equally sized memory blocks: what arenas and output queues are
 * made of, so that the steady state never calls malloc. One thread only.
 */
#pragma once

#include <stddef.h>

struct block_pool {
    void  *free_list;
    size_t block_bytes; /* usable bytes of each block */
    size_t free_count;
    size_t keep_count; /* at most this many are kept for reuse */
};

void block_pool_init(struct block_pool *pool, size_t block_bytes, size_t keep_count);
void block_pool_reset(struct block_pool *pool);
/* Never NULL; contents undefined. */
void *block_take(struct block_pool *pool) __attribute__((returns_nonnull, warn_unused_result));
void  block_give(struct block_pool *pool, void *block);
