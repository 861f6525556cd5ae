/* SPDX-License-Identifier: Apache-2.0
 *
 * How the halves of a connection call each other: internal to io/.
 * conn.c opens and closes, conn_read.c moves what comes in, conn_write.c what
 * goes out.
 */
#pragma once

#include "io/conn.h"

/* Gives the owner what there is to read, until nothing more is there or he
 * pauses; then tells him of the end, if it was met. The owner may have closed
 * the connection when it returns. */
void conn_read(struct conn *c);
/* Paused, the owner still wants to hear of a reset: looks for one. */
void conn_peek(struct conn *c);
/* Notes that the connection is dead; conn_read() tells it. */
void conn_fail(struct conn *c, enum conn_fault fault);
/* Connected and, with TLS, shaken hands. */
void conn_opened(struct conn *c);
/* One attempt at sending what the TLS layer has ready (an alert). */
void conn_send_tls(struct conn *c);
/* Is there anything to write? */
bool conn_has_output(const struct conn *c);

/* Writes what has waited for the end of the turn. */
void conn_flush_gathered(struct loop *l);
/* Last calls for what conn_close() has left; at the end of a turn. */
void conn_free_closed(struct loop *l);
/* Runs loop->doubt_deadline: see conn_read.c. */
void conn_check_doubts(struct deadline *d);
