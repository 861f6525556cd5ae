/* SPDX-License-Identifier: Apache-2.0
 *
 * Why a request gets its route: the words, and that they never disagree with the
 * router.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/random.h"
#include "proxy/route_explain.h"

enum { WORDS_MAX = 4 };

/* A route in one line: hosts and methods are words separated by blanks. */
struct spec {
    const char *name, *host, *path, *method, *header;
};

struct fixture {
    struct settings          settings;
    struct listener_settings listener;
    struct arena             arena;
    struct router_scratch   *scratch;
    const struct router     *router;
};

static struct text_list list_of(struct arena *a, const char *text)
{
    struct text_list list = { arena_alloc(a, WORDS_MAX * sizeof(struct slice)), 0 };
    struct slice     rest = slice_of(text ? text : "");
    while (rest.len) {
        size_t end = slice_find(rest, ' ');
        list.items[list.count++] = arena_copy(a, slice_make(rest.data, end));
        rest = slice_from(rest, end + (end < rest.len));
    }
    return list;
}

static void set_route(struct arena *a, struct route_settings *r, const struct spec *s)
{
    r->name = slice_of(s->name);
    r->match.hosts = list_of(a, s->host);
    r->match.path = slice_of(s->path);
    r->match.methods = list_of(a, s->method);
    r->match.header_count = s->header != NULL;
    r->match.headers = arena_zalloc(a, sizeof(struct name_value));
    r->match.headers[0].name = slice_of(s->header);
}

static bool open_fixture(struct fixture *f, const struct spec *specs, size_t count)
{
    struct error e;
    *f = (struct fixture){ 0 };
    arena_init(&f->arena, NULL);
    f->listener.name = S("http");
    f->settings.listeners = &f->listener;
    f->settings.listener_count = 1;
    f->settings.routes = arena_zalloc(&f->arena, (count + 1) * sizeof(struct route_settings));
    f->settings.route_count = count;
    for (size_t i = 0; i < count; i++) set_route(&f->arena, &f->settings.routes[i], &specs[i]);
    f->scratch = router_scratch_new(NULL);
    f->router = router_new(&f->settings, &f->arena, &e);
    return f->router != NULL;
}

static void close_fixture(struct fixture *f)
{
    router_scratch_free(f->scratch);
    arena_reset(&f->arena);
}

static struct http_head head_of(const char *method, const char *path)
{
    struct http_head head = { .method_name = slice_of(method), .path = slice_of(path) };
    head.method = http_method_lookup(head.method_name);
    return head;
}

static void explain(struct fixture *f, const char *host, const struct http_head *head,
                    struct route_explanation *to)
{
    struct router_query   query = { slice_of(host), head, 0 };
    struct route_question q = { f->router, &f->settings, &query, f->scratch, &f->arena };
    route_explain(&q, to);
}

/* "name: why" of all, the winner first; free() it. */
static char *told(struct fixture *f, const char *host, const char *method, const char *path)
{
    struct buffer            text = BUFFER_INIT;
    struct route_explanation got;
    struct http_head         head = head_of(method, path);
    explain(f, host, &head, &got);
    if (got.match.route == ROUTER_NONE)
        buffer_puts(&text, "none\n");
    else
        buffer_printf(&text, "%s wins: %.*s\n", f->settings.routes[got.match.route].name.data,
                      SLICE_ARG(got.why));
    for (size_t i = 0; i < got.other_count; i++)
        buffer_printf(&text, "%s: %.*s\n", f->settings.routes[got.others[i].route].name.data,
                      SLICE_ARG(got.others[i].why));
    if (got.left_count) buffer_printf(&text, "and %zu\n", got.left_count);
    return buffer_detach(&text);
}

#define TELLS(f, host, method, path, text)                                                         \
    do {                                                                                           \
        char *got_ = told(f, host, method, path);                                                  \
        assert_string_equal(got_, text);                                                           \
        free(got_);                                                                                \
    } while (0)

static void hosts_in_words(void **state)
{
    (void)state;
    static const struct spec specs[] = {
        { .name = "any" },
        { .name = "wild", .host = "*.b" },
        { .name = "wilder", .host = "*.a.b" },
        { .name = "exact", .host = "x.a.b" },
        { .name = "other", .host = "c" },
    };
    struct fixture f;
    assert_true(open_fixture(&f, specs, 5));
    TELLS(&f, "X.a.b.:80", "GET", "/",
          "exact wins: host x.a.b, any path\n"
          "wilder: fits too, but by a wildcard host\n"
          "wild: fits too, but by a wildcard host\n"
          "any: fits too, but names no host\n"
          "other: the host is not c\n");
    TELLS(&f, "y.a.b", "GET", "/",
          "wilder wins: host *.a.b, any path\n"
          "wild: fits too, by a shorter wildcard host\n"
          "any: fits too, but names no host\n"
          "exact: the host is not x.a.b\n"
          "other: the host is not c\n");
    close_fixture(&f);
}

static void paths_in_words(void **state)
{
    (void)state;
    static const struct spec specs[] = {
        { .name = "any", .host = "h" },
        { .name = "api", .host = "h", .path = "/api" },
        { .name = "v1", .host = "h", .path = "/api/v1" },
        { .name = "exact", .host = "h", .path = "= /api/v1/x" },
        { .name = "regex", .host = "h", .path = "~ x$" },
        { .name = "png", .host = "h", .path = "~ png$" },
    };
    struct fixture f;
    assert_true(open_fixture(&f, specs, 6));
    TELLS(&f, "h", "GET", "/api/v1/y/x",
          "v1 wins: host h, path /api/v1 (the longest prefix)\n"
          "api: fits too, but its path is a shorter prefix\n"
          "regex: fits too, but its path is an expression: prefixes go before\n"
          "png: the path does not match ~ png$\n"
          "any: fits too, but it takes any path: those that name one go before\n"
          "exact: the path does not fit = /api/v1/x\n");
    close_fixture(&f);
}

static void conditions_in_words(void **state)
{
    (void)state;
    static const struct spec specs[] = {
        { .name = "post", .path = "/a", .method = "POST" },
        { .name = "header", .path = "/a", .header = "x-a" },
    };
    struct fixture f;
    assert_true(open_fixture(&f, specs, 2));
    TELLS(&f, "h", "GET", "/a",
          "none\n"
          "header: the header x-a is not as it asks\n"
          "post: its method is POST only\n");
    TELLS(&f, "h", "POST", "/a",
          "post wins: any host, path /a (the longest prefix), 1 condition\n"
          "header: the header x-a is not as it asks\n");
    close_fixture(&f);
}

static void many_are_counted(void **state)
{
    (void)state;
    static const struct spec specs[] = {
        { "a", .host = "a" }, { "b", .host = "b" }, { "c", .host = "c" }, { "d", .host = "d" },
        { "e", .host = "e" }, { "f", .host = "f" }, { "g", .host = "g" }, { "h", .host = "h" },
    };
    struct fixture           f;
    struct route_explanation got;
    struct http_head         head = head_of("GET", "/");
    assert_true(open_fixture(&f, specs, 8));
    explain(&f, "z", &head, &got);
    assert_int_equal(got.match.route, ROUTER_NONE);
    assert_int_equal(got.other_count, ROUTE_REASON_MAX);
    assert_int_equal(got.left_count, 8 - ROUTE_REASON_MAX);
    close_fixture(&f);
}

/* ---- it cannot disagree ---- */

static const char *one_of(struct random *random, const char *const *list, uint32_t count)
{
    return list[random_below(random, count)];
}

#define ONE_OF(random, list) one_of(random, list, sizeof(list) / sizeof((list)[0]))

/* Does the router find this route where there is no other? */
static bool serves_alone(struct fixture *f, const struct route_settings *route,
                         const struct router_query *query)
{
    struct settings       settings = f->settings;
    struct route_settings copy = *route;
    struct arena          arena;
    struct error          e;
    arena_init(&arena, NULL);
    settings.routes = &copy;
    settings.route_count = 1;
    const struct router *r = router_new(&settings, &arena, &e);
    bool                 serves = router_find(r, query, f->scratch).route != ROUTER_NONE;
    arena_reset(&arena);
    return serves;
}

/* What is told of a route that lost is what the router does with it alone. */
static void reason_holds(struct fixture *f, const struct route_reason *reason,
                         const struct router_query *query)
{
    const struct route_settings *route = &f->settings.routes[reason->route];
    struct route_settings        by_host = { .name = route->name };
    bool                         blames_host = slice_starts_with(reason->why, S("the host"));
    by_host.match.hosts = route->match.hosts;
    assert_int_equal(serves_alone(f, route, query), slice_starts_with(reason->why, S("fits")));
    assert_int_equal(serves_alone(f, &by_host, query), !blames_host);
    assert_true(reason->why.len > 0);
}

static void agree(struct fixture *f, const char *host, const struct http_head *head)
{
    struct router_query      query = { slice_of(host), head, 0 };
    struct router_match      match = router_find(f->router, &query, f->scratch);
    struct route_explanation got;
    explain(f, host, head, &got);
    assert_int_equal(got.match.route, match.route);
    assert_int_equal(got.why.len > 0, match.route != ROUTER_NONE);
    size_t count = got.other_count + got.left_count + (match.route != ROUTER_NONE);
    assert_int_equal(count, f->settings.route_count);
    for (size_t i = 0; i < got.other_count; i++) {
        assert_int_not_equal(got.others[i].route, match.route);
        for (size_t k = 0; k < i; k++)
            assert_int_not_equal(got.others[i].route, got.others[k].route);
        reason_holds(f, &got.others[i], &query);
    }
}

static void agrees_with_the_router(void **state)
{
    (void)state;
    static const char *const hosts[] = { "a.b", "c.a.b", "d.c.a.b", "b", "x", ".b", "A.B.:80", "" };
    static const char *const wanted[] = { NULL,    "a.b", "c.a.b", "*.b",
                                          "*.a.b", "x",   "x *.b", "*.a.b *.b c.a.b" };
    static const char *const paths[] = { "/", "/a", "/a/", "/a/b", "/ab", "/a/b/c" };
    static const char *const asked[] = { NULL,   "/",    "/a",   "/a/",  "/a/b",
                                         "= /a", "= /x", "~ b$", "~* C$" };
    static const char *const methods[] = { "GET", "POST" };
    static const char *const allowed[] = { NULL, NULL, "GET", "POST PUT" };
    static const char        names[][4] = { "r0", "r1", "r2", "r3", "r4", "r5" };
    struct random            random;
    random_init(&random);
    for (unsigned round = 0, tried = 0; tried < 150 && round < 5000; round++) {
        struct spec    specs[6];
        struct fixture f;
        for (size_t i = 0; i < 6; i++)
            specs[i] = (struct spec){ names[i], ONE_OF(&random, wanted), ONE_OF(&random, asked),
                                      ONE_OF(&random, allowed), NULL };
        if (open_fixture(&f, specs, 6)) {
            tried++;
            for (unsigned i = 0; i < 20; i++) {
                struct http_head head = head_of(ONE_OF(&random, methods), ONE_OF(&random, paths));
                agree(&f, ONE_OF(&random, hosts), &head);
            }
        }
        close_fixture(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_in_words),         cmocka_unit_test(paths_in_words),
        cmocka_unit_test(conditions_in_words),    cmocka_unit_test(many_are_counted),
        cmocka_unit_test(agrees_with_the_router),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
