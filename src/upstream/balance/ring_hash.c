/* SPDX-License-Identifier: Apache-2.0
 *
 * Consistent hashing (Karger et al. 1997) with bounded loads (Mirrokni, Thorup,
 * Zadimoghaddam 2016): each endpoint has points on a ring by its weight, a key
 * goes to the next point. An endpoint that comes or goes moves its own keys only.
 *
 * The points lie in buckets by their highest bits, about one in each; that is
 * how they are sorted, too. A look-up reads one bucket and a point or two.
 */
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/memory.h"
#include "upstream/balance/balance.h"

enum {
    POINTS_PER_WEIGHT = 160,
    POINTS_AVERAGE_MAX = 1280, /* of an endpoint */
    POINTS_MAX = 1 << 18,      /* of all */
    WALK_MAX = 64,             /* points that a request looks at */
};

struct point {
    uint32_t hash; /* its highest 32 bits */
    uint32_t index;
};

struct ring {
    uint32_t      max_load;
    unsigned      shift; /* of a hash: leaves the bucket */
    size_t        count;
    struct point *points;  /* in order */
    uint32_t     *buckets; /* the first point of each, and the end */
};

struct whole_point {
    uint64_t hash;
    uint32_t index;
};

/* Weights are worth 160 points each, halved until there are few enough. Not by the average
 * weight: it changes with every endpoint that comes or goes, and would move the others' keys. */
static unsigned halvings(const struct endpoint_tier *tier)
{
    uint64_t max = (uint64_t)POINTS_AVERAGE_MAX * tier->count;
    unsigned n = 0;
    if (max > POINTS_MAX) max = POINTS_MAX;
    while ((tier->total_weight * POINTS_PER_WEIGHT) >> n > max) n++;
    return n;
}

static size_t points_of(const struct endpoint_tier *tier, size_t index, unsigned halved)
{
    size_t n = (size_t)((uint64_t)tier->weights[index] * POINTS_PER_WEIGHT >> halved);
    return n ? n : 1;
}

static size_t count_points(const struct endpoint_tier *tier, unsigned halved)
{
    size_t n = 0;
    for (size_t i = 0; i < tier->count; i++) n += points_of(tier, i, halved);
    return n;
}

/* Made from names alone, so that every gateway has the same ring. */
static struct whole_point *make_points(const struct endpoint_tier *tier, unsigned halved,
                                       size_t count)
{
    struct whole_point *points = mem_alloc(count * sizeof(*points));
    size_t              n = 0;
    for (size_t i = 0; i < tier->count; i++) {
        struct slice identity = slice_of(tier->items[i]->identity);
        uint64_t     pair[2] = { XXH3_64bits(identity.data, identity.len), 0 };
        size_t       end = n + points_of(tier, i, halved);
        for (; n < end; pair[1]++)
            points[n++] = (struct whole_point){ XXH3_64bits(pair, sizeof(pair)), (uint32_t)i };
    }
    return points;
}

/* Afterwards buckets[b + 1] is where bucket b begins. */
static void count_buckets(struct ring *ring, const struct whole_point *points)
{
    size_t buckets = (size_t)1 << (64 - ring->shift);
    ring->buckets = mem_zalloc((buckets + 2) * sizeof(ring->buckets[0]));
    for (size_t i = 0; i < ring->count; i++) ring->buckets[(points[i].hash >> ring->shift) + 2]++;
    for (size_t b = 2; b < buckets + 2; b++) ring->buckets[b] += ring->buckets[b - 1];
}

/* By bucket; afterwards buckets[b] is where bucket b begins. Then by insertion: few points move,
 * and none out of its bucket. */
static void sort_points(struct ring *ring, struct whole_point *sorted,
                        const struct whole_point *points)
{
    for (size_t i = 0; i < ring->count; i++)
        sorted[ring->buckets[(points[i].hash >> ring->shift) + 1]++] = points[i];
    for (size_t i = 1; i < ring->count; i++) {
        struct whole_point p = sorted[i];
        size_t             at = i;
        for (; at && sorted[at - 1].hash > p.hash; at--) sorted[at] = sorted[at - 1];
        sorted[at] = p;
    }
}

static void *table_new(const struct endpoint_tier *tier, const struct balance_config *config)
{
    struct ring *ring = mem_zalloc(sizeof(*ring));
    unsigned     halved = halvings(tier);
    ring->max_load = config->settings->max_load;
    ring->count = count_points(tier, halved);
    ring->shift = 64;
    while (ring->count >> (64 - ring->shift) > 1) ring->shift--;
    struct whole_point *points = make_points(tier, halved, ring->count);
    struct whole_point *sorted = mem_alloc(ring->count * sizeof(*sorted));
    count_buckets(ring, points);
    sort_points(ring, sorted, points);
    ring->points = mem_alloc(ring->count * sizeof(*ring->points));
    for (size_t i = 0; i < ring->count; i++)
        ring->points[i] = (struct point){ (uint32_t)(sorted[i].hash >> 32), sorted[i].index };
    free(points);
    free(sorted);
    return ring;
}

static void table_free(void *table)
{
    struct ring *ring = table;
    free(ring->points);
    free(ring->buckets);
    free(ring);
}

/* The first point at or after the hash. */
static size_t look_up(const struct ring *ring, uint64_t hash)
{
    size_t at = ring->buckets[hash >> ring->shift];
    while (at < ring->count && ring->points[at].hash < hash >> 32) at++;
    return at < ring->count ? at : 0;
}

static struct endpoint *choose(void *state, const struct endpoint_set *set,
                               const struct endpoint_tier *tier, const struct balance_ask *ask)
{
    (void)state;
    const struct ring  *ring = tier->table;
    struct balance_seek seek = balance_seek_start(set, tier, ask, ring->max_load);
    size_t              at = look_up(ring, seek.hash);
    for (unsigned i = 0; i < WALK_MAX; i++) {
        size_t index = ring->points[at].index;
        if (balance_seek_at(&seek, index)) return tier->items[index];
        at = at + 1 < ring->count ? at + 1 : 0;
    }
    return balance_seek_rest(&seek);
}

extern const struct balance_ops balance_ring_hash;
const struct balance_ops        balance_ring_hash = { .name = "ring_hash",
                                                      .has_key = true,
                                                      .is_fixed = true,
                                                      .table_new = table_new,
                                                      .table_free = table_free,
                                                      .choose = choose };
