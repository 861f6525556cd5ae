/* SPDX-License-Identifier: Apache-2.0
 *
 * Counts of keys at once: their bound, what is freed, a table that is too
 * small, and threads that bring the same key at the same time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/random.h"
#include "base/tally.h"

enum { TABLE_BYTES = 1 << 20, SMALL_WORDS = 4096 / 8, THREADS = 4 };

static struct slice number_key(const uint64_t *n)
{
    return slice_make((const char *)n, sizeof(*n));
}

static void a_key_has_at_most_its_maximum(void **state)
{
    (void)state;
    struct tally *t = tally_new(TABLE_BYTES);
    uint32_t      places[3], place;
    for (int i = 0; i < 3; i++)
        assert_int_equal(tally_enter(t, S("a"), 3, &places[i]), TALLY_ENTERED);
    place = 1;
    assert_int_equal(tally_enter(t, S("a"), 3, &place), TALLY_FULL);
    assert_int_equal(place, 0);
    tally_leave(t, place);
    assert_int_equal(tally_enter(t, S("a"), 3, &place), TALLY_FULL);
    assert_int_equal(tally_enter(t, S("b"), 1, &place), TALLY_ENTERED);
    tally_leave(t, places[1]);
    assert_int_equal(tally_enter(t, S("a"), 3, &place), TALLY_ENTERED);
    assert_int_equal(tally_enter(t, S("a"), 3, &place), TALLY_FULL);
    tally_free(t);
    tally_free(NULL);
}

/* A reload may change it while there are some. */
static void the_maximum_is_that_of_each_call(void **state)
{
    (void)state;
    struct tally *t = tally_new(TABLE_BYTES);
    uint32_t      first, second, place;
    assert_int_equal(tally_enter(t, S("a"), 2, &first), TALLY_ENTERED);
    assert_int_equal(tally_enter(t, S("a"), 2, &second), TALLY_ENTERED);
    assert_int_equal(tally_enter(t, S("a"), 1, &place), TALLY_FULL);
    tally_leave(t, second);
    assert_int_equal(tally_enter(t, S("a"), 1, &place), TALLY_FULL);
    assert_int_equal(tally_enter(t, S("a"), TALLY_MAX, &place), TALLY_ENTERED);
    tally_free(t);
}

static void a_count_goes_as_far_as_the_largest_maximum(void **state)
{
    (void)state;
    struct tally *t = tally_new(0);
    uint32_t      place, same;
    assert_int_equal(tally_enter(t, S("a"), TALLY_MAX, &same), TALLY_ENTERED);
    for (int i = 1; i < TALLY_MAX; i++) {
        assert_int_equal(tally_enter(t, S("a"), TALLY_MAX, &place), TALLY_ENTERED);
        assert_int_equal(place, same);
    }
    assert_int_equal(tally_enter(t, S("a"), TALLY_MAX, &place), TALLY_FULL);
    for (int i = 0; i < TALLY_MAX; i++) tally_leave(t, same);
    assert_int_equal(tally_enter(t, S("a"), 1, &place), TALLY_ENTERED);
    tally_free(t);
}

/* Keys that come and go, many more than there are words. */
static void the_last_one_frees_the_word(void **state)
{
    (void)state;
    struct tally *t = tally_new(0);
    for (uint64_t key = 0; key < 100 * SMALL_WORDS; key++) {
        uint32_t first, second;
        assert_int_equal(tally_enter(t, number_key(&key), 2, &first), TALLY_ENTERED);
        assert_int_equal(tally_enter(t, number_key(&key), 2, &second), TALLY_ENTERED);
        tally_leave(t, first);
        tally_leave(t, second);
    }
    tally_free(t);
}

static void a_key_whose_set_is_full_is_not_counted(void **state)
{
    (void)state;
    struct tally *t = tally_new(0);
    uint32_t      places[2 * SMALL_WORDS];
    unsigned      entered = 0;
    for (uint64_t key = 0; key < 2 * SMALL_WORDS; key++) {
        enum tally_result r = tally_enter(t, number_key(&key), 1, &places[key]);
        assert_int_equal(r, places[key] ? TALLY_ENTERED : TALLY_UNTRACKED);
        entered += r == TALLY_ENTERED;
    }
    assert_in_range(entered, SMALL_WORDS * 3 / 4, SMALL_WORDS);
    for (uint64_t key = 0; key < 2 * SMALL_WORDS; key++) {
        uint32_t place;
        assert_int_equal(tally_enter(t, number_key(&key), 1, &place),
                         places[key] ? TALLY_FULL : TALLY_UNTRACKED);
    }
    for (uint64_t key = 0; key < 2 * SMALL_WORDS; key++) tally_leave(t, places[key]);
    /* All is free again: whoever had a place gets one, in the same order. */
    for (uint64_t key = 0; key < 2 * SMALL_WORDS; key++) {
        bool had_place = places[key];
        assert_int_equal(tally_enter(t, number_key(&key), 1, &places[key]),
                         had_place ? TALLY_ENTERED : TALLY_UNTRACKED);
    }
    tally_free(t);
}

/* ---- threads ---- */

enum { CROWD_KEYS = 4, CROWD_ROUNDS = 400000, SET_WORDS = 8 };

struct crowd {
    struct tally     *table;
    pthread_barrier_t barrier;
    uint32_t          max;
    uint64_t          keys[CROWD_KEYS]; /* of one set */
    _Atomic uint32_t  inside[CROWD_KEYS];
    _Atomic uint32_t  most;
    _Atomic uint64_t  entered;
};

/* Keys of one set: where one of them leaves a word, others find it free, and so two
 * threads do not always go for the same one. */
static void choose_keys(struct crowd *c)
{
    uint32_t set = 0;
    unsigned count = 0;
    for (uint64_t key = 0; count < CROWD_KEYS; key++) {
        uint32_t place;
        assert_int_equal(tally_enter(c->table, number_key(&key), 1, &place), TALLY_ENTERED);
        tally_leave(c->table, place);
        if (!count) set = (place - 1) / SET_WORDS;
        if ((place - 1) / SET_WORDS == set) c->keys[count++] = key;
    }
}

static void note_most(struct crowd *c, uint32_t inside)
{
    uint32_t most = atomic_load(&c->most);
    while (inside > most && !atomic_compare_exchange_weak(&c->most, &most, inside)) continue;
}

static void *come_and_go(void *arg)
{
    struct crowd *c = arg;
    struct random random;
    random_init(&random);
    pthread_barrier_wait(&c->barrier);
    for (unsigned i = 0; i < CROWD_ROUNDS; i++) {
        uint32_t          place, which = random_below(&random, CROWD_KEYS);
        enum tally_result r = tally_enter(c->table, number_key(&c->keys[which]), c->max, &place);
        if (r == TALLY_UNTRACKED) abort();
        if (r == TALLY_FULL) continue;
        note_most(c, atomic_fetch_add(&c->inside[which], 1) + 1);
        atomic_fetch_add(&c->entered, 1);
        atomic_fetch_sub(&c->inside[which], 1);
        tally_leave(c->table, place);
    }
    return NULL;
}

static uint64_t crowd_in(uint32_t max)
{
    struct crowd c = { .table = tally_new(0), .max = max };
    pthread_t    threads[THREADS];
    choose_keys(&c);
    pthread_barrier_init(&c.barrier, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &c), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&c.barrier);
    assert_in_range(c.most, 1, max);
    /* All have left: as many as there is room for may come. */
    for (unsigned i = 0; i < CROWD_KEYS; i++) {
        uint32_t place;
        for (uint32_t k = 0; k < max; k++)
            assert_int_equal(tally_enter(c.table, number_key(&c.keys[i]), max, &place),
                             TALLY_ENTERED);
        assert_int_equal(tally_enter(c.table, number_key(&c.keys[i]), max, &place), TALLY_FULL);
    }
    tally_free(c.table);
    return c.entered;
}

static void threads_never_exceed_the_maximum(void **state)
{
    (void)state;
    for (uint32_t max = 1; max < THREADS; max++) crowd_in(max);
}

/* With room for all, none is refused because others came at the same time. */
static void threads_with_room_are_all_admitted(void **state)
{
    (void)state;
    assert_int_equal(crowd_in(THREADS), THREADS * CROWD_ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_has_at_most_its_maximum),
        cmocka_unit_test(the_maximum_is_that_of_each_call),
        cmocka_unit_test(a_count_goes_as_far_as_the_largest_maximum),
        cmocka_unit_test(the_last_one_frees_the_word),
        cmocka_unit_test(a_key_whose_set_is_full_is_not_counted),
        cmocka_unit_test(threads_never_exceed_the_maximum),
        cmocka_unit_test(threads_with_room_are_all_admitted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
