/* SPDX-License-Identifier: Apache-2.0
 *
 * UTF-8: what is a character, how long, and which.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/slice.h"
#include "base/utf8.h"

struct utf8_case {
    struct slice in;
    size_t       len;
    uint32_t     point;
};

static void first_characters(void **state)
{
    (void)state;
    static const struct utf8_case cases[] = {
        { SLICE("\0"), 1, 0 },
        { SLICE("ab"), 1, 'a' },
        { SLICE("\x7f"), 1, 0x7f },
        { SLICE("\xc2\x80"), 2, 0x80 },
        { SLICE("\xdf\xbf+"), 2, 0x7ff },
        { SLICE("\xe0\xa0\x80"), 3, 0x800 },
        { SLICE("\xed\x9f\xbf"), 3, 0xd7ff },
        { SLICE("\xee\x80\x80"), 3, 0xe000 },
        { SLICE("\xef\xbf\xbf"), 3, 0xffff },
        { SLICE("\xf0\x90\x80\x80"), 4, 0x10000 },
        { SLICE("\xf4\x8f\xbf\xbf"), 4, 0x10ffff },
        /* None: a lone continuation, overlong forms, surrogates, too large, cut short. */
        { SLICE("\x80"), 0, 0 },
        { SLICE("\xbf\xbf"), 0, 0 },
        { SLICE("\xc0\xaf"), 0, 0 },
        { SLICE("\xc1\xbf"), 0, 0 },
        { SLICE("\xe0\x9f\xbf"), 0, 0 },
        { SLICE("\xed\xa0\x80"), 0, 0 },
        { SLICE("\xed\xbf\xbf"), 0, 0 },
        { SLICE("\xf0\x8f\xbf\xbf"), 0, 0 },
        { SLICE("\xf4\x90\x80\x80"), 0, 0 },
        { SLICE("\xf5\x80\x80\x80"), 0, 0 },
        { SLICE("\xff"), 0, 0 },
        { SLICE("\xc3"), 0, 0 },
        { SLICE("\xc3\""), 0, 0 },
        { SLICE("\xe2\x82"), 0, 0 },
        { SLICE("\xf0\x9f\x9a\x41"), 0, 0 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t point = 0;
        assert_int_equal(utf8_decode(cases[i].in.data, cases[i].in.len, &point), cases[i].len);
        assert_int_equal(point, cases[i].point);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
