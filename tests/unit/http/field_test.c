/* SPDX-License-Identifier: Apache-2.0
 *
 * Names, lists of fields, and what may stand in them.
 */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"
#include "http/names.h"

/* Both ways: by itself, on the heap at its exact length, so that reading past it is
 * found out; and as the parser does, amid a head. */
static enum http_field_id lookup(const char *name, size_t len)
{
    char *copy = mem_alloc(len + !len);
    memcpy(copy, name, len);
    enum http_field_id id = http_field_lookup(slice_make(copy, len));
    free(copy);

    char line[64 + HTTP_NAME_SLACK_BYTES] = { 0 };
    memcpy(line, name, len);
    line[len] = ':';
    assert_int_equal(http_name_lookup(line, len), id);
    return id;
}

static void every_name_is_found_in_any_case(void **state)
{
    (void)state;
    for (unsigned id = FIELD_OTHER + 1; id < FIELD_ID_COUNT; id++) {
        struct slice name = http_field_name(id);
        char         other[64];
        assert_true(http_is_token(name));
        assert_int_equal(lookup(name.data, name.len), id);
        for (size_t i = 0; i < name.len; i++) other[i] = (char)tolower(name.data[i]);
        assert_int_equal(lookup(other, name.len), id);
        for (size_t i = 0; i < name.len; i++) other[i] = (char)toupper(name.data[i]);
        assert_int_equal(lookup(other, name.len), id);
    }
}

static void nothing_else_is_found(void **state)
{
    (void)state;
    for (unsigned id = FIELD_OTHER + 1; id < FIELD_ID_COUNT; id++) {
        struct slice name = http_field_name(id);
        char         other[64];
        for (size_t i = 0; i < name.len; i++) {
            for (int byte = 0; byte < 256; byte++) {
                if (tolower(byte) == tolower(name.data[i])) continue;
                memcpy(other, name.data, name.len);
                other[i] = (char)byte;
                assert_int_equal(lookup(other, name.len), FIELD_OTHER);
            }
        }
        memcpy(other, name.data, name.len);
        other[name.len] = 's';
        assert_int_equal(lookup(other, name.len + 1), FIELD_OTHER);
        if (id != FIELD_DATE) assert_int_equal(lookup(other, name.len - 1), FIELD_OTHER);
    }
    assert_int_equal(lookup("", 0), FIELD_OTHER);
    assert_int_equal(lookup("x", 1), FIELD_OTHER);
    assert_int_equal(lookup("a-name-that-is-longer-than-any-known-one", 40), FIELD_OTHER);
}

static void a_list_adds_finds_sets_and_drops(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, NULL);
    struct http_fields f = { 0 };
    assert_null(http_fields_find(&f, FIELD_HOST));
    assert_null(http_fields_find_named(&f, S("host")));
    http_fields_add(&f, &a, FIELD_HOST, S("Host"), S("a"));
    http_fields_add_named(&f, &a, S("sErVeR"), S("b"));
    http_fields_add_named(&f, &a, S("X-Own"), S("c"));
    http_fields_add_named(&f, &a, S("x-own"), S("d"));
    assert_int_equal(f.count, 4);
    assert_true(slice_eq(http_fields_value(&f, FIELD_HOST), S("a")));
    assert_true(slice_eq(http_fields_value(&f, FIELD_SERVER), S("b")));
    assert_true(slice_eq(http_fields_find_named(&f, S("X-OWN"))->value, S("c")));
    assert_null(http_fields_find_named(&f, S("X-Other")));
    assert_int_equal(http_fields_value(&f, FIELD_DATE).len, 0);

    http_fields_set(&f, &a, FIELD_SERVER, S("e"));
    assert_true(slice_eq(http_fields_value(&f, FIELD_SERVER), S("e")));
    assert_true(slice_eq(http_fields_find(&f, FIELD_SERVER)->name, S("Server")));
    http_fields_set(&f, &a, FIELD_DATE, S("today"));
    assert_true(slice_eq(http_fields_value(&f, FIELD_DATE), S("today")));
    http_fields_drop(&f, FIELD_SERVER);
    assert_null(http_fields_find(&f, FIELD_SERVER));
    assert_null(http_fields_find_named(&f, S("server")));
    arena_reset(&a);
}

static void a_list_grows(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, NULL);
    struct http_fields f = { 0 };
    for (int i = 0; i < 1000; i++)
        http_fields_add_named(&f, &a, arena_printf(&a, "x-%d", i), arena_printf(&a, "%d", i));
    assert_int_equal(f.count, 1000);
    for (int i = 0; i < 1000; i++) {
        struct slice name = arena_printf(&a, "X-%d", i);
        assert_true(slice_eq(http_fields_find_named(&f, name)->value, arena_printf(&a, "%d", i)));
    }
    arena_reset(&a);
}

static void tokens_and_values(void **state)
{
    (void)state;
    assert_true(http_is_token(S("!#$%&'*+-.^_`|~09azAZ")));
    assert_false(http_is_token(S("")));
    for (int byte = 0; byte < 256; byte++) {
        char c = (char)byte;
        bool is_token = byte && byte < 128 && (isalnum(byte) || strchr("!#$%&'*+-.^_`|~", byte));
        bool is_value = byte == '\t' || (byte >= 0x20 && byte != 0x7f);
        assert_int_equal(http_is_token(slice_make(&c, 1)), is_token);
        assert_int_equal(http_is_field_value(slice_make(&c, 1)), is_value);
    }
    assert_true(http_is_field_value(S("")));
    assert_false(http_is_field_value(S("a\r\nB: c")));
}

static void methods(void **state)
{
    (void)state;
    for (unsigned m = HTTP_GET; m <= HTTP_PATCH; m++) {
        assert_int_equal(http_method_lookup(http_method_name(m)), m);
        struct slice name = http_method_name(m);
        assert_int_equal(http_method_lookup(slice_make(name.data, name.len - 1)), 0);
    }
    static const char *const others[] = { "",       "get",     "G",       "PAT",
                                          "HEAR",   "POSH",    "TRACK",   "PATCX",
                                          "DELETX", "OPTIONX", "CONNECX", "PROPFIND" };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_int_equal(http_method_lookup(slice_of(others[i])), HTTP_METHOD_OTHER);
    /* RFC 9110 section 9.2.2. */
    assert_true(http_method_is_idempotent(HTTP_GET));
    assert_true(http_method_is_idempotent(HTTP_HEAD));
    assert_true(http_method_is_idempotent(HTTP_PUT));
    assert_true(http_method_is_idempotent(HTTP_DELETE));
    assert_true(http_method_is_idempotent(HTTP_OPTIONS));
    assert_true(http_method_is_idempotent(HTTP_TRACE));
    assert_false(http_method_is_idempotent(HTTP_POST));
    assert_false(http_method_is_idempotent(HTTP_PATCH));
    assert_false(http_method_is_idempotent(HTTP_CONNECT));
    assert_false(http_method_is_idempotent(HTTP_METHOD_OTHER));
}

static void reasons(void **state)
{
    (void)state;
    assert_true(slice_eq(http_status_reason(100), S("Continue")));
    assert_true(slice_eq(http_status_reason(200), S("OK")));
    assert_true(slice_eq(http_status_reason(404), S("Not Found")));
    assert_true(slice_eq(http_status_reason(511), S("Network Authentication Required")));
    static const unsigned unknown[] = { 0, 99, 299, 418, 510, 512, 599, 65535 };
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
        assert_int_equal(http_status_reason(unknown[i]).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_is_found_in_any_case),
        cmocka_unit_test(nothing_else_is_found),
        cmocka_unit_test(a_list_adds_finds_sets_and_drops),
        cmocka_unit_test(a_list_grows),
        cmocka_unit_test(tokens_and_values),
        cmocka_unit_test(methods),
        cmocka_unit_test(reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
