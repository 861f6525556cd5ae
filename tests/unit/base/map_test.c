/* SPDX-License-Identifier: Apache-2.0
 *
 * Maps against a plain array as the model, through growth and removal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/map.h"

#include <stdio.h>

enum { KEY_COUNT = 2000, STEP_COUNT = 40000 };

struct model {
    char  names[KEY_COUNT][8];
    void *values[KEY_COUNT];
};

static void starts_empty(void **state)
{
    (void)state;
    struct map m;
    size_t     cursor = 0;
    map_init(&m);
    struct slice key;
    void        *value;
    assert_null(map_get(&m, S("x")));
    assert_null(map_remove(&m, S("x")));
    assert_false(map_next(&m, &cursor, &key, &value));
    map_reset(&m);
}

static void put_replaces_and_tells(void **state)
{
    (void)state;
    struct map m;
    int        one, two;
    map_init(&m);
    assert_null(map_put(&m, S("k"), &one));
    assert_ptr_equal(map_put(&m, S("k"), &two), &one);
    assert_int_equal(m.count, 1);
    assert_ptr_equal(map_get(&m, S("k")), &two);
    assert_ptr_equal(map_remove(&m, S("k")), &two);
    assert_null(map_get(&m, S("k")));
    assert_int_equal(m.count, 0);
    map_reset(&m);
}

static void keys_are_bytes(void **state)
{
    (void)state;
    struct map m;
    int        empty, nul, longer, upper;
    map_init(&m);
    map_put(&m, S(""), &empty);
    map_put(&m, S("a\0"), &nul);
    map_put(&m, S("a\0b"), &longer);
    map_put(&m, S("A"), &upper);
    assert_ptr_equal(map_get(&m, S("")), &empty);
    assert_ptr_equal(map_get(&m, S("a\0")), &nul);
    assert_ptr_equal(map_get(&m, S("a\0b")), &longer);
    assert_null(map_get(&m, S("a")));
    map_reset(&m);
    assert_null(map_get(&m, S("A")));
}

static void check_against(const struct map *m, const struct model *model)
{
    size_t count = 0;
    for (size_t i = 0; i < KEY_COUNT; i++) {
        assert_ptr_equal(map_get(m, slice_of(model->names[i])), model->values[i]);
        count += model->values[i] != NULL;
    }
    assert_int_equal(m->count, count);
    size_t       cursor = 0, seen = 0;
    struct slice key;
    void        *value;
    while (map_next(m, &cursor, &key, &value)) {
        seen++;
        assert_ptr_equal(map_get(m, key), value);
    }
    assert_int_equal(seen, count);
}

/* Removal shifts entries back over the hole: every other key must stay found. */
static void behaves_like_the_model(void **state)
{
    (void)state;
    struct model *model = calloc(1, sizeof(*model));
    struct map    m;
    uint64_t      dice = 12345;
    assert_non_null(model);
    map_init(&m);
    for (size_t i = 0; i < KEY_COUNT; i++) snprintf(model->names[i], 8, "k%zu", i);
    for (size_t step = 0; step < STEP_COUNT; step++) {
        dice = dice * 6364136223846793005u + 1442695040888963407u;
        size_t       i = (size_t)(dice >> 33) % KEY_COUNT;
        struct slice key = slice_of(model->names[i]);
        if (dice >> 32 & 1) {
            assert_ptr_equal(map_put(&m, key, &model->names[i]), model->values[i]);
            model->values[i] = &model->names[i];
        } else {
            assert_ptr_equal(map_remove(&m, key), model->values[i]);
            model->values[i] = NULL;
        }
        if (step % 4000 == 0) check_against(&m, model);
    }
    check_against(&m, model);
    map_reset(&m);
    free(model);
}

static void two_maps_have_different_seeds(void **state)
{
    (void)state;
    struct map a, b;
    map_init(&a);
    map_init(&b);
    assert_true(a.seed != b.seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_empty),
        cmocka_unit_test(put_replaces_and_tells),
        cmocka_unit_test(keys_are_bytes),
        cmocka_unit_test(behaves_like_the_model),
        cmocka_unit_test(two_maps_have_different_seeds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
