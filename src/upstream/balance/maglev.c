/* SPDX-License-Identifier: Apache-2.0
 *
 * Maglev hashing (Eisenbud et al. 2016, section 3.4): a table of 65,537 entries
 * that the endpoints fill in turn, each in an order of its own. Shares are even
 * to an entry; an endpoint that comes or goes moves its own keys, and about as
 * many again of the others'. An endpoint of less than a table's 65,537th part of
 * the weight may have no entry.
 */
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/memory.h"
#include "upstream/balance/balance.h"

enum {
    ENTRIES = 65537, /* a prime: every step visits all entries; the paper's small table */
    LOOKS_MAX = 16,  /* entries that a request looks at */
};

static const uint32_t FREE = UINT32_MAX;

struct maglev {
    uint32_t max_load;
    uint32_t entries[ENTRIES]; /* indexes */
};

/* An endpoint that fills the table. */
struct filler {
    uint64_t hash;
    uint64_t credit; /* in 1 / total_weight of an entry */
    uint32_t index;
    uint32_t at, step; /* its order of entries */
};

static int compare(const void *left, const void *right)
{
    const struct filler *a = left, *b = right;
    return a->hash < b->hash ? -1 : a->hash > b->hash;
}

/* In the order of their hashes, so that every gateway has the same table, whatever order it
 * learned of the endpoints in. */
static struct filler *make_fillers(const struct endpoint_tier *tier)
{
    struct filler *fillers = mem_alloc(tier->count * sizeof(*fillers));
    for (size_t i = 0; i < tier->count; i++) {
        struct slice  identity = slice_of(tier->items[i]->identity);
        XXH128_hash_t hash = XXH3_128bits(identity.data, identity.len);
        fillers[i] = (struct filler){
            .hash = hash.low64,
            .credit = tier->total_weight / 2, /* to the nearest entry */
            .index = (uint32_t)i,
            .at = (uint32_t)(hash.low64 % ENTRIES),
            .step = (uint32_t)(hash.high64 % (ENTRIES - 1)) + 1,
        };
    }
    qsort(fillers, tier->count, sizeof(*fillers), compare);
    return fillers;
}

static void fill_next(struct maglev *m, struct filler *f)
{
    for (;;) {
        uint32_t at = f->at;
        f->at += f->step;
        if (f->at >= ENTRIES) f->at -= ENTRIES;
        if (m->entries[at] != FREE) continue;
        m->entries[at] = f->index;
        return;
    }
}

/* In each round an endpoint of the average weight takes one entry, others as many as their
 * weights are worth: there are never more than 65,537 / count rounds, however uneven. */
static void fill(struct maglev *m, const struct endpoint_tier *tier, struct filler *fillers)
{
    for (size_t filled = 0; filled < ENTRIES;) {
        for (size_t i = 0; i < tier->count; i++) {
            struct filler *f = &fillers[i];
            f->credit += (uint64_t)tier->weights[f->index] * tier->count;
            for (; f->credit >= tier->total_weight; f->credit -= tier->total_weight) {
                if (filled++ == ENTRIES) return;
                fill_next(m, f);
            }
        }
    }
}

static void *table_new(const struct endpoint_tier *tier, const struct balance_config *config)
{
    struct maglev *m = mem_alloc(sizeof(*m));
    m->max_load = config->settings->max_load;
    memset(m->entries, 0xff, sizeof(m->entries));
    struct filler *fillers = make_fillers(tier);
    fill(m, tier, fillers);
    free(fillers);
    return m;
}

/* The n-th place of a key: the first is the hash itself. */
static size_t place_of(uint64_t hash, unsigned n)
{
    if (n) hash = XXH3_64bits_withSeed(&hash, sizeof(hash), n);
    return (size_t)((hash >> 32) * ENTRIES >> 32);
}

static struct endpoint *choose(void *state, const struct endpoint_set *set,
                               const struct endpoint_tier *tier, const struct balance_ask *ask)
{
    (void)state;
    const struct maglev *m = tier->table;
    struct balance_seek  seek = balance_seek_start(set, tier, ask, m->max_load);
    for (unsigned i = 0; i < LOOKS_MAX; i++) {
        size_t index = m->entries[place_of(seek.hash, i)];
        if (balance_seek_at(&seek, index)) return tier->items[index];
    }
    return balance_seek_rest(&seek);
}

extern const struct balance_ops balance_maglev;
const struct balance_ops        balance_maglev = { .name = "maglev",
                                                   .has_key = true,
                                                   .is_fixed = true,
                                                   .table_new = table_new,
                                                   .table_free = free,
                                                   .choose = choose };
