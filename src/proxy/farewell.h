/* SPDX-License-Identifier: Apache-2.0
 *
 * How WebSockets are told to go (RFC 6455 sections 5.5.1, 7.4.1): when their replica takes no
 * new requests any more, or the gateway stops, the client gets a Close 1001 between two frames
 * of what it is sent. What it has sent before its own Close goes on to the replica, and so does
 * that. Then both sides have some seconds for the rest.
 *
 *   NONE --told--> DUE --the client has it--> ANSWER --its time is over--> LAST --the same--> end
 *
 * Follows the frames of all WebSockets. One whose bytes are no frames is left as it is, as are
 * tunnels of other protocols. docs/design/life-of-a-request.md has the rules.
 */
#pragma once

#include "proxy/exchange.h"

/* The tunnel that has just begun is a WebSocket's. */
void farewell_begin(struct exchange *x);
/* The tunnel is over. Nothing when it was no WebSocket's. */
void farewell_end(struct exchange *x);
/* Of all WebSockets of a worker that stops. */
void farewell_all(struct worker *w);

/* The rest is for exchanges with x->farewell. */

/* The replica's bytes: sends them on. */
void farewell_relay(struct exchange *x, struct slice data);
/* The client's bytes. False: they are not to go on. */
bool farewell_lets_pass(struct exchange *x, struct slice data) __attribute__((warn_unused_result));
/* Ends what the client gets, unless it has ended: the replica may take its time. */
void farewell_end_client(struct exchange *x);
/* The client has taken so many: how many of them were the replica's? */
size_t farewell_sent(struct exchange *x, size_t bytes);
/* The time that is left; 0: nobody was told. */
uint64_t farewell_ms(const struct exchange *x);
/* It is over: is there more, then? */
bool farewell_goes_on(struct exchange *x) __attribute__((warn_unused_result));
