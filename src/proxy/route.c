/* SPDX-License-Identifier: Apache-2.0
 *
 * Looking a request up. See route.h for what wins, route_table.h for the tables.
 */
#include "proxy/route.h"

#include <stdlib.h>

#include "base/memory.h"
#include "proxy/route_table.h"

enum { HOST_MAX = 255 };

/* One lookup on its way from the most specific candidate to the least. */
struct walk {
    const struct router       *r;
    const struct router_query *q;
    struct router_scratch     *s;
    int32_t                    found;
    /* Set: every candidate is shown and none is taken. */
    void (*visit)(void *arg, int32_t route, enum router_verdict verdict, struct slice what);
    void *arg;
};

struct router_scratch *router_scratch_new(struct counter *gave_up)
{
    struct router_scratch *s = mem_zalloc(sizeof(*s));
    pattern_matcher_init(&s->matcher);
    s->matcher.gave_up = gave_up;
    return s;
}

void router_scratch_free(struct router_scratch *s)
{
    if (!s) return;
    pattern_matcher_reset(&s->matcher);
    buffer_reset(&s->decoded[0]);
    buffer_reset(&s->decoded[1]);
    free(s);
}

struct pattern_matcher *router_scratch_matcher(struct router_scratch *s)
{
    return &s->matcher;
}

static bool take(struct walk *w, uint32_t route)
{
    const struct route_conditions *c = w->r->conditions[route];
    enum router_verdict            verdict = ROUTER_MATCHES;
    struct slice                   what = { "", 0 };
    if (c) verdict = route_conditions_check(c, w->q, w->s, &what);
    if (w->visit) {
        w->visit(w->arg, (int32_t)route, verdict, what);
        return false;
    }
    if (verdict == ROUTER_MATCHES) w->found = (int32_t)route;
    return verdict == ROUTER_MATCHES;
}

/* Takes the first candidate whose conditions hold. */
static bool try_candidates(struct walk *w, uint32_t list)
{
    for (const uint32_t *at = &w->r->candidates[list]; *at != CANDIDATES_END; at++)
        if (take(w, *at)) return true;
    return false;
}

static bool is_node_before(const struct path_node *n, struct slice path)
{
    size_t common = n->len < path.len ? n->len : path.len;
    int    order = memcmp(n->path, path.data, common);
    return order < 0 || (order == 0 && n->len <= path.len);
}

/* Index of the last node that is not after `path`, or -1. Every node that `path`
 * begins with is that one or among its parents. */
static int32_t last_node_before(const struct route_host *h, struct slice path)
{
    uint32_t low = 0, high = h->node_count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (is_node_before(&h->nodes[mid], path))
            low = mid + 1;
        else
            high = mid;
    }
    return (int32_t)low - 1;
}

/* "/api" covers "/api" and "/api/x", not "/apix"; "/api/" what begins with it. */
static bool is_prefix_by_segment(const struct path_node *n, struct slice path)
{
    if (n->len > path.len || memcmp(n->path, path.data, n->len) != 0) return false;
    return n->len == path.len || n->path[n->len - 1] == '/' || path.data[n->len] == '/';
}

static bool is_exactly(const struct path_node *n, struct slice path)
{
    return n->len == path.len && memcmp(n->path, path.data, n->len) == 0;
}

static bool try_paths(struct walk *w, const struct route_host *h)
{
    struct slice path = w->q->head->path;
    if (!path.len) return false;
    /* A single node needs no search: what follows asks whether it fits at all. */
    int32_t at = h->node_count == 1 ? 0 : last_node_before(h, path);
    if (at < 0) return false;
    const struct path_node *n = &h->nodes[at];
    if (n->exact != CANDIDATES_NONE && is_exactly(n, path) && try_candidates(w, n->exact))
        return true;
    for (;; n = &h->nodes[n->parent]) {
        if (n->prefix != CANDIDATES_NONE && is_prefix_by_segment(n, path) &&
            try_candidates(w, n->prefix))
            return true;
        if (n->parent < 0) return false;
    }
}

static void show_regex_misses(struct walk *w, uint32_t list)
{
    for (const uint32_t *at = &w->r->candidates[list]; *at != CANDIDATES_END; at++)
        w->visit(w->arg, (int32_t)*at, ROUTER_REGEX, slice_make("", 0));
}

static bool try_regexes(struct walk *w, const struct route_host *h)
{
    for (uint32_t i = 0; i < h->regex_count; i++) {
        const struct path_regex *x = &h->regexes[i];
        if (pattern_matches(x->code, w->q->head->path, &w->s->matcher)) {
            if (try_candidates(w, x->candidates)) return true;
        } else if (w->visit) {
            show_regex_misses(w, x->candidates);
        }
    }
    return false;
}

static bool try_host(struct walk *w, const struct route_host *h)
{
    if (h->node_count && try_paths(w, h)) return true;
    if (h->regex_count && try_regexes(w, h)) return true;
    return try_candidates(w, h->fallback);
}

/* The host alone: without port and without the root's dot. */
static struct slice strip_host(struct slice host)
{
    size_t len = host.len;
    while (len && host.data[len - 1] >= '0' && host.data[len - 1] <= '9') len--;
    len = len && host.data[len - 1] == ':' ? len - 1 : host.len;
    if (len && host.data[len - 1] == '.') len--;
    return slice_make(host.data, len);
}

/* A-Z to a-z in all eight bytes at once: bit 7 of `upper` marks them. */
static uint64_t lower_word(uint64_t x)
{
    const uint64_t ones = 0x0101010101010101u;
    uint64_t       low = x & (0x7f * ones);
    uint64_t       upper = ((low + (0x80 - 'A') * ones) ^ (low + (0x7f - 'Z') * ones)) & ~x;
    return x | ((upper & (0x80 * ones)) >> 2);
}

static void lower_eight(const char *from, char *to)
{
    uint64_t word;
    memcpy(&word, from, sizeof(word));
    word = lower_word(word);
    memcpy(to, &word, sizeof(word));
}

static struct slice lower_host(struct slice host, char to[HOST_MAX])
{
    if (host.len >= 8) {
        for (size_t i = 0; i + 8 < host.len; i += 8) lower_eight(host.data + i, to + i);
        /* The last eight, some of them perhaps for the second time. */
        lower_eight(host.data + host.len - 8, to + host.len - 8);
    } else {
        for (size_t i = 0; i < host.len; i++) {
            char c = host.data[i];
            to[i] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
        }
    }
    return slice_make(to, host.len);
}

/* "*.suffix": the longest suffix first, that is, from the left. */
static bool try_suffixes(struct walk *w, struct slice host)
{
    for (size_t dot = slice_find(host, '.'); dot < host.len; dot = slice_find(host, '.')) {
        host = slice_from(host, dot + 1);
        if (dot == 0 || host.len > w->r->suffix_bytes_max) continue;
        const struct route_host *h = map_get(&w->r->suffixes, host);
        if (h && try_host(w, h)) return true;
    }
    return false;
}

static void walk_hosts(struct walk *w)
{
    char         lower[HOST_MAX];
    struct slice host = strip_host(w->q->host);
    if (host.len && host.len <= HOST_MAX) {
        host = lower_host(host, lower);
        const struct route_host *h = map_get(&w->r->exact, host);
        if (h && try_host(w, h)) return;
        if (w->r->suffixes.count && try_suffixes(w, host)) return;
    }
    if (w->r->any) try_host(w, w->r->any);
}

const pcre2_code *router_path_pattern(const struct router *r, size_t route)
{
    return r->patterns[route];
}

struct router_match router_find(const struct router *r, const struct router_query *q,
                                struct router_scratch *s)
{
    struct walk w = { .r = r, .q = q, .s = s, .found = ROUTER_NONE };
    s->matcher.has_hit_limit = false;
    walk_hosts(&w);
    return (struct router_match){ w.found, s->matcher.has_hit_limit };
}

void router_explain(const struct router *r, const struct router_query *q, struct router_scratch *s,
                    void (*visit)(void *arg, int32_t route, enum router_verdict verdict,
                                  struct slice what),
                    void *arg)
{
    struct walk w = { r, q, s, ROUTER_NONE, visit, arg };
    walk_hosts(&w);
}
