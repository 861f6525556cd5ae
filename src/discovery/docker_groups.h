/* SPDX-License-Identifier: Apache-2.0
 *
 * Containers whose labels make one route, and what became of it: which groups
 * there are, in which order they are judged, whose labels count, how long a group
 * outlives its containers. docs/design/docker.md has the rules. Private to
 * docker*.c.
 */
#pragma once

#include "base/log.h"
#include "base/map.h"
#include "conf/part.h"
#include "discovery/docker_json.h"

struct docker_known;

enum {
    DOCKER_GROUP_MAX = 4096,
    DOCKER_DONOR_MAX = 8,    /* of a group: more that disagree are not looked at */
    DOCKER_YIELD_MS = 30000, /* without a container it yields to others */
};

/* One of those that disagree: the oldest container with these labels. */
struct docker_donor {
    struct slice route; /* docker_container.route */
    char        *container;
};

struct docker_group {
    struct slice        key; /* docker_container.group */
    char               *name;
    int64_t             created; /* of the oldest container that it ever had: who comes first */
    char               *oldest;  /* its id */
    uint64_t            gone_ms; /* since when it has no container, loop clock; 0: it has */
    size_t              container_count;
    struct docker_donor donors[DOCKER_DONOR_MAX]; /* the oldest first; the last ones, once gone */
    size_t              donor_count;
    bool                is_seen; /* while they are counted */
    /* As it was judged last. */
    bool  is_taken;
    char *clash; /* of containers that disagree, for people; or NULL */
};

struct docker_groups {
    struct log           *log;
    uint64_t              hold_ms;
    struct docker_group **items; /* in the order in which they are judged */
    size_t                count, room;
    struct map            by_key, by_name;
    struct map            refused; /* docker_donor.route -> why (char *) */
    struct arena          refused_arena;
    struct buffer         asked; /* all that the last plan depends on */
    bool                  is_full;
};

void docker_groups_init(struct docker_groups *g, struct log *log);
void docker_groups_reset(struct docker_groups *g);
/* As containers are now. */
void docker_groups_look(struct docker_groups *g, const struct docker_known *k, uint64_t now_ms);
/* When something changes without any event, loop clock; 0: never. */
uint64_t docker_groups_due(const struct docker_groups *g, uint64_t now_ms);
/* Would another plan come of it than of what was judged last, or was asked about here? */
bool docker_groups_are_news(struct docker_groups *g);
/* What is to be judged, in `arena`. */
size_t docker_groups_offer(const struct docker_groups *g, struct arena *arena,
                           struct conf_part **parts);
/* The same parts, judged; they serve from now on. */
void docker_groups_settle(struct docker_groups *g, const struct conf_part *parts);
/* NULL: a container of it is known no more, or it makes no route. */
const struct docker_group *docker_groups_find(const struct docker_groups *g, struct slice key);
/* The labels that count: of the first that is not refused; NULL: all are. */
const struct docker_donor *docker_group_donor(const struct docker_groups *g,
                                              const struct docker_group  *group);
