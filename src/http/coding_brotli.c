/* SPDX-License-Identifier: Apache-2.0
 *
 * br by brotli. Its encoders cannot begin anew: each body has one of its own, made in the
 * memory that the last one left.
 */
#include <brotli/encode.h>
#include <stdlib.h>

#include "base/memory.h"
#include "http/coding_private.h"

enum {
    WINDOW_BITS = 16, /* with more, tables grow past what streams are worth */
    BLOCK_COUNT = 8,
    BLOCK_BYTES_MIN = 4096, /* smaller ones are malloc's business */
    FAST_LEVEL_MAX = 3,
    FAST_BYTES = 1024 * 1024,
    SLOW_BYTES = 2816 * 1024,
};

struct block {
    size_t bytes; /* of memory behind it */
    char   memory[] __attribute__((aligned(16)));
};

struct brotli_coder {
    struct coder        base;
    BrotliEncoderState *state;
    struct block       *kept[BLOCK_COUNT]; /* freed, for the next one; NULL: none */
};

static size_t memory_bytes(int level)
{
    return level <= FAST_LEVEL_MAX ? FAST_BYTES : SLOW_BYTES;
}

static void *take_block(void *coder, size_t bytes)
{
    struct brotli_coder *c = coder;
    for (size_t i = 0; i < BLOCK_COUNT && bytes >= BLOCK_BYTES_MIN; i++) {
        struct block *b = c->kept[i];
        if (!b || b->bytes < bytes || b->bytes > bytes + bytes / 4) continue;
        c->kept[i] = NULL;
        return b->memory;
    }
    struct block *b = mem_alloc(sizeof(*b) + bytes);
    b->bytes = bytes;
    return b->memory;
}

static void give_block(void *coder, void *memory)
{
    struct brotli_coder *c = coder;
    if (!memory) return;
    struct block *b = container_of(memory, struct block, memory);
    for (size_t i = 0; i < BLOCK_COUNT && b->bytes >= BLOCK_BYTES_MIN; i++) {
        if (c->kept[i]) continue;
        c->kept[i] = b;
        return;
    }
    free(b);
}

static struct coder *make(int level)
{
    struct brotli_coder *c = mem_zalloc(sizeof(*c));
    (void)level;
    return &c->base;
}

static void end(struct brotli_coder *c)
{
    if (c->state) BrotliEncoderDestroyInstance(c->state);
    c->state = NULL;
}

static void begin(struct coder *base, int64_t body_bytes)
{
    struct brotli_coder *c = container_of(base, struct brotli_coder, base);
    uint32_t             hint = body_bytes > 0 && body_bytes < INT32_MAX ? (uint32_t)body_bytes : 0;
    end(c);
    c->state = BrotliEncoderCreateInstance(take_block, give_block, c);
    BrotliEncoderSetParameter(c->state, BROTLI_PARAM_QUALITY, (uint32_t)base->level);
    BrotliEncoderSetParameter(c->state, BROTLI_PARAM_LGWIN, WINDOW_BITS);
    BrotliEncoderSetParameter(c->state, BROTLI_PARAM_SIZE_HINT, hint);
}

static bool run(struct coder *base, struct coder_io *io, enum coder_step step)
{
    static const BrotliEncoderOperation operations[] = { BROTLI_OPERATION_PROCESS,
                                                         BROTLI_OPERATION_FLUSH,
                                                         BROTLI_OPERATION_FINISH };
    BrotliEncoderState                 *s = container_of(base, struct brotli_coder, base)->state;
    do {
        size_t         in_left = io->in.len, room = io->room;
        const uint8_t *in = (const uint8_t *)io->in.data;
        uint8_t       *out = (uint8_t *)io->out;
        if (!BrotliEncoderCompressStream(s, operations[step], &in_left, &in, &room, &out, NULL))
            abort();
        coder_advance(io, io->in.len - in_left, io->room - room);
    } while (io->room && (io->in.len || BrotliEncoderHasMoreOutput(s)));
    if (io->in.len || BrotliEncoderHasMoreOutput(s)) return false;
    return step != CODER_FINISH || BrotliEncoderIsFinished(s);
}

static void free_coder(struct coder *base)
{
    struct brotli_coder *c = container_of(base, struct brotli_coder, base);
    end(c);
    for (size_t i = 0; i < BLOCK_COUNT; i++) free(c->kept[i]);
    free(c);
}

const struct coder_ops coder_brotli = { memory_bytes, make, begin, run, free_coder };
