/* SPDX-License-Identifier: Apache-2.0
 *
 * Ranges: which bytes are meant, and what is to be ignored.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "http/range.h"

static void ranges_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        uint64_t    size;
        const char *found; /* "first+bytes ..."; "416"; or empty: all of it */
    } rows[] = {
        { "bytes=0-0", 100, "0+1" },
        { "bytes=0-", 100, "0+100" },
        { "bytes=10-19", 100, "10+10" },
        { "bytes=90-1000", 100, "90+10" },
        { "bytes=99-", 100, "99+1" },
        { "bytes=-1", 100, "99+1" },
        { "bytes=-100", 100, "0+100" },
        { "bytes=-1000", 100, "0+100" },
        { "Bytes=1-2", 100, "1+2" },
        { "bytes= 1-2 , 4-5", 100, "1+2 4+2" },
        { "bytes=,1-2,,", 100, "1+2" },
        { "bytes=5-6,1-2", 100, "5+2 1+2" },
        { "bytes=0-9,5-14", 100, "0+10 5+10" },
        { "bytes=0-0,200-300", 100, "0+1" },
        { "bytes=0-18446744073709551615", 100, "0+100" },
        { "bytes=0-99999999999999999999999", 100, "0+100" },
        { "bytes=-99999999999999999999999", 100, "0+100" },
        { "bytes=4294967296-4294967297", 1ull << 40, "4294967296+2" },
        { "bytes=100-", 100, "416" },
        { "bytes=100-200,300-", 100, "416" },
        { "bytes=-0", 100, "416" },
        { "bytes=18446744073709551616-", 100, "416" },
        { "bytes=0-0", 0, "" },
        { "bytes=-1", 0, "" },
        { "bytes=", 100, "" },
        { "bytes=,", 100, "" },
        { "bytes", 100, "" },
        { "bytes=-", 100, "" },
        { "bytes=1", 100, "" },
        { "bytes=2-1", 100, "" },
        { "bytes=a-b", 100, "" },
        { "bytes=1-2-3", 100, "" },
        { "bytes=+1-2", 100, "" },
        { "bytes=0-1,x", 100, "" },
        { "bytes = 0-1", 100, "" },
        { "items=0-1", 100, "" },
        { "bytes=0-99,0-0", 100, "" }, /* more than all of it */
        { "bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7,8-8,9-9,10-10,11-11,12-12,13-13,14-14,15-15", 100,
          "0+1 1+1 2+1 3+1 4+1 5+1 6+1 7+1 8+1 9+1 10+1 11+1 12+1 13+1 14+1 15+1" },
        { "bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7,8-8,9-9,10-10,11-11,12-12,13-13,14-14,15-15,16-16",
          100, "" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct http_ranges     r;
        struct buffer          b = BUFFER_INIT;
        enum http_range_result result = http_ranges_read(slice_of(rows[i].value), rows[i].size, &r);
        if (result == RANGE_UNSATISFIABLE) buffer_puts(&b, "416");
        for (unsigned k = 0; result == RANGE_SOME && k < r.count; k++)
            buffer_printf(&b, "%s%llu+%llu", k ? " " : "", (unsigned long long)r.items[k].first,
                          (unsigned long long)r.items[k].bytes);
        if (!slice_eq(buffer_slice(&b), slice_of(rows[i].found)))
            fail_msg("%s: %.*s", rows[i].value, (int)b.len, b.data);
        buffer_reset(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(ranges_are_read) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
