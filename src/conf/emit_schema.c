/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON Schema 2020-12 from the tables, for editors. It says less than the
 * tables do (no names that must exist, no bounds of durations), and refuses
 * nothing that they accept. See load.h.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "conf/emit.h"
#include "conf/types.h"

/* ---- JSON, indented ---- */

struct json {
    struct buffer *to;
    unsigned       depth;
    bool           is_first; /* of its object or array */
};

static void json_newline(struct json *j)
{
    buffer_puts(j->to, j->is_first ? "\n" : ",\n");
    for (unsigned i = 0; i < j->depth; i++) buffer_puts(j->to, "  ");
    j->is_first = false;
}

static void json_string(struct json *j, const char *text)
{
    buffer_put_json(j->to, slice_of(text));
}

static void json_key(struct json *j, const char *key)
{
    json_newline(j);
    json_string(j, key);
    buffer_puts(j->to, ": ");
}

static void json_open(struct json *j, char bracket)
{
    buffer_put_char(j->to, bracket);
    j->depth++;
    j->is_first = true;
}

static void json_close(struct json *j, char bracket)
{
    j->depth--;
    if (!j->is_first) {
        j->is_first = true; /* no comma */
        json_newline(j);
    }
    j->is_first = false;
    buffer_put_char(j->to, bracket);
}

static void json_member(struct json *j, const char *key, const char *text)
{
    json_key(j, key);
    json_string(j, text);
}

static void json_raw(struct json *j, const char *key, const char *raw)
{
    json_key(j, key);
    buffer_puts(j->to, raw);
}

/* ---- scalars ---- */

static bool is_digits(const char *text)
{
    return *text && strspn(text, "0123456789") == strlen(text);
}

/* As YAML reads it: a number, a boolean or a text. */
static void put_value(struct json *j, const struct conf_row *row, const char *text)
{
    bool is_raw = row->type == &conf_bool || (is_digits(text) && row->type != &conf_text);
    if (is_raw)
        buffer_puts(j->to, text);
    else
        json_string(j, text);
}

static void put_choices(struct json *j, const struct conf_row *row)
{
    json_key(j, "anyOf");
    buffer_puts(j->to, "[{ \"enum\": [");
    const char *between = "";
    for (const struct conf_choice *c = row->choices; c->name; c++) {
        if (c->value == CONF_CHOICE_LATER) continue;
        buffer_puts(j->to, between);
        put_value(j, row, c->name);
        between = ", ";
    }
    buffer_puts(j->to, "] }, { \"type\": \"string\", \"pattern\": \"^(");
    between = "";
    for (const struct conf_choice *c = row->choices; c->name; c++) {
        if (c->value == CONF_CHOICE_LATER) continue;
        buffer_printf(j->to, "%s%s", between, c->name);
        between = "|";
    }
    buffer_puts(j->to, ")$|\\\\$\\\\{\" }]");
}

/* The text's pattern, or a variable somewhere in it. */
static void put_pattern(struct json *j, const struct conf_row *row)
{
    struct buffer text = BUFFER_INIT;
    if (!row->type->pattern) return;
    buffer_printf(&text, "^(%s%s%s)$|\\$\\{", row->type->pattern, row->zero ? "|" : "",
                  row->zero ? row->zero : "");
    json_member(j, "pattern", text.data);
    buffer_reset(&text);
}

/* The members of a scalar's schema; the object is open. */
static void put_scalar(struct json *j, const struct conf_row *row)
{
    if (row->type == &conf_enum) {
        put_choices(j, row);
        return;
    }
    struct buffer types = BUFFER_INIT;
    buffer_printf(&types, "[%s%s]", row->type->json,
                  row->flags & CONF_NULLABLE ? ", \"null\"" : "");
    json_raw(j, "type", types.data);
    buffer_reset(&types);
    put_pattern(j, row);
    if (row->type == &conf_duration) json_raw(j, "maximum", "0"); /* more needs a unit */
    if (row->type != &conf_count || !row->max) return;
    json_key(j, "minimum");
    buffer_printf(j->to, "%" PRIu64, row->min);
    json_key(j, "maximum");
    buffer_printf(j->to, "%" PRIu64, row->max);
}

/* ---- sections ---- */

/* "routes[].match" is "routes_match" under $defs. */
static void put_def_name(struct buffer *to, const struct conf_section *section)
{
    for (const char *c = section->title; *c; c++)
        if (*c != '[' && *c != ']') buffer_put_char(to, *c == '.' ? '_' : *c);
}

static void put_ref(struct json *j, const struct conf_section *section)
{
    struct buffer ref = BUFFER_INIT;
    buffer_puts(&ref, "#/$defs/");
    put_def_name(&ref, section);
    json_member(j, "$ref", ref.data);
    buffer_reset(&ref);
}

static void put_row(struct json *j, const struct conf_row *row);
static void put_many(struct json *j, const struct conf_row *row);

static const struct conf_row *shorthand_of(const struct conf_section *section)
{
    for (const struct conf_row *row = section->rows; section->shorthand && row->key; row++)
        if (strcmp(row->key, section->shorthand) == 0) return row;
    return NULL;
}

static void put_required(struct json *j, const struct conf_section *section)
{
    const char *between = "";
    /* A fragment that another file includes need not have all of them. */
    if (section == &conf_root_section) return;
    for (const struct conf_row *row = section->rows; row->key; row++) {
        if (!(row->flags & CONF_REQUIRED)) continue;
        if (!*between) {
            json_key(j, "required");
            buffer_put_char(j->to, '[');
        }
        buffer_puts(j->to, between);
        json_string(j, row->key);
        between = ", ";
    }
    if (*between) buffer_put_char(j->to, ']');
}

static void put_one_of(struct json *j, const struct conf_section *section)
{
    bool is_open = false;
    for (const struct conf_row *row = section->rows; row->key; row++) {
        if (!(row->flags & CONF_ONE_OF) || !conf_row_is_shown(row)) continue;
        if (!is_open) {
            json_key(j, "oneOf");
            json_open(j, '[');
            is_open = true;
        }
        json_newline(j);
        buffer_printf(j->to, "{ \"required\": [\"%s\"] }", row->key);
    }
    if (is_open) json_close(j, ']');
}

/* The members of an object's schema. */
static void put_object(struct json *j, const struct conf_section *section, unsigned only)
{
    struct conf_row_walk w;
    json_member(j, "type", "object");
    json_raw(j, "additionalProperties", "false");
    put_required(j, section);
    put_one_of(j, section);
    if (section == &conf_root_section) json_raw(j, "patternProperties", "{ \"^x-\": true }");
    json_key(j, "properties");
    json_open(j, '{');
    conf_rows(&w, section, only);
    while (conf_next_row(&w)) {
        if (!conf_row_is_shown(w.row)) continue;
        json_key(j, w.row->key);
        json_open(j, '{');
        put_row(j, w.row);
        json_close(j, '}');
    }
    json_close(j, '}');
}

/* An item of a list or a map, or the section itself. */
static void put_section(struct json *j, const struct conf_section *section, unsigned only)
{
    const struct conf_row *shorthand = shorthand_of(section);
    if (section->is_scalar) {
        put_scalar(j, shorthand);
        return;
    }
    if (shorthand) {
        json_key(j, "anyOf");
        json_open(j, '[');
        json_newline(j);
        json_open(j, '{');
        if (shorthand->shape == CONF_MANY)
            put_many(j, shorthand);
        else
            put_scalar(j, shorthand);
        json_close(j, '}');
        json_newline(j);
        json_open(j, '{');
    }
    put_object(j, section, only);
    if (shorthand) {
        json_close(j, '}');
        json_close(j, ']');
    }
}

/* A section that has a title is defined once, under $defs. */
static void put_section_or_ref(struct json *j, const struct conf_section *section, unsigned only)
{
    if (section->title && !only)
        put_ref(j, section);
    else
        put_section(j, section, only);
}

static void put_nested(struct json *j, const char *key, const struct conf_row *row)
{
    json_key(j, key);
    json_open(j, '{');
    put_section_or_ref(j, row->section, row->only);
    json_close(j, '}');
}

static void put_map(struct json *j, const struct conf_row *row)
{
    json_member(j, "type", "object");
    if (row->flags & CONF_NOT_EMPTY) json_raw(j, "minProperties", "1");
    if (row->section->name->type->pattern) {
        json_key(j, "propertyNames");
        json_open(j, '{');
        put_pattern(j, row->section->name);
        json_close(j, '}');
    }
    put_nested(j, "additionalProperties", row);
}

static void put_list(struct json *j, const struct conf_row *row)
{
    json_member(j, "type", "array");
    if (row->flags & CONF_NOT_EMPTY) json_raw(j, "minItems", "1");
    put_nested(j, "items", row);
}

/* A scalar, or an array of them. */
static void put_many(struct json *j, const struct conf_row *row)
{
    json_key(j, "anyOf");
    json_open(j, '[');
    json_newline(j);
    json_open(j, '{');
    put_scalar(j, row);
    json_close(j, '}');
    json_newline(j);
    json_open(j, '{');
    json_member(j, "type", "array");
    if (row->flags & CONF_NOT_EMPTY) json_raw(j, "minItems", "1");
    json_key(j, "items");
    json_open(j, '{');
    put_scalar(j, row);
    json_close(j, '}');
    json_close(j, '}');
    json_close(j, ']');
}

static void put_switch(struct json *j, const struct conf_row *row)
{
    json_key(j, "anyOf");
    json_open(j, '[');
    json_newline(j);
    json_open(j, '{');
    put_scalar(j, &(struct conf_row){ .type = &conf_bool });
    json_close(j, '}');
    json_newline(j);
    json_open(j, '{');
    put_section_or_ref(j, row->section, row->only);
    json_close(j, '}');
    json_close(j, ']');
}

static void put_row(struct json *j, const struct conf_row *row)
{
    json_member(j, "description", row->doc);
    if (row->preset && row->shape == CONF_ONE) {
        json_key(j, "default");
        put_value(j, row, row->preset);
    }
    switch (row->shape) {
    case CONF_ONE: put_scalar(j, row); break;
    case CONF_MANY:
    case CONF_TREE: put_many(j, row); break;
    case CONF_LIST: put_list(j, row); break;
    case CONF_MAP: put_map(j, row); break;
    case CONF_INLINE:
    case CONF_OPTIONAL:
        if (row->flags & CONF_SWITCH)
            put_switch(j, row);
        else
            put_section_or_ref(j, row->section, row->only);
        break;
    case CONF_LATER: break;
    }
}

static void put_def(struct json *j, const struct conf_section *section)
{
    struct buffer name = BUFFER_INIT;
    put_def_name(&name, section);
    json_key(j, name.data);
    buffer_reset(&name);
    json_open(j, '{');
    json_member(j, "description", section->intro);
    put_section(j, section, 0);
    json_close(j, '}');
}

void conf_emit_schema(struct buffer *to)
{
    struct json              j = { .to = to, .is_first = true };
    struct conf_section_list list;
    conf_list_sections(&list);
    json_open(&j, '{');
    json_member(&j, "$schema", "https://json-schema.org/draft/2020-12/schema");
    json_member(&j, "title", "wharfgate.yaml");
    json_member(&j, "description", "Configuration of wharfgate. Made by `wharfgate schema`.");
    put_section(&j, &conf_root_section, 0);
    json_key(&j, "$defs");
    json_open(&j, '{');
    for (size_t i = 1; i < list.count; i++) put_def(&j, list.items[i]);
    json_close(&j, '}');
    json_close(&j, '}');
    buffer_put_char(to, '\n');
}
