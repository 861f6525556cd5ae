/* SPDX-License-Identifier: Apache-2.0
 *
 * zstd by libzstd.
 */
#include <stdlib.h>
#include <zstd.h>

#include "base/memory.h"
#include "http/coding_private.h"

enum {
    WINDOW_LOG = 17,
    /* Tables that fit into a CPU's own cache are the fastest, and bound the memory. */
    HASH_LOG = 14,
    CHAIN_LOG = 14,
    MEMORY_BYTES = 1280 * 1024,
};

struct zstd_coder {
    struct coder base;
    ZSTD_CCtx   *z;
};

static size_t memory_bytes(int level)
{
    (void)level;
    return MEMORY_BYTES;
}

static struct coder *make(int level)
{
    struct zstd_coder *c = mem_zalloc(sizeof(*c));
    c->z = ZSTD_createCCtx();
    if (!c->z) abort();
    ZSTD_CCtx_setParameter(c->z, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(c->z, ZSTD_c_windowLog, WINDOW_LOG);
    ZSTD_CCtx_setParameter(c->z, ZSTD_c_hashLog, HASH_LOG);
    ZSTD_CCtx_setParameter(c->z, ZSTD_c_chainLog, CHAIN_LOG);
    return &c->base;
}

static void begin(struct coder *base, int64_t body_bytes)
{
    ZSTD_CCtx *z = container_of(base, struct zstd_coder, base)->z;
    ZSTD_CCtx_reset(z, ZSTD_reset_session_only);
    ZSTD_CCtx_setPledgedSrcSize(z, body_bytes < 0 ? ZSTD_CONTENTSIZE_UNKNOWN
                                                  : (unsigned long long)body_bytes);
}

static bool run(struct coder *base, struct coder_io *io, enum coder_step step)
{
    static const ZSTD_EndDirective directives[] = { ZSTD_e_continue, ZSTD_e_flush, ZSTD_e_end };
    ZSTD_CCtx                     *z = container_of(base, struct zstd_coder, base)->z;
    ZSTD_inBuffer                  in = { io->in.data, io->in.len, 0 };
    ZSTD_outBuffer                 out = { io->out, io->room, 0 };
    size_t                         left;
    do {
        left = ZSTD_compressStream2(z, &out, &in, directives[step]);
        if (ZSTD_isError(left)) abort(); /* no memory, or another length than was said */
    } while (out.pos < out.size && (in.pos < in.size || (step != CODER_MORE && left)));
    coder_advance(io, in.pos, out.pos);
    return io->in.len == 0 && (step == CODER_MORE || left == 0);
}

static void free_coder(struct coder *base)
{
    struct zstd_coder *c = container_of(base, struct zstd_coder, base);
    ZSTD_freeCCtx(c->z);
    free(c);
}

const struct coder_ops coder_zstd = { memory_bytes, make, begin, run, free_coder };
