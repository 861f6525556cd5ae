/* SPDX-License-Identifier: Apache-2.0
 *
 * A listening socket: bound, and watched by a loop that takes what connects.
 * Out of descriptors it tells its owner, who may close an idle connection, and
 * tries again a little later.
 */
#pragma once

#include "io/address.h"
#include "io/loop.h"

struct listener {
    /* NULL, or set before listener_start(): EMFILE, ENFILE or no memory in the kernel. */
    void (*on_exhausted)(struct listener *l);
    void (*on_accept)(struct listener *l, int fd, const struct address *peer);
    struct loop    *loop;
    int             fd;
    unsigned        batch; /* how many are taken at once, adapted */
    bool            is_watching;
    struct watch    watch;
    struct deadline retry;
};

/* A nonblocking, listening socket, or -1 and *e says what to do. `:80` takes IPv4
 * and IPv6, or IPv4 alone where the kernel has no IPv6. Accepted connections
 * have TCP_NODELAY. A Unix path left over from a process that is gone is
 * replaced. Any thread. */
int listener_bind(const struct address *a, int backlog, bool reuse_port, struct error *e);
/* The same for a Unix path, with a mode for the file (0600). */
int listener_bind_unix(const struct address *a, int backlog, mode_t mode, struct error *e);

/* `fd` is nonblocking and borrowed; on_accept gets nonblocking descriptors and
 * owns them. It may stop the listener, not free it. */
bool listener_start(struct listener *l, struct loop *loop, int fd,
                    void (*on_accept)(struct listener *, int fd, const struct address *peer));
/* Takes what the kernel has accepted already: before a stop, so that nobody who got
 * through is turned away. */
void listener_take_pending(struct listener *l);
/* Turns away what was accepted, by a reset: nothing of it stays in the kernel. */
void listener_refuse(int fd);
/* The descriptor is to be closed by loop_close_fd(). May be called twice. */
void listener_stop(struct listener *l);
