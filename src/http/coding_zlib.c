/* SPDX-License-Identifier: Apache-2.0
 *
 * gzip by zlib.
 */
#include <stdlib.h>
#include <zlib.h>

#include "base/memory.h"
#include "http/coding_private.h"

enum {
    WINDOW_BITS = 15,
    GZIP_WRAP = 16, /* added to them */
    MEM_LEVEL = 8,
    STATE_BYTES = 16 * 1024, /* beside window and tables */
};

struct zlib_coder {
    struct coder base;
    z_stream     z;
};

static size_t memory_bytes(int level)
{
    (void)level;
    return (1u << (WINDOW_BITS + 2)) + (1u << (MEM_LEVEL + 9)) + STATE_BYTES;
}

static struct coder *make(int level)
{
    struct zlib_coder *c = mem_zalloc(sizeof(*c));
    if (deflateInit2(&c->z, level, Z_DEFLATED, WINDOW_BITS + GZIP_WRAP, MEM_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        abort();
    return &c->base;
}

static void begin(struct coder *base, int64_t body_bytes)
{
    (void)body_bytes;
    deflateReset(&container_of(base, struct zlib_coder, base)->z);
}

static bool run(struct coder *base, struct coder_io *io, enum coder_step step)
{
    static const int flushes[] = { Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FINISH };
    z_stream        *z = &container_of(base, struct zlib_coder, base)->z;
    z->next_in = (Bytef *)(uintptr_t)io->in.data;
    z->avail_in = (uInt)io->in.len;
    z->next_out = (Bytef *)io->out;
    z->avail_out = (uInt)io->room;
    int result = deflate(z, flushes[step]);
    coder_advance(io, io->in.len - z->avail_in, io->room - z->avail_out);
    return step == CODER_FINISH ? result == Z_STREAM_END : io->room != 0;
}

static void free_coder(struct coder *base)
{
    struct zlib_coder *c = container_of(base, struct zlib_coder, base);
    deflateEnd(&c->z);
    free(c);
}

const struct coder_ops coder_zlib = { memory_bytes, make, begin, run, free_coder };
