/* SPDX-License-Identifier: Apache-2.0
 *
 * Slots of keys, by the vectors of the Redis Cluster specification and by what
 * CLUSTER KEYSLOT says, and redirections.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/redis_slots.h"

static void keys(void **state)
{
    static const struct {
        const char *key;
        uint16_t    slot;
    } vectors[] = {
        { "123456789", 0x31c3 }, /* the specification's */
        { "", 0 },
        { "foo", 12182 },
        { "bar", 5061 },
        { "foo{}{bar}", 8363 }, /* an empty tag is none */
        { "foo{bar}{zap}", 5061 },
        { "{bar", 4015 },
        { "}bar{", 1498 },
        { "\377\200\001", 1242 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
        assert_int_equal(redis_slot(slice_of(vectors[i].key)), vectors[i].slot);
    assert_int_equal(redis_slot(S("{user1000}.following")), redis_slot(S("user1000")));
    /* From the first { to the first } after it. */
    assert_int_equal(redis_slot(S("foo{{bar}}zap")), redis_slot(S("{bar")));
}

static void redirections(void **state)
{
    struct redis_redirect r;
    (void)state;
    assert_true(redis_parse_redirect(S("MOVED 3999 127.0.0.1:6381"), &r));
    assert_false(r.is_ask);
    assert_int_equal(r.slot, 3999);
    assert_int_equal(r.port, 6381);
    assert_true(slice_eq(r.host, S("127.0.0.1")));
    assert_true(redis_parse_redirect(S("ASK 16383 ::1:1"), &r));
    assert_true(r.is_ask);
    assert_int_equal(r.slot, 16383);
    assert_true(slice_eq(r.host, S("::1")));
    assert_true(redis_parse_redirect(S("MOVED 0 :65535"), &r));
    assert_int_equal(r.host.len, 0);
    assert_int_equal(r.port, 65535);
}

static void no_redirections(void **state)
{
    static const char *const none[] = {
        "",
        "MOVED",
        "MOVED ",
        "MOVED 1",
        "MOVED 1 ",
        "MOVED 1 a",
        "MOVED 1 a:",
        "MOVED 1 a:0",
        "MOVED 1 a:65536",
        "MOVED 16384 a:1",
        "MOVED -1 a:1",
        "MOVED 1 a:1x",
        "MOVED 1x a:1",
        "MOVEDX 1 a:1",
        "moved 1 a:1",
        "ASKING",
        "ASK",
        "ASK  a:1",
        "CLUSTERDOWN x a:1",
        "MOVED 1 a:999999",
    };
    struct redis_redirect r;
    (void)state;
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        assert_false(redis_parse_redirect(slice_of(none[i]), &r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys),
        cmocka_unit_test(redirections),
        cmocka_unit_test(no_redirections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
