/* SPDX-License-Identifier: Apache-2.0
 *
 * Hash map from byte strings to pointers: open addressing, XXH3 with a random
 * seed, so that names chosen by an attacker do not collide. Keys are borrowed:
 * they must outlive the map. Reading from several threads is safe while nobody
 * writes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct map {
    struct map_slot *slots;
    size_t           capacity; /* a power of two, or 0 */
    size_t           count;
    uint64_t         seed;
};

void map_init(struct map *m);
/* Frees the table, not what the values point to. */
void map_reset(struct map *m);
/* NULL when it is not there. */
void *map_get(const struct map *m, struct slice key);
/* Returns the value that was there before, or NULL. `value` must not be NULL. */
void *map_put(struct map *m, struct slice key, void *value);
/* Returns the value that was there, or NULL. */
void *map_remove(struct map *m, struct slice key);

/* Iterates in no particular order; `cursor` starts at 0. False at the end. */
bool map_next(const struct map *m, size_t *cursor, struct slice *key, void **value);
