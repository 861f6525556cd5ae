/* SPDX-License-Identifier: Apache-2.0
 *
 * Routes of containers' own: when the gate is told that others are wanted, and what is
 * told of them. See docker_groups.h and docker_private.h.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "discovery/docker_explain.h"
#include "discovery/docker_private.h"
#include "discovery/docker_route.h"

enum {
    COALESCE_MS = 100,
    PAUSE_MAX_MS = 5000,
    PAUSE_FACTOR = 20, /* building plans takes no more than so much of the time: 5 % */
};

/* ---- labels that do nothing ---- */

struct remark {
    struct docker *docker;
    struct slice   container;
};

static void tell_misspelt(void *arg, struct slice label, struct slice meant)
{
    const struct remark *r = arg;
    log_warn(r->docker->loop->log, "container %.*s: there is no label %.*s%s%.*s%s",
             SLICE_ARG(r->container), SLICE_ARG(label), meant.len ? "; did you mean " : "",
             SLICE_ARG(meant), meant.len ? "?" : "");
}

/* Of one that was meant to make a route, as far as can be told. */
static bool is_remarkable(const struct docker_container *c)
{
    return docker_label_text(c, DOCKER_LABEL_HOST).data ||
           docker_label_bool(c, DOCKER_LABEL_ENABLE, false);
}

/* Each container once. */
static void tell_remarks(struct docker *d)
{
    const struct docker_known *k = &d->known;
    struct arena               arena;
    struct map                 told;
    arena_init(&arena, NULL);
    map_init(&told);
    for (size_t i = 0; i < k->count; i++) {
        const struct docker_container *c = k->items[i];
        struct remark                  r = { d, c->name };
        if (docker_known_is_gone(c) || !is_remarkable(c)) continue;
        map_put(&told, arena_copy(&arena, c->id), d);
        if (map_get(&d->remarked, c->id)) continue;
        const char *why = docker_route_why_none(c);
        if (why[0])
            log_warn(d->loop->log, "container %.*s makes no route: %s", SLICE_ARG(c->name), why);
        docker_check_labels(c, tell_misspelt, &r);
    }
    map_reset(&d->remarked);
    arena_reset(&d->remarked_arena);
    d->remarked = told;
    d->remarked_arena = arena;
}

/* ---- when ---- */

static void set_due(struct docker *d)
{
    uint64_t now_ms = d->loop->clock.now_ms, due_ms = docker_groups_due(&d->routes, now_ms);
    if (due_ms) deadline_set(d->loop, &d->route_deadline, due_ms > now_ms ? due_ms - now_ms : 1);
    d->is_route_due = false;
}

static void ask_for_plan(struct docker *d)
{
    uint64_t began_ns = clock_mono_ns();
    d->on_routes(d->on_routes_arg);
    uint64_t pause_ms = (clock_mono_ns() - began_ns) / 1000000 * PAUSE_FACTOR;
    d->next_plan_ms = d->loop->clock.now_ms + (pause_ms < PAUSE_MAX_MS ? pause_ms : PAUSE_MAX_MS);
}

void docker_run_routes(struct deadline *t)
{
    struct docker *d = container_of(t, struct docker, route_deadline);
    docker_groups_look(&d->routes, &d->known, d->loop->clock.now_ms);
    tell_remarks(d);
    if (docker_groups_are_news(&d->routes)) ask_for_plan(d);
    set_due(d);
}

void docker_look_at_routes(struct docker *d)
{
    uint64_t at_ms = d->loop->clock.now_ms + COALESCE_MS;
    if (d->is_route_due) return;
    if (at_ms < d->next_plan_ms) at_ms = d->next_plan_ms;
    d->is_route_due = true;
    /* The first of all are waited for. */
    deadline_set(d->loop, &d->route_deadline, d->has_routes ? at_ms - d->loop->clock.now_ms : 1);
    d->has_routes = true;
}

void docker_seed_routes(struct docker *d)
{
    struct docker_known known;
    struct buffer       list = BUFFER_INIT;
    struct error        e;
    int64_t             at_us;
    if (!d->settings.snapshot.len) return;
    docker_known_init(&known);
    if (docker_snapshot_load(d->settings.snapshot.data, &list, &at_us, &e) &&
        docker_known_list(&known, buffer_slice(&list), &e))
        docker_groups_look(&d->routes, &known, d->loop->clock.now_ms);
    docker_known_reset(&known);
    buffer_reset(&list);
}

/* ---- for the gate ---- */

size_t docker_offer_routes(const struct docker *d, struct arena *arena, struct conf_part **parts)
{
    return docker_groups_offer(&d->routes, arena, parts);
}

void docker_settle_routes(struct docker *d, const struct conf_part *parts)
{
    size_t refused_count = d->routes.refused.count;
    docker_groups_settle(&d->routes, parts);
    if (refused_count || d->routes.refused.count) docker_tell_again(d);
}

/* ---- for people ---- */

static struct docker_route_view view_of(const struct docker *d, const struct docker_group *g)
{
    const struct docker_donor *donor = docker_group_donor(&d->routes, g);
    const char *why = g->donor_count ? map_get(&d->routes.refused, g->donors[0].route) : NULL;
    return (struct docker_route_view){
        .name = g->name,
        .hosts = docker_route_hosts(g->key),
        .path = docker_route_path(g->key),
        .container = donor            ? donor->container
                     : g->donor_count ? g->donors[0].container
                                      : "",
        .is_taken = g->is_taken,
        .container_count = g->container_count,
        .why_refused = g->is_taken ? NULL : why,
        .clash = g->clash,
    };
}

const char *docker_route_state(const struct docker_route_view *view)
{
    if (view->why_refused) return "refused";
    if (!view->is_taken) return "new";
    return view->container_count ? "serves" : "waits";
}

void docker_each_route(const struct docker *d,
                       void (*tell)(void *arg, const struct docker_route_view *view), void *arg)
{
    for (size_t i = 0; i < d->routes.count; i++) {
        struct docker_route_view view = view_of(d, d->routes.items[i]);
        tell(arg, &view);
    }
}

bool docker_find_route(const struct docker *d, const struct docker_container *c,
                       struct docker_route_view *view)
{
    const struct docker_group *g = docker_groups_find(&d->routes, c->group);
    if (!g) return false;
    *view = view_of(d, g);
    view->why_refused = map_get(&d->routes.refused, c->route);
    return true;
}
