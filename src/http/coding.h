/* SPDX-License-Identifier: Apache-2.0
 *
 * Content codings (RFC 9110 section 8.4.1) and their encoders: bytes in, bytes out, a
 * piece at a time. Hides which library does it: gzip is ISA-L's at levels 1 to 3 where
 * that is built in, else zlib's; br is brotli's, zstd is libzstd's. An encoder's memory
 * is bounded by its coding and level, whatever goes through it. An encoder cannot fail
 * but for memory, which aborts.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/slice.h"

enum http_coding { CODING_IDENTITY, CODING_GZIP, CODING_BR, CODING_ZSTD, CODING_COUNT };

struct slice http_coding_name(enum http_coding c);
/* Of a name in any case, "x-gzip" too; CODING_COUNT: of none that is known. */
enum http_coding http_coding_lookup(struct slice name);

enum coder_step {
    CODER_MORE,
    CODER_FLUSH,  /* what was given so far can be decoded from what came out */
    CODER_FINISH, /* nothing follows */
};

struct coder_io {
    struct slice in;   /* what is left of the input */
    char        *out;  /* where output goes; moves on */
    size_t       room; /* behind it */
};

struct coder;

struct coder_ops {
    size_t (*memory_bytes)(int level);
    struct coder *(*make)(int level);
    void (*begin)(struct coder *c, int64_t body_bytes);
    bool (*run)(struct coder *c, struct coder_io *io, enum coder_step step);
    void (*free)(struct coder *c);
};

/* An encoder; those that implement one embed it. */
struct coder {
    const struct coder_ops *ops;
    struct list             link; /* coder_pool.idle */
    enum http_coding        coding;
    int                     level;
};

/* NULL: there is one; else the Debian package to build with. */
const char *coder_lacks(enum http_coding coding);
/* The most that an encoder takes. */
size_t coder_memory(enum http_coding coding, int level);

/* Of a coding that is not lacking, at a level that configuration allows. */
struct coder *coder_new(enum http_coding coding, int level);
void          coder_free(struct coder *c);
/* A body of so many bytes (-1: nobody knows) begins, whatever was before. */
static inline void coder_begin(struct coder *c, int64_t body_bytes)
{
    c->ops->begin(c, body_bytes);
}
/* True: all input was taken and the step is complete. False: io->room is used up; to be
 * called again with more and the same step. */
static inline bool coder_run(struct coder *c, struct coder_io *io, enum coder_step step)
{
    return c->ops->run(c, io, step);
}
