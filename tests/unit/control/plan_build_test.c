/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings to plans: what a reload keeps, and that every fault is told at its
 * place. Nothing is bound.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/plan_build.h"
#include "filter/rate_limit.h"
#include "origin/redirect.h"
#include "origin/respond.h"

struct scene {
    struct plan_maker   maker;
    struct privileged   direct;
    struct conf_report  report;
    struct plan_outcome outcome;
};

static int set_up(void **state)
{
    struct scene *c = calloc(1, sizeof(*c));
    privileged_init(&c->direct, -1, NULL);
    plan_maker_init(&c->maker);
    c->maker.privileged = &c->direct;
    conf_report_init(&c->report);
    file_watch_init(&c->outcome.files);
    expiries_init(&c->outcome.certificates);
    *state = c;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *c = *state;
    plan_outcome_reset(&c->outcome);
    conf_report_reset(&c->report);
    plan_maker_reset(&c->maker);
    free(c);
    return 0;
}

static struct plan *build(struct scene *c, const char *text)
{
    struct settings *s =
        conf_load_text("test.yaml", slice_of(text), &conf_reader_direct, &c->report);
    assert_non_null(s);
    plan_outcome_reset(&c->outcome);
    return plan_build(&c->maker, s, 1, &c->report, &c->outcome);
}

static const char base_text[] =
    "listeners: { web: { address: \"127.0.0.1:0\" }, in: { address: \"127.0.0.1:0\" } }\n"
    "rate_limits: { slow: { rate: 1/s }, fast: { rate: 9/s } }\n"
    "upstreams:\n"
    "  one: { servers: [ \"127.0.0.1:1\" ] }\n"
    "  two: { servers: [ \"127.0.0.1:2\" ] }\n"
    "routes:\n"
    "  - { name: a, match: { path: /a }, upstream: one, rate_limit: slow }\n"
    "  - { name: b, match: { path: /b }, upstream: two }\n"
    "  - { name: c, match: { path: /c }, respond: { body: x } }\n"
    "  - { name: d, match: { path: /d }, redirect: { to: /c } }\n";

/* The first rate limit of a plan's first route. */
static const struct rate_limit *first_limit(const struct plan *p)
{
    const struct rate_limit_chain *chain = p->routes[0].filters[0].config;
    return chain->rules[0];
}

static void routes_have_their_parts(void **state)
{
    struct scene *c = *state;
    struct plan  *p = build(c, base_text);
    assert_non_null(p);
    assert_int_equal(p->route_count, 4);
    assert_string_equal(p->routes[0].upstream->name, "one");
    assert_int_equal(p->routes[0].filter_count, 1);
    assert_ptr_equal(p->routes[0].filters[0].ops, &filter_rate_limit);
    assert_true(slice_eq(rate_limit_name(first_limit(p)), S("slow")));
    assert_string_equal(p->routes[1].upstream->name, "two");
    assert_int_equal(p->routes[1].filter_count, 0);
    assert_ptr_equal(p->routes[2].origin, &origin_respond);
    assert_ptr_equal(p->routes[3].origin, &origin_redirect);
    assert_int_not_equal(p->routes[0].series, p->routes[1].series);
    assert_non_null(p->no_route->policy);
    plan_free(p);
}

static char *replaced(const char *text, const char *from, const char *to)
{
    const char   *at = strstr(text, from);
    struct buffer b = BUFFER_INIT;
    assert_non_null(at);
    buffer_put(&b, text, (size_t)(at - text));
    buffer_puts(&b, to);
    buffer_puts(&b, at + strlen(from));
    return buffer_detach(&b);
}

static void a_reload_keeps_what_did_not_change(void **state)
{
    struct scene *c = *state;
    struct plan  *old = build(c, base_text);
    char         *text = replaced(base_text, "127.0.0.1:2", "127.0.0.1:3");
    struct plan *new = build(c, text);
    assert_ptr_equal(old->routes[0].upstream, new->routes[0].upstream);
    assert_ptr_equal(first_limit(old), first_limit(new));
    assert_ptr_not_equal(old->routes[1].upstream, new->routes[1].upstream);
    /* Both are alive: a worker finds what it keeps of them by slot. */
    assert_int_not_equal(old->routes[1].upstream->slot, new->routes[1].upstream->slot);
    assert_int_equal(old->routes[1].upstream->series, new->routes[1].upstream->series);
    uint32_t freed = old->routes[1].upstream->slot;
    plan_free(old);
    char        *third_text = replaced(base_text, "127.0.0.1:2", "127.0.0.1:4");
    struct plan *third = build(c, third_text);
    assert_int_equal(third->routes[1].upstream->slot, freed);
    plan_free(new);
    plan_free(third);
    free(text);
    free(third_text);
}

static void a_changed_limit_is_a_new_one(void **state)
{
    struct scene *c = *state;
    struct plan  *old = build(c, base_text);
    char         *text = replaced(base_text, "rate: 1/s", "rate: 2/s");
    struct plan *new = build(c, text);
    assert_ptr_not_equal(first_limit(old), first_limit(new));
    plan_free(old);
    plan_free(new);
    free(text);
}

static bool is_told(const struct scene *c, const char *words, uint32_t line)
{
    for (size_t i = 0; i < c->report.count; i++) {
        const struct conf_problem *p = &c->report.problems[i];
        if (p->at.line == line && memmem(p->message.data, p->message.len, words, strlen(words)))
            return true;
    }
    return false;
}

static void every_fault_is_told_at_its_place(void **state)
{
    struct scene *c = *state;
    assert_null(build(c, "user: no-such-user-here\n"
                         "listeners:\n"
                         "  a: { address: \"127.0.0.1:0\", tls: { certificates: [\n"
                         "    { cert: /nonexistent/a.pem },\n"
                         "    { cert: /nonexistent/b.pem } ] } }\n"
                         "upstreams:\n"
                         "  u: { servers: [ \"127.0.0.1:1\" ], tls: { ca: /nonexistent/ca.pem } }\n"
                         "defaults: { error_pages: { 404: /nonexistent/404.html } }\n"
                         "routes: [ { match: { path: / }, upstream: u } ]\n"));
    assert_true(is_told(c, "no-such-user-here", 1));
    assert_true(is_told(c, "/nonexistent/a.pem", 4));
    assert_true(is_told(c, "/nonexistent/b.pem", 5));
    assert_true(is_told(c, "/nonexistent/ca.pem", 7));
    assert_true(is_told(c, "/nonexistent/404.html", 1));
    assert_int_equal(c->report.error_count, 5);
    assert_false(c->outcome.is_bind_fault);
}

static void files_that_were_read_are_watched(void **state)
{
    struct scene *c = *state;
    char          path[] = "/tmp/wharfgate-test-XXXXXX", text[256];
    int           fd = mkstemp(path);
    assert_int_equal(write(fd, "one", 3), 3);
    snprintf(text, sizeof(text), "%sdefaults: { error_pages: { 404: %s } }\n",
             "listeners: { web: { address: \"127.0.0.1:0\" } }\n"
             "routes: [ { match: { path: / }, respond: { body: x } } ]\n",
             path);
    struct plan *p = build(c, text);
    assert_int_equal(p->no_route->page_count, 1);
    assert_true(slice_eq(p->no_route->pages[0].body, S("one")));
    assert_ptr_equal(p->routes[0].pages, p->no_route->pages);
    assert_null(file_watch_changed(&c->outcome.files, &c->direct));
    assert_int_equal(write(fd, "more", 4), 4);
    assert_string_equal(file_watch_changed(&c->outcome.files, &c->direct), path);
    unlink(path);
    assert_string_equal(file_watch_changed(&c->outcome.files, &c->direct), path);
    close(fd);
    plan_free(p);
}

static void tls_contexts_are_kept_while_files_are_the_same(void **state)
{
    struct scene     *c = *state;
    static const char text[] = "listeners: { web: { address: \"127.0.0.1:0\", tls: { self_signed: "
                               "true } } }\n"
                               "routes: [ { match: { path: / }, respond: { body: x } } ]\n";
    static const char modern[] =
        "listeners: { web: { address: \"127.0.0.1:0\", tls: { self_signed: true, profile: modern } "
        "} }\n"
        "routes: [ { match: { path: / }, respond: { body: x } } ]\n";
    struct plan *one = build(c, text), *two = build(c, text), *three = build(c, modern);
    assert_non_null(one->listeners[0].tls);
    assert_ptr_equal(one->listeners[0].tls, two->listeners[0].tls);
    assert_ptr_not_equal(one->listeners[0].tls, three->listeners[0].tls);
    plan_free(one);
    plan_free(two);
    plan_free(three);
}

static void override_start(struct exchange *x, const void *config)
{
    (void)x;
    (void)config;
}

static void a_route_may_be_answered_by_something_else(void **state)
{
    struct scene                       *c = *state;
    static const struct origin_ops      ops = { .name = "other", .start = override_start };
    static const struct origin_override other[] = { { "c", &ops, "config" } };
    c->maker.overrides = other;
    c->maker.override_count = 1;
    struct plan *p = build(c, base_text);
    assert_ptr_equal(p->routes[2].origin, &ops);
    assert_string_equal(p->routes[2].origin_config, "config");
    assert_ptr_equal(p->routes[3].origin, &origin_redirect);
    plan_free(p);
}

#define SCENE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(routes_have_their_parts),
        SCENE(a_reload_keeps_what_did_not_change),
        SCENE(a_changed_limit_is_a_new_one),
        SCENE(every_fault_is_told_at_its_place),
        SCENE(files_that_were_read_are_watched),
        SCENE(tls_contexts_are_kept_while_files_are_the_same),
        SCENE(a_route_may_be_answered_by_something_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
