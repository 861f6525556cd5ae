/* SPDX-License-Identifier: Apache-2.0
 *
 * Things that several plans share. See registry.h.
 */
#include "control/registry.h"

#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"
#include "proxy/stats.h"

struct series_entry {
    char    *name;
    uint32_t id;
    unsigned plan_count;
};

struct series_pool {
    struct map            by_name;
    struct series_entry **entries; /* by id; entry 0 is NULL */
    size_t                count;   /* ids given out, 0 included */
};

struct registry {
    struct map         items[REGISTRY_KIND_COUNT];
    bool              *slots; /* taken */
    uint32_t           slot_count;
    struct series_pool series[SERIES_KIND_COUNT];
    size_t             held_count;
};

struct registry *registry_new(void)
{
    struct registry *r = mem_zalloc(sizeof(*r));
    for (int i = 0; i < REGISTRY_KIND_COUNT; i++) map_init(&r->items[i]);
    for (int i = 0; i < SERIES_KIND_COUNT; i++) {
        map_init(&r->series[i].by_name);
        r->series[i].entries = mem_zalloc(sizeof(struct series_entry *));
        r->series[i].count = 1;
    }
    return r;
}

static void free_series(struct series_pool *pool)
{
    for (size_t i = 1; i < pool->count; i++) {
        free(pool->entries[i]->name);
        free(pool->entries[i]);
    }
    free(pool->entries);
    map_reset(&pool->by_name);
}

void registry_free(struct registry *r)
{
    if (!r) return;
    assert(r->held_count == 0);
    for (int i = 0; i < REGISTRY_KIND_COUNT; i++) map_reset(&r->items[i]);
    for (int i = 0; i < SERIES_KIND_COUNT; i++) free_series(&r->series[i]);
    free(r->slots);
    free(r);
}

/* ---- items ---- */

struct registry_item *registry_find(const struct registry *r, enum registry_kind kind,
                                    struct slice key)
{
    return map_get(&r->items[kind], key);
}

struct registry_item *registry_add(struct registry *r, enum registry_kind kind, struct slice key,
                                   void *object, void (*free_item)(struct registry_item *, void *),
                                   void *arg)
{
    struct registry_item *item = mem_zalloc(sizeof(*item));
    item->kind = kind;
    item->key = slice_make(mem_slicedup(key), key.len);
    item->object = object;
    item->free = free_item;
    item->free_arg = arg;
    map_put(&r->items[kind], item->key, item);
    return item;
}

void registry_forget(struct registry *r, struct registry_item *item)
{
    if (!item->is_forgotten) map_remove(&r->items[item->kind], item->key);
    item->is_forgotten = true;
}

struct hold {
    struct registry      *registry;
    struct registry_item *item;
};

static void release_item(void *arg)
{
    struct hold          *h = arg;
    struct registry_item *item = h->item;
    h->registry->held_count--;
    if (--item->plan_count) return;
    registry_forget(h->registry, item);
    item->free(item, item->free_arg);
    free((char *)(uintptr_t)item->key.data);
    free(item);
}

void registry_hold(struct registry *r, struct registry_item *item, struct arena *plan)
{
    struct hold *h = arena_alloc(plan, sizeof(*h));
    *h = (struct hold){ r, item };
    item->plan_count++;
    r->held_count++;
    arena_on_reset(plan, release_item, h);
}

void registry_each(struct registry *r, enum registry_kind               kind,
                   void (*visit)(void *, struct registry_item *), void *arg)
{
    size_t       cursor = 0;
    struct slice key;
    void        *item;
    while (map_next(&r->items[kind], &cursor, &key, &item)) visit(arg, item);
}

/* ---- slots ---- */

uint32_t registry_take_slot(struct registry *r)
{
    uint32_t slot = 0;
    while (slot < r->slot_count && r->slots[slot]) slot++;
    if (slot == r->slot_count) {
        uint32_t more = r->slot_count ? r->slot_count * 2 : 16;
        r->slots = mem_realloc(r->slots, more * sizeof(bool));
        memset(r->slots + r->slot_count, 0, (more - r->slot_count) * sizeof(bool));
        r->slot_count = more;
    }
    r->slots[slot] = true;
    return slot;
}

void registry_give_slot(struct registry *r, uint32_t slot)
{
    r->slots[slot] = false;
}

/* ---- series ---- */

/* A new id while there are any: counters of a name that is gone are not another's. */
static struct series_entry *new_series(struct series_pool *pool, uint32_t max)
{
    struct series_entry *entry = NULL;
    if (max >= STATS_SERIES_MAX) max = STATS_SERIES_MAX - 1;
    if (pool->count <= max) {
        entry = mem_zalloc(sizeof(*entry));
        entry->id = (uint32_t)pool->count++;
        pool->entries = mem_realloc(pool->entries, pool->count * sizeof(entry));
        pool->entries[entry->id] = entry;
        return entry;
    }
    for (size_t i = 1; i < pool->count && i <= max; i++) {
        entry = pool->entries[i];
        if (entry->plan_count) continue;
        map_remove(&pool->by_name, slice_of(entry->name));
        free(entry->name);
        return entry;
    }
    return NULL;
}

static void release_series(void *arg)
{
    struct series_entry *entry = arg;
    entry->plan_count--;
}

uint32_t registry_hold_series(struct registry *r, enum series_kind kind, struct slice name,
                              uint32_t max, struct arena *plan)
{
    struct series_pool  *pool = &r->series[kind];
    struct series_entry *entry = map_get(&pool->by_name, name);
    if (!entry) {
        entry = new_series(pool, max);
        if (!entry) return STATS_SERIES_OTHER;
        entry->name = mem_slicedup(name);
        map_put(&pool->by_name, slice_make(entry->name, name.len), entry);
    }
    entry->plan_count++;
    arena_on_reset(plan, release_series, entry);
    return entry->id;
}

const struct slice *registry_series_names(const struct registry *r, enum series_kind kind,
                                          struct arena *arena, size_t *count)
{
    const struct series_pool *pool = &r->series[kind];
    struct slice             *names = arena_zalloc(arena, pool->count * sizeof(*names));
    names[0] = S("_other");
    for (size_t i = 1; i < pool->count; i++)
        if (pool->entries[i]->plan_count) names[i] = slice_of(pool->entries[i]->name);
    *count = pool->count;
    return names;
}
