/* SPDX-License-Identifier: Apache-2.0
 *
 * Upstreams of a plan: kept from the plans before where nothing changed.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "control/plan_parts.h"
#include "io/resolve.h"

static void free_upstream(struct registry_item *item, void *arg)
{
    struct plan_maker *m = arg;
    struct upstream   *u = item->object;
    if (m->end_upstream) m->end_upstream(m->gate, u);
    registry_give_slot(m->registry, u->slot);
    upstream_free(u);
}

/* Everything that the upstream is made of. */
static void make_key(const struct upstream_settings *s, const struct upstream_build *ub,
                     struct buffer *key)
{
    const struct http_limits *l = &ub->limits;
    buffer_put_slice(key, s->name);
    buffer_put_char(key, '\n');
    buffer_put_slice(key, s->fingerprint);
    buffer_printf(key, "\n%llu %u %u %u %u", (unsigned long long)ub->keep_alive_ms, l->header_bytes,
                  l->header_count, l->stream_count, ub->worker_count);
    if (!ub->tls) return;
    build_key_content(key, ub->tls->ca);
    build_key_content(key, ub->tls->cert);
    build_key_content(key, ub->tls->key);
}

static bool read_optional(struct build *b, const struct conf_place *at, struct slice path,
                          struct slice *content)
{
    *content = slice_make("", 0);
    if (!path.len) return true;
    if (!build_read(b, at, path, content)) return false;
    if (content->len) return true;
    /* Without a text it would count as not configured: the system's authorities, say. */
    conf_report_add(b->report, CONF_ERROR, at, "%s: is empty", path.data);
    return false;
}

/* Also one in use already is judged by its date: who uses it sees it but once. */
static void judge_certificate(struct build *b, const struct conf_place *at, struct slice path,
                              struct tls_client_settings *tls)
{
    int64_t end_s;
    tls->may_be_expired = build_may_be_expired(b, path, tls->cert);
    expiries_note(&b->outcome->certificates, path.data, tls->cert);
    if (!tls->may_be_expired || !tls_certificate_expiry(tls->cert, &end_s) ||
        end_s > clock_wall_us() / 1000000)
        return;
    conf_report_add(b->report, CONF_WARNING, at, "the client certificate %s has expired",
                    path.data);
}

bool build_client_tls(struct build *b, const struct upstream_tls_settings *s,
                      const struct conf_place *at, struct tls_client_settings *tls)
{
    bool is_read = read_optional(b, at, s->ca, &tls->ca);
    is_read &= read_optional(b, at, s->cert, &tls->cert);
    is_read &= read_optional(b, at, s->key, &tls->key);
    tls->verifies = s->verify;
    tls->sni = s->sni;
    if (!s->key.len) tls->key = tls->cert;
    if (tls->cert.len) judge_certificate(b, at, s->cert, tls);
    return is_read;
}

static struct registry_item *find_or_make(struct build *b, const struct upstream_settings *s,
                                          struct upstream_build *ub)
{
    struct registry      *r = b->maker->registry;
    struct registry_item *item = NULL;
    struct buffer         key = BUFFER_INIT;
    struct error          e;
    make_key(s, ub, &key);
    item = registry_find(r, REGISTRY_UPSTREAM, buffer_slice(&key));
    if (item) goto out;
    ub->slot = registry_take_slot(r);
    struct upstream *u = upstream_new(s, ub, &e);
    if (u) {
        item = registry_add(r, REGISTRY_UPSTREAM, buffer_slice(&key), u, free_upstream, b->maker);
        if (b->maker->begin_upstream) b->maker->begin_upstream(b->maker->gate, u);
    } else {
        registry_give_slot(r, ub->slot);
        conf_report_add(b->report, CONF_ERROR, &s->at, "upstream %.*s: %s", SLICE_ARG(s->name),
                        e.text);
    }
out:
    buffer_reset(&key);
    return item;
}

/* Only told: a name may be known where and when the gateway runs, and it waits for that. */
static void try_names(struct build *b, const struct upstream_settings *s)
{
    struct address found;
    struct slice   host;
    struct error   e;
    uint16_t       port;
    size_t         count;
    for (size_t i = 0; i < s->server_count; i++) {
        const struct server_settings *server = &s->servers[i];
        if (!server->address.len || !address_split(server->address, &host, &port)) continue;
        if (address_parse(&found, server->address, &b->plan->arena, &e)) continue;
        host = arena_copy(&b->plan->arena, host);
        if (!address_resolve(host.data, port, &found, 1, &count, &e))
            conf_report_add(b->report, CONF_WARNING, &server->at, "upstream %.*s: %s here and now",
                            SLICE_ARG(s->name), e.text);
    }
}

static void build_one(struct build *b, const struct upstream_settings *s)
{
    const struct settings     *all = b->settings;
    struct registry           *r = b->maker->registry;
    struct tls_client_settings tls = { 0 };
    struct upstream_build      ub = {
             .worker_count = b->maker->worker_count,
             .keep_alive_ms = all->timeouts.upstream_keep_alive,
             .limits = b->plan->limits,
    };
    if (!b->maker->crew) try_names(b, s);
    if (s->tls && !build_client_tls(b, s->tls, &s->at, &tls)) return;
    tls.offers_h2 = s->protocol != PROTOCOL_SETTING_H1;
    if (s->tls) ub.tls = &tls;
    ub.series =
        registry_hold_series(r, SERIES_UPSTREAM, s->name, all->metrics.max_series, &b->plan->arena);
    struct registry_item *item = find_or_make(b, s, &ub);
    if (!item) return;
    registry_hold(r, item, &b->plan->arena);
    b->plan->upstreams[b->plan->upstream_count++] = item->object;
    map_put(&b->upstreams, s->name, item->object);
}

void build_upstreams(struct build *b)
{
    const struct settings *s = b->settings;
    b->plan->upstreams =
        arena_zalloc(&b->plan->arena, (s->upstream_count + 1) * sizeof(struct upstream *));
    for (size_t i = 0; i < s->upstream_count; i++) build_one(b, &s->upstreams[i]);
}
