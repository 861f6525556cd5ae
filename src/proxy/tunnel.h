/* SPDX-License-Identifier: Apache-2.0
 *
 * Switching protocols (RFC 9110 section 7.8): which requests may, what WebSocket's
 * handshake needs where one side speaks HTTP/2 (RFC 8441), and the tunnel that a
 * 101 begins: bytes both ways until both sides have ended.
 */
#pragma once

#include "proxy/exchange.h"

/* May the request switch, on its route? Else its Upgrade is dropped; false: answered,
 * since its client would take any success for a tunnel. */
bool tunnel_judge(struct exchange *x) __attribute__((warn_unused_result));
/* Before the first attempt: the request as a replica must see it. */
void tunnel_rewrite(struct exchange *x);
/* A replica's 101. NULL and the tunnel stands, or why it does not: a constant phrase. */
const char *tunnel_begin(struct exchange *x, struct http_head *head);

/* Either side has ended; the other may go on. */
void tunnel_client_ended(struct exchange *x);
void tunnel_replica_ended(struct exchange *x);
