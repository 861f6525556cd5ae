/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks across keys and sections. See check.h.
 */
#include "conf/check.h"

#include <stdio.h>

#include "conf/nearest.h"
#include "conf/types.h"

enum { DELAY_MS_MAX = 30000 }; /* clients seldom wait for longer */

static void fault(struct conf_parser *p, const struct conf_place *at, const char *message)
{
    conf_report_add(p->report, CONF_ERROR, at, "%s", message);
}

static const char *quoted(struct conf_parser *p, struct slice text)
{
    return conf_quote(&p->report->arena, text);
}

/* "line 7", or "other.yaml:7"; of what stands in no file, where it comes from. */
static const char *place(struct conf_parser *p, const struct conf_place *there,
                         const struct conf_place *here)
{
    bool is_same = strcmp(there->file, here->file) == 0;
    if (!there->line) return there->file;
    return arena_printf(&p->report->arena, "%s%s%u", is_same ? "line " : there->file,
                        is_same ? "" : ":", there->line)
        .data;
}

/* ---- single sections ---- */

void conf_check_listener_tls(struct conf_parser *p, void *base, const struct conf_place *at)
{
    const struct listener_tls_settings *tls = base;
    if (!tls->certificate_count && !tls->is_self_signed)
        fault(p, at, "`tls` of a listener needs `certificates` or `self_signed: true`");
    if (tls->certificate_count && tls->is_self_signed)
        fault(p, at, "`certificates` and `self_signed: true` exclude each other");
    if (tls->client_auth != CLIENT_AUTH_NONE && !tls->client_ca.data)
        fault(p, at, "`client_auth` needs `client_ca`, the authorities of the clients");
    if (tls->client_auth == CLIENT_AUTH_NONE && tls->client_ca.data)
        fault(p, at, "`client_ca` does nothing without `client_auth: optional` or `required`");
}

void conf_check_upstream_tls(struct conf_parser *p, void *base, const struct conf_place *at)
{
    const struct upstream_tls_settings *tls = base;
    if (tls->key.data && !tls->cert.data) fault(p, at, "`key` needs `cert`");
    if (!tls->verify && tls->ca.data) fault(p, at, "`ca` does nothing with `verify: false`");
}

void conf_check_balance(struct conf_parser *p, void *base, const struct conf_place *at)
{
    const struct balance_settings *b = base;
    bool has_key = b->algorithm == BALANCE_RING_HASH || b->algorithm == BALANCE_MAGLEV;
    if (!has_key && !slice_eq(b->key, S("client_ip")))
        fault(p, at, "`key` does nothing without `ring_hash` or `maglev`");
    if (!has_key && b->max_load != 125)
        fault(p, at, "`max_load` does nothing without `ring_hash` or `maglev`");
    if (b->algorithm == BALANCE_STICKY) return;
    if (b->secret.data) fault(p, at, "`secret` does nothing without `sticky`");
    if (!slice_eq(b->cookie, S("wharfgate")) || b->cookie_ttl || b->same_site != SAME_SITE_LAX)
        fault(p, at, "`cookie`, `ttl` and `same_site` do nothing without `sticky`");
}

void conf_check_health(struct conf_parser *p, void *base, const struct conf_place *at)
{
    const struct health_check_settings *c = base;
    if (c->type != CHECK_HTTP && (c->body.data || c->statuses.count || c->header_count))
        fault(p, at, "`status`, `body` and `headers` need `type: http`");
    if (c->type != CHECK_HTTP && !(slice_eq(c->path, S("/")) && slice_eq(c->method, S("GET"))))
        fault(p, at, "`path` and `method` need `type: http`");
    if ((c->type == CHECK_TLS || c->type == CHECK_TCP) && c->host.data)
        fault(p, at, "`host` needs `type: http` or `grpc`");
    if (c->type != CHECK_GRPC && c->service.data) fault(p, at, "`service` needs `type: grpc`");
    if (slice_eq(c->method, S("HEAD")) && c->body.data)
        fault(p, at, "an answer to HEAD has no `body`");
    if (slice_eq(c->method, S("CONNECT"))) fault(p, at, "`method`: CONNECT is no question");
    for (size_t i = 0; i < c->header_count; i++)
        if (slice_eq_nocase(c->headers[i].name, S("Host")))
            fault(p, at, "`Host` does not stand in `headers`: write `host`");
}

void conf_check_docker(struct conf_parser *p, void *base, const struct conf_place *at)
{
    const struct docker_daemon_settings *d = base;
    bool                                 is_tcp = slice_starts_with(d->endpoint, S("tcp://"));
    if ((d->ca.data || d->cert.data) && !is_tcp)
        fault(p, at, "`ca`, `cert` and `key` need an `endpoint` of `tcp://`");
    if (d->key.data && !d->cert.data) fault(p, at, "`key` needs `cert`");
    if (d->cert.data && !d->ca.data) fault(p, at, "`cert` needs `ca`");
}

void conf_check_dns(struct conf_parser *p, void *base, const struct conf_place *at)
{
    const struct dns_settings *d = base;
    if (d->min_ttl > d->max_ttl) fault(p, at, "`min_ttl` is longer than `max_ttl`");
}

void conf_check_ejection(struct conf_parser *p, void *base, const struct conf_place *at)
{
    const struct ejection_settings *e = base;
    if (e->base_time > e->max_time) fault(p, at, "`base_time` is longer than `max_time`");
}

static void check_retries(struct conf_parser *p, const struct upstream_settings *u,
                          const struct conf_place *at)
{
    for (size_t i = 0; i < u->retry_on.count && u->retry_on.count > 1; i++)
        if (slice_eq(u->retry_on.items[i], S("off")))
            fault(p, at, "`retry_on`: `off` stands alone");
}

void conf_check_upstream(struct conf_parser *p, const struct upstream_settings *u,
                         const struct conf_place *at)
{
    const struct health_check_settings *c = u->health_check;
    if (u->protocol == PROTOCOL_SETTING_AUTO && !u->tls)
        conf_report_add(p->report, CONF_WARNING, at,
                        "`protocol: auto` without `tls` is HTTP/1.1; write `h1` or `h2`");
    if (u->slow_start &&
        (u->balance.algorithm == BALANCE_RING_HASH || u->balance.algorithm == BALANCE_MAGLEV))
        conf_report_add(p->report, CONF_WARNING, at,
                        "`slow_start` does nothing with `ring_hash` and `maglev`");
    if (c && c->type == CHECK_GRPC && u->protocol == PROTOCOL_SETTING_H1)
        fault(p, &c->at, "`type: grpc` needs `protocol: h2` of the upstream");
    if (c && c->type == CHECK_TLS && !u->tls)
        fault(p, &c->at, "`type: tls` needs `tls` of the upstream");
    check_retries(p, u, at);
}

/* "off" among others makes no sense, nor does "any". */
static void check_alone(struct conf_parser *p, const char *key, const struct text_list *list,
                        const struct conf_place *at)
{
    for (size_t i = 0; i < list->count && list->count > 1; i++) {
        struct slice one = list->items[i];
        if (slice_eq(one, S("off")) || slice_eq(one, S("any")))
            conf_report_add(p->report, CONF_ERROR, at, "`%s`: `%.*s` stands alone", key,
                            SLICE_ARG(one));
    }
}

void conf_check_policy(struct conf_parser *p, const struct policy_settings *policy,
                       const struct conf_place *at)
{
    check_alone(p, "upgrade", &policy->upgrades, at);
    check_alone(p, "compress", &policy->compress.codings, at);
}

void conf_check_limits(struct conf_parser *p, void *base, const struct conf_place *at)
{
    const struct limit_settings *limits = base;
    if (limits->request_line > limits->header_bytes)
        fault(p, at, "`request_line` cannot be larger than `header_bytes`, which includes it");
}

/* The last of a full burst that is held back waits for as long as the rate needs for all. */
static uint64_t longest_delay_ms(const struct rate_limit_settings *l)
{
    return l->rate_period > UINT64_MAX / (l->burst + 1) ? UINT64_MAX
                                                        : l->rate_period * l->burst / l->rate_count;
}

void conf_check_rate_limit(struct conf_parser *p, void *base, const struct conf_place *at)
{
    const struct rate_limit_settings *l = base;
    if (l->delay && !l->burst) fault(p, at, "`delay` needs `burst`: how many may wait");
    if (l->delay && longest_delay_ms(l) > DELAY_MS_MAX)
        conf_report_add(p->report, CONF_WARNING, at,
                        "`delay`: with this rate the last of the burst waits for %llu s",
                        (unsigned long long)longest_delay_ms(l) / 1000);
    if (l->mode != LIMIT_AUTO && l->store != STORE_REDIS)
        fault(p, at, "`mode` needs `store: redis`");
    if (l->delay && l->mode == LIMIT_LEASE)
        fault(p, at, "`delay` needs `mode: exact`: who comes when, only the store knows");
}

void conf_check_redis(struct conf_parser *p, void *base, const struct conf_place *at)
{
    const struct redis_settings *r = base;
    struct conf_redis_url        url;
    if (!r->url.len || conf_parse_redis_url(r->url, p->arena, &url)) return; /* told already */
    if (r->sentinel && r->is_cluster) fault(p, at, "`sentinel` and `cluster` exclude each other");
    if ((r->sentinel || r->is_cluster) && !url.port)
        fault(p, at, "`sentinel` and `cluster` need a `url` of `redis://` or `rediss://`");
    if (r->is_cluster && url.database) fault(p, at, "a Redis Cluster has the database 0 alone");
    if (r->tls && !url.port) fault(p, at, "`tls` needs a `url` of `redis://` or `rediss://`");
    if (r->username.len && !r->password.len) fault(p, at, "`username` needs `password`");
}

/* ---- names ---- */

enum { HINT_NAMES_MAX = 10000 };

/* The name that was meant. Looks no further once nobody will read it. */
static struct slice hint_of(struct conf_parser *p, const struct conf_names *kind,
                            struct slice wanted)
{
    struct nearest near;
    struct slice   name;
    void          *value;
    nearest_init(&near, wanted);
    if (p->report->error_count >= CONF_PROBLEMS_MAX) return (struct slice){ 0 };
    for (size_t cursor = 0, tries = 0;
         tries < HINT_NAMES_MAX && map_next(&kind->map, &cursor, &name, &value); tries++)
        nearest_try(&near, name);
    return nearest_hint(&near, &p->report->arena);
}

static void resolve(struct conf_parser *p, const struct conf_names *kind,
                    const struct conf_mention *m)
{
    if (!(m->row->flags & kind->flag) || map_get(&kind->map, m->name)) return;
    conf_report_error(p->report, &m->at, hint_of(p, kind, m->name), "`%s`: there is no %s %s",
                      m->row->key, kind->what, quoted(p, m->name));
}

static void check_mentions(struct conf_parser *p, const struct conf_index *x)
{
    for (size_t k = 0; k < CONF_NAME_KINDS; k++)
        for (size_t i = 0; i < p->mention_count; i++) resolve(p, &x->names[k], &p->mentions[i]);
}

static void index_names(struct conf_parser *p, struct conf_index *x)
{
    struct settings *s = p->settings;
    x->names[0] = (struct conf_names){ .flag = CONF_UPSTREAM, .what = "upstream" };
    x->names[1] = (struct conf_names){ .flag = CONF_LISTENER, .what = "listener" };
    x->names[2] = (struct conf_names){ .flag = CONF_RATE_LIMIT, .what = "rate limit" };
    x->names[3] =
        (struct conf_names){ .flag = CONF_CONCURRENCY_LIMIT, .what = "concurrency limit" };
    for (size_t k = 0; k < CONF_NAME_KINDS; k++) map_init(&x->names[k].map);
    for (size_t i = 0; i < s->upstream_count; i++)
        map_put(&x->names[0].map, s->upstreams[i].name, &s->upstreams[i]);
    for (size_t i = 0; i < s->listener_count; i++)
        map_put(&x->names[1].map, s->listeners[i].name, &s->listeners[i]);
    for (size_t i = 0; i < s->rate_limit_count; i++)
        map_put(&x->names[2].map, s->rate_limits[i].name, &s->rate_limits[i]);
    for (size_t i = 0; i < s->concurrency_limit_count; i++)
        map_put(&x->names[3].map, s->concurrency_limits[i].name, &s->concurrency_limits[i]);
}

/* ---- listeners ---- */

static bool has_tls_listener(const struct settings *s)
{
    for (size_t i = 0; i < s->listener_count; i++)
        if (s->listeners[i].tls) return true;
    return false;
}

static void check_redirect(struct conf_parser *p, const struct listener_settings *l)
{
    if (l->redirects_https && l->tls)
        fault(p, &l->at, "`redirect: https` on a listener with `tls` would redirect to itself");
    if (l->redirects_https && !l->redirect_port && !has_tls_listener(p->settings))
        fault(p, &l->at, "`redirect: https` needs a listener with `tls`, or `redirect_port`");
    if (!l->redirects_https && l->redirect_port)
        fault(p, &l->at, "`redirect_port` does nothing without `redirect: https`");
}

/* "*:80" and ":80" are the same. */
static struct slice plain_address(struct slice address)
{
    return slice_starts_with(address, S("*:")) ? slice_from(address, 1) : address;
}

static void check_listeners(struct conf_parser *p)
{
    const struct settings *s = p->settings;
    struct map             seen;
    map_init(&seen);
    for (size_t i = 0; i < s->listener_count; i++) {
        struct listener_settings *l = &s->listeners[i];
        check_redirect(p, l);
        for (size_t k = 0; k < l->addresses.count; k++) {
            struct slice address = l->addresses.items[k];
            if (slice_ends_with(address, S(":0"))) continue; /* a port of its own */
            const struct listener_settings *first = map_put(&seen, plain_address(address), l);
            if (first)
                conf_report_add(p->report, CONF_ERROR, &l->at,
                                "the address %s is already that of the listener %s",
                                quoted(p, address), quoted(p, first->name));
        }
    }
    map_reset(&seen);
}

/* ---- upstreams ---- */

static void check_servers(struct conf_parser *p, const struct upstream_settings *u)
{
    struct map seen;
    bool       has_primary = u->server_count == 0;
    if (u->docker && !p->settings->discovery.docker)
        fault(
            p, &u->docker->at,
            "`docker` of an upstream needs `discovery: { docker: true }`, or where the daemon is");
    map_init(&seen);
    for (size_t i = 0; i < u->server_count; i++) {
        struct server_settings *server = &u->servers[i];
        has_primary |= !server->backup;
        if (!server->address.data) continue;
        const struct server_settings *first = map_put(&seen, server->address, server);
        if (first)
            conf_report_add(p->report, CONF_ERROR, &server->at,
                            "the server %s stands here twice; the first one is in %s",
                            quoted(p, server->address), place(p, &first->at, &server->at));
    }
    map_reset(&seen);
    if (!has_primary)
        fault(p, &u->at, "all servers of the upstream are backups; at least one must not be");
}

/* ---- routes ---- */

static void report_name(struct conf_parser *p, const struct route_settings *route,
                        const struct route_settings *first)
{
    conf_report_add(p->report, CONF_ERROR, &route->at,
                    "the name %s is already that of the route in %s", quoted(p, route->name),
                    place(p, &first->at, &route->at));
}

/* One name from what a route matches: "herald.lol/api/", "default". */
static struct slice made_name(struct conf_parser *p, const struct match_settings *m)
{
    struct slice host = m->hosts.count ? m->hosts.items[0] : (struct slice){ 0 };
    if (!host.len && !m->path.len) return S("default");
    const char *between = host.len && m->path.len && m->path.data[0] != '/' ? " " : "";
    return arena_printf(p->arena, "%.*s%s%.*s", SLICE_ARG(host), between, SLICE_ARG(m->path));
}

static struct slice unique_name(struct conf_parser *p, struct map *names, struct slice wanted)
{
    struct slice name = wanted;
    uintptr_t    tries = (uintptr_t)map_get(names, wanted);
    while (map_get(names, name))
        name = arena_printf(p->arena, "%.*s#%zu", SLICE_ARG(wanted), (size_t)++tries);
    /* The value is how often the name was wanted; the next one begins there. */
    map_put(names, wanted, (void *)(tries ? tries : 1));
    if (tries) map_put(names, name, (void *)(uintptr_t)1);
    return name;
}

void conf_name_routes(struct conf_parser *p)
{
    struct settings *s = p->settings;
    struct map       given, names;
    map_init(&given);
    map_init(&names);
    for (size_t i = 0; i < s->route_count; i++) {
        struct route_settings *route = &s->routes[i];
        if (!route->name.data) continue;
        const struct route_settings *first = map_put(&given, route->name, route);
        map_put(&names, route->name, (void *)(uintptr_t)1);
        if (first) report_name(p, route, first);
    }
    for (size_t i = 0; i < s->route_count; i++)
        if (!s->routes[i].name.data)
            s->routes[i].name = unique_name(p, &names, made_name(p, &s->routes[i].match));
    map_reset(&given);
    map_reset(&names);
}

/* The conditions as a text, with this host alone. `/` is every path. */
static struct slice match_key(struct conf_parser *p, const struct match_settings *m,
                              struct slice *host)
{
    struct match_settings one = *m;
    struct buffer         text = BUFFER_INIT;
    one.hosts = (struct text_list){ host, host ? 1 : 0 };
    if (slice_eq(one.path, S("/"))) one.path = (struct slice){ 0 };
    conf_write(&conf_match_section, 0, &one, &text);
    struct slice key = arena_copy(p->arena, buffer_slice(&text));
    buffer_reset(&text);
    return key;
}

/* A key for each of its hosts. */
static struct text_list match_keys(struct conf_parser *p, const struct match_settings *m)
{
    size_t           count = m->hosts.count ? m->hosts.count : 1;
    struct text_list keys = { arena_alloc(p->arena, count * sizeof(*keys.items)), count };
    for (size_t i = 0; i < count; i++)
        keys.items[i] = match_key(p, m, m->hosts.count ? &m->hosts.items[i] : NULL);
    return keys;
}

static void check_twin(struct conf_parser *p, const struct route_settings *first,
                       const struct route_settings *route, const struct slice *host)
{
    if (!first) return;
    conf_report_add(p->report, CONF_ERROR, &route->at,
                    "this route matches just what the route in %s does%s%s",
                    place(p, &first->at, &route->at), host ? ", for the host " : "",
                    host ? quoted(p, *host) : "");
}

static void check_twins(struct conf_parser *p, const struct map *matches,
                        const struct route_settings *route, const struct text_list *keys)
{
    const struct text_list *hosts = &route->match.hosts;
    for (size_t i = 0; i < keys->count; i++)
        check_twin(p, map_get(matches, keys->items[i]), route,
                   hosts->count ? &hosts->items[i] : NULL);
}

static void put_matches(struct map *matches, struct route_settings *route,
                        const struct text_list *keys)
{
    for (size_t i = 0; i < keys->count; i++)
        if (!map_get(matches, keys->items[i])) map_put(matches, keys->items[i], route);
}

static void check_routes(struct conf_parser *p, struct conf_index *x)
{
    const struct settings *s = p->settings;
    for (size_t i = 0; i < s->route_count; i++) {
        struct text_list keys = match_keys(p, &s->routes[i].match);
        check_twins(p, &x->matches, &s->routes[i], &keys);
        put_matches(&x->matches, &s->routes[i], &keys);
    }
}

static void check_stores(struct conf_parser *p)
{
    const struct settings *s = p->settings;
    for (size_t i = 0; i < s->rate_limit_count; i++)
        if (s->rate_limits[i].store == STORE_REDIS && !s->redis)
            fault(p, &s->rate_limits[i].at, "`store: redis` needs `stores: { redis: URL }`");
}

/* ---- the whole ---- */

void conf_check_all(struct conf_parser *p)
{
    struct conf_index x;
    index_names(p, &x);
    map_init(&x.matches);
    map_init(&x.routes);
    check_mentions(p, &x);
    check_stores(p);
    check_listeners(p);
    for (size_t i = 0; i < p->settings->upstream_count; i++)
        check_servers(p, &p->settings->upstreams[i]);
    /* A condition that could not be read would make routes look alike. */
    if (!p->report->error_count) check_routes(p, &x);
    conf_index_reset(&x);
}

void conf_index_init(struct conf_parser *p, struct conf_index *x)
{
    const struct settings *s = p->settings;
    index_names(p, x);
    map_init(&x->matches);
    map_init(&x->routes);
    check_routes(p, x);
    for (size_t i = 0; i < s->route_count; i++)
        map_put(&x->routes, s->routes[i].name, &s->routes[i]);
}

void conf_index_reset(struct conf_index *x)
{
    for (size_t k = 0; k < CONF_NAME_KINDS; k++) map_reset(&x->names[k].map);
    map_reset(&x->matches);
    map_reset(&x->routes);
}

void conf_check_more(struct conf_parser *p, struct conf_index *x, struct upstream_settings *u,
                     struct route_settings *route)
{
    const struct route_settings *first = map_get(&x->routes, route->name);
    struct text_list             keys = match_keys(p, &route->match);
    map_put(&x->names[0].map, u->name, u);
    check_mentions(p, x);
    check_servers(p, u);
    if (first) report_name(p, route, first);
    if (!p->report->error_count) check_twins(p, &x->matches, route, &keys);
    if (p->report->error_count) {
        map_remove(&x->names[0].map, u->name);
        return;
    }
    map_put(&x->routes, route->name, route);
    put_matches(&x->matches, route, &keys);
}
