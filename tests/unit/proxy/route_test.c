/* SPDX-License-Identifier: Apache-2.0
 *
 * The router: what wins, what is refused, and that its tables agree with a
 * plain search through all routes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/random.h"
#include "conf/load.h"
#include "proxy/route.h"

/* A route in one line: lists are words separated by blanks. */
struct spec {
    const char *name;
    const char *hosts;
    const char *path;
    const char *methods;
    const char *listeners;
    const char *headers; /* "name", "name=value" */
    const char *query;
};

struct fixture {
    struct settings          settings;
    struct listener_settings listeners[2];
    struct arena             arena;
    struct router_scratch   *scratch;
    const struct router     *router;
    struct error             e;
};

static struct text_list words(struct arena *a, const char *text)
{
    struct text_list list = { arena_alloc(a, 16 * sizeof(struct slice)), 0 };
    struct slice     rest = slice_of(text ? text : "");
    while (rest.len) {
        size_t end = slice_find(rest, ' ');
        list.items[list.count++] = arena_copy(a, slice_make(rest.data, end));
        rest = slice_from(rest, end + (end < rest.len));
    }
    return list;
}

static struct name_value *pairs(struct arena *a, const char *text, size_t *count)
{
    struct text_list   list = words(a, text);
    struct name_value *got = arena_zalloc(a, (list.count + 1) * sizeof(*got));
    for (size_t i = 0; i < list.count; i++) {
        size_t equals = slice_find(list.items[i], '=');
        got[i].name = slice_make(list.items[i].data, equals);
        if (equals < list.items[i].len) got[i].value = slice_from(list.items[i], equals + 1);
    }
    *count = list.count;
    return got;
}

static void set_route(struct arena *a, struct route_settings *r, const struct spec *s,
                      uint32_t line)
{
    r->at = (struct conf_place){ "gate.yaml", line, 5 };
    r->name = slice_of(s->name);
    r->match.hosts = words(a, s->hosts);
    r->match.path = slice_of(s->path);
    r->match.methods = words(a, s->methods);
    r->match.listeners = words(a, s->listeners);
    r->match.headers = pairs(a, s->headers, &r->match.header_count);
    r->match.query = pairs(a, s->query, &r->match.query_count);
}

static bool fixture_open(struct fixture *f, const struct spec *specs, size_t count)
{
    *f = (struct fixture){ 0 };
    arena_init(&f->arena, NULL);
    f->listeners[0].name = S("http");
    f->listeners[1].name = S("https");
    f->settings.listeners = f->listeners;
    f->settings.listener_count = 2;
    f->settings.routes = arena_zalloc(&f->arena, count * sizeof(struct route_settings));
    f->settings.route_count = count;
    for (size_t i = 0; i < count; i++)
        set_route(&f->arena, &f->settings.routes[i], &specs[i], (uint32_t)i + 10);
    f->scratch = router_scratch_new(NULL);
    f->router = router_new(&f->settings, &f->arena, &f->e);
    return f->router != NULL;
}

static void fixture_close(struct fixture *f)
{
    router_scratch_free(f->scratch);
    arena_reset(&f->arena);
}

/* A request in one line. */
struct ask {
    const char *host;
    const char *target; /* path?query */
    const char *method; /* NULL: GET */
    const char *headers;
    uint16_t    listener;
};

static struct http_head *ask_head(struct arena *a, const struct ask *ask)
{
    struct http_head *head = arena_zalloc(a, sizeof(*head));
    struct slice      target = slice_of(ask->target);
    size_t            mark = slice_find(target, '?');
    head->method_name = slice_of(ask->method ? ask->method : "GET");
    head->method = http_method_lookup(head->method_name);
    head->path = slice_make(target.data, mark);
    head->has_query = mark < target.len;
    if (head->has_query) head->query = slice_from(target, mark + 1);
    size_t             count;
    struct name_value *fields = pairs(a, ask->headers, &count);
    for (size_t i = 0; i < count; i++)
        http_fields_add_named(&head->fields, a, fields[i].name, fields[i].value);
    return head;
}

static struct router_match find(struct fixture *f, const struct ask *ask)
{
    struct arena a;
    arena_init(&a, NULL);
    struct router_query q = { slice_of(ask->host), ask_head(&a, ask), ask->listener };
    struct router_match m = router_find(f->router, &q, f->scratch);
    arena_reset(&a);
    return m;
}

static const char *winner(struct fixture *f, const struct ask *ask)
{
    struct router_match m = find(f, ask);
    return m.route == ROUTER_NONE ? "none" : f->settings.routes[m.route].name.data;
}

#define ASK(host_, target_, ...) (&(struct ask){ .host = host_, .target = target_, ##__VA_ARGS__ })
#define WINS(f, name, ...) assert_string_equal(winner(f, ASK(__VA_ARGS__)), name)

static void hosts_from_exact_to_none(void **state)
{
    (void)state;
    static const struct spec specs[] = {
        { .name = "any" },
        { .name = "suffix", .hosts = "*.a.b" },
        { .name = "long-suffix", .hosts = "*.c.a.b" },
        { .name = "exact", .hosts = "x.a.b" },
        { .name = "v6", .hosts = "[::1]" },
        { .name = "v4", .hosts = "10.0.0.1" },
    };
    struct fixture f;
    assert_true(fixture_open(&f, specs, 6));
    WINS(&f, "exact", "x.a.b", "/");
    WINS(&f, "exact", "X.A.b", "/");
    WINS(&f, "exact", "x.a.b:8080", "/");
    WINS(&f, "exact", "x.a.b.", "/");
    WINS(&f, "exact", "x.a.b.:443", "/");
    WINS(&f, "suffix", "y.a.b", "/");
    WINS(&f, "suffix", "z.y.a.b", "/");
    WINS(&f, "any", "a.b", "/");
    WINS(&f, "any", ".a.b", "/");
    WINS(&f, "any", "xa.b", "/");
    WINS(&f, "long-suffix", "y.c.a.b", "/");
    WINS(&f, "suffix", "c.a.b", "/");
    WINS(&f, "v6", "[::1]", "/");
    WINS(&f, "v6", "[::1]:443", "/");
    WINS(&f, "any", "[::1:443]", "/");
    WINS(&f, "v4", "10.0.0.1", "/");
    WINS(&f, "v4", "10.0.0.1:80", "/");
    WINS(&f, "any", "", "/");
    WINS(&f, "any", ".", "/");
    WINS(&f, "any", ":80", "/");
    fixture_close(&f);
}

static void paths_from_exact_to_fallback(void **state)
{
    (void)state;
    static const struct spec specs[] = {
        { .name = "fallback", .path = "/" },         { .name = "regex", .path = "~ \\.png$" },
        { .name = "regex-i", .path = "~* \\.jpg$" }, { .name = "api", .path = "/api" },
        { .name = "api-slash", .path = "/api/" },    { .name = "api-v1", .path = "/api/v1" },
        { .name = "exact", .path = "= /api/v1" },    { .name = "only", .path = "=/only" },
    };
    struct fixture f;
    assert_true(fixture_open(&f, specs, 8));
    WINS(&f, "exact", "h", "/api/v1");
    WINS(&f, "api-v1", "h", "/api/v1/");
    WINS(&f, "api-v1", "h", "/api/v1/x.png");
    WINS(&f, "api-slash", "h", "/api/v10");
    WINS(&f, "api-slash", "h", "/api/");
    WINS(&f, "api", "h", "/api");
    WINS(&f, "api", "h", "/api?x=/api/v1");
    WINS(&f, "fallback", "h", "/apix");
    WINS(&f, "regex", "h", "/apix/a.png");
    WINS(&f, "fallback", "h", "/a.PNG");
    WINS(&f, "regex-i", "h", "/a.JPG");
    WINS(&f, "only", "h", "/only");
    WINS(&f, "fallback", "h", "/only/");
    WINS(&f, "fallback", "h", "*");
    WINS(&f, "fallback", "h", "");
    fixture_close(&f);
}

static void falls_through_to_less_specific_routes(void **state)
{
    (void)state;
    static const struct spec specs[] = {
        { .name = "any" },
        { .name = "wild", .hosts = "*.b", .path = "/w" },
        { .name = "host-post", .hosts = "a.b", .path = "/w/x", .methods = "POST" },
        { .name = "host-prefix", .hosts = "a.b", .path = "/w", .methods = "POST PUT" },
        { .name = "host-regex", .hosts = "a.b", .path = "~ x$", .methods = "DELETE" },
        { .name = "host", .hosts = "a.b", .methods = "PATCH" },
    };
    struct fixture f;
    assert_true(fixture_open(&f, specs, 6));
    WINS(&f, "host-post", "a.b", "/w/x", "POST");
    WINS(&f, "host-prefix", "a.b", "/w/x", "PUT");
    WINS(&f, "host-regex", "a.b", "/w/x", "DELETE");
    WINS(&f, "host", "a.b", "/w/x", "PATCH");
    WINS(&f, "wild", "a.b", "/w/x", "GET");
    WINS(&f, "any", "a.b", "/x", "GET");
    fixture_close(&f);
}

static void more_conditions_are_tried_first(void **state)
{
    (void)state;
    static const struct spec specs[] = {
        { .name = "plain", .path = "/p" },
        { .name = "b-header", .path = "/p", .headers = "x-one" },
        { .name = "a-query", .path = "/p", .query = "one" },
        { .name = "two", .path = "/p", .headers = "x-one", .query = "one" },
        { .name = "secure",
          .path = "/p",
          .headers = "x-one",
          .query = "one",
          .listeners = "https" },
    };
    struct fixture f;
    assert_true(fixture_open(&f, specs, 5));
    WINS(&f, "plain", "h", "/p");
    WINS(&f, "b-header", "h", "/p", .headers = "X-One=");
    WINS(&f, "a-query", "h", "/p?one");
    WINS(&f, "two", "h", "/p?one=1", .headers = "X-One=1");
    WINS(&f, "secure", "h", "/p?one=1", .headers = "X-One=1", .listener = 1);
    fixture_close(&f);
}

static void headers_by_text_expression_and_presence(void **state)
{
    (void)state;
    static const struct spec specs[] = {
        { .name = "text", .path = "/t", .headers = "X-Kind=beta" },
        { .name = "regex", .path = "/r", .headers = "user-agent=~^curl/[78]" },
        { .name = "no-case", .path = "/i", .headers = "x-kind=~*^BETA$" },
        { .name = "empty", .path = "/e", .headers = "x-kind=" },
        { .name = "upgrade", .path = "/u", .headers = "Upgrade=~*^websocket$" },
        { .name = "purge", .path = "/m", .methods = "PURGE HEAD" },
    };
    struct fixture f;
    assert_true(fixture_open(&f, specs, 6));
    WINS(&f, "text", "h", "/t", .headers = "x-kIND=beta");
    WINS(&f, "text", "h", "/t", .headers = "x-kind=alpha x-kind=beta");
    WINS(&f, "none", "h", "/t", .headers = "x-kind=Beta");
    WINS(&f, "none", "h", "/t", .headers = "x-kin=beta");
    WINS(&f, "regex", "h", "/r", .headers = "User-Agent=curl/7.88");
    WINS(&f, "none", "h", "/r", .headers = "User-Agent=curl/6");
    WINS(&f, "none", "h", "/r");
    WINS(&f, "no-case", "h", "/i", .headers = "x-kind=beta");
    WINS(&f, "empty", "h", "/e", .headers = "x-kind=");
    WINS(&f, "none", "h", "/e", .headers = "x-kind=1");
    WINS(&f, "purge", "h", "/m", "PURGE");
    WINS(&f, "purge", "h", "/m", "HEAD");
    WINS(&f, "none", "h", "/m", "PURGES");
    WINS(&f, "none", "h", "/m", "GET");

    struct http_head    head = { .method = HTTP_GET, .path = S("/u"), .upgrade = S("WebSocket") };
    struct router_query q = { S("h"), &head, 0 };
    assert_int_equal(router_find(f.router, &q, f.scratch).route, 4);
    head.upgrade = S("h2c");
    assert_int_equal(router_find(f.router, &q, f.scratch).route, ROUTER_NONE);
    fixture_close(&f);
}

static void dropped_fields_are_not_seen(void **state)
{
    (void)state;
    static const struct spec specs[] = { { .name = "etag", .headers = "etag" } };
    struct fixture           f;
    assert_true(fixture_open(&f, specs, 1));
    struct arena a;
    arena_init(&a, NULL);
    struct http_head   *head = ask_head(&a, ASK("h", "/", .headers = "etag=1"));
    struct router_query q = { S("h"), head, 0 };
    assert_int_equal(router_find(f.router, &q, f.scratch).route, 0);
    http_fields_drop(&head->fields, FIELD_ETAG);
    assert_int_equal(router_find(f.router, &q, f.scratch).route, ROUTER_NONE);
    arena_reset(&a);
    fixture_close(&f);
}

static void query_parameters_are_decoded(void **state)
{
    (void)state;
    static const struct spec specs[] = {
        { .name = "text", .path = "/t", .query = "kind=a&b" },
        { .name = "regex", .path = "/r", .query = "n=~^[0-9]+$" },
        { .name = "empty", .path = "/e", .query = "n=" },
        { .name = "blank", .path = "/b", .query = "n=~^a\\sb$" },
    };
    struct fixture f;
    assert_true(fixture_open(&f, specs, 4));
    WINS(&f, "blank", "h", "/b?n=a+b");
    WINS(&f, "none", "h", "/b?n=a%2Bb");
    WINS(&f, "text", "h", "/t?kind=a%26b");
    WINS(&f, "text", "h", "/t?a=1&kind=2&ki%6Ed=%61%26b&z");
    WINS(&f, "none", "h", "/t?kind=a&b");
    WINS(&f, "none", "h", "/t?kind=a%26b%2");
    WINS(&f, "regex", "h", "/r?n=x&n=12");
    WINS(&f, "regex", "h", "/r?n=1%32");
    WINS(&f, "none", "h", "/r?n=12x");
    WINS(&f, "none", "h", "/r?nn=12");
    WINS(&f, "none", "h", "/r?=12&&");
    WINS(&f, "empty", "h", "/e?n");
    WINS(&f, "empty", "h", "/e?n=&");
    WINS(&f, "none", "h", "/e?n=%");
    fixture_close(&f);
}

static void expressions_go_by_the_file(void **state)
{
    (void)state;
    static const struct spec specs[] = {
        { .name = "z", .path = "~ ^/a" },
        { .name = "b", .path = "~ ^/ab" },
        { .name = "z-post", .path = "~^/a", .methods = "POST" },
        { .name = "other", .hosts = "o", .path = "~ ^/ab" },
        { .name = "other-a", .hosts = "o", .path = "~ ^/a" },
    };
    struct fixture f;
    assert_true(fixture_open(&f, specs, 5));
    WINS(&f, "z", "h", "/abc");
    WINS(&f, "z-post", "h", "/abc", "POST");
    WINS(&f, "other", "o", "/abc");
    WINS(&f, "other-a", "o", "/ac");
    fixture_close(&f);
}

static void limits_of_expressions_are_reported(void **state)
{
    (void)state;
    static const struct spec specs[] = {
        { .name = "bomb", .path = "~ ^(/a+)+$" },
        { .name = "rest" },
    };
    struct fixture f;
    assert_true(fixture_open(&f, specs, 2));
    struct router_match m = find(&f, ASK("h", "/a/aa"));
    assert_int_equal(m.route, 0);
    assert_false(m.has_hit_limit);

    static const char hard[] = "~ ^(a|aa)+$";
    fixture_close(&f);
    const struct spec bomb[] = { { .name = "bomb", .path = hard }, { .name = "rest" } };
    assert_true(fixture_open(&f, bomb, 2));
    /* pcre2's own limit would let this pass, some milliseconds later. */
    m = find(&f, ASK("h", "aaaaaaaaaaaaaaaaaaaaaaaab"));
    assert_int_equal(m.route, 1);
    assert_true(m.has_hit_limit);
    /* The next one starts afresh. */
    assert_false(find(&f, ASK("h", "aa")).has_hit_limit);
    fixture_close(&f);
}

static void refuses(const struct spec *specs, size_t count, const char *words_of_error)
{
    struct fixture f;
    assert_false(fixture_open(&f, specs, count));
    if (!strstr(f.e.text, words_of_error)) fail_msg("`%s` lacks `%s`", f.e.text, words_of_error);
    fixture_close(&f);
}

#define REFUSES(text, ...)                                                                         \
    refuses((const struct spec[]){ __VA_ARGS__ },                                                  \
            sizeof((const struct spec[]){ __VA_ARGS__ }) / sizeof(struct spec), text)

static void the_same_match_twice_is_refused(void **state)
{
    (void)state;
    REFUSES("gate.yaml:11:5: route `b` has the same match as route `a` (gate.yaml:10:5)",
            { .name = "a", .hosts = "h", .path = "/x" },
            { .name = "b", .hosts = "i h", .path = "/x" });
    REFUSES("same match", { .name = "a" }, { .name = "b", .path = "/" });
    REFUSES("same match", { .name = "a", .path = "~x" }, { .name = "b", .path = "~  x" });
    REFUSES("same match", { .name = "a", .path = "=/x" }, { .name = "b", .path = "= /x" });
    REFUSES("same match", { .name = "a", .methods = "GET PUT" },
            { .name = "b", .methods = "PUT GET" });
    REFUSES("same match", { .name = "a", .methods = "GET GET" }, { .name = "b", .methods = "GET" });
    REFUSES("same match", { .name = "a", .headers = "X-A=1 b", .query = "q" },
            { .name = "b", .headers = "B x-a=1", .query = "q" });
    REFUSES("names twice the host `h`", { .name = "a", .hosts = "h h" });

    static const struct spec distinct[] = {
        { .name = "a", .path = "/x" },
        { .name = "b", .path = "/x/" },
        { .name = "c", .path = "= /x" },
        { .name = "d", .path = "~/x" },
        { .name = "e", .path = "~*/x" },
        { .name = "f", .hosts = "*.h", .path = "/x" },
        { .name = "g", .hosts = "h", .path = "/x" },
        { .name = "i", .path = "/x", .headers = "a" },
        { .name = "j", .path = "/x", .headers = "a=" },
        { .name = "k", .path = "/x", .query = "a" },
    };
    struct fixture f;
    assert_true(fixture_open(&f, distinct, 10));
    fixture_close(&f);
}

static void what_cannot_match_is_refused(void **state)
{
    (void)state;
    REFUSES("route `a`: bad regular expression `(`", { .name = "a", .path = "~ (" });
    REFUSES("bad regular expression", { .name = "a", .headers = "x=~[" });
    REFUSES("a path begins with", { .name = "a", .path = "x" });
    REFUSES("a path begins with", { .name = "a", .path = "=" });
    REFUSES("neither query", { .name = "a", .path = "/x?y" });
    REFUSES("unlike `a.*.b`", { .name = "a", .hosts = "a.*.b" });
    REFUSES("unlike `*`", { .name = "a", .hosts = "*" });
    REFUSES("unlike `*.`", { .name = "a", .hosts = "*." });
    REFUSES("no listener has the name `ftp`", { .name = "a", .listeners = "http ftp" });
    REFUSES("cannot look at the header `Content-length`",
            { .name = "a", .headers = "Content-length" });
}

static void a_report_gets_every_fault(void **state)
{
    (void)state;
    static const struct spec specs[] = {
        { .name = "a", .path = "~ (" },
        { .name = "b", .path = "/x" },
        { .name = "c", .path = "/x" },
        { .name = "d", .hosts = "h *", .path = "/y" },
    };
    struct fixture f;
    assert_false(fixture_open(&f, specs, 4));
    assert_non_null(strstr(f.e.text, "gate.yaml:10:5: route `a`: bad regular expression"));
    struct conf_report report;
    conf_report_init(&report);
    assert_null(router_new_reporting(&f.settings, &f.arena, &report));
    assert_int_equal(report.error_count, 3);
    const uint32_t lines[] = { 10, 12, 13 };
    for (size_t i = 0; i < 3; i++) assert_int_equal(report.problems[i].at.line, lines[i]);
    assert_non_null(strstr(report.problems[1].message.data, "same match as route `b`"));
    conf_report_reset(&report);
    fixture_close(&f);
}

/* ---- the same by brute force ---- */

static bool oracle_prefix(struct slice prefix, struct slice path)
{
    if (!slice_starts_with(path, prefix)) return false;
    return path.len == prefix.len || prefix.data[prefix.len - 1] == '/' ||
           path.data[prefix.len] == '/';
}

/* The rank of a route for a request as one number, 0 when it does not match. */
static uint64_t oracle_rank(const struct route_settings *r, struct slice host, struct slice path,
                            struct slice method)
{
    uint64_t     host_rank = r->match.hosts.count ? 0 : 1, path_rank = 0;
    struct slice p = r->match.path.len ? r->match.path : S("/");
    for (size_t i = 0; i < r->match.hosts.count; i++) {
        struct slice h = r->match.hosts.items[i];
        if (slice_eq(h, host)) host_rank = 1000;
        if (h.data[0] == '*' && host.len > h.len - 1 && slice_ends_with(host, slice_from(h, 1)) &&
            host_rank < h.len)
            host_rank = h.len;
    }
    if (p.data[0] == '=')
        path_rank = slice_eq(slice_from(p, 2), path) ? 1000 : 0;
    else if (slice_eq(p, S("/")))
        path_rank = 1;
    else if (oracle_prefix(p, path))
        path_rank = p.len;
    bool has_methods = r->match.methods.count > 0, is_listed = !has_methods;
    for (size_t i = 0; i < r->match.methods.count; i++)
        if (slice_eq(r->match.methods.items[i], method)) is_listed = true;
    if (!host_rank || !path_rank || !is_listed) return 0;
    return host_rank << 32 | path_rank << 1 | has_methods;
}

static int32_t oracle(const struct settings *s, const struct ask *ask)
{
    int32_t  best = ROUTER_NONE;
    uint64_t best_rank = 0;
    for (size_t i = 0; i < s->route_count; i++) {
        uint64_t rank = oracle_rank(&s->routes[i], slice_of(ask->host), slice_of(ask->target),
                                    slice_of(ask->method));
        if (rank > best_rank || (rank && rank == best_rank &&
                                 strcmp(s->routes[i].name.data, s->routes[best].name.data) < 0)) {
            best = (int32_t)i;
            best_rank = rank;
        }
    }
    return best;
}

static const char *any_path(struct random *random, struct arena *a)
{
    static const char *const parts[] = { "/a", "/b", "/ab", "/", "a" };
    struct slice             path = S("/");
    for (uint32_t n = random_below(random, 4); n; n--)
        path = arena_printf(a, "%.*s%s", SLICE_ARG(path), parts[random_below(random, 5)]);
    /* The router is asked about normalised paths only. */
    return path.len > 1 && path.data[1] == '/' ? path.data + 1 : path.data;
}

static void agrees_with_a_plain_search(void **state)
{
    (void)state;
    static const char *const hosts[] = { "a.b", "c.a.b", "d.c.a.b", "b", "x" };
    static const char *const host_matches[] = { NULL, "a.b", "c.a.b", "*.b", "*.a.b", "x *.c.a.b" };
    static const char *const methods[] = { "GET", "POST", "PUT" };
    static const char *const method_matches[] = { NULL, "GET PUT", "GET", "POST PUT" };
    struct random            random;
    random_init(&random);
    unsigned built = 0;
    for (int round = 0; round < 2000; round++) {
        struct arena a;
        arena_init(&a, NULL);
        struct spec specs[12];
        size_t      count = 1 + random_below(&random, 12);
        for (size_t i = 0; i < count; i++) {
            const char *path = any_path(&random, &a);
            if (random_below(&random, 4) == 0) path = arena_printf(&a, "= %s", path).data;
            specs[i] = (struct spec){
                .name = arena_printf(&a, "r%u-%zu", random_below(&random, 100), i).data,
                .hosts = host_matches[random_below(&random, 6)],
                .path = path,
                .methods = method_matches[random_below(&random, 4)],
            };
        }
        struct fixture f;
        if (fixture_open(&f, specs, count)) {
            built++;
            for (int i = 0; i < 50; i++) {
                struct ask ask = { .host = hosts[random_below(&random, 5)],
                                   .target = any_path(&random, &a),
                                   .method = methods[random_below(&random, 3)] };
                int32_t    want = oracle(&f.settings, &ask), got = find(&f, &ask).route;
                if (want != got)
                    fail_msg("%s http://%s%s: %d, not %d", ask.method, ask.host, ask.target, got,
                             want);
            }
        } else {
            assert_non_null(strstr(f.e.text, "same match"));
        }
        fixture_close(&f);
        arena_reset(&a);
    }
    assert_true(built > 500);
}

/* ---- many hosts ---- */

static void make_hosts(struct fixture *f, size_t count)
{
    *f = (struct fixture){ 0 };
    arena_init(&f->settings.arena, NULL);
    arena_init(&f->arena, NULL);
    f->settings.routes = arena_zalloc(&f->settings.arena, count * sizeof(struct route_settings));
    f->settings.route_count = count;
    for (size_t i = 0; i < count; i++) {
        struct route_settings *r = &f->settings.routes[i];
        r->match.hosts.items = arena_alloc(&f->settings.arena, sizeof(struct slice));
        r->match.hosts.items[0] =
            arena_printf(&f->settings.arena, "%shost%zu.example.com", i % 2 ? "*." : "", i);
        r->match.hosts.count = 1;
        r->name = arena_printf(&f->settings.arena, "route-%zu", i);
        r->match.path = S("/api");
    }
    f->scratch = router_scratch_new(NULL);
}

static void ten_thousand_hosts_load_at_once(void **state)
{
    (void)state;
    struct fixture f;
    make_hosts(&f, 10000);
    uint64_t start = clock_mono_ns();
    f.router = router_new(&f.settings, &f.arena, &f.e);
    uint64_t took = clock_mono_ns() - start;
    assert_non_null(f.router);
    assert_true(took < 1000000000u);
    /* Beside the two tables of base/map.h: 40 bytes a slot, at most 4 slots a host. */
    assert_true(arena_bytes(&f.arena) < 10000 * 200);
    WINS(&f, "route-4242", "host4242.example.com", "/api/x");
    WINS(&f, "route-4243", "x.HOST4243.example.com:443", "/api");
    WINS(&f, "none", "host4243.example.com", "/api");
    WINS(&f, "none", "host4242.example.com", "/");
    router_scratch_free(f.scratch);
    arena_reset(&f.arena);
    arena_reset(&f.settings.arena);
}

static void long_hosts_are_folded_or_passed_over(void **state)
{
    (void)state;
    char lower[400], upper[400];
    memset(lower, 'a', sizeof(lower));
    memset(upper, 'A', sizeof(upper));
    lower[200] = upper[200] = '\0';
    const struct spec specs[] = { { .name = "long", .hosts = lower }, { .name = "any" } };
    struct fixture    f;
    assert_true(fixture_open(&f, specs, 2));
    WINS(&f, "long", upper, "/");
    upper[200] = 'A';
    upper[399] = '\0';
    WINS(&f, "any", upper, "/");
    fixture_close(&f);
}

static void only_letters_are_folded(void **state)
{
    (void)state;
    static const struct spec specs[] = {
        { .name = "alphabet", .hosts = "abcdefghijklmnopqrstuvwxyz" },
        { .name = "short", .hosts = "az" },
        { .name = "signs", .hosts = "@[`{\x80\xc1\xda-12" },
        { .name = "any" },
    };
    struct fixture f;
    assert_true(fixture_open(&f, specs, 4));
    WINS(&f, "alphabet", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "/");
    WINS(&f, "alphabet", "abcdefghijklmNOPQRSTUVWXYZ", "/");
    WINS(&f, "short", "AZ", "/");
    WINS(&f, "signs", "@[`{\x80\xc1\xda-12", "/");
    WINS(&f, "any", "`{@[\x80\xc1\xda-12", "/");
    fixture_close(&f);
}

static void note(void *arg, int32_t route, enum router_verdict verdict, struct slice what)
{
    struct buffer *to = arg;
    buffer_printf(to, "%d:%d:%.*s ", route, (int)verdict, SLICE_ARG(what));
}

static void explains_winners_and_losers(void **state)
{
    (void)state;
    static const struct spec specs[] = {
        { .name = "any" },
        { .name = "post", .hosts = "h", .path = "/a/b", .methods = "POST" },
        { .name = "header", .hosts = "h", .path = "/a", .headers = "x-a y-b=1" },
        { .name = "query", .hosts = "h", .path = "/a", .query = "q" },
        { .name = "regex", .hosts = "h", .path = "~ z$" },
        { .name = "https", .hosts = "h", .listeners = "https" },
        { .name = "elsewhere", .hosts = "i" },
    };
    struct fixture f;
    assert_true(fixture_open(&f, specs, 7));
    struct arena a;
    arena_init(&a, NULL);
    struct router_query q = { S("h"), ask_head(&a, ASK("h", "/a/b", .headers = "x-a=1")), 0 };
    struct buffer       got = BUFFER_INIT;
    router_explain(f.router, &q, f.scratch, note, &got);
    char want[128];
    snprintf(want, sizeof(want), "1:%d: 2:%d:y-b 3:%d:q 4:%d: 5:%d: 0:%d: ", ROUTER_METHOD,
             ROUTER_HEADER, ROUTER_QUERY, ROUTER_REGEX, ROUTER_LISTENER, ROUTER_MATCHES);
    assert_string_equal(got.data, want);
    buffer_reset(&got);
    arena_reset(&a);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_from_exact_to_none),
        cmocka_unit_test(paths_from_exact_to_fallback),
        cmocka_unit_test(falls_through_to_less_specific_routes),
        cmocka_unit_test(more_conditions_are_tried_first),
        cmocka_unit_test(headers_by_text_expression_and_presence),
        cmocka_unit_test(dropped_fields_are_not_seen),
        cmocka_unit_test(query_parameters_are_decoded),
        cmocka_unit_test(expressions_go_by_the_file),
        cmocka_unit_test(limits_of_expressions_are_reported),
        cmocka_unit_test(the_same_match_twice_is_refused),
        cmocka_unit_test(what_cannot_match_is_refused),
        cmocka_unit_test(a_report_gets_every_fault),
        cmocka_unit_test(agrees_with_a_plain_search),
        cmocka_unit_test(ten_thousand_hosts_load_at_once),
        cmocka_unit_test(long_hosts_are_folded_or_passed_over),
        cmocka_unit_test(only_letters_are_folded),
        cmocka_unit_test(explains_winners_and_losers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
