/* SPDX-License-Identifier: Apache-2.0
 *
 * The chunked coding (RFC 9112 section 7.1): decoding piece by piece, without
 * copying, and the framing of what is sent. The trailer section is a matter of
 * h1_parse.h.
 */
#pragma once

#include "http/rules.h"

struct h1_chunked {
    uint64_t left;            /* of the chunk's size while it is read, then of its data */
    uint32_t extension_bytes; /* of the body so far */
    uint8_t  state;
    uint8_t  digit_count;
};

enum h1_chunk {
    H1_CHUNK_MORE, /* all input was used up */
    H1_CHUNK_DATA, /* *data is part of the body */
    H1_CHUNK_LAST, /* the last chunk's line is complete: trailers follow */
    H1_CHUNK_BAD,  /* *f is set */
};

/* Decodes until there is something to say; *used bytes of `input` were used, the
 * data included. `c` starts as zero. */
enum h1_chunk h1_chunked_next(struct h1_chunked *c, struct slice input,
                              const struct http_limits *limits, size_t *used, struct slice *data,
                              struct http_fault *f);

enum { H1_CHUNK_LINE_MAX = 18 };
/* Writes "size CRLF" of a chunk; returns its length, at most H1_CHUNK_LINE_MAX. */
size_t h1_chunk_line(char *to, size_t chunk_bytes);
