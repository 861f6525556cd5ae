/* SPDX-License-Identifier: Apache-2.0
 *
 * What is known of a container, and what each upstream makes of it.
 */
#include "control/explain_parts.h"
#include "discovery/docker_explain.h"
#include "discovery/docker_labels.h"
#include "discovery/docker_route.h"
#include "upstream/roster.h"

/* ---- the container ---- */

/* Labels of others that membership goes by (discovery/docker_pick.c). */
static const struct {
    struct slice name;
    const char  *meaning;
} compose_labels[] = {
    { SLICE("com.docker.compose.service"), "what `service` of an upstream asks for" },
    { SLICE("com.docker.compose.project"), "what `project` of an upstream asks for" },
    { SLICE("com.docker.compose.oneoff"), "true: made by docker compose run, no replica" },
};

/* "role" of `label: role=web`. */
static bool is_of_upstream(const struct settings *s, struct slice name)
{
    for (size_t i = 0; i < s->upstream_count; i++) {
        if (!s->upstreams[i].docker) continue;
        struct slice wanted = s->upstreams[i].docker->label;
        wanted.len = slice_find(wanted, '=');
        if (wanted.len && slice_eq(wanted, name)) return true;
    }
    return false;
}

/* NULL: nobody reads it. */
static const char *label_meaning(const struct settings *s, struct slice name)
{
    for (size_t i = 0; i < DOCKER_LABEL_COUNT; i++)
        if (slice_eq(name, docker_label_rows[i].name)) return docker_label_rows[i].doc;
    for (size_t i = 0; i < sizeof(compose_labels) / sizeof(compose_labels[0]); i++)
        if (slice_eq(name, compose_labels[i].name)) return compose_labels[i].meaning;
    if (is_of_upstream(s, name)) return "what `label` of an upstream asks for";
    return NULL;
}

static void put_labels(const struct settings *s, const struct docker_container *c,
                       struct buffer *to)
{
    const char *start = "{\"name\"";
    buffer_puts(to, ",\"labels\":[");
    for (size_t i = 0; i < c->label_count; i++) {
        const char *meaning = label_meaning(s, c->labels[i].name);
        if (!meaning) continue;
        explain_put(to, start, c->labels[i].name);
        explain_put(to, ",\"value\"", c->labels[i].value);
        explain_put(to, ",\"meaning\"", slice_of(meaning));
        buffer_put_char(to, '}');
        start = ",{\"name\"";
    }
    buffer_put_char(to, ']');
}

struct rows {
    struct buffer *to;
    const char    *start;
};

static void put_misspelt(void *arg, struct slice label, struct slice meant)
{
    struct rows *rows = arg;
    explain_put(rows->to, rows->start, label);
    explain_put(rows->to, ",\"meant\"", meant);
    buffer_put_char(rows->to, '}');
    rows->start = ",{\"name\"";
}

static void put_networks(const struct docker_container *c, struct buffer *to)
{
    buffer_puts(to, ",\"networks\":[");
    for (size_t i = 0; i < c->network_count; i++) {
        const struct docker_network *n = &c->networks[i];
        char                         text[ADDRESS_TEXT_MAX] = "";
        if (n->ipv4.family || n->ipv6.family)
            address_format_ip(n->ipv4.family ? &n->ipv4 : &n->ipv6, text);
        explain_put(to, i ? ",{\"name\"" : "{\"name\"", n->name);
        explain_put(to, ",\"address\"", slice_of(text));
        buffer_put_char(to, '}');
    }
    buffer_puts(to, "],\"ports\":[");
    for (size_t i = 0; i < c->port_count; i++) buffer_printf(to, "%s%u", i ? "," : "", c->ports[i]);
    buffer_put_char(to, ']');
}

static void put_container(const struct settings *s, const struct docker_found *found,
                          struct buffer *to)
{
    const struct docker_container *c = &found->container;
    struct rows                    rows = { to, "{\"name\"" };
    explain_put(to, "{\"container\":{\"name\"", c->name);
    explain_put(to, ",\"id\"", c->id);
    explain_put(to, ",\"state\"",
                slice_of(found->is_gone     ? "gone"
                         : found->is_killed ? "stopping"
                                            : docker_state_name(c->state)));
    explain_put(to, ",\"health\"", slice_of(docker_health_name(c->health)));
    put_networks(c, to);
    put_labels(s, c, to);
    buffer_puts(to, ",\"misspelt\":[");
    docker_check_labels(c, put_misspelt, &rows);
    buffer_printf(to, "],\"cut\":%s}", c->is_cut ? "true" : "false");
}

/* ---- its route ---- */

static void put_route(const struct explain_world *w, const struct docker_container *c,
                      struct buffer *to)
{
    struct docker_route_view view;
    explain_put(to, ",\"no_route\"", slice_of(docker_route_why_none(c)));
    buffer_puts(to, ",\"route\":");
    if (!docker_find_route(w->docker, c, &view)) {
        buffer_puts(to, "null");
        return;
    }
    explain_put(to, "{\"name\"", slice_of(view.name));
    explain_put(to, ",\"hosts\"", view.hosts);
    explain_put(to, ",\"path\"", view.path);
    explain_put(to, ",\"state\"", slice_of(docker_route_state(&view)));
    explain_put(to, ",\"reason\"", slice_of(view.why_refused));
    explain_put(to, ",\"warning\"", slice_of(view.clash));
    buffer_put_char(to, '}');
}

/* ---- its upstreams ---- */

static const struct upstream *find_upstream(const struct plan *p, struct slice name)
{
    for (size_t i = 0; i < p->upstream_count; i++)
        if (slice_eq(slice_of(p->upstreams[i]->name), name)) return p->upstreams[i];
    return NULL;
}

static const struct member *find_member(const struct upstream *u, struct slice identity)
{
    LIST_EACH (it, &u->roster->members) {
        const struct member *m = container_of(it, struct member, link);
        if (slice_eq(slice_of(m->endpoint->identity), identity)) return m;
    }
    return NULL;
}

/* As the upstream has it, or why it does not. */
static void put_state(const struct plan *p, struct slice upstream, const struct docker_choice *c,
                      struct buffer *to)
{
    const struct upstream *u = find_upstream(p, upstream);
    const struct member   *m = u && c->is_usable ? find_member(u, c->identity) : NULL;
    struct slice           state = S("absent"), reason = c->why;
    if (m) {
        state = slice_of(endpoint_state_name(m->state));
        reason = slice_of(m->reason);
    } else if (c->is_in_quarantine) {
        state = S("quarantined");
    } else if (!u) {
        reason = S("no route names the upstream");
    }
    explain_put(to, ",\"state\"", state);
    explain_put(to, ",\"reason\"", reason);
}

static void put_choice(const struct plan *p, struct slice upstream, const struct docker_choice *c,
                       struct buffer *to)
{
    char address[ADDRESS_TEXT_MAX] = "";
    if (c->is_usable) address_format(&c->address, address);
    put_state(p, upstream, c, to);
    explain_put(to, ",\"address\"", slice_of(address));
    explain_put(to, ",\"network\"", c->network);
    explain_put(to, ",\"network_why\"", c->network_why);
    buffer_printf(to, ",\"port\":%u", c->port_why.len ? c->address.port : 0);
    explain_put(to, ",\"port_why\"", c->port_why);
    buffer_printf(to, ",\"weight\":%u,\"backup\":%s", c->weight, c->is_backup ? "true" : "false");
}

static void put_upstream(const struct explain_world *w, const struct upstream_settings *s,
                         const struct docker_found *found, struct arena *arena, struct buffer *to)
{
    struct docker_choice choice;
    docker_choose_found(w->docker, found, s->docker, arena, &choice);
    buffer_printf(to, ",\"member\":%s", choice.is_member ? "true" : "false");
    if (found->is_gone && choice.is_member) {
        explain_put(to, ",\"state\"", S("absent"));
        explain_put(to, ",\"reason\"", S("it has ended"));
    } else if (choice.is_member) {
        put_choice(w->plan, s->name, &choice, to);
    } else {
        explain_put(to, ",\"reason\"", docker_why_no_member(&found->container, s->docker, arena));
    }
}

static void put_upstreams(const struct explain_world *w, const struct docker_found *found,
                          struct arena *arena, struct buffer *to)
{
    const struct settings *s = w->plan->settings;
    const char            *start = "{\"name\"";
    buffer_puts(to, ",\"upstreams\":[");
    for (size_t i = 0; i < s->upstream_count; i++) {
        const struct docker_settings *docker = s->upstreams[i].docker;
        /* Of other containers' routes it is none, and there may be many. */
        if (!docker || (docker->group.len && !docker_is_member(&found->container, docker)))
            continue;
        explain_put(to, start, s->upstreams[i].name);
        put_upstream(w, &s->upstreams[i], found, arena, to);
        buffer_put_char(to, '}');
        start = ",{\"name\"";
    }
    buffer_puts(to, "]");
}

unsigned explain_container(const struct explain_world *w, const struct explain_request *r,
                           struct buffer *to)
{
    struct docker_found found = { .is_gone = false };
    struct slice        word = r->container;
    if (!w->is_running)
        return explain_fail(to, 400, "containers are known to a running gateway only");
    if (!w->docker || !w->plan->settings->discovery.docker)
        return explain_fail(to, 404, "the configuration has no discovery.docker");
    if (slice_starts_with(word, S("/"))) word = slice_from(word, 1);
    size_t count = docker_find(w->docker, word, &found);
    if (!count)
        return explain_fail(to, 404, "there is no container %.*s among the %zu that are known",
                            SLICE_ARG(word), docker_status(w->docker).container_count);
    if (count > 1)
        return explain_fail(to, 404, "several containers have an id that begins with %.*s",
                            SLICE_ARG(word));
    put_container(w->plan->settings, &found, to);
    put_route(w, &found.container, to);
    put_upstreams(w, &found, r->arena, to);
    struct docker_status status = docker_status(w->docker);
    buffer_printf(to, ",\"connected\":%s", status.is_connected ? "true" : "false");
    explain_put(to, ",\"trouble\"", slice_of(status.trouble));
    buffer_puts(to, "}\n");
    return 200;
}
