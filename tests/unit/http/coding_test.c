/* SPDX-License-Identifier: Apache-2.0
 *
 * Encoders against the decoders of zlib, brotli and zstd: whatever the pieces, the room
 * and the flushes, what comes out is what went in, and is readable at each flush.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config.h"

#include <malloc.h>
#include <stdlib.h>
#include <zlib.h>
#ifdef HAVE_BROTLI
#include <brotli/decode.h>
#endif
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

#include "base/buffer.h"
#include "base/memory.h"
#include "http/coder_pool.h"

enum { TEXT_BYTES = 300 * 1000, ROOM_MAX = 40 * 1024 };

static const int level_max[CODING_COUNT] = { 0, 9, 9, 9 };
static const int level_min[CODING_COUNT] = { 0, 1, 0, 1 };

/* ---- decoding ---- */

struct decoder {
    enum http_coding coding;
    z_stream         z;
#ifdef HAVE_BROTLI
    BrotliDecoderState *brotli;
#endif
#ifdef HAVE_ZSTD
    ZSTD_DCtx *zstd;
#endif
    struct buffer out;
    bool          has_ended;
};

static void decoder_init(struct decoder *d, enum http_coding coding)
{
    memset(d, 0, sizeof(*d));
    d->coding = coding;
    assert_int_equal(inflateInit2(&d->z, 31), Z_OK);
#ifdef HAVE_BROTLI
    d->brotli = BrotliDecoderCreateInstance(NULL, NULL, NULL);
#endif
#ifdef HAVE_ZSTD
    d->zstd = ZSTD_createDCtx();
#endif
}

static void decoder_reset(struct decoder *d)
{
    inflateEnd(&d->z);
#ifdef HAVE_BROTLI
    BrotliDecoderDestroyInstance(d->brotli);
#endif
#ifdef HAVE_ZSTD
    ZSTD_freeDCtx(d->zstd);
#endif
    buffer_reset(&d->out);
}

static size_t inflate_some(struct decoder *d, struct slice *in, char *to, size_t room)
{
    d->z.next_in = (Bytef *)(uintptr_t)in->data;
    d->z.avail_in = (uInt)in->len;
    d->z.next_out = (Bytef *)to;
    d->z.avail_out = (uInt)room;
    int result = inflate(&d->z, Z_SYNC_FLUSH);
    assert_true(result == Z_OK || result == Z_BUF_ERROR || result == Z_STREAM_END);
    d->has_ended = result == Z_STREAM_END;
    *in = slice_from(*in, in->len - d->z.avail_in);
    return room - d->z.avail_out;
}

static size_t decode_some(struct decoder *d, struct slice *in, char *to, size_t room)
{
#ifdef HAVE_BROTLI
    if (d->coding == CODING_BR) {
        size_t              left = in->len, unused = room;
        const uint8_t      *from = (const uint8_t *)in->data;
        uint8_t            *at = (uint8_t *)to;
        BrotliDecoderResult result =
            BrotliDecoderDecompressStream(d->brotli, &left, &from, &unused, &at, NULL);
        assert_int_not_equal(result, BROTLI_DECODER_RESULT_ERROR);
        d->has_ended = result == BROTLI_DECODER_RESULT_SUCCESS;
        *in = slice_from(*in, in->len - left);
        return room - unused;
    }
#endif
#ifdef HAVE_ZSTD
    if (d->coding == CODING_ZSTD) {
        ZSTD_inBuffer  from = { in->data, in->len, 0 };
        ZSTD_outBuffer at = { to, room, 0 };
        size_t         left = ZSTD_decompressStream(d->zstd, &at, &from);
        assert_false(ZSTD_isError(left));
        d->has_ended = left == 0;
        *in = slice_from(*in, from.pos);
        return at.pos;
    }
#endif
    return inflate_some(d, in, to, room);
}

static void decode(struct decoder *d, struct slice in)
{
    char   to[16 * 1024];
    size_t got;
    do {
        got = decode_some(d, &in, to, sizeof(to));
        buffer_put(&d->out, to, got);
    } while (in.len || got == sizeof(to));
}

/* ---- encoding ---- */

static uint32_t seed;

static uint32_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    return seed ^= seed << 5;
}

/* Half of it words, half of it noise. */
static char *make_text(void)
{
    static const char *const words[] = { "{\"id\":", "\"name\":\"", "wharf", "gate", "\n" };
    char                    *text = mem_alloc(TEXT_BYTES);
    size_t                   n = 0;
    while (n < TEXT_BYTES) {
        const char *word = words[next_random() % 5];
        if (n % 65536 > 32768)
            text[n++] = (char)next_random();
        else
            while (*word && n < TEXT_BYTES) text[n++] = *word++;
    }
    return text;
}

static size_t run_step(struct coder *c, struct decoder *d, struct slice in, enum coder_step step)
{
    static char out[ROOM_MAX];
    size_t      made = 0;
    bool        is_done;
    do {
        size_t room = next_random() % 4 ? 1 + next_random() % ROOM_MAX : 1 + next_random() % 8;
        struct coder_io io = { in, out, room };
        is_done = coder_run(c, &io, step);
        assert_true(is_done ? io.in.len == 0 : io.room == 0);
        decode(d, slice_make(out, room - io.room));
        made += room - io.room;
        in = io.in;
    } while (!is_done);
    return made;
}

/* One body of `len` bytes, in pieces. Returns how long it became. */
static size_t code_body(struct coder *c, const char *text, size_t len, bool is_known)
{
    struct decoder d;
    size_t         at = 0, made = 0;
    decoder_init(&d, c->coding);
    coder_begin(c, is_known ? (int64_t)len : -1);
    while (at < len) {
        size_t piece = next_random() % 3 ? next_random() % 3000 : next_random() % 100000;
        if (piece > len - at) piece = len - at;
        enum coder_step step = next_random() % 3 ? CODER_MORE : CODER_FLUSH;
        made += run_step(c, &d, slice_make(text + at, piece), step);
        at += piece;
        if (next_random() % 5 == 0) {
            made += run_step(c, &d, slice_make("", 0), CODER_FLUSH);
            step = CODER_FLUSH;
        }
        if (step == CODER_FLUSH) assert_int_equal(d.out.len, at);
    }
    made += run_step(c, &d, slice_make("", 0), CODER_FINISH);
    assert_true(d.has_ended);
    assert_int_equal(d.out.len, len);
    assert_memory_equal(d.out.data, text, len);
    decoder_reset(&d);
    return made;
}

#define EACH_CODER(coding, level)                                                                  \
    for (enum http_coding coding = CODING_GZIP; coding < CODING_COUNT; coding++)                   \
        for (int level = level_min[coding]; !coder_lacks(coding) && level <= level_max[coding];    \
             level++)

static void what_went_in_comes_out(void **state)
{
    char *text = make_text();
    (void)state;
    EACH_CODER(coding, level)
    {
        struct coder *c = coder_new(coding, level);
        for (int round = 0; round < 6; round++)
            code_body(c, text, round ? next_random() % TEXT_BYTES : 1, next_random() % 2);
        coder_free(c);
    }
    free(text);
}

/* One that was left amid a body begins the next one as if nothing had been. */
static void a_broken_off_body_leaves_nothing(void **state)
{
    char *text = make_text();
    (void)state;
    EACH_CODER(coding, level)
    {
        struct coder   *c = coder_new(coding, level);
        char            out[4096];
        struct coder_io io = { slice_make(text, TEXT_BYTES), out, 10 };
        coder_begin(c, TEXT_BYTES);
        coder_run(c, &io, CODER_FLUSH);
        code_body(c, text + 7, 5000, true);
        coder_free(c);
    }
    free(text);
}

static void memory_stays_within_what_is_said(void **state)
{
    char *text = make_text();
    (void)state;
    EACH_CODER(coding, level)
    {
        struct mallinfo2 before = mallinfo2();
        struct coder    *c = coder_new(coding, level);
        char             out[4096];
        for (int round = 0; round < 3; round++) {
            coder_begin(c, -1);
            for (size_t at = 0; at + 50000 <= TEXT_BYTES; at += 50000) {
                struct coder_io io = { slice_make(text + at, 50000), out, sizeof(out) };
                while (!coder_run(c, &io, at % 3 ? CODER_MORE : CODER_FLUSH)) {
                    io.out = out;
                    io.room = sizeof(out);
                }
            }
        }
        struct mallinfo2 after = mallinfo2();
        size_t           took = after.uordblks + after.hblkhd - before.uordblks - before.hblkhd;
        if (took > coder_memory(coding, level))
            fail_msg("%.*s level %d took %zu", SLICE_ARG(http_coding_name(coding)), level, took);
        coder_free(c);
    }
    free(text);
}

static void the_pool_is_bounded(void **state)
{
    struct coder_pool p;
    struct coder     *taken[3];
    size_t            one = coder_memory(CODING_GZIP, 1);
    (void)state;
    coder_pool_init(&p);
    assert_null(coder_pool_take(&p, CODING_GZIP, 1, -1));
    p.max_bytes = 3 * one;
    for (int i = 0; i < 3; i++) taken[i] = coder_pool_take(&p, CODING_GZIP, 1, -1);
    assert_non_null(taken[2]);
    assert_null(coder_pool_take(&p, CODING_GZIP, 1, -1));
    coder_pool_give(&p, taken[1]);
    assert_ptr_equal(coder_pool_take(&p, CODING_GZIP, 1, -1), taken[1]); /* the very same */
    for (int i = 0; i < 3; i++) coder_pool_give(&p, taken[i]);
    assert_int_equal(p.idle_count, 3);
    /* Of another kind: what lies idle makes room. */
    struct coder *other = coder_pool_take(&p, CODING_GZIP, 2, -1);
    assert_non_null(other);
    assert_true(p.used_bytes <= p.max_bytes);
    p.max_bytes = 0;
    coder_pool_give(&p, other);
    assert_true(p.idle_count < 3);
    coder_pool_reset(&p);
    assert_int_equal(p.used_bytes, 0);
}

static void names_are_known(void **state)
{
    (void)state;
    assert_int_equal(http_coding_lookup(S("GZip")), CODING_GZIP);
    assert_int_equal(http_coding_lookup(S("x-gzip")), CODING_GZIP);
    assert_int_equal(http_coding_lookup(S("br")), CODING_BR);
    assert_int_equal(http_coding_lookup(S("identity")), CODING_IDENTITY);
    assert_int_equal(http_coding_lookup(S("deflate")), CODING_COUNT);
    assert_null(coder_lacks(CODING_GZIP));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_went_in_comes_out),
        cmocka_unit_test(a_broken_off_body_leaves_nothing),
        cmocka_unit_test(memory_stays_within_what_is_said),
        cmocka_unit_test(the_pool_is_bounded),
        cmocka_unit_test(names_are_known),
    };
    seed = 2463534242u;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
