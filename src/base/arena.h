/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory that is freed whole: of a plan, of a connection, of an exchange.
 * Cleanup hooks run at reset, last registered first. One thread at a time.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/block.h"
#include "base/slice.h"

struct arena {
    struct arena_block   *blocks;
    char                 *next;
    char                 *end;
    struct arena_cleanup *cleanups;
    struct block_pool    *pool; /* NULL: blocks come from malloc */
};

/* Costs nothing until the first allocation. `pool` must outlive the arena. */
void arena_init(struct arena *a, struct block_pool *pool);
/* Runs the hooks, frees everything; the arena may be used again. */
void arena_reset(struct arena *a);

void *arena_alloc_slow(struct arena *a, size_t bytes);
void *arena_zalloc(struct arena *a, size_t bytes) __attribute__((returns_nonnull));
/* NUL-terminated copies, for convenience of C interfaces. */
struct slice arena_copy(struct arena *a, struct slice s);
char        *arena_strdup(struct arena *a, const char *text) __attribute__((returns_nonnull));
struct slice arena_printf(struct arena *a, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
struct slice arena_vprintf(struct arena *a, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
void arena_on_reset(struct arena *a, void (*hook)(void *arg), void *arg);
/* Bytes taken from the system or the pool, for memory bounds and metrics. */
size_t arena_bytes(const struct arena *a);

/* Aligned to 8 bytes, contents undefined, never NULL. */
static inline void *arena_alloc(struct arena *a, size_t bytes)
{
    size_t rounded = (bytes + !bytes + 7) & ~(size_t)7; /* at least 8: nothing is a piece too */
    if (rounded < bytes || rounded > (size_t)(a->end - a->next)) return arena_alloc_slow(a, bytes);
    void *got = a->next;
    a->next += rounded;
    return got;
}

/* Gives back the end of what was allocated last: of its `bytes`, `used` are kept.
 * When something was allocated since, nothing happens. */
static inline void arena_trim(struct arena *a, char *from, size_t bytes, size_t used)
{
    if (a->next != from + ((bytes + 7) & ~(size_t)7)) return;
    a->next = from + ((used + 7) & ~(size_t)7);
}
