/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests that Redis is still to count. See limit_debt.h. How many there are is counted for
 * all workers together, by the key's hash alone: where two keys share an account, one may be
 * charged for the other.
 */
#include "filter/limit_debt.h"

#include <stdatomic.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/map.h"
#include "base/memory.h"
#include "base/random.h"
#include "filter/lease.h"

enum { ACCOUNTS = 4 * LIMIT_DEBT_KEYS };

/* Of all workers. */
struct account {
    _Atomic uint64_t full_ns; /* when the bucket here is full */
    _Atomic uint32_t count;   /* requests that Redis does not know of */
};

struct debtor {
    uint8_t key_len;
    char    key[LEASE_KEY_MAX];
};

struct limit_debts {
    uint64_t       seed;
    struct account accounts[ACCOUNTS];
    unsigned       worker_count;
    struct map     workers[]; /* struct debtor by key */
};

struct limit_debts *limit_debts_new(unsigned worker_count)
{
    struct limit_debts *d = mem_zalloc(sizeof(*d) + worker_count * sizeof(struct map));
    random_secret(&d->seed, sizeof(d->seed));
    d->worker_count = worker_count;
    for (unsigned i = 0; i < worker_count; i++) map_init(&d->workers[i]);
    return d;
}

void limit_debts_free(struct limit_debts *d)
{
    if (!d) return;
    for (unsigned i = 0; i < d->worker_count; i++) limit_debts_forget(d, i);
    free(d);
}

static struct account *account_of(struct limit_debts *d, struct slice key)
{
    return &d->accounts[XXH3_64bits_withSeed(key.data, key.len, d->seed) % ACCOUNTS];
}

static void book(struct limit_debts *d, struct slice key, uint32_t count, uint64_t full_ns)
{
    struct account *a = account_of(d, key);
    uint64_t        was_ns = atomic_load(&a->full_ns);
    while (was_ns < full_ns && !atomic_compare_exchange_weak(&a->full_ns, &was_ns, full_ns))
        continue;
    atomic_fetch_add(&a->count, count);
}

void limit_debts_add(struct limit_debts *d, unsigned worker, struct slice key, uint32_t count,
                     uint64_t full_ns)
{
    struct map    *debtors = &d->workers[worker];
    struct debtor *debtor = map_get(debtors, key);
    if (!debtor) {
        if (debtors->count == LIMIT_DEBT_KEYS) return;
        debtor = mem_zalloc(sizeof(*debtor));
        debtor->key_len = (uint8_t)key.len;
        memcpy(debtor->key, key.data, key.len);
        map_put(debtors, slice_make(debtor->key, key.len), debtor);
    }
    book(d, key, count, full_ns);
}

/* What the bucket here is short of, at most. */
static uint32_t take_count(struct limit_debts *d, struct slice key,
                           const struct limit_settlement *s)
{
    struct account *a = account_of(d, key);
    uint32_t        count = atomic_exchange(&a->count, 0);
    uint64_t        full_ns = atomic_load(&a->full_ns);
    uint64_t        ahead_ns = full_ns > s->now_ns ? full_ns - s->now_ns : 0;
    uint64_t        missing = ahead_ns / s->interval_ns + (ahead_ns % s->interval_ns != 0);
    return count < missing ? count : (uint32_t)missing;
}

bool limit_debts_settle(struct limit_debts *d, unsigned worker, const struct limit_settlement *s)
{
    struct map   debtors = d->workers[worker];
    struct slice key;
    void        *debtor;
    map_init(&d->workers[worker]);
    for (size_t cursor = 0; map_next(&debtors, &cursor, &key, &debtor);) {
        uint32_t tokens = take_count(d, key, s);
        if (!tokens || s->charge(s->arg, key, tokens)) {
            free(debtor);
            continue;
        }
        book(d, key, tokens, 0);
        map_put(&d->workers[worker], key, debtor);
    }
    map_reset(&debtors);
    return d->workers[worker].count > 0;
}

void limit_debts_forget(struct limit_debts *d, unsigned worker)
{
    struct slice key;
    void        *debtor;
    for (size_t cursor = 0; map_next(&d->workers[worker], &cursor, &key, &debtor);) free(debtor);
    map_reset(&d->workers[worker]);
}
