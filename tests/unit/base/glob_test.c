/* SPDX-License-Identifier: Apache-2.0
 *
 * Patterns of names: what fits, what does not, what is no pattern.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/glob.h"

static void patterns_fit(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool        fits;
    } rows[] = {
        { "a.js", "a.js", true },
        { "a.js", "a.jsx", false },
        { "a.js", "b.js", false },
        { "*", "", true },
        { "*", "anything/at all", true },
        { "*.js", "a.js", true },
        { "*.js", ".js", true },
        { "*.js", "a.js.map", false },
        { "*.js", "a.js.js", true },
        { "?.js", "a.js", true },
        { "?.js", ".js", false },
        { "a*b*c", "aXbXbXc", true },
        { "a*b*c", "aXbXbX", false },
        { "/assets/*", "/assets/a/b.css", true },
        { "/assets/*", "/asset", false },
        { "*.{js,css}", "a.css", true },
        { "*.{js,css}", "a.js", true },
        { "*.{js,css}", "a.cs", false },
        { "*.{js,css}", "a.jscss", false },
        { "*.{js,css}.map", "a.css.map", true },
        { "*.{j,js}", "a.js.js", true },
        { "{a,}b", "b", true },
        { "{a,}b", "ab", true },
        { "{a,}b", "aab", false },
        { "*{a,b}*", "xxbyy", true },
        { "*{a,b}*", "xxyy", false },
        { "\xc3\xa4*", "\xc3\xa4.html", true },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_true(glob_is_valid(slice_of(rows[i].pattern)));
        if (glob_matches(slice_of(rows[i].pattern), slice_of(rows[i].text)) != rows[i].fits)
            fail_msg("%s, %s", rows[i].pattern, rows[i].text);
    }
}

static void braces_are_checked(void **state)
{
    (void)state;
    static const char *const wrong[] = { "",    "{",       "}",      "a{b",       "}a{",
                                         "a}b", "{a,{b}}", "{a}{b}", "*.{js,c*}", "{?}" };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (glob_is_valid(slice_of(wrong[i]))) fail_msg("%s", wrong[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_fit),
        cmocka_unit_test(braces_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
