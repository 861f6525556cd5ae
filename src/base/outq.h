/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes waiting to be written to a connection, in order. Small pieces are
 * copied into blocks; large ones may be borrowed: they are written from where
 * they lie, and whoever lends them calls outq_own() before they go away. A
 * piece may also be a range of a file, which is read when it is written.
 * An empty queue holds no memory. One thread only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/block.h"
#include "base/slice.h"

/* An open file that pieces of queues lie in; its owner embeds it and holds a reference
 * itself. Counted without atomics. */
struct outq_file {
    int      fd;
    unsigned ref_count;
    bool     is_short; /* it ended before a piece did: the message cannot be completed */
    void (*free)(struct outq_file *f);
};

static inline struct outq_file *outq_file_ref(struct outq_file *f)
{
    f->ref_count++;
    return f;
}

static inline void outq_file_unref(struct outq_file *f)
{
    if (f && --f->ref_count == 0) f->free(f);
}

/* So much of a file, at its place. */
struct outq_range {
    struct outq_file *file;
    uint64_t          offset;
    size_t            bytes;
};

/* Reads it all. False: the file does not have it (any more), and knows that it is short. */
bool outq_read_range(const struct outq_range *range, char *to) __attribute__((warn_unused_result));

struct outq {
    struct outq_block *first;
    struct outq_block *last;
    struct block_pool *pool;
    size_t             bytes;          /* in all */
    uint32_t           borrowed_bytes; /* of them, not owned */
    uint32_t           range_count;    /* pieces of them that are still in files */
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
/* Takes a reference to the file for as long as it is needed. A small range is read at once. */
void outq_put_range(struct outq *q, const struct outq_range *range);
/* Copies whatever is still borrowed. */
void outq_own(struct outq *q);

/* Fills at most `max` entries, up to where a file's range begins; returns how many. */
int outq_iovec(const struct outq *q, struct iovec *iov, int max);
/* The first contiguous bytes; none where a file's range comes first. */
struct slice outq_front(const struct outq *q);
/* False: it does not begin with a file's range. */
bool outq_front_range(const struct outq *q, struct outq_range *range);
/* Copies the first `len` bytes, those of files too; they stay queued. False: a file was short,
 * which it knows now. */
bool outq_copy(const struct outq *q, char *to, size_t len) __attribute__((warn_unused_result));
/* Drops the first `len` bytes: they were written. */
void outq_consume(struct outq *q, size_t len);

static inline bool outq_is_empty(const struct outq *q)
{
    return q->bytes == 0;
}
