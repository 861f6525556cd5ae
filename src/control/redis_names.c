/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of Redis servers. See redis_names.h. They are looked up until the end: those that
 * a cluster or Sentinels name stay few, and are bounded, whatever they say.
 */
#include "control/redis_names.h"

#include <stdlib.h>

#include "base/memory.h"
#include "io/resolve.h"

enum { NAMES_MAX = 1024 };

struct redis_name {
    char             *host;
    struct dns_watch *watch;
    size_t            turn;
};

void redis_names_init(struct redis_names *n, struct dns *dns, void (*changed)(void *), void *arg)
{
    *n = (struct redis_names){ .dns = dns, .changed = changed, .arg = arg };
}

void redis_names_reset(struct redis_names *n)
{
    for (size_t i = 0; i < n->count; i++) {
        dns_unwatch(n->items[i].watch);
        free(n->items[i].host);
    }
    free(n->items);
    n->items = NULL;
    n->count = 0;
}

static struct redis_name *find(const struct redis_names *n, struct slice host)
{
    for (size_t i = 0; i < n->count; i++)
        if (slice_eq(slice_of(n->items[i].host), host)) return &n->items[i];
    return NULL;
}

static struct redis_name *need(struct redis_names *n, struct slice host)
{
    struct redis_name *name = find(n, host);
    if (name || n->count == NAMES_MAX) return name;
    n->items = mem_realloc(n->items, (n->count + 1) * sizeof(*n->items));
    name = &n->items[n->count++];
    name->host = mem_slicedup(host);
    name->watch = dns_watch(n->dns, DNS_ADDRESSES, name->host, n->changed, n->arg);
    name->turn = 0;
    return name;
}

/* Those that no packet can reach from here come last. */
static struct address choose(const struct redis_name *name)
{
    struct dns_answer answer = dns_answer(name->watch);
    struct address    a = { .family = ADDRESS_NONE };
    for (size_t i = 0; i < answer.count; i++) {
        a = answer.records[(name->turn + i) % answer.count].address;
        if (address_has_route(&a)) break;
    }
    return a;
}

static void fill_node(struct redis_names *n, struct redis_node *node)
{
    struct error e;
    if (!node->port || address_parse(&node->address, slice_of(node->text), NULL, &e)) return;
    struct redis_name *name = need(n, node->host);
    node->address = name ? choose(name) : (struct address){ .family = ADDRESS_NONE };
    node->address.port = node->port;
}

void redis_names_fill(struct redis_names *n, struct redis_map *m)
{
    for (uint16_t i = 0; i < m->count; i++) fill_node(n, &m->nodes[i]);
}

void redis_names_turn(struct redis_names *n, struct slice host)
{
    struct redis_name *name = find(n, host);
    if (name) name->turn++;
}

const char *redis_names_trouble(const struct redis_names *n, struct slice host)
{
    const struct redis_name *name = find(n, host);
    return name && !dns_answer(name->watch).count ? dns_answer(name->watch).trouble : NULL;
}
