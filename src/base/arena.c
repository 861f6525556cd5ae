/* SPDX-License-Identifier: Apache-2.0
 *
 * Arena allocator. See arena.h.
 */
#include "base/arena.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

enum { MALLOC_BLOCK_BYTES = 8192 };

struct arena_block {
    struct arena_block *older;
    size_t              bytes;
    struct block_pool  *pool;   /* NULL: free() it */
    size_t              unused; /* keeps the data aligned to 16 */
};

struct arena_cleanup {
    struct arena_cleanup *older;
    void (*hook)(void *arg);
    void *arg;
};

void arena_init(struct arena *a, struct block_pool *pool)
{
    *a = (struct arena){ .pool = pool };
}

void arena_reset(struct arena *a)
{
    for (struct arena_cleanup *c = a->cleanups; c; c = c->older) c->hook(c->arg);
    struct arena_block *b = a->blocks;
    while (b) {
        struct arena_block *older = b->older;
        if (b->pool)
            block_give(b->pool, b);
        else
            free(b);
        b = older;
    }
    *a = (struct arena){ .pool = a->pool };
}

void *arena_alloc_slow(struct arena *a, size_t bytes)
{
    size_t need = ((bytes + !bytes + 7) & ~(size_t)7) + sizeof(struct arena_block);
    if (need < bytes) abort();
    size_t              usual = a->pool ? a->pool->block_bytes : MALLOC_BLOCK_BYTES;
    bool                is_usual = need <= usual;
    struct arena_block *b =
        is_usual && a->pool ? block_take(a->pool) : mem_alloc(is_usual ? usual : need);
    b->pool = is_usual ? a->pool : NULL;
    b->bytes = is_usual ? usual : need;
    char *data = (char *)(b + 1);
    if (!is_usual && a->blocks) {
        /* An oversized block goes behind the current one, which stays in use. */
        b->older = a->blocks->older;
        a->blocks->older = b;
        return data;
    }
    b->older = a->blocks;
    a->blocks = b;
    a->next = (char *)b + need;
    a->end = (char *)b + b->bytes;
    return data;
}

void *arena_zalloc(struct arena *a, size_t bytes)
{
    void *got = arena_alloc(a, bytes);
    memset(got, 0, bytes);
    return got;
}

struct slice arena_copy(struct arena *a, struct slice s)
{
    char *copy = arena_alloc(a, s.len + 1);
    if (s.len) memcpy(copy, s.data, s.len);
    copy[s.len] = '\0';
    return slice_make(copy, s.len);
}

char *arena_strdup(struct arena *a, const char *text)
{
    size_t len = strlen(text);
    return memcpy(arena_alloc(a, len + 1), text, len + 1);
}

struct slice arena_vprintf(struct arena *a, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (len < 0) return slice_make("", 0);
    char *text = arena_alloc(a, (size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, format, args);
    return slice_make(text, (size_t)len);
}

struct slice arena_printf(struct arena *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct slice s = arena_vprintf(a, format, args);
    va_end(args);
    return s;
}

void arena_on_reset(struct arena *a, void (*hook)(void *arg), void *arg)
{
    struct arena_cleanup *c = arena_alloc(a, sizeof(*c));
    *c = (struct arena_cleanup){ a->cleanups, hook, arg };
    a->cleanups = c;
}

size_t arena_bytes(const struct arena *a)
{
    size_t total = 0;
    for (const struct arena_block *b = a->blocks; b; b = b->older) total += b->bytes;
    return total;
}
