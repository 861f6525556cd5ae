/* SPDX-License-Identifier: Apache-2.0
 *
 * Growing buffer. See buffer.h.
 */
#include "base/buffer.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

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

/* Length of the UTF-8 sequence at s (RFC 3629), or 0 when it is malformed. */
static size_t utf8_length(const unsigned char *s, size_t left)
{
    static const unsigned char min_second[] = { [0xe0 - 0xc0] = 0xa0, [0xf0 - 0xc0] = 0x90 };
    if (s[0] < 0x80) return 1;
    size_t n = s[0] >= 0xc2 && s[0] <= 0xdf   ? 2
               : (s[0] & 0xf0) == 0xe0        ? 3
               : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4
                                              : 0;
    if (!n || n > left) return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    if (s[0] == 0xe0 || s[0] == 0xf0) return s[1] >= min_second[s[0] - 0xc0] ? n : 0;
    if (s[0] == 0xed) return s[1] < 0xa0 ? n : 0;
    if (s[0] == 0xf4) return s[1] < 0x90 ? n : 0;
    return n;
}

void buffer_put_json(struct buffer *b, struct slice s)
{
    const unsigned char *at = (const unsigned char *)s.data;
    buffer_put_char(b, '"');
    for (size_t i = 0; i < s.len;) {
        size_t n = utf8_length(at + i, s.len - i);
        if (n == 0) {
            buffer_puts(b, "\xef\xbf\xbd");
            i++;
        } else if (at[i] == '"' || at[i] == '\\') {
            buffer_put_char(b, '\\');
            buffer_put_char(b, (char)at[i++]);
        } else if (at[i] < 0x20 || at[i] == 0x7f) {
            buffer_printf(b, "\\u%04x", at[i++]);
        } else {
            buffer_put(b, at + i, n);
            i += n;
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
