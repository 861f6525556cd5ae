/* SPDX-License-Identifier: Apache-2.0
 *
 * Clocks: the cache agrees with the kernel and with strftime(3).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"

static void caches_now(void **state)
{
    (void)state;
    struct clock c = { 0 };
    uint64_t     before = clock_mono_ns();
    clock_refresh(&c);
    uint64_t after = clock_mono_ns();
    assert_true(before <= c.now_ns && c.now_ns <= after);
    assert_int_equal(c.now_ms, c.now_ns / 1000000);
    assert_true(c.wall_us <= clock_wall_us());
    uint64_t first = c.now_ns;
    clock_refresh(&c);
    assert_true(c.now_ns >= first);
}

static void assert_texts(const struct clock *c, time_t second)
{
    char      text[64];
    struct tm t;
    gmtime_r(&second, &t);
    assert_true(strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &t) == 29);
    assert_string_equal(c->http_date, text);
    assert_true(strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &t) == 19);
    assert_string_equal(c->iso_seconds, text);
    assert_true(strftime(text, sizeof(text), "%d/%b/%Y:%H:%M:%S +0000", &t) == 26);
    assert_string_equal(c->log_date, text);
}

static void texts_say_the_same_as_the_number(void **state)
{
    (void)state;
    struct clock c = { 0 };
    clock_refresh(&c);
    assert_int_equal(c.text_second, c.wall_us / 1000000);
    assert_texts(&c, (time_t)c.text_second);
}

static void texts_are_made_anew_only_when_the_second_changes(void **state)
{
    (void)state;
    struct clock c = { 0 };
    clock_refresh(&c);
    do {
        memset(c.http_date, '#', 29);
        int64_t made_for = c.text_second;
        clock_refresh(&c);
        if (c.text_second != made_for) {
            assert_texts(&c, (time_t)c.text_second);
            continue;
        }
        assert_int_equal(c.http_date[0], '#');
        break;
    } while (1);
    c.text_second--;
    clock_refresh(&c);
    assert_texts(&c, (time_t)c.text_second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(caches_now),
        cmocka_unit_test(texts_say_the_same_as_the_number),
        cmocka_unit_test(texts_are_made_anew_only_when_the_second_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
