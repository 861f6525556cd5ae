/* SPDX-License-Identifier: Apache-2.0
 *
 * What requests are told apart by, and URLs of Redis, as people and enemies write them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "conf/types.h"

static void keys_are_split(void **state)
{
    (void)state;
    static const struct {
        const char      *text;
        bool             is_good;
        enum setting_key kind;
        const char      *name;
    } rows[] = {
        { "client_ip", true, KEY_CLIENT_IP, "" },
        { "host", true, KEY_HOST, "" },
        { "path", true, KEY_PATH, "" },
        { "route", true, KEY_ROUTE, "" },
        { "client_cert", true, KEY_CLIENT_CERT, "" },
        { "header:X-Api-Key", true, KEY_HEADER, "X-Api-Key" },
        { "header:Host", true, KEY_HOST, "Host" },
        { "header:hosts", true, KEY_HEADER, "hosts" },
        { "cookie:sid", true, KEY_COOKIE, "sid" },
        { "query:a:b", true, KEY_QUERY, "a:b" },
        { "query:user name", true, KEY_QUERY, "user name" },
        { "", false, 0, "" },
        { "client_ip:", false, 0, "" },
        { "client_ip:x", false, 0, "" },
        { "header", false, 0, "" },
        { "header:", false, 0, "" },
        { "cookie:", false, 0, "" },
        { "query", false, 0, "" },
        { ":x", false, 0, "" },
        { "Path", false, 0, "" },
        { "path ", false, 0, "" },
        { "client", false, 0, "" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        enum setting_key kind = KEY_QUERY;
        struct slice     name;
        if (conf_split_key(slice_of(rows[i].text), &kind, &name) != rows[i].is_good)
            fail_msg("%s", rows[i].text);
        if (!rows[i].is_good) continue;
        assert_int_equal(kind, rows[i].kind);
        assert_true(slice_eq(name, slice_of(rows[i].name)));
    }
}

struct url_row {
    const char *text;
    const char *host, *username, *password;
    unsigned    port, database;
    bool        is_tls;
};

static void urls_that_are_good(void **state)
{
    (void)state;
    static const struct url_row rows[] = {
        { "redis://redis", "redis", "", "", 6379, 0, false },
        { "redis://redis/", "redis", "", "", 6379, 0, false },
        { "redis://redis:1", "redis", "", "", 1, 0, false },
        { "redis://redis:65535/15", "redis", "", "", 65535, 15, false },
        { "rediss://a.example/65535", "a.example", "", "", 6379, 65535, true },
        { "redis://192.0.2.1:7", "192.0.2.1", "", "", 7, 0, false },
        { "redis://[2001:db8::1]", "2001:db8::1", "", "", 6379, 0, false },
        { "redis://[::1]:7/1", "::1", "", "", 7, 1, false },
        { "redis://user@h", "h", "user", "", 6379, 0, false },
        { "redis://user:secret@h", "h", "user", "secret", 6379, 0, false },
        { "redis://:secret@h:7/2", "h", "", "secret", 7, 2, false },
        { "redis://:@h", "h", "", "", 6379, 0, false },
        { "redis://@h", "h", "", "", 6379, 0, false },
        { "redis://u:a:b@h", "h", "u", "a:b", 6379, 0, false },
        /* People do not encode what they paste; the last @ is the one that counts. */
        { "redis://u:p@ss@h", "h", "u", "p@ss", 6379, 0, false },
        { "redis://u%3Ax:p%40%2f%25@h", "h", "u:x", "p@/%", 6379, 0, false },
        { "redis://u:%20%FF@h", "h", "u", " \xff", 6379, 0, false },
        { "unix:///run/redis.sock", "/run/redis.sock", "", "", 0, 0, false },
        { "unix:///r", "/r", "", "", 0, 0, false },
    };
    struct arena a;
    arena_init(&a, NULL);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct conf_redis_url url;
        const char           *wrong = conf_parse_redis_url(slice_of(rows[i].text), &a, &url);
        if (wrong) fail_msg("%s: %s", rows[i].text, wrong);
        assert_true(slice_eq(url.host, slice_of(rows[i].host)));
        assert_true(slice_eq(url.username, slice_of(rows[i].username)));
        assert_true(slice_eq(url.password, slice_of(rows[i].password)));
        assert_int_equal(url.port, rows[i].port);
        assert_int_equal(url.database, rows[i].database);
        assert_int_equal(url.is_tls, rows[i].is_tls);
    }
    arena_reset(&a);
}

static void urls_that_are_not(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "redis",
        "redis:",
        "redis:/h",
        "redis://",
        "redis:///1",
        "REDIS://h",
        "http://h",
        " redis://h",
        "redis://h ",
        "redis://h:",
        "redis://h:0",
        "redis://h:65536",
        "redis://h:-1",
        "redis://h:+1",
        "redis://h:6379x",
        "redis://h:99999999999999999999",
        "redis://h/x",
        "redis://h/-1",
        "redis://h/1/2",
        "redis://h/65536",
        "redis://h/18446744073709551616",
        "redis://h?db=1",
        "redis://h#1",
        "redis://u:p@",
        "redis://u:p@:6379",
        "redis://a b",
        "redis://a_b!",
        "redis://[::1",
        "redis://[]",
        "redis://[]:1",
        "redis://[::1]x",
        "redis://[::1]]",
        "redis://::1",
        "redis://[h]",
        "redis://[1.2.3.4]",
        "redis://u:%@h",
        "redis://u:%4@h",
        "redis://u:%zz@h",
        "redis://%@h",
        "redis://u:p%2@h",
        "redis://u:p%00q@h",
        "redis://u%00:p@h",
        "redis://h%2e",
        "redis://u:p/q@h",
        "unix://",
        "unix:///",
        "unix://run/redis.sock",
        "unix:/run/redis.sock",
    };
    struct arena a;
    arena_init(&a, NULL);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct conf_redis_url url;
        if (!conf_parse_redis_url(slice_of(rows[i]), &a, &url)) fail_msg("%s is taken", rows[i]);
    }
    struct conf_redis_url url;
    struct slice          nul = S("redis://h\0.example"), hidden = S("unix:///a\0b");
    assert_non_null(conf_parse_redis_url(nul, &a, &url));
    assert_non_null(conf_parse_redis_url(hidden, &a, &url));
    arena_reset(&a);
}

/* The kernel has 108 bytes for it, the last of them for the NUL. */
static void a_sockets_path_fits(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, NULL);
    for (size_t len = 105; len < 110; len++) {
        char                  text[128];
        struct conf_redis_url url;
        snprintf(text, sizeof(text), "unix:///%0*d", (int)len - 1, 0);
        assert_int_equal(!conf_parse_redis_url(slice_of(text), &a, &url), len <= 107);
    }
    arena_reset(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_split),
        cmocka_unit_test(urls_that_are_good),
        cmocka_unit_test(urls_that_are_not),
        cmocka_unit_test(a_sockets_path_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
