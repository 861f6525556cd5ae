/* SPDX-License-Identifier: Apache-2.0
 *
 * Endpoints from `servers`. See servers.h.
 */
#include "discovery/servers.h"

#include <stdlib.h>

#include "base/memory.h"
#include "io/resolve.h"

/* Of one item of the configuration. */
struct server {
    const struct server_settings *settings;
    struct address                address; /* when it is one */
    struct slice                  host;    /* when it is a name */
    uint16_t                      port;
    struct dns_watch             *watch;
};

struct servers {
    struct roster *roster;
    struct dns    *dns;
    struct arena   arena;
    struct server *items;
    size_t         count;
};

/* What is collected of all items for the roster. */
struct harvest {
    struct arena          arena;
    struct endpoint_spec *specs;
    size_t                count, capacity;
    const char           *trouble; /* the first one */
};

static struct endpoint_spec *add(struct harvest *h, const struct server *s, const struct address *a)
{
    if (h->count == h->capacity) {
        h->capacity = h->capacity ? h->capacity * 2 : 16;
        h->specs = mem_realloc(h->specs, h->capacity * sizeof(*h->specs));
    }
    struct endpoint_spec *spec = &h->specs[h->count++];
    *spec = (struct endpoint_spec){
        .address = *a,
        .weight = s->settings->weight,
        .is_backup = s->settings->backup,
    };
    return spec;
}

static struct slice text_of(struct harvest *h, const struct address *a)
{
    char *text = arena_alloc(&h->arena, ADDRESS_TEXT_MAX);
    return slice_make(text, address_format(a, text));
}

/* As it is written: a Unix path would be cut. */
static void take_address(struct harvest *h, const struct server *s)
{
    struct endpoint_spec *spec = add(h, s, &s->address);
    bool                  is_unix = s->address.family == ADDRESS_UNIX;
    spec->text = is_unix ? s->settings->address : text_of(h, &s->address);
    spec->identity = spec->text;
}

/* RFC 2782: the lowest priority is tried first, weight 0 is for hardly any. */
static void take_priority(struct endpoint_spec *spec, const struct dns_record *r, unsigned lowest)
{
    spec->weight = r->weight ? r->weight : 1;
    spec->is_backup |= r->priority > lowest;
}

/* Records that no packet can reach from here (IPv6 on a host without) are no replicas, unless
 * all are like that: then the error is to be seen. */
static bool has_any_route(const struct dns_answer *answer)
{
    for (size_t i = 0; i < answer->count; i++)
        if (address_has_route(&answer->records[i].address)) return true;
    return false;
}

static void take_records(struct harvest *h, const struct server *s)
{
    struct dns_answer answer = dns_answer(s->watch);
    bool              is_srv = s->settings->srv.len != 0, is_choosy = has_any_route(&answer);
    if (answer.trouble && !h->trouble) h->trouble = answer.trouble;
    for (size_t i = 0; i < answer.count; i++) {
        const struct dns_record *r = &answer.records[i];
        struct address           a = r->address;
        if (is_choosy && !address_has_route(&a)) continue;
        if (!is_srv) a.port = s->port;
        struct endpoint_spec *spec = add(h, s, &a);
        spec->text = text_of(h, &a);
        spec->server_name = is_srv ? slice_of(r->target) : s->host;
        /* The same address under two names is two: each is asked for by its own. */
        spec->identity = arena_printf(&h->arena, "%.*s %.*s", SLICE_ARG(spec->text),
                                      SLICE_ARG(spec->server_name));
        if (is_srv) take_priority(spec, r, answer.records[0].priority);
    }
}

static void tell(struct servers *s)
{
    struct harvest h = { 0 };
    arena_init(&h.arena, NULL);
    for (size_t i = 0; i < s->count; i++)
        if (s->items[i].watch)
            take_records(&h, &s->items[i]);
        else
            take_address(&h, &s->items[i]);
    roster_update(s->roster, h.specs, h.count, h.trouble);
    free(h.specs);
    arena_reset(&h.arena);
}

static void on_changed(void *arg)
{
    tell(arg);
}

static void begin_server(struct servers *s, struct server *item, const struct server_settings *from)
{
    struct error e;
    item->settings = from;
    if (from->srv.len)
        item->watch = dns_watch(s->dns, DNS_SRV, from->srv.data, on_changed, s);
    else if (!address_parse(&item->address, from->address, &s->arena, &e) &&
             address_split(from->address, &item->host, &item->port))
        item->watch =
            dns_watch(s->dns, DNS_ADDRESSES, arena_copy(&s->arena, item->host).data, on_changed, s);
}

struct servers *servers_new(struct roster *r, struct dns *dns)
{
    const struct upstream_settings *from = r->upstream->settings;
    struct servers                 *s = mem_zalloc(sizeof(*s));
    s->roster = r;
    s->dns = dns;
    arena_init(&s->arena, NULL);
    s->count = from->server_count;
    s->items = arena_zalloc(&s->arena, s->count * sizeof(*s->items));
    for (size_t i = 0; i < s->count; i++) begin_server(s, &s->items[i], &from->servers[i]);
    tell(s);
    return s;
}

void servers_free(struct servers *s)
{
    if (!s) return;
    for (size_t i = 0; i < s->count; i++) dns_unwatch(s->items[i].watch);
    arena_reset(&s->arena);
    free(s);
}
