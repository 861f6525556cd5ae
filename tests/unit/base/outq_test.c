/* SPDX-License-Identifier: Apache-2.0
 *
 * Output queues: order, borrowing and owning, ranges of files, partial writes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/outq.h"

#include "base/buffer.h"
#include "base/random.h"

enum { BLOCK_BYTES = 256, IOV_MAX_TEST = 64 };

static struct block_pool pool;
static struct outq       q;

static int setup(void **state)
{
    (void)state;
    block_pool_init(&pool, BLOCK_BYTES, 4);
    outq_init(&q, &pool);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    outq_reset(&q);
    block_pool_reset(&pool);
    return 0;
}

static void forget_file(struct outq_file *f)
{
    close(f->fd);
    f->fd = -1;
}

/* With one reference, the test's. */
static struct outq_file file_with(const char *text, size_t len)
{
    struct outq_file f = { .fd = memfd_create("outq", 0), .ref_count = 1, .free = forget_file };
    assert_int_equal(write(f.fd, text, len), len);
    return f;
}

static char *whole_with_files(void)
{
    struct buffer b = BUFFER_INIT;
    assert_true(outq_copy(&q, buffer_reserve(&b, q.bytes), q.bytes));
    b.len = q.bytes;
    buffer_put_char(&b, 0);
    return buffer_detach(&b);
}

/* What a writev of everything would send. */
static char *whole(void)
{
    struct iovec  iov[IOV_MAX_TEST];
    struct buffer b = BUFFER_INIT;
    if (q.range_count) return whole_with_files();
    int n = outq_iovec(&q, iov, IOV_MAX_TEST);
    for (int i = 0; i < n; i++) {
        assert_true(iov[i].iov_len > 0);
        buffer_put(&b, iov[i].iov_base, iov[i].iov_len);
    }
    assert_int_equal(b.len, q.bytes);
    return buffer_detach(&b);
}

static void assert_whole(const char *expected)
{
    char *text = whole();
    assert_string_equal(text, expected);
    free(text);
}

static void empty_holds_nothing(void **state)
{
    (void)state;
    struct iovec iov;
    assert_true(outq_is_empty(&q));
    assert_int_equal(outq_iovec(&q, &iov, 1), 0);
    assert_int_equal(outq_front(&q).len, 0);
    outq_put(&q, "x", 1);
    assert_false(outq_is_empty(&q));
    outq_consume(&q, 1);
    assert_true(outq_is_empty(&q));
    assert_null(q.first);
    assert_null(q.last);
}

static void small_pieces_share_a_block(void **state)
{
    (void)state;
    struct iovec iov[IOV_MAX_TEST];
    for (int i = 0; i < 10; i++) outq_put(&q, "0123456789", 10);
    assert_int_equal(outq_iovec(&q, iov, IOV_MAX_TEST), 1);
    assert_int_equal(iov[0].iov_len, 100);
    assert_int_equal(q.borrowed_bytes, 0);
}

static void a_large_piece_is_spread(void **state)
{
    (void)state;
    char big[5 * BLOCK_BYTES + 1];
    memset(big, 'b', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    outq_put(&q, big, sizeof(big) - 1);
    assert_whole(big);
}

static void borrowed_bytes_are_written_from_where_they_lie(void **state)
{
    (void)state;
    static const char lent[] = "borrowed";
    struct iovec      iov[IOV_MAX_TEST];
    outq_put(&q, "head ", 5);
    outq_borrow(&q, lent, 8);
    outq_put(&q, " tail", 5);
    outq_borrow(&q, lent, 0);
    assert_int_equal(q.borrowed_bytes, 8);
    assert_int_equal(outq_iovec(&q, iov, IOV_MAX_TEST), 3);
    assert_ptr_equal(iov[1].iov_base, lent);
    assert_whole("head borrowed tail");
    /* As many entries as there is room for, and no more. */
    assert_int_equal(outq_iovec(&q, iov, 2), 2);
    assert_int_equal(outq_iovec(&q, iov, 1), 1);
}

static void two_loans_in_a_row(void **state)
{
    (void)state;
    outq_borrow(&q, "one ", 4);
    outq_borrow(&q, "two", 3);
    assert_whole("one two");
    assert_int_equal(q.borrowed_bytes, 7);
}

static void owning_frees_the_lender(void **state)
{
    (void)state;
    char lent[2 * BLOCK_BYTES], expected[2 * BLOCK_BYTES + 8] = "<<";
    memset(lent, 'l', sizeof(lent));
    outq_put(&q, "<<", 2);
    outq_borrow(&q, lent, sizeof(lent));
    outq_put(&q, ">>", 2);
    outq_borrow(&q, lent, 1);
    outq_own(&q);
    assert_int_equal(q.borrowed_bytes, 0);
    memset(expected + 2, 'l', sizeof(lent));
    memcpy(expected + 2 + sizeof(lent), ">>l", 4);
    memset(lent, '!', sizeof(lent));
    assert_whole(expected);
    outq_put(&q, "more", 4);
    assert_int_equal(q.bytes, 2 + sizeof(lent) + 3 + 4);
}

static void consuming_part_of_a_loan(void **state)
{
    (void)state;
    outq_put(&q, "ab", 2);
    outq_borrow(&q, "cdef", 4);
    outq_put(&q, "gh", 2);
    outq_consume(&q, 3);
    assert_int_equal(q.borrowed_bytes, 3);
    assert_whole("defgh");
    assert_int_equal(outq_front(&q).len, 3);
    outq_own(&q);
    assert_whole("defgh");
    outq_consume(&q, 4);
    assert_whole("h");
    outq_consume(&q, 1);
    assert_null(q.first);
}

static void reserve_and_commit(void **state)
{
    (void)state;
    size_t most = BLOCK_BYTES - 64;
    outq_put(&q, "a", 1);
    memset(outq_reserve(&q, most), 'r', most);
    outq_commit(&q, 3);
    outq_borrow(&q, "B", 1);
    memset(outq_reserve(&q, most), 's', most);
    outq_commit(&q, 2);
    assert_whole("arrrBss");
    outq_reset(&q);
    outq_reserve(&q, most);
    outq_commit(&q, 0);
    assert_true(outq_is_empty(&q));
    outq_consume(&q, 0);
    assert_null(q.first);
}

static void a_range_of_a_file_stays_in_it(void **state)
{
    (void)state;
    char text[1000];
    memset(text, 'f', sizeof(text));
    memcpy(text + 100, "<range>", 7);
    struct outq_file  f = file_with(text, sizeof(text));
    struct outq_range front, range = { &f, 100, 500 };
    struct iovec      iov[IOV_MAX_TEST];
    outq_put(&q, "head", 4);
    outq_put_range(&q, &range);
    outq_put(&q, "tail", 4);
    assert_int_equal(f.ref_count, 2);
    assert_int_equal(q.range_count, 1);
    assert_int_equal(q.bytes, 508);
    assert_int_equal(outq_iovec(&q, iov, IOV_MAX_TEST), 1); /* up to the file */
    assert_false(outq_front_range(&q, &front));
    outq_consume(&q, 5);
    assert_int_equal(outq_iovec(&q, iov, IOV_MAX_TEST), 0);
    assert_int_equal(outq_front(&q).len, 0);
    assert_true(outq_front_range(&q, &front));
    assert_true(front.file == &f && front.offset == 101 && front.bytes == 499);
    char begin[6];
    assert_true(outq_copy(&q, begin, sizeof(begin)));
    assert_memory_equal(begin, "range>", 6);
    outq_borrow(&q, "lent", 4);
    outq_own(&q); /* of what is lent alone */
    assert_int_equal(q.range_count, 1);
    outq_consume(&q, 499);
    assert_int_equal(f.ref_count, 1);
    assert_int_equal(q.range_count, 0);
    assert_whole("taillent");
    outq_put_range(&q, &range);
    outq_reset(&q);
    assert_int_equal(f.ref_count, 1);
    outq_file_unref(&f);
    assert_int_equal(f.fd, -1);
}

static void a_small_range_is_read_at_once(void **state)
{
    (void)state;
    struct outq_file f = file_with("0123456789", 10);
    outq_put(&q, "head ", 5);
    outq_put_range(&q, &(struct outq_range){ &f, 2, 3 });
    outq_put_range(&q, &(struct outq_range){ &f, 0, 0 });
    assert_int_equal(q.range_count, 0);
    assert_int_equal(f.ref_count, 1);
    struct iovec iov[IOV_MAX_TEST];
    assert_int_equal(outq_iovec(&q, iov, IOV_MAX_TEST), 1);
    assert_whole("head 234");
    outq_file_unref(&f);
}

static void a_short_file_is_found_out(void **state)
{
    (void)state;
    struct outq_file f = file_with("0123456789", 10);
    char             to[20];
    outq_put_range(&q, &(struct outq_range){ &f, 5, 10 });
    assert_int_equal(q.bytes, 10);
    assert_true(f.is_short);
    f.is_short = false;
    assert_true(outq_copy(&q, to, 5));
    assert_memory_equal(to, "56789", 5);
    assert_false(outq_copy(&q, to, 6));
    assert_true(f.is_short);
    outq_reset(&q);
    outq_file_unref(&f);
}

/* One random step on the queue and on a plain buffer that models it. */
static void random_step(struct random *r, struct buffer *model, const char *source,
                        struct outq_file *f)
{
    size_t from = random_below(r, 1000), len = random_below(r, 700);
    switch (random_below(r, 6)) {
    case 5:
        outq_put_range(&q, &(struct outq_range){ f, from, len });
        buffer_put(model, source + from, len);
        break;
    case 0:
    case 1:
        outq_put(&q, source + from, len);
        buffer_put(model, source + from, len);
        break;
    case 2:
        outq_borrow(&q, source + from, len);
        buffer_put(model, source + from, len);
        break;
    case 3:
        outq_own(&q);
        assert_int_equal(q.borrowed_bytes, 0);
        break;
    default:
        len = random_below(r, (uint32_t)q.bytes + 1);
        outq_consume(&q, len);
        buffer_consume(model, len);
    }
}

static void any_order_of_calls_keeps_the_bytes(void **state)
{
    (void)state;
    char          source[1700];
    struct random r = { { 1, 2, 3, 4 } };
    for (int round = 0; round < 200; round++) {
        struct buffer model = BUFFER_INIT;
        for (size_t i = 0; i < sizeof(source); i++) source[i] = (char)('a' + random_below(&r, 26));
        struct outq_file f = file_with(source, sizeof(source));
        for (int step = 0; step < 20; step++) {
            random_step(&r, &model, source, &f);
            assert_int_equal(q.bytes, model.len);
            assert_whole(model.len ? model.data : "");
        }
        outq_reset(&q);
        assert_int_equal(f.ref_count, 1);
        outq_file_unref(&f);
        buffer_reset(&model);
    }
}

static void small_pieces_keep_no_block_each(void **state)
{
    (void)state;
    char text[800] = "", lent[9] = "abcdefgh";
    for (int i = 0; i < 20; i++) {
        outq_put(&q, "<", 1);
        outq_borrow(&q, lent, 8);
        outq_put(&q, ">", 1);
        strncat(text, "<abcdefgh>", 11);
    }
    outq_own(&q);
    assert_whole(text);
    struct iovec iov[IOV_MAX_TEST];
    assert_in_range(outq_iovec(&q, iov, IOV_MAX_TEST), 1, 2);
    assert_int_equal(q.borrowed_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(empty_holds_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(small_pieces_share_a_block, setup, teardown),
        cmocka_unit_test_setup_teardown(small_pieces_keep_no_block_each, setup, teardown),
        cmocka_unit_test_setup_teardown(a_large_piece_is_spread, setup, teardown),
        cmocka_unit_test_setup_teardown(borrowed_bytes_are_written_from_where_they_lie, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(two_loans_in_a_row, setup, teardown),
        cmocka_unit_test_setup_teardown(owning_frees_the_lender, setup, teardown),
        cmocka_unit_test_setup_teardown(consuming_part_of_a_loan, setup, teardown),
        cmocka_unit_test_setup_teardown(reserve_and_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(a_range_of_a_file_stays_in_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_small_range_is_read_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_short_file_is_found_out, setup, teardown),
        cmocka_unit_test_setup_teardown(any_order_of_calls_keeps_the_bytes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
