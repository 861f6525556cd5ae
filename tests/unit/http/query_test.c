/* SPDX-License-Identifier: Apache-2.0
 *
 * Parameters of a query, well-formed and not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/query.h"

/* What query_next() finds, as "name=value|...", so that a row reads as one. */
static void list(struct slice query, struct buffer *to)
{
    struct slice name, value;
    while (query_next(&query, &name, &value)) {
        buffer_put_slice(to, name);
        buffer_put_char(to, '=');
        buffer_put_slice(to, value);
        buffer_put_char(to, '|');
    }
}

static void parameters_come_in_order(void **state)
{
    (void)state;
    static const struct {
        const char *query, *found;
    } rows[] = {
        { "", "" },
        { "a", "a=|" },
        { "a=", "a=|" },
        { "a=1", "a=1|" },
        { "a=1&b=2", "a=1|b=2|" },
        { "a=1&a=2", "a=1|a=2|" },
        { "a=b=c", "a=b=c|" },
        { "=x", "=x|" },
        { "&", "=|" },
        { "&&a&", "=|=|a=|" },
        { "a=1;b=2", "a=1;b=2|" },
        { "a%3d1&b%26=2", "a%3d1=|b%26=2|" },
        { "?a=1", "?a=1|" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buffer found = BUFFER_INIT;
        list(slice_of(rows[i].query), &found);
        assert_string_equal(found.data ? found.data : "", rows[i].found);
        buffer_reset(&found);
    }
}

static void what_makes_no_sense_stays(void **state)
{
    (void)state;
    static const struct {
        struct slice text, decoded;
    } rows[] = {
        { S(""), S("") },
        { S("plain"), S("plain") },
        { S("a+b"), S("a b") },
        { S("+"), S(" ") },
        { S("%41%6a%6A"), S("Ajj") },
        { S("%2B%25"), S("+%") },
        { S("%2541"), S("%41") },
        { S("x%00y"), S("x\0y") },
        { S("%ff"), S("\xff") },
        { S("%"), S("%") },
        { S("%4"), S("%4") },
        { S("a%4"), S("a%4") },
        { S("%zz%4z%z4"), S("%zz%4z%z4") },
        { S("%%41"), S("%A") },
        { S("%4%41"), S("%4A") },
    };
    struct buffer scratch = BUFFER_INIT;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_true(slice_eq(query_decode(rows[i].text, &scratch), rows[i].decoded));
    struct slice plain = S("kept");
    assert_ptr_equal(query_decode(plain, &scratch).data, plain.data);
    buffer_reset(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_come_in_order),
        cmocka_unit_test(what_makes_no_sense_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
