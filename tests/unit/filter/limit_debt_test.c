/* SPDX-License-Identifier: Apache-2.0
 *
 * What a key owes Redis: what passed, and no more than its bucket here is short of.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "filter/limit_debt.h"

enum { WORKERS = 2, INTERVAL_NS = 10 };

/* What was charged in a settlement, and to whom last. */
struct bill {
    unsigned calls, tokens;
    char     key[32];
    bool     is_refused;
};

static bool charge(void *arg, struct slice key, uint32_t tokens)
{
    struct bill *b = arg;
    if (b->is_refused) return false;
    b->calls++;
    b->tokens += tokens;
    snprintf(b->key, sizeof(b->key), "%.*s", SLICE_ARG(key));
    return true;
}

static struct bill settle(struct limit_debts *d, unsigned worker, uint64_t now_ns, bool is_refused)
{
    struct bill             b = { .is_refused = is_refused };
    struct limit_settlement s = { INTERVAL_NS, now_ns, charge, &b };
    limit_debts_settle(d, worker, &s);
    return b;
}

static void add(struct limit_debts *d, unsigned worker, unsigned times, uint64_t full_ns)
{
    for (unsigned i = 0; i < times; i++) limit_debts_add(d, worker, S("a"), 1, full_ns);
}

static void charges_what_passed_once(void **state)
{
    struct limit_debts *d = limit_debts_new(WORKERS);
    (void)state;
    add(d, 0, 3, 1000);
    struct bill b = settle(d, 0, 500, false);
    assert_int_equal(b.calls, 1);
    assert_int_equal(b.tokens, 3);
    assert_string_equal(b.key, "a");
    assert_int_equal(settle(d, 0, 500, false).calls, 0);
    limit_debts_free(d);
}

static void bucket_has_filled_meanwhile(void **state)
{
    struct limit_debts *d = limit_debts_new(WORKERS);
    (void)state;
    add(d, 0, 30, 1000);
    assert_int_equal(settle(d, 0, 981, false).tokens, 2); /* rounded up: never too little */
    add(d, 0, 30, 1000);
    assert_int_equal(settle(d, 0, 1000, false).calls, 0);
    assert_int_equal(settle(d, 0, 0, false).calls, 0); /* forgotten */
    limit_debts_free(d);
}

static void workers_have_one_bucket(void **state)
{
    struct limit_debts *d = limit_debts_new(WORKERS);
    (void)state;
    add(d, 0, 3, 30);
    add(d, 1, 4, 70);
    assert_int_equal(settle(d, 0, 0, false).tokens, 7); /* though it saw only three */
    assert_int_equal(settle(d, 1, 0, false).calls, 0);
    limit_debts_free(d);
}

static void is_kept_while_it_cannot_be_charged(void **state)
{
    struct limit_debts *d = limit_debts_new(WORKERS);
    (void)state;
    add(d, 0, 3, 1000);
    assert_int_equal(settle(d, 0, 0, true).calls, 0);
    add(d, 0, 1, 1000);
    assert_int_equal(settle(d, 0, 0, false).tokens, 4);
    limit_debts_free(d);
}

static void memory_is_bounded(void **state)
{
    struct limit_debts *d = limit_debts_new(WORKERS);
    char                key[16];
    (void)state;
    for (unsigned i = 0; i < 2 * LIMIT_DEBT_KEYS; i++) {
        int len = snprintf(key, sizeof(key), "%u", i);
        limit_debts_add(d, 0, slice_make(key, (size_t)len), 1, 1000);
    }
    struct bill b = settle(d, 0, 0, false);
    assert_in_range(b.calls, LIMIT_DEBT_KEYS / 2, LIMIT_DEBT_KEYS); /* some share a count */
    assert_int_equal(b.tokens, LIMIT_DEBT_KEYS);
    add(d, 0, 1, 1000);
    limit_debts_forget(d, 0);
    assert_int_equal(settle(d, 0, 0, false).calls, 0);
    limit_debts_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(charges_what_passed_once),
        cmocka_unit_test(bucket_has_filled_meanwhile),
        cmocka_unit_test(workers_have_one_bucket),
        cmocka_unit_test(is_kept_while_it_cannot_be_charged),
        cmocka_unit_test(memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
