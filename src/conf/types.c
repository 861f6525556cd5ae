/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers, choices, texts and paths. See types.h.
 */
#include "conf/types.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "conf/nearest.h"
#include "conf/value.h"

/* ---- numbers ---- */

static void store_number(const struct conf_row *row, void *field, uint64_t n)
{
    uint8_t  n8 = (uint8_t)n;
    uint16_t n16 = (uint16_t)n;
    uint32_t n32 = (uint32_t)n;
    switch (row->size) {
    case 1: memcpy(field, &n8, 1); break;
    case 2: memcpy(field, &n16, 2); break;
    case 4: memcpy(field, &n32, 4); break;
    default: memcpy(field, &n, 8); break;
    }
}

static uint64_t load_number(const struct conf_row *row, const void *field)
{
    uint8_t  n8;
    uint16_t n16;
    uint32_t n32;
    uint64_t n64;
    switch (row->size) {
    case 1: memcpy(&n8, field, 1); return n8;
    case 2: memcpy(&n16, field, 2); return n16;
    case 4: memcpy(&n32, field, 4); return n32;
    default: memcpy(&n64, field, 8); return n64;
    }
}

static bool is_zero_word(const struct conf_row *row, struct slice text)
{
    return row->zero && slice_eq(text, slice_of(row->zero));
}

/* Bounds apply to all but the word that stands for 0. */
static bool store_bounded(const struct conf_row *row, uint64_t n, void *field, struct error *e)
{
    void (*put)(struct buffer * to, uint64_t n) = row->type->put_bound;
    if (!row->max || (n >= row->min && n <= row->max)) {
        store_number(row, field, n);
        return true;
    }
    struct buffer bounds = BUFFER_INIT;
    put(&bounds, row->min);
    buffer_puts(&bounds, " to ");
    put(&bounds, row->max);
    if (row->zero) buffer_printf(&bounds, " or `%s`", row->zero);
    error_set(e, "expected %.*s, got ", SLICE_ARG(buffer_slice(&bounds)));
    buffer_reset(&bounds);
    put(&bounds, n);
    size_t used = strlen(e->text);
    snprintf(e->text + used, sizeof(e->text) - used, "`%.*s`", SLICE_ARG(buffer_slice(&bounds)));
    buffer_reset(&bounds);
    return false;
}

static bool read_with(const struct conf_row *row, struct slice text, void *field, struct error *e,
                      bool (*parse)(struct slice text, uint64_t *n))
{
    uint64_t n;
    if (is_zero_word(row, text)) {
        store_number(row, field, 0);
        return true;
    }
    return parse(text, &n) && store_bounded(row, n, field, e);
}

static void put_number(struct buffer *to, uint64_t n)
{
    buffer_printf(to, "%" PRIu64, n);
}

static bool read_count(struct conf_parser *p, const struct conf_row *row, struct slice text,
                       void *field, struct error *e)
{
    (void)p;
    return read_with(row, text, field, e, value_number);
}

static void write_count(const struct conf_row *row, const void *field, struct buffer *to)
{
    put_number(to, load_number(row, field));
}

const struct conf_type conf_count = {
    .label = "number",
    .expected = "a whole number",
    .json = "\"integer\", \"string\"",
    .pattern = "[0-9]+",
    .read = read_count,
    .write = write_count,
    .put_bound = put_number,
};

/* "1y", "2w": no unit here, as years differ. */
static struct slice long_unit_hint(uint64_t count, char unit, struct arena *a)
{
    unsigned days = unit == 'y' ? 365 : unit == 'w' ? 7 : 0;
    if (!days || count > UINT32_MAX) return (struct slice){ 0 };
    return arena_printf(a, "did you mean `%" PRIu64 "d`?", count * days);
}

static bool read_duration(struct conf_parser *p, const struct conf_row *row, struct slice text,
                          void *field, struct error *e)
{
    uint64_t bare;
    if (value_number(text, &bare) && bare)
        p->hint = arena_printf(&p->report->arena, "did you mean `%" PRIu64 "s`?", bare);
    else if (text.len && value_number(slice_make(text.data, text.len - 1), &bare))
        p->hint = long_unit_hint(bare, text.data[text.len - 1], &p->report->arena);
    return read_with(row, text, field, e, value_duration);
}

static void write_duration(const struct conf_row *row, const void *field, struct buffer *to)
{
    value_put_duration(to, load_number(row, field));
}

const struct conf_type conf_duration = {
    .label = "duration",
    .expected = "a duration such as `5s`, `250ms`, `1m`, `2h` or `1d`",
    .json = "\"string\", \"integer\"",
    .pattern = "0|[0-9]+(ms|s|m|h|d)",
    .read = read_duration,
    .write = write_duration,
    .put_bound = value_put_duration,
};

/* "50M", "50mb": what others write for powers of 1024. */
static struct slice size_hint(struct slice text, struct arena *a)
{
    static const char letters[] = "KMGTkmgt";
    size_t            digits = 0;
    while (digits < text.len && text.data[digits] >= '0' && text.data[digits] <= '9') digits++;
    const char *letter = digits && digits < text.len ? strchr(letters, text.data[digits]) : NULL;
    if (!letter || !*letter) return (struct slice){ 0 };
    return arena_printf(a, "did you mean `%.*s%ciB`?", (int)digits, text.data,
                        letters[(letter - letters) % 4]);
}

static bool read_size(struct conf_parser *p, const struct conf_row *row, struct slice text,
                      void *field, struct error *e)
{
    uint64_t bytes;
    if (!value_size(text, &bytes)) p->hint = size_hint(text, &p->report->arena);
    return read_with(row, text, field, e, value_size);
}

static void write_size(const struct conf_row *row, const void *field, struct buffer *to)
{
    value_put_size(to, load_number(row, field));
}

const struct conf_type conf_size = {
    .label = "size",
    .expected = "a size such as `100`, `16KiB`, `50MiB` or `1MB`",
    .json = "\"integer\", \"string\"",
    .pattern = "[0-9]+(B|[kKMGT]B|[KMGT]iB)?",
    .read = read_size,
    .write = write_size,
    .put_bound = value_put_size,
};

static bool read_rate(struct conf_parser *p, const struct conf_row *row, struct slice text,
                      void *field, struct error *e)
{
    uint64_t pair[2];
    (void)p;
    if (!value_rate(text, &pair[0], &pair[1])) return false;
    if (pair[0] < row->min || pair[0] > row->max)
        return error_set(e, "expected %" PRIu64 " to %" PRIu64 " requests, got `%" PRIu64 "`",
                         row->min, row->max, pair[0]);
    memcpy(field, pair, sizeof(pair));
    return true;
}

static void write_rate(const struct conf_row *row, const void *field, struct buffer *to)
{
    uint64_t pair[2];
    (void)row;
    memcpy(pair, field, sizeof(pair));
    value_put_rate(to, pair[0], pair[1]);
}

const struct conf_type conf_rate = {
    .label = "rate",
    .expected = "a rate such as `10/s`, `5/m`, `100/h` or `1000/d`",
    .json = "\"string\"",
    .pattern = "[0-9]+/[smhd]",
    .read = read_rate,
    .write = write_rate,
    .put_bound = put_number,
};

/* ---- choices ---- */

static bool is_one_of(struct slice text, const char *const *words)
{
    for (; *words; words++)
        if (slice_eq(text, slice_of(*words))) return true;
    return false;
}

bool conf_is_yes(struct slice text)
{
    static const char *const words[] = { "true", "yes", "on", "1", "True", "TRUE", NULL };
    return is_one_of(text, words);
}

bool conf_is_no(struct slice text)
{
    static const char *const words[] = { "false", "no", "off", "0", "False", "FALSE", NULL };
    return is_one_of(text, words);
}

static bool read_bool(struct conf_parser *p, const struct conf_row *row, struct slice text,
                      void *field, struct error *e)
{
    bool is_true = slice_eq(text, S("true"));
    (void)row;
    (void)e;
    if (!is_true && !slice_eq(text, S("false"))) {
        if (conf_is_yes(text)) p->hint = S("did you mean `true`?");
        if (conf_is_no(text)) p->hint = S("did you mean `false`?");
        return false;
    }
    memcpy(field, &is_true, sizeof(is_true));
    return true;
}

static void write_bool(const struct conf_row *row, const void *field, struct buffer *to)
{
    buffer_puts(to, load_number(row, field) ? "true" : "false");
}

const struct conf_type conf_bool = {
    .label = "boolean",
    .expected = "`true` or `false`",
    .json = "\"boolean\", \"string\"",
    .pattern = "true|false",
    .read = read_bool,
    .write = write_bool,
};

static struct slice choice_hint(struct conf_parser *p, const struct conf_row *row,
                                struct slice text, const struct nearest *near)
{
    for (const struct conf_alias *a = row->aliases; a && a->word; a++)
        if (slice_eq_nocase(text, slice_of(a->word)))
            return arena_printf(&p->report->arena, "did you mean `%s`?", a->choice);
    return nearest_hint(near, &p->report->arena);
}

static bool unknown_choice(struct conf_parser *p, const struct conf_row *row, struct slice text,
                           struct error *e)
{
    struct nearest near;
    struct buffer  names = BUFFER_INIT;
    nearest_init(&near, text);
    for (const struct conf_choice *c = row->choices; c->name; c++) {
        nearest_try(&near, slice_of(c->name));
        const char *before = c == row->choices ? "" : c[1].name ? ", " : " or ";
        buffer_printf(&names, "%s`%s`", before, c->name);
    }
    error_set(e, "expected %.*s, got %s", SLICE_ARG(buffer_slice(&names)),
              conf_quote(&p->report->arena, text));
    buffer_reset(&names);
    p->hint = choice_hint(p, row, text, &near);
    return false;
}

static bool read_enum(struct conf_parser *p, const struct conf_row *row, struct slice text,
                      void *field, struct error *e)
{
    for (const struct conf_choice *c = row->choices; c->name; c++) {
        if (!slice_eq(text, slice_of(c->name))) continue;
        if (c->value == CONF_CHOICE_LATER)
            return error_set(e, "`%s` is not available in this version", c->name);
        if (row->size == sizeof(struct slice)) return conf_store_text(p, text, field);
        store_number(row, field, (uint64_t)c->value);
        return true;
    }
    return unknown_choice(p, row, text, e);
}

static void write_enum(const struct conf_row *row, const void *field, struct buffer *to)
{
    if (row->size == sizeof(struct slice)) {
        conf_write_text(row, field, to);
        return;
    }
    for (const struct conf_choice *c = row->choices; c->name; c++)
        if ((uint64_t)c->value == load_number(row, field)) buffer_puts(to, c->name);
}

const struct conf_type conf_enum = {
    .label = "one of",
    .expected = "one of the choices",
    .json = "\"string\"",
    .read = read_enum,
    .write = write_enum,
};

/* ---- texts ---- */

bool conf_store_text(struct conf_parser *p, struct slice text, void *field)
{
    struct slice copy = arena_copy(p->arena, text);
    memcpy(field, &copy, sizeof(copy));
    return true;
}

void conf_write_text(const struct conf_row *row, const void *field, struct buffer *to)
{
    struct slice text;
    (void)row;
    memcpy(&text, field, sizeof(text));
    if (text.data)
        buffer_put_json(to, text);
    else
        buffer_puts(to, "null");
}

static bool read_text(struct conf_parser *p, const struct conf_row *row, struct slice text,
                      void *field, struct error *e)
{
    if (row->max && (text.len < row->min || text.len > row->max))
        return error_set(e, "expected a text of %" PRIu64 " to %" PRIu64 " bytes, got %zu",
                         row->min, row->max, text.len);
    return conf_store_text(p, text, field);
}

const struct conf_type conf_text = {
    .label = "text",
    .expected = "a text",
    .json = "\"string\", \"number\", \"boolean\"",
    .read = read_text,
    .write = conf_write_text,
    .put_bound = value_put_size,
};

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
}

/* Names of our own making have characters that those of a file have not. */
static bool read_name(struct conf_parser *p, const struct conf_row *row, struct slice text,
                      void *field, struct error *e)
{
    (void)row;
    (void)e;
    for (size_t i = 0; i < text.len; i++)
        if (!is_name_char(text.data[i]) &&
            !(p->is_own && text.data[i] && strchr(":/#", text.data[i])))
            return false;
    return text.len > 0 && text.len <= 64 && conf_store_text(p, text, field);
}

const struct conf_type conf_name = {
    .label = "name",
    .expected = "a name of 1 to 64 letters, digits, `-`, `_` and `.`",
    .json = "\"string\", \"number\", \"boolean\"",
    .pattern = "[A-Za-z0-9_.-]{1,64}",
    .read = read_name,
    .write = conf_write_text,
};

static bool read_label(struct conf_parser *p, const struct conf_row *row, struct slice text,
                       void *field, struct error *e)
{
    (void)row;
    (void)e;
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f) return false;
    return text.len > 0 && text.len <= 128 && conf_store_text(p, text, field);
}

const struct conf_type conf_label = {
    .label = "text",
    .expected = "a text of 1 to 128 bytes in one line",
    .json = "\"string\", \"number\", \"boolean\"",
    .read = read_label,
    .write = conf_write_text,
};

/* ---- paths ---- */

/* Drops "." and "..", by letters: nobody asks the file system. */
static struct slice lexical(struct arena *a, struct slice path)
{
    struct buffer out = BUFFER_INIT;
    while (path.len) {
        size_t       end = slice_find(path, '/');
        struct slice part = { path.data, end };
        path = slice_from(path, end < path.len ? end + 1 : end);
        if (part.len == 0 || slice_eq(part, S("."))) continue;
        if (slice_eq(part, S(".."))) {
            while (out.len && out.data[--out.len] != '/') {}
            continue;
        }
        buffer_put_char(&out, '/');
        buffer_put_slice(&out, part);
    }
    if (!out.len) buffer_put_char(&out, '/');
    struct slice copy = arena_copy(a, buffer_slice(&out));
    buffer_reset(&out);
    return copy;
}

struct slice conf_path_beside(struct arena *a, const char *file, struct slice path)
{
    if (path.len && path.data[0] == '/') return lexical(a, path);
    const char  *slash = strrchr(file, '/');
    struct slice folder = { file, slash ? (size_t)(slash - file) + 1 : 0 };
    char        *cwd = folder.len && folder.data[0] == '/' ? NULL : getcwd(NULL, 0);
    struct slice joined =
        arena_printf(a, "%s/%.*s%.*s", cwd ? cwd : "", SLICE_ARG(folder), SLICE_ARG(path));
    free(cwd);
    return lexical(a, joined);
}

static bool is_path(struct slice text)
{
    return text.len > 0 && text.len < 4096 && slice_find(text, '\n') == text.len;
}

static bool store_path(struct conf_parser *p, struct slice text, void *field)
{
    struct slice path = { 0 };
    if (!is_path(text)) return false;
    path = conf_path_beside(p->arena, p->node ? p->node->at.file : "", text);
    memcpy(field, &path, sizeof(path));
    return true;
}

static bool read_path(struct conf_parser *p, const struct conf_row *row, struct slice text,
                      void *field, struct error *e)
{
    (void)row;
    (void)e;
    return store_path(p, text, field);
}

const struct conf_type conf_path = {
    .label = "path",
    .expected = "the path of a file",
    .json = "\"string\"",
    .pattern = ".+",
    .read = read_path,
    .write = conf_write_text,
};

/* A word among the row's choices, or a path. */
static bool read_word_or_path(struct conf_parser *p, const struct conf_row *row, struct slice text,
                              void *field, struct error *e)
{
    (void)e;
    for (const struct conf_choice *c = row->choices; c->name; c++)
        if (slice_eq(text, slice_of(c->name))) return conf_store_text(p, text, field);
    if (slice_find(text, '/') == text.len && slice_find(text, '.') == text.len) {
        struct nearest near;
        nearest_init(&near, text);
        for (const struct conf_choice *c = row->choices; c->name; c++)
            nearest_try(&near, slice_of(c->name));
        p->hint = nearest_hint(&near, &p->report->arena);
        if (p->hint.len) return false;
    }
    return store_path(p, text, field);
}

const struct conf_type conf_log_target = {
    .label = "target or path",
    .expected = "`stdout`, `stderr`, `off` or the path of a file",
    .json = "\"string\"",
    .pattern = ".+",
    .read = read_word_or_path,
    .write = conf_write_text,
};

const struct conf_type conf_admin_socket = {
    .label = "path or `off`",
    .expected = "the path of a socket, or `off`",
    .json = "\"string\"",
    .pattern = ".+",
    .read = read_word_or_path,
    .write = conf_write_text,
};
