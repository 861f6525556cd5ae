/* SPDX-License-Identifier: Apache-2.0
 *
 * Which keys a limit refuses most, now: a bounded list that forgets (the Space-Saving
 * sketch, its counts halved with time). One thread writes, any may read.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum { LIMIT_TOP_COUNT = 32, LIMIT_TOP_WORDS = 6, LIMIT_TOP_HALVED_MS = 10000 };

struct limit_top_entry {
    _Atomic uint32_t version; /* odd: is being written */
    _Atomic uint32_t length;  /* of the whole key */
    _Atomic uint64_t hash;    /* 0: free */
    _Atomic uint64_t count;
    _Atomic uint64_t text[LIMIT_TOP_WORDS]; /* its first bytes */
};

/* Zero is empty. */
struct limit_top {
    struct limit_top_entry entries[LIMIT_TOP_COUNT];
    uint64_t               halved_ms;
};

/* A key as it was read. */
struct limit_top_key {
    uint64_t count; /* refusals, of which the older ones weigh less */
    uint32_t length;
    uint32_t shown; /* bytes of it in `text` */
    char     text[LIMIT_TOP_WORDS * 8];
};

/* `key` was refused. */
void limit_top_note(struct limit_top *t, struct slice key, uint64_t now_ms);
/* At most LIMIT_TOP_COUNT, in no order. Any thread. */
size_t limit_top_read(const struct limit_top *t, struct limit_top_key *to);
/* The same keys of several lists become one; the largest first. Returns how many there are. */
size_t limit_top_merge(struct limit_top_key *keys, size_t count);
