/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes waiting to be written to a connection, in order. Small pieces are
 * copied into blocks; large ones may be borrowed: they are written from where
 * they lie, and whoever lends them calls outq_own() before they go away.
 * An empty queue holds no memory. One thread only.
 */
#pragma once

#include <stdint.h>
#include <sys/uio.h>

#include "base/block.h"
#include "base/slice.h"

struct outq {
    struct outq_block *first;
    struct outq_block *last;
    struct block_pool *pool;
    size_t             bytes;          /* in all */
    size_t             borrowed_bytes; /* of them, not owned */
};

void outq_init(struct outq *q, struct block_pool *pool);
/* Drops what is queued. */
void outq_reset(struct outq *q);

/* Copies. */
void outq_put(struct outq *q, const void *data, size_t len);
/* Room for `len` (at most pool block less 64) contiguous bytes to be written in
 * place; then outq_commit() with what was used. */
char *outq_reserve(struct outq *q, size_t len) __attribute__((returns_nonnull));
void  outq_commit(struct outq *q, size_t used);
/* Borrows: `data` must stay until it is written or outq_own() was called. */
void outq_borrow(struct outq *q, const void *data, size_t len);
/* Copies whatever is still borrowed. */
void outq_own(struct outq *q);

/* Fills at most `max` entries; returns how many. */
int outq_iovec(const struct outq *q, struct iovec *iov, int max);
/* The first contiguous bytes. */
struct slice outq_front(const struct outq *q);
/* Drops the first `len` bytes: they were written. */
void outq_consume(struct outq *q, size_t len);

static inline bool outq_is_empty(const struct outq *q)
{
    return q->bytes == 0;
}
