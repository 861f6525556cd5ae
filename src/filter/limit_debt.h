/* SPDX-License-Identifier: Apache-2.0
 *
 * What one rule let pass while Redis could not be asked: it is charged there once it can be,
 * or its buckets, which fill meanwhile, would let a burst pass twice. A key owes no more than
 * what its bucket here is short of then. Nothing is kept but the first keys of each worker
 * (LIMIT_DEBT_KEYS), and no lock is taken.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum { LIMIT_DEBT_KEYS = 1024 };

struct limit_debts;

struct limit_debts *limit_debts_new(unsigned worker_count);
void                limit_debts_free(struct limit_debts *d); /* accepts NULL */

/* Requests of the key (at most LEASE_KEY_MAX bytes); its bucket here is full again then. */
void limit_debts_add(struct limit_debts *d, unsigned worker, struct slice key, uint32_t count,
                     uint64_t full_ns);

struct limit_settlement {
    uint64_t interval_ns; /* of a token of the bucket here */
    uint64_t now_ns;
    /* False: not now, it is kept. */
    bool (*charge)(void *arg, struct slice key, uint32_t tokens);
    void *arg;
};

/* All that the worker knows of. What workers owe for a key, the first one of them charges.
 * True: something is kept. */
bool limit_debts_settle(struct limit_debts *d, unsigned worker, const struct limit_settlement *s);
/* The worker has the rule no longer. */
void limit_debts_forget(struct limit_debts *d, unsigned worker);
