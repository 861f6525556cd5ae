/* SPDX-License-Identifier: Apache-2.0
 *
 * What the Docker Engine API (1.24 to 1.52) and Podman's compatible one answer,
 * as far as discovery needs it: a list of containers, one event. Nothing but
 * decoding (jansson); what is missing is empty, what is of a wrong type is an
 * error. Fuzzed. Bounded by the caller.
 */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "io/address.h"

struct docker_label {
    struct slice name, value;
};

/* Of a container in a network: NetworkSettings.Networks of the list. */
struct docker_network {
    struct slice   name, id;
    struct address ipv4, ipv6; /* ADDRESS_NONE: none; port 0 */
};

enum docker_state {
    DOCKER_CREATED,
    DOCKER_RUNNING,
    DOCKER_PAUSED,
    DOCKER_RESTARTING,
    DOCKER_REMOVING,
    DOCKER_EXITED,
    DOCKER_DEAD,
};

enum docker_health { DOCKER_HEALTH_NONE, DOCKER_HEALTH_STARTING, DOCKER_HEALTHY, DOCKER_UNHEALTHY };

struct docker_container {
    struct slice           id;           /* full */
    struct slice           name;         /* the first one, without its slash */
    struct slice           network_mode; /* HostConfig.NetworkMode: "host", "container:ID", ... */
    enum docker_state      state;
    enum docker_health     health; /* from Status: "Up 2 minutes (healthy)" */
    struct docker_label   *labels; /* sorted by name */
    size_t                 label_count;
    struct docker_network *networks; /* sorted by name */
    size_t                 network_count;
    uint16_t              *ports; /* exposed TCP ports, private side, sorted, each once */
    size_t                 port_count;
};

/* The value, or { NULL, 0 }. */
struct slice docker_label_value(const struct docker_container *c, struct slice name);

/* GET /containers/json. Everything in `arena`. False and *e: it is no such answer. */
bool docker_parse_list(struct slice json, struct arena *arena, struct docker_container **items,
                       size_t *count, struct error *e);

enum docker_action {
    DOCKER_ACTION_OTHER, /* of no interest */
    DOCKER_ACTION_START,
    DOCKER_ACTION_KILL,
    DOCKER_ACTION_DIE,
    DOCKER_ACTION_STOP,
    DOCKER_ACTION_PAUSE,
    DOCKER_ACTION_UNPAUSE,
    DOCKER_ACTION_HEALTH, /* "health_status: healthy" of Docker, bare with HealthStatus of Podman */
    DOCKER_ACTION_DESTROY, /* "remove" of Podman */
    DOCKER_ACTION_CHANGE,  /* rename, update, and of a network: connect, disconnect */
};

struct docker_event {
    enum docker_action action;
    struct slice       id; /* of the container, also where a network is the subject */
    struct slice       name;
    enum docker_health health;    /* of DOCKER_ACTION_HEALTH */
    int                signal;    /* of DOCKER_ACTION_KILL; 0: not told */
    uint64_t           time_nano; /* 0: not told */
};

/* One event of GET /events. A leading RS (RFC 7464) is passed over. */
bool docker_parse_event(struct slice json, struct arena *arena, struct docker_event *event,
                        struct error *e);

/* GET /_ping's Api-Version, as 100 * major + minor ("1.41": 141); 0: none. */
unsigned docker_parse_version(struct slice text);
