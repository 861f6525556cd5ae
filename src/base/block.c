/* SPDX-License-Identifier: Apache-2.0
 *
 * Free list of memory blocks. See block.h.
 */
#include "base/block.h"

#include <stdlib.h>

#include "base/memory.h"

#if defined(__SANITIZE_ADDRESS__)
#define WG_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WG_POISON 1
#endif
#endif

/* Under AddressSanitizer every block is a malloc of its own, so that a use
 * after block_give() is reported. */
#ifdef WG_POISON
#define KEEP_BLOCKS 0
#else
#define KEEP_BLOCKS 1
#endif

void block_pool_init(struct block_pool *pool, size_t block_bytes, size_t keep_count)
{
    *pool = (struct block_pool){ .block_bytes = block_bytes, .keep_count = keep_count };
}

void block_pool_reset(struct block_pool *pool)
{
    while (pool->free_list) {
        void *block = pool->free_list;
        pool->free_list = *(void **)block;
        free(block);
    }
    pool->free_count = 0;
}

void *block_take(struct block_pool *pool)
{
    void *block = pool->free_list;
    if (!block) return mem_alloc(pool->block_bytes);
    pool->free_list = *(void **)block;
    pool->free_count--;
    return block;
}

void block_give(struct block_pool *pool, void *block)
{
    if (!block) return;
    if (!KEEP_BLOCKS || pool->free_count >= pool->keep_count) {
        free(block);
        return;
    }
    *(void **)block = pool->free_list;
    pool->free_list = block;
    pool->free_count++;
}
