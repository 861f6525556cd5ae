/* SPDX-License-Identifier: Apache-2.0
 *
 * The wheel that looks at deadlines: internal to io/. One libevent timer, set
 * for the next slot that holds anything; a deadline that has moved in the
 * meantime is put into a later slot when its slot comes round.
 */
#pragma once

#include "io/loop.h"

struct deadline_wheel *deadline_wheel_new(struct loop *l);
void                   deadline_wheel_free(struct deadline_wheel *w);
/* Sets the timer if the next slot has changed. Before waiting. */
void deadline_wheel_arm(struct loop *l);
/* Runs what is due by l->clock. */
void deadline_wheel_advance(struct loop *l);
/* When the timer would run: l->clock's milliseconds, 0 for never. */
uint64_t deadline_wheel_next_ms(const struct loop *l);
