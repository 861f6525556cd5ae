/* SPDX-License-Identifier: Apache-2.0
 *
 * Output queue: a list of blocks, each with bytes of its own followed by at
 * most one borrowed piece. See outq.h.
 */
#include "base/outq.h"

#include <assert.h>

struct outq_block {
    struct outq_block *next;
    const char        *lent; /* borrowed bytes, after the own ones */
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

void outq_borrow(struct outq *q, const void *data, size_t len)
{
    if (!len) return;
    struct outq_block *b = q->last && !q->last->lent_bytes ? q->last : add_block(q);
    b->lent = data;
    b->lent_bytes = len;
    q->bytes += len;
    q->borrowed_bytes += len;
}

/* Appends a block of another queue, or, where they fit behind what is there, its bytes:
 * many small pieces do not keep a block each. */
static void adopt_block(struct outq *q, struct outq_block *b)
{
    size_t own = b->end - b->begin;
    b->lent_bytes = 0;
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
        size_t             lent_bytes = b->lent_bytes;
        adopt_block(q, b);
        outq_put(q, lent, lent_bytes);
        b = next;
    }
}

int outq_iovec(const struct outq *q, struct iovec *iov, int max)
{
    int n = 0;
    for (const struct outq_block *b = q->first; b && n < max; b = b->next) {
        if (b->begin < b->end)
            iov[n++] = (struct iovec){ (char *)(uintptr_t)(b->data + b->begin), b->end - b->begin };
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

void outq_consume(struct outq *q, size_t len)
{
    assert(len <= q->bytes);
    q->bytes -= len;
    while (len || (q->first && !q->bytes)) {
        struct outq_block *b = q->first;
        size_t             own = b->end - b->begin;
        size_t             n = len < own ? len : own;
        b->begin += (uint32_t)n;
        len -= n;
        n = len < b->lent_bytes ? len : b->lent_bytes;
        if (n) b->lent += n;
        b->lent_bytes -= n;
        q->borrowed_bytes -= n;
        len -= n;
        if (b->begin < b->end || b->lent_bytes) break;
        q->first = b->next;
        if (!q->first) q->last = NULL;
        block_give(q->pool, b);
    }
}
