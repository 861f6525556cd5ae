/* SPDX-License-Identifier: Apache-2.0
 *
 * Path normalisation and authorities.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"
#include "http/uri.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct path_case {
    const char *raw;
    const char *path;   /* or NULL */
    const char *reason; /* why it is refused, or NULL */
};

static const struct uri_rules strict = { .merges_slashes = true };
static const struct uri_rules keeps_slashes = { 0 };
static const struct uri_rules lenient = { .allows_encoded_slash = true, .merges_slashes = true };

static void expect_paths(const struct path_case *cases, size_t count, const struct uri_rules *rules)
{
    for (size_t i = 0; i < count; i++) {
        const struct path_case *c = &cases[i];
        struct arena            a;
        struct slice            path;
        arena_init(&a, NULL);
        size_t len = strlen(c->raw);
        char  *raw = mem_alloc(len + !len);
        memcpy(raw, c->raw, len);
        const char *reason = uri_path(slice_make(raw, len), rules, &a, &path);
        if (!!reason != !!c->reason || (reason && strcmp(reason, c->reason) != 0))
            fail_msg("%s: %s, not %s", c->raw, reason, c->reason);
        if (!reason && !slice_eq(path, slice_of(c->path)))
            fail_msg("%s: %.*s, not %s", c->raw, SLICE_ARG(path), c->path);
        /* What is normal already is not copied, and normal forms are stable. */
        if (!reason && strcmp(c->raw, c->path) == 0 && !strstr(c->raw, "/."))
            assert_true(path.data == raw || strchr(c->raw, '%'));
        if (!reason) {
            struct slice again;
            assert_null(uri_path(path, rules, &a, &again));
            assert_true(slice_eq(path, again));
        }
        arena_reset(&a);
        free(raw);
    }
}

static void normal_forms(void **state)
{
    (void)state;
    static const struct path_case cases[] = {
        { "/", "/", NULL },
        { "/a", "/a", NULL },
        { "/a/b/", "/a/b/", NULL },
        { "/a.b/..c/d../...", "/a.b/..c/d../...", NULL },
        { "/.well-known/x", "/.well-known/x", NULL },
        { "/-._~!$&'()*+,;=:@", "/-._~!$&'()*+,;=:@", NULL },
        { "/a;b=c/d;e", "/a;b=c/d;e", NULL },
        { "/.", "/", NULL },
        { "/./", "/", NULL },
        { "/a/.", "/a/", NULL },
        { "/a/./b", "/a/b", NULL },
        { "/a/..", "/", NULL },
        { "/a/../", "/", NULL },
        { "/a/b/..", "/a/", NULL },
        { "/a/b/../../c", "/c", NULL },
        { "/a/b/../c/./d/", "/a/c/d/", NULL },
        { "/a/%2e/b", "/a/b", NULL },
        { "/a/%2E%2e/b", "/b", NULL },
        { "/a/.%2e/b", "/b", NULL },
        { "//", "/", NULL },
        { "//a", "/a", NULL },
        { "/a//b///c//", "/a/b/c/", NULL },
        { "/a//../b", "/b", NULL },
        { "/%61%7E%2d%5f", "/a~-_", NULL },
        { "/%c3%a9", "/%C3%A9", NULL },
        { "/a%20b%3f%23%25", "/a%20b%3F%23%25", NULL },
        { "/a%252e%252e/b", "/a%252e%252e/b", NULL },
        { "/a%0d%0ab", "/a%0D%0Ab", NULL },
        { "/\"<>^`{|}", "/%22%3C%3E%5E%60%7B%7C%7D", NULL },
        { "/a%3bb", "/a%3Bb", NULL },
        { "/..", NULL, "path_above_root" },
        { "/../", NULL, "path_above_root" },
        { "/./..", NULL, "path_above_root" },
        { "/a/../..", NULL, "path_above_root" },
        { "//..", NULL, "path_above_root" },
        { "/%2e%2e", NULL, "path_above_root" },
        { "/a/b/../../../c", NULL, "path_above_root" },
        { "", NULL, "bad_target" },
        { "a", NULL, "bad_target" },
        { "*", NULL, "bad_target" },
        { "/a#b", NULL, "bad_target" },
        { "/%00", NULL, "encoded_nul" },
        { "/a%00.html", NULL, "encoded_nul" },
        { "/%2f", NULL, "encoded_slash" },
        { "/a%2Fb", NULL, "encoded_slash" },
        { "/a%5cb", NULL, "encoded_slash" },
        { "/..%2f", NULL, "encoded_slash" },
        { "/\\", NULL, "backslash_in_path" },
        { "/a\\..\\b", NULL, "backslash_in_path" },
        { "/..;/a", NULL, "dot_segment_parameter" },
        { "/a/..;x=y/b", NULL, "dot_segment_parameter" },
        { "/a/.;/b", NULL, "dot_segment_parameter" },
        { "/a/..;", NULL, "dot_segment_parameter" },
        { "/a/%2e%2e;/b", NULL, "dot_segment_parameter" },
        { "/a/..%3b/b", NULL, "dot_segment_parameter" },
        { "/a/...;/b", "/a/...;/b", NULL },
        { "/%", NULL, "bad_percent_encoding" },
        { "/%2", NULL, "bad_percent_encoding" },
        { "/%g0", NULL, "bad_percent_encoding" },
        { "/%0g", NULL, "bad_percent_encoding" },
        { "/%%20", NULL, "bad_percent_encoding" },
        { "/%u002f", NULL, "bad_percent_encoding" },
        { "/% 20", NULL, "bad_percent_encoding" },
    };
    expect_paths(cases, COUNT(cases), &strict);
}

static void slashes_may_be_kept(void **state)
{
    (void)state;
    static const struct path_case cases[] = {
        { "//", "//", NULL },         { "/a//b", "/a//b", NULL },
        { "/a//../b", "/a/b", NULL }, { "/a/.//b", "/a//b", NULL },
        { "//../a", "/a", NULL },     { "//../../a", NULL, "path_above_root" },
    };
    expect_paths(cases, COUNT(cases), &keeps_slashes);
}

static void encoded_slashes_may_be_allowed(void **state)
{
    (void)state;
    static const struct path_case cases[] = {
        { "/a%2fb", "/a%2Fb", NULL },
        { "/a%5cb\\c", "/a%5Cb%5Cc", NULL },
        { "/a/..;/b", "/a/..;/b", NULL },
        { "/a%2f../b", NULL, "encoded_dot_segment" },
        { "/..%2fb", NULL, "encoded_dot_segment" },
        { "/a%2f.%2fb", NULL, "encoded_dot_segment" },
        { "/a\\..\\b", NULL, "encoded_dot_segment" },
        { "/a%2f..;x/b", NULL, "encoded_dot_segment" },
        { "/a%2f%2e%2e", NULL, "encoded_dot_segment" },
        { "/a%2f/../b", "/b", NULL },
        { "/a%2fb..", "/a%2Fb..", NULL },
        { "/%00", NULL, "encoded_nul" },
    };
    expect_paths(cases, COUNT(cases), &lenient);
}

struct authority_case {
    const char *text;
    const char *clean; /* NULL: refused */
    const char *host;
    unsigned    port;
};

static void authorities(void **state)
{
    (void)state;
    static const struct authority_case cases[] = {
        { "a", "a", "a", 0 },
        { "example.com", "example.com", "example.com", 0 },
        { "example.com:8080", "example.com:8080", "example.com", 8080 },
        { "example.com:", "example.com", "example.com", 0 },
        { "example.com.", "example.com.", "example.com.", 0 },
        { "127.0.0.1:65535", "127.0.0.1:65535", "127.0.0.1", 65535 },
        { "[::1]", "[::1]", "[::1]", 0 },
        { "[::1]:80", "[::1]:80", "[::1]", 80 },
        { "[2001:DB8::192.0.2.1]:", "[2001:DB8::192.0.2.1]", "[2001:DB8::192.0.2.1]", 0 },
        { "a_b-c~d!$&'()*+,;=", "a_b-c~d!$&'()*+,;=", "a_b-c~d!$&'()*+,;=", 0 },
        { "a:00080", "a:00080", "a", 80 },
        { "", NULL, NULL, 0 },
        { ":80", NULL, NULL, 0 },
        { "a:0", NULL, NULL, 0 },
        { "a:65536", NULL, NULL, 0 },
        { "a:99999999999999999999", NULL, NULL, 0 },
        { "a:8a", NULL, NULL, 0 },
        { "a:-1", NULL, NULL, 0 },
        { "a: 80", NULL, NULL, 0 },
        { "a:80 ", NULL, NULL, 0 },
        { "a b", NULL, NULL, 0 },
        { "a/b", NULL, NULL, 0 },
        { "a?b", NULL, NULL, 0 },
        { "a#b", NULL, NULL, 0 },
        { "a@b", NULL, NULL, 0 },
        { "a\\b", NULL, NULL, 0 },
        { "a%41", NULL, NULL, 0 },
        { "a\"b", NULL, NULL, 0 },
        { "\xc3\xa9", NULL, NULL, 0 },
        { "::1", NULL, NULL, 0 },
        { "[]", NULL, NULL, 0 },
        { "[::1", NULL, NULL, 0 },
        { "[::1]a", NULL, NULL, 0 },
        { "[::1]:a", NULL, NULL, 0 },
        { "[127.0.0.1]", NULL, NULL, 0 },
        { "[fe80::1%25lo]", NULL, NULL, 0 },
        { "[fe80::1%lo]", NULL, NULL, 0 },
        { "[v1.a]", NULL, NULL, 0 },
        { "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]", NULL, NULL, 0 },
        { "a[::1]", NULL, NULL, 0 },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct authority_case *c = &cases[i];
        size_t                       len = strlen(c->text);
        char                        *text = mem_alloc(len + !len);
        memcpy(text, c->text, len);
        struct uri_authority got;
        bool                 is_good = uri_authority(slice_make(text, len), &got);
        if (is_good != (c->clean != NULL)) fail_msg("%s: %d", c->text, is_good);
        if (is_good) {
            assert_true(slice_eq(got.text, slice_of(c->clean)));
            assert_true(slice_eq(got.host, slice_of(c->host)));
            assert_int_equal(got.port, c->port);
        }
        free(text);
    }
}

static void long_hosts_are_refused(void **state)
{
    (void)state;
    char host[257];
    memset(host, 'a', sizeof(host));
    struct uri_authority got;
    assert_true(uri_authority(slice_make(host, 255), &got));
    assert_false(uri_authority(slice_make(host, 256), &got));
}

static void authorities_compare(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool        is_same;
    } cases[] = {
        { "a", "A", true },         { "a:80", "a", true },         { "a", "a:80", true },
        { "a:81", "a", false },     { "a:81", "a:81", true },      { "a", "b", false },
        { "[::1]", "[::1]", true }, { "[::1]:80", "[::1]", true }, { "a", "a.", false },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct uri_authority a, b;
        assert_true(uri_authority(slice_of(cases[i].a), &a));
        assert_true(uri_authority(slice_of(cases[i].b), &b));
        assert_int_equal(uri_authority_is_same(&a, &b, 80), cases[i].is_same);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normal_forms),
        cmocka_unit_test(slashes_may_be_kept),
        cmocka_unit_test(encoded_slashes_may_be_allowed),
        cmocka_unit_test(authorities),
        cmocka_unit_test(long_hosts_are_refused),
        cmocka_unit_test(authorities_compare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
