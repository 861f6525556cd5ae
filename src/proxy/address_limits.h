/* SPDX-License-Identifier: Apache-2.0
 *
 * What one client address may have on a listener: connections at once, and TLS
 * handshakes in a while. Of IPv6 an address is its /64; peers of Unix sockets
 * are not counted. All workers share the counts, which stay over reloads.
 */
#pragma once

#include "base/gcra.h"
#include "conf/settings.h"
#include "io/address.h"

/* A listener's counts. */
struct address_limits;

/* A listener's rule, of one plan. */
struct address_rule {
    uint32_t         connections; /* 0: no limit */
    struct gcra_rule handshakes;  /* interval_ns 0: no limit */
};

enum address_verdict {
    ADDRESS_ADMITTED,
    ADDRESS_CONNECTIONS, /* it has all the connections that it may */
    ADDRESS_HANDSHAKES,  /* it begins them too fast */
};

struct address_limits_counts {
    uint64_t refused_connections;
    uint64_t refused_handshakes;
    uint64_t untracked; /* connections that found no place in the table */
};

/* ---- control thread ---- */

struct address_limits       *address_limits_new(void);
void                         address_limits_free(struct address_limits *l);
struct address_limits_counts address_limits_count(const struct address_limits *l);
/* The rule of a listener; what it needs is there before a worker sees it. */
struct address_rule address_rule_make(struct address_limits *l, const struct listener_settings *s);

/* ---- workers ---- */

/* A connection of `peer` begins. *place is for address_limits_leave(), 0 where nothing is
 * to be left. */
enum address_verdict address_limits_enter(struct address_limits *l, const struct address_rule *rule,
                                          const struct address *peer, uint64_t now_ns,
                                          uint32_t *place);
void                 address_limits_leave(struct address_limits *l, uint32_t place);
