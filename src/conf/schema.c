/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine of the tables. See schema.h.
 */
#include "conf/schema.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/memory.h"
#include "conf/emit.h"
#include "conf/nearest.h"
#include "conf/template.h"
#include "conf/types.h"

enum { SECRET_FILE_BYTES_MAX = 64 << 10 };

/* ---- rows ---- */

void conf_rows(struct conf_row_walk *w, const struct conf_section *section, unsigned only)
{
    *w = (struct conf_row_walk){ .section = section, .only = only };
}

/* The next row of the same section, or of the one that it takes in. */
static const struct conf_row *advance(struct conf_row_walk *w)
{
    const struct conf_row *row = w->row ? w->row + 1 : w->section->rows;
    while (!(row && row->key)) {
        if (!w->section->also) return NULL;
        w->shift += w->section->also_offset;
        w->section = w->section->also;
        row = w->section->rows;
    }
    return w->row = row;
}

bool conf_next_row(struct conf_row_walk *w)
{
    while (advance(w))
        if (!w->only || (w->row->flags & w->only)) return true;
    return false;
}

static void *field_of(const struct conf_row *row, void *base)
{
    return (char *)base + row->offset;
}

static size_t *count_of(const struct conf_row *row, void *base)
{
    return (size_t *)(void *)((char *)base + row->count_offset);
}

/* A pointer to anything, stored without caring what it points to. */
static void put_pointer(void *field, void *value)
{
    memcpy(field, &value, sizeof(value));
}

static const void *get_pointer(const void *field)
{
    const void *value;
    memcpy(&value, field, sizeof(value));
    return value;
}

/* ---- defaults ---- */

static void preset_row(struct conf_parser *p, const struct conf_row *row, void *base)
{
    struct error e = { "" };
    if (row->shape == CONF_INLINE) {
        conf_preset(p, row->section, row->only, field_of(row, base));
    } else if (row->shape == CONF_ONE && row->preset) {
        bool is_good = row->type->read(p, row, slice_of(row->preset), field_of(row, base), &e);
        assert(is_good); /* the tables' own text */
        (void)is_good;
    }
}

void conf_preset(struct conf_parser *p, const struct conf_section *section, unsigned only,
                 void *base)
{
    struct conf_row_walk w;
    conf_rows(&w, section, only);
    while (conf_next_row(&w)) preset_row(p, w.row, (char *)base + w.shift);
}

/* ---- scalars ---- */

/* What an error calls the value: its key, or the name that the user gave it. */
static const char *title_of(struct conf_parser *p, const struct conf_row *row)
{
    return conf_quote(&p->report->arena, p->item ? p->item->text : slice_of(row->key));
}

/* "a whole number, or `off`", "a text of 16 to 4096 bytes" */
static const char *expected_of(struct conf_parser *p, const struct conf_row *row)
{
    const char *expected = row->type->expected;
    if (row->zero) return arena_printf(&p->report->arena, "%s, or `%s`", expected, row->zero).data;
    if (row->type == &conf_text && row->max)
        return arena_printf(&p->report->arena, "%s of %" PRIu64 " to %" PRIu64 " bytes", expected,
                            row->min, row->max)
            .data;
    return expected;
}

/* For those who write "off", or 0, where another word says so. */
static void hint_at_none(struct conf_parser *p, const struct conf_row *row, struct slice text)
{
    static const char *const words[] = { "0", "0%", "off", "none", "no", "false", "unlimited" };
    bool                     has_zero = row->type == &conf_count && row->max && !row->min;
    const char              *meant = row->zero ? row->zero : has_zero ? "0" : NULL;
    if (!meant || p->hint.len || (!row->zero && slice_eq(text, S("unlimited")))) return;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (slice_eq(text, slice_of(words[i])))
            p->hint = arena_printf(&p->report->arena, "did you mean `%s`?", meant);
}

static void report_scalar(struct conf_parser *p, const struct conf_row *row,
                          const struct conf_node *n, const char *reason)
{
    const char *title = title_of(p, row), *expected = expected_of(p, row);
    bool        from_file = n->kind == CONF_SCALAR && row->flags & CONF_FROM_FILE &&
                     slice_starts_with(n->text, S("file:"));
    if (row->flags & CONF_SECRET || from_file)
        conf_report_error(p->report, &n->at, (struct slice){ 0 },
                          "%s: expected %s (the value is not shown)", title, expected);
    else if (reason[0])
        conf_report_error(p->report, &n->at, p->hint, "%s: %s", title, reason);
    else
        conf_report_error(p->report, &n->at, p->hint, "%s: expected %s, got %s", title, expected,
                          conf_node_quote(&p->report->arena, n));
}

static struct slice without_newline(struct slice s)
{
    if (s.len && s.data[s.len - 1] == '\n') s.len--;
    if (s.len && s.data[s.len - 1] == '\r') s.len--;
    return s;
}

/* The content of the file that "file:/path" names. False after reporting. */
static bool read_secret_file(struct conf_parser *p, const struct conf_row *row,
                             const struct conf_node *n, struct slice *text)
{
    struct buffer content = BUFFER_INIT;
    struct error  e = { "" };
    struct slice  path = conf_path_beside(p->arena, n->at.file, slice_from(n->text, 5));
    bool is_read = p->reader->read(p->reader->arg, path.data, SECRET_FILE_BYTES_MAX, &content, &e);
    if (!is_read)
        conf_report_error(p->report, &n->at, (struct slice){ 0 }, "%s: %s", title_of(p, row),
                          e.text);
    *text = arena_copy(p->arena, without_newline(buffer_slice(&content)));
    buffer_reset(&content);
    return is_read;
}

static void mention(struct conf_parser *p, const struct conf_row *row, const struct conf_node *n)
{
    if (p->mention_count == p->mention_capacity) {
        p->mention_capacity = p->mention_capacity ? p->mention_capacity * 2 : 64;
        p->mentions = mem_realloc(p->mentions, p->mention_capacity * sizeof(*p->mentions));
    }
    p->mentions[p->mention_count++] =
        (struct conf_mention){ row, n->at, arena_copy(p->arena, n->text) };
}

/* Where the row has no use for a request's variables, they are a mistake. */
static bool read_template(struct conf_parser *p, const struct conf_row *row,
                          const struct conf_node *n, struct slice *text)
{
    struct slice found;
    if (row->type->template_uses && !n->is_template) *text = template_escape(*text, p->arena);
    if (row->type->template_uses || !n->is_template) return true;
    if (template_unescape(text, p->arena, &found)) return true;
    conf_report_error(p->report, &n->at, S("write `$${` for a plain `${`"),
                      "%s: it cannot have parts of the request in it, such as %s", title_of(p, row),
                      conf_quote(&p->report->arena, found));
    return false;
}

static bool read_scalar(struct conf_parser *p, const struct conf_row *row,
                        const struct conf_node *n, void *field)
{
    struct error e = { "" };
    struct slice text = n->text;
    if (row->flags & CONF_SECRET) conf_report_hide(p->report, &n->at, n->end_line, n->end_column);
    if (n->is_broken) return false;
    if (n->kind != CONF_SCALAR || conf_node_is_null(n)) {
        if (row->flags & CONF_NULLABLE && n->kind == CONF_SCALAR) return true;
        p->hint = (struct slice){ 0 };
        report_scalar(p, row, n, "");
        return false;
    }
    bool is_file = row->flags & CONF_FROM_FILE && slice_starts_with(text, S("file:"));
    if (is_file && !read_secret_file(p, row, n, &text)) return false;
    if (is_file && row->type->template_uses) text = template_escape(text, p->arena);
    if (!is_file && !read_template(p, row, n, &text)) return false;
    p->hint = (struct slice){ 0 };
    p->node = n;
    if (!row->type->read(p, row, text, field, &e)) {
        hint_at_none(p, row, text);
        report_scalar(p, row, n, e.text);
        return false;
    }
    if (row->flags & CONF_REFERENCE) mention(p, row, n);
    return true;
}

static void expect_kind(struct conf_parser *p, const struct conf_row *row,
                        const struct conf_node *n, const char *expected, struct slice hint)
{
    conf_report_error(p->report, &n->at, hint, "`%s`: expected %s, got %s", row->key, expected,
                      conf_node_quote(&p->report->arena, n));
}

static const struct slice no_hint = { 0 };

static bool has_items(struct conf_parser *p, const struct conf_row *row, const struct conf_node *n)
{
    if (n->count || !(row->flags & CONF_NOT_EMPTY)) return true;
    conf_report_add(p->report, CONF_ERROR, &n->at, "`%s` needs at least one item", row->key);
    return false;
}

static void read_many(struct conf_parser *p, const struct conf_row *row, const struct conf_node *n,
                      struct text_list *list)
{
    struct conf_node *const *items = n->items;
    struct conf_node        *only = NULL;
    size_t                   count = n->count;
    *list = (struct text_list){ 0 };
    if (n->kind == CONF_MAPPING) {
        expect_kind(p, row, n, "a text or a list of them", no_hint);
        return;
    }
    if (n->kind == CONF_SEQUENCE && !has_items(p, row, n)) return;
    if (n->kind == CONF_SCALAR) {
        memcpy(&only, &n, sizeof(n)); /* a list of one, read only */
        items = &only;
        count = 1;
    }
    list->items = arena_zalloc(p->arena, count * sizeof(*list->items));
    for (size_t i = 0; i < count; i++)
        list->count += read_scalar(p, row, items[i], &list->items[list->count]);
}

/* ---- sections ---- */

/* The same place with a file name that lives as long as the settings. */
static struct conf_place kept_place(struct conf_parser *p, const struct conf_place *at)
{
    if (p->file != at->file) {
        p->file = at->file;
        p->file_copy = arena_strdup(p->arena, at->file);
    }
    return (struct conf_place){ p->file_copy, at->line, at->column };
}

static void *new_item(struct conf_parser *p, const struct conf_section *section)
{
    void *item = arena_zalloc(p->arena, section->size);
    conf_preset(p, section, 0, item);
    return item;
}

static struct slice switch_hint(struct slice text)
{
    if (conf_is_yes(text)) return S("did you mean `true`?");
    if (conf_is_no(text)) return S("did you mean `false`?");
    return no_hint;
}

static void read_optional(struct conf_parser *p, const struct conf_row *row,
                          const struct conf_node *n, void *base)
{
    bool is_switch = row->flags & CONF_SWITCH && n->kind == CONF_SCALAR;
    if (is_switch && slice_eq(n->text, S("false"))) {
        put_pointer(field_of(row, base), NULL);
        return;
    }
    void *item = new_item(p, row->section);
    put_pointer(field_of(row, base), item);
    if (is_switch && slice_eq(n->text, S("true"))) return;
    if (is_switch)
        expect_kind(p, row, n, "`true`, `false` or a mapping", switch_hint(n->text));
    else
        conf_fill(p, row, row->section, n, item);
}

static void read_items(struct conf_parser *p, const struct conf_row *row, const struct conf_node *n,
                       void *base)
{
    bool is_map = row->shape == CONF_MAP;
    if (n->kind != (is_map ? CONF_MAPPING : CONF_SEQUENCE)) {
        bool is_item = !is_map && n->kind == CONF_SCALAR && row->section->shorthand;
        expect_kind(p, row, n, is_map ? "a mapping of names" : "a list",
                    is_item ? S("a list of one stands between `[` and `]`") : no_hint);
        return;
    }
    if (!has_items(p, row, n)) return;
    const struct conf_section *section = row->section;
    char                      *items = arena_zalloc(p->arena, n->count * section->size);
    put_pointer(field_of(row, base), items);
    *count_of(row, base) = n->count;
    for (uint32_t i = 0; i < n->count; i++) {
        void                   *item = items + i * section->size;
        const struct conf_node *value = is_map ? n->pairs[i].value : n->items[i];
        conf_preset(p, section, 0, item);
        if (is_map) read_scalar(p, section->name, n->pairs[i].key, field_of(section->name, item));
        p->item = section->is_scalar ? n->pairs[i].key : NULL;
        conf_fill(p, row, section, value, item);
        p->item = NULL;
        if (is_map && section->has_place) {
            struct conf_place at = kept_place(p, &n->pairs[i].key->at);
            memcpy(item, &at, sizeof(at));
        }
    }
}

static void read_row(struct conf_parser *p, const struct conf_row *row,
                     const struct conf_pair *pair, void *base)
{
    const struct conf_node *n = pair->value;
    switch (row->shape) {
    case CONF_ONE: read_scalar(p, row, n, field_of(row, base)); break;
    case CONF_MANY: read_many(p, row, n, field_of(row, base)); break;
    case CONF_INLINE: conf_fill(p, row, row->section, n, field_of(row, base)); break;
    case CONF_OPTIONAL: read_optional(p, row, n, base); break;
    case CONF_LIST:
    case CONF_MAP: read_items(p, row, n, base); break;
    case CONF_LATER:
        conf_report_add(p->report, CONF_ERROR, &pair->key->at,
                        "`%s` is not available in this version", row->key);
        break;
    case CONF_TREE: break;
    }
}

static const struct conf_pair *find_pair(const struct conf_node *n, const char *key)
{
    for (uint32_t i = 0; n && i < n->count; i++)
        if (slice_eq(n->pairs[i].key->text, slice_of(key))) return &n->pairs[i];
    return NULL;
}

static bool knows_key(const struct conf_parser *p, const struct conf_section *section,
                      unsigned only, struct slice key, struct nearest *near)
{
    struct conf_row_walk w;
    conf_rows(&w, section, only);
    while (conf_next_row(&w)) {
        if (w.row->flags & CONF_HIDDEN && !p->is_own) continue;
        if (slice_eq(key, slice_of(w.row->key))) return true;
        if (near && w.row->shape != CONF_LATER) nearest_try(near, slice_of(w.row->key));
    }
    return false;
}

/* "`x` stands in `a`", where a section below has it; or empty. */
static struct slice deeper_hint(const struct conf_parser *p, const struct conf_section *section,
                                unsigned only, struct slice key)
{
    struct arena        *a = &p->report->arena;
    struct slice         hint = { 0 };
    struct conf_row_walk w;
    conf_rows(&w, section, only);
    while (conf_next_row(&w)) {
        const struct conf_section *below = w.row->section;
        if (!below || below->is_scalar || w.row->shape == CONF_LATER) continue;
        if (w.row->flags & CONF_HIDDEN || !knows_key(p, below, w.row->only, key, NULL)) continue;
        hint = hint.len ? arena_printf(a, "%.*s or `%s`", SLICE_ARG(hint), w.row->key)
                        : arena_printf(a, "%s stands in `%s`", conf_quote(a, key), w.row->key);
    }
    return hint;
}

/* A slip of one letter, the right name in the wrong place, or what is most like it. */
static struct slice unknown_hint(const struct conf_parser *p, const struct conf_section *section,
                                 unsigned only, struct slice key, const struct nearest *near)
{
    struct slice deeper = { 0 };
    if (!near->best.len || near->distance > 1) deeper = deeper_hint(p, section, only, key);
    return deeper.len ? deeper : nearest_hint(near, &p->report->arena);
}

/* Compose's convention: a place for anchors. */
static bool is_extension(const struct conf_section *section, struct slice key)
{
    return section == &conf_root_section && slice_starts_with(key, S("x-"));
}

static void check_keys(struct conf_parser *p, const struct conf_section *section, unsigned only,
                       const struct conf_node *n)
{
    for (uint32_t i = 0; i < n->count; i++) {
        const struct conf_node *key = n->pairs[i].key;
        struct nearest          near;
        if (knows_key(p, section, only, key->text, NULL) || is_extension(section, key->text))
            continue;
        nearest_init(&near, key->text);
        knows_key(p, section, only, key->text, &near);
        const char *quoted = conf_quote(&p->report->arena, key->text);
        if (only && knows_key(p, section, 0, key->text, NULL))
            conf_report_error(p->report, &key->at, (struct slice){ 0 },
                              "%s is the same for all routes; it belongs to the top level", quoted);
        else
            conf_report_error(p->report, &key->at, unknown_hint(p, section, only, key->text, &near),
                              "unknown key %s in %s", quoted, section->what);
    }
}

static void check_required(struct conf_parser *p, const struct conf_section *section,
                           const struct conf_node *n, const struct conf_place *at)
{
    struct conf_row_walk w;
    struct buffer        names = BUFFER_INIT;
    unsigned             given = 0;
    conf_rows(&w, section, 0);
    while (conf_next_row(&w)) {
        bool is_given = find_pair(n, w.row->key) != NULL;
        if (w.row->flags & CONF_REQUIRED && !is_given)
            conf_report_add(p->report, CONF_ERROR, at, "%s needs `%s`", section->what, w.row->key);
        if (!(w.row->flags & CONF_ONE_OF)) continue;
        given += is_given;
        if (!conf_row_is_shown(w.row)) continue;
        buffer_printf(&names, "%s`%s`", names.len ? ", " : "", w.row->key);
    }
    if (names.len && given != 1)
        conf_report_add(p->report, CONF_ERROR, at, "%s needs exactly one of %.*s; this one has %s",
                        section->what, SLICE_ARG(buffer_slice(&names)), given ? "more" : "none");
    buffer_reset(&names);
}

/* `key: scalar` for a section with a shorthand is `key: { shorthand: scalar }`; the same for a
 * list where the shorthand may be one. */
static bool fill_shorthand(struct conf_parser *p, const struct conf_section *section,
                           const struct conf_node *n, void *base)
{
    struct conf_row_walk w;
    if (!section->shorthand || (n->kind == CONF_MAPPING && !section->is_scalar)) return false;
    conf_rows(&w, section, 0);
    while (conf_next_row(&w)) {
        if (strcmp(w.row->key, section->shorthand) != 0) continue;
        void *field = (char *)field_of(w.row, base) + w.shift;
        if (w.row->shape == CONF_MANY)
            read_many(p, w.row, n, field);
        else
            read_scalar(p, w.row, n, field);
        return true;
    }
    return false;
}

static void fill_keys(struct conf_parser *p, const struct conf_section *section, unsigned only,
                      const struct conf_node *n, void *base)
{
    struct conf_row_walk w;
    conf_rows(&w, section, only);
    while (conf_next_row(&w)) {
        const struct conf_pair *pair = find_pair(n, w.row->key);
        char                   *shifted = (char *)base + w.shift;
        if (pair)
            read_row(p, w.row, pair, shifted);
        else if (w.row->shape == CONF_INLINE && w.row->section->begin)
            w.row->section->begin(p, field_of(w.row, shifted));
    }
}

static struct slice off_hint(struct conf_parser *p, const struct conf_section *section,
                             const struct conf_node *n)
{
    if (!section->off || n->kind != CONF_SCALAR || !conf_is_no(n->text)) return no_hint;
    return arena_printf(&p->report->arena, "did you mean `%s`?", section->off);
}

void conf_fill(struct conf_parser *p, const struct conf_row *row,
               const struct conf_section *section, const struct conf_node *n, void *base)
{
    unsigned          only = row ? row->only : 0;
    struct conf_place at = kept_place(p, &n->at);
    if (section->has_place) memcpy(base, &at, sizeof(at));
    if (section->begin) section->begin(p, base);
    if (!fill_shorthand(p, section, n, base)) {
        if (n->kind != CONF_MAPPING) {
            conf_report_error(p->report, &n->at, off_hint(p, section, n),
                              "%s: expected a mapping, got %s", section->what,
                              conf_node_quote(&p->report->arena, n));
            return;
        }
        check_keys(p, section, only, n);
        check_required(p, section, n, &n->at);
        fill_keys(p, section, only, n, base);
    }
    if (section->end) section->end(p, base, &n->at);
}

/* ---- canonical text ---- */

static void write_items(const struct conf_row *row, const void *base, struct buffer *to)
{
    size_t count;
    memcpy(&count, (const char *)base + row->count_offset, sizeof(count));
    const char *items = get_pointer((const char *)base + row->offset);
    buffer_put_char(to, '[');
    for (size_t i = 0; i < count; i++) {
        const char            *item = items + i * row->section->size;
        const struct conf_row *name = row->section->name;
        if (name) name->type->write(name, item + name->offset, to);
        conf_write(row->section, row->only, item, to);
    }
    buffer_put_char(to, ']');
}

static void write_many(const struct conf_row *row, const struct text_list *list, struct buffer *to)
{
    buffer_put_char(to, '[');
    for (size_t i = 0; i < list->count; i++) {
        row->type->write(row, &list->items[i], to);
        buffer_put_char(to, ',');
    }
    buffer_put_char(to, ']');
}

void conf_write_row(const struct conf_row *row, const void *base, struct buffer *to)
{
    const void *field = (const char *)base + row->offset;
    switch (row->shape) {
    case CONF_ONE: row->type->write(row, field, to); break;
    case CONF_MANY: write_many(row, field, to); break;
    case CONF_INLINE: conf_write(row->section, row->only, field, to); break;
    case CONF_OPTIONAL:
        if (get_pointer(field))
            conf_write(row->section, row->only, get_pointer(field), to);
        else
            buffer_puts(to, "null");
        break;
    case CONF_LIST:
    case CONF_MAP: write_items(row, base, to); break;
    case CONF_LATER:
    case CONF_TREE: break;
    }
}

void conf_write(const struct conf_section *section, unsigned only, const void *base,
                struct buffer *to)
{
    struct conf_row_walk w;
    conf_rows(&w, section, only);
    buffer_put_char(to, '{');
    while (conf_next_row(&w)) {
        if (w.row->shape == CONF_LATER || w.row->shape == CONF_TREE) continue;
        buffer_printf(to, "%s:", w.row->key);
        conf_write_row(w.row, (const char *)base + w.shift, to);
        buffer_put_char(to, ';');
    }
    buffer_put_char(to, '}');
}
