/* SPDX-License-Identifier: Apache-2.0
 *
 * Block pools: reuse, and the bound on what is kept.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/block.h"

/* Under AddressSanitizer nothing is kept, so that use after giving is reported. */
#if defined(__SANITIZE_ADDRESS__)
#define KEEPS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEEPS 0
#endif
#endif
#ifndef KEEPS
#define KEEPS 1
#endif

static void given_blocks_are_taken_again(void **state)
{
    (void)state;
    struct block_pool pool;
    block_pool_init(&pool, 256, 4);
    void *first = block_take(&pool);
    memset(first, 1, 256);
    block_give(&pool, first);
    assert_int_equal(pool.free_count, KEEPS);
    void *again = block_take(&pool);
    if (KEEPS) assert_ptr_equal(again, first);
    assert_int_equal(pool.free_count, 0);
    block_give(&pool, again);
    block_pool_reset(&pool);
    assert_int_equal(pool.free_count, 0);
    assert_null(pool.free_list);
}

static void no_more_than_the_bound_is_kept(void **state)
{
    (void)state;
    struct block_pool pool;
    void             *blocks[10];
    block_pool_init(&pool, 64, 3);
    for (int i = 0; i < 10; i++) blocks[i] = memset(block_take(&pool), i, 64);
    for (int i = 0; i < 10; i++) assert_int_equal(*(char *)blocks[i], i);
    for (int i = 0; i < 10; i++) block_give(&pool, blocks[i]);
    assert_int_equal(pool.free_count, KEEPS * 3);
    block_pool_reset(&pool);
}

static void giving_null_is_nothing(void **state)
{
    (void)state;
    struct block_pool pool;
    block_pool_init(&pool, 64, 3);
    block_give(&pool, NULL);
    assert_int_equal(pool.free_count, 0);
    block_pool_reset(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(given_blocks_are_taken_again),
        cmocka_unit_test(no_more_than_the_bound_is_kept),
        cmocka_unit_test(giving_null_is_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
