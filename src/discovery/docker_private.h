/* SPDX-License-Identifier: Apache-2.0
 *
 * What docker.c (the connection), docker_known.c (what is known of containers),
 * docker_explain.c and docker_snapshot.c share. Nobody else includes it.
 */
#pragma once

#include "base/map.h"
#include "conf/types.h"
#include "discovery/docker.h"
#include "discovery/docker_json.h"
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
    struct arena             arena; /* of the list */
    struct docker_container *items;
    size_t                   count;
    struct map               notes;     /* id -> struct docker_note */
    uint64_t                 last_nano; /* of the last event, by the daemon's clock; 0: none */
    int64_t                  listed_us;
    uint64_t                 hash; /* of the list's text */
    bool                     is_from_snapshot;
};

struct docker_follow {
    struct list    link; /* docker.follows */
    struct docker *docker;
    struct roster *roster;
    struct arena   arena;  /* of: */
    struct map     logged; /* containers in quarantine, by name -> the reason that was logged */
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
    struct list                     follows;
    struct http_call               *ping, *events, *list;
    struct buffer                   list_body, event_line;
    unsigned                        version;
    bool                            is_list_wanted, has_tried;
    char                            trouble[ROSTER_REASON_MAX];
    uint64_t                        retry_ms; /* the next pause */
    struct deadline                 retry, relist, refresh, drain;
    uint64_t                        event_count, list_count, reconnect_count;
    uint64_t                        saved_hash;
};

/* ---- docker_known.c ---- */
void docker_known_init(struct docker_known *k);
void docker_known_reset(struct docker_known *k);
/* A list takes the place of the one before. False and *e: it is none; nothing has changed. */
bool docker_known_list(struct docker_known *k, struct slice json, struct error *e);

enum docker_effect {
    DOCKER_NOTHING,
    DOCKER_CHANGED, /* rosters are to be told at once */
    DOCKER_RELIST,  /* the list is to be asked for */
};
enum docker_effect docker_known_event(struct docker_known *k, const struct docker_event *e,
                                      uint64_t now_ms);
/* Containers that were told to stop and go on for too long are what the list says. When the
 * next one is due, loop clock; 0: none. */
uint64_t docker_known_expire(struct docker_known *k, uint64_t now_ms, uint64_t drain_ms,
                             bool *has_changed);
/* What a roster is to have. */
void docker_known_tell(const struct docker_known *k, const struct docker *d, struct roster *r,
                       const char *trouble);
/* The container as it is by now. False: it is gone. */
bool docker_known_present(const struct docker_known *k, const struct docker_container *listed,
                          struct docker_container *now, bool *is_killed);
struct docker_surroundings docker_known_around(const struct docker_known *k,
                                               const struct docker       *d);

/* ---- docker_snapshot.c ---- */
/* The list's text, written beside `path` and renamed. */
bool docker_snapshot_save(const char *path, struct slice list, int64_t at_us, struct error *e);
bool docker_snapshot_load(const char *path, struct buffer *list, int64_t *at_us, struct error *e);
