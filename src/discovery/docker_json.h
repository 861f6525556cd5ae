/* SPDX-License-Identifier: Apache-2.0
 *
 * What the Docker Engine API (1.24 to 1.52) and Podman's compatible one answer,
 * as far as discovery needs it: a list of containers, one event. Nothing but
 * decoding (jansson); what is missing is empty, what is of a wrong type is an
 * error. Fuzzed. The caller bounds the text; what one container may have in it
 * is bounded here, and past that bound the container is marked, not the list lost.
 */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "io/address.h"

enum {
    DOCKER_CONTAINER_MAX = 65536, /* in a list; more are an error */
    DOCKER_LABEL_MAX = 1024,      /* of a container; more are not read: is_cut */
    DOCKER_NETWORK_MAX = 64,      /* likewise */
    DOCKER_PORT_MAX = 64,         /* the lowest are kept: several are as good as many */
};

struct docker_label {
    struct slice name, value;
};

/* Of a container in a network: NetworkSettings.Networks of the list. */
struct docker_network {
    struct slice   name, id;
    struct address ipv4, ipv6; /* ADDRESS_NONE: none; port 0 */
};

enum docker_state {
    DOCKER_STATE_UNKNOWN, /* a word that we do not know, or none */
    DOCKER_CREATED,
    DOCKER_RUNNING,
    DOCKER_PAUSED,
    DOCKER_RESTARTING,
    DOCKER_REMOVING,
    DOCKER_EXITED,
    DOCKER_DEAD,
    DOCKER_STOPPING, /* Podman: it was told to stop and has not ended */
};

enum docker_health { DOCKER_HEALTH_NONE, DOCKER_HEALTH_STARTING, DOCKER_HEALTHY, DOCKER_UNHEALTHY };

struct docker_container {
    struct slice           id;           /* full */
    struct slice           name;         /* the first that is no link, without its slash */
    struct slice           network_mode; /* HostConfig.NetworkMode: "host", "container:ID", ... */
    enum docker_state      state;
    enum docker_health     health; /* from Status: "Up 2 minutes (healthy)" */
    struct docker_label   *labels; /* sorted by name */
    size_t                 label_count;
    struct docker_network *networks; /* sorted by name */
    size_t                 network_count;
    uint16_t              *ports; /* exposed TCP ports, private side, sorted, each once */
    size_t                 port_count;
    bool                   is_cut;  /* it has more labels or networks than are read */
    int64_t                created; /* seconds; 0: not told */
    /* Set by docker_route_read(): its route's own labels in one text, and the beginning of it that
     * says whose replica it is: two of one group that disagree differ in the rest. */
    struct slice route, group; /* empty: it makes none */
};

/* The value, or { NULL, 0 }; that of an empty label is not NULL. */
struct slice docker_label_value(const struct docker_container *c, struct slice name);

/* GET /containers/json. Everything in `arena`. False and *e: it is no such answer. */
bool docker_parse_list(struct slice json, struct arena *arena, struct docker_container **items,
                       size_t *count, struct error *e);

/* "healthy", "unhealthy", "starting"; anything else is DOCKER_HEALTH_NONE. */
enum docker_health docker_health_of(struct slice word);

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
    DOCKER_ACTION_CHANGE,  /* rename, update, restart, and of a network: connect, disconnect */
};

struct docker_event {
    enum docker_action action;
    struct slice       id; /* of the container, also where a network is the subject */
    struct slice       name;
    enum docker_health health;    /* of DOCKER_ACTION_HEALTH */
    int                signal;    /* of DOCKER_ACTION_KILL; 0: not told */
    int                exit_code; /* of DOCKER_ACTION_DIE; -1: not told */
    uint64_t           time_nano; /* 0: not told */
};

/* One event of GET /events. A leading RS (RFC 7464) is passed over. Only a CHANGE or OTHER may
 * name no container. */
bool docker_parse_event(struct slice json, struct arena *arena, struct docker_event *event,
                        struct error *e);

/* GET /_ping's Api-Version, as 100 * major + minor ("1.41": 141); 0: none. */
unsigned docker_parse_version(struct slice text);
