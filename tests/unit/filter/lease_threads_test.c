/* SPDX-License-Identifier: Apache-2.0
 *
 * Leases with threads at once: every token is accounted for, also where keys push
 * each other out, calls are given up and answers come late.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/random.h"
#include "filter/lease.h"

#define MS ((uint64_t)1000000)
#define START (1000000 * MS)

enum { TABLE_BYTES = 1 << 20, SMALL_BYTES = 4096, THREADS = 4 };

static const struct lease_terms thousand = { MS, 400, 1, false };
static const struct lease_terms exact = { 100 * MS, 20, 1, true };

static struct slice number_key(const uint64_t *n)
{
    return slice_make((const char *)n, sizeof(*n));
}

enum { STRESS_ROUNDS = 60000, STRESS_KEYS_MAX = 1000, WAITING = 8 };

struct tally {
    _Atomic uint64_t granted, admitted, returned;
};

struct stress {
    struct lease_table *table;
    pthread_barrier_t   barrier;
    uint64_t            key_count;
    _Atomic uint64_t    now_ns;
    struct tally        keys[STRESS_KEYS_MAX];
};

struct waiting {
    uint64_t            key;
    struct lease_answer answer;
};

static void on_stress_unused(void *arg, struct slice key, uint32_t tokens)
{
    struct stress *s = arg;
    uint64_t       number;
    assert_int_equal(key.len, sizeof(number));
    memcpy(&number, key.data, sizeof(number));
    assert_true(number < s->key_count);
    s->keys[number].returned += tokens;
}

static void settle(struct stress *s, struct waiting *w, uint64_t now)
{
    struct tally *k = &s->keys[w->key];
    k->granted += w->answer.granted;
    if (w->answer.is_awaited && w->answer.granted) k->admitted++;
    k->returned += lease_answered(s->table, number_key(&w->key), &thousand, &w->answer, now);
    w->answer = (struct lease_answer){ 0 };
}

/* A few calls are always under way; each is answered some requests later, in part, or
 * given up before. */
static void *stress(void *arg)
{
    struct stress *s = arg;
    struct random  random;
    struct waiting waiting[WAITING] = { 0 };
    random_init(&random);
    pthread_barrier_wait(&s->barrier);
    for (uint64_t i = 0; i < STRESS_ROUNDS; i++) {
        uint64_t          now = atomic_fetch_add(&s->now_ns, random_below(&random, 20000));
        uint64_t          key = random_below(&random, (uint32_t)s->key_count);
        struct lease_take take = lease_take(s->table, number_key(&key), &thousand, now);
        struct waiting   *w = &waiting[random_below(&random, WAITING)];
        if (take.verdict == LEASE_ADMITTED) s->keys[key].admitted++;
        settle(s, w, now);
        w->key = key;
        if (take.want)
            w->answer =
                (struct lease_answer){ take.ticket, take.want, 9, 0, take.verdict == LEASE_ASK };
        if (random_below(&random, 16) == 0) w->answer.granted /= 2;
        if (random_below(&random, 200) == 0) w->answer.left = 0, w->answer.retry_after_us = 100;
        if (random_below(&random, 16) == 0)
            lease_failed(s->table, number_key(&key), w->answer.ticket);
        if (random_below(&random, 64) == 0)
            lease_sweep(s->table,
                        &(struct lease_sweep){ random_below(&random, 8), 8,
                                               i % 2 ? now : UINT64_MAX, on_stress_unused, s });
    }
    for (unsigned i = 0; i < WAITING; i++) settle(s, &waiting[i], s->now_ns);
    return NULL;
}

static uint64_t run_stress(size_t table_bytes, uint64_t key_count)
{
    struct stress *s = mem_zalloc(sizeof(*s));
    pthread_t      threads[THREADS];
    uint64_t       granted = 0, spent = 0;
    s->table = lease_table_new(table_bytes);
    s->key_count = key_count;
    s->now_ns = START;
    pthread_barrier_init(&s->barrier, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, stress, s), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&s->barrier);
    lease_sweep(s->table, &(struct lease_sweep){ 0, 1, UINT64_MAX, on_stress_unused, s });
    for (uint64_t k = 0; k < key_count; k++) {
        struct tally *y = &s->keys[k];
        assert_true(y->admitted + y->returned <= y->granted);
        granted += y->granted;
        spent += y->admitted + y->returned;
    }
    struct lease_counts counts = lease_counts(s->table);
    assert_int_equal(granted, spent + counts.lost_tokens);
    lease_table_free(s->table);
    free(s);
    return counts.evictions;
}

/* Not a token is admitted twice, and none is lost unseen. */
static void threads_share_leases(void **state)
{
    (void)state;
    assert_int_equal(run_stress(TABLE_BYTES, 5), 0);
    assert_int_equal(run_stress(TABLE_BYTES, 100), 0);
}

/* The same where keys push each other out all the time. */
static void threads_evict_each_others_keys(void **state)
{
    (void)state;
    assert_true(run_stress(SMALL_BYTES, 80) > 0);
    assert_true(run_stress(SMALL_BYTES, STRESS_KEYS_MAX) > 0);
}

enum { CROWDED_ROUNDS = 500, CROWDED_KEYS = 28 };

struct crowd {
    struct lease_table **tables; /* one a round */
    pthread_barrier_t   *barrier;
    uint64_t             first; /* of its keys */
    bool                 is_known[CROWDED_ROUNDS][CROWDED_KEYS / THREADS];
};

static bool is_refused(struct lease_table *t, uint64_t key)
{
    return lease_take(t, number_key(&key), &exact, START).verdict == LEASE_REFUSED;
}

static void *crowd_in(void *arg)
{
    struct crowd       *c = arg;
    struct lease_answer refused = { .retry_after_us = 1000000 };
    for (unsigned round = 0; round < CROWDED_ROUNDS; round++) {
        struct lease_table *t = c->tables[round];
        pthread_barrier_wait(c->barrier);
        for (uint64_t i = 0; i < CROWDED_KEYS / THREADS; i++) {
            uint64_t key = c->first + i;
            c->is_known[round][i] =
                !lease_answered(t, number_key(&key), &exact, &refused, START) && is_refused(t, key);
        }
    }
    return NULL;
}

/* Of those that were in, none is lost; how many there are. */
static unsigned check_crowd(const struct crowd *c, unsigned round)
{
    unsigned known = 0;
    for (uint64_t i = 0; i < CROWDED_KEYS / THREADS; i++) {
        if (!c->is_known[round][i]) continue;
        known++;
        assert_true(is_refused(c->tables[round], c->first + i));
    }
    return known;
}

/* Different keys come into the same sets at the same time. One that meets another on
 * its way in may do without, which is rare. */
static void threads_bring_new_keys_at_once(void **state)
{
    (void)state;
    static struct lease_table *tables[CROWDED_ROUNDS];
    static struct crowd        crowds[THREADS];
    pthread_t                  threads[THREADS];
    pthread_barrier_t          barrier;
    unsigned                   known = 0, checked = 0;
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (unsigned i = 0; i < CROWDED_ROUNDS; i++) tables[i] = lease_table_new(SMALL_BYTES);
    for (uint64_t i = 0; i < THREADS; i++) {
        crowds[i] = (struct crowd){ tables, &barrier, i * CROWDED_KEYS / THREADS, { { 0 } } };
        assert_int_equal(pthread_create(&threads[i], NULL, crowd_in, &crowds[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&barrier);
    for (unsigned i = 0; i < CROWDED_ROUNDS; i++) {
        /* Now and then eight keys have one set, by chance. */
        bool is_roomy = !lease_counts(tables[i]).evictions;
        for (unsigned c = 0; is_roomy && c < THREADS; c++) known += check_crowd(&crowds[c], i);
        checked += is_roomy;
        lease_table_free(tables[i]);
    }
    assert_true(checked > CROWDED_ROUNDS / 2);
    assert_true(known > checked * CROWDED_KEYS / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_share_leases),
        cmocka_unit_test(threads_evict_each_others_keys),
        cmocka_unit_test(threads_bring_new_keys_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
