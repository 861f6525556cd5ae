/* SPDX-License-Identifier: Apache-2.0
 *
 * Growing buffer. See buffer.h.
 */
#include "base/buffer.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/utf8.h"

void buffer_reset(struct buffer *b)
{
    free(b->data);
    *b = (struct buffer)BUFFER_INIT;
}

char *buffer_reserve(struct buffer *b, size_t len)
{
    if (len > SIZE_MAX / 2 - b->len) abort();
    size_t need = b->len + len + 1;
    if (need > b->capacity) {
        size_t bigger = b->capacity ? b->capacity * 2 : 256;
        while (bigger < need) bigger *= 2;
        b->data = mem_realloc(b->data, bigger);
        b->capacity = bigger;
    }
    return b->data + b->len;
}

void buffer_put(struct buffer *b, const void *data, size_t len)
{
    char *to = buffer_reserve(b, len);
    if (len) memcpy(to, data, len);
    b->len += len;
    b->data[b->len] = '\0';
}

void buffer_put_char(struct buffer *b, char c)
{
    buffer_put(b, &c, 1);
}

void buffer_puts(struct buffer *b, const char *text)
{
    buffer_put(b, text, strlen(text));
}

void buffer_put_slice(struct buffer *b, struct slice s)
{
    buffer_put(b, s.data, s.len);
}

void buffer_vprintf(struct buffer *b, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (len < 0) return;
    vsnprintf(buffer_reserve(b, (size_t)len), (size_t)len + 1, format, args);
    b->len += (size_t)len;
}

void buffer_printf(struct buffer *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buffer_vprintf(b, format, args);
    va_end(args);
}

void buffer_put_json(struct buffer *b, struct slice s)
{
    buffer_put_char(b, '"');
    for (size_t i = 0, n; i < s.len; i += n ? n : 1) {
        uint32_t point = 0;
        n = utf8_decode(s.data + i, s.len - i, &point);
        if (n == 0) {
            buffer_puts(b, "\xef\xbf\xbd");
        } else if (point == '"' || point == '\\') {
            buffer_put_char(b, '\\');
            buffer_put_char(b, (char)point);
        } else if (point < 0x20 || (point >= 0x7f && point < 0xa0)) {
            buffer_printf(b, "\\u%04x", point);
        } else {
            buffer_put(b, s.data + i, n);
        }
    }
    buffer_put_char(b, '"');
}

void buffer_consume(struct buffer *b, size_t len)
{
    if (!len) return;
    b->len -= len;
    memmove(b->data, b->data + len, b->len);
    b->data[b->len] = '\0';
}

char *buffer_detach(struct buffer *b)
{
    char *text = b->data ? b->data : mem_strdup("");
    if (b->data) text[b->len] = '\0';
    *b = (struct buffer)BUFFER_INIT;
    return text;
}
