/* SPDX-License-Identifier: Apache-2.0
 *
 * Values as people write them, and names that were mistyped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conf/nearest.h"
#include "conf/value.h"

struct number_case {
    const char *text;
    bool        is_good;
    uint64_t    value;
};

static void check_all(bool (*parse)(struct slice, uint64_t *), const struct number_case *cases)
{
    for (; cases->text; cases++) {
        uint64_t n = 0;
        bool     is_good = parse(slice_of(cases->text), &n);
        if (is_good != cases->is_good) fail_msg("%s: %d", cases->text, is_good);
        if (is_good && n != cases->value) fail_msg("%s: %lu", cases->text, (unsigned long)n);
    }
}

static void test_durations(void **state)
{
    (void)state;
    static const struct number_case cases[] = {
        { "250ms", true, 250 },
        { "5s", true, 5000 },
        { "1m", true, 60000 },
        { "2h", true, 7200000 },
        { "1d", true, 86400000 },
        { "0", true, 0 },
        { "0s", true, 0 },
        { "5", false, 0 },
        { "", false, 0 },
        { "s", false, 0 },
        { "5 s", false, 0 },
        { "-5s", false, 0 },
        { "1.5s", false, 0 },
        { "5sec", false, 0 },
        { "99999999999999999999s", false, 0 },
        { "300000000000d", false, 0 },
        { NULL, false, 0 },
    };
    check_all(value_duration, cases);
}

static void test_sizes(void **state)
{
    (void)state;
    static const struct number_case cases[] = {
        { "100", true, 100 },
        { "0", true, 0 },
        { "7B", true, 7 },
        { "16KiB", true, 16384 },
        { "50MiB", true, 52428800 },
        { "1GiB", true, 1 << 30 },
        { "1TiB", true, 1ull << 40 },
        { "1kB", true, 1000 },
        { "1KB", true, 1000 },
        { "1MB", true, 1000000 },
        { "2GB", true, 2000000000 },
        { "5M", false, 0 },
        { "5k", false, 0 },
        { "MiB", false, 0 },
        { "0x10", false, 0 },
        { "1 MB", false, 0 },
        { "99999999999TiB", false, 0 },
        { NULL, false, 0 },
    };
    check_all(value_size, cases);
}

static void test_rates(void **state)
{
    (void)state;
    uint64_t count, period;
    assert_true(value_rate(S("10/s"), &count, &period));
    assert_true(count == 10 && period == 1000);
    assert_true(value_rate(S("5/m"), &count, &period));
    assert_true(count == 5 && period == 60000);
    assert_true(value_rate(S("100/h"), &count, &period));
    assert_true(count == 100 && period == 3600000);
    static const char *const bad[] = { "10", "10/", "/s", "10/ms", "10r/s", "10/s ", "a/s", "1/x" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        if (value_rate(slice_of(bad[i]), &count, &period)) fail_msg("%s", bad[i]);
}

static void assert_text(struct buffer *b, const char *expected)
{
    assert_string_equal(b->data, expected);
    buffer_reset(b);
}

static void test_writing(void **state)
{
    (void)state;
    struct buffer b = BUFFER_INIT;
    value_put_duration(&b, 90000);
    assert_text(&b, "90s");
    value_put_duration(&b, 86400000);
    assert_text(&b, "1d");
    value_put_duration(&b, 0);
    assert_text(&b, "0");
    value_put_size(&b, 16384);
    assert_text(&b, "16KiB");
    value_put_size(&b, 1000);
    assert_text(&b, "1000");
    value_put_rate(&b, 5, 60000);
    assert_text(&b, "5/m");
}

static void test_networks(void **state)
{
    (void)state;
    static const char *const good[] = { "10.0.0.0/8", "::1/128",   "10.1.2.3", "unix",
                                        "fd00::/8",   "0.0.0.0/0", "::/0",     "::1" };
    static const char *const bad[] = { "10.0.0.1/8",  "10.0.0.0/33", "::1/129",   "fd00::1/8",
                                       "10.0.0/8",    "10.0.0.0/",   "localhost", "",
                                       "10.0.0.0/-1", "10.0.0.0/8 " };
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        if (value_cidr_fault(slice_of(good[i]))) fail_msg("%s", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        if (!value_cidr_fault(slice_of(bad[i]))) fail_msg("%s", bad[i]);
}

static void test_addresses(void **state)
{
    (void)state;
    static const char *const both[] = { "10.0.0.1:80", "[::1]:80", "unix:/run/a.sock", "unix:@a",
                                        "[fe80::1%eth0]:80" };
    static const char *const listen[] = { ":80", "*:80" };
    static const char *const server[] = { "app:8000", "app-1.internal:80", "my_app:1" };
    static const char *const bad[] = { "80",     "10.0.0.1", "10.0.0.1:0",  "10.0.0.1:65536",
                                       "::1:80", "[::1]",    "[::1]80",     "[10.0.0.1]:80",
                                       "unix:a", "unix:",    "a b:80",      "10.0.0.1:80x",
                                       "-a:80",  "a..b:80",  "http://a:80", "[::1%]:80" };
    for (size_t i = 0; i < 5; i++)
        if (value_address_fault(slice_of(both[i]), false) ||
            value_address_fault(slice_of(both[i]), true))
            fail_msg("%s", both[i]);
    for (size_t i = 0; i < 2; i++) {
        assert_null(value_address_fault(slice_of(listen[i]), false));
        assert_non_null(value_address_fault(slice_of(listen[i]), true));
    }
    for (size_t i = 0; i < 3; i++) {
        assert_null(value_address_fault(slice_of(server[i]), true));
        assert_non_null(value_address_fault(slice_of(server[i]), false));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        if (!value_address_fault(slice_of(bad[i]), true)) fail_msg("%s", bad[i]);
}

static const char *nearest_of(const char *wanted, const char *const *candidates)
{
    struct nearest n;
    nearest_init(&n, slice_of(wanted));
    for (; *candidates; candidates++) nearest_try(&n, slice_of(*candidates));
    return n.best.len ? n.best.data : NULL;
}

static void test_nearest(void **state)
{
    (void)state;
    static const char *const keys[] = { "upstream", "respond", "redirect", "match", "name", NULL };
    assert_string_equal(nearest_of("upstrem", keys), "upstream");
    assert_string_equal(nearest_of("upsrteam", keys), "upstream");
    assert_string_equal(nearest_of("Match", keys), "match");
    assert_string_equal(nearest_of("redirects", keys), "redirect");
    assert_string_equal(nearest_of("tsl", (const char *const[]){ "tls", NULL }), "tls");
    assert_null(nearest_of("compress", keys));
    assert_null(nearest_of("x", keys));
    assert_null(nearest_of("", keys));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations), cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_rates),     cmocka_unit_test(test_writing),
        cmocka_unit_test(test_networks),  cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
