/* SPDX-License-Identifier: Apache-2.0
 *
 * Maps of a Redis: from what CLUSTER SLOTS answers, good and bad, and who has a key.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "io/redis_map.h"

static struct block_pool pool;

static struct redis_map *parse(const char *text, struct error *e)
{
    struct redis_reader *reader = redis_reader_new(&pool);
    redis_reader_feed(reader, text, strlen(text));
    const struct redis_reply *r = redis_reader_next(reader);
    assert_non_null(r);
    struct redis_map *m = redis_map_of_slots(r, S("10.0.0.9"), e);
    redis_reader_free(reader);
    return m;
}

#define NODE(host, port) "*4\r\n" host ":" port "\r\n$1\r\nx\r\n*0\r\n"
#define RANGE(first, last) ":" first "\r\n:" last "\r\n"
#define A "$8\r\n10.0.0.1\r\n"
#define B "$8\r\n10.0.0.2\r\n"

/* Keys "foo", "bar" and "b" are in the slots 12182, 5061 and 3300. */
static const char three[] =
    "*3\r\n"
    "*4\r\n" RANGE("0", "5460") NODE(A, "1") NODE(B, "1") "*3\r\n" RANGE("5461", "12182")
        NODE(B, "2") "*3\r\n" RANGE("12183", "12183") NODE("$2\r\n::\r\n", "3");

static void fill(struct redis_map *m)
{
    struct error e;
    for (uint16_t i = 0; i < m->count; i++)
        assert_true(address_parse(&m->nodes[i].address, slice_of(m->nodes[i].text), NULL, &e));
}

static const char *who(const struct redis_map *m, const char *key)
{
    const struct redis_node *n = redis_map_node(m, slice_of(key));
    return n ? n->text : "nobody";
}

static void who_has_what(void **state)
{
    struct error      e;
    struct redis_map *m = parse(three, &e);
    (void)state;
    assert_non_null(m);
    assert_int_equal(m->count, 4);
    assert_string_equal(who(m, "foo"), "nobody"); /* its address is not known yet */
    fill(m);
    assert_string_equal(who(m, "foo"), "10.0.0.2:2");
    assert_string_equal(who(m, "{bar}x"), "10.0.0.1:1");
    assert_string_equal(m->nodes[3].text, "[::]:3");
    assert_int_equal(m->owners[12182], 2);
    assert_int_equal(m->owners[12183], 3);
    assert_int_equal(m->owners[12184], REDIS_NO_NODE);
    m->owners[12182] = REDIS_NO_NODE;
    assert_string_equal(who(m, "foo"), "nobody");
    redis_map_free(m);
}

static void who_is_meant(void **state)
{
    struct error             e;
    struct redis_map        *m = parse(three, &e);
    struct redis_redirect    to = { .host = S("::"), .port = 3 };
    const struct redis_node *from;
    (void)state;
    assert_null(redis_map_redirect(m, &m->nodes[0], &to));
    fill(m);
    from = &m->nodes[1];
    assert_ptr_equal(redis_map_redirect(m, from, &to), &m->nodes[3]);
    to = (struct redis_redirect){ .port = 2 }; /* another port of his */
    assert_ptr_equal(redis_map_redirect(m, from, &to), &m->nodes[2]);
    to.port = 4;
    assert_null(redis_map_redirect(m, from, &to));
    redis_map_free(m);
}

static void hosts_that_are_not_told(void **state)
{
    struct error      e;
    struct redis_map *m = parse("*1\r\n*5\r\n" RANGE("0", "16383") NODE("$-1\r\n", "1")
                                    NODE("$0\r\n\r\n", "2") NODE("$1\r\n?\r\n", "3"),
                                &e);
    (void)state;
    assert_int_equal(m->count, 2);
    assert_string_equal(m->nodes[0].text, "10.0.0.9:1");
    assert_string_equal(m->nodes[1].text, "10.0.0.9:2");
    redis_map_free(m);
}

static void what_is_no_map(void **state)
{
    static const char        slots[] = "CLUSTER SLOTS is answered by something else";
    static const char *const bad[] = {
        "+OK\r\n",
        ":1\r\n",
        "*1\r\n:1\r\n",
        "*1\r\n*0\r\n",
        "*1\r\n*2\r\n" RANGE("0", "1"),
        "*1\r\n*3\r\n" RANGE("0", "16384") NODE(A, "1"),
        "*1\r\n*3\r\n" RANGE("2", "1") NODE(A, "1"),
        "*1\r\n*3\r\n" RANGE("-1", "1") NODE(A, "1"),
        "*1\r\n*3\r\n" RANGE("0", "1") NODE(A, "0"),
        "*1\r\n*3\r\n" RANGE("0", "1") NODE(A, "65536"),
        "*1\r\n*3\r\n" RANGE("0", "1") ":1\r\n",
        "*1\r\n*4\r\n" RANGE("0", "1") NODE(A, "1") "*0\r\n",
    };
    struct error e;
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_null(parse(bad[i], &e));
        assert_string_equal(e.text, slots);
    }
    assert_null(parse("*0\r\n", &e));
    assert_string_equal(e.text, "no node of the cluster has a slot");
}

static void more_nodes_than_there_may_be(void **state)
{
    char text[160] = "";
    (void)state;
    struct redis_reader *reader = redis_reader_new(&pool);
    snprintf(text, sizeof(text), "*%u\r\n", REDIS_NODES_MAX + 1);
    redis_reader_feed(reader, text, strlen(text));
    for (unsigned i = 0; i <= REDIS_NODES_MAX; i++) {
        snprintf(text, sizeof(text), "*3\r\n:%u\r\n:%u\r\n*2\r\n" A ":%u\r\n", i, i, i + 1);
        redis_reader_feed(reader, text, strlen(text));
    }
    struct error              e;
    const struct redis_reply *r = redis_reader_next(reader);
    struct redis_reply        fewer = *r;
    assert_null(redis_map_of_slots(r, S("a"), &e));
    fewer.count--;
    struct redis_map *m = redis_map_of_slots(&fewer, S("a"), &e);
    assert_int_equal(m->count, REDIS_NODES_MAX);
    redis_map_free(m);
    redis_reader_free(reader);
}

static void copies_are_equal(void **state)
{
    struct error      e;
    struct redis_map *m = parse(three, &e);
    (void)state;
    fill(m);
    struct redis_map *copy = redis_map_copy(m);
    assert_true(redis_map_eq(m, copy));
    copy->owners[7] = 2;
    assert_false(redis_map_eq(m, copy));
    redis_map_free(copy);
    copy = redis_map_copy(m);
    copy->nodes[1].address.ip[3] = 9;
    assert_false(redis_map_eq(m, copy));
    redis_map_free(copy);
    redis_map_free(m);
    struct redis_map *one = redis_map_of_one(S("redis"), 6379);
    struct redis_map *other = redis_map_of_one(S("redis"), 6380);
    assert_false(redis_map_eq(one, other));
    redis_map_free(one);
    redis_map_free(other);
}

static void one_has_all(void **state)
{
    (void)state;
    struct redis_map *m = redis_map_of_one(S("redis"), 6379);
    assert_string_equal(who(m, "foo"), "nobody");
    m->nodes[0].address.family = ADDRESS_V4;
    assert_string_equal(who(m, "foo"), "redis:6379");
    redis_map_free(m);
    m = redis_map_of_one(S("/run/redis.sock"), 0);
    assert_string_equal(who(m, "foo"), "/run/redis.sock");
    struct redis_map *copy = redis_map_copy(m);
    assert_true(redis_map_eq(m, copy));
    redis_map_free(m);
    assert_string_equal(redis_map_node(copy, S("a"))->address.path, "/run/redis.sock");
    redis_map_free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_what),
        cmocka_unit_test(who_is_meant),
        cmocka_unit_test(hosts_that_are_not_told),
        cmocka_unit_test(what_is_no_map),
        cmocka_unit_test(more_nodes_than_there_may_be),
        cmocka_unit_test(copies_are_equal),
        cmocka_unit_test(one_has_all),
    };
    block_pool_init(&pool, 4096, 16);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    block_pool_reset(&pool);
    return failed;
}
