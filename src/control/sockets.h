/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of listening sockets: address as configured -> bound descriptors.
 * It outlives worker processes; a successor program could take it over whole.
 * Several sockets of one TCP address share its port by SO_REUSEPORT.
 */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/list.h"

struct socket_table {
    struct list entries;
};

void sockets_init(struct socket_table *t);
/* Closes everything; Unix paths that were made are removed when `unlinks`. */
void sockets_reset(struct socket_table *t, bool unlinks);

/* What a listener's address is called in the table. Port 0 is another port for
 * each listener, so its name is part of it: "NAME ADDRESS". */
struct slice sockets_key(struct arena *a, struct slice listener, struct slice address);

/* Fills fds[0..count) with sockets `first`.. of `total` bound to that key's address:
 * those of the table, and new ones for what is missing. They stay the table's. */
bool sockets_bind(struct socket_table *t, const char *key, unsigned total, unsigned first,
                  unsigned count, int *fds, struct error *e);
/* Closes the sockets of that key. False when there are none. */
bool sockets_close(struct socket_table *t, const char *key);
