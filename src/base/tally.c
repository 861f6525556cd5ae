/* SPDX-License-Identifier: Apache-2.0
 *
 * Counts of keys over a fixed table. See tally.h.
 *
 * Two threads that bring a new key to its set may take a word each: a key's
 * count is the sum of its words. Whoever has entered adds up the set again, and
 * takes back its one where the sum is over the maximum. What was entered stays
 * in its word until it is left, so of all who are in, the one that came last
 * has seen all the others: they are at most the maximum. (Entering and adding
 * up are sequentially consistent.)
 */
#include "base/tally.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/memory.h"
#include "base/random.h"

enum {
    WAYS = 8,
    COUNT_BITS = 20,
    TRIES_MAX = 8, /* of one that meets others at the last place */
    SECRET_BYTES = 192,
    BYTES_MIN = 4096
};

/* A word: the key's tag and its count. 0: free. */
#define COUNT_MASK (((uint64_t)1 << COUNT_BITS) - 1)

struct tally_set {
    _Atomic uint64_t words[WAYS];
};

struct tally {
    struct tally_set *sets;
    size_t            mask; /* sets less one */
    unsigned char     secret[SECRET_BYTES];
};

static_assert(sizeof(struct tally_set) == 64, "a cache line");
static_assert(SECRET_BYTES >= XXH3_SECRET_SIZE_MIN, "XXH3 takes the secret");
static_assert(TALLY_MAX < COUNT_MASK, "a count fits");

struct tally *tally_new(size_t bytes)
{
    struct tally *t = mem_zalloc(sizeof(*t));
    size_t        used = BYTES_MIN;
    while (used <= bytes / 2) used *= 2;
    void *sets = mmap(NULL, used, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (sets == MAP_FAILED) abort();
    t->sets = sets;
    t->mask = used / sizeof(*t->sets) - 1;
    random_secret(t->secret, sizeof(t->secret));
    return t;
}

void tally_free(struct tally *t)
{
    if (!t) return;
    munmap(t->sets, (t->mask + 1) * sizeof(*t->sets));
    free(t);
}

/* What a set says of a key. */
struct view {
    uint64_t sum;
    unsigned count; /* words that it is the sum of */
    unsigned way;   /* the first of them, else a free one, else WAYS */
    uint64_t word;  /* what `way` has: the key's, or nothing */
};

static struct view look(struct tally_set *set, uint64_t tag)
{
    struct view v = { .way = WAYS };
    for (unsigned way = 0; way < WAYS; way++) {
        uint64_t word = atomic_load(&set->words[way]);
        bool     is_its = word && (word & ~COUNT_MASK) == tag;
        if (is_its) v.sum += word & COUNT_MASK;
        v.count += is_its;
        if (is_its ? !v.word : !word && v.way == WAYS) {
            v.word = word;
            v.way = way;
        }
    }
    return v;
}

static void leave(_Atomic uint64_t *at)
{
    uint64_t word = atomic_load_explicit(at, memory_order_relaxed), less;
    do {
        assert(word & COUNT_MASK);
        less = (word & COUNT_MASK) == 1 ? 0 : word - 1;
    } while (!atomic_compare_exchange_weak(at, &word, less));
}

enum tally_result tally_enter(struct tally *t, struct slice key, uint32_t max, uint32_t *place)
{
    assert(max && max <= TALLY_MAX);
    uint64_t hash = XXH3_64bits_withSecret(key.data, key.len, t->secret, sizeof(t->secret));
    uint64_t tag = hash & ~COUNT_MASK;
    size_t   index = hash & t->mask;
    unsigned tries = 0;
    *place = 0;
    while (tries < TRIES_MAX) {
        struct tally_set *set = &t->sets[index];
        struct view       v = look(set, tag);
        if (v.sum >= max && v.count == 1) return TALLY_FULL;
        if (v.sum >= max) {
            tries++; /* one that left and came again meanwhile may be in it twice */
            continue;
        }
        if (v.way == WAYS) return TALLY_UNTRACKED;
        uint64_t more = (v.word ? v.word : tag) + 1;
        if (!atomic_compare_exchange_strong(&set->words[v.way], &v.word, more)) continue;
        if (look(set, tag).sum <= max) {
            *place = (uint32_t)(index * WAYS + v.way) + 1;
            return TALLY_ENTERED;
        }
        leave(&set->words[v.way]);
        tries++;
    }
    return TALLY_FULL;
}

void tally_leave(struct tally *t, uint32_t place)
{
    if (place) leave(&t->sets[(place - 1) / WAYS].words[(place - 1) % WAYS]);
}
