/* SPDX-License-Identifier: Apache-2.0
 *
 * Where requests are sent on to. What a client sends is put through every kind of target: none
 * leads to a place that the configuration does not name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/target.h"

struct bench {
    struct arena           arena;
    struct pattern_matcher m;
    struct target          t;
    const pcre2_code      *code;
    struct error           e;
};

static void set_up(struct bench *b, const char *pattern, const char *to)
{
    arena_init(&b->arena, NULL);
    pattern_matcher_init(&b->m);
    b->code = pattern ? pattern_compile(slice_of(pattern), false, &b->arena, &b->e) : NULL;
    if (!target_parse(&b->t, slice_of(to), b->code, false, &b->arena, &b->e))
        fail_msg("%s: %s", to, b->e.text);
}

static void tear_down(struct bench *b)
{
    pattern_matcher_reset(&b->m);
    arena_reset(&b->arena);
}

/* As a codec and a redirect do it; NULL: refused somewhere, else the location. */
static const char *location(struct bench *b, const char *target, bool allows_encoded_slash)
{
    struct slice      all = slice_of(target), path, got;
    size_t            mark = slice_find(all, '?');
    struct target_ask ask = { .rules = { allows_encoded_slash, true }, .host = S("own.example") };
    if (uri_path(slice_make(target, mark), &ask.rules, &b->arena, &path)) return NULL;
    ask.path = path;
    ask.query = mark < all.len ? slice_from(all, mark + 1) : S("");
    if (b->code && !pattern_matches(b->code, path, &b->m)) return NULL;
    if (b->code) pattern_captures(b->code, &b->m, path, ask.captures);
    if (target_location(&b->t, &ask, &b->arena, &got)) return NULL;
    return arena_copy(&b->arena, got).data;
}

struct example {
    const char *pattern, *to, *target, *location;
};

static void parts_of_the_request_go_in(void **state)
{
    static const struct example examples[] = {
        { NULL, "https://x.org${path}?${query}", "/a/b?c=d", "https://x.org/a/b?c=d" },
        { NULL, "https://x.org${path}?${query}", "/a/b", "https://x.org/a/b" },
        { NULL, "https://x.org:8443/${path}", "/a", "https://x.org:8443/a" },
        { NULL, "https://${host}:8443${path}", "/a", "https://own.example:8443/a" },
        { NULL, "http://${host}", "/a", "http://own.example/" },
        { NULL, "https://x.org/${host}${path}", "/a", "https://x.org/own.example/a" },
        { NULL, "/b${path}?x=1&${query}", "/a", "/b/a?x=1" },
        { NULL, "/b${path}?${query}&x=1", "/a", "/b/a?x=1" },
        { NULL, "/b?was=${path}", "/a&b=c/+d", "/b?was=/a%26b%3Dc/%2Bd" },
        { NULL, "/b?was=${path}#end", "/a%20b", "/b?was=/a%20b#end" },
        { NULL, "/$$1${path}", "/a", "/$1/a" },
        { NULL, "/$x${path}", "/a", "/$x/a" },
        { "^/(\\d+)/(.*)$", "/$2/$1", "/7/a/b", "/a/b/7" },
        { "^/(?<what>.*)$", "/x/${match:what}", "/a", "/x/a" },
        { "^(/a)(b)?", "$1/$2/c", "/ax", "/a/c" },
        { NULL, "https://[::1]:81${path}", "/a", "https://[::1]:81/a" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        struct bench b;
        set_up(&b, examples[i].pattern, examples[i].to);
        const char *got = location(&b, examples[i].target, false);
        if (!got) fail_msg("%s is refused", examples[i].target);
        assert_string_equal(got, examples[i].location);
        tear_down(&b);
    }
}

static const char *const tricks[] = {
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "/\\/evil.example",
    "/%5cevil.example",
    "/%2fevil.example",
    "/%2f%2fevil.example",
    "/%252f%252fevil.example",
    "/.//evil.example",
    "/x/..//evil.example",
    "/%2e%2e//evil.example",
    "/%09/evil.example",
    "/\t/evil.example",
    "/%0d%0aLocation:%20https://evil.example",
    "/@evil.example",
    "/.evil.example",
    "/:443@evil.example/",
    "/https://evil.example",
    "/http:evil.example",
    "/;@evil.example",
    "/%40evil.example",
    "/%00//evil.example",
    "/\xe2\x88\x95\xe2\x88\x95"
    "evil.example", /* U+2215, a slash to the eye */
    "/\xef\xbc\x8f\xef\xbc\x8f"
    "evil.example", /* U+FF0F, a slash to some when it is folded */
    "/\xe3\x80\x82"
    "evil.example", /* U+3002, a dot to IDNA */
    "/..;/evil.example",
    "/?//evil.example",
    "/?@evil.example",
    "/#@evil.example",
    "/%23@evil.example",
    "/%",
    "/%2",
    "/%u002f%u002fevil.example",
};

static const struct {
    const char *pattern, *to;
} targets[] = {
    { NULL, "${path}" },
    { NULL, "${path}?${query}" },
    { NULL, "/${path}" },
    { NULL, "/x/../${path}" },
    { NULL, "https://x.org${path}" },
    { NULL, "https://x.org/${path}" },
    { NULL, "https://${host}${path}?${query}" },
    { "^/(.*)$", "/$1" },
    { "^/(.*)$", "//$1" },
    { "^/(.*)$", "https://x.org/$1" },
    { "^/(.*)$", "https://x.org$1" },
    { "^/(.*)$", "https://${host}$1" },
    { "^(.)(.*)$", "$1$2" },
    { "^.(.*)$", "$1" },
    { "^/%(..)(.*)$", "/%$1$2" },
    { "^/%25(..)%25(..)(.*)$", "/%$1%$2$3" }, /* decodes once more */
    { "^/%(.)(.)(.*)$", "/%$1$2%$1$2$3" },
};

/* A browser's reading: scheme and authority as configured, or one "/" and no other slash. */
static bool is_home(const struct target *t, const char *got)
{
    static const char *const homes[] = { "https://x.org/", "https://own.example/", "/" };
    for (const char *p = got; *p; p++)
        if (*p <= ' ' || *p >= 0x7f || *p == '\\') return false;
    for (size_t i = 0; i < 3; i++) {
        size_t len = strlen(homes[i]);
        bool   is_local = len == 1;
        if (strncmp(got, homes[i], len) != 0 || is_local == (t->origin.len > 0)) continue;
        return got[len] != '/';
    }
    return false;
}

static void no_trick_leads_elsewhere(void **state)
{
    unsigned answered = 0;
    (void)state;
    for (size_t t = 0; t < sizeof(targets) / sizeof(targets[0]); t++) {
        struct bench b;
        set_up(&b, targets[t].pattern, targets[t].to);
        for (size_t i = 0; i < sizeof(tricks) / sizeof(tricks[0]); i++) {
            for (int allows = 0; allows < 2; allows++) {
                const char *got = location(&b, tricks[i], allows);
                if (got && !is_home(&b.t, got))
                    fail_msg("%s with %s: %s", targets[t].to, tricks[i], got);
                answered += got != NULL;
            }
        }
        tear_down(&b);
    }
    assert_true(answered > 300); /* most of them are answered, and stay at home */
}

/* What a path could not have been is not put together from parts either. */
static void nothing_forbidden_is_put_together(void **state)
{
    static const struct example examples[] = {
        { "^/%25(..)$", "/%$1", "/%252f", NULL },
        { "^/%25(..)$", "/%$1", "/%255c", NULL },
        { "^/%25(..)$", "/%$1", "/%2500", NULL },
        { "^/%25(..)$", "/%$1", "/%250d", NULL },
        { "^/%25(..)$", "/%$1", "/%250A", NULL },
        { "^/%25(..)$", "/%$1", "/%2541", "/A" },
        { "^/%25(..)$", "/x/%$1%$1/y", "/%252e", "/y" },
        { "^/%25(..)$", "/%$1%$1/y", "/%252e", NULL }, /* above the root */
        { "^/(.*)-(.*)$", "/%2$1", "/f-", NULL },
        { "^/(.*)-(.*)$", "/a/$1./x", "/.-", "/x" },
        { "^/(.*)$", "/a/%$1", "/x", NULL },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        struct bench b;
        set_up(&b, examples[i].pattern, examples[i].to);
        const char *got = location(&b, examples[i].target, false);
        const char *expected = examples[i].location;
        if (!got != !expected || (got && strcmp(got, expected) != 0))
            fail_msg("%s by %s: %s", examples[i].target, examples[i].to, got ? got : "refused");
        tear_down(&b);
    }
}

static void what_is_too_long_is_refused(void **state)
{
    char         path[5000];
    struct bench b;
    (void)state;
    memset(path, 'a', sizeof(path));
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    set_up(&b, NULL, "${path}${path}${path}${path}${path}${path}${path}${path}${path}${path}");
    assert_non_null(location(&b, path, false));
    tear_down(&b);
    set_up(&b, NULL,
           "${path}${path}${path}${path}${path}${path}${path}${path}${path}${path}"
           "${path}${path}${path}${path}${path}${path}${path}${path}${path}${path}");
    assert_null(location(&b, path, false));
    tear_down(&b);
}

static void what_names_no_place_is_no_target(void **state)
{
    static const struct {
        const char *pattern, *to, *why;
    } faults[] = {
        { NULL, "https://x${host}/", "its path begins with `/`" },
        { NULL, "https://${host}.evil.example/", "after `${host}` comes a port or a path" },
        { NULL, "https://${host}x", "after `${host}` comes a port or a path" },
        { NULL, "https://${host}:x/", "after `${host}` comes a port or a path" },
        { NULL, "https://user@x.org/", "the host is none" },
        { NULL, "https://x.org\\a", "after the host comes a path" },
        { NULL, "https://$1/", "the host is none" },
        { NULL, "https://${path}/", "the host is none" },
        { NULL, "https:///x", "the host is none" },
        { NULL, "x.org${path}", "its path begins with `/`" },
        { NULL, "${host}${path}", "its path begins with `/`" },
        { NULL, "/$1", "`$1` needs a pattern in `match`" },
        { "^/(a)$", "/$2", "the pattern of `match` has no group for `$2`" },
        { "^/(a)$", "/${match:b}", "the pattern of `match` has no group for `${match:b}`" },
        { NULL, "/${query}", "`${query}` stands after a `?`" },
        { NULL, "/${path", "`${` without its `}`" },
        { NULL, "/x#${path}", "what follows a `#` is fixed text" },
        { NULL, "/${user}",
          "`${user}`: there are `${path}`, `${query}`, `${host}` and `${match:NAME}`" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        struct arena  a;
        struct target t;
        struct error  e = { "" };
        arena_init(&a, NULL);
        const pcre2_code *code =
            faults[i].pattern ? pattern_compile(slice_of(faults[i].pattern), false, &a, &e) : NULL;
        if (target_parse(&t, slice_of(faults[i].to), code, false, &a, &e))
            fail_msg("%s is a target", faults[i].to);
        assert_string_equal(e.text, faults[i].why);
        arena_reset(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_of_the_request_go_in),
        cmocka_unit_test(no_trick_leads_elsewhere),
        cmocka_unit_test(nothing_forbidden_is_put_together),
        cmocka_unit_test(what_is_too_long_is_refused),
        cmocka_unit_test(what_names_no_place_is_no_target),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
