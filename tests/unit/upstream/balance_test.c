/* SPDX-License-Identifier: Apache-2.0
 *
 * Balancing: distribution by weight, smoothness, backups, endpoints tried.
 */
#include "upstream/balance/balance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"

enum { DRAWS = 30000 };

struct fixture {
    struct endpoint_set *set;
    struct random        random;
    void                *state;
};

static struct fixture make(const struct balance_ops *ops, const uint32_t *weights, size_t count)
{
    struct fixture f;
    f.set = mem_zalloc(sizeof(*f.set) + count * sizeof(f.set->items[0]));
    for (size_t i = 0; i < count; i++) {
        struct endpoint *e = aligned_alloc(alignof(struct endpoint), sizeof(*e));
        memset(e, 0, sizeof(*e));
        e->weight = weights[i];
        e->index = (uint32_t)i;
        f.set->items[f.set->count++] = e;
    }
    random_init(&f.random);
    f.state = mem_zalloc(ops->state_bytes(count));
    return f;
}

static void drop(struct fixture *f)
{
    for (size_t i = 0; i < f->set->count; i++) free(f->set->items[i]);
    free(f->set);
    free(f->state);
}

static void round_robin_is_smooth(void **unused)
{
    (void)unused;
    const struct balance_ops *ops = balance_algorithms[1];
    static const uint32_t     weights[] = { 5, 1, 1 };
    static const uint32_t     expected[] = { 0, 0, 1, 0, 2, 0, 0 };
    struct fixture            f = make(ops, weights, 3);
    struct balance_ask        ask = { .random = &f.random };
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < 7; i++)
            assert_int_equal(balance_choose(ops, f.state, f.set, &ask)->index, expected[i]);
    drop(&f);
}

static void shares_follow_weights(void **unused)
{
    (void)unused;
    static const uint32_t weights[] = { 1, 2, 7 };
    for (unsigned k = 1; k <= 2; k++) { /* round_robin, random */
        const struct balance_ops *ops = balance_algorithms[k];
        struct fixture            f = make(ops, weights, 3);
        struct balance_ask        ask = { .random = &f.random };
        unsigned                  seen[3] = { 0 };
        for (unsigned i = 0; i < DRAWS; i++)
            seen[balance_choose(ops, f.state, f.set, &ask)->index]++;
        /* Ten standard deviations of a fair draw: a true fault is far outside. */
        for (unsigned i = 0; i < 3; i++)
            assert_in_range(seen[i], DRAWS * weights[i] / 10 - 900, DRAWS * weights[i] / 10 + 900);
        drop(&f);
    }
}

static void least_requests_avoids_the_busy(void **unused)
{
    (void)unused;
    static const uint32_t     weights[] = { 1, 1 };
    const struct balance_ops *ops = balance_algorithms[0];
    struct fixture            f = make(ops, weights, 2);
    struct balance_ask        ask = { .random = &f.random };
    atomic_store(&f.set->items[0]->live.active, 10);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(balance_choose(ops, f.state, f.set, &ask)->index, 1);
    drop(&f);
}

static void tried_and_backups(void **unused)
{
    (void)unused;
    static const uint32_t weights[] = { 1, 1, 1 };
    for (unsigned k = 0; k < 3; k++) {
        const struct balance_ops *ops = balance_algorithms[k];
        struct fixture            f = make(ops, weights, 3);
        struct balance_ask        ask = { .random = &f.random };
        f.set->items[2]->is_backup = true;
        f.set->has_backups = true;
        for (unsigned i = 0; i < 50; i++)
            assert_int_not_equal(balance_choose(ops, f.state, f.set, &ask)->index, 2);
        balance_tried(&ask, f.set->items[0]);
        for (unsigned i = 0; i < 50; i++)
            assert_int_equal(balance_choose(ops, f.state, f.set, &ask)->index, 1);
        balance_tried(&ask, f.set->items[1]);
        assert_int_equal(balance_choose(ops, f.state, f.set, &ask)->index, 2);
        balance_tried(&ask, f.set->items[2]);
        assert_null(balance_choose(ops, f.state, f.set, &ask));
        drop(&f);
    }
}

static void none_one_and_a_thousand(void **unused)
{
    (void)unused;
    static uint32_t weights[1000];
    for (unsigned i = 0; i < 1000; i++) weights[i] = 1 + i % 3;
    for (unsigned k = 0; k < 3; k++) {
        const struct balance_ops *ops = balance_algorithms[k];
        for (unsigned count = 0; count <= 1000; count = count ? count * 1000 : 1) {
            struct fixture     f = make(ops, weights, count);
            struct balance_ask ask = { .random = &f.random };
            struct endpoint   *e = balance_choose(ops, f.state, f.set, &ask);
            assert_true(count ? e != NULL : e == NULL);
            drop(&f);
            if (count == 1000) break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_robin_is_smooth),          cmocka_unit_test(shares_follow_weights),
        cmocka_unit_test(least_requests_avoids_the_busy), cmocka_unit_test(tried_and_backups),
        cmocka_unit_test(none_one_and_a_thousand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
