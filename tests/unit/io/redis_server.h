/* SPDX-License-Identifier: Apache-2.0
 *
 * A real Redis on loopback, without a memory of its own: nothing is written to disk.
 */
#pragma once

#include "io/address.h"

struct redis_server {
    pid_t          pid; /* 0: none runs */
    char           folder[64];
    struct address address;
};

/* `options` are redis-server's, NULL after the last. Returns when it listens; at the port it
 * had before. */
void redis_server_start(struct redis_server *s, const char *const *options);
void redis_server_signal(const struct redis_server *s, int signal);
void redis_server_stop(struct redis_server *s);
/* With its folder. */
void redis_server_reset(struct redis_server *s);
