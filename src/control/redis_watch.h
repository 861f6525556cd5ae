/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the Redis is that gateways share, and how many they are. Follows its name in the
 * DNS, Sentinels or a cluster, and publishes what workers need through a store. Also the
 * heartbeat: each gateway writes its id into a set each second; one that has not done so
 * for three seconds, by Redis' clock, is gone.
 *
 * Never ends by itself: what cannot be reached is tried again and again, and meanwhile the
 * last map and the last number of gateways stay.
 */
#pragma once

#include "conf/settings.h"
#include "io/dns.h"
#include "io/redis_map.h"

struct redis_watch;

struct redis_watch_options {
    struct loop                 *loop; /* with the log */
    struct dns                  *dns;
    struct mailbox              *mailbox;  /* of the loop, for what workers tell */
    const struct redis_settings *settings; /* what is needed of it is copied */
    struct tls_client           *tls;      /* borrowed; NULL: plain */
    /* A map that is not published any more: to be freed once no worker reads it. */
    void (*retire)(void *arg, struct redis_map *old);
    void *arg;
};

/* Begins at once. */
struct redis_watch *redis_watch_new(const struct redis_watch_options *o);
/* No worker may use the store any more, and what they told must have been heard. Accepts NULL. */
void redis_watch_free(struct redis_watch *w);
/* The same as long as the watch. */
struct redis_store *redis_watch_store(struct redis_watch *w);

/* For people. Borrowed until the loop's next turn. */
struct redis_watch_status {
    const char *mode;          /* "single", "sentinel", "cluster" */
    const char *key;           /* of the set of gateways */
    const char *id;            /* ours in it */
    const char *at;            /* whom the heartbeat goes to: "host:port"; "": nobody is known */
    const char *guide;         /* the Sentinel or node that says where it is; "": none */
    const char *trouble;       /* of the heartbeat, the last one; "": all is well */
    const char *guide_trouble; /* of the guide */
    bool        is_connected;  /* the heartbeat's connection */
    uint64_t    since_ms;      /* it is or is not; loop clock */
    uint64_t    beat_ms;       /* the last heartbeat that was answered; 0: none */
    unsigned    gateways;
};

void redis_watch_status(const struct redis_watch *w, struct redis_watch_status *s);
