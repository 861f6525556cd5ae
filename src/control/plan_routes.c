/* SPDX-License-Identifier: Apache-2.0
 *
 * Routes of a plan: who answers, what is asked before, which pages.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "conf/types.h"
#include "control/maintenance.h"
#include "control/open_file.h"
#include "control/plan_parts.h"
#include "filter/canonical.h"
#include "filter/compress.h"
#include "filter/concurrency.h"
#include "filter/headers.h"
#include "filter/limit_remote.h"
#include "filter/rate_limit.h"
#include "filter/rewrite.h"
#include "filter/security_headers.h"
#include "origin/files.h"
#include "origin/redirect.h"
#include "origin/respond.h"

enum { TYPES_BYTES_MAX = 1024 * 1024 };

static const char types_path[] = "/etc/mime.types";

/* ---- filters ---- */

/* Equal texts, equal limits: those keep their state over a reload. */
static void put_limit_key(struct buffer *key, const struct conf_section *section, struct slice name,
                          const void *settings)
{
    buffer_put_slice(key, name);
    buffer_put_char(key, '\n');
    conf_write(section, 0, settings, key);
}

static void free_rate_limit(struct registry_item *item, void *arg)
{
    (void)arg;
    rate_limit_free(item->object);
}

/* NULL: told why. */
static struct rate_limit *make_rate_limit(struct build *b, const struct rate_limit_settings *s)
{
    struct registry *r = b->maker->registry;
    struct buffer    key = BUFFER_INIT;
    put_limit_key(&key, &conf_rate_limit_section, s->name, s);
    if (s->store == STORE_REDIS) buffer_printf(&key, "\n%p", (void *)b->store);
    struct registry_item *item = registry_find(r, REGISTRY_RATE_LIMIT, buffer_slice(&key));
    struct rate_limit    *made = item ? NULL : rate_limit_new(s, b->store, b->maker->worker_count);
    if (made)
        item =
            registry_add(r, REGISTRY_RATE_LIMIT, buffer_slice(&key), made, free_rate_limit, NULL);
    buffer_reset(&key);
    if (!item) {
        conf_report_add(b->report, CONF_ERROR, &s->at, "the system has no %llu bytes of `memory`",
                        (unsigned long long)s->memory);
        return NULL;
    }
    registry_hold(r, item, &b->plan->arena);
    struct limit_remote *remote = rate_limit_remote(item->object);
    if (remote) build_add_part(b, &limit_remote_part, remote);
    return item->object;
}

/* NULL: told why. */
static struct rate_limit *find_rate_limit(struct build *b, const struct route_settings *route,
                                          struct slice name)
{
    struct rate_limit *known = map_get(&b->limits, name);
    if (known) return known;
    for (size_t i = 0; i < b->settings->rate_limit_count; i++) {
        const struct rate_limit_settings *s = &b->settings->rate_limits[i];
        if (!slice_eq(s->name, name)) continue;
        known = make_rate_limit(b, s);
        if (known) map_put(&b->limits, s->name, known);
        return known;
    }
    conf_report_add(b->report, CONF_ERROR, &route->at, "there is no rate limit %.*s",
                    SLICE_ARG(name));
    return NULL;
}

static const void *configure_rate_limits(struct build *b, const struct route_settings *route)
{
    const struct text_list  *names = &route->policy.rate_limits;
    struct arena            *a = &b->plan->arena;
    struct rate_limit_chain *chain = arena_zalloc(a, sizeof(*chain));
    if (!names->count) return NULL;
    struct rate_limit **rules = arena_zalloc(a, names->count * sizeof(*rules));
    for (size_t i = 0; i < names->count; i++) {
        struct rate_limit *rule = find_rate_limit(b, route, names->items[i]);
        if (rule) rules[chain->count++] = rule;
    }
    chain->rules = rules;
    return chain;
}

static void free_concurrency_limit(struct registry_item *item, void *arg)
{
    (void)arg;
    concurrency_limit_free(item->object);
}

/* NULL: there is none of that name. */
static struct concurrency_limit *hold_concurrency_limit(struct build *b, struct slice name)
{
    struct registry                         *r = b->maker->registry;
    const struct concurrency_limit_settings *s = b->settings->concurrency_limits;
    const struct concurrency_limit_settings *end = s + b->settings->concurrency_limit_count;
    while (s < end && !slice_eq(s->name, name)) s++;
    if (s == end) return NULL;
    struct buffer key = BUFFER_INIT;
    put_limit_key(&key, &conf_concurrency_limit_section, s->name, s);
    struct registry_item *item = registry_find(r, REGISTRY_CONCURRENCY_LIMIT, buffer_slice(&key));
    if (!item)
        item = registry_add(r, REGISTRY_CONCURRENCY_LIMIT, buffer_slice(&key),
                            concurrency_limit_new(s, b->maker->worker_count),
                            free_concurrency_limit, NULL);
    buffer_reset(&key);
    registry_hold(r, item, &b->plan->arena);
    return item->object;
}

static const void *configure_concurrency(struct build *b, const struct route_settings *route)
{
    const struct text_list *names = &route->policy.concurrency_limits;
    struct arena           *a = &b->plan->arena;
    if (!names->count) return NULL;
    struct concurrency_chain  *chain = arena_zalloc(a, sizeof(*chain));
    struct concurrency_limit **limits = arena_zalloc(a, names->count * sizeof(*limits));
    for (size_t i = 0; i < names->count; i++) {
        limits[chain->count] = hold_concurrency_limit(b, names->items[i]);
        if (limits[chain->count])
            chain->count++;
        else
            conf_report_add(b->report, CONF_ERROR, &route->at, "there is no concurrency limit %.*s",
                            SLICE_ARG(names->items[i]));
    }
    chain->limits = limits;
    return chain;
}

/* What `defaults` says alone is the same for all routes, and was built for none of them. */
static const void *config_of_defaults(const struct build *b, const struct filter_ops *ops)
{
    const struct plan_route *none = b->plan->no_route;
    for (size_t i = 0; none && i < none->filter_count; i++)
        if (none->filters[i].ops == ops) return none->filters[i].config;
    return NULL;
}

static const void *configure_headers(struct build *b, const struct route_settings *route)
{
    const void  *same = route->policy.headers ? NULL : config_of_defaults(b, &filter_headers);
    struct error e;
    if (same) return same;
    const struct headers_settings *defaults = b->settings->defaults.headers;
    const struct headers_settings *own = route->policy.headers;
    const struct header_edits     *made = header_edits_build(defaults, own, &b->plan->arena);
    if (made && !header_edits_check_groups(made, b->pattern, &e))
        conf_report_error(b->report, own ? &own->at : &defaults->at,
                          own ? S("")
                              : S("it stands in `headers` of that route, not in `defaults`"),
                          "`headers`: %s", e.text);
    return made;
}

static const void *configure_security(struct build *b, const struct route_settings *route)
{
    bool        is_own = route->policy.security != b->settings->defaults.security;
    const void *same = is_own ? NULL : config_of_defaults(b, &filter_security_headers);
    return same ? same : security_headers_build(route->policy.security, &b->plan->arena);
}

static const void *configure_compress(struct build *b, const struct route_settings *route)
{
    return compress_config_new(&route->policy.compress, &b->plan->arena);
}

/* A library that was not there when the program was built. */
static void check_codings(struct build *b, const struct compress_settings *s)
{
    for (size_t i = 0; i < s->codings.count; i++) {
        struct slice     name = s->codings.items[i];
        enum http_coding coding = http_coding_lookup(name);
        const char      *package = coding < CODING_COUNT ? coder_lacks(coding) : NULL;
        if (package)
            conf_report_add(b->report, CONF_ERROR, &s->at,
                            "`compress`: this wharfgate was built without `%.*s`: install %s and "
                            "build it anew, or leave it out",
                            SLICE_ARG(name), package);
    }
}

static struct uri_rules uri_rules_of(const struct route_settings *route)
{
    return (struct uri_rules){ route->policy.allow_encoded_slash, .merges_slashes = true };
}

static const void *configure_canonical(struct build *b, const struct route_settings *route)
{
    const struct policy_settings *s = &route->policy;
    if (!s->canonical_host.len && s->trailing_slash == TRAILING_SLASH_IGNORE) return NULL;
    struct canonical *c = arena_zalloc(&b->plan->arena, sizeof(*c));
    *c = (struct canonical){ s->canonical_host, s->trailing_slash, uri_rules_of(route) };
    return c;
}

/* What conf/ cannot see: groups that a pattern does not have, places that are none. */
static const void *built(struct build *b, const void *made, const struct conf_place *at,
                         struct slice hint, const struct error *e)
{
    if (!made) conf_report_error(b->report, at, hint, "%s", e->text);
    return made;
}

static const void *configure_rewrite(struct build *b, const struct route_settings *route)
{
    struct uri_rules rules = uri_rules_of(route);
    struct error     e;
    if (!route->rewrite) return NULL;
    return built(b, rewrite_build(route->rewrite, &rules, &b->plan->arena, &e), &route->rewrite->at,
                 S(""), &e);
}

/* The order in which requests meet them; responses meet them in reverse. */
static const struct {
    const struct filter_ops *ops;
    /* The filter's config, or NULL: the route does not want it. */
    const void *(*configure)(struct build *b, const struct route_settings *route);
} filter_table[] = {
    { &filter_maintenance, build_maintenance },
    { &filter_concurrency, configure_concurrency }, /* whom it refuses costs no token */
    { &filter_rate_limit, configure_rate_limits },
    { &filter_canonical, configure_canonical },
    { &filter_rewrite, configure_rewrite },
    /* Sees a request as the client sent it, and a response as it is to be sent. */
    { &filter_compress, configure_compress },
    { &filter_headers, configure_headers },
    { &filter_security_headers, configure_security },
};

enum { FILTER_COUNT = sizeof(filter_table) / sizeof(filter_table[0]) };

/* `is_route`: else only those whose response side runs on every answer. */
static void add_filters(struct build *b, struct plan_route *to, const struct route_settings *s,
                        bool is_route)
{
    struct plan_filter found[FILTER_COUNT];
    size_t             count = 0;
    for (size_t i = 0; i < FILTER_COUNT; i++) {
        if (!is_route && !filter_table[i].ops->on_response_always) continue;
        const void *config = filter_table[i].configure(b, s);
        if (config) found[count++] = (struct plan_filter){ filter_table[i].ops, config };
    }
    if (!count) return;
    struct plan_filter *filters = arena_alloc(&b->plan->arena, count * sizeof(*filters));
    memcpy(filters, found, count * sizeof(*filters));
    to->filters = filters;
    to->filter_count = count;
}

/* ---- origins ---- */

/* The system's table is read where there is one: without it the short one of our own has to do. */
static const struct mime_table *build_types(struct build *b)
{
    struct buffer text = BUFFER_INIT;
    struct error  e;
    int           fd = open_for_reading(types_path, &e);
    bool          is_read = fd >= 0 && read_all(fd, types_path, TYPES_BYTES_MAX, &text, &e);
    if (fd >= 0) close(fd);
    const struct mime_table *types =
        mime_table_new(&b->plan->arena, is_read ? buffer_slice(&text) : slice_make("", 0));
    buffer_reset(&text);
    return types;
}

static const void *configure_respond(struct build *b, const struct route_settings *s)
{
    (void)b;
    return s->respond;
}

static const void *configure_redirect(struct build *b, const struct route_settings *s)
{
    struct uri_rules rules = uri_rules_of(s);
    struct error     e;
    if (!s->redirect) return NULL;
    bool         has_pattern = s->redirect->match.len || b->pattern;
    struct slice hint =
        has_pattern
            ? S("as in `https://example.org${path}?${query}`; the host is fixed text or `${host}`")
            : S("as in `https://example.org${path}?${query}`; what `$1` is says `match`, or the "
                "route's path if it is an expression");
    return built(b, redirect_build(s->redirect, b->pattern, &rules, &b->plan->arena, &e),
                 &s->redirect->at, hint, &e);
}

/* NULL: the route has none, or it was told why not. */
static const void *configure_files(struct build *b, const struct route_settings *s)
{
    struct error  e;
    struct arena *a = &b->plan->arena;
    if (!s->files) return NULL;
    if (!b->types) b->types = build_types(b);
    struct files *made = files_new(a, s->files, b->types, b->maker->worker_count, &e);
    if (made) build_add_part(b, &files_part, made);
    if (!made || (!b->maker->takes_missing && !files_check(made, &e)))
        conf_report_add(b->report, CONF_ERROR, &s->files->at, "%s", e.text);
    return made;
}

/* What can answer besides an upstream. */
static const struct {
    const struct origin_ops *ops;
    const void *(*configure)(struct build *b, const struct route_settings *s);
} origin_table[] = {
    { &origin_respond, configure_respond },
    { &origin_redirect, configure_redirect },
    { &origin_files, configure_files },
};

static void set_origin(struct build *b, struct plan_route *to, const struct route_settings *s)
{
    for (size_t i = 0; i < sizeof(origin_table) / sizeof(origin_table[0]) && !to->origin; i++) {
        to->origin_config = origin_table[i].configure(b, s);
        if (to->origin_config) to->origin = origin_table[i].ops;
    }
    for (size_t i = 0; i < b->maker->override_count; i++) {
        const struct origin_override *o = &b->maker->overrides[i];
        if (!slice_eq(slice_of(o->route), s->name)) continue;
        to->origin = o->ops;
        to->origin_config = o->config;
    }
}

static void set_upstream(struct build *b, struct plan_route *to, const struct route_settings *s)
{
    if (!s->upstream.len) return;
    to->upstream = map_get(&b->upstreams, s->upstream);
    if (to->upstream) return;
    /* One that is configured and failed has been reported. */
    for (size_t i = 0; i < b->settings->upstream_count; i++)
        if (slice_eq(b->settings->upstreams[i].name, s->upstream)) return;
    conf_report_add(b->report, CONF_ERROR, &s->at, "there is no upstream %.*s",
                    SLICE_ARG(s->upstream));
}

/* ---- pages ---- */

struct slice build_page_type(struct slice path)
{
    if (slice_ends_with(path, S(".json"))) return S("application/json");
    if (slice_ends_with(path, S(".txt"))) return S("text/plain; charset=utf-8");
    return S("text/html; charset=utf-8");
}

void build_pages(struct build *b, const struct policy_settings *policy, const struct conf_place *at,
                 const struct plan_page **pages, size_t *count)
{
    *pages = NULL;
    *count = 0;
    if (!policy->error_page_count) return;
    struct plan_page *made =
        arena_zalloc(&b->plan->arena, policy->error_page_count * sizeof(*made));
    for (size_t i = 0; i < policy->error_page_count; i++) {
        const struct error_page_settings *s = &policy->error_pages[i];
        made[i].status = s->status;
        made[i].content_type = build_page_type(s->path);
        (void)build_read(b, at, s->path, &made[i].body);
    }
    *pages = made;
    *count = policy->error_page_count;
}

/* ---- routes ---- */

static void set_pages(struct build *b, struct plan_route *to, const struct route_settings *s)
{
    const struct plan_route *fallback = b->plan->no_route;
    if (s->policy.error_pages == b->settings->defaults.error_pages) {
        to->pages = fallback->pages;
        to->page_count = fallback->page_count;
        return;
    }
    build_pages(b, &s->policy, &s->at, &to->pages, &to->page_count);
}

static void build_no_route(struct build *b)
{
    struct conf_place     at = build_place(b);
    struct route_settings like = { .policy = b->settings->defaults };
    struct plan_route    *none = arena_zalloc(&b->plan->arena, sizeof(*none));
    none->policy = &b->settings->defaults;
    none->series = STATS_SERIES_OTHER;
    build_pages(b, none->policy, &at, &none->pages, &none->page_count);
    like.policy.headers = NULL; /* those of defaults are no route's own */
    add_filters(b, none, &like, false);
    b->plan->no_route = none;
}

void build_routes(struct build *b)
{
    const struct settings *s = b->settings;
    struct plan           *p = b->plan;
    build_no_route(b);
    check_codings(b, &s->defaults.compress);
    p->routes = arena_zalloc(&p->arena, (s->route_count + 1) * sizeof(*p->routes));
    p->route_count = s->route_count;
    for (size_t i = 0; i < s->route_count; i++) {
        const struct route_settings *from = &s->routes[i];
        struct plan_route           *to = &p->routes[i];
        to->name = from->name;
        to->policy = &from->policy;
        to->series = registry_hold_series(b->maker->registry, SERIES_ROUTE, from->name,
                                          s->metrics.max_series, &p->arena);
        const struct conf_place *own = &from->policy.compress.at; /* no file: of labels */
        if (own->file && memcmp(own, &s->defaults.compress.at, sizeof(*own)) != 0)
            check_codings(b, &from->policy.compress);
        to->pattern = b->pattern = router_path_pattern(p->router, i);
        set_upstream(b, to, from);
        set_origin(b, to, from);
        add_filters(b, to, from, true);
        set_pages(b, to, from);
    }
}
