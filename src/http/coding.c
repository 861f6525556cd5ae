/* SPDX-License-Identifier: Apache-2.0
 *
 * Which codings there are, and who makes them. See coding.h.
 */
#include "http/coding_private.h"

#include "config.h"

static const struct {
    struct slice            name;
    const struct coder_ops *ops;     /* NULL: not built in */
    const char             *package; /* that it is built with */
} codings[CODING_COUNT] = {
    [CODING_IDENTITY] = { SLICE("identity"), NULL, NULL },
    [CODING_GZIP] = { SLICE("gzip"), &coder_zlib, "zlib1g-dev" },
#ifdef HAVE_BROTLI
    [CODING_BR] = { SLICE("br"), &coder_brotli, "libbrotli-dev" },
#else
    [CODING_BR] = { SLICE("br"), NULL, "libbrotli-dev" },
#endif
#ifdef HAVE_ZSTD
    [CODING_ZSTD] = { SLICE("zstd"), &coder_zstd, "libzstd-dev" },
#else
    [CODING_ZSTD] = { SLICE("zstd"), NULL, "libzstd-dev" },
#endif
};

struct slice http_coding_name(enum http_coding c)
{
    return codings[c].name;
}

enum http_coding http_coding_lookup(struct slice name)
{
    if (slice_eq_nocase(name, S("x-gzip"))) return CODING_GZIP;
    for (enum http_coding c = 0; c < CODING_COUNT; c++)
        if (slice_eq_nocase(name, codings[c].name)) return c;
    return CODING_COUNT;
}

const char *coder_lacks(enum http_coding coding)
{
    return codings[coding].ops ? NULL : codings[coding].package;
}

static const struct coder_ops *ops_of(enum http_coding coding, int level)
{
#ifdef HAVE_ISAL
    if (coding == CODING_GZIP && level <= ISAL_LEVEL_MAX) return &coder_isal;
#endif
    (void)level;
    return codings[coding].ops;
}

size_t coder_memory(enum http_coding coding, int level)
{
    return ops_of(coding, level)->memory_bytes(level);
}

struct coder *coder_new(enum http_coding coding, int level)
{
    const struct coder_ops *ops = ops_of(coding, level);
    struct coder           *c = ops->make(level);
    c->ops = ops;
    c->coding = coding;
    c->level = level;
    list_init(&c->link);
    return c;
}

void coder_free(struct coder *c)
{
    if (c) c->ops->free(c);
}
