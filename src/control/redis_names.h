/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses of a map's nodes, whose names are looked up again as the DNS says. Of a name's
 * addresses one is used; another one when that does not answer.
 */
#pragma once

#include "io/dns.h"
#include "io/redis_map.h"

struct redis_name;

struct redis_names {
    struct dns *dns;
    void (*changed)(void *arg); /* from the loop: maps are to be filled anew */
    void              *arg;
    struct redis_name *items;
    size_t             count;
};

void redis_names_init(struct redis_names *n, struct dns *dns, void (*changed)(void *), void *arg);
/* Those that are not known (yet) get ADDRESS_NONE. */
void redis_names_fill(struct redis_names *n, struct redis_map *m);
/* From the next filling on, another address of the name; one that is no name stays. */
void redis_names_turn(struct redis_names *n, struct slice host);
/* Why the name has no address, or NULL. */
const char *redis_names_trouble(const struct redis_names *n, struct slice host);
void        redis_names_reset(struct redis_names *n);
