/* SPDX-License-Identifier: Apache-2.0
 *
 * Chunked coding. See h1_body.h.
 *
 *   SIZE -+--------------------------> SIZE_LF -> DATA -> DATA_CR -> DATA_LF -> SIZE
 *         +-> BLANK -> EXTENSION -----^      `-> (size 0: trailers)
 */
#include "http/h1_body.h"

#include "http/chars.h"

enum state {
    SIZE,
    BLANK,     /* white space before ";": allowed only there (RFC 9112 section 7.1.1) */
    EXTENSION, /* up to CR; what it says is of no interest */
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
};

enum { SIZE_DIGITS_MAX = 16 };

static bool read_size(struct h1_chunked *c, char byte, struct http_fault *f)
{
    if (http_char_is(byte, CHAR_HEX)) {
        if (++c->digit_count > SIZE_DIGITS_MAX || c->left >> 59)
            return http_refuse(f, 400, "chunk_size_overflow");
        c->left = c->left << 4 | http_hex_value(byte);
        return true;
    }
    if (c->digit_count == 0) return http_refuse(f, 400, "bad_chunk_size");
    switch (byte) {
    case '\r': c->state = SIZE_LF; return true;
    case ';': c->state = EXTENSION; return true;
    case ' ':
    case '\t': c->state = BLANK; return true;
    default: return http_refuse(f, 400, "bad_chunk_size");
    }
}

static bool read_extension(struct h1_chunked *c, char byte, const struct http_limits *limits,
                           struct http_fault *f)
{
    if (++c->extension_bytes > limits->chunk_extension_bytes)
        return http_refuse(f, 400, "chunk_extension_too_large");
    if (c->state == BLANK) {
        if (byte == ';') c->state = EXTENSION;
        return byte == ';' || byte == ' ' || byte == '\t' || http_refuse(f, 400, "bad_chunk_size");
    }
    if (byte == '\r')
        c->state = SIZE_LF;
    else if (!http_char_is(byte, CHAR_VALUE))
        return http_refuse(f, 400, "bad_chunk_extension");
    return true;
}

/* One byte of framing. */
static bool read_byte(struct h1_chunked *c, char byte, const struct http_limits *limits,
                      struct http_fault *f)
{
    switch ((enum state)c->state) {
    case SIZE: return read_size(c, byte, f);
    case BLANK:
    case EXTENSION: return read_extension(c, byte, limits, f);
    case SIZE_LF: c->state = DATA; return byte == '\n' || http_refuse(f, 400, "bad_chunk_size");
    case DATA_CR: c->state = DATA_LF; return byte == '\r' || http_refuse(f, 400, "bad_chunk_end");
    case DATA_LF:
        c->state = SIZE;
        c->digit_count = 0;
        return byte == '\n' || http_refuse(f, 400, "bad_chunk_end");
    case DATA: break;
    }
    return true;
}

enum h1_chunk h1_chunked_next(struct h1_chunked *c, struct slice input,
                              const struct http_limits *limits, size_t *used, struct slice *data,
                              struct http_fault *f)
{
    size_t at = 0;
    while (at < input.len && c->state != DATA) {
        bool is_good = read_byte(c, input.data[at], limits, f);
        *used = ++at;
        if (!is_good) return H1_CHUNK_BAD;
        if (c->state == DATA && c->left == 0) return H1_CHUNK_LAST;
    }
    *used = at;
    if (at == input.len) return H1_CHUNK_MORE;
    size_t n = input.len - at;
    if (n > c->left) n = (size_t)c->left;
    *data = slice_make(input.data + at, n);
    *used = at + n;
    c->left -= n;
    if (c->left == 0) c->state = DATA_CR;
    return H1_CHUNK_DATA;
}

size_t h1_chunk_line(char *to, size_t chunk_bytes)
{
    static const char digits[] = "0123456789abcdef";
    unsigned          bits = 64 - (unsigned)__builtin_clzll(chunk_bytes | 1);
    size_t            count = (bits + 3) / 4;
    for (size_t i = 0; i < count; i++) to[i] = digits[chunk_bytes >> (4 * (count - 1 - i)) & 15];
    to[count] = '\r';
    to[count + 1] = '\n';
    return count + 2;
}
