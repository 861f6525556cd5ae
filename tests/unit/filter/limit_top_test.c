/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of keys that are refused most.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "filter/limit_top.h"

static size_t read_merged(const struct limit_top *t, struct limit_top_key *keys)
{
    return limit_top_merge(keys, limit_top_read(t, keys));
}

static void note(struct limit_top *t, const char *key, unsigned times, uint64_t now_ms)
{
    while (times--) limit_top_note(t, slice_of(key), now_ms);
}

static bool is_key(const struct limit_top_key *k, const char *text)
{
    return slice_eq(slice_make(k->text, k->shown), slice_of(text));
}

static void the_largest_stands_first(void **state)
{
    struct limit_top     t = { 0 };
    struct limit_top_key keys[LIMIT_TOP_COUNT];
    (void)state;
    note(&t, "198.51.100.7", 3, 1000);
    note(&t, "2001:db8::/64", 9, 1000);
    note(&t, "203.0.113.1", 1, 1000);
    assert_int_equal(read_merged(&t, keys), 3);
    assert_true(is_key(&keys[0], "2001:db8::/64"));
    assert_int_equal(keys[0].count, 9);
    assert_true(is_key(&keys[1], "198.51.100.7"));
    assert_true(is_key(&keys[2], "203.0.113.1"));
}

static void a_heavy_key_stays_among_many_light_ones(void **state)
{
    struct limit_top     t = { 0 };
    struct limit_top_key keys[LIMIT_TOP_COUNT];
    char                 name[16];
    (void)state;
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(name, sizeof(name), "light-%u", i);
        note(&t, name, 1, 1000);
        if (i % 4 == 0) note(&t, "heavy", 1, 1000);
    }
    assert_int_equal(read_merged(&t, keys), LIMIT_TOP_COUNT);
    assert_true(is_key(&keys[0], "heavy"));
    assert_in_range(keys[0].count, 1250, 1250 + 6250 / LIMIT_TOP_COUNT);
}

static void what_was_is_forgotten(void **state)
{
    struct limit_top     t = { 0 };
    struct limit_top_key keys[LIMIT_TOP_COUNT];
    (void)state;
    note(&t, "old", 16, 20000);
    note(&t, "new", 1, 20000 + LIMIT_TOP_HALVED_MS);
    assert_int_equal(read_merged(&t, keys), 2);
    assert_int_equal(keys[0].count, 8);
    note(&t, "new", 1, 20000 + 100 * LIMIT_TOP_HALVED_MS);
    assert_int_equal(read_merged(&t, keys), 1);
    assert_true(is_key(&keys[0], "new"));
}

static void a_long_key_is_cut(void **state)
{
    struct limit_top     t = { 0 };
    struct limit_top_key keys[LIMIT_TOP_COUNT];
    char                 text[200];
    (void)state;
    memset(text, 'x', sizeof(text));
    limit_top_note(&t, slice_make(text, sizeof(text)), 1000);
    assert_int_equal(read_merged(&t, keys), 1);
    assert_int_equal(keys[0].length, 200);
    assert_int_equal(keys[0].shown, sizeof(keys[0].text));
}

static void *write_many(void *arg)
{
    char name[16];
    for (unsigned i = 0; i < 200000; i++) {
        snprintf(name, sizeof(name), "%08u%07u", i % 1000, i % 1000);
        limit_top_note(arg, slice_make(name, 15), 1000);
    }
    return NULL;
}

/* Never half of one key and half of another. */
static void a_reader_sees_whole_keys(void **state)
{
    static struct limit_top t;
    struct limit_top_key    keys[LIMIT_TOP_COUNT];
    pthread_t               writer;
    (void)state;
    assert_int_equal(pthread_create(&writer, NULL, write_many, &t), 0);
    for (int i = 0; i < 2000; i++) {
        size_t count = limit_top_read(&t, keys);
        for (size_t k = 0; k < count; k++) {
            assert_int_equal(keys[k].shown, 15);
            assert_memory_equal(keys[k].text + 1, keys[k].text + 8, 7);
        }
    }
    pthread_join(writer, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_stands_first),
        cmocka_unit_test(a_heavy_key_stays_among_many_light_ones),
        cmocka_unit_test(what_was_is_forgotten),
        cmocka_unit_test(a_long_key_is_cut),
        cmocka_unit_test(a_reader_sees_whole_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
