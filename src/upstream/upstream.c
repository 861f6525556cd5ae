/* SPDX-License-Identifier: Apache-2.0
 *
 * Making an upstream from its settings. See upstream.h.
 */
#include "upstream/upstream.h"

#include <stdlib.h>

#include "base/memory.h"
#include "io/resolve.h"

enum { RESOLVE_MAX = 16 }; /* addresses taken of one name */

static struct endpoint *endpoint_new(const struct address *a, struct slice host,
                                     const struct server_settings *s)
{
    struct endpoint *e = aligned_alloc(alignof(struct endpoint), sizeof(*e));
    if (!e) abort();
    memset(e, 0, sizeof(*e));
    char text[ADDRESS_TEXT_MAX];
    e->address = *a;
    if (a->family == ADDRESS_UNIX) {
        e->address.path = mem_strdup(a->path);
        e->text = mem_slicedup(s->address);
    } else {
        address_format(a, text);
        e->text = mem_strdup(text);
        /* A bare address is what the certificate has to be for. */
        if (!host.len) host = slice_make(text, address_format_ip(a, text));
    }
    e->identity = mem_strdup(e->text);
    e->server_name = mem_slicedup(host);
    e->weight = s->weight ? s->weight : 1;
    e->is_backup = s->backup;
    return e;
}

static void endpoint_free(struct endpoint *e)
{
    if (!e) return;
    if (e->address.family == ADDRESS_UNIX) free((char *)(uintptr_t)e->address.path);
    free(e->identity);
    free(e->text);
    free(e->server_name);
    free(e);
}

static void set_free(struct endpoint_set *set)
{
    if (!set) return;
    for (size_t i = 0; i < set->count; i++) endpoint_free(set->items[i]);
    free(set);
}

static struct endpoint_set *set_add(struct endpoint_set *set, struct endpoint *e)
{
    set = mem_realloc(set, sizeof(*set) + (set->count + 1) * sizeof(e));
    e->index = (uint32_t)set->count;
    set->has_backups |= e->is_backup;
    set->items[set->count++] = e;
    return set;
}

/* Adds the addresses of one configured server. */
static bool add_server(struct endpoint_set **set, const struct server_settings *s, struct error *e)
{
    struct address found[RESOLVE_MAX];
    size_t         count = 1;
    struct slice   host = slice_make("", 0);
    uint16_t       port;
    struct arena   arena;
    bool           is_done = false;
    arena_init(&arena, NULL);
    if (!address_parse(&found[0], s->address, &arena, e)) {
        if (!address_split(s->address, &host, &port)) goto out;
        char *name = mem_slicedup(host);
        bool  is_resolved = address_resolve(name, port, found, RESOLVE_MAX, &count, e);
        free(name);
        if (!is_resolved) goto out;
    }
    for (size_t i = 0; i < count; i++) *set = set_add(*set, endpoint_new(&found[i], host, s));
    is_done = true;
out:
    arena_reset(&arena);
    return is_done;
}

static bool make_tls(struct upstream *u, const struct upstream_build *b, struct error *e)
{
    if (!b->tls) return true;
    u->tls = mem_zalloc(b->worker_count * sizeof(*u->tls));
    for (unsigned i = 0; i < b->worker_count; i++)
        if (!(u->tls[i] = tls_client_new(b->tls, e))) return false;
    return true;
}

struct upstream *upstream_new(const struct upstream_settings *s, const struct upstream_build *b,
                              struct error *e)
{
    struct upstream     *u = mem_zalloc(sizeof(*u));
    struct endpoint_set *set = mem_zalloc(sizeof(*set));
    u->name = mem_slicedup(s->name);
    u->fingerprint = mem_slicedup(s->fingerprint);
    u->slot = b->slot;
    u->series = b->series;
    u->balance = balance_algorithms[s->balance];
    u->worker_count = b->worker_count;
    u->proxy_protocol = s->proxy_protocol;
    u->protocol = s->protocol;
    u->idle_count_max = s->keep_alive_connections;
    u->retries = s->retries;
    if (s->host.len) u->host = slice_of(mem_slicedup(s->host));
    u->keep_alive_ms = b->keep_alive_ms;
    u->limits = b->limits;
    bool is_made = make_tls(u, b, e);
    for (size_t i = 0; is_made && i < s->server_count; i++)
        is_made = add_server(&set, &s->servers[i], e);
    atomic_init(&u->set, set);
    if (is_made) return u;
    upstream_free(u);
    return NULL;
}

void upstream_free(struct upstream *u)
{
    if (!u) return;
    for (unsigned i = 0; u->tls && i < u->worker_count; i++) tls_client_unref(u->tls[i]);
    free(u->tls);
    set_free(atomic_load(&u->set));
    free(u->name);
    free(u->fingerprint);
    free((char *)(uintptr_t)u->host.data);
    free(u);
}
