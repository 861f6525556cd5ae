/* SPDX-License-Identifier: Apache-2.0
 *
 * Media types: the system's table before the short one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "origin/mime.h"

static struct arena a;

static void expect(const struct mime_table *m, const char *path, const char *type)
{
    struct slice got = mime_type_of(m, slice_of(path));
    if (!slice_eq(got, slice_of(type))) fail_msg("%s: %.*s", path, SLICE_ARG(got));
}

static void the_short_table_knows_the_usual(void **state)
{
    (void)state;
    arena_init(&a, NULL);
    const struct mime_table *m = mime_table_new(&a, S(""));
    expect(m, "/index.html", "text/html");
    expect(m, "/a.b/app.min.JS", "text/javascript");
    expect(m, "/x.woff2", "font/woff2");
    expect(m, "/x.htm", "text/html");
    expect(m, "/x.unknown", "application/octet-stream");
    expect(m, "/x.tar.gz", "application/gzip");
    expect(m, "/html", "application/octet-stream");
    expect(m, "/x.html/y", "application/octet-stream");
    expect(m, "/x.", "application/octet-stream");
    expect(m, "", "application/octet-stream");
    expect(m, "/x.aVeryLongEndingThatNobodyEverHasSeen", "application/octet-stream");
    arena_reset(&a);
}

static void the_systems_table_comes_first(void **state)
{
    (void)state;
    arena_init(&a, NULL);
    const struct mime_table *m =
        mime_table_new(&a, S("# comment\n\ntext/x-new\tNEW  nu # more\n"
                             "application/none\r\nimage/other png\r\nlast/one last"));
    expect(m, "/x.new", "text/x-new");
    expect(m, "/x.nu", "text/x-new");
    expect(m, "/x.more", "application/octet-stream");
    expect(m, "/x.png", "image/other");
    expect(m, "/x.last", "last/one");
    expect(m, "/x.css", "text/css");
    arena_reset(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_short_table_knows_the_usual),
        cmocka_unit_test(the_systems_table_comes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
