/* SPDX-License-Identifier: Apache-2.0
 *
 * Patterns. See glob.h.
 */
#include "base/glob.h"

bool glob_is_valid(struct slice pattern)
{
    size_t       open = slice_find(pattern, '{'), close = slice_find(pattern, '}');
    struct slice rest = slice_from(pattern, close < pattern.len ? close + 1 : close);
    for (size_t i = open + 1; i < close && i < pattern.len; i++)
        if (strchr("*?{", pattern.data[i])) return false;
    bool is_none = open == pattern.len && close == pattern.len;
    return pattern.len && (is_none || open < close) && (is_none || close < pattern.len) &&
           slice_find(rest, '{') == rest.len && slice_find(rest, '}') == rest.len;
}

static bool matches_brace(struct slice pattern, struct slice text)
{
    size_t       end = slice_find(pattern, '}');
    struct slice left = slice_make(pattern.data + 1, end - 1), rest = slice_from(pattern, end + 1);
    for (bool is_last = false; !is_last;) {
        size_t       comma = slice_find(left, ',');
        struct slice one = slice_make(left.data, comma);
        is_last = comma == left.len;
        left = slice_from(left, is_last ? comma : comma + 1);
        if (slice_starts_with(text, one) && glob_matches(rest, slice_from(text, one.len)))
            return true;
    }
    return false;
}

bool glob_matches(struct slice pattern, struct slice text)
{
    struct slice star = { NULL, 0 }, from = text; /* the last `*`, and what it has not taken yet */
    while (text.len || pattern.len) {
        char p = pattern.len ? pattern.data[0] : 0;
        if (p == '{' && matches_brace(pattern, text)) return true;
        if (p == '*') {
            star = pattern = slice_from(pattern, 1);
            from = text;
            continue;
        }
        if (pattern.len && text.len && p != '{' && (p == '?' || p == text.data[0])) {
            pattern = slice_from(pattern, 1);
            text = slice_from(text, 1);
            continue;
        }
        if (!star.data || !from.len) return false;
        text = from = slice_from(from, 1);
        pattern = star;
    }
    return true;
}
