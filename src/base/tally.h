/* SPDX-License-Identifier: Apache-2.0
 *
 * How many there are of each key at once: requests in progress, connections of
 * an address. A fixed table of one 64-bit word a key, shared by all threads
 * without locks and without an allocation.
 *
 * There are never more than the maximum. Threads that come in the same instant
 * to the last place may all be refused, though one of them had room.
 *
 * Keys are hashed with a random secret into sets of eight, a cache line; a key
 * whose set is full of others is not counted. Of those counted at once less
 * than one pair in a million million shares a count because the hashes agree.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct tally;

enum { TALLY_MAX = 1000000 }; /* the largest maximum */

enum tally_result {
    TALLY_ENTERED,
    TALLY_FULL,      /* at the maximum */
    TALLY_UNTRACKED, /* no place for the key: not counted */
};

/* At most `bytes` (a power of two is used whole, and at least 4 KiB), touched as they
 * are used: 8 for each key that has a count. */
struct tally *tally_new(size_t bytes);
void          tally_free(struct tally *t);

/* Any thread. One more of `key`, where there are fewer than `max`, from 1 to TALLY_MAX.
 * *place is for tally_leave(), and 0 where nothing was entered. */
enum tally_result tally_enter(struct tally *t, struct slice key, uint32_t max, uint32_t *place);
/* Any thread, once for each *place. A place of 0 is left alone. */
void tally_leave(struct tally *t, uint32_t place);
