/* SPDX-License-Identifier: Apache-2.0
 *
 * An owner of a connection to Redis for tests: records what it is told.
 */
#pragma once

#include "conn_probe.h"
#include "io/redis_conn.h"

enum { ASKED_MAX = 1000, TEXT_MAX = 128 };

struct asked {
    struct redis_call call;
    struct talker    *of;
    unsigned          count;   /* of on_reply */
    bool              is_lost; /* it was NULL */
    enum redis_kind   kind;
    int64_t           integer;
    char              text[TEXT_MAX];
};

struct talker {
    struct loop        *loop;
    struct redis_conn  *conn; /* NULL once it is dead */
    struct redis_target to;
    unsigned            ready_count, dead_count, reply_count, message_count;
    char                why[256], message[TEXT_MAX];
    struct asked        asked[ASKED_MAX];
    unsigned            asked_count;
    bool                closes; /* at the next reply */
};

void talker_init(struct talker *t, const struct address *to);
void talker_reset(struct talker *t);
void talker_connect(struct talker *t);
/* Connects, and turns until it is ready or dead: "" or why. */
const char *talker_open(struct talker *t);
/* Words without blanks in them; returns NULL when the call was not taken. */
struct asked *talker_ask(struct talker *t, const char *words);
/* The reply's text, "(nil)", "(lost)", "(3)" or "[2]". */
const char *talker_get(struct talker *t, const char *words);
