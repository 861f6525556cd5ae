/* SPDX-License-Identifier: Apache-2.0
 *
 * What workers are told of a Redis that stands alone, and how gateways count each other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../io/dns_server.h"
#include "../io/redis_server.h"
#include "../io/redis_talker.h"
#include "redis_rig.h"

static struct redis_server server;
static struct rig          a, b;
static char                url[128];

static int set_up(void **state)
{
    (void)state;
    redis_server_start(&server, (const char *const[]){ NULL });
    snprintf(url, sizeof(url), "redis://127.0.0.1:%u", server.address.port);
    rig_init(&a);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rig_reset(&a);
    redis_server_reset(&server);
    return 0;
}

static void an_address_is_known_at_once(void **state)
{
    (void)state;
    rig_watch(&a, url);
    assert_string_equal(rig_owner(&a, "any"), url + strlen("redis://"));
    assert_int_equal(redis_store_map(a.store)->generation, 1);
    assert_int_equal(atomic_load(&a.store->gateways), 1);
    assert_false(rig_look(&a)->is_connected);
    RIG_UNTIL(&a, rig_look(&a)->beat_ms);
    assert_true(a.status.is_connected);
    assert_string_equal(a.status.trouble, "");
    assert_string_equal(a.status.mode, "single");
    assert_string_equal(a.status.guide, "");
    assert_string_equal(a.status.key, "test:gateways");
    assert_int_equal(strlen(a.status.id), 16);
    assert_int_equal(redis_store_map(a.store)->generation, 1);
}

/* One that ends is counted no more after three seconds, and that alone by Redis' clock. */
static void gateways_count_each_other(void **state)
{
    (void)state;
    rig_init(&b);
    rig_watch(&a, url);
    rig_watch(&b, url);
    RIG_UNTIL(&a, (loop_turn(b.loop, 5), atomic_load(&a.store->gateways) == 2));
    RIG_UNTIL(&b, (loop_turn(a.loop, 5), atomic_load(&b.store->gateways) == 2));
    uint64_t left_ns = clock_mono_ns();
    rig_reset(&b);
    RIG_UNTIL(&a, atomic_load(&a.store->gateways) == 1);
    uint64_t passed_ms = (clock_mono_ns() - left_ns) / 1000000;
    assert_true(passed_ms > 1500 && passed_ms < 6000);
}

static void the_last_number_stays_without_redis(void **state)
{
    (void)state;
    rig_init(&b);
    rig_watch(&a, url);
    rig_watch(&b, url);
    RIG_UNTIL(&a, (loop_turn(b.loop, 5), atomic_load(&a.store->gateways) == 2));
    rig_reset(&b);
    redis_server_stop(&server);
    RIG_UNTIL(&a, !rig_look(&a)->is_connected && a.status.trouble[0]);
    rig_turn(&a, 4000);
    assert_int_equal(atomic_load(&a.store->gateways), 2);
    assert_non_null(strstr(rig_look(&a)->trouble, "connect: Connection refused"));
    assert_string_equal(rig_owner(&a, "any"), url + strlen("redis://"));
    redis_server_start(&server, (const char *const[]){ NULL });
    RIG_UNTIL(&a, atomic_load(&a.store->gateways) == 1);
    assert_true(rig_look(&a)->is_connected);
    assert_string_equal(a.status.trouble, "");
}

static void silence_is_an_end(void **state)
{
    (void)state;
    rig_watch(&a, url);
    RIG_UNTIL(&a, rig_look(&a)->beat_ms);
    redis_server_signal(&server, SIGSTOP);
    RIG_UNTIL(&a, !rig_look(&a)->is_connected);
    assert_non_null(strstr(a.status.trouble, "the server does not answer"));
    uint64_t before_ms = a.status.beat_ms;
    redis_server_signal(&server, SIGCONT);
    RIG_UNTIL(&a, rig_look(&a)->beat_ms > before_ms);
    assert_string_equal(a.status.trouble, "");
}

/* Of its addresses, the first is one where nobody listens. */
static void a_name_is_looked_up(void **state)
{
    struct dns_server  names = { 0 };
    struct error       e;
    char               at[32];
    struct dns_options o = { at, 100, 1000, 2000, 200 };
    (void)state;
    dns_server_start(&names, (const char *const[]){ "host-record=redis.test,127.0.0.0",
                                                    "host-record=redis.test,127.0.0.1", NULL });
    snprintf(at, sizeof(at), "127.0.0.1:%u", names.port);
    assert_true(dns_configure(a.dns, &o, &e));
    snprintf(url, sizeof(url), "redis://redis.test:%u", server.address.port);
    rig_watch(&a, url);
    assert_string_equal(rig_owner(&a, "any"), "");
    assert_int_equal(redis_store_map(a.store)->count, 1);
    RIG_UNTIL(&a, rig_look(&a)->beat_ms);
    const struct redis_node *n = redis_map_node(redis_store_map(a.store), S("any"));
    assert_int_equal(n->address.ip[3], 1);
    assert_string_equal(n->text, url + strlen("redis://"));
    assert_int_equal(redis_store_map(a.store)->generation, 3); /* none, .0, .1 */
    assert_int_equal(a.retired_count, 3);
    dns_server_reset(&names);
}

static void a_name_that_is_unknown(void **state)
{
    (void)state;
    rig_watch(&a, "redis://no-such-host.invalid");
    RIG_UNTIL(&a, rig_look(&a)->trouble[0]);
    assert_string_equal(rig_owner(&a, "any"), "");
    assert_false(a.status.is_connected);
}

static void a_unix_socket_and_a_password(void **state)
{
    char path[96];
    (void)state;
    snprintf(path, sizeof(path), "%s/socket", server.folder);
    redis_server_stop(&server);
    redis_server_start(
        &server, (const char *const[]){ "--unixsocket", path, "--requirepass", "secret", NULL });
    snprintf(url, sizeof(url), "unix://%s", path);
    rig_watch(&a, url);
    RIG_UNTIL(&a, rig_look(&a)->trouble[0]);
    assert_non_null(strstr(a.status.trouble, "NOAUTH Authentication required."));
    redis_watch_free(a.watch);
    a.settings.password = S("secret");
    rig_watch(&a, url);
    assert_string_equal(rig_owner(&a, "any"), path);
    RIG_UNTIL(&a, rig_look(&a)->beat_ms);
    assert_string_equal(a.status.trouble, "");
    unlink(path);
}

static void the_urls_login_and_database(void **state)
{
    static struct talker t;
    (void)state;
    redis_server_stop(&server);
    redis_server_start(&server, (const char *const[]){ "--requirepass", "p%w", NULL });
    snprintf(url, sizeof(url), "redis://:p%%25w@127.0.0.1:%u/5", server.address.port);
    rig_watch(&a, url);
    RIG_UNTIL(&a, rig_look(&a)->beat_ms);
    assert_true(slice_eq(a.store->password, S("p%w")));
    assert_int_equal(a.store->database, 5);
    talker_init(&t, &server.address);
    t.to.password = S("p%w");
    t.to.database = 5;
    assert_string_equal(talker_open(&t), "");
    assert_string_equal(talker_get(&t, "ZCARD test:gateways"), "(1)");
    talker_reset(&t);
}

/* It stays connected: its words are the trouble, until it is well. */
static void an_error_is_told(void **state)
{
    static struct talker t;
    (void)state;
    rig_watch(&a, url);
    RIG_UNTIL(&a, rig_look(&a)->beat_ms);
    talker_init(&t, &server.address);
    assert_string_equal(talker_open(&t), "");
    assert_string_equal(talker_get(&t, "REPLICAOF 127.0.0.1 1"), "OK");
    RIG_UNTIL(&a, rig_look(&a)->trouble[0]);
    assert_non_null(strstr(a.status.trouble, "READONLY"));
    assert_true(a.status.is_connected);
    assert_string_equal(talker_get(&t, "REPLICAOF NO ONE"), "OK");
    RIG_UNTIL(&a, !rig_look(&a)->trouble[0]);
    talker_reset(&t);
}

static void what_is_no_cluster(void **state)
{
    (void)state;
    a.settings.is_cluster = true;
    rig_watch(&a, url);
    assert_int_equal(redis_store_map(a.store)->count, 0);
    RIG_UNTIL(&a, rig_look(&a)->guide_trouble[0]);
    assert_non_null(
        strstr(a.status.guide_trouble, "ERR This instance has cluster support disabled"));
    assert_string_equal(a.status.mode, "cluster");
    /* Told while nobody can be asked, and again. */
    redis_store_tell_moved(a.store);
    redis_store_tell_moved(a.store);
    RIG_UNTIL(&a, !atomic_load(&a.store->is_moved));
}

/* A Redis is no Sentinel. */
static void what_is_no_sentinel(void **state)
{
    struct slice at;
    (void)state;
    snprintf(url, sizeof(url), "127.0.0.1:%u", server.address.port);
    at = slice_of(url);
    a.sentinel = (struct sentinel_settings){ .master = S("gate"), .servers = { &at, 1 } };
    a.settings.sentinel = &a.sentinel;
    rig_watch(&a, "redis://ignored/3");
    RIG_UNTIL(&a, rig_look(&a)->guide_trouble[0]);
    assert_non_null(strstr(a.status.guide_trouble, "ERR unknown command"));
    assert_string_equal(rig_owner(&a, "any"), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_address_is_known_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(gateways_count_each_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_last_number_stays_without_redis, set_up, tear_down),
        cmocka_unit_test_setup_teardown(silence_is_an_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_name_is_looked_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_name_that_is_unknown, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_unix_socket_and_a_password, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_urls_login_and_database, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_error_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_cluster, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_sentinel, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
