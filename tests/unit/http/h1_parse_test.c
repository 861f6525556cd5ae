/* SPDX-License-Identifier: Apache-2.0
 *
 * Where heads end, and the chunked coding without a codec around it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"
#include "http/h1_body.h"
#include "http/h1_parse.h"

/* The end at every offset from the start, seen from every place to look from. */
static void finds_the_end_of_a_head(void **state)
{
    (void)state;
    static const char *const ends[] = { "\r\n\r\n", "\n\n", "\n\r\n", "\r\n\n" };
    for (size_t e = 0; e < sizeof(ends) / sizeof(ends[0]); e++) {
        size_t n = strlen(ends[e]);
        for (size_t before = 0; before < 70; before++) {
            size_t len = before + n + 5;
            char  *text = mem_alloc(len);
            memset(text, 'a', len);
            memcpy(text + before, ends[e], n);
            assert_int_equal(h1_head_length(text, len, 0), before + n);
            for (size_t part = 0; part < before + n; part++) {
                char *cut = mem_alloc(part + !part);
                memcpy(cut, text, part);
                assert_int_equal(h1_head_length(cut, part, 0), 0);
                assert_int_equal(h1_head_length(text, len, part), before + n);
                free(cut);
            }
            free(text);
        }
    }
}

static void near_ends_are_none(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",       "\r",   "\n",       "\r\n",       "\r\n\r",
        "\r\r\n", "\n\r", "a\r\n\rb", "\r\n\r\r\n", "a\r\nb\r\nc\r\n",
        "\n\r\r"
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(h1_head_length(texts[i], strlen(texts[i]), 0), 0);
    assert_int_equal(h1_trailers_length("\r\n", 2, 0), 2);
    assert_int_equal(h1_trailers_length("\r", 1, 0), 0);
    assert_int_equal(h1_trailers_length("", 0, 0), 0);
    assert_int_equal(h1_trailers_length("A: b\r\n\r\n", 8, 0), 8);
    assert_int_equal(h1_trailers_length("A: b\r\n", 6, 0), 0);
}

static void chunk_lines(void **state)
{
    (void)state;
    static const struct {
        size_t      bytes;
        const char *line;
    } cases[] = {
        { 1, "1\r\n" },
        { 15, "f\r\n" },
        { 16, "10\r\n" },
        { 255, "ff\r\n" },
        { 256, "100\r\n" },
        { 4096, "1000\r\n" },
        { 65535, "ffff\r\n" },
        { 65536, "10000\r\n" },
        { 0xabcdef01, "abcdef01\r\n" },
        { SIZE_MAX, "ffffffffffffffff\r\n" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char   line[H1_CHUNK_LINE_MAX];
        size_t n = h1_chunk_line(line, cases[i].bytes);
        assert_true(slice_eq(slice_make(line, n), slice_of(cases[i].line)));
    }
}

static void a_chunk_may_be_large(void **state)
{
    (void)state;
    struct http_limits limits = { .chunk_extension_bytes = 10 };
    struct h1_chunked  c = { 0 };
    struct http_fault  fault;
    struct slice       data = { 0 };
    size_t             used;
    assert_int_equal(
        h1_chunked_next(&c, S("7fffffffffffffff\r\nabc"), &limits, &used, &data, &fault),
        H1_CHUNK_DATA);
    assert_int_equal(used, 21);
    assert_true(slice_eq(data, S("abc")));
    assert_true(c.left == UINT64_C(0x7fffffffffffffff) - 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_end_of_a_head),
        cmocka_unit_test(near_ends_are_none),
        cmocka_unit_test(chunk_lines),
        cmocka_unit_test(a_chunk_may_be_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
