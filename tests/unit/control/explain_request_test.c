/* SPDX-License-Identifier: Apache-2.0
 *
 * A question about a request: what it says, and what is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/explain_parts.h"

static const struct http_limits limits = { .merges_slashes = true };

static bool read(const char *query, struct explain_request *r, struct arena *a)
{
    struct error e = { "" };
    arena_init(a, NULL);
    *r = (struct explain_request){ .arena = a };
    bool is_good =
        explain_read(slice_of(query), r, &e) && (!r->url.len || explain_read_url(r, &limits, &e));
    if (!is_good && !e.text[0]) fail_msg("%s is refused without a reason", query);
    return is_good;
}

static void urls(void **state)
{
    static const struct {
        const char *query, *scheme, *host, *path, *request_query;
        unsigned    port;
    } cases[] = {
        { "url=http://h/a?b=c", "http", "h", "/a", "b=c", 0 },
        { "url=https%3A%2F%2Fh%3A8443", "https", "h", "/", "", 8443 },
        { "url=HTTP://h?x", "http", "h", "/", "x", 0 },
        { "url=h/a//b/../c%23d", "", "h", "/a/c", "", 0 },
        { "url=h/%253F", "", "h", "/%3F", "", 0 },
        { "url=[::1]:80/", "", "[::1]", "/", "", 80 },
        { "url=h:8080/&header=Host: other", "", "other", "/", "", 8080 },
        { "url=h/?u=http://x/", "", "h", "/", "u=http://x/", 0 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct explain_request r;
        struct arena           a;
        if (!read(cases[i].query, &r, &a)) fail_msg("%s is refused", cases[i].query);
        assert_true(slice_eq(r.scheme, slice_of(cases[i].scheme)));
        assert_true(slice_eq(r.authority.host, slice_of(cases[i].host)));
        assert_true(slice_eq(r.head.path, slice_of(cases[i].path)));
        assert_true(slice_eq(r.head.query, slice_of(cases[i].request_query)));
        assert_int_equal(r.port, cases[i].port);
        assert_int_equal(r.head.method, HTTP_GET);
        arena_reset(&a);
    }
}

static void what_else_is_said(void **state)
{
    struct explain_request r;
    struct arena           a;
    (void)state;
    assert_true(read("url=h/&method=PURGE&client=::1&header=X-A:%20b&header=Upgrade: websocket"
                     "&header=Connection: close",
                     &r, &a));
    assert_int_equal(r.head.method, HTTP_METHOD_OTHER);
    assert_true(slice_eq(r.head.method_name, S("PURGE")));
    assert_true(slice_eq(r.client, S("::1")));
    assert_int_equal(r.head.fields.count, 1);
    assert_true(slice_eq(http_fields_find_named(&r.head.fields, S("x-a"))->value, S("b")));
    assert_true(slice_eq(r.head.upgrade, S("websocket")));
    arena_reset(&a);
    assert_true(read("container=web-1", &r, &a));
    assert_true(slice_eq(r.container, S("web-1")));
    arena_reset(&a);
}

static void refused(void **state)
{
    static const char *const queries[] = {
        "",
        "url=",
        "url=h/&container=x",
        "url=h/&colour=red",
        "url=ftp://h/",
        "url=http://",
        "url=/x",
        "url=u@h/",
        "url=h:99999/",
        "url=h/%20",
        "url=h/%00",
        "url=h/%25zz",
        "url=h/&method=G ET",
        "url=h/&header=x",
        "url=h/&header=:x",
        "url=h/&header=a: %0a",
        "url=h/&header=Host: a/b",
        "url=h/&client=name",
        "url=h/&client=10.0.0.0/8",
        "url=h/&client=unix",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
        struct explain_request r;
        struct arena           a;
        if (read(queries[i], &r, &a)) fail_msg("%s is taken", queries[i]);
        arena_reset(&a);
    }
}

static void headers_are_bounded(void **state)
{
    struct buffer          query = BUFFER_INIT;
    struct explain_request r;
    struct arena           a;
    (void)state;
    buffer_puts(&query, "url=h/");
    for (unsigned i = 0; i < EXPLAIN_HEADER_MAX; i++) buffer_puts(&query, "&header=a: b");
    assert_true(read(query.data, &r, &a));
    arena_reset(&a);
    buffer_puts(&query, "&header=a: b");
    assert_false(read(query.data, &r, &a));
    arena_reset(&a);
    buffer_reset(&query);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls),
        cmocka_unit_test(what_else_is_said),
        cmocka_unit_test(refused),
        cmocka_unit_test(headers_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
