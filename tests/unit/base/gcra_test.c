/* SPDX-License-Identifier: Apache-2.0
 *
 * The local rate limiter: its arithmetic, its bound over every window of a
 * random run, its table when it is too small, and four threads at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/gcra.h"
#include "base/random.h"

#define MS ((uint64_t)1000000)
#define START (1000000 * MS) /* some time after boot */

enum { TABLE_BYTES = 1 << 20, THREADS = 4 };

static struct slice number_key(const uint64_t *n)
{
    return slice_make((const char *)n, sizeof(*n));
}

static void a_rule_is_rounded_towards_less(void **state)
{
    (void)state;
    struct gcra_rule r = gcra_rule_make(10, 1000, 20);
    assert_int_equal(r.interval_ns, 100 * MS);
    assert_int_equal(r.span_ns, 2100 * MS);
    r = gcra_rule_make(3, 1000, 0);
    assert_int_equal(r.interval_ns, 333333334);
    assert_int_equal(gcra_rule_make(UINT64_MAX, 1, 0).interval_ns, 1);
    r = gcra_rule_make(1, UINT64_MAX, UINT32_MAX);
    assert_true(r.interval_ns <= r.span_ns && r.span_ns <= UINT64_MAX / 4);
}

/* It tells what a take would find, before and between takes, and changes nothing. */
static void peeking_costs_nothing(void **state)
{
    (void)state;
    struct gcra_table *t = gcra_table_new(TABLE_BYTES);
    struct gcra_rule   rule = gcra_rule_make(10, 1000, 2);
    for (unsigned i = 0; i < 4; i++) {
        uint64_t now = START + i * MS; /* a bit of refill each time */
        for (unsigned k = 0; k < 3; k++) {
            struct gcra_decision d = gcra_peek(t, S("a"), &rule, now);
            assert_int_equal(d.admitted, i < 3);
            assert_int_equal(d.remaining, 3 - i);
            assert_int_equal(d.reset_ms, i ? 100 * i - i : 0);
            assert_int_equal(d.retry_after_ms, i < 3 ? 0 : 97);
            assert_int_equal(d.early_ms, i < 3 ? d.reset_ms : 0);
        }
        assert_int_equal(gcra_take(t, S("a"), &rule, now).admitted, i < 3);
        assert_int_equal(gcra_peek(t, S("b"), &rule, now).remaining, 3);
    }
    assert_int_equal(gcra_peek(t, S("a"), &rule, START + 1000 * MS).remaining, 3);
    assert_int_equal(gcra_evictions(t), 0);
    gcra_table_free(t);
}

/* Of a clock that is behind by a little, as another worker's may be. */
static void early_is_what_lies_ahead(void **state)
{
    (void)state;
    struct gcra_table *t = gcra_table_new(TABLE_BYTES);
    struct gcra_rule   rule = gcra_rule_make(10, 1000, 5);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(gcra_take(t, S("a"), &rule, START).early_ms, 100 * i);
    assert_int_equal(gcra_take(t, S("a"), &rule, START - 10 * MS).early_ms, 310);
    assert_int_equal(gcra_take(t, S("a"), &rule, START + 400 * MS).early_ms, 0);
    assert_int_equal(gcra_take(t, S("a"), &rule, START + 400 * MS).early_ms, 100);
    gcra_table_free(t);
}

static void memory_that_is_not_there(void **state)
{
    (void)state;
    assert_null(gcra_table_new((size_t)1 << 60));
}

static void counts_down_and_refills(void **state)
{
    (void)state;
    struct gcra_table *t = gcra_table_new(TABLE_BYTES);
    struct gcra_rule   rule = gcra_rule_make(10, 1000, 2);
    for (unsigned i = 0; i < 3; i++) {
        struct gcra_decision d = gcra_take(t, S("a"), &rule, START);
        assert_true(d.admitted);
        assert_int_equal(d.remaining, 2 - i);
        assert_int_equal(d.retry_after_ms, 0);
        assert_int_equal(d.reset_ms, 100 * (i + 1));
    }
    /* Refused as often as one asks, at no cost. */
    for (unsigned i = 0; i < 100; i++) {
        struct gcra_decision d = gcra_take(t, S("a"), &rule, START);
        assert_false(d.admitted);
        assert_int_equal(d.remaining, 0);
        assert_int_equal(d.retry_after_ms, 100);
        assert_int_equal(d.reset_ms, 300);
    }
    assert_true(gcra_take(t, S("b"), &rule, START).admitted);
    assert_int_equal(gcra_take(t, S("a"), &rule, START + 1).retry_after_ms, 100);
    assert_int_equal(gcra_take(t, S("a"), &rule, START + 100 * MS - 1).retry_after_ms, 1);
    assert_true(gcra_take(t, S("a"), &rule, START + 100 * MS).admitted);
    assert_false(gcra_take(t, S("a"), &rule, START + 100 * MS).admitted);
    assert_int_equal(gcra_take(t, S("a"), &rule, START + 5000 * MS).remaining, 2);
    gcra_table_free(t);
    gcra_table_free(NULL);
}

static void a_stricter_rule_takes_over_at_once(void **state)
{
    (void)state;
    struct gcra_table *t = gcra_table_new(TABLE_BYTES);
    struct gcra_rule   loose = gcra_rule_make(1, 60000, 100), strict = gcra_rule_make(10, 1000, 1);
    for (unsigned i = 0; i <= 100; i++) assert_true(gcra_take(t, S("a"), &loose, START).admitted);
    struct gcra_decision d = gcra_take(t, S("a"), &strict, START);
    assert_false(d.admitted);
    assert_int_equal(d.retry_after_ms, 100);
    gcra_table_free(t);
}

/* What retry_after_ms promises holds, and a millisecond before it does not. */
static void retry_after_is_exact(void **state)
{
    (void)state;
    struct random random;
    random_init(&random);
    for (int round = 0; round < 2000; round++) {
        struct gcra_table *t = gcra_table_new(0);
        struct gcra_rule   rule =
            gcra_rule_make(1 + random_below(&random, 50), 1 + random_below(&random, 5000),
                           random_below(&random, 5));
        uint64_t             now = START;
        struct gcra_decision d;
        while ((d = gcra_take(t, S("k"), &rule, now)).admitted)
            now += random_below(&random, 3) * rule.interval_ns / 4;
        assert_true(d.retry_after_ms > 0);
        assert_false(gcra_take(t, S("k"), &rule, now + (d.retry_after_ms - 1) * MS).admitted);
        assert_true(gcra_take(t, S("k"), &rule, now + d.retry_after_ms * MS).admitted);
        gcra_table_free(t);
    }
}

/* ---- the bound: in any window w at most w / interval + burst + 1 ---- */

enum { STEPS = 400 };

static void check_windows(const uint64_t *times, size_t count, const struct gcra_rule *rule)
{
    for (size_t from = 0; from < count; from++)
        for (size_t to = from; to < count; to++)
            /* (to - from) intervals fit into the window and the span. */
            assert_true((to - from + 1) * rule->interval_ns <=
                        times[to] - times[from] + rule->span_ns);
}

/* And not less either: one that waits for its turn is never refused. */
static void admits_what_it_may_and_no_more(void **state)
{
    (void)state;
    struct random random;
    random_init(&random);
    for (int round = 0; round < 300; round++) {
        struct gcra_table *t = gcra_table_new(TABLE_BYTES);
        uint64_t           count = 1 + random_below(&random, 1000);
        uint32_t           burst = random_below(&random, 30);
        struct gcra_rule   rule = gcra_rule_make(count, 1 + random_below(&random, 60000), burst);
        uint64_t           now = START, times[STEPS], others = 0;
        size_t             admitted = 0;
        for (int i = 0; i < STEPS; i++) {
            /* Bunches, then pauses of up to some bursts. */
            if (random_below(&random, 4) == 0)
                now += random_next(&random) % (rule.interval_ns * (2 + burst / 4));
            others = random_below(&random, 50);
            gcra_take(t, number_key(&others), &rule, now);
            if (gcra_take(t, S("key"), &rule, now).admitted) times[admitted++] = now;
        }
        assert_true(admitted > burst);
        check_windows(times, admitted, &rule);
        for (uint64_t i = 0; i < 20; i++) {
            now += rule.span_ns;
            assert_true(gcra_take(t, S("key"), &rule, now).admitted);
        }
        assert_int_equal(gcra_evictions(t), 0);
        gcra_table_free(t);
    }
}

/* ---- the table ---- */

static void a_full_set_evicts_who_is_full_soonest(void **state)
{
    (void)state;
    struct gcra_table *t = gcra_table_new(0); /* 128 sets, 384 keys */
    struct gcra_rule   rule = gcra_rule_make(1, 1000, 9);
    uint64_t           shared = 0;
    for (uint64_t key = 0; key < 5000; key++)
        shared += gcra_take(t, number_key(&key), &rule, START).remaining != 9;
    /* In so small a table hashes agree now and then. */
    assert_true(shared < 6);
    uint64_t evictions = gcra_evictions(t);
    assert_true(evictions + shared >= 5000 - 384 && evictions < 5000);
    /* Who has used up much stays; newcomers push each other out. */
    uint64_t heavy = UINT64_MAX;
    for (unsigned i = 0; i < 10; i++) gcra_take(t, number_key(&heavy), &rule, START);
    for (uint64_t key = 10000; key < 20000; key++) gcra_take(t, number_key(&key), &rule, START);
    assert_false(gcra_take(t, number_key(&heavy), &rule, START).admitted);
    gcra_table_free(t);
}

static void expired_keys_make_room_uncounted(void **state)
{
    (void)state;
    struct gcra_table *t = gcra_table_new(0);
    struct gcra_rule   rule = gcra_rule_make(1, 1000, 0);
    for (uint64_t key = 0; key < 5000; key++)
        assert_true(gcra_take(t, number_key(&key), &rule, START + key * 2000 * MS).admitted);
    assert_int_equal(gcra_evictions(t), 0);
    gcra_table_free(t);
}

static void a_million_keys_fit_into_64_mib(void **state)
{
    (void)state;
    enum { KEYS = 1000000 };
    struct gcra_table *t = gcra_table_new(64 << 20);
    struct gcra_rule   rule = gcra_rule_make(1, 60000, 0);
    uint64_t           refused = 0;
    for (uint64_t key = 0; key < KEYS; key++)
        refused += !gcra_take(t, number_key(&key), &rule, START).admitted;
    /* One in ten runs has two keys with one hash. */
    assert_true(refused < 6);
    /* 3,400 are to be expected: sets in which a fourth one came. */
    assert_true(gcra_evictions(t) > 2000 && gcra_evictions(t) < 5000);
    refused = 0;
    for (uint64_t key = 0; key < KEYS; key++)
        refused += !gcra_take(t, number_key(&key), &rule, START + MS).admitted;
    assert_true(refused > KEYS - KEYS / 100);
    gcra_table_free(t);
}

/* ---- threads ---- */

struct taker {
    struct gcra_table      *table;
    const struct gcra_rule *rule;
    pthread_barrier_t      *barrier;
    uint64_t                key_count;
    uint64_t                rounds;
    uint64_t                admitted;
};

static void *take_all(void *arg)
{
    struct taker *x = arg;
    pthread_barrier_wait(x->barrier);
    for (uint64_t i = 0; i < x->rounds; i++) {
        uint64_t key = i % x->key_count;
        x->admitted += gcra_take(x->table, number_key(&key), x->rule, START).admitted;
    }
    return NULL;
}

static uint64_t run_threads(struct gcra_table *t, const struct gcra_rule *rule, uint64_t keys,
                            uint64_t rounds)
{
    struct taker      takers[THREADS];
    pthread_t         threads[THREADS];
    pthread_barrier_t barrier;
    uint64_t          admitted = 0;
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) {
        takers[i] = (struct taker){ t, rule, &barrier, keys, rounds, 0 };
        assert_int_equal(pthread_create(&threads[i], NULL, take_all, &takers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        admitted += takers[i].admitted;
    }
    pthread_barrier_destroy(&barrier);
    return admitted;
}

/* New keys and old ones, none lost and none counted twice: each is admitted as
 * often as its burst allows, exactly. */
static void threads_share_one_budget(void **state)
{
    (void)state;
    struct gcra_rule rule = gcra_rule_make(1, 1000, 99);
    for (int round = 0; round < 50; round++) {
        struct gcra_table *t = gcra_table_new(TABLE_BYTES);
        assert_int_equal(run_threads(t, &rule, 20, 2000), 20 * 100);
        assert_int_equal(gcra_evictions(t), 0);
        gcra_table_free(t);
    }
}

/* One key for so long that threads run at the same time, however busy the machine is: a take
 * that another one overwrites would be admitted once more. */
static void threads_lose_no_take(void **state)
{
    (void)state;
    enum { TAKES = 2000000, MOST = 6000000 };
    struct gcra_rule   rule = gcra_rule_make(1, 1000, MOST - 1);
    struct gcra_table *t = gcra_table_new(TABLE_BYTES);
    assert_int_equal(run_threads(t, &rule, 1, TAKES), MOST);
    gcra_table_free(t);
}

enum { CROWDED_ROUNDS = 1000, CROWDED_KEYS = 40 };

struct crowd {
    struct gcra_table     **tables; /* one a round */
    const struct gcra_rule *rule;
    pthread_barrier_t      *barrier;
    uint64_t                offset;
    _Atomic uint64_t       *admitted; /* one a round */
};

static void *crowd_in(void *arg)
{
    struct crowd *c = arg;
    for (unsigned round = 0; round < CROWDED_ROUNDS; round++) {
        pthread_barrier_wait(c->barrier);
        uint64_t admitted = 0;
        for (uint64_t i = 0; i < 3 * CROWDED_KEYS; i++) {
            uint64_t key = (c->offset + i) % CROWDED_KEYS;
            admitted += gcra_take(c->tables[round], number_key(&key), c->rule, START).admitted;
        }
        c->admitted[round] += admitted;
    }
    return NULL;
}

/* Different keys come into the same sets at the same time: none is lost. */
static void threads_bring_new_keys_at_once(void **state)
{
    (void)state;
    static struct gcra_table *tables[CROWDED_ROUNDS];
    static _Atomic uint64_t   admitted[CROWDED_ROUNDS];
    struct gcra_rule          rule = gcra_rule_make(1, 1000, 5);
    struct crowd              crowds[THREADS];
    pthread_t                 threads[THREADS];
    pthread_barrier_t         barrier;
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (unsigned i = 0; i < CROWDED_ROUNDS; i++) tables[i] = gcra_table_new(0);
    for (uint64_t i = 0; i < THREADS; i++) {
        crowds[i] = (struct crowd){ tables, &rule, &barrier, i * CROWDED_KEYS / THREADS, admitted };
        assert_int_equal(pthread_create(&threads[i], NULL, crowd_in, &crowds[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&barrier);
    unsigned checked = 0;
    for (unsigned i = 0; i < CROWDED_ROUNDS; i++) {
        /* Now and then four keys have one set, by chance. */
        if (!gcra_evictions(tables[i])) {
            checked++;
            assert_true(admitted[i] <= CROWDED_KEYS * 6);
            assert_true(admitted[i] >= (CROWDED_KEYS - 1) * 6);
        }
        gcra_table_free(tables[i]);
    }
    assert_true(checked > CROWDED_ROUNDS / 2);
}

/* Too many keys for the table: all threads get through, and a key that is pushed
 * out begins anew, no more. */
static void threads_evict_each_others_keys(void **state)
{
    (void)state;
    struct gcra_rule   rule = gcra_rule_make(1, 1000, 0);
    struct gcra_table *t = gcra_table_new(0);
    uint64_t           admitted = run_threads(t, &rule, 1000, 50000);
    assert_true(admitted >= 1000);
    assert_true(gcra_evictions(t) > 0);
    assert_true(admitted <= 1000 + gcra_evictions(t) + THREADS * 100);
    gcra_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_is_rounded_towards_less),
        cmocka_unit_test(peeking_costs_nothing),
        cmocka_unit_test(early_is_what_lies_ahead),
        cmocka_unit_test(memory_that_is_not_there),
        cmocka_unit_test(counts_down_and_refills),
        cmocka_unit_test(a_stricter_rule_takes_over_at_once),
        cmocka_unit_test(retry_after_is_exact),
        cmocka_unit_test(admits_what_it_may_and_no_more),
        cmocka_unit_test(a_full_set_evicts_who_is_full_soonest),
        cmocka_unit_test(expired_keys_make_room_uncounted),
        cmocka_unit_test(a_million_keys_fit_into_64_mib),
        cmocka_unit_test(threads_share_one_budget),
        cmocka_unit_test(threads_lose_no_take),
        cmocka_unit_test(threads_bring_new_keys_at_once),
        cmocka_unit_test(threads_evict_each_others_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
