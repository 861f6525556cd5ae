/* SPDX-License-Identifier: Apache-2.0
 *
 * The error log: levels, one line a message, nothing that a peer could forge.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"

#include <unistd.h>

#include "base/error.h"

/* Logs to a pipe and returns what came out, terminated. */
static size_t logged(char *text, size_t size, enum log_level at, enum log_level level,
                     const char *message)
{
    int        ends[2];
    struct log log;
    assert_int_equal(pipe(ends), 0);
    log_init(&log, ends[1], at);
    log_line(&log, level, "%s", message);
    close(ends[1]);
    size_t  len = 0;
    ssize_t n;
    while ((n = read(ends[0], text + len, size - len - 1)) > 0) len += (size_t)n;
    close(ends[0]);
    text[len] = '\0';
    return len;
}

static void a_line_has_time_level_and_text(void **state)
{
    (void)state;
    char text[4096];
    logged(text, sizeof(text), LOG_LEVEL_INFO, LOG_LEVEL_WARN, "certificate expires");
    assert_int_equal(text[4], '-');
    assert_int_equal(text[10], 'T');
    assert_string_equal(text + 23, "Z warn  certificate expires\n");
}

static void lower_levels_are_dropped(void **state)
{
    (void)state;
    char text[4096];
    assert_int_equal(logged(text, sizeof(text), LOG_LEVEL_WARN, LOG_LEVEL_INFO, "x"), 0);
    assert_true(logged(text, sizeof(text), LOG_LEVEL_WARN, LOG_LEVEL_ERROR, "x") > 0);
}

static void control_bytes_cannot_forge_a_line(void **state)
{
    (void)state;
    char text[4096];
    logged(text, sizeof(text), LOG_LEVEL_INFO, LOG_LEVEL_INFO, "a\nb\r\033[2Jc\x7f");
    assert_string_equal(text + 31, "a?b??[2Jc?\n");
}

static void a_long_message_is_cut(void **state)
{
    (void)state;
    char text[8192], message[5000];
    memset(message, 'm', sizeof(message) - 1);
    message[sizeof(message) - 1] = '\0';
    size_t len = logged(text, sizeof(text), LOG_LEVEL_INFO, LOG_LEVEL_INFO, message);
    assert_in_range(len, 2000, 2048);
    assert_int_equal(text[len - 1], '\n');
    assert_ptr_equal(strchr(text, '\n'), text + len - 1);
}

/* Ten lines a second, then a count of the rest with the first line of a later one. */
static void a_budget_bounds_lines(void **state)
{
    (void)state;
    int               ends[2];
    char              text[16384];
    struct log        log;
    struct log_budget budget = { 0 };
    assert_int_equal(pipe(ends), 0);
    log_init(&log, ends[1], LOG_LEVEL_INFO);
    for (unsigned i = 0; i < 100; i++)
        log_bounded(&log, &budget, 5000 + i, LOG_LEVEL_WARN, "replica is down");
    log_bounded(&log, &budget, 6000, LOG_LEVEL_WARN, "replica is down");
    close(ends[1]);
    ssize_t len = read(ends[0], text, sizeof(text) - 1);
    close(ends[0]);
    assert_true(len > 0);
    text[len] = '\0';
    unsigned lines = 0;
    for (ssize_t i = 0; i < len; i++) lines += text[i] == '\n';
    assert_int_equal(lines, LOG_BUDGET_LINES + 2);
    assert_non_null(strstr(text, " 90 more lines like those before were left out\n"));
}

static void errors_are_wrapped(void **state)
{
    (void)state;
    struct error e;
    assert_false(error_set(&e, "line %d", 7));
    assert_false(error_wrap(&e, "file %s", "x.pem"));
    assert_string_equal(e.text, "file x.pem: line 7");
    char longer[2000];
    memset(longer, 'e', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    error_set(&e, "%s", longer);
    assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
    error_wrap(&e, "outer");
    assert_memory_equal(e.text, "outer: eee", 10);
    error_wrap(&e, "%s", longer);
    assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_time_level_and_text),
        cmocka_unit_test(lower_levels_are_dropped),
        cmocka_unit_test(control_bytes_cannot_forge_a_line),
        cmocka_unit_test(a_long_message_is_cut),
        cmocka_unit_test(a_budget_bounds_lines),
        cmocka_unit_test(errors_are_wrapped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
