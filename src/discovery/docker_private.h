/* SPDX-License-Identifier: Apache-2.0
 *
 * What docker.c (the connection), docker_lists.c (lists), docker_follow.c (who is told),
 * docker_known.c (what is known of containers), docker_routes.c (routes of their own),
 * docker_explain.c and docker_snapshot.c share.
 * Nobody else includes it.
 */
#pragma once

#include "base/map.h"
#include "conf/types.h"
#include "discovery/docker.h"
#include "discovery/docker_groups.h"
#include "discovery/docker_json.h"
#include "discovery/docker_labels.h"
#include "discovery/docker_pick.h"

/* What events said of a container since the list that is known. */
struct docker_note {
    char              *id;
    bool               is_dead;               /* until `start`, or a list without it */
    uint64_t           killed_ms;             /* loop clock; 0: was not told to stop */
    bool               is_paused, has_health; /* until the next list */
    enum docker_health health;
};

struct docker_known {
    struct arena              arena; /* of the last whole list, and of parts of it since */
    struct docker_container **items; /* in the list's order, then those that parts brought */
    size_t                    count, room;
    size_t                    gone_count; /* of them: not listed any more, by a part */
    struct map                by_id;
    struct map                notes;     /* id -> struct docker_note */
    uint64_t                  last_nano; /* of the last event, by the daemon's clock; 0: none */
    int64_t                   listed_us;
    uint64_t                  hash; /* of the whole list's text */
    bool                      is_from_snapshot;
    bool                      has_parts;  /* it is not as that list any more */
    size_t                    part_count; /* containers of parts, since */
};

enum { DOCKER_ASK_MAX = 32, DOCKER_RETRY_MIN_MS = 100 };

/* Containers whose part of the list is to be asked for. */
struct docker_ask {
    struct map wanted;                /* ids, owned */
    char      *asked[DOCKER_ASK_MAX]; /* by the call that runs; none: for the whole list */
    size_t     asked_count;
    bool       is_whole_wanted;
    bool is_filter_unknown; /* the daemon answered with all: it is not asked for parts again */
};

/* A container of docker.known whose labels fit, and what was made of it. */
struct docker_member {
    const struct docker_container *container;
    bool                           is_chosen; /* `choice` holds */
    struct docker_choice           choice;
};

struct docker_follow {
    struct list           link; /* docker.follows */
    struct docker        *docker;
    struct roster        *roster;
    struct docker_member *members;
    size_t                count, room;
    struct arena          arena;        /* of the choices */
    bool                  is_stale;     /* the roster is to be told */
    struct arena          logged_arena; /* of: */
    struct map            logged; /* those in quarantine, by name -> the reason that was logged */
};

enum docker_state_of_connection { DOCKER_AWAY, DOCKER_PINGS, DOCKER_SUBSCRIBES, DOCKER_FOLLOWS };

struct docker {
    struct loop                    *loop;
    struct http_client             *http;
    struct arena                    arena; /* of the settings */
    struct docker_daemon_settings   settings;
    struct http_endpoint            endpoint;
    enum docker_state_of_connection state;
    struct docker_known             known;
    const struct docker_container  *self; /* the gateway's own, of those; NULL: it is in none */
    struct list                     follows;
    struct http_call               *ping, *events, *list;
    struct buffer                   list_body, event_line;
    unsigned                        version;
    struct docker_ask               ask;
    struct job                      tell;
    bool                            has_tried, has_listed; /* ever; by this connection */
    char                            trouble[ROSTER_REASON_MAX];
    uint64_t                        retry_ms; /* the next pause */
    struct deadline                 retry, relist, refresh, drain;
    uint64_t                        event_count, list_count, reconnect_count;
    uint64_t                        saved_hash;
    bool                            is_unsaved; /* and that was logged */
    struct docker_groups            routes;
    void (*on_routes)(void *arg);
    void           *on_routes_arg;
    struct deadline route_deadline;
    bool            is_route_due;   /* soon, by a change */
    bool            has_routes;     /* were looked at */
    uint64_t        next_plan_ms;   /* not before, since plans take their time; loop clock */
    struct arena    remarked_arena; /* of: */
    struct map      remarked;       /* ids of containers whose labels were remarked on */
};

/* ---- docker.c ---- */
const char *docker_trouble(const struct docker *d); /* or NULL */
/* The connection is as good as gone; another is made. */
void              docker_lose(struct docker *d, const char *why);
void              docker_lose_by_status(struct docker *d, const char *what, unsigned status);
struct http_call *docker_call(struct docker *d, const char *target, const struct http_call_ops *ops,
                              uint64_t total_ms, size_t body_max);

/* ---- docker_lists.c ---- */
void docker_ask_init(struct docker_ask *a);
void docker_ask_reset(struct docker_ask *a);
/* Soon, for that container; of no id, for all. */
void docker_want(struct docker *d, struct slice id);
/* Of few containers as soon, else with the next whole list. */
void docker_want_later(struct docker *d, struct slice id);
/* Now, for what is wanted. */
void docker_ask_list(struct docker *d);
/* Now, for all. */
void docker_ask_whole_list(struct docker *d);

/* ---- docker_follow.c ---- */
/* Another whole list is known: everybody looks who is whose, and is told at the end of the turn. */
void docker_tell_all(struct docker *d);
/* Everybody is told again. */
void docker_tell_again(struct docker *d);
void docker_run_tell(struct job *j);
/* Something is otherwise with this container; `is_new`: nobody has heard of it yet. */
void docker_tell_of(struct docker *d, const struct docker_container *c, bool is_new);

/* ---- docker_routes.c ---- */
/* Containers changed that may make a route: soon. */
void docker_look_at_routes(struct docker *d);
void docker_run_routes(struct deadline *t);
/* Those that there were, by the snapshot: their requests wait until it is known whose they are. */
void docker_seed_routes(struct docker *d);

/* ---- docker_known.c ---- */
void docker_known_init(struct docker_known *k);
void docker_known_reset(struct docker_known *k);
/* A list takes the place of the one before. False and *e: it is none; nothing has changed. */
bool docker_known_list(struct docker_known *k, struct slice json, struct error *e);
/* Is that list the one that is known? It is as new as if it had been taken. */
bool docker_known_is_same(struct docker_known *k, struct slice json);
/* Containers of a part of the list, which was asked for by ids. False and *e: as above. `tell` is
 * called for each that came or is otherwise by now. */
typedef void docker_on_part(void *arg, const struct docker_container *c, bool is_new);
bool         docker_known_part(struct docker_known *k, struct slice json, struct docker_ask *ask,
                               docker_on_part *tell, void *arg, struct error *e);
/* NULL: it is not listed. */
struct docker_container *docker_known_find(const struct docker_known *k, struct slice id);
/* Gone from the list is as good as dead, until a whole list is without it. */
bool docker_known_is_gone(const struct docker_container *c);
/* The container as it is by now. False: it is gone. */
bool docker_known_present(const struct docker_known *k, const struct docker_container *listed,
                          struct docker_container *now, bool *is_killed);

enum docker_effect {
    DOCKER_NOTHING,
    DOCKER_OVER,    /* rosters are to be told at once: the list has nothing to add */
    DOCKER_CHANGED, /* as well, and the list is to be asked for */
    DOCKER_RELIST,  /* the list is to be asked for */
};
enum docker_effect docker_known_event(struct docker_known *k, const struct docker_event *e,
                                      uint64_t now_ms);
/* Containers that were told to stop and go on for too long are what the list says. When the
 * next one is due, loop clock; 0: none. */
uint64_t docker_known_expire(struct docker_known *k, uint64_t now_ms, uint64_t drain_ms,
                             bool *has_changed);

/* ---- docker_snapshot.c ---- */
/* The list's text, written beside `path` and renamed. */
bool docker_snapshot_save(const char *path, struct slice list, int64_t at_us, struct error *e);
bool docker_snapshot_load(const char *path, struct buffer *list, int64_t *at_us, struct error *e);
