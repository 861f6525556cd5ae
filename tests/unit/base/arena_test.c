/* SPDX-License-Identifier: Apache-2.0
 *
 * Arenas: alignment, block use, oversized pieces, hooks, copies.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"

enum { BLOCK_BYTES = 1024 };

static struct block_pool pool;
static struct arena      arena;

static int setup(void **state)
{
    (void)state;
    block_pool_init(&pool, BLOCK_BYTES, 8);
    arena_init(&arena, &pool);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_reset(&arena);
    block_pool_reset(&pool);
    return 0;
}

static void costs_nothing_until_used(void **state)
{
    (void)state;
    assert_int_equal(arena_bytes(&arena), 0);
    arena_reset(&arena);
    assert_int_equal(pool.free_count, 0);
}

static void pieces_are_aligned_and_apart(void **state)
{
    (void)state;
    char *piece[64];
    for (size_t i = 0; i < 64; i++) {
        piece[i] = arena_alloc(&arena, i + 1);
        assert_int_equal((uintptr_t)piece[i] % 8, 0);
        memset(piece[i], (int)i, i + 1);
    }
    for (size_t i = 0; i < 64; i++)
        for (size_t at = 0; at <= i; at++) assert_int_equal(piece[i][at], (char)i);
}

static void nothing_is_a_piece_too(void **state)
{
    (void)state;
    assert_non_null(arena_alloc(&arena, 0));
    assert_non_null(arena_zalloc(&arena, 0));
    assert_int_equal(arena_copy(&arena, slice_make(NULL, 0)).len, 0);
}

static void zalloc_gives_zeroes(void **state)
{
    (void)state;
    memset(arena_alloc(&arena, 500), 0xff, 500);
    arena_reset(&arena);
    char zeroes[500] = { 0 };
    assert_memory_equal(arena_zalloc(&arena, 500), zeroes, 500);
}

static void oversized_piece_leaves_the_current_block_in_use(void **state)
{
    (void)state;
    char *before = arena_alloc(&arena, 16);
    char *big = arena_alloc(&arena, 10 * BLOCK_BYTES);
    char *after = arena_alloc(&arena, 16);
    memset(big, 1, 10 * BLOCK_BYTES);
    assert_ptr_equal(after, before + 16);
    assert_true(arena_bytes(&arena) > 11 * BLOCK_BYTES);
    /* First of all, it is a block of its own and the next piece opens another. */
    arena_reset(&arena);
    memset(arena_alloc(&arena, 10 * BLOCK_BYTES), 1, 10 * BLOCK_BYTES);
    memset(arena_alloc(&arena, 16), 2, 16);
}

static void blocks_go_back_to_the_pool(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) memset(arena_alloc(&arena, 600), 1, 600);
    assert_int_equal(arena_bytes(&arena), 5 * BLOCK_BYTES);
    memset(arena_alloc(&arena, BLOCK_BYTES), 1, BLOCK_BYTES);
    assert_in_range(arena_bytes(&arena), 6 * BLOCK_BYTES, 7 * BLOCK_BYTES);
    arena_reset(&arena);
    assert_int_equal(arena_bytes(&arena), 0);
#ifndef __SANITIZE_ADDRESS__
    assert_true(pool.free_count == 5 || pool.free_count == 0 /* clang's ASan */);
#endif
}

static void works_without_a_pool(void **state)
{
    (void)state;
    struct arena plain;
    arena_init(&plain, NULL);
    for (size_t i = 0; i < 100; i++) memset(arena_alloc(&plain, 997), (int)i, 997);
    assert_true(arena_bytes(&plain) >= 100 * 997);
    arena_reset(&plain);
}

struct trace {
    char   text[8];
    size_t len;
};

struct note {
    struct trace *trace;
    char          letter;
};

static void write_note(void *arg)
{
    const struct note *n = arg;
    n->trace->text[n->trace->len++] = n->letter;
}

static void hooks_run_last_first_and_once(void **state)
{
    (void)state;
    struct trace trace = { .len = 0 };
    for (char c = 'a'; c <= 'c'; c++) {
        struct note *n = arena_alloc(&arena, sizeof(*n));
        *n = (struct note){ &trace, c };
        arena_on_reset(&arena, write_note, n);
    }
    arena_reset(&arena);
    arena_reset(&arena);
    assert_string_equal(trace.text, "cba");
}

static void copies_are_terminated(void **state)
{
    (void)state;
    struct slice copy = arena_copy(&arena, slice_make("abcdef", 3));
    assert_int_equal(copy.len, 3);
    assert_string_equal(copy.data, "abc");
    assert_string_equal(arena_strdup(&arena, ""), "");
    struct slice text = arena_printf(&arena, "%s-%d", "x", 42);
    assert_int_equal(text.len, 4);
    assert_string_equal(text.data, "x-42");
    struct slice wide = arena_printf(&arena, "%5000d", 7);
    assert_int_equal(wide.len, 5000);
    assert_int_equal(wide.data[4999], '7');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(costs_nothing_until_used, setup, teardown),
        cmocka_unit_test_setup_teardown(pieces_are_aligned_and_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_a_piece_too, setup, teardown),
        cmocka_unit_test_setup_teardown(zalloc_gives_zeroes, setup, teardown),
        cmocka_unit_test_setup_teardown(oversized_piece_leaves_the_current_block_in_use, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(blocks_go_back_to_the_pool, setup, teardown),
        cmocka_unit_test_setup_teardown(works_without_a_pool, setup, teardown),
        cmocka_unit_test_setup_teardown(hooks_run_last_first_and_once, setup, teardown),
        cmocka_unit_test_setup_teardown(copies_are_terminated, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
