/* SPDX-License-Identifier: Apache-2.0
 *
 * Parameters of a query. See query.h.
 */
#include "http/query.h"

bool query_next(struct slice *rest, struct slice *name, struct slice *value)
{
    if (!rest->len) return false;
    size_t       end = slice_find(*rest, '&');
    struct slice pair = slice_make(rest->data, end);
    size_t       equals = slice_find(pair, '=');
    *name = slice_make(pair.data, equals);
    *value = slice_from(pair, equals + (equals < pair.len));
    *rest = slice_from(*rest, end + (end < rest->len));
    return true;
}

struct slice query_decode(struct slice text, struct buffer *scratch)
{
    if (slice_find(text, '%') == text.len && slice_find(text, '+') == text.len) return text;
    scratch->len = 0;
    char *out = buffer_reserve(scratch, text.len);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '+') {
            c = ' ';
        } else if (c == '%' && text.len - i > 2) {
            int high = hex_value(text.data[i + 1]), low = hex_value(text.data[i + 2]);
            if (high >= 0 && low >= 0) {
                c = (char)(high << 4 | low);
                i += 2;
            }
        }
        out[scratch->len++] = c;
    }
    return buffer_slice(scratch);
}
