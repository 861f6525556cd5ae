/* SPDX-License-Identifier: Apache-2.0
 *
 * What plans share: upstreams, listening sockets, TLS contexts, limits. A
 * plan that needs something holds it by its key; what the last plan lets go of
 * is freed. So a reload keeps whatever did not change. Also gives out the dense
 * ids by which workers find what they keep. Control thread only.
 */
#pragma once

#include "base/arena.h"
#include "base/map.h"

struct registry;

enum registry_kind {
    REGISTRY_UPSTREAM,
    REGISTRY_SOCKET,
    REGISTRY_TLS,
    REGISTRY_RATE_LIMIT,
    REGISTRY_STORE,
    REGISTRY_CONCURRENCY_LIMIT,
    REGISTRY_ADDRESS_LIMITS,
    REGISTRY_MAINTENANCE,
    REGISTRY_KIND_COUNT
};

struct registry_item {
    enum registry_kind kind;
    struct slice       key; /* unique within the kind */
    void              *object;
    unsigned           plan_count;
    bool               is_forgotten; /* not found any more, still held */
    void (*free)(struct registry_item *item, void *arg);
    void *free_arg;
};

struct registry *registry_new(void);
/* Nothing may be held any more. */
void registry_free(struct registry *r);

/* NULL when there is none. */
struct registry_item *registry_find(const struct registry *r, enum registry_kind kind,
                                    struct slice key);
/* `free` runs when no plan holds it any more; not held yet. The key is copied. */
struct registry_item *registry_add(struct registry *r, enum registry_kind kind, struct slice key,
                                   void *object,
                                   void (*free)(struct registry_item *item, void *arg), void *arg);
/* Held until that arena (a plan's) is reset. */
void registry_hold(struct registry *r, struct registry_item *item, struct arena *plan);
/* Is not found any more; whoever holds it keeps it. */
void registry_forget(struct registry *r, struct registry_item *item);
void registry_each(struct registry *r, enum registry_kind                      kind,
                   void (*visit)(void *arg, struct registry_item *item), void *arg);

/* The lowest upstream slot that is free; given back by registry_give_slot(). */
uint32_t registry_take_slot(struct registry *r);
void     registry_give_slot(struct registry *r, uint32_t slot);

/* Series of counters, by name: the same name gets the same id for as long as
 * that is not needed for another. 0 (_other) past `max`. */
enum series_kind { SERIES_ROUTE, SERIES_UPSTREAM, SERIES_KIND_COUNT };

uint32_t registry_hold_series(struct registry *r, enum series_kind kind, struct slice name,
                              uint32_t max, struct arena *plan);
/* Names by id, empty where no plan uses it; in `arena`. */
const struct slice *registry_series_names(const struct registry *r, enum series_kind kind,
                                          struct arena *arena, size_t *count);
