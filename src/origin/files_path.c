/* SPDX-License-Identifier: Apache-2.0
 *
 * Paths of files. See files_path.h.
 */
#include "origin/files_path.h"

#include "http/chars.h"

/* Appends a segment, decoded. False: it may not be. */
static bool put_segment(struct slice segment, char *begin, char **to)
{
    char *at = *to;
    for (size_t i = 0; i < segment.len; i++) {
        char c = segment.data[i];
        if (c == '%' && i + 2 < segment.len && http_char_is(segment.data[i + 1], CHAR_HEX) &&
            http_char_is(segment.data[i + 2], CHAR_HEX)) {
            c = (char)(http_hex_value(segment.data[i + 1]) << 4 |
                       http_hex_value(segment.data[i + 2]));
            i += 2;
        }
        if (c == '/' || c == 0) return false;
        *at++ = c;
    }
    struct slice name = slice_make(*to, (size_t)(at - *to));
    bool         is_top = *to == begin;
    *to = at;
    return name.data[0] != '.' || (is_top && slice_eq(name, S(".well-known")));
}

bool files_path_read(struct slice path, struct arena *a, struct files_path *to)
{
    char *begin = arena_alloc(a, path.len + 1), *at = begin;
    to->is_folder = path.len && path.data[path.len - 1] == '/';
    while (path.len) {
        size_t       end = slice_find(path, '/');
        struct slice segment = slice_make(path.data, end);
        path = slice_from(path, end < path.len ? end + 1 : end);
        if (!segment.len) continue;
        if (at != begin) *at++ = '/';
        if (!put_segment(segment, begin, &at)) return false;
    }
    *at = 0;
    to->text = slice_make(begin, (size_t)(at - begin));
    return true;
}

struct slice files_path_name(struct slice path)
{
    size_t at = path.len;
    while (at && path.data[at - 1] != '/') at--;
    return slice_from(path, at);
}
