/* SPDX-License-Identifier: Apache-2.0
 *
 * What needs rights that the worker process may not have, as the control thread
 * asks for it: opening the configuration's files, binding its addresses. With a
 * supervisor it is asked over the socketpair; without one the process does it
 * itself. Calls block; the answer takes microseconds.
 */
#pragma once

#include "base/error.h"
#include "conf/load.h"
#include "control/sockets.h"
#include "control/wire.h"

struct privileged {
    int                  fd;           /* to the supervisor; -1: we do it ourselves */
    struct socket_table *table;        /* ours; NULL with a supervisor */
    bool                 wants_reload; /* commands that came while an answer was awaited */
    bool                 wants_reopen;
    unsigned             stop_count;
    bool                 is_lost; /* the supervisor is gone */
    /* One of those has come; nothing else will tell of it. May be NULL. */
    void (*on_command)(void *arg);
    void *arg;
};

void privileged_init(struct privileged *p, int fd, struct socket_table *table);

/* -1 and *e on failure; the descriptor is the caller's. */
int privileged_open(struct privileged *p, const char *path, bool for_append, struct error *e);
/* Reads what a plan is built from: the supervisor keeps it if privileged_commit() says that
 * the plan serves. *fd becomes the caller's, -1 when there is none. */
bool privileged_take(struct privileged *p, const char *path, size_t max_bytes, int *fd,
                     struct buffer *to, struct error *e);
bool privileged_read(struct privileged *p, const char *path, size_t max_bytes, struct buffer *to,
                     struct error *e);
/* A reader of configuration files; borrows `p`. */
struct conf_reader privileged_reader(struct privileged *p);

/* fds[0..count): listening sockets, now the caller's. */
bool privileged_bind(struct privileged *p, const char *address, unsigned count, int *fds,
                     struct error *e);
void privileged_unbind(struct privileged *p, const char *address);

void privileged_prepare(struct privileged *p);
/* After each building of a plan. */
void privileged_commit(struct privileged *p, bool is_good);
/* Says that the gateway serves; `text` is the ready file's content. */
void privileged_ready(struct privileged *p, uint64_t generation, struct slice text);

/* Takes the commands that have arrived into the fields above. */
void privileged_poll(struct privileged *p);
