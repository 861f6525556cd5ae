/* SPDX-License-Identifier: Apache-2.0
 *
 * Private to coding*.c: the implementations.
 */
#pragma once

#include "http/coding.h"

enum { ISAL_LEVEL_MAX = 3 };

extern const struct coder_ops coder_zlib;
extern const struct coder_ops coder_isal; /* levels 1 to ISAL_LEVEL_MAX */
extern const struct coder_ops coder_brotli;
extern const struct coder_ops coder_zstd;

/* `taken` and `made` by a library's call. */
static inline void coder_advance(struct coder_io *io, size_t taken, size_t made)
{
    io->in = slice_from(io->in, taken);
    io->out += made;
    io->room -= made;
}
