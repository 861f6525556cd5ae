/* SPDX-License-Identifier: Apache-2.0
 *
 * Which listener, route and filters a request meets, and who answers it.
 */
#include "conf/value.h"
#include "control/explain_parts.h"
#include "filter/canonical.h"
#include "filter/compress.h"
#include "filter/concurrency.h"
#include "filter/headers.h"
#include "filter/maintenance.h"
#include "filter/rate_limit.h"
#include "filter/rewrite.h"
#include "filter/security_headers.h"
#include "origin/files_path.h"
#include "origin/redirect.h"
#include "proxy/route_explain.h"

/* ---- the listener ---- */

struct door {
    const struct plan_listener *listener; /* NULL: there is none */
    bool                        is_tls;   /* as the request comes */
    bool                        has_port, fits_tls, fits_port;
    uint16_t                    port;
};

static bool is_tls_listener(const struct plan_listener *l)
{
    return l->settings->tls != NULL;
}

/* As bound; as configured where it is not. */
static bool has_port(const struct plan_listener *l, uint16_t port, struct arena *arena)
{
    const struct text_list *texts = &l->settings->addresses;
    struct address          a;
    struct error            e;
    for (size_t i = 0; i < l->socket_count; i++)
        if (l->sockets[i]->address.port == port) return true;
    for (size_t i = 0; i < texts->count && !l->socket_count; i++)
        if (address_parse(&a, texts->items[i], arena, &e) && a.port == port) return true;
    return false;
}

static const struct plan_listener *find_listener(const struct plan *p, const struct door *d,
                                                 struct arena *arena)
{
    for (size_t i = 0; i < p->listener_count; i++) {
        const struct plan_listener *l = &p->listeners[i];
        if (l->is_admin) continue;
        if (d->fits_tls && is_tls_listener(l) != d->is_tls) continue;
        if (d->fits_port && !has_port(l, d->port, arena)) continue;
        return l;
    }
    return NULL;
}

/* Without a scheme: TLS if the port's listener has it, or, without a port, any. */
static bool guess_tls(const struct plan *p, const struct door *d, struct arena *arena)
{
    struct door any = {
        .is_tls = true, .fits_tls = true, .fits_port = d->has_port, .port = d->port
    };
    return find_listener(p, &any, arena) != NULL;
}

/* The best that there is: by TLS and port, by TLS, the first one. */
static struct door find_door(const struct plan *p, const struct explain_request *r)
{
    struct door d = { .has_port = r->port != 0, .port = r->port };
    d.is_tls = r->scheme.len ? slice_eq(r->scheme, S("https")) : guess_tls(p, &d, r->arena);
    if (!d.has_port) d.port = d.is_tls ? 443 : 80;
    d.fits_tls = d.fits_port = true;
    if ((d.listener = find_listener(p, &d, r->arena))) return d;
    d.fits_port = false;
    if ((d.listener = find_listener(p, &d, r->arena))) return d;
    d.fits_tls = false;
    d.listener = find_listener(p, &d, r->arena);
    return d;
}

static struct slice door_why(const struct door *d, struct arena *a)
{
    const char *tls = d->is_tls ? "with TLS" : "without TLS";
    if (d->fits_port) return arena_printf(a, "port %u, %s", d->port, tls);
    if (d->fits_tls)
        return arena_printf(a, "none %s has port %u: the first one %s", tls, d->port, tls);
    return arena_printf(a, "none is %s: the first one", tls);
}

static void put_other_listeners(const struct plan *p, const struct door *d, struct arena *arena,
                                struct buffer *to)
{
    const char *separator = "";
    buffer_puts(to, ",\"also\":[");
    for (size_t i = 0; i < p->listener_count; i++) {
        const struct plan_listener *l = &p->listeners[i];
        if (l->is_admin || l == d->listener || is_tls_listener(l) != d->is_tls) continue;
        if (d->fits_port && !has_port(l, d->port, arena)) continue;
        buffer_puts(to, separator);
        buffer_put_json(to, l->name);
        separator = ",";
    }
    buffer_put_char(to, ']');
}

static void put_listener(const struct plan *p, const struct door *d, struct arena *arena,
                         struct buffer *to)
{
    buffer_puts(to, ",\"listener\":{");
    explain_put(to, "\"name\"", d->listener->name);
    explain_put(to, ",\"why\"", door_why(d, arena));
    put_other_listeners(p, d, arena, to);
    buffer_put_char(to, '}');
}

/* ---- filters ---- */

static struct slice period_text(uint64_t ms, struct arena *a)
{
    switch (ms) {
    case 1000: return S("s");
    case 60 * 1000: return S("m");
    case 60 * 60 * 1000: return S("h");
    default: return arena_printf(a, "%llums", (unsigned long long)ms);
    }
}

static struct slice join(const struct text_list *list, const char *between, struct arena *a)
{
    struct slice all = list->count ? list->items[0] : S("");
    for (size_t i = 1; i < list->count; i++)
        all = arena_printf(a, "%.*s%s%.*s", SLICE_ARG(all), between, SLICE_ARG(list->items[i]));
    return all;
}

static struct slice key_text(const struct key_settings *key, struct arena *a)
{
    return key->parts.count ? join(&key->parts, " and ", a) : S("client_ip");
}

static struct slice rate_limit_text(const struct plan *p, struct slice name, struct arena *a)
{
    for (size_t i = 0; i < p->settings->rate_limit_count; i++) {
        const struct rate_limit_settings *s = &p->settings->rate_limits[i];
        if (!slice_eq(s->name, name)) continue;
        return arena_printf(a, "%.*s: %llu/%.*s, burst %u%s, by %.*s; then %u%s", SLICE_ARG(name),
                            (unsigned long long)s->rate_count,
                            SLICE_ARG(period_text(s->rate_period, a)), s->burst,
                            s->delay ? " (held back)" : "", SLICE_ARG(key_text(&s->key, a)),
                            s->status, s->dry_run ? " (dry run: lets pass)" : "");
    }
    return name;
}

static struct slice concurrency_limit_text(const struct plan *p, struct slice name, struct arena *a)
{
    for (size_t i = 0; i < p->settings->concurrency_limit_count; i++) {
        const struct concurrency_limit_settings *s = &p->settings->concurrency_limits[i];
        if (!slice_eq(s->name, name)) continue;
        return arena_printf(a, "%.*s: %u at once, by %.*s; then %u%s", SLICE_ARG(name), s->max,
                            SLICE_ARG(key_text(&s->key, a)), s->status,
                            s->dry_run ? " (dry run: lets pass)" : "");
    }
    return name;
}

static struct slice limits_text(const struct plan *p, const struct text_list *names,
                                struct slice (*text)(const struct plan *, struct slice,
                                                     struct arena *),
                                struct arena *a)
{
    struct text_list texts = { arena_alloc(a, names->count * sizeof(struct slice)), names->count };
    for (size_t i = 0; i < names->count; i++) texts.items[i] = text(p, names->items[i], a);
    return join(&texts, "; ", a);
}

static struct slice canonical_text(const struct canonical *c, struct arena *a)
{
    static const char *const slashes[] = { "", "a slash is added", "a slash is removed" };
    return arena_printf(a, "%s%.*s%s%s", c->host.len ? "host " : "", SLICE_ARG(c->host),
                        c->host.len && c->slash ? "; " : "", slashes[c->slash]);
}

/* On or off, by what, and for whom it is not. */
static struct slice maintenance_text(const struct maintenance          *m,
                                     const struct maintenance_settings *s,
                                     const struct explain_request      *r)
{
    const char  *asked = maintenance_is_asked(m) ? ", by `wharfgate maintenance on`" : "";
    struct slice file = S("");
    if (!maintenance_is_on(m)) return S("off");
    if (maintenance_has_file(m))
        file = arena_printf(r->arena, "; %.*s is there", SLICE_ARG(s->file));
    if (!s->allow.count) return arena_printf(r->arena, "on%s%.*s", asked, SLICE_ARG(file));
    bool is_allowed = r->client.len && cidr_set_has(&m->allowed, &r->address);
    return arena_printf(r->arena, "on%s%.*s; %.*s", asked, SLICE_ARG(file),
                        SLICE_ARG(!r->client.len ? S("not for whom `allow` lists (--client)")
                                  : is_allowed   ? S("not for this client: `allow` lists it")
                                                 : S("`allow` does not list this client")));
}

static struct slice uri_text(struct slice path, bool has_query, struct slice query, struct arena *a)
{
    return arena_printf(a, "%.*s%s%.*s", SLICE_ARG(path), has_query ? "?" : "", SLICE_ARG(query));
}

static const char *limit_note(const struct pattern_matcher *m)
{
    return m->has_hit_limit ? " (a regular expression gave up at its limits)" : "";
}

/* *note: what is to be said of the matching, or NULL. */
static struct rewrite_result rewritten(const struct rewrite         *rewrite,
                                       const struct explain_request *r, const char **note)
{
    struct pattern_matcher m;
    struct rewrite_result  to;
    pattern_matcher_init(&m);
    rewrite_run(rewrite, &r->head, r->authority.host, &m, r->arena, &to);
    if (note) *note = limit_note(&m);
    pattern_matcher_reset(&m);
    return to;
}

/* What this request becomes. */
static struct slice rewrite_text(const struct rewrite *rewrite, const struct explain_request *r)
{
    const char           *note;
    struct rewrite_result to = rewritten(rewrite, r, &note);
    if (to.refused) return arena_printf(r->arena, "refused: %s%s", to.refused, note);
    return arena_printf(r->arena, "to %s%s",
                        uri_text(to.path, to.has_query, to.query, r->arena).data, note);
}

static struct slice compress_detail(const struct compress_config   *config,
                                    const struct compress_settings *s, struct arena *a)
{
    struct slice text = compress_text(config, a);
    if (!s->types.count) return text;
    return arena_printf(a, "%.*s; only %.*s", SLICE_ARG(text), SLICE_ARG(join(&s->types, ", ", a)));
}

static void put_filters(const struct plan *p, const struct plan_route *route,
                        const struct explain_request *r, struct buffer *to)
{
    struct arena *a = r->arena;
    buffer_puts(to, ",\"filters\":[");
    for (size_t i = 0; i < route->filter_count; i++) {
        const struct filter_ops *ops = route->filters[i].ops;
        struct slice             detail = S("");
        if (ops == &filter_rate_limit)
            detail = limits_text(p, &route->policy->rate_limits, rate_limit_text, a);
        if (ops == &filter_concurrency)
            detail = limits_text(p, &route->policy->concurrency_limits, concurrency_limit_text, a);
        if (ops == &filter_maintenance)
            detail = maintenance_text(route->filters[i].config, route->policy->maintenance, r);
        if (ops == &filter_compress)
            detail = compress_detail(route->filters[i].config, &route->policy->compress, a);
        if (ops == &filter_headers) detail = header_edits_text(route->filters[i].config, a);
        if (ops == &filter_security_headers)
            detail = security_headers_text(route->filters[i].config, r->is_secure, a);
        if (ops == &filter_canonical) detail = canonical_text(route->filters[i].config, a);
        if (ops == &filter_rewrite) detail = rewrite_text(route->filters[i].config, r);
        explain_put(to, i ? ",{\"name\"" : "{\"name\"", slice_of(ops->name));
        explain_put(to, ",\"detail\"", detail);
        buffer_put_char(to, '}');
    }
    buffer_put_char(to, ']');
}

/* What a filter answers in the origin's place, and its reason as the log has it; false: none does.
 * What limits do is not known beforehand. */
static bool find_early_answer(const struct plan_route *route, const struct explain_request *r,
                              struct slice *reason, struct slice *detail)
{
    for (size_t i = 0; i < route->filter_count; i++) {
        const struct filter_ops *ops = route->filters[i].ops;
        const void              *config = route->filters[i].config;
        const char              *moved = NULL;
        struct slice             to = { 0 };
        if (ops == &filter_maintenance && maintenance_refuses(config, &r->address)) {
            const struct maintenance *m = config;
            *reason = S("maintenance");
            *detail = arena_printf(r->arena, "%u", m->status);
            return true;
        }
        if (ops == &filter_canonical)
            moved =
                canonical_move(config, &r->head, r->authority.host, r->is_secure, r->arena, &to);
        if (ops == &filter_rewrite && rewritten(config, r, NULL).refused) moved = "rewrite_refused";
        if (!moved) continue;
        *reason = slice_of(moved);
        *detail = to.data ? arena_printf(r->arena, "%d to %.*s", CANONICAL_STATUS, SLICE_ARG(to))
                          : S("400");
        return true;
    }
    return false;
}

/* ---- the route ---- */

static void put_place(const struct route_settings *s, struct buffer *to)
{
    struct buffer text = BUFFER_INIT;
    buffer_puts(&text, s->at.file ? s->at.file : "");
    if (s->at.line) buffer_printf(&text, ":%u", s->at.line); /* else no file has it */
    explain_put(to, ",\"at\"", buffer_slice(&text));
    buffer_reset(&text);
}

static void put_others(const struct plan *p, const struct route_explanation *x, struct buffer *to)
{
    buffer_puts(to, ",\"others\":[");
    for (size_t i = 0; i < x->other_count; i++) {
        const struct route_settings *s = &p->settings->routes[x->others[i].route];
        explain_put(to, i ? ",{\"name\"" : "{\"name\"", s->name);
        explain_put(to, ",\"why\"", x->others[i].why);
        put_place(s, to);
        buffer_put_char(to, '}');
    }
    buffer_printf(to, "],\"left_out\":%zu,\"hit_regex_limit\":%s", x->left_count,
                  x->match.has_hit_limit ? "true" : "false");
}

struct refusals {
    struct slice   host;
    struct buffer *to;
    const char    *start;
};

static bool names_host(struct slice hosts, struct slice host)
{
    while (hosts.len) {
        size_t       comma = slice_find(hosts, ',');
        struct slice one = slice_make(hosts.data, comma);
        bool         is_suffix =
            slice_starts_with(one, S("*.")) && slice_ends_with(host, slice_from(one, 1));
        if (slice_eq(one, host) || is_suffix) return true;
        hosts = slice_from(hosts, comma < hosts.len ? comma + 1 : comma);
    }
    return false;
}

static void put_refusal(void *arg, const struct docker_route_view *view)
{
    struct refusals *r = arg;
    if (!view->why_refused || !names_host(view->hosts, r->host)) return;
    explain_put(r->to, r->start, slice_of(view->name));
    explain_put(r->to, ",\"container\"", slice_of(view->container));
    explain_put(r->to, ",\"why\"", slice_of(view->why_refused));
    buffer_put_char(r->to, '}');
    r->start = ",{\"name\"";
}

/* Routes of containers' labels that would be of this host and are not there. */
static void put_refused(const struct explain_world *w, const struct explain_request *r,
                        struct buffer *to)
{
    struct refusals refusals = { r->authority.text, to, "{\"name\"" };
    buffer_puts(to, ",\"refused\":[");
    if (w->docker && w->plan->settings->discovery.docker)
        docker_each_route(w->docker, put_refusal, &refusals);
    buffer_put_char(to, ']');
}

static struct slice redirect_text(const struct plan_route *route, const struct redirect_settings *s,
                                  const struct explain_request *r)
{
    struct pattern_matcher m;
    struct slice           location;
    if (route->origin != &origin_redirect) return S(""); /* something took its place */
    pattern_matcher_init(&m);
    const char *refused = redirect_location(route->origin_config, &r->head, r->authority.host, &m,
                                            r->arena, &location);
    const char *note = limit_note(&m);
    pattern_matcher_reset(&m);
    if (refused) return arena_printf(r->arena, "none: %s%s", refused, note);
    return arena_printf(r->arena, "%u to %.*s", s->status, SLICE_ARG(location));
}

/* Which file is looked for: with `rewrite` it is not told by the URL. */
static struct slice files_text(const struct plan_route *route, const struct files_settings *s,
                               const struct explain_request *r)
{
    struct arena     *a = r->arena;
    struct slice      path = r->head.path;
    struct files_path file;
    for (size_t i = 0; i < route->filter_count; i++)
        if (route->filters[i].ops == &filter_rewrite)
            path = rewritten(route->filters[i].config, r, NULL).path;
    if (!files_path_read(path, a, &file))
        return arena_printf(a, "404: no such name is served from %.*s (a dot in front?)",
                            SLICE_ARG(s->root));
    return arena_printf(a, "%.*s/%.*s%s%s%.*s", SLICE_ARG(s->root), SLICE_ARG(file.text),
                        file.is_folder && file.text.len ? "/" : "",
                        s->fallback.len ? ", else " : "", SLICE_ARG(s->fallback));
}

/* What an origin of our own answers; `s` is NULL for a listener's only route. */
static struct slice origin_detail(const struct plan_route *route, const struct route_settings *s,
                                  const struct explain_request *r)
{
    if (!s) return S("to the same with https");
    if (s->respond) return arena_printf(r->arena, "%u", s->respond->status);
    if (s->files) return files_text(route, s->files, r);
    return s->redirect ? redirect_text(route, s->redirect, r) : S("");
}

/* What a request to a server may send, and how long it waits: which 413 and 504 come of. */
static void put_bounds(const struct policy_settings *s, struct buffer *to)
{
    struct buffer text = BUFFER_INIT;
    buffer_puts(&text, "max_body ");
    if (s->max_body)
        value_put_size(&text, s->max_body);
    else
        buffer_puts(&text, "unlimited");
    if (s->buffer_request) {
        buffer_puts(&text, ", buffer_request ");
        value_put_size(&text, s->buffer_request);
    }
    buffer_puts(&text, ", connect ");
    value_put_duration(&text, s->timeouts.connect);
    buffer_puts(&text, ", response_header ");
    value_put_duration(&text, s->timeouts.response_header);
    buffer_puts(&text, ", response_idle ");
    value_put_duration(&text, s->timeouts.response_idle);
    explain_put(to, ",\"bounds\"", buffer_slice(&text));
    buffer_reset(&text);
}

static void put_answer(const struct explain_world *w, const struct plan_route *route,
                       const struct explain_request *r, struct buffer *to)
{
    bool is_routed = route >= w->plan->routes && route < w->plan->routes + w->plan->route_count;
    const struct route_settings *s =
        is_routed ? &w->plan->settings->routes[route - w->plan->routes] : NULL;
    struct slice origin = route->origin ? slice_of(route->origin->name) : S("");
    struct slice detail = route->origin ? origin_detail(route, s, r) : S("");
    bool         is_early = find_early_answer(route, r, &origin, &detail);
    put_filters(w->plan, route, r, to);
    explain_put(to, ",\"detail\"", detail);
    explain_put(to, ",\"origin\"", origin);
    bool has_upstream = route->upstream && !route->origin && !is_early;
    if (has_upstream) put_bounds(route->policy, to);
    buffer_puts(to, ",\"upstream\":");
    if (has_upstream)
        explain_upstream(w, route->upstream, r, to);
    else
        buffer_puts(to, "null");
}

static void put_route(const struct explain_world *w, const struct route_explanation *x,
                      const struct explain_request *r, struct buffer *to)
{
    if (x->match.route == ROUTER_NONE) {
        buffer_puts(to, ",\"route\":null,\"status\":404");
        put_others(w->plan, x, to);
        return;
    }
    const struct route_settings *s = &w->plan->settings->routes[x->match.route];
    explain_put(to, ",\"route\":{\"name\"", s->name);
    explain_put(to, ",\"why\"", x->why);
    put_place(s, to);
    buffer_put_char(to, '}');
    put_others(w->plan, x, to);
    put_answer(w, &w->plan->routes[x->match.route], r, to);
}

/* Everything that such a listener is sent has one answer. */
static void put_only_route(const struct explain_world *w, const struct plan_listener *l,
                           const struct explain_request *r, struct buffer *to)
{
    explain_put(to, ",\"route\":{\"name\"", l->only_route->name);
    explain_put(to, ",\"why\"", S("its listener gives this one answer to all requests"));
    buffer_puts(to, "},\"others\":[],\"left_out\":0");
    put_answer(w, l->only_route, r, to);
}

static void explain_route(const struct explain_world *w, const struct plan_listener *l,
                          const struct explain_request *r, struct buffer *to)
{
    const struct plan       *p = w->plan;
    struct router_query      query = { r->authority.text, &r->head, (uint16_t)(l - p->listeners) };
    struct route_explanation x;
    struct route_question    q = { p->router, p->settings, &query, router_scratch_new(NULL),
                                   r->arena };
    route_explain(&q, &x);
    put_route(w, &x, r, to);
    put_refused(w, r, to);
    router_scratch_free(q.scratch);
}

/* ---- the whole ---- */

static void put_request(const struct explain_request *r, const struct door *d, struct buffer *to)
{
    explain_put(to, "\"request\":{\"method\"", r->method);
    explain_put(to, ",\"scheme\"", d->is_tls ? S("https") : S("http"));
    explain_put(to, ",\"host\"", r->authority.text);
    explain_put(to, ",\"path\"", r->head.path);
    explain_put(to, ",\"query\"", r->head.query);
    buffer_put_char(to, '}');
}

void explain_url(const struct explain_world *w, struct explain_request *r, struct buffer *to)
{
    struct door d = find_door(w->plan, r);
    r->is_secure = d.is_tls;
    buffer_printf(to, "{\"running\":%s,\"generation\":%llu,", w->is_running ? "true" : "false",
                  (unsigned long long)w->plan->generation);
    put_request(r, &d, to);
    if (!d.listener) {
        buffer_puts(to, ",\"listener\":null,\"route\":null");
    } else {
        put_listener(w->plan, &d, r->arena, to);
        if (d.listener->only_route)
            put_only_route(w, d.listener, r, to);
        else
            explain_route(w, d.listener, r, to);
    }
    buffer_puts(to, "}\n");
}
