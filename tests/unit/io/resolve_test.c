/* SPDX-License-Identifier: Apache-2.0
 *
 * Names that every machine can resolve, and one that none can.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/resolve.h"

enum { MAX = 4 };

static void resolves_localhost(void **state)
{
    (void)state;
    struct address list[MAX];
    struct error   e;
    size_t         count;
    bool           has_loopback = false;
    struct cidr    loopback[] = { { ADDRESS_V4, 8, { 127 } }, { ADDRESS_V6, 128, { [15] = 1 } } };
    const struct cidr_set set = { loopback, 2 };
    assert_true(address_resolve("localhost", 80, list, MAX, &count, &e));
    assert_true(count >= 1);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(list[i].port, 80);
        has_loopback |= cidr_set_has(&set, &list[i]);
        for (size_t j = 0; j < i; j++) assert_false(address_eq(&list[i], &list[j]));
    }
    assert_true(has_loopback);
}

static void takes_addresses_and_keeps_to_the_bound(void **state)
{
    (void)state;
    struct address list[1];
    struct error   e;
    size_t         count;
    assert_true(address_resolve("192.0.2.7", 443, list, 1, &count, &e));
    assert_int_equal(count, 1);
    assert_int_equal(list[0].family, ADDRESS_V4);
    assert_int_equal(list[0].ip[3], 7);
}

/* A label has at most 63 bytes (RFC 1035 section 2.3.4): no server need be asked. */
static void tells_which_name(void **state)
{
    (void)state;
    struct address list[MAX];
    struct error   e;
    size_t         count = 7;
    char           name[80] = "";
    memset(name, 'a', 70);
    assert_false(address_resolve(name, 80, list, MAX, &count, &e));
    assert_int_equal(count, 0);
    assert_non_null(strstr(e.text, name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resolves_localhost),
        cmocka_unit_test(takes_addresses_and_keeps_to_the_bound),
        cmocka_unit_test(tells_which_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
