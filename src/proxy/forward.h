/* SPDX-License-Identifier: Apache-2.0
 *
 * Who the client is and what the replica is told of it: one client address for
 * logs, limits and forwarding; X-Forwarded-*, X-Real-IP, X-Request-Id and
 * X-Client-Cert-* written so that no client can forge them.
 */
#pragma once

#include "proxy/exchange.h"

/* Sets x->request_id to a new one. */
void forward_make_id(struct exchange *x);
/* Sets x->client, is_trusted and, where the client's may be kept, request_id. */
void forward_identify(struct exchange *x);
/* Rewrites the request's fields for the replica. */
void forward_rewrite(struct exchange *x);
