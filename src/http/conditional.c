/* SPDX-License-Identifier: Apache-2.0
 *
 * Conditional requests. See conditional.h.
 */
#include "http/conditional.h"

#include "http/date.h"

static bool is_weak(struct slice etag)
{
    return slice_starts_with(etag, S("W/"));
}

/* Section 8.8.3.2. */
static bool is_same(struct slice a, struct slice b, bool is_strong)
{
    if (is_strong && (is_weak(a) || is_weak(b))) return false;
    return slice_eq(is_weak(a) ? slice_from(a, 2) : a, is_weak(b) ? slice_from(b, 2) : b);
}

/* The next entity-tag of a list, from *left on; empty: there is none. */
static struct slice next_etag(struct slice *left)
{
    size_t at = 0, mark;
    while (at < left->len && strchr(" \t,", left->data[at])) at++;
    struct slice etag = slice_from(*left, at);
    mark = is_weak(etag) ? 2 : 0;
    *left = slice_make("", 0);
    if (etag.len <= mark || etag.data[mark] != '"') return *left; /* it is no list of them */
    size_t end = mark + 1 + slice_find(slice_from(etag, mark + 1), '"');
    if (end >= etag.len) return *left;
    *left = slice_from(etag, end + 1);
    etag.len = end + 1;
    return etag;
}

static bool names(struct slice list, struct slice etag, bool is_strong)
{
    if (slice_eq(list, S("*"))) return true;
    for (struct slice one = next_etag(&list); one.len; one = next_etag(&list))
        if (is_same(one, etag, is_strong)) return true;
    return false;
}

/* All lines of the field make one list. `*is_there`: there is one. */
static bool any_names(const struct http_fields *f, struct slice field, struct slice etag,
                      bool is_strong, bool *is_there)
{
    bool is_named = false;
    *is_there = http_fields_find_named(f, field) != NULL;
    for (unsigned i = 0; *is_there && i < f->count; i++)
        if (!f->items[i].is_dropped && slice_eq_nocase(f->items[i].name, field))
            is_named |= names(f->items[i].value, etag, is_strong);
    return is_named;
}

/* False: there is none, or it is no date, and then it does not count. */
static bool date_of(const struct http_field *f, int64_t *seconds)
{
    return f && http_date_read(f->value, seconds);
}

enum http_condition http_judge_conditions(const struct http_fields     *request,
                                          const struct http_validators *v)
{
    int64_t date;
    bool    is_there, is_named = any_names(request, S("If-Match"), v->etag, true, &is_there);
    if (is_there && !is_named) return CONDITION_FAILED;
    if (!is_there && date_of(http_fields_find_named(request, S("If-Unmodified-Since")), &date) &&
        v->modified_s > date)
        return CONDITION_FAILED;
    is_named = any_names(request, http_field_name(FIELD_IF_NONE_MATCH), v->etag, false, &is_there);
    if (is_there) return is_named ? CONDITION_NOT_MODIFIED : CONDITION_HOLDS;
    if (date_of(http_fields_find(request, FIELD_IF_MODIFIED_SINCE), &date) && v->modified_s <= date)
        return CONDITION_NOT_MODIFIED;
    return CONDITION_HOLDS;
}

bool http_if_range_holds(const struct http_fields *request, const struct http_validators *v)
{
    const struct http_field *f = http_fields_find(request, FIELD_IF_RANGE);
    int64_t                  date;
    if (!f) return true;
    if (http_date_read(f->value, &date)) return date == v->modified_s && !v->is_date_weak;
    return is_same(f->value, v->etag, true);
}
