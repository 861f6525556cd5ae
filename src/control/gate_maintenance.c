/* SPDX-License-Identifier: Apache-2.0
 *
 * Turning maintenance on and off: by a person over the admin socket, for all routes that have
 * `maintenance`; by files, looked for once a second.
 */
#include <limits.h>
#include <stdio.h>

#include "control/gate_parts.h"
#include "control/maintenance.h"

/* ---- what is on ---- */

struct survey {
    struct gate   *gate;
    struct buffer *to;
    const char    *separator;
    unsigned       there; /* files */
    const char    *path;  /* of the first of them */
};

static size_t count_routes(const struct plan *p)
{
    size_t count = 0;
    for (size_t i = 0; i < p->route_count; i++) count += p->routes[i].policy->maintenance != NULL;
    return count;
}

static void look(void *arg, struct registry_item *item)
{
    struct gate             *g = arg;
    struct maintenance_file *f = item->object;
    maintenance_file_look(f);
    if (f->is_there == f->is_told) return;
    f->is_told = f->is_there;
    log_info(&g->log, "maintenance %s: %s %s", f->is_told ? "on" : "off", f->path,
             f->is_told ? "is there" : "is gone");
}

void gate_check_maintenance(struct gate *g)
{
    registry_each(g->maker.registry, REGISTRY_MAINTENANCE, look, g);
}

static void put_file(void *arg, struct registry_item *item)
{
    struct survey                 *s = arg;
    const struct maintenance_file *f = item->object;
    if (f->is_there && !s->there++) s->path = f->path;
    if (!s->to) return;
    buffer_printf(s->to, "%s{\"path\":", s->separator);
    buffer_put_json(s->to, item->key);
    buffer_printf(s->to, ",\"exists\":%s}", f->is_there ? "true" : "false");
    s->separator = ",";
}

static struct survey find_files(struct gate *g)
{
    struct survey s = { .gate = g };
    registry_each(g->maker.registry, REGISTRY_MAINTENANCE, put_file, &s);
    return s;
}

void gate_put_maintenance(struct gate *g, struct buffer *to)
{
    struct survey s = { .gate = g, .to = to, .separator = "" };
    size_t        routes = count_routes(g->current);
    bool          is_asked = g->maker.is_maintenance_asked;
    buffer_printf(to, "{\"on\":%s,\"asked\":%s,\"routes\":%zu,\"files\":[",
                  (is_asked && routes) || find_files(g).there ? "true" : "false",
                  is_asked ? "true" : "false", routes);
    registry_each(g->maker.registry, REGISTRY_MAINTENANCE, put_file, &s);
    buffer_puts(to, "]}");
}

void gate_put_maintenance_metrics(struct gate *g, struct buffer *to)
{
    const char *name = "wharfgate_maintenance_on";
    bool        is_asked = g->maker.is_maintenance_asked && count_routes(g->current);
    stats_put_family(to, name, "gauge", "Is maintenance on, and why: asked for, or by files.");
    stats_put_sample(to, name, "reason=\"admin\"", is_asked);
    stats_put_sample(to, name, "reason=\"file\"", find_files(g).there);
}

/* ---- being asked ---- */

static void answer(struct gate *g, struct admin_ask *ask, unsigned status, const char *text)
{
    ask->status = status;
    ask->content_type = ask->wants_text ? "text/plain; charset=utf-8" : "application/json";
    if (ask->wants_text) {
        buffer_printf(&ask->body, "%s\n", text);
    } else {
        buffer_printf(&ask->body, "{\"ok\":%s,\"text\":", status == 200 ? "true" : "false");
        buffer_put_json(&ask->body, slice_of(text));
        buffer_puts(&ask->body, ",\"maintenance\":");
        gate_put_maintenance(g, &ask->body);
        buffer_puts(&ask->body, "}\n");
    }
    admin_answer(ask);
}

void gate_ask_maintenance(struct gate *g, struct admin_ask *ask)
{
    struct slice query = slice_of(ask->query);
    bool         is_on = slice_eq(query, S("on"));
    char         text[PATH_MAX + 80];
    if (!is_on && !slice_eq(query, S("off"))) {
        answer(g, ask, 400, "ask for /v1/maintenance?on or ?off");
        return;
    }
    if (is_on && !count_routes(g->current)) {
        answer(g, ask, 409, "no route has `maintenance`: nothing to turn on");
        return;
    }
    if (g->maker.is_maintenance_asked != is_on)
        log_info(&g->log, "maintenance %s, over the admin socket", is_on ? "on" : "off");
    g->maker.is_maintenance_asked = is_on;
    struct survey files = find_files(g);
    size_t        routes = count_routes(g->current);
    if (is_on)
        snprintf(text, sizeof(text), "maintenance is on: %zu route%s so", routes,
                 routes == 1 ? " answers" : "s answer");
    else if (files.there)
        snprintf(text, sizeof(text),
                 "maintenance is off, but where a file turns it on: %s is there", files.path);
    else
        snprintf(text, sizeof(text), "maintenance is off");
    answer(g, ask, 200, text);
}
