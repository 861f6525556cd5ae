/* SPDX-License-Identifier: Apache-2.0
 *
 * Building a router: every route becomes one entry for each of its hosts; the
 * entries, sorted, are read off into the tables of route_table.h. Refuses what
 * can never match, bad expressions, and two routes with one match.
 */
#include "proxy/route.h"

#include <stdio.h>
#include <stdlib.h>

#include "conf/load.h"
#include "proxy/route_table.h"

enum host_level { HOST_EXACT, HOST_SUFFIX, HOST_ANY };
enum path_kind { PATH_EXACT, PATH_PREFIX, PATH_REGEX, PATH_FALLBACK };

struct path_match {
    enum path_kind    kind;
    struct slice      text; /* without the mark in front */
    const pcre2_code *code;
};

struct entry {
    enum host_level          level;
    struct slice             host; /* what follows "*." for HOST_SUFFIX */
    const struct path_match *path;
    uint32_t                 route;
    uint32_t                 regex_rank; /* the first route of this host with the expression */
    size_t                   condition_count;
    struct slice             name;
};

struct build {
    const struct settings          *settings;
    struct arena                   *arena; /* the plan's */
    struct arena                    temporary;
    struct error                   *e;
    struct conf_report             *report; /* or this instead of e */
    bool                            has_failed;
    struct router                  *r;
    const struct route_conditions **conditions; /* by route */
    struct map                      regexes;    /* "~" or "~*" and the text -> code */
    struct map                      seen;       /* the whole match -> route_settings */
    struct map                      ranks;      /* host and expression -> struct entry */
    struct entry                   *entries;
    size_t                          entry_count;
    uint32_t                       *candidates;
    uint32_t                        candidate_count;
};

/* To the report if there is one; else the first fault becomes the error. */
static bool complain(struct build *b, const struct conf_place *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool complain(struct build *b, const struct conf_place *at, const char *format, ...)
{
    char    text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (b->report)
        conf_report_add(b->report, CONF_ERROR, at, "%s", text);
    else if (!b->has_failed)
        error_set(b->e, "%s:%u:%u: %s", at->file ? at->file : "", at->line, at->column, text);
    b->has_failed = true;
    return false;
}

static bool fail(struct build *b, const struct route_settings *route, const char *what,
                 struct slice text)
{
    return complain(b, &route->at, "route `%.*s`: %s `%.*s`", SLICE_ARG(route->name), what,
                    SLICE_ARG(text));
}

/* ---- expressions ---- */

static struct slice skip_blanks(struct slice s)
{
    while (s.len && (s.data[0] == ' ' || s.data[0] == '\t')) s = slice_from(s, 1);
    return s;
}

/* `marked` begins with "~" or "~*". Equal expressions are compiled once. */
static const pcre2_code *regex_new(struct build *b, const struct route_settings *route,
                                   struct slice marked)
{
    bool         has_no_case = marked.len > 1 && marked.data[1] == '*';
    struct slice text = skip_blanks(slice_from(marked, has_no_case ? 2 : 1));
    struct slice key =
        arena_printf(&b->temporary, "%s%.*s", has_no_case ? "~*" : "~", SLICE_ARG(text));
    pcre2_code  *code = map_get(&b->regexes, key);
    struct error e;
    if (code) return code;
    code = pattern_compile(text, has_no_case, b->arena, &e);
    if (code)
        map_put(&b->regexes, key, code);
    else
        complain(b, &route->at, "route `%.*s`: bad regular expression `%.*s`: %s",
                 SLICE_ARG(route->name), SLICE_ARG(text), e.text);
    return code;
}

/* ---- conditions ---- */

/* The codec keeps these for itself, so that no field of the name is ever seen. */
static bool is_framing_field(enum http_field_id id)
{
    switch (id) {
    case FIELD_CONNECTION:
    case FIELD_CONTENT_LENGTH:
    case FIELD_EXPECT:
    case FIELD_HOST:
    case FIELD_HTTP2_SETTINGS:
    case FIELD_KEEP_ALIVE:
    case FIELD_PROXY_CONNECTION:
    case FIELD_TE:
    case FIELD_TRANSFER_ENCODING: return true;
    default: return false;
    }
}

static bool make_tests(struct build *b, const struct route_settings *route,
                       const struct name_value *from, size_t count, struct text_test *to)
{
    for (size_t i = 0; i < count; i++) {
        struct text_test *t = &to[i];
        *t = (struct text_test){ .name = from[i].name, .value = from[i].value };
        t->kind = !t->value.data                            ? TEXT_IS_PRESENT
                  : t->value.len && t->value.data[0] == '~' ? TEXT_MATCHES_REGEX
                                                            : TEXT_IS_EXACT;
        if (t->kind != TEXT_MATCHES_REGEX) continue;
        t->regex = regex_new(b, route, t->value);
        if (!t->regex) return false;
    }
    return true;
}

static bool make_headers(struct build *b, const struct route_settings *route,
                         struct route_conditions *c)
{
    const struct match_settings *m = &route->match;
    c->header_count = m->header_count;
    c->headers = arena_zalloc(b->arena, m->header_count * sizeof(*c->headers));
    for (size_t i = 0; i < m->header_count; i++)
        if (is_framing_field(http_field_lookup(m->headers[i].name)))
            return fail(b, route, "a match cannot look at the header", m->headers[i].name);
    if (!make_tests(b, route, m->headers, m->header_count, c->headers)) return false;
    for (size_t i = 0; i < m->header_count; i++)
        c->headers[i].field = http_field_lookup(c->headers[i].name);
    return true;
}

static void make_methods(struct build *b, const struct match_settings *m,
                         struct route_conditions *c)
{
    c->other_methods = arena_alloc(b->arena, m->methods.count * sizeof(*c->other_methods));
    for (size_t i = 0; i < m->methods.count; i++) {
        enum http_method method = http_method_lookup(m->methods.items[i]);
        if (method == HTTP_METHOD_OTHER)
            c->other_methods[c->other_method_count++] = m->methods.items[i];
        else
            c->method_bits |= 1u << method;
    }
}

static bool make_listeners(struct build *b, const struct route_settings *route,
                           struct route_conditions *c)
{
    const struct text_list *names = &route->match.listeners;
    c->listeners = arena_alloc(b->arena, names->count * sizeof(*c->listeners));
    for (size_t i = 0; i < names->count; i++) {
        size_t at = 0;
        while (at < b->settings->listener_count &&
               !slice_eq(b->settings->listeners[at].name, names->items[i]))
            at++;
        if (at == b->settings->listener_count)
            return fail(b, route, "no listener has the name", names->items[i]);
        c->listeners[c->listener_count++] = (uint16_t)at;
    }
    return true;
}

static size_t count_conditions(const struct match_settings *m)
{
    return (m->methods.count > 0) + (m->listeners.count > 0) + m->header_count + m->query_count;
}

static bool make_conditions(struct build *b, const struct route_settings *route, uint32_t index)
{
    const struct match_settings *m = &route->match;
    if (count_conditions(m) == 0) return true;
    struct route_conditions *c = arena_zalloc(b->arena, sizeof(*c));
    b->conditions[index] = c;
    make_methods(b, m, c);
    c->query_count = m->query_count;
    c->query = arena_zalloc(b->arena, m->query_count * sizeof(*c->query));
    return make_listeners(b, route, c) && make_headers(b, route, c) &&
           make_tests(b, route, m->query, m->query_count, c->query);
}

/* ---- one text for all that a route's match says, but host and path ---- */

static int by_text(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;
    size_t              common = x->len < y->len ? x->len : y->len;
    int                 order = common ? memcmp(x->data, y->data, common) : 0;
    return order ? order : (x->len > y->len) - (x->len < y->len);
}

static size_t put_texts(struct build *b, char mark, const struct text_list *list, struct slice *to)
{
    for (size_t i = 0; i < list->count; i++)
        to[i] = arena_printf(&b->temporary, "%c%.*s", mark, SLICE_ARG(list->items[i]));
    return list->count;
}

static size_t put_pairs(struct build *b, char mark, const struct name_value *pairs, size_t count,
                        struct slice *to)
{
    for (size_t i = 0; i < count; i++) {
        to[i] = arena_printf(&b->temporary, "%c%.*s%c%.*s", mark, SLICE_ARG(pairs[i].name),
                             pairs[i].value.data ? '\1' : '\2', SLICE_ARG(pairs[i].value));
        char *name = arena_strdup(&b->temporary, to[i].data);
        for (size_t n = 1; mark == 'h' && n <= pairs[i].name.len; n++)
            if (name[n] >= 'A' && name[n] <= 'Z') name[n] |= 0x20;
        to[i].data = name;
    }
    return count;
}

static struct slice conditions_text(struct build *b, const struct match_settings *m)
{
    size_t        count = m->methods.count + m->listeners.count + m->header_count + m->query_count;
    struct slice *parts = arena_alloc(&b->temporary, (count + 1) * sizeof(*parts));
    size_t        n = put_texts(b, 'm', &m->methods, parts);
    n += put_texts(b, 'l', &m->listeners, parts + n);
    n += put_pairs(b, 'h', m->headers, m->header_count, parts + n);
    n += put_pairs(b, 'q', m->query, m->query_count, parts + n);
    qsort(parts, n, sizeof(*parts), by_text);
    struct slice  text = { "", 0 };
    struct buffer joined = BUFFER_INIT;
    for (size_t i = 0; i < n; i++) {
        if (i && slice_eq(parts[i], parts[i - 1])) continue;
        buffer_put(&joined, "\0", 1);
        buffer_put_slice(&joined, parts[i]);
    }
    if (joined.len) text = arena_copy(&b->temporary, buffer_slice(&joined));
    buffer_reset(&joined);
    return text;
}

/* ---- entries ---- */

static bool parse_path(struct build *b, const struct route_settings *route, struct path_match *p)
{
    struct slice text = route->match.path;
    if (!text.len || slice_eq(text, S("/"))) {
        *p = (struct path_match){ PATH_FALLBACK, S("/"), NULL };
        return true;
    }
    if (text.data[0] == '~') {
        *p = (struct path_match){ PATH_REGEX, text, regex_new(b, route, text) };
        return p->code != NULL;
    }
    bool is_exact = text.data[0] == '=';
    if (is_exact) text = skip_blanks(slice_from(text, 1));
    if (!text.len || text.data[0] != '/')
        return fail(b, route, "a path begins with /, `= /` or ~, unlike", route->match.path);
    if (slice_find(text, '?') < text.len || slice_find(text, '#') < text.len)
        return fail(b, route, "a path has neither query nor fragment, unlike", route->match.path);
    *p = (struct path_match){ is_exact ? PATH_EXACT : PATH_PREFIX, text, NULL };
    return true;
}

static bool parse_host(struct build *b, const struct route_settings *route, struct slice host,
                       struct entry *e)
{
    e->level = slice_starts_with(host, S("*.")) ? HOST_SUFFIX : HOST_EXACT;
    e->host = e->level == HOST_SUFFIX ? slice_from(host, 2) : host;
    if (e->host.len && slice_find(e->host, '*') == e->host.len) return true;
    return fail(b, route, "a host is a name or `*.` and a name, unlike", host);
}

/* Same host, same path, same conditions: nothing but their order could decide. */
static bool check_unique(struct build *b, const struct entry *e, struct slice conditions)
{
    static const char *const     marks[] = { "= ", "", "", "" };
    const struct route_settings *route = &b->settings->routes[e->route];
    struct slice                 path = e->path->text;
    struct buffer                key = BUFFER_INIT;
    buffer_printf(&key, "%d%.*s", (int)e->level, SLICE_ARG(e->host));
    buffer_put(&key, "\0", 1);
    if (e->path->kind == PATH_REGEX) {
        bool has_no_case = path.len > 1 && path.data[1] == '*';
        buffer_puts(&key, has_no_case ? "~*" : "~");
        path = skip_blanks(slice_from(path, has_no_case ? 2 : 1));
    }
    buffer_puts(&key, marks[e->path->kind]);
    buffer_put_slice(&key, path);
    buffer_put_slice(&key, conditions);
    struct route_settings *value = &b->settings->routes[e->route];
    struct route_settings *other =
        map_put(&b->seen, arena_copy(&b->temporary, buffer_slice(&key)), value);
    buffer_reset(&key);
    if (!other) return true;
    if (other == route) return fail(b, route, "names twice the host", e->host);
    return complain(b, &route->at, "route `%.*s` has the same match as route `%.*s` (%s:%u:%u)",
                    SLICE_ARG(route->name), SLICE_ARG(other->name),
                    other->at.file ? other->at.file : "", other->at.line, other->at.column);
}

/* Expressions are tried in the order in which a host's routes first name them. */
static void rank_regex(struct build *b, struct entry *e)
{
    struct slice  key = arena_printf(&b->temporary, "%d%.*s%c%p", (int)e->level, SLICE_ARG(e->host),
                                     '\1', (const void *)e->path->code);
    struct entry *first = map_get(&b->ranks, key);
    e->regex_rank = first ? first->regex_rank : e->route;
    if (!first) map_put(&b->ranks, key, e);
}

static bool add_entry(struct build *b, const struct entry *model, struct slice conditions)
{
    struct entry *e = &b->entries[b->entry_count++];
    *e = *model;
    if (e->path->kind == PATH_REGEX) rank_regex(b, e);
    return check_unique(b, e, conditions);
}

static bool add_route(struct build *b, uint32_t index)
{
    const struct route_settings *route = &b->settings->routes[index];
    const struct match_settings *m = &route->match;
    struct path_match           *path = arena_alloc(&b->temporary, sizeof(*path));
    if (!make_conditions(b, route, index) || !parse_path(b, route, path)) return false;
    b->r->patterns[index] = path->code;
    struct slice conditions = conditions_text(b, m);
    struct entry e = { .level = HOST_ANY,
                       .host = { "", 0 },
                       .path = path,
                       .route = index,
                       .condition_count = count_conditions(m),
                       .name = route->name };
    if (!m->hosts.count) return add_entry(b, &e, conditions);
    for (size_t i = 0; i < m->hosts.count; i++)
        if (!parse_host(b, route, m->hosts.items[i], &e) || !add_entry(b, &e, conditions))
            return false;
    return true;
}

/* ---- from sorted entries to tables ---- */

/* Exact paths and prefixes share the nodes; then expressions; then the fallback. */
static int group_of(const struct entry *e)
{
    return e->path->kind == PATH_REGEX ? 1 : e->path->kind == PATH_FALLBACK ? 2 : 0;
}

static int by_path(const struct entry *x, const struct entry *y)
{
    int order = group_of(x) - group_of(y);
    if (order) return order;
    if (group_of(x) == 1) return (x->regex_rank > y->regex_rank) - (x->regex_rank < y->regex_rank);
    order = by_text(&x->path->text, &y->path->text);
    return order ? order : (int)x->path->kind - (int)y->path->kind;
}

static int by_host(const struct entry *x, const struct entry *y)
{
    int order = (int)x->level - (int)y->level;
    return order ? order : by_text(&x->host, &y->host);
}

static int by_precedence(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int                 order = by_host(x, y);
    if (!order) order = by_path(x, y);
    if (!order)
        order =
            (x->condition_count < y->condition_count) - (x->condition_count > y->condition_count);
    if (!order) order = by_text(&x->name, &y->name);
    return order ? order : (x->route > y->route) - (x->route < y->route);
}

/* The candidates of the entries from `at` that have the same host and path; *end
 * is the first one that has not. */
static uint32_t put_candidates(struct build *b, const struct entry *at, const struct entry **end)
{
    const struct entry *last = b->entries + b->entry_count, *e = at;
    uint32_t            list = b->candidate_count;
    for (; e < last && by_host(e, at) == 0 && by_path(e, at) == 0; e++)
        b->candidates[b->candidate_count++] = e->route;
    b->candidates[b->candidate_count++] = CANDIDATES_END;
    *end = e;
    return list;
}

static int32_t parent_of(const struct path_node *nodes, uint32_t index)
{
    struct slice path = slice_make(nodes[index].path, nodes[index].len);
    int32_t      at = (int32_t)index - 1;
    while (at >= 0 && !slice_starts_with(path, slice_make(nodes[at].path, nodes[at].len)))
        at = nodes[at].parent;
    return at;
}

static const struct entry *put_nodes(struct build *b, const struct entry *at,
                                     const struct entry *end, struct route_host *h)
{
    size_t count = 0;
    for (const struct entry *e = at; e < end && group_of(e) == 0; e++)
        count += e == at || !slice_eq(e->path->text, e[-1].path->text);
    struct path_node *nodes = arena_zalloc(b->arena, count * sizeof(*nodes));
    while (at < end && group_of(at) == 0) {
        struct slice      path = at->path->text;
        struct path_node *n = h->node_count ? &nodes[h->node_count - 1] : NULL;
        if (!n || !slice_eq(slice_make(n->path, n->len), path)) {
            n = &nodes[h->node_count++];
            *n = (struct path_node){ .path = path.data, .len = (uint32_t)path.len };
            n->parent = parent_of(nodes, h->node_count - 1);
        }
        uint32_t *list = at->path->kind == PATH_EXACT ? &n->exact : &n->prefix;
        *list = put_candidates(b, at, &at);
    }
    h->nodes = nodes;
    return at;
}

static const struct entry *put_regexes(struct build *b, const struct entry *at,
                                       const struct entry *end, struct route_host *h)
{
    size_t count = 0;
    for (const struct entry *e = at; e < end && group_of(e) == 1; e++)
        count += e == at || e->regex_rank != e[-1].regex_rank;
    struct path_regex *regexes = arena_alloc(b->arena, count * sizeof(*regexes));
    while (at < end && group_of(at) == 1) {
        struct path_regex *x = &regexes[h->regex_count++];
        x->code = at->path->code;
        x->candidates = put_candidates(b, at, &at);
    }
    h->regexes = regexes;
    return at;
}

static void put_host(struct build *b, const struct entry *at, const struct entry *end)
{
    struct router     *r = b->r;
    struct route_host *h = arena_zalloc(b->arena, sizeof(*h));
    if (at->level == HOST_ANY) {
        r->any = h;
    } else if (at->level == HOST_SUFFIX) {
        map_put(&r->suffixes, at->host, h);
        if (at->host.len > r->suffix_bytes_max) r->suffix_bytes_max = at->host.len;
    } else {
        map_put(&r->exact, at->host, h);
    }
    at = put_nodes(b, at, end, h);
    at = put_regexes(b, at, end, h);
    if (at < end) h->fallback = put_candidates(b, at, &at);
}

static void put_tables(struct build *b)
{
    /* At most one list an entry, and the empty one. */
    b->candidates = arena_alloc(b->arena, (2 * b->entry_count + 1) * sizeof(*b->candidates));
    b->candidates[b->candidate_count++] = CANDIDATES_END;
    b->r->candidates = b->candidates;
    const struct entry *at = b->entries, *last = b->entries + b->entry_count;
    while (at < last) {
        const struct entry *end = at + 1;
        while (end < last && by_host(at, end) == 0) end++;
        put_host(b, at, end);
        at = end;
    }
}

static bool build(struct build *b)
{
    const struct settings *s = b->settings;
    size_t                 entry_max = 0;
    for (size_t i = 0; i < s->route_count; i++)
        entry_max += s->routes[i].match.hosts.count ? s->routes[i].match.hosts.count : 1;
    b->entries = arena_alloc(&b->temporary, (entry_max + 1) * sizeof(*b->entries));
    b->conditions = arena_zalloc(b->arena, (s->route_count + 1) * sizeof(*b->conditions));
    b->r->conditions = b->conditions;
    b->r->patterns = arena_zalloc(b->arena, (s->route_count + 1) * sizeof(*b->r->patterns));
    for (uint32_t i = 0; i < s->route_count; i++) add_route(b, i);
    if (b->has_failed) return false;
    qsort(b->entries, b->entry_count, sizeof(*b->entries), by_precedence);
    put_tables(b);
    return true;
}

static void free_maps(void *arg)
{
    struct router *r = arg;
    map_reset(&r->exact);
    map_reset(&r->suffixes);
}

static const struct router *run(struct build *b)
{
    arena_init(&b->temporary, NULL);
    b->r = arena_zalloc(b->arena, sizeof(*b->r));
    map_init(&b->r->exact);
    map_init(&b->r->suffixes);
    arena_on_reset(b->arena, free_maps, b->r);
    map_init(&b->regexes);
    map_init(&b->seen);
    map_init(&b->ranks);
    bool is_built = build(b);
    map_reset(&b->ranks);
    map_reset(&b->seen);
    map_reset(&b->regexes);
    arena_reset(&b->temporary);
    return is_built ? b->r : NULL;
}

const struct router *router_new(const struct settings *settings, struct arena *arena,
                                struct error *e)
{
    struct build b = { .settings = settings, .arena = arena, .e = e };
    return run(&b);
}

const struct router *router_new_reporting(const struct settings *settings, struct arena *arena,
                                          struct conf_report *report)
{
    struct build b = { .settings = settings, .arena = arena, .report = report };
    return run(&b);
}
