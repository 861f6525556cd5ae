/* SPDX-License-Identifier: Apache-2.0
 *
 * Why a request gets its route. See route_explain.h.
 */
#include "proxy/route_explain.h"

enum path_kind { PATH_EXACT, PATH_PREFIX, PATH_REGEX, PATH_ANY };

/* How specific a route is for the request's host: the smaller, the more. */
enum host_kind { HOST_EXACT, HOST_SUFFIX, HOST_ANY, HOST_OTHER };

struct host_fit {
    enum host_kind kind;
    struct slice   pattern;
};

struct telling {
    const struct route_question *q;
    struct route_explanation    *to;
    bool                        *is_seen; /* by route */
    struct slice                 host;    /* without port and final dot */
};

/* ---- what a route asks for ---- */

static struct slice strip_host(struct slice host)
{
    size_t len = host.len;
    while (len && host.data[len - 1] >= '0' && host.data[len - 1] <= '9') len--;
    len = len && host.data[len - 1] == ':' ? len - 1 : host.len;
    if (len && host.data[len - 1] == '.') len--;
    return slice_make(host.data, len);
}

/* "*.suffix" and one label at least before it. */
static bool is_below(struct slice host, struct slice pattern)
{
    if (!slice_starts_with(pattern, S("*."))) return false;
    struct slice suffix = slice_from(pattern, 1);
    if (host.len <= suffix.len) return false;
    return slice_eq_nocase(slice_from(host, host.len - suffix.len), suffix);
}

/* The most specific of a route's hosts that fits. */
static struct host_fit fit_host(const struct match_settings *m, struct slice host)
{
    struct host_fit best = { m->hosts.count ? HOST_OTHER : HOST_ANY, { "", 0 } };
    for (size_t i = 0; i < m->hosts.count; i++) {
        struct slice pattern = m->hosts.items[i];
        if (slice_eq_nocase(pattern, host)) return (struct host_fit){ HOST_EXACT, pattern };
        if (!is_below(host, pattern)) continue;
        if (best.kind == HOST_SUFFIX && best.pattern.len >= pattern.len) continue;
        best = (struct host_fit){ HOST_SUFFIX, pattern };
    }
    return best;
}

static enum path_kind path_kind_of(const struct match_settings *m)
{
    if (!m->path.len || slice_eq(m->path, S("/"))) return PATH_ANY;
    if (m->path.data[0] == '=') return PATH_EXACT;
    return m->path.data[0] == '~' ? PATH_REGEX : PATH_PREFIX;
}

static size_t count_conditions(const struct match_settings *m)
{
    return (m->methods.count > 0) + (m->listeners.count > 0) + m->header_count + m->query_count;
}

static const struct match_settings *match_of(const struct telling *t, uint32_t route)
{
    return &t->q->settings->routes[route].match;
}

/* ---- words ---- */

static struct slice join(struct arena *a, const struct text_list *list)
{
    struct slice text = S("");
    for (size_t i = 0; i < list->count; i++)
        text = arena_printf(a, "%.*s%s%.*s", SLICE_ARG(text), i ? ", " : "",
                            SLICE_ARG(list->items[i]));
    return text;
}

/* Why the conditions, or the expression, of a candidate do not hold. */
static struct slice refusal(struct telling *t, uint32_t route, enum router_verdict verdict,
                            struct slice what)
{
    const struct match_settings *m = match_of(t, route);
    struct arena                *a = t->q->arena;
    switch (verdict) {
    case ROUTER_METHOD:
        return arena_printf(a, "its method is %.*s only", SLICE_ARG(join(a, &m->methods)));
    case ROUTER_LISTENER:
        return arena_printf(a, "its listener is %.*s only", SLICE_ARG(join(a, &m->listeners)));
    case ROUTER_HEADER:
        return arena_printf(a, "the header %.*s is not as it asks", SLICE_ARG(what));
    case ROUTER_QUERY:
        return arena_printf(a, "the query parameter %.*s is not as it asks", SLICE_ARG(what));
    case ROUTER_REGEX: return arena_printf(a, "the path does not match %.*s", SLICE_ARG(m->path));
    case ROUTER_MATCHES: break;
    }
    return S("");
}

static struct slice weaker_path(const struct match_settings *m, const struct match_settings *best)
{
    static const char *const words[] = {
        [PATH_EXACT] = "its path is no more specific",
        [PATH_PREFIX] = "its path is only a prefix",
        [PATH_REGEX] = "its path is an expression: prefixes go before",
        [PATH_ANY] = "it takes any path: those that name one go before",
    };
    enum path_kind kind = path_kind_of(m);
    if (kind == PATH_PREFIX && path_kind_of(best) == PATH_PREFIX)
        return S("its path is a shorter prefix");
    if (kind == PATH_REGEX && path_kind_of(best) == PATH_REGEX)
        return S("its expression stands further down in the file");
    return slice_of(words[kind]);
}

/* It fits as well: the first difference in the order of route.h. */
static struct slice defeat(struct telling *t, uint32_t route)
{
    const struct match_settings *m = match_of(t, route);
    const struct match_settings *best = match_of(t, (uint32_t)t->to->match.route);
    struct host_fit              ours = fit_host(m, t->host), theirs = fit_host(best, t->host);
    if (ours.kind != theirs.kind)
        return ours.kind == HOST_ANY ? S("fits too, but names no host")
                                     : S("fits too, but by a wildcard host");
    if (ours.pattern.len != theirs.pattern.len) return S("fits too, by a shorter wildcard host");
    if (path_kind_of(m) != path_kind_of(best) || !slice_eq(m->path, best->path))
        return arena_printf(t->q->arena, "fits too, but %.*s", SLICE_ARG(weaker_path(m, best)));
    if (count_conditions(m) != count_conditions(best)) return S("fits too, with fewer conditions");
    return S("fits as well: the name that sorts first wins");
}

static struct slice victory(struct telling *t, uint32_t route)
{
    static const char *const paths[] = {
        [PATH_EXACT] = "exactly its path",
        [PATH_PREFIX] = "the longest prefix",
        [PATH_REGEX] = "the first expression that matches",
        [PATH_ANY] = "any path",
    };
    const struct match_settings *m = match_of(t, route);
    struct host_fit              fit = fit_host(m, t->host);
    size_t                       count = count_conditions(m);
    struct arena                *a = t->q->arena;
    struct slice                 host = S("any host");
    struct slice                 path = slice_of(paths[path_kind_of(m)]);
    if (fit.kind == HOST_EXACT || fit.kind == HOST_SUFFIX)
        host = arena_printf(a, "host %.*s", SLICE_ARG(fit.pattern));
    if (path_kind_of(m) != PATH_ANY)
        path = arena_printf(a, "path %.*s (%.*s)", SLICE_ARG(m->path), SLICE_ARG(path));
    if (!count) return arena_printf(a, "%.*s, %.*s", SLICE_ARG(host), SLICE_ARG(path));
    return arena_printf(a, "%.*s, %.*s, %zu condition%s", SLICE_ARG(host), SLICE_ARG(path), count,
                        count == 1 ? "" : "s");
}

/* ---- the list ---- */

static void add(struct telling *t, uint32_t route, struct slice why)
{
    struct route_explanation *to = t->to;
    t->is_seen[route] = true;
    if (to->other_count == ROUTE_REASON_MAX)
        to->left_count++;
    else
        to->others[to->other_count++] = (struct route_reason){ route, why };
}

/* One of a route's hosts may come to it, and then another: the first one tells. */
static void on_candidate(void *arg, int32_t route, enum router_verdict verdict, struct slice what)
{
    struct telling *t = arg;
    uint32_t        index = (uint32_t)route;
    if (t->is_seen[index] || route == t->to->match.route) return;
    add(t, index, verdict == ROUTER_MATCHES ? defeat(t, index) : refusal(t, index, verdict, what));
}

static struct slice miss(struct telling *t, uint32_t route, bool is_of_host)
{
    const struct match_settings *m = match_of(t, route);
    struct arena                *a = t->q->arena;
    if (is_of_host)
        return arena_printf(a, "the path does not fit %.*s",
                            SLICE_ARG(m->path.len ? m->path : S("any")));
    return arena_printf(a, "the host is not %.*s", SLICE_ARG(m->hosts.items[0]));
}

/* Routes that the router did not look at. */
static void add_misses(struct telling *t, bool is_of_host)
{
    for (uint32_t i = 0; i < t->q->settings->route_count; i++) {
        if (t->is_seen[i] || (int32_t)i == t->to->match.route) continue;
        if ((fit_host(match_of(t, i), t->host).kind != HOST_OTHER) != is_of_host) continue;
        if (t->to->other_count == ROUTE_REASON_MAX)
            add(t, i, S(""));
        else
            add(t, i, miss(t, i, is_of_host));
    }
}

void route_explain(const struct route_question *q, struct route_explanation *to)
{
    struct telling t = { .q = q, .to = to, .host = strip_host(q->query->host) };
    *to = (struct route_explanation){ .why = S("") };
    t.is_seen = arena_zalloc(q->arena, q->settings->route_count + 1);
    to->match = router_find(q->router, q->query, q->scratch);
    if (to->match.route != ROUTER_NONE) to->why = victory(&t, (uint32_t)to->match.route);
    router_explain(q->router, q->query, q->scratch, on_candidate, &t);
    add_misses(&t, true);
    add_misses(&t, false);
}
