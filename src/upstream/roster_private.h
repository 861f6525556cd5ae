/* SPDX-License-Identifier: Apache-2.0
 *
 * What roster.c (who belongs) and roster_judge.c (who is well) share.
 */
#pragma once

#include "upstream/roster.h"

/* ---- roster.c ---- */
/* A set is due: at the end of the turn when somebody must not be chosen any more, else
 * within 50 ms. */
void roster_change(struct roster *r, bool is_urgent);

/* ---- roster_judge.c ---- */
/* Derives m->state from what is known of it; counts, tells and changes the set by it. */
void roster_settle(struct member *m);
/* It may serve once it was checked: until then no set has it. */
static inline bool roster_is_awaited(const struct member *m)
{
    return m->state == ENDPOINT_STARTING || m->state == ENDPOINT_UNCHECKED;
}
/* Does what the clock asks for, and asks it again. */
void roster_tick(struct roster *r);
/* Do weights grow in steps? */
bool roster_has_ramp(const struct roster *r);
/* Its part of a whole weight, of `scale`. */
uint32_t roster_weight(const struct member *m, uint32_t scale);
