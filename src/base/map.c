/* SPDX-License-Identifier: Apache-2.0
 *
 * Hash map with linear probing and backward-shift deletion. See map.h.
 */
#include "base/map.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/memory.h"
#include "base/random.h"

struct map_slot {
    struct slice key;
    void        *value; /* NULL: free */
    uint64_t     hash;
};

void map_init(struct map *m)
{
    *m = (struct map){ 0 };
    random_secret(&m->seed, sizeof(m->seed));
}

void map_reset(struct map *m)
{
    free(m->slots);
    *m = (struct map){ .seed = m->seed };
}

static uint64_t hash_of(const struct map *m, struct slice key)
{
    return XXH3_64bits_withSeed(key.data, key.len, m->seed);
}

/* The slot of `key`, or the free one where it belongs. */
static struct map_slot *find(const struct map *m, struct slice key, uint64_t hash)
{
    for (size_t i = hash & (m->capacity - 1);; i = (i + 1) & (m->capacity - 1)) {
        struct map_slot *s = &m->slots[i];
        if (!s->value || (s->hash == hash && slice_eq(s->key, key))) return s;
    }
}

void *map_get(const struct map *m, struct slice key)
{
    if (!m->count) return NULL;
    return find(m, key, hash_of(m, key))->value;
}

static void grow(struct map *m)
{
    struct map old = *m;
    m->capacity = old.capacity ? old.capacity * 2 : 16;
    m->slots = mem_zalloc(m->capacity * sizeof(*m->slots));
    for (size_t i = 0; i < old.capacity; i++)
        if (old.slots[i].value) *find(m, old.slots[i].key, old.slots[i].hash) = old.slots[i];
    free(old.slots);
}

void *map_put(struct map *m, struct slice key, void *value)
{
    if (m->count * 4 >= m->capacity * 3) grow(m);
    uint64_t         hash = hash_of(m, key);
    struct map_slot *s = find(m, key, hash);
    void            *old = s->value;
    if (!old) {
        s->key = key;
        s->hash = hash;
        m->count++;
    }
    s->value = value;
    return old;
}

void *map_remove(struct map *m, struct slice key)
{
    if (!m->count) return NULL;
    struct map_slot *s = find(m, key, hash_of(m, key));
    void            *old = s->value;
    if (!old) return NULL;
    m->count--;
    size_t mask = m->capacity - 1, hole = (size_t)(s - m->slots);
    for (size_t i = (hole + 1) & mask; m->slots[i].value; i = (i + 1) & mask) {
        size_t home = m->slots[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole].value = NULL;
    return old;
}

bool map_next(const struct map *m, size_t *cursor, struct slice *key, void **value)
{
    while (*cursor < m->capacity) {
        const struct map_slot *s = &m->slots[(*cursor)++];
        if (!s->value) continue;
        *key = s->key;
        *value = s->value;
        return true;
    }
    return false;
}
