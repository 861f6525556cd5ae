/* SPDX-License-Identifier: Apache-2.0
 *
 * Following a master by its Sentinels, and the slots of a cluster, while they move and
 * die. Two farms, each of which goes through its tests in order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "../io/redis_talker.h"
#include "redis_rig.h"

static struct rig  r;
static struct farm farm;
static char        key[32], expected[64];

#define DO(...) farm_do(&farm, &r, __VA_ARGS__)

static uint64_t now_ms(void)
{
    return clock_mono_ns() / 1000000;
}

/* From now on the heartbeat goes there. */
static void expect_beats_at(const char *address)
{
    uint64_t began_ms = r.loop->clock.now_ms;
    RIG_UNTIL(&r, rig_look(&r)->beat_ms > began_ms && strcmp(r.status.at, address) == 0);
    assert_int_equal(atomic_load(&r.store->gateways), 1);
}

static int stop(void **state)
{
    (void)state;
    rig_reset(&r);
    farm_stop(&farm);
    return 0;
}

/* ---- Sentinels ---- */

/* Of three it is told one: the others it learns. */
static int start_sentinels(void **state)
{
    static char         first[64];
    static struct slice at;
    (void)state;
    farm_start(&farm, "sentinel");
    rig_init(&r);
    snprintf(first, sizeof(first), "%s", DO("farm.sentinels[0].address"));
    at = slice_of(first);
    r.sentinel = (struct sentinel_settings){ .master = S("gate"),
                                             .servers = { &at, 1 },
                                             .password = S("watch") };
    r.settings.password = S("secret");
    r.settings.sentinel = &r.sentinel;
    rig_watch(&r, "redis://ignored");
    return 0;
}

static void expect_master(const char *address)
{
    snprintf(expected, sizeof(expected), "%s", address);
    RIG_UNTIL(&r, strcmp(rig_owner(&r, "any"), expected) == 0);
}

static void the_master_is_found(void **state)
{
    (void)state;
    expect_master(DO("farm.master.address"));
    expect_beats_at(expected);
    assert_string_equal(rig_look(&r)->mode, "sentinel");
    assert_string_equal(r.status.guide, DO("farm.sentinels[0].address"));
}

/* Told by +switch-master: the question would come five seconds later. Another Sentinel leads. */
static void a_failover_is_heard_of(void **state)
{
    (void)state;
    RIG_UNTIL(&r, rig_look(&r)->beat_ms);
    snprintf(expected, sizeof(expected), "%s", DO("farm.fail_over(leader=1).address"));
    uint64_t began_ms = now_ms();
    RIG_UNTIL(&r, strcmp(rig_owner(&r, "any"), expected) == 0);
    assert_true(now_ms() - began_ms < 1000);
    expect_beats_at(expected);
}

static void a_master_that_dies_is_replaced(void **state)
{
    (void)state;
    DO("farm.master.kill()");
    expect_master(DO("farm.await_master().address"));
    expect_beats_at(expected);
    /* The old one comes back as a replica. */
    DO("[n.start() for n in farm.nodes if not n.process]");
    rig_turn(&r, 1000);
    assert_string_equal(rig_owner(&r, "any"), expected);
}

static void a_silent_sentinel_is_left(void **state)
{
    char before[64];
    (void)state;
    RIG_UNTIL(&r, rig_look(&r)->guide[0]);
    snprintf(before, sizeof(before), "%s", r.status.guide);
    DO("[s.pause() for s in farm.sentinels if s.address == '%s']", before);
    RIG_UNTIL(&r, strcmp(rig_look(&r)->guide, before) != 0 && !r.status.guide_trouble[0]);
    DO("[s.resume() for s in farm.sentinels]");
    DO("[s.kill() for s in farm.sentinels if s.address == '%s']", before);
    expect_master(DO("farm.await_master().address"));
    expect_beats_at(expected);
}

static void without_sentinels_all_stays(void **state)
{
    (void)state;
    DO("[s.kill() for s in farm.sentinels]");
    RIG_UNTIL(&r, rig_look(&r)->guide_trouble[0]);
    expect_beats_at(expected);
    assert_string_equal(rig_owner(&r, "any"), expected);
    DO("[s.start() for s in farm.sentinels]");
    RIG_UNTIL(&r, !rig_look(&r)->guide_trouble[0]);
    assert_string_equal(rig_owner(&r, "any"), expected);
}

/* ---- a cluster ---- */

static int start_cluster(void **state)
{
    char url[64];
    (void)state;
    farm_start(&farm, "cluster");
    rig_init(&r);
    r.settings.is_cluster = true;
    r.settings.password = S("secret");
    snprintf(url, sizeof(url), "redis://%s", DO("farm.nodes[5].address"));
    rig_watch(&r, url);
    return 0;
}

static void expect_owner(const char *of, const char *address)
{
    snprintf(expected, sizeof(expected), "%s", address);
    RIG_UNTIL(&r, strcmp(rig_owner(&r, of), expected) == 0);
}

static void all_nodes_are_found(void **state)
{
    (void)state;
    expect_owner("a", DO("farm.owner(farm.slot('a')).address"));
    assert_int_equal(redis_store_map(r.store)->count, 6);
    expect_owner("test:gateways", DO("farm.owner(farm.slot('test:gateways')).address"));
    expect_beats_at(expected);
}

/* As a worker does: what the old owner says leads to the new one, before the map knows. */
static void get(const char *address, const char *words, bool is_asking, const char *reply)
{
    static struct talker t;
    struct error         e;
    struct address       a;
    assert_true(address_parse(&a, slice_of(address), NULL, &e));
    talker_init(&t, &a);
    t.to.password = S("secret");
    assert_string_equal(talker_open(&t), "");
    if (is_asking) assert_string_equal(talker_get(&t, "ASKING"), "OK");
    const char *got = talker_get(&t, words);
    snprintf(expected, sizeof(expected), "%s", got);
    talker_reset(&t);
    if (reply) assert_string_equal(expected, reply);
}

static const char *redirected(const char *error, bool is_ask)
{
    struct redis_redirect to;
    assert_true(redis_parse_redirect(slice_of(error), &to));
    assert_int_equal(to.is_ask, is_ask);
    assert_int_equal(to.slot, redis_slot(slice_of(key)));
    const struct redis_node *n =
        redis_map_redirect(redis_store_map(r.store), &redis_store_map(r.store)->nodes[0], &to);
    assert_non_null(n);
    return n->text;
}

static void a_slot_that_moves(void **state)
{
    char old[64], new[64], set[64], read[64];
    (void)state;
    snprintf(key, sizeof(key), "moving");
    snprintf(set, sizeof(set), "SET %s there", key);
    snprintf(read, sizeof(read), "GET %s", key);
    snprintf(old, sizeof(old), "%s", DO("farm.owner(farm.slot('%s')).address", key));
    snprintf(new, sizeof(new), "%s",
             DO("next(m for m in farm.masters() if m.address != '%s').address", old));
    expect_owner(key, old);
    DO("farm.begin_move(farm.slot('%s'), next(m for m in farm.masters() if m.address == '%s'))",
       key, new);
    get(old, read, false, NULL);
    assert_string_equal(redirected(expected, true), new);
    get(new, set, true, "OK");
    DO("farm.end_move(farm.slot('%s'), next(m for m in farm.masters() if m.address == '%s'))", key,
       new);
    get(old, read, false, NULL);
    assert_string_equal(redirected(expected, false), new);
    uint64_t began_ms = now_ms();
    redis_store_tell_moved(r.store);
    expect_owner(key, new);
    assert_true(now_ms() - began_ms < 2000);
    get(new, read, false, "there");
}

/* The heartbeat is told MOVED, and asks. */
static void the_heartbeats_slot_moves(void **state)
{
    char new[64];
    (void)state;
    expect_owner("test:gateways", DO("farm.owner(farm.slot('test:gateways')).address"));
    expect_beats_at(expected);
    snprintf(new, sizeof(new), "%s",
             DO("next(m for m in farm.masters() if m.address != '%s').address", expected));
    DO("farm.move(farm.slot('test:gateways'), next(m for m in farm.masters() if m.address == "
       "'%s'))",
       new);
    uint64_t began_ms = now_ms();
    expect_owner("test:gateways", new);
    assert_true(now_ms() - began_ms < 4000);
    expect_beats_at(new);
}

static void an_owner_that_dies_is_replaced(void **state)
{
    char old[64];
    (void)state;
    snprintf(old, sizeof(old), "%s", DO("farm.owner(farm.slot('test:gateways')).address"));
    DO("farm.owner(farm.slot('test:gateways')).kill()");
    RIG_UNTIL(&r, strcmp(rig_owner(&r, "test:gateways"), old) != 0);
    snprintf(expected, sizeof(expected), "%s", rig_owner(&r, "test:gateways"));
    expect_beats_at(expected);
    assert_string_equal(rig_look(&r)->trouble, "");
}

/* Whoever was asked last, another node answers. */
static void a_node_that_is_silent_is_left(void **state)
{
    char before[64];
    (void)state;
    RIG_UNTIL(&r, rig_look(&r)->guide[0] && !r.status.guide_trouble[0]);
    snprintf(before, sizeof(before), "%s", r.status.guide);
    DO("[n.pause() for n in farm.nodes if n.address == '%s']", before);
    redis_store_tell_moved(r.store);
    RIG_UNTIL(&r, strcmp(rig_look(&r)->guide, before) != 0 && !r.status.guide_trouble[0]);
    DO("[n.resume() for n in farm.nodes if n.address == '%s']", before);
}

int main(void)
{
    const struct CMUnitTest sentinels[] = {
        cmocka_unit_test(the_master_is_found),
        cmocka_unit_test(a_failover_is_heard_of),
        cmocka_unit_test(a_master_that_dies_is_replaced),
        cmocka_unit_test(a_silent_sentinel_is_left),
        cmocka_unit_test(without_sentinels_all_stays),
    };
    const struct CMUnitTest cluster[] = {
        cmocka_unit_test(all_nodes_are_found),
        cmocka_unit_test(a_slot_that_moves),
        cmocka_unit_test(the_heartbeats_slot_moves),
        cmocka_unit_test(an_owner_that_dies_is_replaced),
        cmocka_unit_test(a_node_that_is_silent_is_left),
    };
    int failed = cmocka_run_group_tests(sentinels, start_sentinels, stop);
    return failed + cmocka_run_group_tests(cluster, start_cluster, stop);
}
