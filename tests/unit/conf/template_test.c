/* SPDX-License-Identifier: Apache-2.0
 *
 * Templates: how a text is taken apart, what of it is text, and the two ways between a text and
 * its template form.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conf/template.h"

static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_reset(&arena);
    return 0;
}

/* "text|{host}|{header:X}" */
static void assert_pieces(const char *text, const char *expected)
{
    struct template t;
    struct slice all = S("");
    template_build(&t, slice_of(text), &arena);
    for (size_t i = 0; i < t.count; i++) {
        const struct template_piece *p = &t.pieces[i];
        const struct variable       *v = &variable_table[p->id];
        const char                  *between = i ? "|" : "";
        if (p->id == VARIABLE_TEXT)
            all = arena_printf(&arena, "%.*s%s%.*s", SLICE_ARG(all), between, SLICE_ARG(p->text));
        else
            all = arena_printf(&arena, "%.*s%s{%s%s%.*s}", SLICE_ARG(all), between, v->name,
                               v->takes_name ? ":" : "", SLICE_ARG(p->text));
    }
    assert_string_equal(all.len ? all.data : "", expected);
}

static void texts_and_variables_are_told_apart(void **state)
{
    (void)state;
    assert_pieces("", "");
    assert_pieces("plain", "plain");
    assert_pieces("${host}", "{host}");
    assert_pieces("a ${client_ip}, ${header:X-User}!", "a |{client_ip}|, |{header:X-User}|!");
    assert_pieces("${query}${query:a b}${cookie:}", "{query}|{query:a b}|${|cookie:}");
    assert_pieces("${hostess}$", "${hostess}$");
    assert_pieces("${host", "${host");
}

static void what_is_escaped_is_text(void **state)
{
    (void)state;
    assert_pieces("$${host}", "${host}");
    assert_pieces("a$${host} ${host}", "a|${|host} |{host}");
    assert_pieces("$$${host}", "$${host}");
    assert_pieces("$$ $", "$$ $");
}

/* So that whoever uses it needs no copy. */
static void text_alone_is_one_piece(void **state)
{
    struct template t;
    (void)state;
    template_build(&t, S("a$${b}$${c}"), &arena);
    assert_int_equal(t.count, 1);
    assert_true(template_is_fixed(&t));
    assert_true(slice_eq(t.pieces[0].text, S("a${b}${c}")));
    template_build(&t, S(""), &arena);
    assert_true(template_is_fixed(&t));
    template_build(&t, S("${host}"), &arena);
    assert_false(template_is_fixed(&t));
}

static void any_text_survives_both_ways(void **state)
{
    static const char *const texts[] = { "",          "a",      "${host}", "$${host}",
                                         "$$${host}", "${",     "${${",    "a${b",
                                         "$",         "x $$ y", "$${$${",  "${host}}" };
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct slice text = template_escape(slice_of(texts[i]), &arena), found;
        assert_true(template_unescape(&text, &arena, &found));
        assert_string_equal(text.data ? text.data : "", texts[i]);
    }
}

static void a_variable_is_found_where_none_may_be(void **state)
{
    struct slice text = S("a $${b} ${cookie:c} ${host}"), found;
    (void)state;
    assert_false(template_unescape(&text, &arena, &found));
    assert_true(slice_eq(found, S("${cookie:c}")));
}

static void a_slip_is_guessed(void **state)
{
    (void)state;
    assert_true(slice_eq(variable_hint(S("client_pi"), &arena), S("did you mean `client_ip`?")));
    assert_true(slice_eq(variable_hint(S("heder:X"), &arena), S("did you mean `header`?")));
    assert_int_equal(variable_hint(S("HOME"), &arena).len, 0);
}

/* Each has a name that nothing else has, and says what it is. */
static void the_table_is_whole(void **state)
{
    (void)state;
    for (unsigned id = VARIABLE_TEXT + 1; id < VARIABLE_COUNT; id++) {
        const struct variable *v = &variable_table[id];
        struct slice name, text = arena_printf(&arena, "%s%s", v->name, v->takes_name ? ":x" : "");
        assert_int_equal(variable_find(text, &name), id);
        assert_true(v->uses && v->doc && *v->doc);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(texts_and_variables_are_told_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_escaped_is_text, set_up, tear_down),
        cmocka_unit_test_setup_teardown(text_alone_is_one_piece, set_up, tear_down),
        cmocka_unit_test_setup_teardown(any_text_survives_both_ways, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_variable_is_found_where_none_may_be, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_slip_is_guessed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_table_is_whole, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
