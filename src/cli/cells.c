/* SPDX-License-Identifier: Apache-2.0
 *
 * Clean text and its width. See cells.h.
 */
#include "cli/cells.h"

#include <locale.h>
#include <wchar.h>

#include "base/utf8.h"

#define ELLIPSIS "\xe2\x80\xa6"
#define PLAIN "\033[0m"

void cells_init(void)
{
    (void)setlocale(LC_CTYPE, "C.UTF-8");
}

/* ---- making clean ---- */

/* What is not seen, or turns the direction of what follows, though it is a character. */
static bool is_treacherous(uint32_t point)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = { { 0x00, 0x1f },       { 0x7f, 0x9f },     { 0xad, 0xad },
                   { 0x61c, 0x61c },     { 0x180e, 0x180e }, { 0x200b, 0x200f },
                   { 0x2028, 0x202e },   { 0x2060, 0x206f }, { 0xfeff, 0xfeff },
                   { 0xfff0, 0xfffb },   { 0xfffe, 0xffff }, { 0x1d173, 0x1d17a },
                   { 0xe0000, 0x10ffff } };
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
        if (point >= ranges[i].first && point <= ranges[i].last) return true;
    return false;
}

static void put_escape(struct buffer *to, uint32_t point)
{
    static const char letters[] = "tn\0\0r"; /* from U+0009 on */
    if (point >= '\t' && point <= '\r' && letters[point - '\t'])
        buffer_printf(to, "\\%c", letters[point - '\t']);
    else
        buffer_printf(to, point < 0x80 ? "\\x%02x" : "\\u%04x", point);
}

void cells_put(struct buffer *to, struct slice text)
{
    for (size_t i = 0, len; i < text.len; i += len ? len : 1) {
        uint32_t point = 0;
        len = utf8_decode(text.data + i, text.len - i, &point);
        if (len == 0)
            buffer_printf(to, "\\x%02x", (unsigned char)text.data[i]);
        else if (is_treacherous(point) || wcwidth((wchar_t)point) < 0)
            put_escape(to, point);
        else
            buffer_put(to, text.data + i, len);
    }
}

/* ---- measuring ---- */

/* Bytes of what stands at the front: a character, or a colour; *width: its cells. */
static size_t step(struct slice text, size_t *width)
{
    uint32_t point = 0;
    *width = 0;
    if (*text.data == '\033') {
        size_t end = slice_find(text, 'm');
        return end < text.len ? end + 1 : end;
    }
    size_t len = utf8_decode(text.data, text.len, &point);
    int    cells = wcwidth((wchar_t)point);
    *width = cells > 0 ? (size_t)cells : 0;
    return len ? len : 1;
}

/* Bytes of the longest beginning that takes `width` cells at most. */
static size_t fit(struct slice text, size_t width)
{
    size_t at = 0, taken = 0, cells;
    while (at < text.len) {
        size_t len = step(slice_from(text, at), &cells);
        if (taken + cells > width) break;
        taken += cells;
        at += len;
    }
    return at;
}

size_t cells_width(struct slice text)
{
    size_t width = 0, cells;
    for (size_t at = 0; at < text.len; width += cells) at += step(slice_from(text, at), &cells);
    return width;
}

/* ---- cutting and filling ---- */

void cells_cut(struct buffer *to, size_t from, size_t width)
{
    struct slice text = slice_from(buffer_slice(to), from);
    if (fit(text, width) == text.len) return;
    size_t kept = width ? fit(text, width - 1) : 0;
    bool   has_color = memchr(text.data, '\033', kept) != NULL;
    to->len = from + kept;
    if (width) buffer_puts(to, ELLIPSIS);
    if (has_color) buffer_puts(to, PLAIN);
}

/* Bytes of the shortest beginning that takes `width` cells at least. */
static size_t reach(struct slice text, size_t width)
{
    size_t at = 0, taken = 0, cells;
    for (; at < text.len && taken < width; taken += cells) at += step(slice_from(text, at), &cells);
    return at;
}

void cells_cut_midst(struct buffer *to, size_t from, size_t width)
{
    struct slice text = slice_from(buffer_slice(to), from);
    size_t       all = cells_width(text), front = width / 2;
    if (all <= width) return;
    size_t        back = width ? width - front - 1 : 0;
    struct buffer cut = BUFFER_INIT;
    buffer_put(&cut, text.data, fit(text, front));
    if (width) buffer_puts(&cut, ELLIPSIS);
    buffer_put_slice(&cut, slice_from(text, reach(text, all - back)));
    to->len = from;
    buffer_put_slice(to, buffer_slice(&cut));
    buffer_reset(&cut);
}

void cells_pad(struct buffer *to, size_t count)
{
    while (count--) buffer_put_char(to, ' ');
}
