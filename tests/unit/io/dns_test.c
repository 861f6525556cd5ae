/* SPDX-License-Identifier: Apache-2.0
 *
 * Names that are looked up again and again, at a real name server.
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

#include "conn_probe.h"
#include "dns_server.h"

#define OPTIONS(...) ((const char *const[]){ __VA_ARGS__, NULL })

enum { MANY = 500, LARGE = 300, WAIT_MS = 100, SLOW_MS = 30000 };

/* A server, a loop, lookups, and whoever watches. */
struct bench {
    struct dns_server server;
    char              servers[SERVER_PATH_MAX];
    struct loop      *loop;
    struct dns       *dns;
    struct watcher    a, b, c;
};

static void bench_open(struct bench *t, const char *const *options)
{
    struct error e;
    dns_server_start(&t->server, options);
    t->loop = make_loop();
    struct dns_options o = test_options(t->servers, t->server.port);
    t->dns = dns_new(t->loop, &o, &e);
    assert_non_null(t->dns);
}

static int set_up(void **state)
{
    static struct bench t;
    t = (struct bench){ .loop = NULL };
    *state = &t;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *t = *state;
    unwatch(&t->a);
    unwatch(&t->b);
    unwatch(&t->c);
    dns_free(t->dns);
    loop_free(t->loop);
    dns_server_reset(&t->server);
    return 0;
}

static void watch(struct bench *t, struct watcher *w, enum dns_kind kind, const char *name)
{
    watch_name(w, t->loop, t->dns, kind, name);
}

/* What the next change of the watcher says. */
static const char *next_change(struct watcher *w)
{
    turn_until(w->loop, &w->changed_count, w->changed_count + 1);
    return answer_of(w);
}

static void until_answer(struct watcher *w, const char *text)
{
    while (strcmp(answer_of(w), text) != 0) next_change(w);
}

static void turn_for(struct loop *l, uint64_t ms)
{
    uint64_t end_ns = clock_mono_ns() + ms * 1000000;
    for (uint64_t now_ns; (now_ns = clock_mono_ns()) < end_ns;)
        loop_turn(l, (int)((end_ns - now_ns) / 1000000) + 1);
}

static void addresses_of_both_kinds_sorted_and_once(void **state)
{
    struct bench *t = *state;
    bench_open(t,
               OPTIONS("host-record=a.test,192.0.2.9,2001:db8::1", "host-record=a.test,192.0.2.1",
                       "host-record=a.test,192.0.2.9", "host-record=a.test,::ffff:192.0.2.1"));
    watch(t, &t->a, DNS_ADDRESSES, "a.test");
    assert_int_equal(t->a.changed_count, 0);
    assert_false(dns_answer(t->a.watch).is_known);
    assert_string_equal(next_change(&t->a), "0 0 192.0.2.1:0 a.test\n0 0 192.0.2.9:0 a.test\n"
                                            "0 0 [2001:db8::1]:0 a.test\n");
    assert_true(dns_answer(t->a.watch).is_known);
    assert_int_equal(t->a.changed_count, 1);
}

static void services_with_their_priorities_and_weights(void **state)
{
    struct bench *t = *state;
    bench_open(t,
               OPTIONS("host-record=a.test,192.0.2.1,2001:db8::1", "host-record=b.test,192.0.2.2",
                       "cname=c.test,b.test", "srv-host=_s._tcp.test,a.test,8080,20,5",
                       "srv-host=_s._tcp.test,B.Test,9090,10,65535",
                       "srv-host=_s._tcp.test,b.test,9091,10,0",
                       "srv-host=_s._tcp.test,c.test,9090,30,7",
                       "srv-host=_s._tcp.test,c.test,9090,10,7"));
    watch(t, &t->a, DNS_SRV, "_s._tcp.test");
    /* c.test has an address and a port that are there already. */
    assert_string_equal(next_change(&t->a),
                        "10 65535 192.0.2.2:9090 b.test\n10 0 192.0.2.2:9091 b.test\n"
                        "20 5 192.0.2.1:8080 a.test\n20 5 [2001:db8::1]:8080 a.test\n");
    assert_int_equal(dns_server_count(&t->server, "query[A] b.test"), 1);
}

/* RFC 2782: a target of "." */
static void a_service_that_does_not_exist_is_no_trouble(void **state)
{
    struct bench *t = *state;
    bench_open(t, OPTIONS("srv-host=_none._tcp.test", "host-record=none.test,192.0.2.1"));
    watch(t, &t->a, DNS_SRV, "_none._tcp.test");
    watch(t, &t->b, DNS_SRV, "_other._tcp.test");
    watch(t, &t->c, DNS_SRV, "none.test");
    assert_string_equal(next_change(&t->a), "");
    assert_true(dns_answer(t->a.watch).is_known);
    until_answer(&t->b, "trouble: the name \"_other._tcp.test\" does not exist\n");
    until_answer(&t->c, "trouble: the name \"none.test\" has no SRV record\n");
    assert_false(dns_answer(t->b.watch).is_known);
}

/* Targets that fail keep what they had; others are as they are now. */
static void a_target_that_is_gone_keeps_its_addresses(void **state)
{
    struct bench *t = *state;
    bench_open(t,
               OPTIONS("host-record=a.test,192.0.2.1", "host-record=b.test,192.0.2.2",
                       "srv-host=_s._tcp.test,a.test,80,1,1", "srv-host=_s._tcp.test,b.test,80,1,1",
                       "srv-host=_s._tcp.test,c.test,80,1,1"));
    watch(t, &t->a, DNS_SRV, "_s._tcp.test");
    assert_string_equal(
        next_change(&t->a),
        "trouble: a target of \"_s._tcp.test\": the name \"c.test\" does not exist\n"
        "1 1 192.0.2.1:80 a.test\n1 1 192.0.2.2:80 b.test\n");
    uint64_t good_ms = dns_answer(t->a.watch).good_ms;
    dns_server_stop(&t->server);
    dns_server_start(&t->server,
                     OPTIONS("host-record=a.test,192.0.2.7", "srv-host=_s._tcp.test,a.test,80,1,1",
                             "srv-host=_s._tcp.test,b.test,81,2,1"));
    until_answer(&t->a,
                 "trouble: a target of \"_s._tcp.test\": the name \"b.test\" does not exist\n"
                 "1 1 192.0.2.7:80 a.test\n2 1 192.0.2.2:81 b.test\n");
    assert_int_equal(dns_answer(t->a.watch).good_ms, good_ms);
    dns_server_stop(&t->server);
    dns_server_start(&t->server, OPTIONS("srv-host=_s._tcp.test,b.test,82,2,1",
                                         "srv-host=_s._tcp.test,c.test,82,2,1"));
    until_answer(&t->a, "trouble: a target of \"_s._tcp.test\": the name \"b.test\" does not "
                        "exist (and 1 more)\n"
                        "1 1 192.0.2.7:80 a.test\n2 1 192.0.2.2:81 b.test\n");
}

/* The least TTL of all counts: here that of the target. */
static void looks_again_when_the_ttl_is_over_and_not_before(void **state)
{
    struct bench *t = *state;
    bench_open(t, OPTIONS("host-record=a.test,192.0.2.1,1", "host-record=a.test,2001:db8::1,50",
                          "host-record=b.test,192.0.2.2,50", "srv-host=_s._tcp.test,a.test,80,1,1",
                          "local-ttl=50"));
    watch(t, &t->a, DNS_ADDRESSES, "a.test");
    watch(t, &t->b, DNS_SRV, "_s._tcp.test");
    watch(t, &t->c, DNS_ADDRESSES, "b.test");
    next_change(&t->a);
    turn_until(t->loop, &t->b.changed_count, 1);
    turn_until(t->loop, &t->c.changed_count, 1);
    uint64_t before_ns = t->a.changed_ns, before_srv_ns = t->b.changed_ns;
    dns_server_stop(&t->server);
    dns_server_start(&t->server, OPTIONS("host-record=a.test,192.0.2.3", "local-ttl=50",
                                         "host-record=b.test,192.0.2.4",
                                         "srv-host=_s._tcp.test,a.test,80,1,1"));
    until_answer(&t->a, "0 0 192.0.2.3:0 a.test\n");
    until_answer(&t->b, "1 1 192.0.2.3:80 a.test\n");
    assert_true(t->a.changed_ns - before_ns >= 990000000u);
    assert_true(t->b.changed_ns - before_srv_ns >= 990000000u);
    assert_int_equal(dns_server_count(&t->server, "query[A] b.test"), 1);
    assert_string_equal(answer_of(&t->c), "0 0 192.0.2.2:0 b.test\n");
}

static void equal_answers_are_no_change(void **state)
{
    struct bench *t = *state;
    bench_open(t, OPTIONS("host-record=a.test,192.0.2.1,0", "host-record=a.test,192.0.2.2,0"));
    watch(t, &t->a, DNS_ADDRESSES, "a.test");
    next_change(&t->a);
    uint64_t good_ms = dns_answer(t->a.watch).good_ms;
    while (dns_server_count(&t->server, "query[A] a.test") < 4) loop_turn(t->loop, WAIT_MS);
    assert_int_equal(t->a.changed_count, 1);
    assert_true(dns_answer(t->a.watch).good_ms >= good_ms + 200);
}

static void the_last_good_answer_stays(void **state)
{
    struct bench *t = *state;
    bench_open(t, OPTIONS("host-record=a.test,192.0.2.1,0"));
    watch(t, &t->a, DNS_ADDRESSES, "a.test");
    assert_string_equal(next_change(&t->a), "0 0 192.0.2.1:0 a.test\n");
    /* It hangs. */
    dns_server_signal(&t->server, SIGSTOP);
    assert_string_equal(next_change(&t->a),
                        "trouble: no name server answers for \"a.test\"\n0 0 192.0.2.1:0 a.test\n");
    assert_true(dns_answer(t->a.watch).is_known);
    dns_server_signal(&t->server, SIGCONT);
    assert_string_equal(next_change(&t->a), "0 0 192.0.2.1:0 a.test\n");
    /* It is gone. */
    dns_server_stop(&t->server);
    assert_string_equal(next_change(&t->a), "trouble: no name server can be reached to look up "
                                            "\"a.test\"\n0 0 192.0.2.1:0 a.test\n");
    uint64_t good_ms = dns_answer(t->a.watch).good_ms;
    /* It has lost its records. */
    dns_server_start(&t->server, OPTIONS("host-record=b.test,192.0.2.1,0"));
    assert_string_equal(next_change(&t->a),
                        "trouble: the name \"a.test\" does not exist\n0 0 192.0.2.1:0 a.test\n");
    assert_int_equal(dns_answer(t->a.watch).good_ms, good_ms);
    dns_server_stop(&t->server);
    dns_server_start(&t->server, OPTIONS("host-record=a.test,192.0.2.2"));
    until_answer(&t->a, "0 0 192.0.2.2:0 a.test\n");
}

static void trouble_is_told_for_people(void **state)
{
    struct bench *t = *state;
    char          label[80] = "";
    memset(label, 'a', 70);
    bench_open(t, OPTIONS("txt-record=a.test,text"));
    watch(t, &t->a, DNS_ADDRESSES, "a.test");
    watch(t, &t->b, DNS_ADDRESSES, "Elsewhere.example");
    watch(t, &t->c, DNS_ADDRESSES, label);
    until_answer(&t->a, "trouble: the name \"a.test\" has no address\n");
    until_answer(&t->b,
                 "trouble: the name server refuses to look up \"Elsewhere.example\" (REFUSED)\n");
    turn_until(t->loop, &t->c.changed_count, 1);
    assert_non_null(strstr(answer_of(&t->c), label));
}

/* 100 ms, then 200, 400 and so on: in 1.5 s there are four or five, where there would be ten
 * and more without the doubling. */
static void retries_become_rarer(void **state)
{
    struct bench *t = *state;
    bench_open(t, OPTIONS("txt-record=b.test,text"));
    watch(t, &t->a, DNS_ADDRESSES, "a.test");
    next_change(&t->a);
    turn_for(t->loop, 1500);
    assert_in_range(dns_server_count(&t->server, "query[A] a.test"), 3, 5);
    assert_int_equal(t->a.changed_count, 1);
}

static void hosts_file_is_asked_first(void **state)
{
    struct bench *t = *state;
    bench_open(t, OPTIONS("host-record=localhost,192.0.2.1"));
    watch(t, &t->a, DNS_ADDRESSES, "localhost");
    assert_int_equal(t->a.changed_count, 0);
    assert_non_null(strstr(next_change(&t->a), "0 0 127.0.0.1:0 localhost\n"));
    assert_int_equal(dns_server_count(&t->server, "localhost"), 0);
}

static void watches_of_a_name_share_its_lookups(void **state)
{
    struct bench *t = *state;
    bench_open(t, OPTIONS("host-record=a.test,192.0.2.1,50"));
    watch(t, &t->a, DNS_ADDRESSES, "a.test");
    watch(t, &t->b, DNS_ADDRESSES, "A.TEST");
    turn_until(t->loop, &t->a.changed_count, 1);
    turn_until(t->loop, &t->b.changed_count, 1);
    watch(t, &t->c, DNS_ADDRESSES, "a.test");
    assert_string_equal(answer_of(&t->c), "0 0 192.0.2.1:0 a.test\n");
    turn_for(t->loop, 200);
    assert_int_equal(t->c.changed_count, 0);
    assert_int_equal(dns_server_count(&t->server, "query[A] a.test"), 1);
    assert_int_equal(dns_server_count(&t->server, "query[AAAA] a.test"), 1);
    /* The last one to go takes the name along. */
    unwatch(&t->a);
    unwatch(&t->c);
    assert_string_equal(answer_of(&t->b), "0 0 192.0.2.1:0 a.test\n");
    unwatch(&t->b);
    watch(t, &t->b, DNS_ADDRESSES, "a.test");
    assert_false(dns_answer(t->b.watch).is_known);
    next_change(&t->b);
    assert_int_equal(dns_server_count(&t->server, "query[A] a.test"), 2);
}

/* Unwatches all that are there when it is called first. */
struct quitter {
    struct dns_watch *watches[3];
    struct dns       *dns;
    unsigned          count;
    bool              watches_again;
};

static void on_quit(void *arg)
{
    struct quitter *q = arg;
    q->count++;
    for (int i = 0; i < 3; i++) dns_unwatch(q->watches[i]);
    memset(q->watches, 0, sizeof(q->watches));
    if (!q->watches_again) return;
    q->watches_again = false;
    q->watches[0] = dns_watch(q->dns, DNS_ADDRESSES, "a.test", on_quit, q);
}

static void a_watch_may_end_within_its_call(void **state)
{
    struct bench  *t = *state;
    struct quitter q = { .watches_again = true };
    bench_open(t, OPTIONS("host-record=a.test,192.0.2.1", "host-record=b.test,192.0.2.1"));
    q.dns = t->dns;
    q.watches[0] = dns_watch(t->dns, DNS_ADDRESSES, "a.test", on_quit, &q);
    q.watches[1] = dns_watch(t->dns, DNS_ADDRESSES, "a.test", on_quit, &q);
    q.watches[2] = dns_watch(t->dns, DNS_ADDRESSES, "b.test", on_quit, &q);
    turn_until(t->loop, &q.count, 2);
    assert_null(q.watches[0]);
    turn_for(t->loop, 200);
    assert_int_equal(q.count, 2);
}

static void a_watch_may_end_while_its_lookup_runs(void **state)
{
    struct bench *t = *state;
    bench_open(t, OPTIONS("host-record=a.test,192.0.2.1,2001:db8::1",
                          "srv-host=_s._tcp.test,a.test,80,1,1"));
    dns_server_signal(&t->server, SIGSTOP);
    watch(t, &t->a, DNS_ADDRESSES, "a.test");
    watch(t, &t->b, DNS_SRV, "_s._tcp.test");
    for (int i = 0; i < 3; i++) loop_turn(t->loop, 0);
    unwatch(&t->a);
    unwatch(&t->b);
    watch(t, &t->c, DNS_ADDRESSES, "a.test");
    loop_turn(t->loop, 0);
    dns_server_signal(&t->server, SIGCONT);
    until_answer(&t->c, "0 0 192.0.2.1:0 a.test\n0 0 [2001:db8::1]:0 a.test\n");
    /* Once more, and freed with it: the end of the test. */
    dns_server_signal(&t->server, SIGSTOP);
    watch(t, &t->b, DNS_SRV, "_s._tcp.test");
    for (int i = 0; i < 3; i++) loop_turn(t->loop, 0);
}

static void other_servers_are_asked_after_configure(void **state)
{
    struct bench      *t = *state;
    struct dns_server  other = { 0 };
    struct error       e;
    char               text[SERVER_PATH_MAX];
    struct dns_options o;
    bench_open(t, OPTIONS("host-record=a.test,192.0.2.1,50"));
    dns_server_start(&other, OPTIONS("host-record=a.test,192.0.2.2", "host-record=b.test,::2"));
    watch(t, &t->a, DNS_ADDRESSES, "a.test");
    next_change(&t->a);
    o = test_options(text, other.port);
    o.servers = "10.0.0.1,nowhere";
    assert_false(dns_configure(t->dns, &o, &e));
    assert_non_null(strstr(e.text, "\"nowhere\" is no name server's address"));
    dns_server_signal(&t->server, SIGSTOP);
    watch(t, &t->b, DNS_ADDRESSES, "b.test");
    loop_turn(t->loop, 0);
    o.servers = text;
    assert_true(dns_configure(t->dns, &o, &e));
    until_answer(&t->a, "0 0 192.0.2.2:0 a.test\n");
    until_answer(&t->b, "0 0 [::2]:0 b.test\n");
    dns_server_reset(&other);
}

/* More than a datagram holds: by TCP. */
static void large_answers_are_complete(void **state)
{
    struct bench *t = *state;
    struct buffer text = BUFFER_INIT;
    char          path[SERVER_PATH_MAX], option[SERVER_PATH_MAX + 16];
    for (int i = 0; i < LARGE; i++)
        buffer_printf(&text, "192.0.%d.%d a.test\n", 2 + i / 200, 1 + i % 200);
    dns_server_write(path, &text);
    snprintf(option, sizeof(option), "addn-hosts=%s", path);
    bench_open(t, OPTIONS(option));
    watch(t, &t->a, DNS_ADDRESSES, "a.test");
    next_change(&t->a);
    assert_int_equal(dns_answer(t->a.watch).count, LARGE);
    assert_null(dns_answer(t->a.watch).trouble);
    unlink(path);
    buffer_reset(&text);
}

static void on_one(void *arg)
{
    ++*(unsigned *)arg;
}

static void many_names_at_once(void **state)
{
    struct bench      *t = *state;
    struct dns_watch  *watches[MANY];
    struct buffer      text = BUFFER_INIT;
    unsigned           count = 0;
    struct dns_options o;
    struct error       e;
    char               path[SERVER_PATH_MAX], option[SERVER_PATH_MAX + 16];
    for (int i = 0; i < MANY; i++)
        buffer_printf(&text, "10.1.%d.%d n%d.test\n10.2.%d.%d n%d.test\n", i / 200, i % 200, i,
                      i / 200, i % 200, i);
    dns_server_write(path, &text);
    snprintf(option, sizeof(option), "addn-hosts=%s", path);
    bench_open(t, OPTIONS(option, "local-ttl=50"));
    /* A machine that is busy must not count as a loss. */
    o = test_options(t->servers, t->server.port);
    o.timeout_ms = SLOW_MS;
    assert_true(dns_configure(t->dns, &o, &e));
    for (int i = 0; i < MANY; i++) {
        char name[32];
        snprintf(name, sizeof(name), "n%d.test", i);
        watches[i] = dns_watch(t->dns, DNS_ADDRESSES, name, on_one, &count);
    }
    turn_until(t->loop, &count, MANY);
    for (int i = 0; i < MANY; i++) {
        struct dns_answer answer = dns_answer(watches[i]);
        assert_int_equal(answer.count, 2);
        assert_int_equal(answer.records[1].address.ip[3], i % 200);
        dns_unwatch(watches[i]);
    }
    /* Nothing was lost, so nothing was asked twice. */
    assert_int_equal(dns_server_count(&t->server, "query[A] n"), MANY);
    unlink(path);
    buffer_reset(&text);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(addresses_of_both_kinds_sorted_and_once),
        TEST(services_with_their_priorities_and_weights),
        TEST(a_service_that_does_not_exist_is_no_trouble),
        TEST(a_target_that_is_gone_keeps_its_addresses),
        TEST(looks_again_when_the_ttl_is_over_and_not_before),
        TEST(equal_answers_are_no_change),
        TEST(the_last_good_answer_stays),
        TEST(trouble_is_told_for_people),
        TEST(retries_become_rarer),
        TEST(hosts_file_is_asked_first),
        TEST(watches_of_a_name_share_its_lookups),
        TEST(a_watch_may_end_within_its_call),
        TEST(a_watch_may_end_while_its_lookup_runs),
        TEST(other_servers_are_asked_after_configure),
        TEST(large_answers_are_complete),
        TEST(many_names_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
