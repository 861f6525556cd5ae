/* SPDX-License-Identifier: Apache-2.0
 *
 * Edits of headers. See headers.h.
 */
#include "filter/headers.h"

#include "base/buffer.h"

enum { VALUE_BYTES_MAX = 16 * 1024 };

enum edit_kind { EDIT_REMOVE, EDIT_RENAME, EDIT_SET, EDIT_ADD };

struct edit {
    enum edit_kind     kind;
    enum http_field_id id;
    struct slice       name;
    enum http_field_id new_id; /* of EDIT_RENAME */
    struct slice       new_name;
    struct template value; /* of EDIT_SET, EDIT_ADD */
};

struct edit_list {
    struct edit *items;
    size_t       count;
};

struct header_edits {
    struct edit_list requests, responses;
};

/* ---- building ---- */

static struct edit *add_edit(struct edit_list *to, enum edit_kind kind, struct slice name,
                             struct arena *a)
{
    struct edit *e = &to->items[to->count++];
    *e = (struct edit){ .kind = kind, .id = http_field_lookup(name), .name = arena_copy(a, name) };
    return e;
}

static void add_values(struct edit_list *to, enum edit_kind kind, const struct name_value *pairs,
                       size_t count, struct arena *a)
{
    for (size_t i = 0; i < count; i++)
        template_build(&add_edit(to, kind, pairs[i].name, a)->value, pairs[i].value, a);
}

static size_t count_edits(const struct header_edit_settings *s)
{
    return s ? s->remove.count + s->rename_count + s->set_count + s->add_count : 0;
}

static void add_all(struct edit_list *to, const struct header_edit_settings *s, struct arena *a)
{
    if (!s) return;
    for (size_t i = 0; i < s->remove.count; i++) add_edit(to, EDIT_REMOVE, s->remove.items[i], a);
    for (size_t i = 0; i < s->rename_count; i++) {
        struct edit *e = add_edit(to, EDIT_RENAME, s->rename[i].name, a);
        e->new_id = http_field_lookup(s->rename[i].value);
        e->new_name = arena_copy(a, s->rename[i].value);
    }
    add_values(to, EDIT_SET, s->set, s->set_count, a);
    add_values(to, EDIT_ADD, s->add, s->add_count, a);
}

static void build_list(struct edit_list *to, const struct header_edit_settings *defaults,
                       const struct header_edit_settings *route, struct arena *a)
{
    to->items = arena_alloc(a, (count_edits(defaults) + count_edits(route)) * sizeof(*to->items));
    add_all(to, defaults, a);
    add_all(to, route, a);
}

const struct header_edits *header_edits_build(const struct headers_settings *defaults,
                                              const struct headers_settings *route, struct arena *a)
{
    struct header_edits *e = arena_zalloc(a, sizeof(*e));
    build_list(&e->requests, defaults ? &defaults->request : NULL, route ? &route->request : NULL,
               a);
    build_list(&e->responses, defaults ? &defaults->response : NULL,
               route ? &route->response : NULL, a);
    return e->requests.count + e->responses.count ? e : NULL;
}

static bool check_groups(const struct edit_list *list, const pcre2_code *code, struct error *e)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct template *t = &list->items[i].value;
        for (size_t k = 0; k < t->count; k++) {
            struct slice group = t->pieces[k].text;
            if (t->pieces[k].id != VARIABLE_MATCH) continue;
            if (!code)
                return error_set(e, "`${match:%.*s}` needs a `match.path` that is an expression",
                                 SLICE_ARG(group));
            if (!pattern_group(code, group))
                return error_set(e,
                                 "the expression of `match.path` has no group for "
                                 "`${match:%.*s}`",
                                 SLICE_ARG(group));
        }
    }
    return true;
}

bool header_edits_check_groups(const struct header_edits *edits, const pcre2_code *code,
                               struct error *e)
{
    return check_groups(&edits->requests, code, e) && check_groups(&edits->responses, code, e);
}

static void put_list(const struct edit_list *list, const char *title, struct buffer *to)
{
    static const char *const words[] = { "removes", "renames", "sets", "adds" };
    if (!list->count) return;
    buffer_printf(to, "%s%s: ", to->len ? "; " : "", title);
    for (size_t i = 0; i < list->count; i++) {
        const struct edit *e = &list->items[i];
        buffer_puts(to, i ? ", " : "");
        if (!i || e->kind != e[-1].kind) buffer_printf(to, "%s ", words[e->kind]);
        buffer_put_slice(to, e->name);
        if (e->kind == EDIT_RENAME) buffer_printf(to, " to %.*s", SLICE_ARG(e->new_name));
    }
}

struct slice header_edits_text(const struct header_edits *e, struct arena *a)
{
    struct buffer text = BUFFER_INIT;
    put_list(&e->requests, "request", &text);
    put_list(&e->responses, "response", &text);
    struct slice copy = arena_copy(a, buffer_slice(&text));
    buffer_reset(&text);
    return copy;
}

/* ---- editing ---- */

/* Empty: there is to be no such header. */
static struct slice value_of(struct exchange *x, const struct edit *e,
                             const struct http_head *response)
{
    struct slice value = exchange_expand(x, &e->value, response);
    if (template_is_fixed(&e->value)) return value; /* conf/ has looked at it */
    if (value.len > VALUE_BYTES_MAX || !http_is_field_value(value)) return slice_make("", 0);
    while (value.len && (value.data[0] == ' ' || value.data[0] == '\t'))
        value = slice_from(value, 1);
    while (value.len && (value.data[value.len - 1] == ' ' || value.data[value.len - 1] == '\t'))
        value.len--;
    return value;
}

static bool is_of(const struct http_field *f, const struct edit *e)
{
    return f->id == e->id && !f->is_dropped && slice_eq_nocase(f->name, e->name);
}

/* Nobody can smuggle in what the new name means by using it himself. */
static void rename_fields(struct http_fields *f, const struct edit *e)
{
    bool is_first = true;
    for (unsigned i = 0; i < f->count; i++) {
        if (!is_of(&f->items[i], e)) continue;
        if (is_first) {
            is_first = false;
            if (e->id == e->new_id && slice_eq_nocase(e->name, e->new_name)) return;
            http_fields_drop_named(f, e->new_id, e->new_name);
        }
        f->items[i].name = e->new_name;
        f->items[i].id = (uint16_t)e->new_id;
        f->present |= UINT64_C(1) << e->new_id;
    }
}

static void edit(struct exchange *x, const struct edit_list *edits, struct http_fields *f,
                 const struct http_head *response)
{
    for (size_t i = 0; i < edits->count; i++) {
        const struct edit *e = &edits->items[i];
        struct slice       value;
        switch (e->kind) {
        case EDIT_REMOVE: http_fields_drop_named(f, e->id, e->name); break;
        case EDIT_RENAME: rename_fields(f, e); break;
        case EDIT_SET:
        case EDIT_ADD:
            value = value_of(x, e, response); /* may be made of what it replaces */
            if (e->kind == EDIT_SET) http_fields_drop_named(f, e->id, e->name);
            if (value.len) http_fields_add(f, exchange_arena(x), e->id, e->name, value);
            break;
        }
    }
}

static enum filter_result on_request(struct exchange *x, const void *config, void **state)
{
    const struct header_edits *e = config;
    (void)state;
    edit(x, &e->requests, &exchange_request(x)->fields, NULL);
    return FILTER_CONTINUE;
}

static void on_response(struct exchange *x, const void *config, void *state, struct http_head *head)
{
    const struct header_edits *e = config;
    (void)state;
    edit(x, &e->responses, &head->fields, head);
}

const struct filter_ops filter_headers = {
    .name = "headers",
    .on_request = on_request,
    .on_response = on_response,
    .on_response_always = true,
};
