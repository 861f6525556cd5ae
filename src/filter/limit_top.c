/* SPDX-License-Identifier: Apache-2.0
 *
 * The keys that are refused most. See limit_top.h.
 */
#include "filter/limit_top.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { READ_TRIES = 8, TEXT_BYTES = LIMIT_TOP_WORDS * 8 };

static uint64_t load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static void store(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_relaxed);
}

/* Two halvings of nothing are as good as one: whoever was away for long begins anew. */
static void halve(struct limit_top *t, uint64_t now_ms)
{
    uint64_t times = (now_ms - t->halved_ms) / LIMIT_TOP_HALVED_MS;
    if (!times) return;
    t->halved_ms = now_ms;
    for (size_t i = 0; i < LIMIT_TOP_COUNT; i++)
        store(&t->entries[i].count, times < 64 ? load(&t->entries[i].count) >> times : 0);
}

/* A reader that looks meanwhile looks again. */
static void replace(struct limit_top_entry *e, struct slice key, uint64_t hash)
{
    uint64_t words[LIMIT_TOP_WORDS] = { 0 };
    uint32_t version = atomic_load_explicit(&e->version, memory_order_relaxed);
    memcpy(words, key.data, key.len < TEXT_BYTES ? key.len : TEXT_BYTES);
    atomic_store_explicit(&e->version, version + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    store(&e->hash, hash);
    atomic_store_explicit(&e->length, (uint32_t)key.len, memory_order_relaxed);
    for (size_t i = 0; i < LIMIT_TOP_WORDS; i++) store(&e->text[i], words[i]);
    atomic_store_explicit(&e->version, version + 2, memory_order_release);
}

void limit_top_note(struct limit_top *t, struct slice key, uint64_t now_ms)
{
    uint64_t                hash = XXH3_64bits(key.data, key.len) | 1;
    struct limit_top_entry *least = &t->entries[0];
    halve(t, now_ms);
    for (size_t i = 0; i < LIMIT_TOP_COUNT; i++) {
        struct limit_top_entry *e = &t->entries[i];
        if (load(&e->hash) == hash) {
            store(&e->count, load(&e->count) + 1);
            return;
        }
        if (load(&e->count) < load(&least->count)) least = e;
    }
    /* The newcomer takes over the count: at most that much too large. */
    replace(least, key, hash);
    store(&least->count, load(&least->count) + 1);
}

static bool read_entry(const struct limit_top_entry *e, struct limit_top_key *to)
{
    uint64_t words[LIMIT_TOP_WORDS];
    for (int tries = 0; tries < READ_TRIES; tries++) {
        uint32_t version = atomic_load_explicit(&e->version, memory_order_acquire);
        to->count = load(&e->count);
        to->length = atomic_load_explicit(&e->length, memory_order_relaxed);
        for (size_t i = 0; i < LIMIT_TOP_WORDS; i++) words[i] = load(&e->text[i]);
        atomic_thread_fence(memory_order_acquire);
        if (version & 1 || version != atomic_load_explicit(&e->version, memory_order_relaxed))
            continue;
        to->shown = to->length < TEXT_BYTES ? to->length : TEXT_BYTES;
        memcpy(to->text, words, sizeof(words));
        return to->count > 0;
    }
    return false;
}

size_t limit_top_read(const struct limit_top *t, struct limit_top_key *to)
{
    size_t count = 0;
    for (size_t i = 0; i < LIMIT_TOP_COUNT; i++) count += read_entry(&t->entries[i], &to[count]);
    return count;
}

static int by_text(const void *a, const void *b)
{
    const struct limit_top_key *x = a, *y = b;
    int                         order = memcmp(x->text, y->text, sizeof(x->text));
    return order ? order : (x->length > y->length) - (x->length < y->length);
}

static int by_count(const void *a, const void *b)
{
    const struct limit_top_key *x = a, *y = b;
    return x->count != y->count ? (x->count < y->count) - (x->count > y->count) : by_text(a, b);
}

size_t limit_top_merge(struct limit_top_key *keys, size_t count)
{
    size_t kept = 0;
    qsort(keys, count, sizeof(*keys), by_text);
    for (size_t i = 0; i < count; i++) {
        if (kept && by_text(&keys[kept - 1], &keys[i]) == 0)
            keys[kept - 1].count += keys[i].count;
        else
            keys[kept++] = keys[i];
    }
    qsort(keys, kept, sizeof(*keys), by_count);
    return kept;
}
