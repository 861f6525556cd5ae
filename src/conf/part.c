/* SPDX-License-Identifier: Apache-2.0
 *
 * Routes beside those of the files. See part.h.
 */
#include "conf/part.h"

#include <stdlib.h>

#include "conf/check.h"
#include "conf/types.h"

enum { REFUSAL_BYTES_MAX = 500 };

/* ---- trees ---- */

static struct conf_node *new_node(struct arena *a, enum conf_kind kind, const char *from)
{
    struct conf_node *n = arena_zalloc(a, sizeof(*n));
    n->kind = (uint8_t)kind;
    n->at.file = from;
    return n;
}

static struct conf_node *new_scalar(struct arena *a, const char *from, struct slice text)
{
    struct conf_node *n = new_node(a, CONF_SCALAR, from);
    n->text = arena_copy(a, text);
    return n;
}

struct conf_node *conf_part_mapping(struct arena *a, const char *from)
{
    return new_node(a, CONF_MAPPING, from);
}

static struct conf_node *find(const struct conf_node *mapping, struct slice key)
{
    for (uint32_t i = 0; i < mapping->count; i++)
        if (slice_eq(mapping->pairs[i].key->text, key)) return mapping->pairs[i].value;
    return NULL;
}

/* A handful of keys: copying them is nothing. */
static void add(struct arena *a, struct conf_node *mapping, struct slice key,
                struct conf_node *value)
{
    struct conf_pair *pairs = arena_alloc(a, (mapping->count + 1) * sizeof(*pairs));
    if (mapping->count) memcpy(pairs, mapping->pairs, mapping->count * sizeof(*pairs));
    pairs[mapping->count++] = (struct conf_pair){ new_scalar(a, mapping->at.file, key), value };
    mapping->pairs = pairs;
}

static void put(struct arena *a, struct conf_node *mapping, const char *key,
                struct conf_node *value)
{
    struct slice rest = slice_of(key);
    for (size_t dot; (dot = slice_find(rest, '.')) < rest.len; rest = slice_from(rest, dot + 1)) {
        struct slice      name = slice_make(rest.data, dot);
        struct conf_node *inner = find(mapping, name);
        if (!inner) add(a, mapping, name, inner = conf_part_mapping(a, mapping->at.file));
        mapping = inner;
    }
    add(a, mapping, rest, value);
}

void conf_part_put(struct arena *a, struct conf_node *mapping, const char *key, struct slice value,
                   const char *from)
{
    put(a, mapping, key, new_scalar(a, from, value));
}

void conf_part_put_list(struct arena *a, struct conf_node *mapping, const char *key,
                        const struct text_list *values, const char *from)
{
    struct conf_node *list = new_node(a, CONF_SEQUENCE, from);
    list->items = arena_alloc(a, values->count * sizeof(*list->items));
    for (size_t i = 0; i < values->count; i++)
        list->items[list->count++] = new_scalar(a, from, values->items[i]);
    put(a, mapping, key, list);
}

/* ---- judging ---- */

/* A container does not name files of the gateway's. */
static bool refuse_read(void *arg, const char *path, size_t max_bytes, struct buffer *to,
                        struct error *e)
{
    (void)arg;
    (void)max_bytes;
    (void)to;
    return error_set(e, "%s: files are not read for it", path);
}

static const struct conf_reader no_reader = { .read = refuse_read };

static bool judge(struct conf_parser *p, struct conf_index *x, const struct conf_part *part)
{
    struct settings          *s = p->settings;
    struct upstream_settings *u = &s->upstreams[s->upstream_count];
    struct route_settings    *route = &s->routes[s->route_count];
    *u = (struct upstream_settings){ .name = arena_copy(p->arena, part->name) };
    *route = (struct route_settings){ 0 };
    p->mention_count = 0;
    conf_preset(p, &conf_upstream_section, 0, u);
    conf_preset(p, &conf_route_section, 0, route);
    conf_fill(p, NULL, &conf_upstream_section, part->upstream, u);
    conf_fill(p, NULL, &conf_route_section, part->route, route);
    conf_check_more(p, x, u, route);
    if (p->report->error_count) return false;
    s->upstream_count++;
    s->route_count++;
    return true;
}

/* Its errors one after the other, each with what sets the value. */
static struct slice refusal_of(const struct conf_report *r, const struct conf_part *part,
                               struct arena *a)
{
    struct buffer text = BUFFER_INIT;
    for (size_t i = 0; i < r->count && text.len < REFUSAL_BYTES_MAX; i++) {
        const struct conf_problem *problem = &r->problems[i];
        if (problem->severity != CONF_ERROR) continue;
        bool is_of_value = problem->at.file && strcmp(problem->at.file, part->route->at.file) != 0;
        buffer_printf(&text, "%s%s%s%.*s", text.len ? "; " : "",
                      is_of_value ? problem->at.file : "", is_of_value ? ": " : "",
                      SLICE_ARG(problem->message));
        if (problem->hint.len) buffer_printf(&text, " (%.*s)", SLICE_ARG(problem->hint));
    }
    struct slice copy = arena_copy(a, buffer_slice(&text));
    buffer_reset(&text);
    return copy;
}

/* Room for all of them: what points to one of the array's structs may be kept. */
static void *make_room(struct arena *a, const void *items, size_t count, size_t more, size_t size)
{
    char *bigger = arena_alloc(a, (count + more) * size);
    if (count) memcpy(bigger, items, count * size);
    return bigger;
}

void conf_take_parts(struct settings *s, struct conf_part *parts, size_t count, struct arena *a)
{
    struct conf_report own;
    struct conf_parser p = {
        .settings = s, .arena = &s->arena, .report = &own, .reader = &no_reader, .is_own = true
    };
    struct conf_index x;
    if (!count) return;
    s->upstreams =
        make_room(&s->arena, s->upstreams, s->upstream_count, count, sizeof(*s->upstreams));
    s->routes = make_room(&s->arena, s->routes, s->route_count, count, sizeof(*s->routes));
    conf_report_init(&own);
    conf_index_init(&p, &x);
    for (size_t i = 0; i < count; i++) {
        bool is_over = i && slice_eq(parts[i].name, parts[i - 1].name) &&
                       (parts[i - 1].is_taken || !parts[i - 1].refusal.len);
        parts[i].is_taken = !is_over && judge(&p, &x, &parts[i]);
        parts[i].refusal = refusal_of(&own, &parts[i], a);
        conf_report_reset(&own);
    }
    conf_index_reset(&x);
    free(p.mentions);
}
