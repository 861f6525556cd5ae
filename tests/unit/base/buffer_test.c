/* SPDX-License-Identifier: Apache-2.0
 *
 * Buffers: growth, termination, consuming, JSON strings.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"

static void grows_and_stays_terminated(void **state)
{
    (void)state;
    struct buffer b = BUFFER_INIT;
    for (int i = 0; i < 10000; i++) {
        buffer_put_char(&b, (char)('a' + i % 26));
        assert_int_equal(b.data[b.len], '\0');
    }
    assert_int_equal(b.len, 10000);
    for (int i = 0; i < 10000; i++) assert_int_equal(b.data[i], 'a' + i % 26);
    buffer_reset(&b);
    assert_null(b.data);
    assert_int_equal(b.len, 0);
    assert_int_equal(b.capacity, 0);
}

static void every_way_to_put(void **state)
{
    (void)state;
    struct buffer b = BUFFER_INIT;
    buffer_put(&b, NULL, 0);
    buffer_put(&b, "a\0b", 3);
    buffer_puts(&b, "cd");
    buffer_put_slice(&b, S("ef"));
    buffer_printf(&b, "%d:%s", 12, "gh");
    assert_int_equal(b.len, 12);
    assert_memory_equal(b.data, "a\0bcdef12:gh", 13);
    buffer_reset(&b);
}

static void printf_past_the_first_capacity(void **state)
{
    (void)state;
    struct buffer b = BUFFER_INIT;
    buffer_printf(&b, "%0999d", 1);
    assert_int_equal(b.len, 999);
    assert_string_equal(b.data + 995, "0001");
    buffer_reset(&b);
}

static void reserve_then_write(void **state)
{
    (void)state;
    struct buffer b = BUFFER_INIT;
    buffer_puts(&b, "x");
    memset(buffer_reserve(&b, 1000), 'y', 1000);
    b.len += 1000;
    buffer_put_char(&b, 'z');
    assert_int_equal(b.len, 1002);
    assert_int_equal(b.data[1000], 'y');
    assert_string_equal(b.data + 1001, "z");
    buffer_reset(&b);
}

static void consume_drops_from_the_front(void **state)
{
    (void)state;
    struct buffer b = BUFFER_INIT;
    buffer_consume(&b, 0);
    buffer_puts(&b, "hello world");
    buffer_consume(&b, 6);
    assert_int_equal(b.len, 5);
    assert_string_equal(b.data, "world");
    buffer_consume(&b, 5);
    assert_int_equal(b.len, 0);
    assert_string_equal(b.data, "");
    buffer_reset(&b);
}

static void detach_gives_the_text_away(void **state)
{
    (void)state;
    struct buffer b = BUFFER_INIT;
    char         *none = buffer_detach(&b);
    assert_string_equal(none, "");
    free(none);
    buffer_puts(&b, "text");
    char *text = buffer_detach(&b);
    assert_null(b.data);
    assert_int_equal(b.len, 0);
    assert_string_equal(text, "text");
    free(text);
}

static void slice_of_an_empty_one_is_not_null(void **state)
{
    (void)state;
    struct buffer b = BUFFER_INIT;
    assert_non_null(buffer_slice(&b).data);
    assert_int_equal(buffer_slice(&b).len, 0);
}

struct json_case {
    struct slice in;
    const char  *out;
};

static void json_strings(void **state)
{
    (void)state;
    static const struct json_case cases[] = {
        { SLICE(""), "\"\"" },
        { SLICE("a\"b\\c/"), "\"a\\\"b\\\\c/\"" },
        { SLICE("\r\n\t\0\x1f\x7f"), "\"\\u000d\\u000a\\u0009\\u0000\\u001f\\u007f\"" },
        { SLICE("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x9a\xaa"),
          "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x9a\xaa\"" },
        { SLICE("\xc2\x9b"
                "31m \xc2\xa0"),
          "\"\\u009b31m \xc2\xa0\"" },
        { SLICE("\xf4\x8f\xbf\xbf"), "\"\xf4\x8f\xbf\xbf\"" },
        /* Malformed (RFC 3629): a lone continuation, overlong forms, a surrogate,
         * past U+10FFFF, cut short. Each bad byte becomes one U+FFFD. */
        { SLICE("\x80"), "\"\xef\xbf\xbd\"" },
        { SLICE("\xc0\xaf"), "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
        { SLICE("\xe0\x9f\xbf"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
        { SLICE("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
        { SLICE("\xf4\x90\x80\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
        { SLICE("\xf0\x8f\xbf\xbf"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
        { SLICE("\xff"), "\"\xef\xbf\xbd\"" },
        { SLICE("a\xe2\x82"), "\"a\xef\xbf\xbd\xef\xbf\xbd\"" },
        { SLICE("\xc3\"x"), "\"\xef\xbf\xbd\\\"x\"" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer b = BUFFER_INIT;
        buffer_put_json(&b, cases[i].in);
        assert_string_equal(b.data, cases[i].out);
        buffer_reset(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_and_stays_terminated),
        cmocka_unit_test(every_way_to_put),
        cmocka_unit_test(printf_past_the_first_capacity),
        cmocka_unit_test(reserve_then_write),
        cmocka_unit_test(consume_drops_from_the_front),
        cmocka_unit_test(detach_gives_the_text_away),
        cmocka_unit_test(slice_of_an_empty_one_is_not_null),
        cmocka_unit_test(json_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
