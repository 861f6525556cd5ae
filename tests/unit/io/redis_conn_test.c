/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection to a real Redis, to one that hangs or dies, and to what is none.
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

#include "redis_server.h"
#include "redis_talker.h"

enum { JOBS = 50 };

static struct redis_server server;
static struct talker       t;

static int set_up(void **state)
{
    (void)state;
    redis_server_start(&server, (const char *const[]){ NULL });
    talker_init(&t, &server.address);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    talker_reset(&t);
    redis_server_reset(&server);
    return 0;
}

static void restart(const char *const *options)
{
    redis_server_stop(&server);
    redis_server_start(&server, options);
}

/* ---- calls ---- */

static void a_thousand_calls_in_order(void **state)
{
    (void)state;
    assert_string_equal(talker_open(&t), "");
    for (unsigned i = 0; i < ASKED_MAX; i++) assert_non_null(talker_ask(&t, "INCR n"));
    assert_int_equal(redis_conn_pending(t.conn), ASKED_MAX);
    turn_until(t.loop, &t.reply_count, ASKED_MAX);
    for (unsigned i = 0; i < ASKED_MAX; i++) {
        assert_int_equal(t.asked[i].count, 1);
        assert_int_equal(t.asked[i].integer, i + 1);
    }
    assert_int_equal(redis_conn_pending(t.conn), 0);
    assert_string_equal(talker_get(&t, "GET nothing"), "(nil)");
    assert_string_equal(talker_get(&t, "KEYS *"), "[1]");
    assert_string_equal(talker_get(&t, "PING x"), "x");
    assert_string_equal(talker_get(&t, "LPUSH n 1"),
                        "WRONGTYPE Operation against a key holding the wrong kind of value");
}

static long reads_of_server(void)
{
    static const char script[] =
        "EVAL return(redis.call('INFO','stats'):match('reads_processed:(%d+)')) 0";
    return strtol(talker_get(&t, script), NULL, 10);
}

static void ask_in_job(struct job *j)
{
    (void)j;
    talker_ask(&t, "INCR n");
    conn_flush_all(t.loop); /* as after each event */
}

/* Many who ask in a turn, each in an event of his own: one packet. */
static void a_turn_is_one_write(void **state)
{
    (void)state;
    struct job jobs[JOBS];
    assert_string_equal(talker_open(&t), "");
    long before = reads_of_server();
    t.reply_count = 0;
    for (int i = 0; i < JOBS; i++) {
        job_init(&jobs[i], ask_in_job);
        job_queue(t.loop, &jobs[i]);
    }
    turn_until(t.loop, &t.reply_count, JOBS);
    assert_int_equal(reads_of_server() - before, 2);
}

static void a_dropped_call_is_not_told(void **state)
{
    (void)state;
    assert_string_equal(talker_open(&t), "");
    struct asked *a = talker_ask(&t, "INCR n"), *b = talker_ask(&t, "INCR n");
    assert_true(redis_conn_call(t.conn, NULL, (struct slice[]){ S("INCR"), S("n") }, 2));
    redis_call_drop(&a->call);
    redis_call_drop(&a->call);
    assert_string_equal(talker_get(&t, "GET n"), "3");
    assert_int_equal(a->count, 0);
    assert_int_equal(b->integer, 2);
    redis_call_drop(&b->call);
}

static void more_calls_than_may_be_under_way(void **state)
{
    (void)state;
    const struct slice ping = S("PING");
    assert_string_equal(talker_open(&t), "");
    redis_server_signal(&server, SIGSTOP);
    for (unsigned i = 0; i < REDIS_CALLS_MAX; i++)
        assert_true(redis_conn_call(t.conn, NULL, &ping, 1));
    assert_false(redis_conn_call(t.conn, NULL, &ping, 1));
    assert_null(talker_ask(&t, "PING"));
    assert_null(t.asked[0].call.conn);
    redis_server_signal(&server, SIGCONT);
    while (redis_conn_pending(t.conn) == REDIS_CALLS_MAX) loop_turn(t.loop, 1000);
    assert_string_equal(talker_get(&t, "PING x"), "x");
}

static void a_channel_is_followed(void **state)
{
    (void)state;
    static struct talker other;
    talker_init(&other, &server.address);
    assert_string_equal(talker_open(&t), "");
    assert_string_equal(talker_open(&other), "");
    assert_string_equal(talker_get(&t, "SUBSCRIBE news"), "[3]");
    assert_string_equal(talker_get(&other, "PUBLISH news first"), "(1)");
    turn_until(t.loop, &t.message_count, 1);
    assert_string_equal(t.message, "news: first");
    assert_string_equal(talker_get(&t, "PING"), "[2]");
    talker_reset(&other);
}

/* ---- who may ---- */

static void passwords(void **state)
{
    (void)state;
    restart((const char *const[]){ "--requirepass", "secret", "--user", "gate", "on", ">word", "~*",
                                   "+@all", NULL });
    assert_string_equal(talker_open(&t), "NOAUTH Authentication required.");
    t.to.password = S("wrong");
    assert_string_equal(talker_open(&t),
                        "WRONGPASS invalid username-password pair or user is disabled.");
    assert_int_equal(t.dead_count, 1);
    assert_int_equal(t.ready_count, 0);
    t.to.password = S("secret");
    assert_string_equal(talker_open(&t), "");
    assert_string_equal(talker_get(&t, "ACL WHOAMI"), "default");
    redis_conn_close(t.conn);
    t.to.username = S("gate");
    assert_string_equal(talker_open(&t),
                        "WRONGPASS invalid username-password pair or user is disabled.");
    t.to.password = S("word");
    assert_string_equal(talker_open(&t), "");
    assert_string_equal(talker_get(&t, "ACL WHOAMI"), "gate");
}

static void a_user_who_may_do_little(void **state)
{
    (void)state;
    restart((const char *const[]){ "--user", "gate", "on", ">word", "~*", "+incr", NULL });
    t.to.username = S("gate");
    t.to.password = S("word");
    assert_string_equal(talker_open(&t), "");
    assert_string_equal(talker_get(&t, "INCR n"), "(1)");
    redis_conn_close(t.conn);
    t.to.database = 1;
    talker_open(&t);
    assert_int_equal(t.dead_count, 1);
    assert_non_null(strstr(t.why, "NOPERM"));
}

static void databases(void **state)
{
    (void)state;
    t.to.database = 3;
    assert_string_equal(talker_open(&t), "");
    assert_string_equal(talker_get(&t, "INCR n"), "(1)");
    redis_conn_close(t.conn);
    t.to.database = 0;
    assert_string_equal(talker_open(&t), "");
    assert_string_equal(talker_get(&t, "GET n"), "(nil)");
    redis_conn_close(t.conn);
    t.to.database = 99;
    assert_string_equal(talker_open(&t), "ERR DB index is out of range");
}

static void the_last_client_too_many(void **state)
{
    (void)state;
    restart((const char *const[]){ "--maxclients", "1", NULL });
    static struct talker other;
    talker_init(&other, &server.address);
    /* The port's probe may still count. */
    while (*talker_open(&t)) continue;
    assert_string_equal(talker_open(&other), "ERR max number of clients reached");
    talker_reset(&other);
}

/* ---- ways ---- */

static void a_unix_socket(void **state)
{
    (void)state;
    char           path[96];
    struct address a = { .family = ADDRESS_UNIX, .path = path };
    snprintf(path, sizeof(path), "%s/socket", server.folder);
    t.to.address = &a;
    assert_string_equal(talker_open(&t), "connect: No such file or directory");
    restart((const char *const[]){ "--unixsocket", path, NULL });
    assert_string_equal(talker_open(&t), "");
    assert_string_equal(talker_get(&t, "INCR n"), "(1)");
    unlink(path);
}

static void nobody_there(void **state)
{
    (void)state;
    redis_server_stop(&server);
    talker_connect(&t);
    assert_int_equal(t.dead_count, 0); /* told from the loop */
    assert_false(redis_conn_is_ready(t.conn));
    assert_false(redis_conn_call(t.conn, NULL, &S("PING"), 1));
    turn_until(t.loop, &t.dead_count, 1);
    assert_string_equal(t.why, "connect: Connection refused");
}

/* ---- faults ---- */

static void a_server_that_dies(void **state)
{
    (void)state;
    assert_string_equal(talker_open(&t), "");
    redis_server_signal(&server, SIGSTOP);
    for (unsigned i = 0; i < 500; i++) assert_non_null(talker_ask(&t, "INCR n"));
    redis_call_drop(&t.asked[7].call);
    loop_turn(t.loop, 0);
    redis_server_stop(&server);
    turn_until(t.loop, &t.dead_count, 1);
    assert_int_equal(t.reply_count, 499);
    for (unsigned i = 0; i < 500; i++) {
        assert_int_equal(t.asked[i].count, i != 7);
        assert_int_equal(t.asked[i].is_lost, i != 7);
        assert_null(t.asked[i].call.conn);
    }
}

static void a_server_that_hangs(void **state)
{
    (void)state;
    redis_server_signal(&server, SIGSTOP);
    t.to.timeout_ms = 100;
    assert_string_equal(talker_open(&t), "the server does not answer");
    redis_server_signal(&server, SIGCONT);
    assert_string_equal(talker_open(&t), "");
    /* Once ready, nobody's deadline is the connection's. */
    redis_server_signal(&server, SIGSTOP);
    struct asked *a = talker_ask(&t, "INCR n");
    for (uint64_t end_ms = t.loop->clock.now_ms + 300; t.loop->clock.now_ms < end_ms;)
        loop_turn(t.loop, 10);
    assert_int_equal(a->count, 0);
    redis_server_signal(&server, SIGCONT);
    turn_until(t.loop, &a->count, 1);
    assert_int_equal(a->integer, 1);
}

static void an_owner_who_leaves(void **state)
{
    (void)state;
    assert_string_equal(talker_open(&t), "");
    for (unsigned i = 0; i < 100; i++) talker_ask(&t, "INCR n");
    t.closes = true;
    turn_until(t.loop, &t.reply_count, 1);
    assert_int_equal(t.reply_count, 100);
    assert_false(t.asked[0].is_lost);
    for (unsigned i = 1; i < 100; i++) assert_true(t.asked[i].is_lost);
    assert_int_equal(t.dead_count, 0);
}

/* Where no Redis listens: `text` is said, before or after something was heard. */
static void meet(const char *text, bool listens_first, bool closes)
{
    struct address a;
    int            listening = tcp_listen(&a);
    t.to.address = &a;
    talker_connect(&t);
    int fd = accept(listening, NULL, NULL);
    if (listens_first) {
        loop_turn(t.loop, 1000);
        expect(fd, "*1\r\n$4\r\nPING\r\n");
    }
    put(fd, text);
    if (closes) close(fd);
    turn_until(t.loop, &t.dead_count, 1);
    if (!closes) close(fd);
    close(listening);
    t.to.address = &server.address;
}

static void what_is_no_redis(void **state)
{
    (void)state;
    meet("HTTP/1.1 400 Bad Request\r\n\r\n", true, false);
    assert_string_equal(t.why, "what comes is no reply");
    meet("220 mail.example ESMTP\r\n", false, false);
    assert_string_equal(t.why, "what comes is no reply");
    meet("*2147483647\r\n", true, false);
    assert_string_equal(t.why, "a reply is larger than any may be");
    meet("-LOADING Redis is loading the dataset in memory\r\n", true, false);
    assert_string_equal(t.why, "LOADING Redis is loading the dataset in memory");
    meet("$4\r\nPONG\r\n", true, false);
    assert_string_equal(t.why, "a reply came that nobody asked for");
    meet("+PONG\r\n+PONG\r\n", true, false);
    assert_string_equal(t.why, "a reply came that nobody asked for");
    meet("", true, true);
    assert_string_equal(t.why, "the server has closed the connection");
    assert_string_equal(talker_open(&t), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_thousand_calls_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_turn_is_one_write, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_dropped_call_is_not_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(more_calls_than_may_be_under_way, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_channel_is_followed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(passwords, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_user_who_may_do_little, set_up, tear_down),
        cmocka_unit_test_setup_teardown(databases, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_last_client_too_many, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_unix_socket, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_server_that_dies, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_server_that_hangs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_owner_who_leaves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_redis, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
