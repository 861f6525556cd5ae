/* SPDX-License-Identifier: Apache-2.0
 *
 * WebSocket's frames: boundaries are found however the bytes come, what is no frame is seen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "http/websocket.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct sample {
    unsigned first; /* FIN, RSV, opcode */
    uint64_t len;   /* of the payload */
};

static const struct sample samples[] = {
    { 0x81, 0 }, { 0x82, 1 }, { 0x01, 125 }, { 0x00, 126 }, { 0x80, 65535 }, { 0x82, 65536 },
    { 0x89, 0 }, { 0xc1, 5 }, { 0x8a, 125 }, { 0x82, 127 }, { 0x81, 3 },     { 0x82, 70000 },
};

/* Appends a frame's head; its payload is of 0xff, which no head of ours begins with. */
static void put_head(struct buffer *b, const struct sample *s, bool is_masked)
{
    unsigned mask = is_masked ? 0x80 : 0;
    unsigned more = s->len < 126 ? 0 : s->len < 65536 ? 2 : 8;
    buffer_put_char(b, (char)s->first);
    buffer_put_char(b, (char)(mask | (more == 8 ? 127 : more ? 126 : (unsigned)s->len)));
    while (more) buffer_put_char(b, (char)(s->len >> (--more * 8)));
    for (unsigned i = 0; is_masked && i < 4; i++) buffer_put_char(b, (char)0xff);
}

static void put_frame(struct buffer *b, const struct sample *s, bool is_masked)
{
    put_head(b, s, is_masked);
    for (uint64_t i = 0; i < s->len; i++) buffer_put_char(b, (char)0xff);
}

static struct websocket_scan from(bool is_masked)
{
    return (struct websocket_scan){ .is_masked = is_masked };
}

/* In pieces of `step` bytes: exactly at the ends of frames it stands at a boundary. */
static void expect_boundaries(bool is_masked, size_t step)
{
    struct websocket_scan s = from(is_masked);
    struct buffer         b = BUFFER_INIT;
    size_t                ends[COUNT(samples)], at = 0, next = 0;
    for (size_t i = 0; i < COUNT(samples); i++) {
        put_frame(&b, &samples[i], is_masked);
        ends[i] = b.len;
    }
    while (at < b.len) {
        size_t count = b.len - at < step ? b.len - at : step;
        size_t used = websocket_scan(&s, slice_make(b.data + at, count), true);
        at += used;
        assert_true(used == count || at == ends[next]);
        if (at < ends[next]) {
            assert_int_not_equal(s.part, WEBSOCKET_BOUNDARY);
            continue;
        }
        assert_int_equal(at, ends[next++]);
        assert_int_equal(s.part, WEBSOCKET_BOUNDARY);
    }
    assert_int_equal(next, COUNT(samples));
    assert_false(websocket_is_closing(&s));
    buffer_reset(&b);
}

static void boundaries_are_found(void **state)
{
    static const size_t steps[] = { 1, 2, 3, 7, 64, 4096, 65536, SIZE_MAX };
    (void)state;
    for (size_t i = 0; i < COUNT(steps); i++) {
        expect_boundaries(false, steps[i]);
        expect_boundaries(true, steps[i]);
    }
}

static void without_a_stop_all_is_taken(void **state)
{
    struct websocket_scan s = from(true);
    struct buffer         b = BUFFER_INIT;
    (void)state;
    for (size_t i = 0; i < COUNT(samples); i++) put_frame(&b, &samples[i], true);
    assert_int_equal(websocket_scan(&s, slice_make(b.data, b.len - 1), false), b.len - 1);
    assert_int_equal(s.part, WEBSOCKET_REST);
    assert_int_equal(s.left_bytes, 1);
    buffer_reset(&b);
}

/* Up to 2^63 - 1 bytes are a frame. */
static void the_largest(void **state)
{
    struct websocket_scan s = from(false);
    struct sample         largest = { 0x82, INT64_MAX };
    struct buffer         b = BUFFER_INIT;
    (void)state;
    put_head(&b, &largest, false);
    websocket_scan(&s, buffer_slice(&b), true);
    assert_int_equal(s.part, WEBSOCKET_REST);
    assert_true(s.left_bytes == INT64_MAX);
    buffer_reset(&b);
    s = from(true);
    put_head(&b, &largest, true);
    websocket_scan(&s, buffer_slice(&b), true);
    assert_true(s.left_bytes == (uint64_t)INT64_MAX);
    buffer_reset(&b);
}

static const struct wrong {
    const char *bytes;
    size_t      len;
    bool        is_masked;
} wrongs[] = {
    { "\x83\x00", 2, false },                    /* opcodes that there are none of */
    { "\x87\x00", 2, false },                    /* */
    { "\x8b\x00", 2, false },                    /* */
    { "\x8f\x00", 2, false },                    /* */
    { "GET / HTTP/1.1\r\n", 16, true },          /* another protocol */
    { "HTTP/1.1 200 OK\r\n", 17, false },        /* */
    { "\x81\x81", 2, false },                    /* a server that masks */
    { "\x81\x01", 2, true },                     /* a client that does not */
    { "\x09\x00", 2, false },                    /* control frames are whole, */
    { "\x88\x7e\x00\x7e", 4, false },            /* and short */
    { "\x82\x7f\x80\0\0\0\0\0\0\0", 10, false }, /* the first bit of a long length */
};

static void what_is_no_frame(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(wrongs); i++) {
        struct websocket_scan s = from(wrongs[i].is_masked);
        struct slice          bytes = slice_make(wrongs[i].bytes, wrongs[i].len);
        assert_int_equal(websocket_scan(&s, bytes, true), bytes.len);
        if (s.part != WEBSOCKET_BROKEN) fail_msg("number %zu is a frame", i);
        assert_int_equal(websocket_scan(&s, S("\x81\x01x"), true), 3);
        assert_int_equal(s.part, WEBSOCKET_BROKEN);
    }
}

static void a_close_is_seen(void **state)
{
    struct websocket_scan s = from(false);
    (void)state;
    websocket_scan(&s, S("\x81\x01x"), false);
    assert_false(websocket_is_closing(&s));
    for (const char *at = "\x88\x02\x03\xe9"; *at; at++) {
        assert_false(s.has_closed);
        websocket_scan(&s, slice_make(at, 1), true);
        assert_true(websocket_is_closing(&s));
    }
    assert_true(s.has_closed);
    assert_int_equal(s.part, WEBSOCKET_BOUNDARY);
    websocket_scan(&s, S("\x88"), false);
    websocket_scan(&s, S("\x00"), false); /* one without a code */
    assert_true(s.has_closed);
}

static void a_close_is_written(void **state)
{
    char to[WEBSOCKET_CLOSE_MAX];
    (void)state;
    assert_int_equal(websocket_write_close(to, WEBSOCKET_GOING_AWAY, NULL), 4);
    assert_memory_equal(to, "\x88\x02\x03\xe9", 4);
    assert_int_equal(websocket_write_close(to, 1000, "\x01\x02\x03\x04"), 8);
    assert_memory_equal(to, "\x88\x82\x01\x02\x03\x04\x02\xea", 8);
    struct websocket_scan s = from(true);
    websocket_scan(&s, slice_make(to, 8), true);
    assert_true(s.has_closed);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(boundaries_are_found), TEST(without_a_stop_all_is_taken),
        TEST(the_largest),          TEST(what_is_no_frame),
        TEST(a_close_is_seen),      TEST(a_close_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
