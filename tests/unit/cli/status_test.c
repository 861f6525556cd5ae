/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of `wharfgate status`: from the gateway's JSON to what a person sees.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "cli/cells.h"
#include "cli/status_view.h"
#include "cli/status_words.h"

/* All ages count from 1000 s before it. */
static const double now = 2000;

#define HEAD "\"version\":\"1.2.3\",\"started\":1000,\"generation\":7"
#define UPSTREAMS(list) "{" HEAD ",\"upstreams\":[" list "]}"
#define API(endpoints)                                                                             \
    "{\"name\":\"api\",\"balance\":\"round_robin\",\"active\":3,\"queued\":0,\"endpoints\":"       \
    "[" endpoints "]}"

static json_t *parse(const char *text)
{
    struct error e = { "" };
    json_t      *root = status_parse(slice_of(text), "upstreams", &e);
    if (!root) fail_msg("%s", e.text);
    return root;
}

/* The table; free() it. */
static char *render(const struct status_view *view, const char *text)
{
    struct buffer to = BUFFER_INIT;
    json_t       *root = parse(text);
    status_view_put(&to, view, root);
    json_decref(root);
    return buffer_detach(&to);
}

static void shows_view(const struct status_view *view, const char *text, const char *expected)
{
    char *shown = render(view, text);
    assert_string_equal(shown, expected);
    free(shown);
}

/* As in a pipe. */
static void shows(const char *text, const char *expected)
{
    const struct status_view view = { .now = now };
    shows_view(&view, text, expected);
}

/* Somewhere in it. */
static void contains(const struct status_view *view, const char *text, const char *part)
{
    char *shown = render(view, text);
    if (!strstr(shown, part)) fail_msg("no \"%s\" in:\n%s", part, shown);
    free(shown);
}

static void lacks(const struct status_view *view, const char *text, const char *part)
{
    char *shown = render(view, text);
    if (strstr(shown, part)) fail_msg("\"%s\" in:\n%s", part, shown);
    free(shown);
}

/* ---- the whole ---- */

#define FULL                                                                                       \
    "{" HEAD ",\"worker_crashes\":0,\"listeners\":{\"http\":[\"0.0.0.0:80\",\"[::]:80\"]},"        \
    "\"reloads\":{\"ok\":1,\"failed\":0,\"last\":{\"at\":1700,\"ok\":true,\"problems\":[]}},"      \
    "\"upstreams\":["                                                                              \
    "{\"name\":\"api\",\"balance\":\"least_requests\",\"active\":3,\"queued\":0,\"panic\":false,"  \
    "\"trouble\":null,\"endpoints\":["                                                             \
    "{\"address\":\"10.0.0.7:80\",\"identity\":\"a\",\"state\":\"ready\",\"since\":1000,"          \
    "\"reason\":\"\",\"active\":2,\"requests\":1234,\"failed\":3,\"latency_ms\":1.25,"             \
    "\"check\":{\"ok\":true,\"at\":1995,\"output\":\"200 OK\"}},"                                  \
    "{\"address\":\"10.0.0.10:80\",\"identity\":\"b\",\"state\":\"unhealthy\",\"since\":1990,"     \
    "\"reason\":\"3 checks failed\",\"active\":0,\"requests\":0,\"failed\":0,"                     \
    "\"latency_ms\":null,\"check\":{\"ok\":false,\"at\":1999,\"output\":\"refused\"}}"             \
    "]}]}"

static void whole_table(void **state)
{
    (void)state;
    shows(FULL,
          "wharfgate 1.2.3  up 16m  generation 7  last reload ok, 5m ago  http 0.0.0.0:80 [::]:80\n"
          "\n"
          "  ADDRESS       STATE      SINCE  ACTIVE  REQUESTS  FAILED  LATENCY  CHECK\n"
          "api  least_requests  1 of 2 ready  3 active  0 queued\n"
          "  10.0.0.7:80   ready        16m       2      1234       3    1.2ms  200 OK, 5s ago\n"
          "  10.0.0.10:80  unhealthy    10s       0         0       0        -  3 checks failed; "
          "check failed: refused, 1s ago\n");
}

/* What the gateway gives as the reason is what the last check saw: once is enough. */
static void a_reason_that_has_the_check(void **state)
{
    const struct status_view view = { .now = now };
    (void)state;
    const char *text = UPSTREAMS("{\"name\":\"api\",\"endpoints\":[{\"address\":\"10.0.0.7:80\","
                                 "\"state\":\"unhealthy\",\"since\":1990,"
                                 "\"reason\":\"checks fail: no answer within 2s\","
                                 "\"check\":{\"ok\":false,\"at\":1999,"
                                 "\"output\":\"no answer within 2s\"}}]}");
    contains(&view, text, "  checks fail: no answer within 2s, 1s ago\n");
    lacks(&view, text, "check failed");
}

/* An answer of a version that does not tell states yet. */
static void missing_fields_are_unknown(void **state)
{
    (void)state;
    shows("{\"version\":\"1\",\"upstreams\":[{\"name\":\"app\",\"balance\":\"random\","
          "\"endpoints\":[{\"address\":\"10.0.0.7:80\",\"active\":3,\"requests\":9}]}]}",
          "wharfgate 1\n"
          "\n"
          "  ADDRESS      STATE  SINCE  ACTIVE  REQUESTS  FAILED  LATENCY  CHECK\n"
          "app  random  1 endpoint\n"
          "  10.0.0.7:80  -          -       3         9       -        -  -\n");
    shows(UPSTREAMS("{},7,null"), "wharfgate 1.2.3  up 16m  generation 7\n"
                                  "\n"
                                  "  ADDRESS  STATE  SINCE  ACTIVE  REQUESTS  FAILED  LATENCY  "
                                  "CHECK\n"
                                  "    0 of 0 ready\n"
                                  "    0 of 0 ready\n"
                                  "    0 of 0 ready\n");
    /* Of another type than expected. */
    const struct status_view view = { .now = now };
    contains(&view,
             UPSTREAMS(API("{\"address\":5,\"state\":[],\"active\":\"x\",\"check\":7,"
                           "\"since\":\"y\",\"latency_ms\":{}},null")),
             "api  round_robin  2 endpoints  3 active  0 queued\n"
             "           -          -       -         -       -        -  -\n");
}

static void no_upstreams(void **state)
{
    (void)state;
    shows(UPSTREAMS(""), "wharfgate 1.2.3  up 16m  generation 7\n\nno upstreams\n");
}

static void what_is_no_status_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = { "", "nonsense", "[]", "7", "{}", "{\"upstreams\":{}}" };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct error e = { "" };
        assert_null(status_parse(slice_of(texts[i]), "upstreams", &e));
        assert_true(*e.text);
    }
}

static void troubles_are_told(void **state)
{
    (void)state;
    const struct status_view view = { .now = now };
    contains(&view,
             "{\"version\":\"1\",\"worker_crashes\":2,\"stopping\":true,\"reloads\":{\"last\":"
             "{\"at\":1990,\"ok\":false,\"problems\":[{\"severity\":\"error\"},"
             "{\"severity\":\"warning\"}]}},\"upstreams\":[]}",
             "  last reload refused, 10s ago: 1 error  worker crashes: 2  stopping\n");
    contains(&view,
             UPSTREAMS("{\"name\":\"a\",\"balance\":\"random\",\"active\":0,\"queued\":4,"
                       "\"panic\":true,\"trouble\":\"cannot resolve\",\"endpoints\":[]}"),
             "\na  random  0 of 0 ready  0 active  4 queued  panic: ejected ones get requests too  "
             "cannot resolve\n");
    /* Every state that is not ready says why, with or without a reason of the gateway's. */
    static const char *const states[] = { "unchecked", "starting", "unhealthy",
                                          "ejected",   "draining", "of tomorrow" };
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        char text[400];
        snprintf(text, sizeof(text), UPSTREAMS(API("{\"state\":\"%s\"}")), states[i]);
        contains(&view, text, "0 of 1 ready");
        lacks(&view, text, "  -\n");
    }
    contains(&view, UPSTREAMS(API("{\"state\":\"ejected\"}")), "gets none for a while\n");
    contains(&view, UPSTREAMS(API("{\"state\":\"ready\",\"backup\":true}")), "  backup; -\n");
    contains(&view, UPSTREAMS(API("{\"state\":\"ready\",\"check\":{\"ok\":true,\"at\":1999}}")),
             "  ok, 1s ago\n");
    contains(&view, UPSTREAMS(API("{\"state\":\"ready\",\"check\":{\"ok\":false}}")), "  failed\n");
}

static void only_those_that_are_named(void **state)
{
    (void)state;
    char                     name[] = "b";
    char *const              names[] = { name };
    const struct status_view view = { .now = now, .names = names, .name_count = 1 };
    const char              *text = UPSTREAMS("{\"name\":\"a\",\"balance\":\"random\"},"
                                                           "{\"name\":\"b\",\"balance\":\"random\"}");
    contains(&view, text, "\nb  random");
    lacks(&view, text, "\na  random");
}

/* ---- texts of others ---- */

struct escape_case {
    struct slice in;
    const char  *out;
    size_t       width;
};

static void texts_are_made_clean(void **state)
{
    (void)state;
    static const struct escape_case cases[] = {
        { SLICE("plain text ~"), "plain text ~", 12 },
        { SLICE("\033[31m\a"), "\\x1b[31m\\x07", 12 },
        { SLICE("a\r\n\tb\0c\v\x7f"), "a\\r\\n\\tb\\x00c\\x0b\\x7f", 21 },
        { SLICE("\xc2\x9b"
                "2J"),
          "\\u009b2J", 8 },
        { SLICE("\xff\xc3("), "\\xff\\xc3(", 9 },
        { SLICE("\xed\xa0\x80"), "\\xed\\xa0\\x80", 12 },
        { SLICE("\xe2\x80\xae\xe2\x81\xa6\xe2\x80\x8b\xef\xbb\xbf"), "\\u202e\\u2066\\u200b\\ufeff",
          24 },
        { SLICE("\xe2\x80\xa8"), "\\u2028", 6 },
        { SLICE("\xf3\xa0\x81\x81"), "\\ue0041", 7 },
        { SLICE("caf\xc3\xa9"), "caf\xc3\xa9", 4 },
        { SLICE("cafe\xcc\x81"), "cafe\xcc\x81", 4 },
        { SLICE("\xe6\x97\xa5\xe6\x9c\xac"), "\xe6\x97\xa5\xe6\x9c\xac", 4 },
        { SLICE("\xf0\x9f\x9a\xaa"), "\xf0\x9f\x9a\xaa", 2 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer to = BUFFER_INIT;
        cells_put(&to, cases[i].in);
        assert_string_equal(to.data, cases[i].out);
        assert_int_equal(cells_width(buffer_slice(&to)), cases[i].width);
        buffer_reset(&to);
    }
}

/* Every text of the answer, each byte that could steer a terminal. */
#define EVIL "\\u001b[2J\\u0007\\u009b\\u0000\\n\\u202e\xff"

static void no_text_steers_the_terminal(void **state)
{
    (void)state;
    const struct status_view view = { .now = now, .rates = NULL };
    const char              *text =
        "{\"version\":\"" EVIL "\",\"listeners\":{\"\\u001b[2J\\n\":[\"" EVIL "\"]},\"upstreams\":["
        "{\"name\":\"" EVIL "\",\"balance\":\"" EVIL "\",\"trouble\":\"" EVIL "\",\"endpoints\":["
        "{\"address\":\"" EVIL "\",\"state\":\"" EVIL "\",\"reason\":\"" EVIL "\","
        "\"check\":{\"ok\":false,\"output\":\"" EVIL EVIL "\"}}]}]}";
    char                                            *shown = render(&view, text);
    for (const char *at = shown; *at; at++) {
        if (strncmp(at, "\xef\xbf\xbd", 3) == 0) at += 3; /* U+FFFD */
        if (*at != '\n') assert_in_range((unsigned char)*at, 0x20, 0x7e);
    }
    size_t lines = 0;
    for (const char *at = shown; (at = strchr(at, '\n')); at++) lines++;
    assert_int_equal(lines, 5);
    assert_non_null(strstr(shown, "failed: \\x1b[2J\\x07\\u009b\\x00\\n\\u202e\xef\xbf\xbd"));
    free(shown);
}

/* ---- widths ---- */

static void cut(const char *text, size_t width, const char *expected)
{
    struct buffer to = BUFFER_INIT;
    buffer_puts(&to, "before");
    buffer_puts(&to, text);
    cells_cut(&to, 6, width);
    to.data[to.len] = '\0';
    assert_string_equal(to.data + 6, expected);
    buffer_reset(&to);
}

static void cut_midst(const char *text, size_t width, const char *expected)
{
    struct buffer to = BUFFER_INIT;
    buffer_puts(&to, text);
    cells_cut_midst(&to, 0, width);
    assert_string_equal(to.data, expected);
    assert_true(cells_width(buffer_slice(&to)) <= width);
    buffer_reset(&to);
}

#define DOTS "\xe2\x80\xa6"

static void cutting(void **state)
{
    (void)state;
    cut("abcdef", 6, "abcdef");
    cut("abcdef", 5, "abcd" DOTS);
    cut("abcdef", 1, DOTS);
    cut("abcdef", 0, "");
    cut("", 0, "");
    /* A character that takes two cells is not cut in two. */
    cut("\xe6\x97\xa5\xe6\x9c\xac", 4, "\xe6\x97\xa5\xe6\x9c\xac");
    cut("\xe6\x97\xa5\xe6\x9c\xac", 3, "\xe6\x97\xa5" DOTS);
    cut("\xe6\x97\xa5\xe6\x9c\xac", 2, DOTS);
    /* A colour takes no room, and ends where the text is cut. */
    cut("\033[31mabc\033[0m", 3, "\033[31mabc\033[0m");
    cut("\033[31mabc\033[0m", 2, "\033[31ma" DOTS "\033[0m");
    cut_midst("10.0.0.7:80", 11, "10.0.0.7:80");
    cut_midst("10.0.0.7:80", 7, "10." DOTS ":80");
    cut_midst("10.0.0.7:80", 6, "10." DOTS "80");
    cut_midst("10.0.0.7:80", 1, DOTS);
    cut_midst("10.0.0.7:80", 0, "");
    cut_midst("a\xe6\x97\xa5\xe6\x9c\xac\xe6\x97\xa5", 4, "a" DOTS);
    cut_midst("a\xe6\x97\xa5\xe6\x9c\xac\xe6\x97\xa5", 6, "a\xe6\x97\xa5" DOTS "\xe6\x97\xa5");
}

/* Each line of it takes `width` cells at most. */
static void assert_fits(char *shown, size_t width)
{
    for (char *line = shown, *end; (end = strchr(line, '\n')); line = end + 1)
        assert_true(cells_width(slice_make(line, (size_t)(end - line))) <= width);
}

static void lines_fit_every_width(void **state)
{
    (void)state;
    json_t *rates = json_object();
    for (size_t width = 1; width < 150; width++) {
        const struct status_view view = {
            .width = width, .now = now, .has_color = true, .rates = rates, .note = "a note"
        };
        char *shown = render(&view, FULL);
        assert_fits(shown, width);
        free(shown);
    }
    json_decref(rates);
}

static void the_last_column_is_cut(void **state)
{
    (void)state;
    const struct status_view view = { .width = 94, .now = now };
    contains(&view, FULL, "  REQUESTS  FAILED  LATENCY  CHECK\n");
    contains(&view, FULL, "3 checks failed; check f" DOTS "\n");
    contains(&view, FULL, "  200 OK, 5s ago\n");
}

/* Why something is not ready is there at 80 columns, whatever it takes. */
static void columns_give_way(void **state)
{
    (void)state;
    struct status_view view = { .width = 87, .now = now };
    contains(&view, FULL, "  ACTIVE  FAILED  LATENCY  CHECK\n");
    view.width = 78;
    contains(&view, FULL, "  ACTIVE  FAILED  CHECK\n");
    view.width = 66;
    contains(&view, FULL, "  ACTIVE  CHECK\n");
    view.rates = json_object();
    view.width = 80;
    contains(&view, FULL, "  ADDRESS       STATE      SINCE  ACTIVE  REQ/S  FAILED  CHECK\n");
    contains(&view, FULL, "  3 checks failed; check" DOTS "\n");
    view.width = 20;
    contains(&view, FULL, "  10.0.0.10:80  unh" DOTS "\n");
    json_decref((json_t *)(uintptr_t)view.rates);
    view.rates = NULL;
    view.width = 0;
    contains(&view, FULL, "  ACTIVE  REQUESTS  FAILED  LATENCY  CHECK\n");
}

/* A long address leaves room for the rest, and keeps both its ends. */
static void long_addresses(void **state)
{
    (void)state;
    const struct status_view narrow = { .width = 100, .now = now }, pipe = { .now = now };
    const char              *text =
        UPSTREAMS(API("{\"address\":\"[2001:db8:1111:2222:3333:4444:5555:6666]:8080\","
                      "\"state\":\"ready\",\"check\":{\"ok\":true,\"output\":\"200 OK\"}}"));
    contains(&pipe, text, "  [2001:db8:1111:2222:3333:4444:5555:6666]:8080  ready  ");
    contains(&narrow, text, "  [2001:db8:111" DOTS "55:6666]:8080  ready  ");
    contains(&narrow, text, "  200 OK\n");
}

/* Ideographs take two cells: what is right of them is aligned all the same. */
static void columns_align_by_cells(void **state)
{
    (void)state;
    const struct status_view view = { .now = now };
    const char              *text =
        UPSTREAMS(API("{\"address\":\"\xe6\x97\xa5\xe6\x9c\xac\",\"state\":\"ready\"},"
                      "{\"address\":\"abcdefghi\",\"state\":\"ready\"}"));
    contains(&view, text, "  \xe6\x97\xa5\xe6\x9c\xac       ready  ");
    contains(&view, text, "  abcdefghi  ready  ");
}

static void colours_are_by_state(void **state)
{
    (void)state;
    const struct status_view view = { .now = now, .has_color = true };
    contains(&view, FULL, "  \033[32mready\033[0m      ");
    contains(&view, FULL, "  \033[31munhealthy\033[0m  ");
    contains(&view, FULL, "  \033[33m1 of 2 ready\033[0m  ");
    contains(&view, UPSTREAMS(API("{\"state\":\"draining\"}")), "\033[33mdraining\033[0m");
    contains(&view, UPSTREAMS(API("{\"state\":\"ejected\"}")), "\033[31mejected\033[0m");
    contains(&view, UPSTREAMS(API("{\"state\":\"draining\"}")), "\033[31m0 of 1 ready\033[0m");
}

/* ---- heights ---- */

/* `count` upstreams of a thousand endpoints; those whose number ends so are not ready. */
static char *many(unsigned upstreams, const char *bad_ending)
{
    struct buffer to = BUFFER_INIT;
    buffer_puts(&to, "{\"version\":\"1\",\"upstreams\":[");
    for (unsigned u = 0; u < upstreams; u++) {
        buffer_printf(&to, "%s{\"name\":\"u%u\",\"balance\":\"random\",\"endpoints\":[",
                      u ? "," : "", u);
        for (unsigned i = 0; i < 1000; i++) {
            char address[40];
            snprintf(address, sizeof(address), "10.%u.%u.%u:80", u, i / 250, i % 250);
            bool is_bad = slice_ends_with(slice_of(address), slice_of(bad_ending));
            buffer_printf(&to, "%s{\"address\":\"%s\",\"state\":\"%s\",\"requests\":%u}",
                          i ? "," : "", address, is_bad ? "unhealthy" : "ready", i);
        }
        buffer_puts(&to, "]}");
    }
    buffer_puts(&to, "]}");
    return buffer_detach(&to);
}

static size_t count_lines(const char *text)
{
    size_t count = 0;
    for (; (text = strchr(text, '\n')); text++) count++;
    return count;
}

static void problems_come_first(void **state)
{
    (void)state;
    char              *text = many(5, ".2.123:80");
    struct status_view view = { .width = 120, .height = 24, .now = now };
    char              *shown = render(&view, text);
    assert_int_equal(count_lines(shown), 24);
    for (unsigned u = 0; u < 5; u++) {
        char row[60];
        snprintf(row, sizeof(row), "\n  10.%u.2.123:80  unhealthy", u);
        assert_non_null(strstr(shown, row));
    }
    /* Five headings, five problems, ten sound ones. */
    assert_non_null(strstr(shown, "\n  10.0.0.0:80    ready "));
    assert_non_null(strstr(shown, "\nnot shown: 4985 endpoints\n"));
    free(shown);
    view.height = 8;
    contains(&view, text, "\nnot shown: 4998 endpoints, 3 of them not ready; 3 upstreams\n");
    view.height = 0;
    shown = render(&view, text);
    assert_int_equal(count_lines(shown), 3 + 5 + 5000);
    assert_null(strstr(shown, "not shown"));
    free(shown);
    free(text);
}

static void every_height_is_kept(void **state)
{
    (void)state;
    char *text = many(2, "9:80");
    for (size_t height = 4; height < 60; height++) {
        const struct status_view view = { .height = height, .now = now };
        char                    *shown = render(&view, text);
        assert_in_range(count_lines(shown), height - 1, height);
        free(shown);
    }
    free(text);
    /* What fits to the last line hides nothing. */
    const struct status_view view = { .height = 6, .now = now };
    lacks(&view, FULL, "not shown");
}

/* ---- numbers ---- */

static void age(double since, const char *expected)
{
    struct buffer to = BUFFER_INIT;
    status_put_age(&to, since, 1764115201.5);
    assert_string_equal(to.data, expected);
    buffer_reset(&to);
}

static void ages(void **state)
{
    (void)state;
    static const double at = 1764115201.5;
    age(at, "0s");
    age(at + 5, "0s");
    age(at - 12.9, "12s");
    age(at - 59.9, "59s");
    age(at - 60, "1m");
    age(at - 3599, "59m");
    age(at - 3600, "1h");
    age(at - 86399, "23h");
    age(at - 86400, "1d");
    age(at - 400 * 86400.0, "400d");
    age(0, "-");
    age(-1e300, "-");
    age(1e300, "0s");
}

static void latency(double ms, const char *expected)
{
    struct buffer to = BUFFER_INIT;
    status_put_latency(&to, ms);
    assert_string_equal(to.data, expected);
    buffer_reset(&to);
}

static void latencies(void **state)
{
    (void)state;
    latency(0.004, "0.00ms");
    latency(0.85, "0.85ms");
    latency(0.999, "1.0ms");
    latency(9.94, "9.9ms");
    latency(9.96, "10ms");
    latency(999.4, "999ms");
    latency(999.6, "1.0s");
    latency(61234, "61s");
}

/* ---- rates ---- */

#define COUNTED(started, name, identity, requests)                                                 \
    "{\"started\":" #started ",\"upstreams\":[{\"name\":\"" name "\",\"endpoints\":[{\"address\":" \
    "\"x\",\"identity\":\"" identity "\",\"requests\":" #requests "}]}]}"

/* What the only endpoint's rate is; -1: unknown. */
static double rate_between(const char *before, const char *after, double seconds)
{
    json_t       *a = before ? parse(before) : NULL, *b = parse(after);
    json_t       *rates = status_rates(a, b, seconds);
    const json_t *upstream = json_array_get(status_upstreams(b), 0);
    const json_t *endpoint = json_array_get(json_object_get(upstream, "endpoints"), 0);
    double        rate = -1;
    if (!status_rate(rates, upstream, endpoint, &rate)) rate = -1;
    json_decref(rates);
    json_decref(a);
    json_decref(b);
    return rate;
}

static void rates_are_between_two_answers(void **state)
{
    (void)state;
    const char *first = COUNTED(5, "a", "x", 100);
    assert_true(rate_between(first, COUNTED(5, "a", "x", 150), 2) == 25);
    assert_true(rate_between(first, first, 1) == 0);
    /* Unknown: the first one, another process, a count begun anew, another endpoint. */
    assert_true(rate_between(NULL, first, 1) == -1);
    assert_true(rate_between(first, COUNTED(6, "a", "x", 150), 1) == -1);
    assert_true(rate_between(first, COUNTED(5, "a", "x", 50), 1) == -1);
    assert_true(rate_between(first, COUNTED(5, "a", "y", 150), 1) == -1);
    assert_true(rate_between(first, COUNTED(5, "b", "x", 150), 1) == -1);
    assert_true(rate_between(first, COUNTED(5, "a", "x", 150), 0) == -1);
}

static void rates_have_a_column(void **state)
{
    (void)state;
    json_t            *before = parse(COUNTED(5, "a", "x", 100)), *after;
    const char        *text = COUNTED(5, "a", "x", 103);
    struct status_view view = { .now = now };
    lacks(&view, text, "REQ/S");
    after = parse(text);
    json_t *rates = status_rates(before, after, 1.5);
    view.rates = rates;
    contains(&view, text, "  REQUESTS  REQ/S  FAILED");
    contains(&view, text, "       103    2.0       -");
    json_decref(rates);
    view.rates = rates = json_object();
    contains(&view, text, "       103      -       -");
    json_decref(rates);
    json_decref(before);
    json_decref(after);
}

static int set_up(void **state)
{
    (void)state;
    cells_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_table),
        cmocka_unit_test(a_reason_that_has_the_check),
        cmocka_unit_test(missing_fields_are_unknown),
        cmocka_unit_test(no_upstreams),
        cmocka_unit_test(what_is_no_status_is_refused),
        cmocka_unit_test(troubles_are_told),
        cmocka_unit_test(only_those_that_are_named),
        cmocka_unit_test(texts_are_made_clean),
        cmocka_unit_test(no_text_steers_the_terminal),
        cmocka_unit_test(cutting),
        cmocka_unit_test(lines_fit_every_width),
        cmocka_unit_test(columns_give_way),
        cmocka_unit_test(the_last_column_is_cut),
        cmocka_unit_test(long_addresses),
        cmocka_unit_test(columns_align_by_cells),
        cmocka_unit_test(colours_are_by_state),
        cmocka_unit_test(problems_come_first),
        cmocka_unit_test(every_height_is_kept),
        cmocka_unit_test(ages),
        cmocka_unit_test(latencies),
        cmocka_unit_test(rates_are_between_two_answers),
        cmocka_unit_test(rates_have_a_column),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
