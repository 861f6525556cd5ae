/* SPDX-License-Identifier: Apache-2.0
 *
 * Rewriting and canonical URLs as filters: what the server sees, where clients are sent to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../origin/fake_exchange.h"
#include "filter/canonical.h"
#include "filter/rewrite.h"
#include "http/pattern.h"

struct example {
    const char *path, *query, *new_path, *new_query, *prefix; /* new_path NULL: refused */
};

static void set_up(struct exchange *x, const char *path, const char *query)
{
    fake_exchange_init(x, path);
    x->matcher = test_malloc(sizeof(*x->matcher));
    pattern_matcher_init(x->matcher);
    if (query) x->request.query = slice_of(query);
    x->request.has_query = query != NULL;
}

static void tear_down(struct exchange *x)
{
    pattern_matcher_reset(x->matcher);
    test_free(x->matcher);
    fake_exchange_reset(x);
}

static void expect(const struct rewrite_settings *s, const struct example *e)
{
    struct exchange  x;
    struct error     error;
    struct uri_rules rules = { .merges_slashes = true };
    void            *state = NULL;
    set_up(&x, e->path, e->query);
    const struct rewrite *r = rewrite_build(s, &rules, &x.arena, &error);
    if (!r) fail_msg("%s", error.text);
    enum filter_result got = filter_rewrite.on_request(&x, r, &state);
    if (!e->new_path) {
        assert_int_equal(got, FILTER_REPLY);
        assert_int_equal(x.status, 400);
        assert_string_equal(x.reason, "rewrite_refused");
        assert_true(slice_eq(x.request.path, slice_of(e->path))); /* it is not half done */
    } else {
        assert_int_equal(got, FILTER_CONTINUE);
        if (!slice_eq(x.request.path, slice_of(e->new_path)))
            fail_msg("%s: %.*s", e->path, SLICE_ARG(x.request.path));
        assert_int_equal(x.request.has_query, e->new_query != NULL);
        assert_true(slice_eq(x.request.query, slice_of(e->new_query)));
        assert_true(slice_eq(x.prefix, slice_of(e->prefix)));
    }
    tear_down(&x);
}

static void expect_all(const struct rewrite_settings *s, const struct example *examples,
                       size_t count)
{
    for (size_t i = 0; i < count; i++) expect(s, &examples[i]);
}

static void a_prefix_goes_by_whole_segments(void **state)
{
    static const struct rewrite_settings s = { .strip_prefix = SLICE("/api/") };
    static const struct example          examples[] = {
                 { "/api", NULL, "/", NULL, "/api" },      { "/api/", NULL, "/", NULL, "/api" },
                 { "/api/x", "q=1", "/x", "q=1", "/api" }, { "/api/x", "", "/x", "", "/api" },
                 { "/apix", NULL, "/apix", NULL, NULL },   { "/x/api", NULL, "/x/api", NULL, NULL },
                 { "*", NULL, "*", NULL, NULL },
    };
    (void)state;
    expect_all(&s, examples, sizeof(examples) / sizeof(examples[0]));
}

static void a_prefix_comes_in_front(void **state)
{
    static const struct rewrite_settings s = { .add_prefix = SLICE("/v2/") };
    static const struct example          examples[] = {
                 { "/", NULL, "/v2/", NULL, NULL },
                 { "/x", "", "/v2/x", "", NULL },
                 { "*", NULL, "*", NULL, NULL },
    };
    (void)state;
    expect_all(&s, examples, sizeof(examples) / sizeof(examples[0]));
}

static void the_first_rule_that_matches_is_taken(void **state)
{
    struct rewrite_rule_settings rules[] = {
        { S("^/user-(\\d+)$"), S("/users?id=$1&${query}") },
        { S("^/user-(?<name>.*)$"), S("/users/${match:name}") },
        { S("^/gone"), S("/lost?") },
        { S("^/all"), S("${path}/more?${query}") },
    };
    static const struct example examples[] = {
        { "/a/user-7", "b=c", "/v2/users", "id=7&b=c", "/a" },
        { "/a/user-7", NULL, "/v2/users", "id=7", "/a" },
        { "/a/user-eve", "b=c", "/v2/users/eve", "b=c", "/a" },
        { "/gone", "b=c", "/v2/lost", NULL, NULL },
        { "/all", "b=c&", "/v2/all/more", "b=c&", NULL },
        { "/other", "b", "/v2/other", "b", NULL },
    };
    struct rewrite_settings s = {
        .strip_prefix = S("/a"), .add_prefix = S("/v2"), .paths = rules, .path_count = 4
    };
    (void)state;
    expect_all(&s, examples, sizeof(examples) / sizeof(examples[0]));
}

static void what_has_no_normal_form_is_refused(void **state)
{
    struct rewrite_rule_settings rule = { S("^/25(.*)$"), S("/%$1") };
    static const struct example  examples[] = {
         { "/252f", NULL, NULL, NULL, NULL },  { "/255C", NULL, NULL, NULL, NULL },
         { "/2500", NULL, NULL, NULL, NULL },  { "/250a", NULL, NULL, NULL, NULL },
         { "/250Dx", NULL, NULL, NULL, NULL }, { "/252e%2E", NULL, NULL, NULL, NULL },
         { "/25", NULL, NULL, NULL, NULL },    { "/2541", NULL, "/A", NULL, NULL },
    };
    struct rewrite_settings s = { .paths = &rule, .path_count = 1 };
    (void)state;
    expect_all(&s, examples, sizeof(examples) / sizeof(examples[0]));
}

static void an_origin_is_no_place_to_rewrite_to(void **state)
{
    struct rewrite_rule_settings rule = { S("^/a"), S("https://x.org/") };
    struct rewrite_settings      s = { .paths = &rule, .path_count = 1 };
    struct uri_rules             rules = { 0 };
    struct arena                 a;
    struct error                 e;
    (void)state;
    arena_init(&a, NULL);
    assert_null(rewrite_build(&s, &rules, &a, &e));
    assert_string_equal(e.text, "`to: https://x.org/`: it is a path and, after a `?`, a query");
    arena_reset(&a);
}

/* ---- canonical ---- */

static void expect_location(struct canonical c, const char *authority, const char *path,
                            const char *query, const char *location)
{
    struct exchange x;
    void           *state = NULL;
    set_up(&x, path, query);
    c.rules.merges_slashes = true;
    x.request.authority = slice_of(authority);
    x.host = slice_make(authority, slice_find(x.request.authority, ':'));
    enum filter_result got = filter_canonical.on_request(&x, &c, &state);
    assert_int_equal(got, location ? FILTER_REPLY : FILTER_CONTINUE);
    assert_int_equal(x.status, location ? 308 : 0);
    if (!slice_eq(fake_exchange_field(&x, "Location"), slice_of(location ? location : "")))
        fail_msg("%s%s: %.*s", authority, path, SLICE_ARG(fake_exchange_field(&x, "Location")));
    tear_down(&x);
}

static void other_hosts_go_to_the_one(void **state)
{
    struct canonical c = { .host = S("a.org") };
    (void)state;
    expect_location(c, "a.org", "/x", NULL, NULL);
    expect_location(c, "a.org:8080", "/x", NULL, NULL);
    expect_location(c, "www.a.org", "/x", "y=z", "http://a.org/x?y=z");
    expect_location(c, "www.a.org:8080", "/", "", "http://a.org:8080/?");
    expect_location(c, "www.a.org:", "/", NULL, "http://a.org/");
    expect_location(c, "", "/", NULL, "http://a.org/");
    expect_location(c, "www.a.org", "*", NULL, NULL);
}

static void slashes_are_as_they_should_be(void **state)
{
    struct canonical add = { .slash = TRAILING_SLASH_ADD };
    struct canonical cut = { .slash = TRAILING_SLASH_REMOVE };
    (void)state;
    expect_location(add, "a.org", "/x", "y", "/x/?y");
    expect_location(add, "a.org", "/x/", "y", NULL);
    expect_location(add, "a.org", "/", NULL, NULL);
    expect_location(add, "a.org", "/x/y.css", NULL, NULL);
    expect_location(add, "a.org", "/x.d/y", NULL, "/x.d/y/");
    expect_location(cut, "a.org", "/x/", "y", "/x?y");
    expect_location(cut, "a.org", "/x", NULL, NULL);
    expect_location(cut, "a.org", "/", NULL, NULL);
    /* Whatever the path is: never two slashes in front. */
    expect_location(cut, "a.org", "//evil.org/", NULL, "/evil.org");
    expect_location(add, "a.org", "//evil", NULL, "/evil/");
}

static void both_are_one_step(void **state)
{
    struct canonical c = { .host = S("a.org"), .slash = TRAILING_SLASH_ADD };
    (void)state;
    expect_location(c, "b.org", "/x", "y", "http://a.org/x/?y");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prefix_goes_by_whole_segments),
        cmocka_unit_test(a_prefix_comes_in_front),
        cmocka_unit_test(the_first_rule_that_matches_is_taken),
        cmocka_unit_test(what_has_no_normal_form_is_refused),
        cmocka_unit_test(an_origin_is_no_place_to_rewrite_to),
        cmocka_unit_test(other_hosts_go_to_the_one),
        cmocka_unit_test(slashes_are_as_they_should_be),
        cmocka_unit_test(both_are_one_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
