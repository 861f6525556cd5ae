/* SPDX-License-Identifier: Apache-2.0
 *
 * Two workers' sides of an upstream, each on a loop of its own with a mailbox, in one thread;
 * requests that choose and wait as an exchange does; and a replica over real sockets that
 * answers when it is told to.
 */
#pragma once

#include "roster_rig.h"
#include "upstream/client_private.h"

enum { SIDES = 2, ORDER_MAX = 256 };

struct side {
    struct loop             *loop;
    struct mailbox           mailbox;
    struct upstream_counters counters;
    struct upstream_client   client;
};

struct bench {
    struct rig  rig;
    struct side sides[SIDES];
    int         listening; /* of the replica; -1: none */
    uint16_t    port;
    char        order[ORDER_MAX]; /* names of requests, as they got their places */
};

struct request {
    struct bench        *bench;
    struct side         *side;
    struct upstream_turn turn;
    struct balance_ask   ask;
    struct endpoint     *endpoint;  /* that it has a place at, or NULL */
    char                 name;      /* 0: not in bench.order, and on any thread */
    unsigned             run_count; /* turns */
    struct upstream_wait wait;
    struct http_stream  *stream;
    struct arena         arena;
    unsigned             ended_count, failed_count, reset_count;
};

/* `lines` as of rig_init(), `list` as of rig_update(). */
void bench_init(struct bench *b, const char *lines, const char *list);
/* The replica listens; then the list may say "a=PORT" by bench_list(). */
void        bench_listen(struct bench *b);
const char *bench_list(struct bench *b, const char *names); /* "ab": all of them the replica */
/* Nothing may be left that is counted. Before bench_init(): nothing. */
void bench_reset(struct bench *b);
/* Another list, published; both sides are told. */
void bench_update(struct bench *b, const char *list);
/* A turn of each loop. */
void bench_turn(struct bench *b);
void side_turn(struct bench *b, unsigned side);
/* Turns until it holds, or fails. */
#define bench_until(b, condition)                                                                  \
    for (uint64_t end_ns = bench_patience(); !(condition);) bench_wait(b, end_ns)
uint64_t bench_patience(void);
void     bench_wait(struct bench *b, uint64_t end_ns);

uint32_t bench_active(struct bench *b, char name);
uint32_t bench_queued(struct bench *b);

void                 request_init(struct request *r, struct bench *b, unsigned side, char name);
enum upstream_choice request_choose(struct request *r);
/* Gets a place or goes into the queue. False: it is full. */
bool request_seek(struct request *r);
bool request_waits(const struct request *r);
/* It was tried and came to nothing: the place is free, the endpoint not to be chosen again. */
void request_give_up(struct request *r);
/* The place is free again; nothing is left of it. */
void request_leave(struct request *r);
/* The same, with everything it knows of. */
void request_end(struct request *r);

/* Over a connection: until it has a stream, or none could be made. */
void request_connect(struct request *r);
/* Asks, the replica answers, and the stream is let go of. */
void request_ask(struct request *r, int fd);
/* The replica's end of the next connection. */
int replica_accept(struct bench *b);
