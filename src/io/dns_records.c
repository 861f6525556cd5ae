/* SPDX-License-Identifier: Apache-2.0
 *
 * Records of an answer. See dns_records.h.
 */
#include "io/dns_records.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

void dns_records_reset(struct dns_records *r)
{
    for (size_t i = 0; i < r->name_count; i++) free(r->names[i]);
    free(r->names);
    free(r->items);
    *r = (struct dns_records){ 0 };
}

const char *dns_records_name(struct dns_records *r, const char *name)
{
    r->names = mem_realloc(r->names, (r->name_count + 1) * sizeof(*r->names));
    r->names[r->name_count] = mem_strdup(name);
    return r->names[r->name_count++];
}

void dns_records_add(struct dns_records *r, const struct dns_record *record)
{
    if (r->count == DNS_RECORDS_MAX) return;
    if (r->count == r->capacity) {
        r->capacity = r->capacity ? r->capacity * 2 : 4;
        r->items = mem_realloc(r->items, r->capacity * sizeof(*r->items));
    }
    r->items[r->count++] = *record;
}

static int compare(unsigned a, unsigned b)
{
    return (a > b) - (a < b);
}

static int compare_addresses(const struct dns_record *x, const struct dns_record *y)
{
    int order = compare(x->address.family, y->address.family);
    if (!order) order = memcmp(x->address.ip, y->address.ip, sizeof(x->address.ip));
    if (!order) order = compare(x->address.scope, y->address.scope);
    return order ? order : compare(x->address.port, y->address.port);
}

static int by_address(const void *a, const void *b)
{
    const struct dns_record *x = a, *y = b;
    int                      order = compare_addresses(x, y);
    if (!order) order = compare(x->priority, y->priority);
    if (!order) order = compare(y->weight, x->weight);
    return order ? order : strcmp(x->target, y->target);
}

static int by_priority(const void *a, const void *b)
{
    const struct dns_record *x = a, *y = b;
    int                      order = compare(x->priority, y->priority);
    return order ? order : compare_addresses(x, y);
}

void dns_records_sort(struct dns_records *r)
{
    size_t kept = 0;
    if (!r->count) return;
    qsort(r->items, r->count, sizeof(*r->items), by_address);
    for (size_t i = 0; i < r->count; i++)
        if (!i || compare_addresses(&r->items[kept - 1], &r->items[i]) != 0)
            r->items[kept++] = r->items[i];
    r->count = kept;
    qsort(r->items, r->count, sizeof(*r->items), by_priority);
}

bool dns_records_eq(const struct dns_records *a, const struct dns_records *b)
{
    if (a->count != b->count) return false;
    for (size_t i = 0; i < a->count; i++)
        if (by_address(&a->items[i], &b->items[i]) != 0) return false;
    return true;
}
