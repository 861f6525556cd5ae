/* SPDX-License-Identifier: Apache-2.0
 *
 * docs/reference.md from the tables: a heading, a few words, a table and an
 * example for each section. See load.h.
 */
#include <assert.h>

#include "conf/emit.h"
#include "conf/template.h"
#include "conf/types.h"

static const char preamble[] =
    "# Configuration reference\n"
    "\n"
    "<!-- Made by `wharfgate reference` from the tables in src/conf. Do not edit. -->\n"
    "\n"
    "The configuration is one YAML file, and what it includes. `wharfgate check` reports every\n"
    "mistake at once, each with its file, line and column. Unknown keys are mistakes.\n"
    "`docs/wharfgate.schema.json` (`wharfgate schema`) tells editors the same.\n"
    "\n"
    "## How values are written\n"
    "\n"
    "| kind | written | means |\n"
    "|---|---|---|\n"
    "| duration | `250ms` `5s` `1m` `2h` `1d` | a number and its unit; `0` needs none |\n"
    "| size | `100` `16KiB` `50MiB` `1GiB` `1TiB` `1kB` `1MB` `1GB` | bytes; KiB is 1024, kB is "
    "1000 |\n"
    "| rate | `10/s` `5/m` `100/h` `1000/d` | so many in so long |\n"
    "| address | `:443` `10.0.0.1:443` `[::1]:443` `unix:/path` `unix:@name` | where to listen or "
    "to connect; servers may have names |\n"
    "| network | `10.0.0.0/8` `fd00::/8` `10.1.2.3` `unix` | a CIDR, one address, or any peer on a "
    "Unix socket |\n"
    "| boolean | `true` `false` | nothing else |\n"
    "| path | `/etc/x.pem` `certs/x.pem` | of a file; relative ones start in the folder of the "
    "file that names them |\n"
    "\n"
    "- `${NAME}` in a value is the environment variable, `${NAME:-default}` has a default for one "
    "that is unset or empty, `$${` is a plain `${`; [variables](#variables) of a request look the "
    "same and stay. Between `{ }` and `[ ]` such a value must be "
    "in quotes. Keys are not expanded.\n"
    "- `file:/path` as the value of some keys (they say so) is the content of that file, 64 KiB at "
    "most, without its last newline. It is never printed.\n"
    "- Anchors, aliases and merge keys (`&name`, `*name`, `<<`) work within a file. Keys of the "
    "top level that begin with `x-` are ignored: a place for anchors.\n"
    "- Bounds: 16 MiB a file, 1000 files, includes 16 deep, 64 levels, 4,000,000 values with "
    "aliases written out.\n"
    "- *Applies* says when a change takes effect: at a `reload`, or at the next `restart`.\n";

bool conf_row_is_shown(const struct conf_row *row)
{
    return row->shape != CONF_LATER && !(row->flags & CONF_HIDDEN);
}

static bool is_listed(const struct conf_section_list *list, const struct conf_section *section)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i] == section) return true;
    return false;
}

static void list_below(struct conf_section_list *list, const struct conf_section *section)
{
    struct conf_row_walk w;
    if (is_listed(list, section)) return;
    assert(list->count < CONF_SECTIONS_MAX);
    list->items[list->count++] = section;
    conf_rows(&w, section, 0);
    while (conf_next_row(&w))
        if (w.row->section && w.row->section->title) list_below(list, w.row->section);
}

void conf_list_sections(struct conf_section_list *list)
{
    list->count = 0;
    list_below(list, &conf_root_section);
}

/* GitHub's and GitLab's name of a heading: letters and digits. */
static void put_link(struct buffer *to, const struct conf_section *section)
{
    buffer_printf(to, "[`%s`](#", section->title);
    for (const char *c = section->title; *c; c++) {
        if (*c >= 'A' && *c <= 'Z') buffer_put_char(to, (char)(*c + 32));
        if ((*c >= 'a' && *c <= 'z') || *c == '_') buffer_put_char(to, *c);
    }
    buffer_put_char(to, ')');
}

/* "|" ends a cell, even in code. */
static void put_cell(struct buffer *to, const char *text)
{
    for (; *text; text++) {
        if (*text == '|') buffer_put_char(to, '\\');
        buffer_put_char(to, *text);
    }
}

static void put_code(struct buffer *to, const char *text)
{
    buffer_put_char(to, '`');
    put_cell(to, text);
    buffer_put_char(to, '`');
}

static void put_scalar_type(struct buffer *to, const struct conf_row *row)
{
    if (row->type != &conf_enum) {
        put_cell(to, row->type->label);
    } else {
        const char *between = "";
        for (const struct conf_choice *c = row->choices; c->name; c++) {
            if (c->value == CONF_CHOICE_LATER) continue;
            buffer_puts(to, between);
            put_code(to, c->name);
            between = ", ";
        }
    }
    if (row->zero) buffer_printf(to, " or `%s`", row->zero);
}

static void put_section_type(struct buffer *to, const struct conf_row *row)
{
    const struct conf_section *section = row->section;
    if (row->flags & CONF_SWITCH) buffer_puts(to, "boolean or ");
    if (row->shape == CONF_MAP && !section->title) {
        buffer_puts(to, "map: ");
        put_scalar_type(to, section->name);
        buffer_puts(to, " to ");
        put_scalar_type(to, section->rows);
        return;
    }
    if (row->shape == CONF_LIST) buffer_puts(to, "list: ");
    if (row->shape == CONF_MAP) buffer_puts(to, "map: name to ");
    put_link(to, section);
}

static void put_type(struct buffer *to, const struct conf_row *row)
{
    if (row->section) {
        put_section_type(to, row);
        return;
    }
    put_scalar_type(to, row);
    if (row->shape == CONF_MANY || row->shape == CONF_TREE) buffer_puts(to, ", or a list");
}

static void put_default(struct buffer *to, const struct conf_row *row)
{
    if (row->flags & CONF_REQUIRED)
        buffer_puts(to, "**required**");
    else if (row->flags & CONF_ONE_OF)
        buffer_puts(to, "**one of these**");
    else if (row->preset)
        put_code(to, row->preset);
    else if (row->preset_doc)
        put_cell(to, row->preset_doc);
    else if (row->shape != CONF_INLINE)
        buffer_puts(to, "none");
}

static void put_bounds(struct buffer *to, const struct conf_row *row)
{
    if (row->flags & CONF_NOT_EMPTY) buffer_puts(to, "at least one");
    if (!row->max || !row->type->put_bound) return;
    row->type->put_bound(to, row->min);
    buffer_puts(to, " to ");
    row->type->put_bound(to, row->max);
}

static void put_row(struct buffer *to, const struct conf_row *row)
{
    buffer_printf(to, "| `%s` | ", row->key);
    put_type(to, row);
    buffer_puts(to, " | ");
    put_default(to, row);
    buffer_puts(to, " | ");
    put_bounds(to, row);
    buffer_printf(to, " | %s | ", row->flags & CONF_AT_RESTART ? "restart" : "reload");
    put_cell(to, row->doc);
    if (row->flags & CONF_PER_ROUTE) buffer_puts(to, " *Per route.*");
    if (row->example) {
        buffer_puts(to, " Example: ");
        put_code(to, row->example);
    }
    buffer_puts(to, " |\n");
}

static void put_section(struct buffer *to, const struct conf_section *section)
{
    buffer_printf(to, "\n## %s\n\n%s\n\n", section->title, section->intro);
    buffer_puts(to, "| key | type | default | bounds | applies | meaning |\n");
    buffer_puts(to, "|---|---|---|---|---|---|\n");
    /* What it takes in is written once: by the section that has nothing else. */
    const struct conf_section *shown = section->rows[0].key ? section : section->also;
    for (const struct conf_row *row = shown->rows; row->key; row++)
        if (conf_row_is_shown(row)) put_row(to, row);
    if (section->example) buffer_printf(to, "\n```yaml\n%s```\n", section->example);
}

static void put_variables(struct buffer *to)
{
    buffer_puts(to,
                "\n## Variables\n\nParts of the request in a value, where its type says so: "
                "`\"${host}\"`, `\"${header:User-Agent}\"`. These names are the request's, also "
                "where the environment has such a variable; elsewhere they are a mistake. What a "
                "variable brings is text: it is not looked at for variables again.\n\n"
                "| variable | where | is |\n|---|---|---|\n");
    for (unsigned id = VARIABLE_TEXT + 1; id < VARIABLE_COUNT; id++) {
        const struct variable *v = &variable_table[id];
        buffer_printf(to, "| `${%s%s}` | %s | %s |\n", v->name, v->takes_name ? ":NAME" : "",
                      v->uses & VARIABLE_OF_REQUEST ? "both ways" : "responses", v->doc);
    }
}

void conf_emit_reference(struct buffer *to)
{
    struct conf_section_list list;
    conf_list_sections(&list);
    buffer_puts(to, preamble);
    put_variables(to);
    for (size_t i = 0; i < list.count; i++) put_section(to, list.items[i]);
}
