/* SPDX-License-Identifier: Apache-2.0
 *
 * Edits of headers: their order, what wins, and that a value that does not fit is no header.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../origin/fake_exchange.h"
#include "filter/headers.h"

static struct exchange x;

static int set_up(void **state)
{
    (void)state;
    fake_exchange_init(&x, "/");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fake_exchange_reset(&x);
    return 0;
}

static void put(struct http_fields *f, const char *name, const char *value)
{
    http_fields_add_named(f, &x.arena, slice_of(name), slice_of(value));
}

/* All that is left: "A: 1|B: 2". */
static const char *fields_text(const struct http_fields *f)
{
    struct slice all = S("");
    for (unsigned i = 0; i < f->count; i++)
        if (!f->items[i].is_dropped)
            all = arena_printf(&x.arena, "%.*s%s%.*s: %.*s", SLICE_ARG(all), all.len ? "|" : "",
                               SLICE_ARG(f->items[i].name), SLICE_ARG(f->items[i].value));
    return all.len ? all.data : "";
}

static const char *edited_request(const struct headers_settings *defaults,
                                  const struct headers_settings *route)
{
    const struct header_edits *e = header_edits_build(defaults, route, &x.arena);
    void                      *state = NULL;
    assert_non_null(e);
    assert_int_equal(filter_headers.on_request(&x, e, &state), FILTER_CONTINUE);
    return fields_text(&x.request.fields);
}

static const struct headers_settings some = {
    .request = {
        .remove = { (struct slice[]){ SLICE("X-Gone"), SLICE("user-agent") }, 2 },
        .rename = (struct name_value[]){ { SLICE("X-Old"), SLICE("X-New") } },
        .rename_count = 1,
        .set = (struct name_value[]){ { SLICE("X-Set"), SLICE("s") } },
        .set_count = 1,
        .add = (struct name_value[]){ { SLICE("X-Set"), SLICE("a") } },
        .add_count = 1,
    },
};

static void edits_come_in_their_order(void **state)
{
    struct http_fields *f = &x.request.fields;
    (void)state;
    put(f, "x-gone", "1");
    put(f, "User-Agent", "test");
    put(f, "X-Other", "o");
    put(f, "x-old", "1");
    put(f, "X-OLD", "2");
    put(f, "X-New", "smuggled");
    put(f, "X-Set", "before");
    assert_string_equal(edited_request(&some, NULL),
                        "X-Other: o|X-New: 1|X-New: 2|X-Set: s|X-Set: a");
}

static void what_is_not_there_is_not_renamed(void **state)
{
    (void)state;
    put(&x.request.fields, "X-New", "own");
    assert_string_equal(edited_request(&some, NULL), "X-New: own|X-Set: s|X-Set: a");
}

/* A known name is found by its id then. */
static void a_renamed_header_is_what_it_is_called(void **state)
{
    const struct headers_settings s = {
        .request = { .rename =
                         (struct name_value[]){ { SLICE("X-Token"), SLICE("Authorization") } },
                     .rename_count = 1 },
    };
    (void)state;
    put(&x.request.fields, "X-Token", "t");
    put(&x.request.fields, "Authorization", "client's");
    assert_string_equal(edited_request(&s, NULL), "Authorization: t");
    assert_true(slice_eq(http_fields_value(&x.request.fields, FIELD_AUTHORIZATION), S("t")));
}

static void a_routes_edits_come_after_those_of_defaults(void **state)
{
    const struct headers_settings route = {
        .request = { .remove = { (struct slice[]){ SLICE("X-Set") }, 1 },
                     .set = (struct name_value[]){ { SLICE("X-New"), SLICE("route") } },
                     .set_count = 1 },
    };
    (void)state;
    put(&x.request.fields, "X-Old", "1");
    assert_string_equal(edited_request(&some, &route), "X-New: route");
}

static const struct headers_settings from_client = {
    .request = { .set = (struct name_value[]){ { SLICE("X-User"), SLICE("${query:user}") } },
                 .set_count = 1,
                 .add = (struct name_value[]){ { SLICE("Accept"), SLICE("a${host}") } },
                 .add_count = 1 },
};

static void a_value_is_trimmed(void **state)
{
    (void)state;
    x.variable = S(" \t me\t");
    assert_string_equal(edited_request(&from_client, NULL), "X-User: me|Accept: a \t me");
}

/* Nor does what the client calls so stay. */
static void a_value_that_does_not_fit_is_no_header(void **state)
{
    static const struct slice bad[] = { SLICE("a\r\nX-Evil: 1"), SLICE("a\nb"),    SLICE("\r"),
                                        SLICE("a\0b"),           SLICE("\x1b[2J"), SLICE("\x7f") };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        x.request.fields = (struct http_fields){ 0 };
        put(&x.request.fields, "X-User", "forged");
        x.variable = bad[i];
        assert_string_equal(edited_request(&from_client, NULL), "");
    }
    char *large = arena_alloc(&x.arena, 16384);
    memset(large, 'x', 16384);
    x.request.fields = (struct http_fields){ 0 };
    x.variable = slice_make(large, 16384);
    const char *text = edited_request(&from_client, NULL);
    assert_int_equal(strlen(text), strlen("X-User: ") + 16384); /* a byte more does not fit */
}

static void an_empty_value_is_no_header(void **state)
{
    const struct headers_settings s = {
        .response = { .set = (struct name_value[]){ { SLICE("Via"), SLICE("") } }, .set_count = 1 },
    };
    const struct header_edits *e = header_edits_build(&s, NULL, &x.arena);
    struct http_head           head = { .status = 200 };
    (void)state;
    put(&head.fields, "Via", "1.1 x");
    put(&head.fields, "Server", "y");
    filter_headers.on_response(&x, e, NULL, &head);
    assert_string_equal(fields_text(&head.fields), "Server: y");
}

static void nothing_to_edit_is_no_filter(void **state)
{
    const struct headers_settings none = { 0 };
    (void)state;
    assert_null(header_edits_build(NULL, NULL, &x.arena));
    assert_null(header_edits_build(&none, &none, &x.arena));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(edits_come_in_their_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_there_is_not_renamed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_renamed_header_is_what_it_is_called, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_routes_edits_come_after_those_of_defaults, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_value_is_trimmed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_value_that_does_not_fit_is_no_header, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_empty_value_is_no_header, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_to_edit_is_no_filter, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
