/* SPDX-License-Identifier: Apache-2.0
 *
 * From paths of requests to names of files.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "origin/files_path.h"

static void paths_are_decoded_once(void **state)
{
    (void)state;
    static const struct {
        const char *path, *found; /* NULL: nothing that is served */
        bool        is_folder;
    } rows[] = {
        { "/", "", true },
        { "", "", false },
        { "*", "*", false },
        { "/a", "a", false },
        { "/a/", "a", true },
        { "/a/b.html", "a/b.html", false },
        { "//a///b//", "a/b", true },
        { "/a%20b", "a b", false },
        { "/%C3%A4.html", "\xc3\xa4.html", false },
        { "/%FF%01%0A", "\xff\x01\n", false },
        { "/%252e%252e/x", "%2e%2e/x", false },
        { "/%5Cx", "\\x", false },
        { "/a%", "a%", false },
        { "/a%2", "a%2", false },
        { "/a%zz", "a%zz", false },
        { "/.well-known/acme/x", ".well-known/acme/x", false },
        { "/.well-known", ".well-known", false },
        { "/.git/config", NULL, false },
        { "/%2Egit/config", NULL, false },
        { "/a/.htpasswd", NULL, false },
        { "/a/.well-known/x", NULL, false },
        { "/.well-known/.x", NULL, false },
        { "/.well-knownx", NULL, false },
        { "/a/..", NULL, false },
        { "/%2E%2E/etc/passwd", NULL, false },
        { "/a%2F..%2F..%2Fetc", NULL, false },
        { "/a%00.html", NULL, false },
        { "/...", NULL, false },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct arena      a;
        struct files_path to;
        arena_init(&a, NULL);
        bool is_served = files_path_read(slice_of(rows[i].path), &a, &to);
        if (is_served != (rows[i].found != NULL)) fail_msg("%s", rows[i].path);
        if (is_served) {
            assert_string_equal(to.text.data, rows[i].found);
            assert_int_equal(to.text.len, strlen(rows[i].found));
            assert_int_equal(to.is_folder, rows[i].is_folder);
        }
        arena_reset(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(paths_are_decoded_once) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
