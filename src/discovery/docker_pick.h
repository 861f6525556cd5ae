/* SPDX-License-Identifier: Apache-2.0
 *
 * Which address and port of a container are an upstream's, and why. Pure:
 * containers and settings in, a decision with its reason out, for the roster
 * and for `explain` alike. docs/design/docker.md has the rules.
 */
#pragma once

#include "base/map.h"
#include "conf/settings.h"
#include "discovery/docker_json.h"
#include "upstream/endpoint.h"

/* What the choice depends on besides the container. */
struct docker_surroundings {
    const struct docker_container *self;    /* the gateway's own container; NULL: it is in none */
    struct slice                   network; /* discovery.docker.network, or empty */
    const struct map *refused; /* docker_container.route -> why (char *); may be NULL */
};

struct docker_choice {
    bool              is_member; /* its labels fit the upstream; else all of this is unset */
    bool              is_usable;
    bool              is_in_quarantine; /* somebody must mend it: `why` says what and how */
    struct address    address;          /* with its port */
    struct slice      identity;         /* container id, network id, address and port */
    struct slice      text;             /* "10.0.0.7:8000 web-1" */
    uint32_t          weight;
    bool              is_backup;
    bool              must_listen; /* nothing tells when it does: no HEALTHCHECK */
    enum source_state state;
    struct slice      state_reason;
    struct slice      network, network_why; /* "the only one", "label wharfgate.network" */
    struct slice      port_why;
    struct slice      why; /* not usable: what is wrong and what to do; or "exited" */
};

/* Texts are in `arena`, or are the container's. `is_killed`: a kill with its stop signal was seen.
 * A member that is neither usable nor in quarantine is not there: it does not run, has no address
 * yet, or is taken out by wharfgate.enable. */
void docker_choose(const struct docker_container *c, bool is_killed,
                   const struct docker_settings *upstream, const struct docker_surroundings *s,
                   struct arena *arena, struct docker_choice *choice);

/* Was it made by `docker compose run`? */
bool docker_is_oneoff(const struct docker_container *c);
/* Do its labels fit the upstream? */
bool docker_is_member(const struct docker_container *c, const struct docker_settings *upstream);

/* Labels that look like ours and are none: "wharfgat.host", "wharfgate.weigth". Calls `found` with
 * the label and the one that was meant (empty: no idea). */
void docker_check_labels(const struct docker_container *c,
                         void (*found)(void *arg, struct slice label, struct slice meant),
                         void *arg);
