/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoding what the Docker Engine API answers. See docker_json.h.
 *
 * A member that is missing or null is empty; one of another type fails the whole
 * answer, as it is then not the API that we know. What people write into a
 * container (labels) never fails it: else one image could blind the gateway.
 */
#include "discovery/docker_json.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "discovery/json.h"

static int compare_slices(struct slice a, struct slice b)
{
    size_t shorter = a.len < b.len ? a.len : b.len;
    int    order = shorter ? memcmp(a.data, b.data, shorter) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static struct slice keep(struct arena *arena, struct slice text)
{
    return text.len ? arena_copy(arena, text) : (struct slice){ 0 };
}

/* ---- labels ---- */

static int by_label_name(const void *a, const void *b)
{
    return compare_slices(((const struct docker_label *)a)->name,
                          ((const struct docker_label *)b)->name);
}

struct slice docker_label_value(const struct docker_container *c, struct slice name)
{
    const struct docker_label key = { .name = name }, *found = NULL;
    if (c->label_count)
        found = bsearch(&key, c->labels, c->label_count, sizeof(key), by_label_name);
    return found ? found->value : (struct slice){ 0 };
}

static bool read_labels(struct docker_container *c, const json_t *from, struct arena *arena,
                        struct error *e)
{
    json_t     *labels;
    const char *name;
    json_t     *value;
    if (!json_get(from, "Labels", JSON_OBJECT, &labels, e)) return false;
    size_t count = json_object_size(labels);
    if (count > DOCKER_LABEL_MAX) c->is_cut = true;
    if (count > DOCKER_LABEL_MAX) count = DOCKER_LABEL_MAX;
    c->labels = arena_alloc(arena, count * sizeof(c->labels[0]));
    json_object_foreach (labels, name, value) {
        if (!json_is_type(value, JSON_STRING, "Labels", e)) return false;
        if (c->label_count == count) break;
        /* An empty value is not a missing one: arena_copy() of nothing is not NULL. */
        c->labels[c->label_count++] = (struct docker_label){
            .name = arena_copy(arena, slice_of(name)),
            .value = arena_copy(arena, json_text(value)),
        };
    }
    if (count) qsort(c->labels, count, sizeof(c->labels[0]), by_label_name);
    return true;
}

/* ---- networks ---- */

static int by_network_name(const void *a, const void *b)
{
    return compare_slices(((const struct docker_network *)a)->name,
                          ((const struct docker_network *)b)->name);
}

/* None is "", and also 0.0.0.0 and ::, which would be the gateway itself. */
static bool read_address(struct address *to, const json_t *from, const char *key, int family,
                         struct error *e)
{
    static const uint8_t zero[16];
    struct slice         text;
    struct address       a = { .family = family == AF_INET ? ADDRESS_V4 : ADDRESS_V6 };
    *to = (struct address){ .family = ADDRESS_NONE };
    if (!json_get_text(from, key, &text, e)) return false;
    if (!text.len) return true;
    if (inet_pton(family, text.data, a.ip) != 1) return error_set(e, "%s: not an IP address", key);
    if (memcmp(a.ip, zero, sizeof(zero)) != 0) *to = a;
    return true;
}

static bool read_network(struct docker_network *n, const json_t *from, struct arena *arena,
                         struct error *e)
{
    struct slice id;
    if (!json_is_type(from, JSON_OBJECT, "Networks", e) ||
        !json_get_text(from, "NetworkID", &id, e) ||
        !read_address(&n->ipv4, from, "IPAddress", AF_INET, e) ||
        !read_address(&n->ipv6, from, "GlobalIPv6Address", AF_INET6, e))
        return false;
    n->id = keep(arena, id);
    return true;
}

static bool read_networks(struct docker_container *c, const json_t *from, struct arena *arena,
                          struct error *e)
{
    json_t     *settings, *networks;
    const char *name;
    json_t     *value;
    if (!json_get(from, "NetworkSettings", JSON_OBJECT, &settings, e) ||
        !json_get(settings, "Networks", JSON_OBJECT, &networks, e))
        return false;
    size_t count = json_object_size(networks);
    if (count > DOCKER_NETWORK_MAX) c->is_cut = true;
    if (count > DOCKER_NETWORK_MAX) count = DOCKER_NETWORK_MAX;
    c->networks = arena_alloc(arena, count * sizeof(c->networks[0]));
    json_object_foreach (networks, name, value) {
        if (c->network_count == count) break;
        struct docker_network *n = &c->networks[c->network_count++];
        if (!read_network(n, value, arena, e)) return false;
        n->name = arena_copy(arena, slice_of(name));
    }
    if (count) qsort(c->networks, count, sizeof(c->networks[0]), by_network_name);
    return true;
}

/* ---- ports ---- */

/* Sorted, each once; past the bound the highest go. */
static void add_port(struct docker_container *c, uint16_t port)
{
    size_t at = 0;
    while (at < c->port_count && c->ports[at] < port) at++;
    if (at == DOCKER_PORT_MAX || (at < c->port_count && c->ports[at] == port)) return;
    if (c->port_count < DOCKER_PORT_MAX) c->port_count++;
    memmove(c->ports + at + 1, c->ports + at, (c->port_count - 1 - at) * sizeof(c->ports[0]));
    c->ports[at] = port;
}

static bool read_port(struct docker_container *c, const json_t *from, struct error *e)
{
    json_t      *number;
    struct slice type;
    if (!json_is_type(from, JSON_OBJECT, "Ports", e) || !json_get_text(from, "Type", &type, e) ||
        !json_get(from, "PrivatePort", JSON_INTEGER, &number, e))
        return false;
    json_int_t port = json_integer_value(number);
    if (port < 0 || port > UINT16_MAX) return error_set(e, "PrivatePort: not a port");
    if (port && slice_eq(type, S("tcp"))) add_port(c, (uint16_t)port);
    return true;
}

static bool read_ports(struct docker_container *c, const json_t *from, struct arena *arena,
                       struct error *e)
{
    json_t *ports, *port;
    size_t  i;
    if (!json_get(from, "Ports", JSON_ARRAY, &ports, e)) return false;
    size_t room = json_array_size(ports);
    if (room > DOCKER_PORT_MAX) room = DOCKER_PORT_MAX;
    c->ports = arena_alloc(arena, room * sizeof(c->ports[0]));
    json_array_foreach (ports, i, port)
        if (!read_port(c, port, e)) return false;
    return true;
}

/* ---- state and health ---- */

/* Podman's own words as well: initialized, stopping, stopped. */
static enum docker_state state_of(struct slice text)
{
    static const struct {
        struct slice      text;
        enum docker_state state;
    } rows[] = {
        { SLICE("created"), DOCKER_CREATED },    { SLICE("running"), DOCKER_RUNNING },
        { SLICE("paused"), DOCKER_PAUSED },      { SLICE("restarting"), DOCKER_RESTARTING },
        { SLICE("removing"), DOCKER_REMOVING },  { SLICE("exited"), DOCKER_EXITED },
        { SLICE("dead"), DOCKER_DEAD },          { SLICE("initialized"), DOCKER_CREATED },
        { SLICE("configured"), DOCKER_CREATED }, { SLICE("stopping"), DOCKER_STOPPING },
        { SLICE("stopped"), DOCKER_EXITED },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (slice_eq(text, rows[i].text)) return rows[i].state;
    return DOCKER_STATE_UNKNOWN;
}

enum docker_health docker_health_of(struct slice word)
{
    if (slice_eq(word, S("healthy"))) return DOCKER_HEALTHY;
    if (slice_eq(word, S("unhealthy"))) return DOCKER_UNHEALTHY;
    return slice_eq(word, S("starting")) ? DOCKER_HEALTH_STARTING : DOCKER_HEALTH_NONE;
}

/* "Up 2 minutes (health: starting)". */
static enum docker_health health_of_status(struct slice status)
{
    if (slice_ends_with(status, S("(healthy)"))) return DOCKER_HEALTHY;
    if (slice_ends_with(status, S("(unhealthy)"))) return DOCKER_UNHEALTHY;
    if (slice_ends_with(status, S("(health: starting)"))) return DOCKER_HEALTH_STARTING;
    return slice_ends_with(status, S("(starting)")) ? DOCKER_HEALTH_STARTING : DOCKER_HEALTH_NONE;
}

/* From 1.52 a member of its own tells it, before that the status text. */
static bool read_state(struct docker_container *c, const json_t *from, struct error *e)
{
    json_t      *health;
    struct slice state, status, word;
    if (!json_get_text(from, "State", &state, e) || !json_get_text(from, "Status", &status, e) ||
        !json_get(from, "Health", JSON_OBJECT, &health, e) ||
        !json_get_text(health, "Status", &word, e))
        return false;
    c->state = state_of(state);
    c->health = word.len ? docker_health_of(word) : health_of_status(status);
    return true;
}

/* ---- the list ---- */

/* A link to another container gives a name too, "/other/alias": not its own. */
static bool read_name(struct docker_container *c, const json_t *from, struct arena *arena,
                      struct error *e)
{
    json_t *names, *name;
    size_t  i;
    if (!json_get(from, "Names", JSON_ARRAY, &names, e)) return false;
    json_array_foreach (names, i, name) {
        if (!json_is_type(name, JSON_STRING, "Names", e)) return false;
        struct slice text = json_text(name);
        if (slice_starts_with(text, S("/"))) text = slice_from(text, 1);
        if (!c->name.len && slice_find(text, '/') == text.len) c->name = keep(arena, text);
    }
    return true;
}

static bool read_container(struct docker_container *c, const json_t *from, struct arena *arena,
                           struct error *e)
{
    json_t      *host, *created;
    struct slice id, mode;
    *c = (struct docker_container){ 0 };
    if (!json_is_type(from, JSON_OBJECT, "a container", e) || !json_get_text(from, "Id", &id, e) ||
        !json_get(from, "Created", JSON_INTEGER, &created, e) ||
        !json_get(from, "HostConfig", JSON_OBJECT, &host, e) ||
        !json_get_text(host, "NetworkMode", &mode, e))
        return false;
    if (!id.len) return error_set(e, "a container without Id");
    c->id = keep(arena, id);
    c->created = json_integer_value(created);
    c->network_mode = keep(arena, mode);
    return read_name(c, from, arena, e) && read_state(c, from, e) &&
           read_labels(c, from, arena, e) && read_networks(c, from, arena, e) &&
           read_ports(c, from, arena, e);
}

bool docker_parse_list(struct slice json, struct arena *arena, struct docker_container **items,
                       size_t *count, struct error *e)
{
    bool    ok = false;
    json_t *root = json_parse(json, e);
    *items = NULL;
    *count = 0;
    if (!root || !json_is_type(root, JSON_ARRAY, "the list of containers", e)) goto out;
    size_t size = json_array_size(root);
    if (size > DOCKER_CONTAINER_MAX) {
        error_set(e, "more than %d containers", DOCKER_CONTAINER_MAX);
        goto out;
    }
    struct docker_container *found = arena_alloc(arena, size * sizeof(found[0]));
    for (size_t i = 0; i < size; i++)
        if (!read_container(&found[i], json_array_get(root, i), arena, e)) goto out;
    *items = found;
    *count = size;
    ok = true;
out:
    json_decref(root);
    return ok;
}
