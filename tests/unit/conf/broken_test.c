/* SPDX-License-Identifier: Apache-2.0
 *
 * Every file in tests/conf/broken is refused with exactly the problems that its
 * first lines announce, every file in tests/conf/good loads without a word.
 *
 *     # expect: LINE:COLUMN: words of the message
 *     # expect: FILE:LINE:COLUMN: the same, in an included file
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "conf/load.h"

static const char expect_mark[] = "# expect: ";

static void path_in(char path[1024], const char *folder, const char *name)
{
    const char *source = getenv("srcdir"), *top = getenv("top_srcdir");
    snprintf(path, 1024, "%s/tests/conf/%s%s", source ? source : top ? top : ".", folder, name);
}

/* What is expected, in a line, is somewhere in the printed problem. */
static bool is_as_expected(const struct conf_problem *p, struct slice expected)
{
    char        place[1100];
    const char *base = p->at.file ? strrchr(p->at.file, '/') : NULL;
    snprintf(place, sizeof(place), "%s:%u:%u: ", base ? base + 1 : "", p->at.line, p->at.column);
    struct slice whole = slice_of(place);
    struct slice without_file = slice_from(whole, slice_find(whole, ':') + 1);
    struct slice front = slice_starts_with(expected, without_file) ? without_file : whole;
    if (!slice_starts_with(expected, front)) return false;
    struct slice words = slice_from(expected, front.len);
    char        *text = NULL;
    if (asprintf(&text, "%s\n%s", p->message.data, p->hint.data ? p->hint.data : "") < 0) abort();
    bool has_words = words.len && memmem(text, strlen(text), words.data, words.len);
    free(text);
    return has_words;
}

/* Takes the problems that fit away from the report's list by emptying them. */
static bool take_problem(struct conf_report *r, struct slice expected)
{
    for (size_t i = 0; i < r->count; i++) {
        if (!r->problems[i].message.data || !is_as_expected(&r->problems[i], expected)) continue;
        r->problems[i].message = (struct slice){ 0 };
        return true;
    }
    return false;
}

static size_t take_expected(struct conf_report *r, const char *path, struct slice text)
{
    size_t count = 0;
    while (text.len) {
        struct slice line = { text.data, slice_find(text, '\n') };
        text = slice_from(text, line.len < text.len ? line.len + 1 : line.len);
        if (!slice_starts_with(line, slice_of(expect_mark))) continue;
        count++;
        struct slice expected = slice_from(line, strlen(expect_mark));
        if (!take_problem(r, expected)) {
            print_error("%s: not reported: %.*s\n", path, SLICE_ARG(expected));
            return 0;
        }
    }
    return count;
}

static bool has_surplus(const struct conf_report *r, const char *path)
{
    bool is_surplus = false;
    for (size_t i = 0; i < r->count; i++) {
        const struct conf_problem *p = &r->problems[i];
        if (!p->message.data) continue;
        print_error("%s: also reported: %u:%u: %s\n", path, p->at.line, p->at.column,
                    p->message.data);
        is_surplus = true;
    }
    return is_surplus;
}

static bool check_broken(const char *path)
{
    struct conf_report report;
    struct buffer      text = BUFFER_INIT;
    struct error       e = { "" };
    conf_report_init(&report);
    if (!conf_reader_direct.read(NULL, path, 1 << 20, &text, &e)) fail_msg("%s", e.text);
    struct settings *s = conf_load_file(path, &conf_reader_direct, &report);
    bool             is_good =
        !s && take_expected(&report, path, buffer_slice(&text)) > 0 && !has_surplus(&report, path);
    if (s) print_error("%s: loads\n", path);
    settings_free(s);
    buffer_reset(&text);
    conf_report_reset(&report);
    return is_good;
}

static bool check_good(const char *path)
{
    struct conf_report report;
    conf_report_init(&report);
    struct settings *s = conf_load_file(path, &conf_reader_direct, &report);
    bool             is_good = s && !has_surplus(&report, path);
    has_surplus(&report, path);
    settings_free(s);
    conf_report_reset(&report);
    return is_good;
}

/* Returns how many there were; *failures counts those that did not do as they should. */
static size_t walk(const char *folder, bool (*check)(const char *path), size_t *failures)
{
    char   path[1024];
    size_t count = 0;
    path_in(path, folder, "");
    DIR *dir = opendir(path);
    if (!dir) fail_msg("%s is not there", path);
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (!slice_ends_with(slice_of(entry->d_name), S(".yaml"))) continue;
        path_in(path, folder, entry->d_name);
        *failures += !check(path);
        count++;
    }
    closedir(dir);
    return count;
}

static void test_broken_files(void **state)
{
    (void)state;
    size_t failures = 0;
    unsetenv("WHARFGATE_UNSET");
    setenv("WHARFGATE_PORT", "80a", 1);
    assert_true(walk("broken/", check_broken, &failures) >= 60);
    assert_int_equal(failures, 0);
}

static void test_good_files(void **state)
{
    (void)state;
    size_t failures = 0;
    setenv("WHARFGATE_HOST", "example.org", 1);
    unsetenv("WHARFGATE_LISTEN");
    assert_true(walk("good/", check_good, &failures) >= 5);
    assert_int_equal(failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_broken_files),
        cmocka_unit_test(test_good_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
