/* SPDX-License-Identifier: Apache-2.0
 *
 * The certificates of a plan, by file, and when they end: for metrics, and to
 * know an expired one again that is in use already.
 */
#pragma once

#include <stdint.h>

#include "base/list.h"
#include "base/slice.h"

struct expiry {
    struct list link;
    char       *file;
    int64_t     at_s; /* Unix time */
    uint64_t    digest;
};

struct expiries {
    struct list items;
};

void expiries_init(struct expiries *x);
void expiries_reset(struct expiries *x);
/* `pem` that cannot be read is left out; a file is noted once. */
void expiries_note(struct expiries *x, const char *file, struct slice pem);
/* Was the file noted, with the same content? */
bool expiries_has(const struct expiries *x, const char *file, struct slice pem);
/* `to` gets what `from` has; `from` is empty afterwards. */
void expiries_move(struct expiries *to, struct expiries *from);
