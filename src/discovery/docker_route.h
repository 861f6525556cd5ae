/* SPDX-License-Identifier: Apache-2.0
 *
 * The route that a container's labels make, as a text and as a part of the
 * configuration. Pure. What the labels may hold is the configuration's business:
 * nothing is judged here. docs/design/docker.md has the rules.
 */
#pragma once

#include "conf/part.h"
#include "discovery/docker_json.h"

enum {
    DOCKER_ROUTE_BYTES_MAX = 16384, /* of its labels; with more it makes none */
    DOCKER_ROUTE_HOST_MAX = 64,
    DOCKER_ROUTE_NAME_MAX = 56,
};

/* Sets c->route and c->group; texts are in `arena`. */
void docker_route_read(struct docker_container *c, struct arena *arena);
/* It has wharfgate.host and makes no route all the same: why. Else empty. */
const char *docker_route_why_none(const struct docker_container *c);

/* ---- of docker_container.group ---- */
/* "docker:shop/web", "docker:a.example/api". */
struct slice docker_route_name(struct slice group, struct arena *arena);
/* "a.example,b.example", "/api". */
struct slice docker_route_hosts(struct slice group);
struct slice docker_route_path(struct slice group);

/* ---- of docker_container.route ---- */
/* The first label in which two of one group differ, with both values; { NULL, 0 }: not set.
 * NULL: they do not. */
const char *docker_route_difference(struct slice a, struct slice b, struct slice values[2]);
/* For conf_take_parts(). Everything in `arena`. */
struct conf_part docker_route_part(struct slice name, struct slice group, struct slice route,
                                   struct arena *arena);
