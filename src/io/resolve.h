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
