/* SPDX-License-Identifier: Apache-2.0
 *
 * The generated documents are current, and what they show as examples loads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "conf/load.h"

static struct buffer file_text(const char *name)
{
    struct buffer text = BUFFER_INIT;
    struct error  e = { "" };
    char          path[1024];
    const char   *folder = getenv("srcdir"), *top = getenv("top_srcdir");
    snprintf(path, sizeof(path), "%s/%s", folder ? folder : top ? top : ".", name);
    if (!conf_reader_direct.read(NULL, path, 1 << 20, &text, &e)) fail_msg("%s", e.text);
    return text;
}

/* When it fails: `wharfgate reference > docs/reference.md`, and `schema` likewise. */
static void assert_current(const char *name, void (*emit)(struct buffer *to))
{
    struct buffer there = file_text(name), made = BUFFER_INIT;
    emit(&made);
    if (!slice_eq(buffer_slice(&there), buffer_slice(&made))) fail_msg("%s is not current", name);
    buffer_reset(&there);
    buffer_reset(&made);
}

static void test_reference_is_current(void **state)
{
    (void)state;
    assert_current("docs/reference.md", conf_emit_reference);
}

static void test_schema_is_current(void **state)
{
    (void)state;
    assert_current("docs/wharfgate.schema.json", conf_emit_schema);
}

/* What the examples need around them: the files that they are included by. */
struct examples {
    struct slice found[64];
    size_t       count;
    size_t       current;
};

static const char around[] = "include: [example.yaml]\n"
                             "listeners:\n"
                             "  around: { address: \"127.0.0.1:1\", tls: { self_signed: true } }\n";

/* Added where the example does not define the section itself. */
static const char *const extras[][2] = {
    { "upstreams:", "upstreams: { backend: { servers: [a:1] }, legacy: { servers: [b:1] } }\n" },
    { "rate_limits:", "rate_limits: { api: { rate: 1/s }, login: { rate: 1/s } }\n" },
};

static bool read_example(void *arg, const char *path, size_t max_bytes, struct buffer *to,
                         struct error *e)
{
    const struct examples *x = arg;
    (void)max_bytes;
    if (!strstr(path, "example.yaml")) return error_set(e, "%s is not there", path);
    buffer_put_slice(to, x->found[x->current]);
    return true;
}

static bool has_section(struct slice text, const char *key)
{
    return memmem(text.data, text.len, key, strlen(key)) != NULL;
}

static void load_example(struct examples *x)
{
    const struct conf_reader reader = { read_example, NULL, x };
    struct conf_report       report;
    struct buffer            text = BUFFER_INIT, problems = BUFFER_INIT;
    buffer_puts(&text, around);
    for (size_t i = 0; i < 2; i++)
        if (!has_section(x->found[x->current], extras[i][0])) buffer_puts(&text, extras[i][1]);
    conf_report_init(&report);
    struct settings *s = conf_load_text("around.yaml", buffer_slice(&text), &reader, &report);
    conf_report_print(&report, &problems, false);
    if (!s) fail_msg("%s", problems.data);
    settings_free(s);
    buffer_reset(&text);
    buffer_reset(&problems);
    conf_report_reset(&report);
}

/* Finds the ```yaml blocks. */
static void find_examples(struct examples *x, const char *text)
{
    static const char start[] = "```yaml\n", end[] = "```\n";
    while ((text = strstr(text, start))) {
        const char *from = text + strlen(start);
        text = strstr(from, end);
        assert_non_null(text);
        assert_true(x->count < 64);
        x->found[x->count++] = slice_make(from, (size_t)(text - from));
        text += strlen(end);
    }
}

static void test_examples_load(void **state)
{
    struct examples x = { .count = 0 };
    struct buffer   reference = BUFFER_INIT;
    (void)state;
    conf_emit_reference(&reference);
    find_examples(&x, reference.data);
    assert_true(x.count >= 17);
    for (x.current = 0; x.current < x.count; x.current++) load_example(&x);
    buffer_reset(&reference);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_is_current),
        cmocka_unit_test(test_schema_is_current),
        cmocka_unit_test(test_examples_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
