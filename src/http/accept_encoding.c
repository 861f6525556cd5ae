/* SPDX-License-Identifier: Apache-2.0
 *
 * Accept-Encoding. See accept_encoding.h.
 */
#include "http/accept_encoding.h"

enum { WEIGHT_MAX = 1000, WEIGHT_UNSET = UINT16_MAX, ANY = CODING_COUNT };

/* Identity is always taken but where it is excluded; the least that a client can want. */
enum { WEIGHT_IDENTITY = 1 };

static struct slice trim(struct slice s)
{
    while (s.len && (s.data[0] == ' ' || s.data[0] == '\t')) s = slice_from(s, 1);
    while (s.len && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t')) s.len--;
    return s;
}

/* What stands before the next `at`, trimmed; *s is what follows it. */
static struct slice cut(struct slice *s, char at)
{
    size_t       end = slice_find(*s, at);
    struct slice part = slice_make(s->data, end);
    *s = end < s->len ? slice_from(*s, end + 1) : slice_make("", 0);
    return trim(part);
}

/* "0.5" -> 500. False: it is no qvalue. */
static bool read_weight(struct slice s, uint16_t *weight)
{
    unsigned value, unit = 100;
    if (!s.len || s.len > 5 || (s.data[0] != '0' && s.data[0] != '1')) return false;
    value = s.data[0] == '1' ? WEIGHT_MAX : 0;
    if (s.len > 1 && s.data[1] != '.') return false;
    for (size_t i = 2; i < s.len; i++, unit /= 10) {
        if (s.data[i] < '0' || s.data[i] > '9') return false;
        value += (unsigned)(s.data[i] - '0') * unit;
    }
    *weight = (uint16_t)value;
    return value <= WEIGHT_MAX;
}

/* "gzip;q=0.5" */
static void read_member(struct slice member, uint16_t *weights)
{
    struct slice     name = cut(&member, ';');
    enum http_coding coding = slice_eq(name, S("*")) ? ANY : http_coding_lookup(name);
    uint16_t         weight = WEIGHT_MAX;
    if (coding == CODING_COUNT && !slice_eq(name, S("*"))) return;
    while (member.len) {
        struct slice value = cut(&member, ';');
        struct slice key = cut(&value, '=');
        if (!slice_eq_nocase(key, S("q")) || !read_weight(value, &weight)) return;
    }
    weights[coding] = weight;
}

void http_accept_encoding(const struct http_fields *f, struct coding_weights *to)
{
    uint16_t weights[CODING_COUNT + 1]; /* the last one is that of "*" */
    for (size_t i = 0; i <= CODING_COUNT; i++) weights[i] = WEIGHT_UNSET;
    for (unsigned i = 0; i < f->count; i++) {
        if (f->items[i].id != FIELD_ACCEPT_ENCODING || f->items[i].is_dropped) continue;
        struct slice left = f->items[i].value;
        while (left.len) read_member(cut(&left, ','), weights);
    }
    uint16_t any = weights[ANY] == WEIGHT_UNSET ? 0 : weights[ANY];
    for (size_t i = 0; i < CODING_COUNT; i++)
        to->of[i] = weights[i] == WEIGHT_UNSET ? any : weights[i];
    if (weights[CODING_IDENTITY] == WEIGHT_UNSET && weights[ANY] == WEIGHT_UNSET)
        to->of[CODING_IDENTITY] = WEIGHT_IDENTITY;
}
