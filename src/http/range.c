/* SPDX-License-Identifier: Apache-2.0
 *
 * Range requests. See range.h.
 */
#include "http/range.h"

static struct slice trim(struct slice s)
{
    while (s.len && strchr(" \t", s.data[0])) s = slice_from(s, 1);
    while (s.len && strchr(" \t", s.data[s.len - 1])) s.len--;
    return s;
}

/* Digits; a number that is too large is the largest. False: it is none. */
static bool read_number(struct slice s, uint64_t *n)
{
    *n = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9') return false;
        if (__builtin_mul_overflow(*n, 10, n) ||
            __builtin_add_overflow(*n, (unsigned)(s.data[i] - '0'), n))
            *n = UINT64_MAX / 10;
    }
    return s.len > 0;
}

/* One range-spec. False: it is malformed. r->bytes 0: nothing of it is there. */
static bool read_range(struct slice spec, uint64_t size, struct http_range *r)
{
    size_t       dash = slice_find(spec, '-');
    uint64_t     first, last = UINT64_MAX;
    struct slice end = dash < spec.len ? slice_from(spec, dash + 1) : S("");
    if (dash == spec.len) return false;
    if (dash == 0) { /* the last bytes */
        if (!read_number(end, &last)) return false;
        r->bytes = last < size ? last : size;
        r->first = size - r->bytes;
        return true;
    }
    if (!read_number(slice_make(spec.data, dash), &first)) return false;
    if (end.len && (!read_number(end, &last) || last < first)) return false;
    if (size && last >= size) last = size - 1;
    r->first = first;
    r->bytes = first < size ? last - first + 1 : 0;
    return true;
}

enum http_range_result http_ranges_read(struct slice value, uint64_t size, struct http_ranges *to)
{
    uint64_t total = 0;
    bool     has_specs = false;
    to->count = 0;
    if (!size || value.len < 6 || strncasecmp(value.data, "bytes=", 6) != 0) return RANGE_NONE;
    for (struct slice left = slice_from(value, 6); left.len;) {
        size_t            comma = slice_find(left, ',');
        struct slice      spec = trim(slice_make(left.data, comma));
        struct http_range r;
        left = slice_from(left, comma < left.len ? comma + 1 : comma);
        if (!spec.len) continue; /* an empty member of a list */
        if (!read_range(spec, size, &r)) return RANGE_NONE;
        has_specs = true;
        if (!r.bytes) continue;
        if (to->count == HTTP_RANGES_MAX) return RANGE_NONE;
        to->items[to->count++] = r;
        total += r.bytes;
    }
    if (!has_specs || total > size) return RANGE_NONE;
    return to->count ? RANGE_SOME : RANGE_UNSATISFIABLE;
}
