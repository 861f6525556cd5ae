/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a Redis is. See redis_map.h.
 */
#include "io/redis_map.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

enum { OWNERS_BYTES = REDIS_SLOT_COUNT * sizeof(uint16_t) };

struct redis_map *redis_map_new(bool is_cluster)
{
    struct redis_map *m = mem_zalloc(sizeof(*m));
    if (!is_cluster) return m;
    m->owners = mem_alloc(OWNERS_BYTES);
    memset(m->owners, 0xff, OWNERS_BYTES); /* REDIS_NO_NODE */
    return m;
}

/* An IPv6 address has brackets for people, as everywhere. */
static char *make_text(struct slice host, uint16_t port)
{
    bool   has_colon = slice_find(host, ':') < host.len;
    size_t bytes = host.len + sizeof("[]:65535");
    char  *text = mem_alloc(bytes);
    if (port)
        snprintf(text, bytes, has_colon ? "[%.*s]:%u" : "%.*s:%u", SLICE_ARG(host), port);
    else
        snprintf(text, bytes, "%.*s", SLICE_ARG(host));
    return text;
}

/* Capacity grows by powers of two, so the count alone says it. */
static struct redis_node *add_node(struct redis_map *m, struct slice host, uint16_t port)
{
    if ((m->count & (m->count - 1)) == 0) {
        size_t capacity = m->count ? 2 * (size_t)m->count : 1;
        m->nodes = mem_realloc(m->nodes, capacity * sizeof(*m->nodes));
    }
    struct redis_node *n = &m->nodes[m->count++];
    *n = (struct redis_node){ slice_make(mem_slicedup(host), host.len), port, NULL, { 0 } };
    n->text = make_text(host, port);
    if (!port) n->address = (struct address){ .family = ADDRESS_UNIX, .path = n->host.data };
    return n;
}

void redis_map_add(struct redis_map *m, struct slice host, uint16_t port)
{
    add_node(m, host, port);
}

struct redis_map *redis_map_of_one(struct slice host, uint16_t port)
{
    struct redis_map *m = redis_map_new(false);
    add_node(m, host, port);
    return m;
}

struct redis_map *redis_map_copy(const struct redis_map *from)
{
    struct redis_map *m = redis_map_new(from->owners != NULL);
    m->generation = from->generation;
    if (m->owners) memcpy(m->owners, from->owners, OWNERS_BYTES);
    for (uint16_t i = 0; i < from->count; i++) {
        struct redis_node *n = add_node(m, from->nodes[i].host, from->nodes[i].port);
        if (n->port) n->address = from->nodes[i].address;
    }
    return m;
}

void redis_map_free(struct redis_map *m)
{
    if (!m) return;
    for (uint16_t i = 0; i < m->count; i++) {
        free((char *)(uintptr_t)m->nodes[i].host.data);
        free((char *)(uintptr_t)m->nodes[i].text);
    }
    free(m->nodes);
    free(m->owners);
    free(m);
}

static bool is_node(const struct redis_node *n, struct slice host, uint16_t port)
{
    return n->port == port && slice_eq(n->host, host);
}

bool redis_map_eq(const struct redis_map *a, const struct redis_map *b)
{
    if (!a->owners != !b->owners || a->count != b->count) return false;
    for (uint16_t i = 0; i < a->count; i++) {
        const struct redis_node *n = &a->nodes[i], *other = &b->nodes[i];
        if (!is_node(n, other->host, other->port)) return false;
        if (n->port && !address_eq(&n->address, &other->address)) return false;
    }
    return !a->owners || memcmp(a->owners, b->owners, OWNERS_BYTES) == 0;
}

/* ---- CLUSTER SLOTS ---- */

uint16_t redis_map_find(const struct redis_map *m, struct slice host, uint16_t port)
{
    for (uint16_t i = 0; i < m->count; i++)
        if (is_node(&m->nodes[i], host, port)) return i;
    return REDIS_NO_NODE;
}

/* "" and nil stand for the host that was asked; "?" for one that nobody knows. */
static bool take_node(struct redis_map *m, const struct redis_reply *entry, struct slice asked,
                      uint16_t *index)
{
    struct slice host = redis_text_at(entry, 0);
    int64_t      port = redis_integer_at(entry, 1);
    *index = REDIS_NO_NODE;
    if (port <= 0 || port > UINT16_MAX) return false;
    if (!host.len) host = asked;
    if (slice_eq(host, S("?"))) return true;
    *index = redis_map_find(m, host, (uint16_t)port);
    if (*index != REDIS_NO_NODE) return true;
    if (m->count == REDIS_NODES_MAX) return false;
    *index = m->count;
    add_node(m, host, (uint16_t)port);
    return true;
}

/* first, last, the owner, its replicas. */
static bool take_range(struct redis_map *m, const struct redis_reply *r, struct slice asked)
{
    int64_t  first = redis_integer_at(r, 0), last = redis_integer_at(r, 1);
    uint16_t owner, replica;
    if (first < 0 || last < first || last >= REDIS_SLOT_COUNT || r->count < 3) return false;
    if (!take_node(m, &r->items[2], asked, &owner)) return false;
    for (int64_t i = first; i <= last; i++) m->owners[i] = owner;
    for (size_t i = 3; i < r->count; i++)
        if (!take_node(m, &r->items[i], asked, &replica)) return false;
    return true;
}

struct redis_map *redis_map_of_slots(const struct redis_reply *r, struct slice asked,
                                     struct error *e)
{
    struct redis_map *m = redis_map_new(true);
    bool              is_good = r->kind == REDIS_KIND_ARRAY;
    for (size_t i = 0; is_good && i < r->count; i++) is_good = take_range(m, &r->items[i], asked);
    if (is_good && m->count) return m;
    redis_map_free(m);
    if (is_good)
        error_set(e, "no node of the cluster has a slot");
    else
        error_set(e, "CLUSTER SLOTS is answered by something else");
    return NULL;
}

/* ---- reading ---- */

static const struct redis_node *known(const struct redis_map *m, uint16_t index)
{
    bool is_there = index < m->count && m->nodes[index].address.family != ADDRESS_NONE;
    return is_there ? &m->nodes[index] : NULL;
}

const struct redis_node *redis_map_node(const struct redis_map *m, struct slice key)
{
    return known(m, m->owners ? m->owners[redis_slot(key)] : 0);
}

const struct redis_node *redis_map_redirect(const struct redis_map      *m,
                                            const struct redis_node     *from,
                                            const struct redis_redirect *to)
{
    return known(m, redis_map_find(m, to->host.len ? to->host : from->host, to->port));
}

void redis_store_tell_moved(struct redis_store *s)
{
    if (!atomic_exchange(&s->is_moved, true)) mailbox_post(s->control, &s->moved);
}
