/* SPDX-License-Identifier: Apache-2.0
 *
 * What a request brings to the choice of an endpoint: the key that ring_hash
 * and maglev go by, or the cookie of sticky, which is set when it has to be.
 */
#pragma once

#include "proxy/exchange.h"

/* What balancing by a key goes by. False: the client's address. */
bool     affinity_key(const struct upstream *u, const struct http_head *request, struct slice *key);
uint64_t affinity_hash(struct slice key);

/* Before the first choice. */
void affinity_ask(struct exchange *x);
/* The endpoint was chosen from the upstream's present set. */
void affinity_chosen(struct exchange *x, const struct endpoint *e);
/* The endpoint answered: the client's cookie is to name it from now on. */
void affinity_respond(struct exchange *x, struct http_head *response);
