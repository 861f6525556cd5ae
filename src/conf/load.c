/* SPDX-License-Identifier: Apache-2.0
 *
 * From files to settings. See load.h.
 */
#include "conf/load.h"

#include <stdlib.h>

#include "base/memory.h"
#include "conf/check.h"
#include "conf/include.h"
#include "conf/types.h"

static struct settings *settings_new(void)
{
    struct settings *s = mem_zalloc(sizeof(*s));
    arena_init(&s->arena, NULL);
    return s;
}

void settings_free(struct settings *s)
{
    if (!s) return;
    arena_reset(&s->arena);
    free(s);
}

/* Fills the settings in from the tree, and checks them. */
static void fill_settings(struct settings *s, const struct conf_loader *l,
                          const struct conf_node *root)
{
    struct conf_parser p = {
        .settings = s, .arena = &s->arena, .report = l->report, .reader = l->reader
    };
    conf_preset(&p, &conf_root_section, 0, s);
    if (!root) return;
    conf_fill(&p, NULL, &conf_root_section, root, s);
    conf_name_routes(&p);
    /* With a file missing, a name that is not there may be in that file. */
    if (!l->is_incomplete) conf_check_all(&p);
    free(p.mentions);
}

static struct settings *read_settings(const char *name, const struct slice *text,
                                      const struct conf_reader *reader, struct conf_report *r)
{
    struct settings   *s = settings_new();
    struct arena       trees;
    struct conf_loader l = {
        .reader = reader, .report = r, .arena = &trees, .settings = &s->arena
    };
    arena_init(&trees, NULL);
    conf_budget_init(&l.budget);
    struct conf_node *root =
        text ? conf_include_text(&l, name, *text) : conf_include_file(&l, name);
    fill_settings(s, &l, root);
    s->files = l.files;
    arena_reset(&trees);
    conf_report_sort(r);
    return s;
}

static struct settings *load(const char *name, const struct slice *text,
                             const struct conf_reader *reader, struct conf_report *r)
{
    size_t           errors_before = r->error_count;
    struct settings *s = read_settings(name, text, reader, r);
    if (r->error_count == errors_before) return s;
    settings_free(s);
    return NULL;
}

struct settings *conf_load_readable(const char *path, const struct conf_reader *reader,
                                    struct conf_report *r)
{
    return read_settings(path, NULL, reader, r);
}

struct settings *conf_load_file(const char *path, const struct conf_reader *reader,
                                struct conf_report *r)
{
    return load(path, NULL, reader, r);
}

struct settings *conf_load_text(const char *name, struct slice text,
                                const struct conf_reader *reader, struct conf_report *r)
{
    return load(name, &text, reader, r);
}

/* ---- what a reload leaves as it is ---- */

struct restart_check {
    struct conf_report *report;
    struct buffer       before;
    struct buffer       after;
};

static void compare_row(struct restart_check *c, const struct conf_section *section,
                        const struct conf_row *row, const void *running, const void *next)
{
    c->before.len = c->after.len = 0;
    conf_write_row(row, running, &c->before);
    conf_write_row(row, next, &c->after);
    if (slice_eq(buffer_slice(&c->before), buffer_slice(&c->after))) return;
    bool is_root = section == &conf_root_section;
    conf_report_add(c->report, CONF_WARNING, NULL, "`%s%s%s` changes only at a restart",
                    is_root ? "" : section->title, is_root ? "" : ".", row->key);
}

static void compare(struct restart_check *c, const struct conf_section *section,
                    const void *running, const void *next)
{
    for (const struct conf_row *row = section->rows; row->key; row++) {
        if (row->flags & CONF_AT_RESTART) compare_row(c, section, row, running, next);
        if (row->shape == CONF_INLINE)
            compare(c, row->section, (const char *)running + row->offset,
                    (const char *)next + row->offset);
    }
}

bool conf_same_dns(const struct dns_settings *a, const struct dns_settings *b)
{
    struct buffer text[2] = { BUFFER_INIT, BUFFER_INIT };
    conf_write(&conf_dns_section, 0, a, &text[0]);
    conf_write(&conf_dns_section, 0, b, &text[1]);
    bool is_same = slice_eq(buffer_slice(&text[0]), buffer_slice(&text[1]));
    buffer_reset(&text[0]);
    buffer_reset(&text[1]);
    return is_same;
}

void conf_report_restart(const struct settings *running, const struct settings *next,
                         struct conf_report *r)
{
    struct restart_check c = { r, BUFFER_INIT, BUFFER_INIT };
    compare(&c, &conf_root_section, running, next);
    buffer_reset(&c.before);
    buffer_reset(&c.after);
}
