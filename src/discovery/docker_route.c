/* SPDX-License-Identifier: Apache-2.0
 *
 * From a container's labels to a route. See docker_route.h.
 *
 * A route's text: compose project, compose service, hosts, path, then a field for each other
 * label of the route, in the table's order: "=" and the value, or nothing when it is not set.
 * Each field ends with NUL, which no label has (docker_json.c). The first four are the group's.
 */
#include "discovery/docker_route.h"

#include <stdlib.h>

#include "base/buffer.h"
#include "discovery/docker_labels.h"
#include "discovery/docker_pick.h"

static bool is_further(enum docker_label_id id)
{
    return docker_label_rows[id].key && id != DOCKER_LABEL_HOST && id != DOCKER_LABEL_PATH;
}

/* ---- writing ---- */

static void put_field(struct buffer *to, struct slice text)
{
    buffer_put_slice(to, text);
    buffer_put_char(to, '\0');
}

static struct slice trimmed(struct slice s)
{
    while (s.len && (s.data[0] == ' ' || s.data[0] == '\t')) s = slice_from(s, 1);
    while (s.len && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t')) s.len--;
    return s;
}

static int by_text(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;
    size_t              common = x->len < y->len ? x->len : y->len;
    int                 order = common ? memcmp(x->data, y->data, common) : 0;
    return order ? order : (x->len > y->len) - (x->len < y->len);
}

static struct slice lower(struct slice s, struct arena *arena)
{
    char *copy = arena_alloc(arena, s.len);
    for (size_t i = 0; i < s.len; i++)
        copy[i] = s.data[i] >= 'A' && s.data[i] <= 'Z' ? (char)(s.data[i] | 0x20) : s.data[i];
    return slice_make(copy, s.len);
}

/* Between commas. False: there are more than there may be. */
static bool split(struct slice text, struct text_list *items)
{
    bool has_more = true;
    for (items->count = 0; has_more; items->count++) {
        size_t comma = slice_find(text, ',');
        if (items->count == DOCKER_ROUTE_HOST_MAX) return false;
        items->items[items->count] = trimmed(slice_make(text.data, comma));
        has_more = comma < text.len;
        text = slice_from(text, has_more ? comma + 1 : comma);
    }
    return true;
}

/* Sorted, in small letters, each once: in whatever order they are written, they are the same. */
static void put_hosts(struct buffer *to, struct slice text, struct arena *arena)
{
    struct slice     hosts[DOCKER_ROUTE_HOST_MAX];
    struct text_list list = { hosts, 0 };
    const char      *between = "";
    (void)split(lower(text, arena), &list);
    qsort(hosts, list.count, sizeof(hosts[0]), by_text);
    for (size_t i = 0; i < list.count; i++) {
        if (i && slice_eq(hosts[i], hosts[i - 1])) continue;
        buffer_puts(to, between);
        buffer_put_slice(to, hosts[i]);
        between = ",";
    }
    buffer_put_char(to, '\0');
}

static void put_group(struct buffer *to, const struct docker_container *c, struct arena *arena)
{
    struct slice service = docker_label_value(c, S("com.docker.compose.service"));
    struct slice path = docker_label_text(c, DOCKER_LABEL_PATH);
    put_field(to, service.len ? docker_label_value(c, S("com.docker.compose.project")) : S(""));
    put_field(to, service);
    put_hosts(to, docker_label_text(c, DOCKER_LABEL_HOST), arena);
    put_field(to, path.data ? path : S("/"));
}

/* "" where it is within bounds. */
static const char *excess_of(const struct docker_container *c)
{
    struct slice     hosts[DOCKER_ROUTE_HOST_MAX];
    struct text_list list = { hosts, 0 };
    size_t           bytes = docker_label_value(c, S("com.docker.compose.service")).len +
                   docker_label_value(c, S("com.docker.compose.project")).len;
    for (enum docker_label_id id = 0; id < DOCKER_LABEL_COUNT; id++)
        if (docker_label_rows[id].key) bytes += docker_label_text(c, id).len;
    if (bytes > DOCKER_ROUTE_BYTES_MAX) return "its labels of a route are longer than 16384 bytes";
    if (!split(docker_label_text(c, DOCKER_LABEL_HOST), &list))
        return "wharfgate.host has more than 64 hosts";
    return c->is_cut ? "it has more labels or networks than are read" : "";
}

void docker_route_read(struct docker_container *c, struct arena *arena)
{
    struct buffer text = BUFFER_INIT;
    c->route = c->group = S("");
    if (!docker_label_text(c, DOCKER_LABEL_HOST).data || docker_is_oneoff(c) ||
        !docker_label_bool(c, DOCKER_LABEL_ENABLE, false) || *excess_of(c))
        return;
    put_group(&text, c, arena);
    size_t group_len = text.len;
    for (enum docker_label_id id = 0; id < DOCKER_LABEL_COUNT; id++) {
        struct slice value = docker_label_text(c, id);
        if (!is_further(id)) continue;
        if (value.data) buffer_put_char(&text, '=');
        put_field(&text, value);
    }
    c->route = arena_copy(arena, buffer_slice(&text));
    c->group = slice_make(c->route.data, group_len);
    buffer_reset(&text);
}

const char *docker_route_why_none(const struct docker_container *c)
{
    struct slice enable = docker_label_text(c, DOCKER_LABEL_ENABLE);
    if (!docker_label_text(c, DOCKER_LABEL_HOST).data || c->group.len) return "";
    if (docker_is_oneoff(c)) return "it is a one-off container (docker compose run)";
    if (!enable.data) return "wharfgate.enable=true is missing beside wharfgate.host";
    if (slice_eq_nocase(enable, S("false"))) return "taken out by label wharfgate.enable";
    if (!docker_label_bool(c, DOCKER_LABEL_ENABLE, false))
        return "label wharfgate.enable: expected true or false";
    return excess_of(c);
}

/* ---- reading ---- */

static struct slice take_field(struct slice *text)
{
    size_t       end = slice_find(*text, '\0');
    struct slice field = slice_make(text->data, end);
    *text = slice_from(*text, end < text->len ? end + 1 : end);
    return field;
}

static struct slice field_of(struct slice group, int index)
{
    struct slice field = S("");
    for (int i = 0; i <= index; i++) field = take_field(&group);
    return field;
}

enum { FIELD_PROJECT, FIELD_SERVICE, FIELD_HOSTS, FIELD_PATH };

struct slice docker_route_hosts(struct slice group)
{
    return field_of(group, FIELD_HOSTS);
}

struct slice docker_route_path(struct slice group)
{
    return field_of(group, FIELD_PATH);
}

/* Of a name in logs and metrics; the rest is underscores. */
static void put_plain(struct buffer *to, struct slice text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-_./";
    for (size_t i = 0; i < text.len && to->len < DOCKER_ROUTE_NAME_MAX; i++)
        buffer_put_char(to, text.data[i] && strchr(plain, text.data[i]) ? text.data[i] : '_');
}

struct slice docker_route_name(struct slice group, struct arena *arena)
{
    struct slice  project = field_of(group, FIELD_PROJECT), hosts = docker_route_hosts(group);
    struct buffer name = BUFFER_INIT;
    buffer_puts(&name, "docker:");
    if (field_of(group, FIELD_SERVICE).len) {
        put_plain(&name, project);
        if (project.len) put_plain(&name, S("/"));
        put_plain(&name, field_of(group, FIELD_SERVICE));
    } else {
        put_plain(&name, slice_make(hosts.data, slice_find(hosts, ',')));
        if (!slice_eq(docker_route_path(group), S("/"))) put_plain(&name, docker_route_path(group));
    }
    struct slice copy = arena_copy(arena, buffer_slice(&name));
    buffer_reset(&name);
    return copy;
}

const char *docker_route_difference(struct slice a, struct slice b, struct slice values[2])
{
    for (int i = 0; i <= FIELD_PATH; i++) {
        take_field(&a);
        take_field(&b);
    }
    for (enum docker_label_id id = 0; id < DOCKER_LABEL_COUNT; id++) {
        if (!is_further(id)) continue;
        struct slice both[2] = { take_field(&a), take_field(&b) };
        if (slice_eq(both[0], both[1])) continue;
        for (int i = 0; i < 2; i++)
            values[i] = both[i].len ? slice_from(both[i], 1) : (struct slice){ 0 };
        return docker_label_rows[id].name.data;
    }
    return NULL;
}

/* What a row of the table sets, and where. */
static void put_row(struct arena *arena, struct conf_part *part, enum docker_label_id id,
                    struct slice value)
{
    const struct docker_label_row *row = &docker_label_rows[id];
    struct slice                   items[DOCKER_ROUTE_HOST_MAX];
    struct text_list               list = { items, 0 };
    bool                           is_of_route = row->part == DOCKER_LABEL_OF_ROUTE;
    struct conf_node              *mapping = is_of_route ? part->route : part->upstream;
    const char                    *from = arena_printf(arena, "label %s", row->name.data).data;
    if (row->kind == DOCKER_LABEL_LIST && split(value, &list))
        conf_part_put_list(arena, mapping, row->key, &list, from);
    else
        conf_part_put(arena, mapping, row->key, value, from);
}

/* Errors of others name the group, not a container: those come and go without another plan. */
struct conf_part docker_route_part(struct slice name, struct slice group, struct slice route,
                                   struct arena *arena)
{
    const char      *from = arena_printf(arena, "the labels of %.*s", SLICE_ARG(name)).data;
    struct conf_part part = { .name = arena_copy(arena, name),
                              .upstream = conf_part_mapping(arena, from),
                              .route = conf_part_mapping(arena, from) };
    conf_part_put(arena, part.upstream, "docker.group", group, from);
    conf_part_put(arena, part.route, "name", name, from);
    conf_part_put(arena, part.route, "upstream", name, from);
    put_row(arena, &part, DOCKER_LABEL_HOST, docker_route_hosts(group));
    put_row(arena, &part, DOCKER_LABEL_PATH, docker_route_path(group));
    route = slice_from(route, group.len);
    for (enum docker_label_id id = 0; id < DOCKER_LABEL_COUNT; id++) {
        if (!is_further(id)) continue;
        struct slice value = take_field(&route);
        if (value.len) put_row(arena, &part, id, slice_from(value, 1));
    }
    return part;
}
