/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection to Redis or Sentinel that control wants to have: connects again when it
 * ends, asks one thing at a time, and takes silence for an end.
 *
 *        aim()            on_ready            ask ... on_reply
 *   DOWN ------> connecting ------> UP <----------------------+
 *     ^  500 ms      |              |   ends, or 2 s without a reply
 *     +--- on_down --+--------------+
 *
 * Its end and its return are logged once.
 */
#pragma once

#include "io/redis_conn.h"
#include "io/redis_map.h"

struct redis_link;

/* From the loop only, but for on_down, which redis_link_fail() calls as well. */
struct redis_link_ops {
    /* Whom to connect to now; NULL: nobody is known. Fills in `to` but for the address and the
     * server's name. */
    const struct redis_node *(*aim)(struct redis_link *l, struct redis_target *to);
    void (*on_ready)(struct redis_link *l);
    void (*on_reply)(struct redis_link *l, const struct redis_reply *r);
    void (*on_message)(struct redis_link *l, const struct redis_reply *r);
    void (*on_down)(struct redis_link *l);
};

enum { REDIS_TROUBLE_MAX = 256 };

struct redis_link {
    const struct redis_link_ops *ops;
    const char                  *what; /* for the log: "redis"; NULL: says nothing */
    struct loop                 *loop;
    struct redis_conn           *conn; /* NULL: none */
    struct redis_call            call;
    struct deadline              deadline;  /* without connection: the next try; else of the call */
    struct redis_map            *at;        /* whom it is or was with: one node; NULL: nobody yet */
    bool                         is_up;     /* ready, and not known to be silent */
    bool                         is_logged; /* that there is trouble */
    uint64_t                     since_ms;  /* it is up, or down */
    char                         trouble[REDIS_TROUBLE_MAX]; /* the last one; "": none */
};

void redis_link_init(struct redis_link *l, struct loop *loop, const char *what,
                     const struct redis_link_ops *ops);
/* Connects to whom aim() says, whatever there was. */
void redis_link_move(struct redis_link *l);
/* False: it is not up, or something was asked that is not answered yet. */
bool redis_link_ask(struct redis_link *l, const struct slice *args, size_t count);
bool redis_link_is_asking(const struct redis_link *l);
/* What it says is of no use: ends, and tries again later. */
void redis_link_fail(struct redis_link *l, const char *why);
/* What it says is an error, but it stays; until it is well. */
void redis_link_complain(struct redis_link *l, const char *why);
void redis_link_be_well(struct redis_link *l);
/* Is it with that node, or on its way there? */
bool redis_link_is_at(const struct redis_link *l, const struct redis_node *n);
void redis_link_reset(struct redis_link *l);
