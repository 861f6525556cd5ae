/* SPDX-License-Identifier: Apache-2.0
 *
 * Problems of a configuration, collected and shown. See load.h and report.h.
 */
#include "conf/report.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "conf/scan.h"

enum { QUOTED_LINE_MAX = 160, QUOTED_TEXT_MAX = 80 };

/* A secret's place: from the first position up to the last, which is past it. */
struct hidden {
    struct hidden *next;
    uint32_t       first_line, first_column;
    uint32_t       last_line, last_column;
};

struct conf_source {
    struct conf_source *next;
    const char         *name;
    struct buffer       text;
    struct hidden      *hidden;
};

void conf_report_init(struct conf_report *r)
{
    *r = (struct conf_report){ 0 };
    arena_init(&r->arena, NULL);
}

void conf_report_reset(struct conf_report *r)
{
    for (struct conf_source *s = r->sources; s; s = s->next) buffer_reset(&s->text);
    free(r->problems);
    arena_reset(&r->arena);
    conf_report_init(r);
}

struct slice conf_report_source(struct conf_report *r, const char **name, struct buffer *text)
{
    struct conf_source *s = arena_zalloc(&r->arena, sizeof(*s));
    s->name = arena_strdup(&r->arena, *name);
    s->text = *text;
    *text = (struct buffer)BUFFER_INIT;
    struct conf_source **end = &r->sources;
    while (*end) end = &(*end)->next;
    *end = s;
    *name = s->name;
    return buffer_slice(&s->text);
}

/* The text that was read last under that name: a report may see several loads. */
static struct conf_source *source_of(const struct conf_report *r, const char *file)
{
    struct conf_source *found = NULL;
    for (struct conf_source *s = r->sources; s && file; s = s->next)
        if (strcmp(s->name, file) == 0) found = s;
    return found;
}

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* Cuts a long line to a window around the fault, between whole characters. */
static void cut_line(struct slice *line, uint32_t *caret)
{
    uint32_t skip = *caret > QUOTED_LINE_MAX * 3 / 4 ? *caret - QUOTED_LINE_MAX / 2 : 0;
    size_t   from = 0, to, seen = 0;
    for (; from < line->len && seen < skip; seen++)
        for (from++; from < line->len && is_continuation(line->data[from]);) from++;
    for (to = from, seen = 0; to < line->len && seen < QUOTED_LINE_MAX; seen++)
        for (to++; to < line->len && is_continuation(line->data[to]);) to++;
    *caret -= skip;
    *line = slice_make(line->data + from, to - from);
}

/* Overwrites the characters of columns [from, to) by asterisks. */
static void mask(struct slice line, char *bytes, uint32_t from, uint32_t to)
{
    uint32_t column = 0;
    for (size_t i = 0; i < line.len; i++) {
        column += !is_continuation(line.data[i]);
        if (column >= from && column < to) bytes[i] = is_continuation(line.data[i]) ? ' ' : '*';
    }
}

static struct slice masked_line(struct arena *a, const struct conf_source *s, uint32_t number,
                                struct slice line)
{
    char *bytes = NULL;
    for (const struct hidden *h = s->hidden; h; h = h->next) {
        if (number < h->first_line || number > h->last_line) continue;
        if (!bytes) bytes = memcpy(arena_alloc(a, line.len + 1), line.data, line.len);
        mask(line, bytes, number == h->first_line ? h->first_column : 1,
             number == h->last_line ? h->last_column : UINT32_MAX);
    }
    return bytes ? slice_make(bytes, line.len) : line;
}

static struct slice source_line(const struct conf_source *s, uint32_t number)
{
    struct slice rest = buffer_slice(&s->text);
    if (slice_starts_with(rest, S("\xef\xbb\xbf"))) rest = slice_from(rest, 3);
    for (uint32_t line = 1; line < number && rest.len; line++) {
        size_t end = slice_find(rest, '\n');
        rest = slice_from(rest, end < rest.len ? end + 1 : end);
    }
    rest.len = slice_find(rest, '\n');
    if (rest.len && rest.data[rest.len - 1] == '\r') rest.len--;
    return rest;
}

/* What is no text becomes "?", so that a file cannot write to a terminal. */
static struct slice printable(struct arena *a, struct slice s)
{
    char *copy = arena_alloc(a, s.len + 1);
    for (size_t i = 0; i < s.len;) {
        size_t len = conf_character(s.data + i, s.len - i);
        memcpy(copy + i, s.data + i, len ? len : 1);
        if (!len) copy[i] = '?';
        if (copy[i] == '\t' || copy[i] == '\n') copy[i] = ' ';
        i += len ? len : 1;
    }
    copy[s.len] = '\0';
    return slice_make(copy, s.len);
}

const char *conf_quote(struct arena *a, struct slice text)
{
    size_t len = text.len;
    if (len > QUOTED_TEXT_MAX)
        for (len = QUOTED_TEXT_MAX; len && is_continuation(text.data[len]);) len--;
    struct slice cut = printable(a, slice_make(text.data, len));
    return arena_printf(a, "`%.*s%s`", SLICE_ARG(cut), len < text.len ? "..." : "").data;
}

/* Gives the problem the line that it is about, secrets masked. */
static void quote_line(struct conf_report *r, struct conf_problem *p, const struct conf_source *s)
{
    if (!p->at.line) return;
    struct slice line = masked_line(&r->arena, s, p->at.line, source_line(s, p->at.line));
    p->caret = p->at.column;
    cut_line(&line, &p->caret);
    p->source = printable(&r->arena, line);
}

void conf_report_hide(struct conf_report *r, const struct conf_place *first, uint32_t last_line,
                      uint32_t last_column)
{
    struct conf_source *s = source_of(r, first->file);
    if (!s) return;
    struct hidden *h = arena_alloc(&r->arena, sizeof(*h));
    *h = (struct hidden){ s->hidden, first->line, first->column, last_line, last_column };
    s->hidden = h;
    for (size_t i = 0; i < r->count; i++) {
        struct conf_problem *p = &r->problems[i];
        if (p->at.line >= first->line && p->at.line <= last_line && source_of(r, p->at.file) == s)
            quote_line(r, p, s);
    }
}

static struct conf_problem *next_problem(struct conf_report *r, enum conf_severity severity)
{
    if (severity == CONF_ERROR) r->error_count++;
    if (r->count >= CONF_PROBLEMS_MAX) return NULL;
    if (!r->problems) r->problems = mem_zalloc(CONF_PROBLEMS_MAX * sizeof(*r->problems));
    return &r->problems[r->count++];
}

static void add(struct conf_report *r, enum conf_severity severity, const struct conf_place *at,
                struct slice hint, const char *format, va_list args)
{
    struct conf_problem *p = next_problem(r, severity);
    if (!p) return;
    struct slice message = arena_vprintf(&r->arena, format, args);
    *p = (struct conf_problem){ .severity = severity, .message = printable(&r->arena, message) };
    if (hint.len) p->hint = printable(&r->arena, hint);
    if (!at || !at->file) return;
    p->at = (struct conf_place){ arena_strdup(&r->arena, at->file), at->line, at->column };
    struct conf_source *s = source_of(r, at->file);
    if (s) quote_line(r, p, s);
}

void conf_report_add(struct conf_report *r, enum conf_severity severity,
                     const struct conf_place *at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(r, severity, at, (struct slice){ 0 }, format, args);
    va_end(args);
}

void conf_report_error(struct conf_report *r, const struct conf_place *at, struct slice hint,
                       const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(r, CONF_ERROR, at, hint, format, args);
    va_end(args);
}

/* Where the file stands in the order of reading; unknown ones come first. */
static size_t file_rank(const struct conf_report *r, const char *file)
{
    size_t rank = 1;
    for (const struct conf_source *s = r->sources; s && file; s = s->next, rank++)
        if (strcmp(s->name, file) == 0) return rank;
    return 0;
}

static int by_place(const void *left, const void *right, void *report)
{
    const struct conf_problem *a = left, *b = right;
    size_t                     x = file_rank(report, a->at.file), y = file_rank(report, b->at.file);
    if (x != y) return x < y ? -1 : 1;
    if (a->at.line != b->at.line) return a->at.line < b->at.line ? -1 : 1;
    if (a->at.column != b->at.column) return a->at.column < b->at.column ? -1 : 1;
    return strcmp(a->message.data, b->message.data);
}

void conf_report_sort(struct conf_report *r)
{
    if (r->count) qsort_r(r->problems, r->count, sizeof(*r->problems), by_place, r);
}

static void print_source(const struct conf_problem *p, struct buffer *to, bool has_color)
{
    if (!p->source.data || !p->caret) return;
    buffer_printf(to, "%6u | %.*s\n       | ", p->at.line, SLICE_ARG(p->source));
    for (uint32_t i = 1; i < p->caret; i++) buffer_put_char(to, ' ');
    buffer_puts(to, has_color ? "\033[1;32m^\033[0m\n" : "^\n");
}

static void print_problem(const struct conf_problem *p, struct buffer *to, bool has_color)
{
    bool        is_error = p->severity == CONF_ERROR;
    const char *color = !has_color ? "" : is_error ? "\033[1;31m" : "\033[1;33m";
    const char *plain = has_color ? "\033[0m" : "";
    if (p->at.file) {
        buffer_printf(to, "%s:", p->at.file);
        if (p->at.line) buffer_printf(to, "%u:%u:", p->at.line, p->at.column);
        buffer_put_char(to, ' ');
    }
    buffer_printf(to, "%s%s:%s %.*s\n", color, is_error ? "error" : "warning", plain,
                  SLICE_ARG(p->message));
    print_source(p, to, has_color);
    if (p->hint.len) buffer_printf(to, "         %.*s\n", SLICE_ARG(p->hint));
}

void conf_report_print(const struct conf_report *r, struct buffer *to, bool has_color)
{
    size_t shown_errors = 0;
    for (size_t i = 0; i < r->count; i++) {
        print_problem(&r->problems[i], to, has_color);
        shown_errors += r->problems[i].severity == CONF_ERROR;
    }
    if (r->error_count > shown_errors)
        buffer_printf(to, "and %zu more\n", r->error_count - shown_errors);
}

static void put_member(struct buffer *to, const char *name, struct slice value)
{
    buffer_printf(to, ",\"%s\":", name);
    buffer_put_json(to, value);
}

void conf_report_json(const struct conf_report *r, struct buffer *to)
{
    buffer_put_char(to, '[');
    for (size_t i = 0; i < r->count; i++) {
        const struct conf_problem *p = &r->problems[i];
        buffer_printf(to, "%s{\"severity\":\"%s\"", i ? "," : "",
                      p->severity == CONF_ERROR ? "error" : "warning");
        if (p->at.file) {
            put_member(to, "file", slice_of(p->at.file));
            buffer_printf(to, ",\"line\":%u,\"column\":%u", p->at.line, p->at.column);
        }
        put_member(to, "message", p->message);
        if (p->hint.len) put_member(to, "hint", p->hint);
        if (p->source.data) put_member(to, "source", p->source);
        buffer_put_char(to, '}');
    }
    buffer_puts(to, "]\n");
}
