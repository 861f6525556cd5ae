/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoding one event of the Docker Engine API. See docker_json.h.
 */
#include "discovery/docker_json.h"

#include "discovery/json.h"

enum { SIGNAL_MAX = 64 };

/* Decimal digits alone, at most `max`. */
static bool parse_number(struct slice text, unsigned max, unsigned *to)
{
    unsigned value = 0;
    if (!text.len || text.len > 8) return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        value = value * 10 + (unsigned)(text.data[i] - '0');
    }
    *to = value;
    return value <= max;
}

static enum docker_action action_of(struct slice text)
{
    static const struct {
        struct slice       text;
        enum docker_action action;
    } rows[] = {
        { SLICE("start"), DOCKER_ACTION_START },     { SLICE("kill"), DOCKER_ACTION_KILL },
        { SLICE("die"), DOCKER_ACTION_DIE },         { SLICE("died"), DOCKER_ACTION_DIE },
        { SLICE("stop"), DOCKER_ACTION_STOP },       { SLICE("pause"), DOCKER_ACTION_PAUSE },
        { SLICE("unpause"), DOCKER_ACTION_UNPAUSE }, { SLICE("destroy"), DOCKER_ACTION_DESTROY },
        { SLICE("remove"), DOCKER_ACTION_DESTROY },  { SLICE("rename"), DOCKER_ACTION_CHANGE },
        { SLICE("update"), DOCKER_ACTION_CHANGE },   { SLICE("restart"), DOCKER_ACTION_CHANGE },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (slice_eq(text, rows[i].text)) return rows[i].action;
    return DOCKER_ACTION_OTHER;
}

/* A verdict in words that we do not know: the list may tell more. */
static void set_health(struct docker_event *event, struct slice word)
{
    event->health = docker_health_of(word);
    event->action = event->health ? DOCKER_ACTION_HEALTH : DOCKER_ACTION_CHANGE;
}

/* Docker has it in the action, Podman beside it. */
static bool read_action(struct docker_event *event, struct slice action, const json_t *root,
                        const json_t *attributes, struct error *e)
{
    const struct slice docker = S("health_status: ");
    struct slice       beside, attribute;
    if (!json_get_text(root, "HealthStatus", &beside, e) ||
        !json_get_text(attributes, "health_status", &attribute, e))
        return false;
    if (slice_starts_with(action, docker))
        set_health(event, slice_from(action, docker.len));
    else if (slice_eq(action, S("health_status")))
        set_health(event, beside.len ? beside : attribute);
    else
        event->action = action_of(action);
    return true;
}

static bool read_container_event(struct docker_event *event, struct slice action,
                                 const json_t *root, const json_t *attributes, struct error *e)
{
    struct slice signal, code;
    unsigned     number;
    if (!read_action(event, action, root, attributes, e) ||
        !json_get_text(attributes, "name", &event->name, e) ||
        !json_get_text(attributes, "signal", &signal, e) ||
        !json_get_text(attributes, "exitCode", &code, e))
        return false;
    if (event->action == DOCKER_ACTION_KILL && parse_number(signal, SIGNAL_MAX, &number))
        event->signal = (int)number;
    if (event->action == DOCKER_ACTION_DIE && parse_number(code, UINT8_MAX, &number))
        event->exit_code = (int)number;
    if (!event->id.len && event->action != DOCKER_ACTION_OTHER)
        return error_set(e, "an event of a container that it does not name");
    return true;
}

/* Docker: the network is the subject, an attribute tells the container. Podman: the container is
 * the subject. */
static bool read_network_event(struct docker_event *event, struct slice action,
                               const json_t *attributes, struct error *e)
{
    struct slice container;
    if (!json_get_text(attributes, "container", &container, e)) return false;
    if (slice_eq(action, S("connect")) || slice_eq(action, S("disconnect")))
        event->action = DOCKER_ACTION_CHANGE;
    if (container.len) event->id = container;
    return true;
}

static bool read_time(struct docker_event *event, const json_t *root, struct error *e)
{
    json_t *time;
    if (!json_get(root, "timeNano", JSON_INTEGER, &time, e)) return false;
    json_int_t nano = json_integer_value(time);
    event->time_nano = nano > 0 ? (uint64_t)nano : 0;
    return true;
}

/* Up to 1.51 the members `status` and `id` say again what Action and Actor do. */
static bool read_event(struct docker_event *event, const json_t *root, struct error *e)
{
    json_t      *actor, *attributes;
    struct slice type, action, status, id;
    if (!json_is_type(root, JSON_OBJECT, "an event", e) || !json_get_text(root, "Type", &type, e) ||
        !json_get_text(root, "Action", &action, e) || !json_get_text(root, "status", &status, e) ||
        !json_get_text(root, "id", &id, e) || !json_get(root, "Actor", JSON_OBJECT, &actor, e) ||
        !json_get_text(actor, "ID", &event->id, e) ||
        !json_get(actor, "Attributes", JSON_OBJECT, &attributes, e) || !read_time(event, root, e))
        return false;
    if (!action.len) action = status;
    if (!action.len) return error_set(e, "an event without Action");
    if (slice_eq(type, S("network"))) return read_network_event(event, action, attributes, e);
    if (type.len && !slice_eq(type, S("container"))) return true;
    if (!event->id.len) event->id = id;
    return read_container_event(event, action, root, attributes, e);
}

bool docker_parse_event(struct slice json, struct arena *arena, struct docker_event *event,
                        struct error *e)
{
    *event = (struct docker_event){ .exit_code = -1 };
    if (slice_starts_with(json, S("\x1e"))) json = slice_from(json, 1);
    json_t *root = json_parse(json, e);
    bool    ok = root && read_event(event, root, e);
    event->id = ok && event->id.len ? arena_copy(arena, event->id) : (struct slice){ 0 };
    event->name = ok && event->name.len ? arena_copy(arena, event->name) : (struct slice){ 0 };
    json_decref(root);
    return ok;
}

unsigned docker_parse_version(struct slice text)
{
    unsigned major, minor;
    size_t   dot = slice_find(text, '.');
    if (dot == text.len || !parse_number(slice_make(text.data, dot), 99, &major) ||
        !parse_number(slice_from(text, dot + 1), 99, &minor))
        return 0;
    return 100 * major + minor;
}
