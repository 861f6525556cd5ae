/* SPDX-License-Identifier: Apache-2.0
 *
 * Private to redis_watch*.c and redis_guide.c.
 *
 *   redis_watch.c   the store: what was told becomes a map with addresses; the heartbeat
 *   redis_guide.c   who tells: a Sentinel, or a node of the cluster
 */
#pragma once

#include "base/arena.h"
#include "control/redis_link.h"
#include "control/redis_names.h"
#include "control/redis_watch.h"

enum { GATEWAY_ID_MAX = 17 };

enum redis_question { ASK_MASTER, ASK_SENTINELS, ASK_SLOTS };

/* Idle in a watch that follows nothing but a name. */
struct redis_guide {
    struct slice        master;             /* its name; empty: no Sentinels */
    struct slice        username, password; /* of Sentinels */
    struct redis_map   *seats;              /* whom to ask: the Sentinels, or the URL's host */
    size_t              turn;               /* of the seats and nodes: whom to try */
    struct redis_link   link;
    struct redis_link   news; /* at the same Sentinel, for +switch-master */
    enum redis_question question;
    struct deadline     deadline; /* the next question */
    uint64_t            asked_ms;
    unsigned            vain_count; /* of answers by this Sentinel, since Redis was there */
    bool                must_ask;   /* what is being asked may be out of date already */
};

struct redis_watch {
    struct redis_watch_options options;
    struct arena               arena;
    struct redis_store         store;
    struct redis_map          *told; /* as was told last, without addresses */
    struct redis_names         names;
    struct redis_guide         guide;
    struct redis_link          beat;
    struct deadline            beat_deadline;
    uint64_t                   beat_ms;
    struct slice               key; /* of the set of gateways */
    char                       id[GATEWAY_ID_MAX];
    bool                       is_cluster;
};

/* ---- redis_watch.c ---- */
/* Takes it over; without news nothing happens. */
void redis_watch_tell(struct redis_watch *w, struct redis_map *told);
/* How to log in to Redis. */
void redis_watch_login(const struct redis_watch *w, struct redis_target *to);

/* ---- redis_guide.c ---- */
void redis_guide_begin(struct redis_watch *w);
/* What is known is wrong, or may be: asks, but not more often than every 200 ms. */
void redis_guide_ask_soon(struct redis_watch *w);
void redis_guide_reset(struct redis_watch *w);
