/* SPDX-License-Identifier: Apache-2.0
 *
 * A list of containers or an event, any bytes; what is accepted is in normal
 * form, and each container is chosen or refused with a reason.
 */
#include <stdlib.h>
#include <string.h>

#include "discovery/docker_pick.h"
#include "discovery/docker_route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) abort();
}

/* Whole in C: no NUL within, one behind. */
static void check_text(struct slice text)
{
    if (text.data) require(strlen(text.data) == text.len);
}

static int order(struct slice a, struct slice b)
{
    return strcmp(a.data, b.data);
}

static void check_container(const struct docker_container *c)
{
    require(c->id.len > 0);
    require(c->label_count <= DOCKER_LABEL_MAX && c->network_count <= DOCKER_NETWORK_MAX &&
            c->port_count <= DOCKER_PORT_MAX);
    check_text(c->id);
    check_text(c->name);
    check_text(c->network_mode);
    for (size_t i = 0; i < c->label_count; i++) {
        check_text(c->labels[i].name);
        check_text(c->labels[i].value);
        require(!i || order(c->labels[i - 1].name, c->labels[i].name) < 0);
        require(docker_label_value(c, c->labels[i].name).data == c->labels[i].value.data);
    }
    for (size_t i = 0; i < c->network_count; i++) {
        check_text(c->networks[i].name);
        check_text(c->networks[i].id);
        require(!i || order(c->networks[i - 1].name, c->networks[i].name) < 0);
    }
    for (size_t i = 0; i < c->port_count; i++)
        require(c->ports[i] && (!i || c->ports[i - 1] < c->ports[i]));
}

static void check_choice(const struct docker_choice *choice)
{
    require(choice->is_member || (!choice->is_usable && !choice->is_in_quarantine));
    require(!choice->is_usable || !choice->is_in_quarantine);
    if (!choice->is_member) return;
    require(choice->is_usable == !choice->why.len);
    if (!choice->is_usable) return;
    require(choice->address.port && choice->address.family);
    require(choice->weight >= 1 && choice->weight <= 1000);
    require(choice->identity.len && choice->text.len && choice->network_why.len &&
            choice->port_why.len);
}

static void on_misspelt(void *arg, struct slice label, struct slice meant)
{
    (void)arg;
    require(!slice_eq(label, meant));
}

/* A route's text is read as it was written. */
static void check_route(struct docker_container *c, struct arena *arena)
{
    struct slice values[2];
    docker_route_read(c, arena);
    (void)docker_route_why_none(c);
    if (!c->group.len) return;
    struct slice     name = docker_route_name(c->group, arena);
    struct conf_part part = docker_route_part(name, c->group, c->route, arena);
    require(name.len <= DOCKER_ROUTE_NAME_MAX);
    require(conf_node_get(part.route, "match") != NULL);
    require(!docker_route_difference(c->route, c->route, values));
}

static void check_list(struct docker_container *items, size_t count, struct arena *arena)
{
    static const struct docker_settings upstreams[] = {
        { .service = SLICE("web"), .project = SLICE("shop") },
        { .label = SLICE("app"), .port = 80 },
        { .label = SLICE("app=x"), .network = SLICE("front") },
    };
    for (size_t i = 0; i < count; i++) {
        struct docker_surroundings around = { &items[count - 1], S("back"), NULL };
        struct docker_choice       choice;
        check_container(&items[i]);
        check_route(&items[i], arena);
        docker_check_labels(&items[i], on_misspelt, NULL);
        for (size_t k = 0; k < sizeof(upstreams) / sizeof(upstreams[0]); k++) {
            docker_choose(&items[i], k == 1, &upstreams[k], &around, arena, &choice);
            check_choice(&choice);
        }
    }
}

static void check_event(const struct docker_event *event)
{
    check_text(event->id);
    check_text(event->name);
    require(event->signal >= 0 && event->signal <= 64);
    require(event->exit_code >= -1 && event->exit_code <= 255);
    require((event->action == DOCKER_ACTION_HEALTH) == (event->health != DOCKER_HEALTH_NONE));
    if (event->action != DOCKER_ACTION_OTHER && event->action != DOCKER_ACTION_CHANGE)
        require(event->id.len > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice             text = slice_make((const char *)data, size);
    struct docker_container *items;
    struct docker_event      event;
    struct arena             arena;
    struct error             e = { "" };
    size_t                   count;
    arena_init(&arena, NULL);
    if (docker_parse_list(text, &arena, &items, &count, &e))
        check_list(items, count, &arena);
    else
        require(!items && !count && e.text[0]);
    if (docker_parse_event(text, &arena, &event, &e)) check_event(&event);
    require(docker_parse_version(text) <= 9999);
    arena_reset(&arena);
    return 0;
}
