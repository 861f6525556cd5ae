/* SPDX-License-Identifier: Apache-2.0
 *
 * Output queue: a list of blocks, each with bytes of its own followed by at
 * most one piece that lies elsewhere: borrowed, or in a file. See outq.h.
 */
#include "base/outq.h"

#include <assert.h>
#include <errno.h>
#include <unistd.h>

/* Reading so much costs less than another system call for sending it. */
enum { READ_AT_ONCE_BYTES = 8 * 1024 };

struct outq_block {
    struct outq_block *next;
    const char        *lent; /* borrowed bytes, after the own ones */
    struct outq_file  *file; /* or where they are, from file_offset on */
    uint64_t           file_offset;
    size_t             lent_bytes;
    uint32_t           begin; /* own bytes: data[begin, end) */
    uint32_t           end;
    char               data[];
};

static size_t capacity(const struct outq *q)
{
    return q->pool->block_bytes - sizeof(struct outq_block);
}

static struct outq_block *add_block(struct outq *q)
{
    struct outq_block *b = block_take(q->pool);
    b->next = NULL;
    b->lent = NULL;
    b->file = NULL;
    b->lent_bytes = 0;
    b->begin = b->end = 0;
    if (q->last)
        q->last->next = b;
    else
        q->first = b;
    q->last = b;
    return b;
}

/* The last block, if own bytes may still be appended to it, else a new one. */
static struct outq_block *open_block(struct outq *q, size_t need)
{
    struct outq_block *b = q->last;
    if (b && !b->lent_bytes && capacity(q) - b->end >= need) return b;
    return add_block(q);
}

void outq_init(struct outq *q, struct block_pool *pool)
{
    *q = (struct outq){ .pool = pool };
}

void outq_reset(struct outq *q)
{
    struct outq_block *b = q->first;
    while (b) {
        struct outq_block *next = b->next;
        outq_file_unref(b->file);
        block_give(q->pool, b);
        b = next;
    }
    outq_init(q, q->pool);
}

char *outq_reserve(struct outq *q, size_t len)
{
    assert(len <= capacity(q));
    struct outq_block *b = open_block(q, len);
    return b->data + b->end;
}

void outq_commit(struct outq *q, size_t used)
{
    q->last->end += (uint32_t)used;
    q->bytes += used;
}

void outq_put(struct outq *q, const void *data, size_t len)
{
    const char *from = data;
    while (len) {
        struct outq_block *b = open_block(q, 1);
        size_t             room = capacity(q) - b->end;
        size_t             n = len < room ? len : room;
        memcpy(b->data + b->end, from, n);
        b->end += (uint32_t)n;
        q->bytes += n;
        from += n;
        len -= n;
    }
}

/* The last block, if it has no piece that lies elsewhere yet, else a new one. */
static struct outq_block *end_block(struct outq *q)
{
    return q->last && !q->last->lent_bytes ? q->last : add_block(q);
}

void outq_borrow(struct outq *q, const void *data, size_t len)
{
    if (!len) return;
    assert(len <= UINT32_MAX - q->borrowed_bytes);
    struct outq_block *b = end_block(q);
    b->lent = data;
    b->lent_bytes = len;
    q->bytes += len;
    q->borrowed_bytes += (uint32_t)len;
}

bool outq_read_range(const struct outq_range *range, char *to)
{
    size_t done = 0;
    while (done < range->bytes) {
        ssize_t n =
            pread(range->file->fd, to + done, range->bytes - done, (off_t)(range->offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            range->file->is_short = true;
            return false;
        }
        done += (size_t)n;
    }
    return true;
}

/* The reference becomes the queue's. */
static void append_range(struct outq *q, const struct outq_range *range)
{
    struct outq_block *b = end_block(q);
    b->file = range->file;
    b->file_offset = range->offset;
    b->lent_bytes = range->bytes;
    q->bytes += range->bytes;
    q->range_count++;
}

void outq_put_range(struct outq *q, const struct outq_range *range)
{
    if (!range->bytes) return;
    if (range->bytes <= READ_AT_ONCE_BYTES && range->bytes <= capacity(q)) {
        if (outq_read_range(range, outq_reserve(q, range->bytes))) {
            outq_commit(q, range->bytes);
            return;
        }
    }
    outq_file_ref(range->file); /* whoever writes a short one finds out */
    append_range(q, range);
}

/* Appends a block of another queue, or, where they fit behind what is there, its bytes:
 * many small pieces do not keep a block each. */
static void adopt_block(struct outq *q, struct outq_block *b)
{
    size_t own = b->end - b->begin;
    b->lent_bytes = 0;
    b->file = NULL;
    b->next = NULL;
    if (!own || (q->last && capacity(q) - q->last->end >= own)) {
        outq_put(q, b->data + b->begin, own);
        block_give(q->pool, b);
        return;
    }
    if (q->last)
        q->last->next = b;
    else
        q->first = b;
    q->last = b;
    q->bytes += own;
}

void outq_own(struct outq *q)
{
    if (!q->borrowed_bytes) return;
    struct outq old = *q;
    outq_init(q, old.pool);
    struct outq_block *b = old.first;
    while (b) {
        struct outq_block *next = b->next;
        const char        *lent = b->lent;
        struct outq_range  range = { b->file, b->file_offset, b->lent_bytes };
        adopt_block(q, b);
        if (range.file)
            append_range(q, &range);
        else
            outq_put(q, lent, range.bytes);
        b = next;
    }
}

int outq_iovec(const struct outq *q, struct iovec *iov, int max)
{
    int n = 0;
    for (const struct outq_block *b = q->first; b && n < max; b = b->next) {
        if (b->begin < b->end)
            iov[n++] = (struct iovec){ (char *)(uintptr_t)(b->data + b->begin), b->end - b->begin };
        if (b->file) break;
        if (b->lent_bytes && n < max)
            iov[n++] = (struct iovec){ (char *)(uintptr_t)b->lent, b->lent_bytes };
    }
    return n;
}

struct slice outq_front(const struct outq *q)
{
    struct iovec iov;
    if (outq_iovec(q, &iov, 1) == 0) return slice_make("", 0);
    return slice_make(iov.iov_base, iov.iov_len);
}

bool outq_front_range(const struct outq *q, struct outq_range *range)
{
    const struct outq_block *b = q->first;
    if (!b || !b->file || b->begin < b->end) return false;
    *range = (struct outq_range){ b->file, b->file_offset, b->lent_bytes };
    return true;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

bool outq_copy(const struct outq *q, char *to, size_t len)
{
    assert(len <= q->bytes);
    for (const struct outq_block *b = q->first; len; b = b->next) {
        size_t own = least(len, b->end - b->begin), lent = least(len - own, b->lent_bytes);
        memcpy(to, b->data + b->begin, own);
        to += own;
        if (b->file) {
            struct outq_range range = { b->file, b->file_offset, lent };
            if (!outq_read_range(&range, to)) return false;
        } else if (lent) {
            memcpy(to, b->lent, lent);
        }
        to += lent;
        len -= own + lent;
    }
    return true;
}

void outq_consume(struct outq *q, size_t len)
{
    assert(len <= q->bytes);
    q->bytes -= len;
    while (len || (q->first && !q->bytes)) {
        struct outq_block *b = q->first;
        size_t             own = b->end - b->begin;
        size_t             n = least(len, own);
        b->begin += (uint32_t)n;
        len -= n;
        n = least(len, b->lent_bytes);
        if (b->file)
            b->file_offset += n;
        else if (n)
            b->lent += n;
        b->lent_bytes -= n;
        if (!b->file) q->borrowed_bytes -= (uint32_t)n;
        len -= n;
        if (b->begin < b->end || b->lent_bytes) break;
        q->first = b->next;
        if (!q->first) q->last = NULL;
        if (b->file) q->range_count--;
        outq_file_unref(b->file);
        block_give(q->pool, b);
    }
}
