/* SPDX-License-Identifier: Apache-2.0
 *
 * Endpoints from `servers`: addresses as they stand, names and SRV records as a real name
 * server has them.
 */
#include "discovery/servers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../io/conn_probe.h"
#include "../io/dns_server.h"
#include "conf/load.h"

#define OPTIONS(...) ((const char *const[]){ __VA_ARGS__, NULL })

enum { TURN_MS = 50 };

struct bench {
    struct dns_server  server;
    char               servers_text[SERVER_PATH_MAX];
    struct log         log;
    struct loop       *loop;
    struct dns        *dns;
    struct conf_report report;
    struct settings   *settings;
    struct upstream   *upstream;
    struct roster     *roster;
    struct servers    *servers;
    unsigned           trouble_count;
    char               text[2048];
};

static struct bench bench;

static const struct http_limits limits = {
    8192, 65536, 100, 8192, 4096, 8, 65536, 100, false, false
};

/* ---- what is told ---- */

static void on_published(struct roster *r, struct roster_retired *what)
{
    (void)r;
    roster_retired_free(what);
}

static void on_member(struct roster *r, struct member *m, bool is_leaving)
{
    (void)r;
    (void)m;
    (void)is_leaving;
}

static void on_trouble(struct roster *r)
{
    (void)r;
    bench.trouble_count++;
}

static const struct roster_ops ops = { on_published, on_member, NULL, on_trouble };

/* "address [server name] [*weight] [backup]", a line each. */
static const char *members(void)
{
    size_t len = 0;
    bench.text[0] = 0;
    LIST_EACH (it, &bench.roster->members) {
        const struct endpoint *e = container_of(it, struct member, link)->endpoint;
        len += (size_t)snprintf(bench.text + len, sizeof(bench.text) - len, "%s [%s] *%u%s\n",
                                e->text, e->server_name, e->weight, e->is_backup ? " backup" : "");
    }
    return bench.text;
}

static void until_members(const char *text)
{
    uint64_t end_ns = clock_mono_ns() + 20000000000u;
    while (strcmp(members(), text) != 0) {
        if (clock_mono_ns() > end_ns) fail_msg("%s", members());
        loop_turn(bench.loop, TURN_MS);
    }
}

static void until_trouble(const char *text)
{
    uint64_t end_ns = clock_mono_ns() + 20000000000u;
    while (strcmp(bench.roster->trouble, text) != 0) {
        if (clock_mono_ns() > end_ns) fail_msg("%s", bench.roster->trouble);
        loop_turn(bench.loop, TURN_MS);
    }
}

/* ---- life ---- */

static void load(const char *servers)
{
    struct upstream_build build = { NULL, 1, 60000, limits, 0, 0 };
    struct buffer         text = BUFFER_INIT;
    struct error          e;
    buffer_printf(&text,
                  "listeners: { web: { address: \"127.0.0.1:0\" } }\n"
                  "upstreams: { app: { servers: [ %s ] } }\n"
                  "routes: [ { name: a, upstream: app } ]\n",
                  servers);
    conf_report_init(&bench.report);
    bench.settings =
        conf_load_text("test.yaml", buffer_slice(&text), &conf_reader_direct, &bench.report);
    buffer_reset(&text);
    if (!bench.settings) {
        conf_report_print(&bench.report, &text, false);
        fail_msg("%s", text.data);
    }
    bench.upstream = upstream_new(&bench.settings->upstreams[0], &build, &e);
    if (!bench.upstream) fail_msg("%s", e.text);
}

/* With a name server when there are options for one. */
static void begin(const char *servers, const char *const *options)
{
    struct error e;
    memset(&bench, 0, sizeof(bench));
    log_init(&bench.log, STDERR_FILENO, LOG_LEVEL_ERROR);
    if (options) dns_server_start(&bench.server, options);
    bench.loop = make_loop();
    struct dns_options o = test_options(bench.servers_text, options ? bench.server.port : 1);
    bench.dns = dns_new(bench.loop, &o, &e);
    assert_non_null(bench.dns);
    load(servers);
    bench.roster = roster_new(bench.upstream, bench.loop, NULL, &ops, NULL, NULL);
    bench.servers = servers_new(bench.roster, bench.dns);
}

static int tear_down(void **state)
{
    (void)state;
    servers_free(bench.servers);
    roster_free(bench.roster);
    upstream_free(bench.upstream);
    settings_free(bench.settings);
    conf_report_reset(&bench.report);
    dns_free(bench.dns);
    loop_free(bench.loop);
    dns_server_reset(&bench.server);
    return 0;
}

/* ---- as they stand ---- */

static void addresses_are_there_at_once(void **state)
{
    (void)state;
    begin("\"10.0.0.7:80\", { address: \"[2001:db8::1]:81\", weight: 3 }, "
          "{ address: \"10.0.0.8:80\", backup: true }",
          NULL);
    assert_string_equal(members(), "10.0.0.7:80 [10.0.0.7] *1\n"
                                   "[2001:db8::1]:81 [2001:db8::1] *3\n"
                                   "10.0.0.8:80 [10.0.0.8] *1 backup\n");
    assert_true(bench.roster->has_source);
    assert_string_equal(bench.roster->trouble, "");
}

/* A long path is not cut. */
static void sockets_are_named_by_their_paths(void **state)
{
    const char *path = "unix:/run/a-rather-long-name-of-an-application/and-a-longer-one-of-it.sock";
    char        servers[256];
    char        expected[256];
    (void)state;
    snprintf(servers, sizeof(servers), "\"unix:/run/app.sock\", { address: \"%s\", weight: 2 }",
             path);
    snprintf(expected, sizeof(expected), "unix:/run/app.sock [] *1\n%s [] *2\n", path);
    begin(servers, NULL);
    assert_string_equal(members(), expected);
    const struct member *first = container_of(bench.roster->members.next, struct member, link);
    assert_int_equal(first->endpoint->address.family, ADDRESS_UNIX);
    assert_string_equal(first->endpoint->address.path, "/run/app.sock");
}

/* ---- names ---- */

static void a_name_is_all_its_addresses(void **state)
{
    (void)state;
    begin("\"10.0.0.7:80\", { address: \"app.test:8080\", weight: 4, backup: true }",
          OPTIONS("host-record=app.test,192.0.2.2,2001:db8::1", "host-record=app.test,192.0.2.1"));
    assert_string_equal(members(), "10.0.0.7:80 [10.0.0.7] *1\n"); /* it is not waited for */
    until_members("10.0.0.7:80 [10.0.0.7] *1\n"
                  "192.0.2.1:8080 [app.test] *4 backup\n"
                  "192.0.2.2:8080 [app.test] *4 backup\n"
                  "[2001:db8::1]:8080 [app.test] *4 backup\n");
}

/* For each is asked by its own name. */
static void one_address_under_two_names_is_two(void **state)
{
    (void)state;
    begin("\"a.test:80\", \"b.test:80\", \"a.test:81\", \"192.0.2.1:80\", { srv: _s._tcp.test }",
          OPTIONS("host-record=a.test,192.0.2.1", "host-record=b.test,192.0.2.1",
                  "srv-host=_s._tcp.test,a.test,80,1,7", "srv-host=_s._tcp.test,a.test,82,1,7"));
    until_members("192.0.2.1:80 [a.test] *1\n192.0.2.1:80 [b.test] *1\n"
                  "192.0.2.1:81 [a.test] *1\n192.0.2.1:80 [192.0.2.1] *1\n"
                  "192.0.2.1:82 [a.test] *7\n"); /* what is there already is not there twice */
}

static void a_name_moves(void **state)
{
    (void)state;
    begin("\"app.test:80\"",
          OPTIONS("host-record=app.test,192.0.2.1", "host-record=app.test,192.0.2.2"));
    until_members("192.0.2.1:80 [app.test] *1\n192.0.2.2:80 [app.test] *1\n");
    const struct member   *kept = container_of(bench.roster->members.prev, struct member, link);
    const struct endpoint *before = kept->endpoint;
    dns_server_stop(&bench.server);
    dns_server_start(&bench.server,
                     OPTIONS("host-record=app.test,192.0.2.2", "host-record=app.test,192.0.2.3"));
    until_members("192.0.2.2:80 [app.test] *1\n192.0.2.3:80 [app.test] *1\n");
    kept = container_of(bench.roster->members.next, struct member, link);
    assert_ptr_equal(kept->endpoint, before);
}

/* ---- services ---- */

static void services_say_ports_weights_and_priorities(void **state)
{
    (void)state;
    begin("{ srv: _s._tcp.test, weight: 9 }",
          OPTIONS("host-record=a.test,192.0.2.1", "host-record=b.test,192.0.2.2",
                  "host-record=c.test,192.0.2.3", "srv-host=_s._tcp.test,a.test,81,10,5",
                  "srv-host=_s._tcp.test,b.test,82,10,0", "srv-host=_s._tcp.test,c.test,83,20,7"));
    until_members("192.0.2.1:81 [a.test] *5\n192.0.2.2:82 [b.test] *1\n"
                  "192.0.2.3:83 [c.test] *7 backup\n");
}

/* What is configured as a backup stays one; priorities count within one service. */
static void each_service_has_its_own_lowest_priority(void **state)
{
    (void)state;
    begin("{ srv: _s._tcp.test }, { srv: _t._tcp.test }, { srv: _u._tcp.test, backup: true }",
          OPTIONS("host-record=a.test,192.0.2.1", "srv-host=_s._tcp.test,a.test,81,10,1",
                  "srv-host=_t._tcp.test,a.test,82,20,1", "srv-host=_u._tcp.test,a.test,83,0,1"));
    until_members("192.0.2.1:81 [a.test] *1\n192.0.2.1:82 [a.test] *1\n"
                  "192.0.2.1:83 [a.test] *1 backup\n");
}

/* The lowest is gone: the next ones are no backups any more. */
static void backups_become_primaries(void **state)
{
    (void)state;
    begin("{ srv: _s._tcp.test }",
          OPTIONS("host-record=a.test,192.0.2.1", "srv-host=_s._tcp.test,a.test,81,10,1",
                  "srv-host=_s._tcp.test,a.test,82,20,1"));
    until_members("192.0.2.1:81 [a.test] *1\n192.0.2.1:82 [a.test] *1 backup\n");
    const struct member *last = container_of(bench.roster->members.prev, struct member, link);
    dns_server_stop(&bench.server);
    dns_server_start(&bench.server, OPTIONS("host-record=a.test,192.0.2.1",
                                            "srv-host=_s._tcp.test,a.test,82,20,3"));
    until_members("192.0.2.1:82 [a.test] *3\n");
    assert_ptr_equal(container_of(bench.roster->members.next, struct member, link), last);
}

/* ---- trouble ---- */

static void a_name_that_is_gone_keeps_its_addresses(void **state)
{
    const char *all = "192.0.2.1:80 [app.test] *1\n10.0.0.7:80 [10.0.0.7] *1\n";
    (void)state;
    begin("\"app.test:80\", \"10.0.0.7:80\"", OPTIONS("host-record=app.test,192.0.2.1"));
    until_members(all);
    assert_string_equal(bench.roster->trouble, "");
    dns_server_stop(&bench.server);
    dns_server_start(&bench.server, OPTIONS("host-record=other.test,192.0.2.1"));
    until_trouble("the name \"app.test\" does not exist");
    assert_string_equal(members(), all);
    assert_int_equal(bench.trouble_count, 1);
    dns_server_stop(&bench.server);
    dns_server_start(&bench.server, OPTIONS("host-record=app.test,192.0.2.1"));
    until_trouble("");
    assert_string_equal(members(), all);
    assert_int_equal(bench.trouble_count, 2);
}

/* One name's trouble does not keep another from what is new. */
static void others_are_as_they_are_now(void **state)
{
    (void)state;
    begin("\"a.test:80\", \"b.test:80\", \"never.test:80\"",
          OPTIONS("host-record=a.test,192.0.2.1", "host-record=b.test,192.0.2.2"));
    until_trouble("the name \"never.test\" does not exist");
    until_members("192.0.2.1:80 [a.test] *1\n192.0.2.2:80 [b.test] *1\n");
    dns_server_stop(&bench.server);
    dns_server_start(&bench.server, OPTIONS("host-record=b.test,192.0.2.9"));
    until_members("192.0.2.1:80 [a.test] *1\n192.0.2.9:80 [b.test] *1\n");
    until_trouble("the name \"a.test\" does not exist"); /* the first one is told */
}

/* What a reload's successor asks for is known already. */
static void what_is_known_is_there_at_once(void **state)
{
    (void)state;
    begin("\"app.test:80\"", OPTIONS("host-record=app.test,192.0.2.1"));
    until_members("192.0.2.1:80 [app.test] *1\n");
    struct upstream *before = bench.upstream;
    struct roster   *roster = bench.roster;
    struct servers  *servers = bench.servers;
    settings_free(bench.settings);
    conf_report_reset(&bench.report);
    load("\"app.test:81\"");
    bench.roster = roster_new(bench.upstream, bench.loop, NULL, &ops, NULL, roster);
    bench.servers = servers_new(bench.roster, bench.dns);
    assert_string_equal(members(), "192.0.2.1:81 [app.test] *1\n");
    servers_free(servers);
    roster_free(roster);
    upstream_free(before);
}

/* The roster keeps what it has. */
static void it_may_end_at_any_time(void **state)
{
    (void)state;
    begin("\"app.test:80\", { srv: _s._tcp.test }, \"10.0.0.7:80\"",
          OPTIONS("host-record=app.test,192.0.2.1", "srv-host=_s._tcp.test,app.test,81,1,1"));
    servers_free(bench.servers);
    bench.servers = servers_new(bench.roster, bench.dns);
    until_members("192.0.2.1:80 [app.test] *1\n192.0.2.1:81 [app.test] *1\n"
                  "10.0.0.7:80 [10.0.0.7] *1\n");
    servers_free(bench.servers);
    bench.servers = NULL;
    dns_server_stop(&bench.server);
    loop_turn(bench.loop, 0);
    assert_int_equal(bench.roster->member_count, 3);
    servers_free(NULL);
}

#define TEST(f) cmocka_unit_test_teardown(f, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(addresses_are_there_at_once),
        TEST(sockets_are_named_by_their_paths),
        TEST(a_name_is_all_its_addresses),
        TEST(one_address_under_two_names_is_two),
        TEST(a_name_moves),
        TEST(services_say_ports_weights_and_priorities),
        TEST(each_service_has_its_own_lowest_priority),
        TEST(backups_become_primaries),
        TEST(a_name_that_is_gone_keeps_its_addresses),
        TEST(others_are_as_they_are_now),
        TEST(what_is_known_is_there_at_once),
        TEST(it_may_end_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
