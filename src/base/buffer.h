/* SPDX-License-Identifier: Apache-2.0
 *
 * A growing, contiguous run of bytes on the heap: input that is not complete
 * yet, and text that is being built. Empty and reset, it holds no memory.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>

#include "base/slice.h"

struct buffer {
    char  *data; /* NUL-terminated when not NULL and last written by this module */
    size_t len;
    size_t capacity;
};

/* clang-format off */
#define BUFFER_INIT { NULL, 0, 0 }
/* clang-format on */

void buffer_reset(struct buffer *b);
void buffer_put(struct buffer *b, const void *data, size_t len);
void buffer_put_char(struct buffer *b, char c);
void buffer_puts(struct buffer *b, const char *text);
void buffer_put_slice(struct buffer *b, struct slice s);
void buffer_printf(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buffer_vprintf(struct buffer *b, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
/* A JSON string with its quotes; bytes that are not UTF-8 become U+FFFD, control characters
 * are escaped, those past U+007F as well: terminals obey them. */
void buffer_put_json(struct buffer *b, struct slice s);
/* Room for `len` more bytes after `len`; the caller adds to b->len itself. */
char *buffer_reserve(struct buffer *b, size_t len);
/* Drops the first `len` bytes. */
void buffer_consume(struct buffer *b, size_t len);
/* The text, never NULL; free() it. The buffer is empty afterwards. */
char *buffer_detach(struct buffer *b);

static inline struct slice buffer_slice(const struct buffer *b)
{
    return slice_make(b->data ? b->data : "", b->len);
}
