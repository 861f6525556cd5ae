/* SPDX-License-Identifier: Apache-2.0
 *
 * The certificates that a plan serves, by file, and when they end: for metrics.
 */
#pragma once

#include <stdint.h>

#include "base/list.h"
#include "base/slice.h"

struct expiry {
    struct list link;
    char       *file;
    int64_t     at_s; /* Unix time */
};

struct expiries {
    struct list items;
};

void expiries_init(struct expiries *x);
void expiries_reset(struct expiries *x);
/* `pem` that cannot be read is left out; a file is noted once. */
void expiries_note(struct expiries *x, const char *file, struct slice pem);
/* `to` gets what `from` has; `from` is empty afterwards. */
void expiries_move(struct expiries *to, struct expiries *from);
