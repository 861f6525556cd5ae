/* SPDX-License-Identifier: Apache-2.0
 *
 * Endpoints from containers: follows a Docker daemon's events and lists, and
 * gives each roster that names containers its whole list whenever something in
 * it changed; and routes that containers' labels make. Reconnects for ever; what is known stays
 * meanwhile.
 * docs/design/docker.md. Control thread only.
 */
#pragma once

#include "io/http_client.h"
#include "upstream/roster.h"

struct docker;
struct docker_follow;

/* Begins to connect. `s` is not kept. `on_routes` is called, on the loop and after a pause, when
 * docker_offer_routes() has others than docker_settle_routes() was given last. */
struct docker *docker_new(struct loop *l, struct http_client *http,
                          const struct docker_daemon_settings *s, void (*on_routes)(void *arg),
                          void                                *arg);
/* As `s` says from now on; what is known stays until the next list. */
void docker_configure(struct docker *d, const struct docker_daemon_settings *s);
/* Is that how it is configured already? */
bool docker_is_as(const struct docker *d, const struct docker_daemon_settings *s);
/* Nobody may follow any more. Accepts NULL. */
void docker_free(struct docker *d);

/* The roster's upstream has `docker`: it is updated at once by what is known, and from then on. */
struct docker_follow *docker_follow(struct docker *d, struct roster *r);
void                  docker_unfollow(struct docker_follow *f); /* accepts NULL */

/* Routes of containers' labels, each with its upstream, for conf_take_parts(); in `arena`. */
struct conf_part;
size_t docker_offer_routes(const struct docker *d, struct arena *arena, struct conf_part **parts);
/* They were judged, in the turn in which they were offered, and serve as they were judged. */
void docker_settle_routes(struct docker *d, const struct conf_part *parts);

/* Of one route, for people. Lives until the next turn. */
struct docker_route_view {
    const char  *name;
    struct slice hosts, path;     /* "a.example,b.example" */
    const char  *container;       /* whose labels it is by */
    bool         is_taken;        /* it serves */
    size_t       container_count; /* 0: it is kept for those that may come */
    const char  *why_refused;     /* or NULL */
    const char  *clash;           /* containers disagree; or NULL */
};
/* "serves", "waits" (for a container), "refused", "new": not judged yet. */
const char *docker_route_state(const struct docker_route_view *view);
void        docker_each_route(const struct docker *d,
                              void (*tell)(void *arg, const struct docker_route_view *view), void *arg);

/* For status and metrics. */
struct docker_status {
    const char *endpoint;     /* as configured */
    bool        is_connected; /* events come in */
    bool        is_from_snapshot;
    int64_t     listed_us; /* wall clock, of the list that is known; 0: none */
    unsigned    version;   /* API, 100 * major + minor; 0: not known */
    const char *trouble;   /* why it is not connected, or NULL */
    size_t      container_count;
    uint64_t    event_count, list_count, reconnect_count;
};

struct docker_status docker_status(const struct docker *d);

/* Containers that an upstream would have and cannot use, each with its reason: `tell` is called
 * for each once. */
void docker_each_quarantined(const struct docker *d, const struct roster *r,
                             void (*tell)(void *arg, struct slice name, struct slice why),
                             void *arg);
