/* SPDX-License-Identifier: Apache-2.0
 *
 * One container among those that are known, by the word that a person has for
 * it, and what upstreams make of it: the very choice that rosters get.
 */
#pragma once

#include "discovery/docker.h"
#include "discovery/docker_pick.h"

struct docker_found {
    struct docker_container container; /* as it is by now; lives until the next turn */
    bool                    is_gone;   /* it has died since it was listed */
    bool                    is_killed; /* it was told to stop */
};

/* By name, id, or a beginning of one id alone. How many there are of it: *found is set for 1. */
size_t docker_find(const struct docker *d, struct slice word, struct docker_found *found);
/* As docker_choose(). */
void docker_choose_found(const struct docker *d, const struct docker_found *found,
                         const struct docker_settings *upstream, struct arena *arena,
                         struct docker_choice *choice);
/* Why its labels do not make it a replica of the upstream; empty: they do. */
struct slice docker_why_no_member(const struct docker_container *c,
                                  const struct docker_settings *upstream, struct arena *arena);
/* The route that its labels make; why_refused is of its own labels. False: there is none. */
bool        docker_find_route(const struct docker *d, const struct docker_container *c,
                              struct docker_route_view *view);
const char *docker_state_name(enum docker_state s);
const char *docker_health_name(enum docker_health h);
