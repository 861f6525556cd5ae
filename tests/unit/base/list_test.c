/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists: order, removal, iteration that removes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/list.h"

struct item {
    int         number;
    struct list link;
};

static void assert_numbers(const struct list *head, const int *expected, size_t count)
{
    size_t seen = 0;
    for (const struct list *it = head->next; it != head; it = it->next, seen++) {
        assert_true(seen < count);
        assert_int_equal(
            ((const struct item *)(const void *)((const char *)it - offsetof(struct item, link)))
                ->number,
            expected[seen]);
        assert_ptr_equal(it->next->prev, it);
    }
    assert_int_equal(seen, count);
}

static void keeps_order(void **state)
{
    (void)state;
    struct list head;
    struct item a = { .number = 1 }, b = { .number = 2 }, c = { .number = 3 }, d = { .number = 4 };
    list_init(&head);
    assert_true(list_is_empty(&head));
    list_append(&head, &b.link);
    list_append(&head, &d.link);
    list_prepend(&head, &a.link);
    list_insert_before(&d.link, &c.link);
    assert_false(list_is_empty(&head));
    assert_numbers(&head, (int[]){ 1, 2, 3, 4 }, 4);
}

static void removing_twice_is_harmless(void **state)
{
    (void)state;
    struct list head;
    struct item a = { .number = 1 }, b = { .number = 2 };
    list_init(&head);
    list_append(&head, &a.link);
    list_append(&head, &b.link);
    list_remove(&a.link);
    list_remove(&a.link);
    assert_true(list_is_empty(&a.link));
    assert_numbers(&head, (int[]){ 2 }, 1);
    list_remove(&b.link);
    assert_true(list_is_empty(&head));
    list_append(&head, &a.link);
    assert_numbers(&head, (int[]){ 1 }, 1);
}

static void the_body_may_remove(void **state)
{
    (void)state;
    struct list head;
    int         sum = 0;
    list_init(&head);
    for (int i = 0; i < 6; i++) {
        struct item *item = malloc(sizeof(*item));
        assert_non_null(item);
        item->number = i;
        list_append(&head, &item->link);
    }
    LIST_EACH (it, &head) sum += container_of(it, struct item, link)->number;
    assert_int_equal(sum, 15);
    LIST_EACH_SAFE (it, &head) {
        struct item *item = container_of(it, struct item, link);
        if (item->number % 2) continue;
        list_remove(it);
        free(item);
    }
    assert_numbers(&head, (int[]){ 1, 3, 5 }, 3);
    LIST_EACH_SAFE (it, &head) free(container_of(it, struct item, link));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_order),
        cmocka_unit_test(removing_twice_is_harmless),
        cmocka_unit_test(the_body_may_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
