/* SPDX-License-Identifier: Apache-2.0
 *
 * Names to addresses by the system's resolver. It blocks: for the control
 * thread and for commands, never for a worker.
 */
#pragma once

#include "io/address.h"

/* At most `max` addresses of `host` for TCP, in the system's order of preference
 * (RFC 6724), without repetitions. False and *e: no such name, or no answer now. */
bool address_resolve(const char *host, uint16_t port, struct address *list, size_t max,
                     size_t *count, struct error *e);

/* Is there a way to it from this host? Asks the routing table (connect(2) of a UDP socket, which
 * sends nothing); a host without IPv6 has none to any IPv6 address. True when in doubt. */
bool address_has_route(const struct address *a);
