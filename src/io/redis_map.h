/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a Redis is: one address, or a cluster's nodes and who has which slot. A map is
 * built, filled in and published by control, and immutable from then on; workers read it
 * through the store, which is all that control and workers share of a Redis.
 */
#pragma once

#include <stdatomic.h>

#include "base/error.h"
#include "io/address.h"
#include "io/mailbox.h"
#include "io/redis_reply.h"
#include "io/redis_slots.h"

enum { REDIS_NODES_MAX = 1024, REDIS_NO_NODE = UINT16_MAX };

struct redis_node {
    struct slice host;      /* as it is told: an address without brackets, a name, or a Unix path;
                               NUL follows */
    uint16_t       port;    /* 0: Unix */
    const char    *text;    /* "host:port", for people */
    struct address address; /* ADDRESS_NONE: its name is not known yet */
};

struct redis_map {
    uint64_t           generation; /* each one that is published has another */
    uint16_t           count;
    struct redis_node *nodes;  /* of a cluster: replicas as well */
    uint16_t          *owners; /* of a cluster, by slot: an index, or REDIS_NO_NODE; else NULL */
};

/* Without nodes. */
struct redis_map *redis_map_new(bool is_cluster);
/* At most REDIS_NODES_MAX; `port` 0: `host` is a Unix path. */
void              redis_map_add(struct redis_map *m, struct slice host, uint16_t port);
struct redis_map *redis_map_of_one(struct slice host, uint16_t port);
/* Of the reply to CLUSTER SLOTS; `asked` is the host that gave it, which is meant where it names
 * none. NULL and *e: it is none, or of more than REDIS_NODES_MAX nodes. */
struct redis_map *redis_map_of_slots(const struct redis_reply *r, struct slice asked,
                                     struct error *e);
struct redis_map *redis_map_copy(const struct redis_map *m);
void              redis_map_free(struct redis_map *m); /* accepts NULL */
/* All but the generation. */
bool redis_map_eq(const struct redis_map *a, const struct redis_map *b);
/* The index of a node, or REDIS_NO_NODE. */
uint16_t redis_map_find(const struct redis_map *m, struct slice host, uint16_t port);

/* Who has the key; NULL: nobody, or his address is not known. */
const struct redis_node *redis_map_node(const struct redis_map *m, struct slice key);
/* Whom a redirection means; `from` sent it. NULL: a node that the map does not have, or has no
 * address of. */
const struct redis_node *redis_map_redirect(const struct redis_map      *m,
                                            const struct redis_node     *from,
                                            const struct redis_redirect *to);

/* Control's, embedded there; workers read. */
struct redis_store {
    _Atomic(struct redis_map *) map; /* never NULL; stays until every worker has gone round
                                        its loop since it was replaced */
    _Atomic unsigned gateways;       /* that are alive, with us: at least 1 */
    _Atomic bool     is_moved;       /* told, and not heard yet */
    struct message   moved;
    struct mailbox  *control;
    /* What connections to it need beside TLS, and what its keys begin with; they stay. */
    struct slice username, password, prefix;
    uint32_t     database;
};

static inline const struct redis_map *redis_store_map(struct redis_store *s)
{
    return atomic_load_explicit(&s->map, memory_order_acquire);
}

/* Any thread: a node has said MOVED, or does not answer, so who has what is to be asked again. */
void redis_store_tell_moved(struct redis_store *s);
