/* SPDX-License-Identifier: Apache-2.0
 *
 * Endpoints from `servers`: addresses as they stand, names and SRV records as
 * the DNS has them, again and again. Gives a roster the whole list whenever
 * something in it changed. Control thread only.
 */
#pragma once

#include "io/dns.h"
#include "upstream/roster.h"

struct servers;

/* Begins: addresses are there at once, and so is what is known of names already. */
struct servers *servers_new(struct roster *r, struct dns *dns);
/* Ends; the roster keeps what it has. Accepts NULL. */
void servers_free(struct servers *s);
