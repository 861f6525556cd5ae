/* SPDX-License-Identifier: Apache-2.0
 *
 * Dates of HTTP: the three forms, and what is none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/date.h"

static void dates_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t     seconds; /* -1: it is no date */
    } rows[] = {
        { "Sun, 06 Nov 1994 08:49:37 GMT", 784111777 },
        { "Sunday, 06-Nov-94 08:49:37 GMT", 784111777 },
        { "Sun Nov  6 08:49:37 1994", 784111777 },
        { "Thu, 01 Jan 1970 00:00:00 GMT", 0 },
        { "Thu, 29 Feb 2024 23:59:60 GMT", 1709251200 }, /* a leap second */
        { "Fri, 31 Dec 9999 23:59:59 GMT", 253402300799 },
        { "Thu, 29 Feb 2023 00:00:00 GMT", -1 },
        { "Thu, 30 Feb 2024 00:00:00 GMT", -1 },
        { "Sun, 06 Nov 1994 24:00:00 GMT", -1 },
        { "Sun, 06 Nov 1994 08:60:37 GMT", -1 },
        { "Sun, 06 Nov 1994 08:49:37 CET", -1 },
        { "Sun, 06 Nov 1994 08:49:37", -1 },
        { "Sun, 6 Nov 1994 08:49:37 GMT", -1 },
        { "Sun, 06 Xxx 1994 08:49:37 GMT", -1 },
        { "Sun, 06 Nov 1994 08:49:37 GMT ", -1 },
        { "Sun, 06-Nov-94 08:49:37 GMT", -1 }, /* RFC 850 has the whole day */
        { "784111777", -1 },
        { "", -1 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t got = -1;
        bool    is_date = http_date_read(slice_of(rows[i].text), &got);
        if (is_date != (rows[i].seconds >= 0) || (is_date && got != rows[i].seconds))
            fail_msg("%s: %lld", rows[i].text, (long long)got);
    }
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    char    text[HTTP_DATE_BYTES];
    int64_t got;
    http_date_write(text, 784111777);
    assert_memory_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT", HTTP_DATE_BYTES);
    for (int64_t s = 0; s < 253402300799; s += 86399 * 997) {
        http_date_write(text, s);
        assert_true(http_date_read(slice_make(text, sizeof(text)), &got));
        assert_int_equal(got, s);
    }
}

/* A file system may say anything of a file, and so may whoever puts one there. */
static void times_without_a_date_get_the_next_one(void **state)
{
    (void)state;
    static const struct {
        int64_t     seconds;
        const char *text;
    } rows[] = {
        { -1, "Wed, 31 Dec 1969 23:59:59 GMT" },
        { -62135596801, "Mon, 01 Jan 0001 00:00:00 GMT" },
        { INT64_MIN, "Mon, 01 Jan 0001 00:00:00 GMT" },
        { 253402300800, "Fri, 31 Dec 9999 23:59:59 GMT" },
        { INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[HTTP_DATE_BYTES];
        http_date_write(text, rows[i].seconds);
        assert_memory_equal(text, rows[i].text, HTTP_DATE_BYTES);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_are_read),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(times_without_a_date_get_the_next_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
