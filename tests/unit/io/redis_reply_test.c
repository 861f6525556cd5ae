/* SPDX-License-Identifier: Apache-2.0
 *
 * Replies out of bytes: in pieces, nested, too large, and what is none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/memory.h"
#include "io/redis_reply.h"

struct bench {
    struct block_pool    pool;
    struct redis_reader *reader;
};

static int set_up(void **state)
{
    struct bench *b = mem_zalloc(sizeof(*b));
    block_pool_init(&b->pool, 4096, 16);
    b->reader = redis_reader_new(&b->pool);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    redis_reader_free(b->reader);
    block_pool_reset(&b->pool);
    free(b);
    return 0;
}

static const struct redis_reply *say(struct bench *b, const char *text)
{
    redis_reader_feed(b->reader, text, strlen(text));
    return redis_reader_next(b->reader);
}

static void expect_text(const struct redis_reply *r, enum redis_kind kind, const char *text)
{
    assert_non_null(r);
    assert_int_equal(r->kind, kind);
    assert_true(slice_eq(r->text, slice_of(text)));
}

static void each_kind(void **state)
{
    struct bench *b = *state;
    expect_text(say(b, "+OK\r\n"), REDIS_KIND_STATUS, "OK");
    expect_text(say(b, "-MOVED 1 a:2\r\n"), REDIS_KIND_ERROR, "MOVED 1 a:2");
    expect_text(say(b, "$3\r\na\r\n\r\n"), REDIS_KIND_TEXT, "a\r\n");
    expect_text(say(b, "$0\r\n\r\n"), REDIS_KIND_TEXT, "");
    assert_int_equal(say(b, "$-1\r\n")->kind, REDIS_KIND_NIL);
    assert_int_equal(say(b, "*-1\r\n")->kind, REDIS_KIND_NIL);
    const struct redis_reply *r = say(b, ":-9223372036854775807\r\n");
    assert_int_equal(r->kind, REDIS_KIND_INTEGER);
    assert_int_equal(r->integer, -9223372036854775807);
    r = say(b, "*4\r\n:1\r\n$1\r\na\r\n*2\r\n:2\r\n:3\r\n*0\r\n");
    assert_int_equal(r->kind, REDIS_KIND_ARRAY);
    assert_int_equal(r->count, 4);
    assert_int_equal(redis_integer_at(r, 0), 1);
    assert_true(slice_eq(redis_text_at(r, 1), S("a")));
    assert_int_equal(redis_integer_at(&r->items[2], 1), 3);
    assert_int_equal(r->items[3].count, 0);
    /* What is not there, or something else. */
    assert_int_equal(redis_integer_at(r, 1), -1);
    assert_int_equal(redis_integer_at(r, 4), -1);
    assert_int_equal(redis_text_at(r, 0).len, 0);
    assert_int_equal(redis_text_at(&r->items[0], 0).len, 0);
    assert_null(redis_reader_next(b->reader));
    assert_null(redis_reader_fault(b->reader));
}

static void a_byte_at_a_time(void **state)
{
    struct bench     *b = *state;
    static const char text[] = "*3\r\n:10\r\n$5\r\nhello\r\n*1\r\n-ERR x\r\n+OK\r\n";
    size_t            found = 0;
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        redis_reader_feed(b->reader, text + i, 1);
        const struct redis_reply *r = redis_reader_next(b->reader);
        if (!r) continue;
        if (found++) {
            expect_text(r, REDIS_KIND_STATUS, "OK");
            continue;
        }
        assert_int_equal(i, sizeof(text) - 7);
        assert_int_equal(redis_integer_at(r, 0), 10);
        expect_text(&r->items[1], REDIS_KIND_TEXT, "hello");
        expect_text(&r->items[2].items[0], REDIS_KIND_ERROR, "ERR x");
    }
    assert_int_equal(found, 2);
}

/* The memory of one is that of the next. */
static void many_cost_what_one_costs(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 10000; i++)
        assert_int_equal(redis_integer_at(say(b, "*4\r\n:1\r\n:2\r\n:3\r\n:4\r\n"), 3), 4);
    assert_null(redis_reader_next(b->reader));
    assert_true(b->pool.free_count <= 1);
}

static void expect_fault(struct bench *b, const char *fault)
{
    assert_null(redis_reader_next(b->reader));
    assert_non_null(redis_reader_fault(b->reader));
    assert_string_equal(redis_reader_fault(b->reader), fault);
    assert_null(say(b, "+OK\r\n"));
    assert_non_null(redis_reader_fault(b->reader));
}

static void what_is_no_reply(void **state)
{
    struct bench *b = *state;
    assert_null(say(b, "HTTP/1.1 400 Bad Request\r\n"));
    expect_fault(b, "what comes is no reply");
}

static const char too_large[] = "a reply is larger than any may be";

static void nested_without_end(void **state)
{
    struct bench *b = *state;
    assert_int_equal(redis_integer_at(say(b, "*1\r\n:1\r\n"), 0), 1);
    assert_non_null(say(b, "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"));
    for (int i = 0; i < 6; i++) assert_null(say(b, "*1\r\n"));
    assert_null(redis_reader_fault(b->reader));
    say(b, "*1\r\n");
    expect_fault(b, too_large);
}

static void more_items_than_any_has(void **state)
{
    struct bench *b = *state;
    assert_null(say(b, "*2147483647\r\n"));
    expect_fault(b, too_large);
}

static void more_items_in_all(void **state)
{
    struct bench *b = *state;
    assert_null(say(b, "*3\r\n*100000\r\n"));
    for (int i = 0; i < 100000; i++) assert_null(say(b, ":1\r\n"));
    assert_null(redis_reader_fault(b->reader));
    assert_null(say(b, "*200000\r\n"));
    expect_fault(b, too_large);
}

static void a_text_without_end(void **state)
{
    struct bench *b = *state;
    char         *much = mem_zalloc(1024 * 1024);
    assert_null(say(b, "$2000000000\r\n"));
    for (int i = 0; i < 16; i++) {
        assert_null(redis_reader_fault(b->reader));
        redis_reader_feed(b->reader, much, 1024 * 1024);
        assert_null(redis_reader_next(b->reader));
    }
    expect_fault(b, too_large);
    free(much);
}

static void texts_without_end(void **state)
{
    struct bench *b = *state;
    char         *much = mem_zalloc(1024 * 1024);
    assert_null(say(b, "*100\r\n"));
    for (int i = 0; i < 17; i++) {
        assert_null(redis_reader_fault(b->reader));
        assert_null(say(b, "$1048576\r\n"));
        redis_reader_feed(b->reader, much, 1024 * 1024);
        assert_null(say(b, "\r\n"));
    }
    expect_fault(b, too_large);
    free(much);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_kind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_byte_at_a_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_cost_what_one_costs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_reply, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nested_without_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_items_than_any_has, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_items_in_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_text_without_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(texts_without_end, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
