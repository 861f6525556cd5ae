/* SPDX-License-Identifier: Apache-2.0
 *
 * Which address and port of a container are an upstream's. See docker_pick.h.
 *
 * Each step either settles its part of the choice or says why there is none;
 * the first that says so ends it. Quarantine is for what a person must mend, not
 * for what passes by itself.
 */
#include "discovery/docker_pick.h"

#include "base/buffer.h"
#include "discovery/docker_labels.h"

enum { SHOWN_BYTES = 64, SHOWN_NAMES = 8 };

struct pick {
    const struct docker_container    *container;
    const struct docker_settings     *upstream;
    const struct docker_surroundings *around;
    struct arena                     *arena;
    struct docker_choice             *choice;
    struct slice                      network_id;
};

/* ---- saying no ---- */

static bool quarantine(struct pick *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool quarantine(struct pick *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    p->choice->why = arena_vprintf(p->arena, format, args);
    va_end(args);
    p->choice->is_in_quarantine = true;
    return false;
}

static bool absent(struct pick *p, const char *why)
{
    p->choice->why = slice_of(why);
    return false;
}

/* Text of a stranger, quoted and escaped, its end cut. */
static const char *quoted(struct pick *p, struct slice text)
{
    struct buffer b = BUFFER_INIT;
    bool          is_cut = text.len > SHOWN_BYTES;
    if (is_cut) text.len = SHOWN_BYTES;
    buffer_put_json(&b, text);
    if (is_cut) buffer_puts(&b, "...");
    struct slice copy = arena_copy(p->arena, buffer_slice(&b));
    buffer_reset(&b);
    return copy.data;
}

static const char *network_names(struct pick *p)
{
    const struct docker_container *c = p->container;
    struct slice                   text = S("");
    for (size_t i = 0; i < c->network_count && i < SHOWN_NAMES; i++)
        text = arena_printf(p->arena, "%.*s%s%s", SLICE_ARG(text), i ? ", " : "",
                            quoted(p, c->networks[i].name));
    if (c->network_count > SHOWN_NAMES) text = arena_printf(p->arena, "%.*s, ...", SLICE_ARG(text));
    return text.len ? text.data : "none";
}

static const char *port_numbers(struct pick *p)
{
    const struct docker_container *c = p->container;
    struct slice                   text = S("");
    for (size_t i = 0; i < c->port_count && i < SHOWN_NAMES; i++)
        text = arena_printf(p->arena, "%.*s%s%u", SLICE_ARG(text), i ? ", " : "", c->ports[i]);
    if (c->port_count > SHOWN_NAMES) text = arena_printf(p->arena, "%.*s, ...", SLICE_ARG(text));
    return text.data;
}

/* ---- whose it is ---- */

static bool fits_value(const struct docker_container *c, struct slice label, struct slice value)
{
    return !value.len || slice_eq(docker_label_value(c, label), value);
}

/* "name" or "name=value". */
static bool fits_label(const struct docker_container *c, struct slice wanted)
{
    size_t       equals = slice_find(wanted, '=');
    struct slice value = docker_label_value(c, slice_make(wanted.data, equals));
    if (!value.data) return false;
    return equals == wanted.len || slice_eq(value, slice_from(wanted, equals + 1));
}

bool docker_is_oneoff(const struct docker_container *c)
{
    return slice_eq_nocase(docker_label_value(c, S("com.docker.compose.oneoff")), S("true"));
}

bool docker_is_member(const struct docker_container *c, const struct docker_settings *upstream)
{
    if (upstream->group.len) return slice_eq(c->group, upstream->group);
    if (!upstream->service.len && !upstream->label.len) return false;
    /* First what most are not: this is asked of each container for each upstream. */
    if (!fits_value(c, S("com.docker.compose.service"), upstream->service) ||
        !fits_value(c, S("com.docker.compose.project"), upstream->project))
        return false;
    if (upstream->label.len && !fits_label(c, upstream->label)) return false;
    return !docker_is_oneoff(c);
}

/* ---- whether it is there ---- */

static bool is_there(struct pick *p)
{
    switch (p->container->state) {
    case DOCKER_RUNNING:
    case DOCKER_PAUSED:
    case DOCKER_STOPPING: return true;
    case DOCKER_CREATED: return absent(p, "created and not started");
    case DOCKER_RESTARTING: return absent(p, "restarting");
    case DOCKER_REMOVING: return absent(p, "being removed");
    case DOCKER_EXITED: return absent(p, "exited");
    case DOCKER_DEAD: return absent(p, "dead");
    case DOCKER_STATE_UNKNOWN: break;
    }
    return quarantine(p, "the daemon tells a state of it that is not known");
}

static bool fits_row(struct pick *p, enum docker_label_id id)
{
    const struct docker_label_row *row = &docker_label_rows[id];
    struct slice                   value = docker_label_text(p->container, id);
    if (row->key || !value.data || docker_label_fits(row, value)) return true;
    return quarantine(p, "label %s=%s: expected %s", row->name.data, quoted(p, value),
                      row->expected);
}

static bool is_enabled(struct pick *p)
{
    if (!fits_row(p, DOCKER_LABEL_ENABLE)) return false;
    if (docker_label_bool(p->container, DOCKER_LABEL_ENABLE, true)) return true;
    return absent(p, "taken out by label wharfgate.enable");
}

static bool labels_fit(struct pick *p)
{
    if (p->container->is_cut)
        return quarantine(p, "it has more than %d labels or %d networks: not all were read",
                          DOCKER_LABEL_MAX, DOCKER_NETWORK_MAX);
    for (enum docker_label_id id = 0; id < DOCKER_LABEL_COUNT; id++)
        if (!fits_row(p, id)) return false;
    return true;
}

/* Of others of its group the labels may be better. */
static bool is_route_good(struct pick *p)
{
    const char *why = p->around->refused ? map_get(p->around->refused, p->container->route) : NULL;
    if (!p->upstream->group.len || !why) return true;
    return quarantine(p, "its route is refused: %s", why);
}

/* ---- network ---- */

static const struct docker_network *find_network(const struct docker_container *c,
                                                 struct slice                   name)
{
    for (size_t i = 0; i < c->network_count; i++)
        if (slice_eq(c->networks[i].name, name)) return &c->networks[i];
    return NULL;
}

static bool is_in(const struct docker_container *c, struct slice network_id)
{
    for (size_t i = 0; c && network_id.len && i < c->network_count; i++)
        if (slice_eq(c->networks[i].id, network_id)) return true;
    return false;
}

static const struct docker_network *take(struct pick *p, const struct docker_network *n,
                                         const char *why)
{
    p->choice->network = n->name;
    p->choice->network_why = slice_of(why);
    p->network_id = n->id;
    return n;
}

static const struct docker_network *take_named(struct pick *p, struct slice name, const char *why)
{
    const struct docker_network *n = find_network(p->container, name);
    if (n) return take(p, n, why);
    quarantine(p, "it is not in network %s (%s), but in: %s", quoted(p, name), why,
               network_names(p));
    return NULL;
}

/* Of several that it shares with the gateway any will do: the first by name. */
static const struct docker_network *choose_network(struct pick *p)
{
    const struct docker_container *c = p->container;
    const struct docker_network   *n;
    struct slice                   name = docker_label_text(c, DOCKER_LABEL_NETWORK);
    if (name.len) return take_named(p, name, "label wharfgate.network");
    if (p->upstream->network.len)
        return take_named(p, p->upstream->network, "`network` of the upstream");
    if (p->around->network.len && (n = find_network(c, p->around->network)))
        return take(p, n, "`network` of discovery.docker");
    for (size_t i = 0; i < c->network_count; i++)
        if (is_in(p->around->self, c->networks[i].id))
            return take(p, &c->networks[i], "the gateway is in it too");
    if (c->network_count == 1) return take(p, &c->networks[0], "the only one");
    quarantine(p,
               "it is in several networks (%s): say which with label wharfgate.network, or with "
               "`network` of the upstream",
               network_names(p));
    return NULL;
}

/* Is its one network that of that name? "host" and "none" are the engine's own. The mode will not
 * do: Podman says "host" of all. */
static bool is_only_in(const struct docker_container *c, struct slice name)
{
    return c->network_count == 1 && slice_eq(c->networks[0].name, name);
}

/* Those that have no network of their own. */
static bool has_network(struct pick *p)
{
    const struct docker_container *c = p->container;
    const struct slice             container = S("container:");
    if (slice_starts_with(c->network_mode, container))
        return quarantine(p,
                          "it is in the network of container %s (network_mode): give the label to "
                          "that one, and its port",
                          quoted(p, slice_from(c->network_mode, container.len)));
    if (is_only_in(c, S("none")))
        return quarantine(p, "it has no network (network_mode: none): put it into one");
    if (!c->network_count)
        return quarantine(p,
                          "no network is listed of it: put it into one that the gateway reaches");
    return true;
}

static bool pick_address(struct pick *p)
{
    static const struct address loopback = { .family = ADDRESS_V4, .ip = { 127, 0, 0, 1 } };
    if (is_only_in(p->container, S("host"))) {
        take(p, &p->container->networks[0], "network_mode: host");
        p->choice->address = loopback;
        return true;
    }
    if (!has_network(p)) return false;
    const struct docker_network *n = choose_network(p);
    if (!n) return false;
    p->choice->address = n->ipv4.family ? n->ipv4 : n->ipv6;
    return p->choice->address.family || absent(p, "no address in its network yet");
}

/* ---- port ---- */

static bool take_port(struct pick *p, unsigned port, const char *why)
{
    p->choice->address.port = (uint16_t)port;
    p->choice->port_why = slice_of(why);
    return true;
}

static bool pick_port(struct pick *p)
{
    const struct docker_container *c = p->container;
    unsigned                       port = docker_label_number(c, DOCKER_LABEL_PORT, 0);
    if (port) return take_port(p, port, "label wharfgate.port");
    if (p->upstream->port) return take_port(p, p->upstream->port, "`port` of the upstream");
    if (c->port_count == 1) return take_port(p, c->ports[0], "the only one exposed");
    if (!c->port_count)
        return quarantine(p, "no TCP port of it is listed as exposed: say it with label "
                             "wharfgate.port, or with `port` of the upstream");
    return quarantine(p,
                      "it exposes several TCP ports (%s): say which with label wharfgate.port, or "
                      "with `port` of the upstream",
                      port_numbers(p));
}

/* ---- the rest ---- */

static void set_state(struct docker_choice *choice, enum source_state state, const char *reason)
{
    choice->state = state;
    choice->state_reason = slice_of(reason);
}

static void tell_state(struct pick *p, bool is_killed)
{
    const struct docker_container *c = p->container;
    p->choice->must_listen = c->health == DOCKER_HEALTH_NONE;
    if (is_killed || c->state == DOCKER_STOPPING)
        set_state(p->choice, SOURCE_DRAINING, "stopping");
    else if (c->state == DOCKER_PAUSED)
        set_state(p->choice, SOURCE_UNHEALTHY, "paused");
    else if (c->health == DOCKER_UNHEALTHY)
        set_state(p->choice, SOURCE_UNHEALTHY, "its HEALTHCHECK fails");
    else if (c->health == DOCKER_HEALTH_STARTING)
        set_state(p->choice, SOURCE_STARTING, "its HEALTHCHECK has not passed yet");
    else
        set_state(p->choice, SOURCE_READY, "");
}

static void describe(struct pick *p)
{
    const struct docker_container *c = p->container;
    char                           address[ADDRESS_TEXT_MAX];
    address_format(&p->choice->address, address);
    p->choice->text =
        arena_printf(p->arena, "%s%s%.*s", address, c->name.len ? " " : "", SLICE_ARG(c->name));
    p->choice->identity =
        arena_printf(p->arena, "%.*s/%.*s/%s", SLICE_ARG(c->id), SLICE_ARG(p->network_id), address);
    p->choice->weight = docker_label_number(c, DOCKER_LABEL_WEIGHT, 1);
    p->choice->is_backup = docker_label_bool(c, DOCKER_LABEL_BACKUP, false);
}

void docker_choose(const struct docker_container *c, bool is_killed,
                   const struct docker_settings *upstream, const struct docker_surroundings *s,
                   struct arena *arena, struct docker_choice *choice)
{
    struct pick p = { c, upstream, s, arena, choice, { 0 } };
    *choice = (struct docker_choice){ .weight = 1 };
    if (!docker_is_member(c, upstream)) return;
    choice->is_member = true;
    if (!is_there(&p) || !is_enabled(&p) || !labels_fit(&p) || !is_route_good(&p)) return;
    if (!pick_address(&p) || !pick_port(&p)) return;
    choice->is_usable = true;
    tell_state(&p, is_killed);
    describe(&p);
}

void docker_check_labels(const struct docker_container *c,
                         void (*found)(void *arg, struct slice label, struct slice meant),
                         void *arg)
{
    const struct docker_label_row *meant;
    for (size_t i = 0; i < c->label_count; i++)
        if (docker_label_is_misspelt(c->labels[i].name, &meant))
            found(arg, c->labels[i].name, meant ? meant->name : (struct slice){ 0 });
}
