/* SPDX-License-Identifier: Apache-2.0
 *
 * A prober with a roster of its own, and a replica that does as it is told, on one
 * loop and over real sockets.
 */
#pragma once

#include "base/buffer.h"
#include "conf/load.h"
#include "control/prober.h"
#include "control/prober_parts.h"

enum { RIG_PIECES_MAX = 80 };

struct rig {
    struct log                 log;
    struct loop               *loop;
    struct prober              prober;
    struct conf_report         report;
    struct settings           *settings;
    struct upstream           *upstream;
    struct roster             *roster;
    struct arena               arena;
    struct tls_client_settings tls; /* of the upstream, when it has TLS */
    bool                       has_tls;

    /* The replica. */
    int            listening;
    struct watch   watch;
    struct address address;
    char           text[64]; /* of the address */
    struct list    peers;
    struct buffer  got; /* what it was sent, over all connections */
    unsigned       accepted_count, closed_count;
    unsigned       reset_count; /* closed by a reset */

    /* What it answers to what ends in an empty line; each piece in a turn of its own. */
    struct slice       pieces[RIG_PIECES_MAX];
    size_t             piece_count;
    bool               greets;     /* answers at once, asked or not */
    bool               hangs_up;   /* closes after the last piece */
    struct tls_server *tls_server; /* NULL: plain */
    /* Over HTTP/2 instead. */
    bool         is_h2;
    unsigned     status;
    const char  *content_type;
    struct slice body;
    const char  *grpc_status;      /* NULL: none is sent */
    bool         has_early_status; /* in the head, without a body */

    /* What the roster told. */
    unsigned state_count;
    void (*on_state)(struct rig *r, struct member *m);
};

/* `health_check` as in the configuration; `more` lines of the upstream, or "". */
void rig_init(struct rig *r, const char *health_check, const char *more);
/* Before rig_init(): nothing. After it: ends it all, and nothing is left. */
void rig_reset(struct rig *r);
/* Where the replica listens: 127.0.0.1, and `path` if that is not NULL. */
void rig_listen(struct rig *r, const char *path);
void rig_answer(struct rig *r, const char *text);
/* One more piece of it. */
void rig_then(struct rig *r, struct slice piece);
/* `count` members, all at the replica's address. Checks begin. */
void           rig_start(struct rig *r, size_t count);
struct member *rig_member(struct rig *r, size_t i);
void           rig_turn(struct rig *r);
/* Until the first member has been judged so often. */
void rig_until(struct rig *r, uint64_t check_count);
/* The next verdict of the first member. */
void rig_expect(struct rig *r, bool is_good, const char *output);
/* The first check of a prober of its own. */
void rig_check(struct rig *r, bool is_good, const char *output);
