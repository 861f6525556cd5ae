/* SPDX-License-Identifier: Apache-2.0
 *
 * Intrusive, circular, doubly linked list. A head is an element that belongs to
 * no object. An element that is in no list points at itself, so list_remove()
 * may be called twice.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next;
    struct list *prev;
};

/* clang-format off */
#define container_of(ptr, type, member) \
    ((type *)(void *)((char *)(ptr) - offsetof(type, member)))
/* clang-format on */

#define LIST_EACH(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)
/* As LIST_EACH; `it` may be removed or freed by the body. */
#define LIST_EACH_SAFE(it, head)                                                                   \
    for (struct list *it = (head)->next, *it##_next = it->next; it != (head);                      \
         it = it##_next, it##_next = it->next)

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_is_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_insert_before(struct list *at, struct list *item)
{
    item->prev = at->prev;
    item->next = at;
    at->prev->next = item;
    at->prev = item;
}

static inline void list_append(struct list *head, struct list *item)
{
    list_insert_before(head, item);
}

static inline void list_prepend(struct list *head, struct list *item)
{
    list_insert_before(head->next, item);
}

static inline void list_remove(struct list *item)
{
    item->prev->next = item->next;
    item->next->prev = item->prev;
    item->next = item->prev = item;
}
