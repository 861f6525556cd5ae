/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks by a request: what is asked, and what is made of every kind of answer.
 */
#include "probe_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct rig rig;

static int tear_down(void **state)
{
    (void)state;
    rig_reset(&rig);
    return 0;
}

static void begin(const char *health_check, const char *more, const char *answer)
{
    rig_init(&rig, health_check, more);
    rig_listen(&rig, NULL);
    if (answer) rig_answer(&rig, answer);
}

#define OK_ANSWER "HTTP/1.1 200 Fine\r\nContent-Length: 2\r\n\r\nok"

/* ---- what is asked ---- */

static void expect_request(const char *format, const char *host)
{
    char expected[512];
    snprintf(expected, sizeof(expected), format, host);
    assert_string_equal(rig.got.data, expected);
}

static void asks_as_configured(void **state)
{
    (void)state;
    begin("{ path: \"/up?deep=1\", method: POST, headers: { X-Probe: yes } }", "", OK_ANSWER);
    rig_check(&rig, true, "200 OK");
    expect_request("POST /up?deep=1 HTTP/1.1\r\nHost: %s\r\nUser-Agent: wharfgate-health-check\r\n"
                   "X-Probe: yes\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                   rig.text);
    assert_int_equal(rig_member(&rig, 0)->state, ENDPOINT_READY);
}

static void takes_the_upstreams_host(void **state)
{
    (void)state;
    begin("{ headers: { User-Agent: me } }", "    host: app.internal\n", OK_ANSWER);
    rig_check(&rig, true, "200 OK");
    expect_request("GET / HTTP/1.1\r\nHost: %s\r\nUser-Agent: me\r\nConnection: close\r\n\r\n",
                   "app.internal");
}

static void takes_its_own_host_first(void **state)
{
    (void)state;
    begin("{ host: probe.internal }", "    host: app.internal\n", OK_ANSWER);
    rig_check(&rig, true, "200 OK");
    expect_request("GET / HTTP/1.1\r\nHost: %s\r\nUser-Agent: wharfgate-health-check\r\n"
                   "Connection: close\r\n\r\n",
                   "probe.internal");
}

static void each_has_a_connection_of_its_own(void **state)
{
    (void)state;
    begin("{ interval: 100ms, fast_interval: 100ms }", "", OK_ANSWER);
    rig_check(&rig, true, "200 OK");
    rig_until(&rig, 3);
    assert_int_equal(rig.accepted_count, 3);
    rig_turn(&rig);
    assert_int_equal(rig.closed_count, 3);
    assert_int_equal(rig.reset_count, 0); /* the replica could finish its answer */
}

/* ---- statuses ---- */

static void says_the_status_in_its_own_words(void **state)
{
    (void)state;
    begin("{ path: / }", "", "HTTP/1.1 503 \xff\xfe bad\r\nContent-Length: 0\r\n\r\n");
    rig_check(&rig, false, "503 Service Unavailable");
}

static void knows_no_word_for_some(void **state)
{
    (void)state;
    begin("{ path: / }", "", "HTTP/1.1 599 Odd\r\nContent-Length: 0\r\n\r\n");
    rig_check(&rig, false, "599");
}

static void redirects_are_good(void **state)
{
    (void)state;
    begin("{ path: / }", "", "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n");
    rig_check(&rig, true, "302 Found");
}

static void statuses_are_as_configured(void **state)
{
    (void)state;
    begin("{ status: [ 404, 5xx ], fast_interval: 100ms }", "",
          "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    rig_check(&rig, false, "200 OK");
    rig_answer(&rig, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    rig_expect(&rig, true, "404 Not Found");
    rig_answer(&rig, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
    rig_expect(&rig, true, "502 Bad Gateway");
}

static void early_answers_do_not_count(void **state)
{
    (void)state;
    begin("{ path: / }", "", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
    rig_then(&rig, S("HTTP/1.1 500 Sorry\r\nContent-Length: 0\r\n\r\n"));
    rig_check(&rig, false, "500 Internal Server Error");
}

static void head_has_no_body(void **state)
{
    (void)state;
    begin("{ method: HEAD }", "", "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n");
    rig_check(&rig, true, "200 OK");
}

/* ---- the head decides ---- */

static void does_not_wait_for_the_body(void **state)
{
    (void)state;
    begin("{ path: / }", "", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    rig_check(&rig, true, "200 OK");
    rig_turn(&rig);
    assert_int_equal(rig.closed_count, 0); /* but it lets the replica finish */
    assert_int_equal(rig.prober.running_count, 1);
    rig_then(&rig, S("hello"));
    while (rig.closed_count == 0) rig_turn(&rig);
    assert_int_equal(rig.prober.running_count, 0);
    assert_int_equal(rig.reset_count, 0);
}

static void reads_no_large_body(void **state)
{
    (void)state;
    begin("{ path: / }", "", "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nabc");
    rig_check(&rig, true, "200 OK");
    assert_int_equal(rig.prober.running_count, 0);
    while (rig.closed_count == 0) rig_turn(&rig);
}

static char large[40000];

static void reads_no_endless_body(void **state)
{
    (void)state;
    memset(large, 'x', sizeof(large));
    begin("{ path: /, timeout: 5s }", "", "HTTP/1.1 200 OK\r\n\r\n");
    for (int i = 0; i < 4; i++) rig_then(&rig, slice_make(large, sizeof(large)));
    rig_check(&rig, true, "200 OK");
    uint64_t from_ns = clock_mono_ns();
    while (rig.closed_count == 0) rig_turn(&rig);
    assert_true(clock_mono_ns() - from_ns < 2000000000u);
}

static void waits_for_the_rest_no_longer_than_the_timeout(void **state)
{
    (void)state;
    begin("{ path: /, timeout: 50ms }", "", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    rig_check(&rig, true, "200 OK");
    while (rig.closed_count == 0) rig_turn(&rig);
    assert_int_equal(rig_member(&rig, 0)->check_count, 1);
    assert_true(rig_member(&rig, 0)->is_probe_good);
}

/* ---- no answer ---- */

static void nobody_listens(void **state)
{
    (void)state;
    begin("{ path: / }", "", NULL);
    watch_remove(&rig.watch);
    close(rig.listening);
    rig.listening = -1;
    rig_check(&rig, false, "connect_refused");
    assert_int_equal(rig_member(&rig, 0)->state, ENDPOINT_UNCHECKED);
}

static void nobody_answers(void **state)
{
    (void)state;
    begin("{ path: /, timeout: 50ms }", "", NULL);
    rig_check(&rig, false, "no answer within 50ms");
    while (rig.closed_count == 0) rig_turn(&rig);
    assert_int_equal(rig.prober.running_count, 0);
}

/* A backlog that is full: the handshake is not answered. */
static void nobody_accepts(void **state)
{
    struct sockaddr_storage sa;
    int                     fds[8];
    (void)state;
    begin("{ path: /, timeout: 1s }", "", NULL);
    watch_remove(&rig.watch);
    assert_int_equal(listen(rig.listening, 0), 0);
    socklen_t len = address_to_sockaddr(&rig.address, &sa);
    for (int i = 0; i < 8; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fds[i], (struct sockaddr *)&sa, len);
    }
    rig_check(&rig, false, "no connection within 1s");
    for (int i = 0; i < 8; i++) close(fds[i]);
    close(rig.listening);
    rig.listening = -1;
}

static void it_hangs_up(void **state)
{
    (void)state;
    begin("{ path: / }", "", NULL);
    rig.hangs_up = true;
    rig_check(&rig, false, "connection closed before an answer");
}

static void it_hangs_up_in_the_head(void **state)
{
    (void)state;
    begin("{ path: / }", "", "HTTP/1.1 200 O");
    rig.hangs_up = true;
    rig_check(&rig, false, "connection closed amid the answer");
}

static void it_talks_rubbish(void **state)
{
    (void)state;
    begin("{ path: / }", "", "220 mail.example ESMTP\r\n\r\n");
    rig_check(&rig, false, "malformed answer: bad_status_line");
}

static void it_greets_before_it_is_asked(void **state)
{
    (void)state;
    begin("{ path: / }", "", "SSH-2.0-OpenSSH_9.2\r\n");
    rig.greets = true;
    rig_check(&rig, false, "malformed answer: bad_status_line");
}

/* ---- the body ---- */

static void the_body_matches(void **state)
{
    (void)state;
    begin("{ body: \"status.*ok$\", fast_interval: 100ms }", "",
          "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nstatus: ok\r\n");
    rig_check(&rig, false, "the body does not match"); /* a CR is not the end */
    rig_answer(&rig, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nstatus: ok\n");
    rig_expect(&rig, true, "200 OK");
}

static void the_body_comes_in_pieces(void **state)
{
    (void)state;
    begin("{ body: \"status.*ok\" }", "", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    rig_then(&rig, S("4\r\n{\"st\r\n"));
    rig_then(&rig, S("9\r\natus\": \"o\r\n"));
    rig_then(&rig, S("3\r\nk\"}\r\n0\r\n\r\n"));
    rig_check(&rig, true, "200 OK");
    assert_int_equal(rig.reset_count, 0);
}

static void the_body_does_not_match(void **state)
{
    (void)state;
    begin("{ body: \"^up\", fast_interval: 100ms }", "",
          "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    rig_check(&rig, false, "the body does not match");
    rig_answer(&rig, "HTTP/1.1 204 No Content\r\n\r\n");
    rig_expect(&rig, false, "the body does not match");
}

static void a_bad_status_needs_no_body(void **state)
{
    (void)state;
    begin("{ body: ok }", "", "HTTP/1.1 500 X\r\nContent-Length: 2\r\n\r\nok");
    rig_check(&rig, false, "500 Internal Server Error");
}

static void the_body_is_cut_off(void **state)
{
    (void)state;
    begin("{ body: ok }", "", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok");
    rig.hangs_up = true;
    rig_check(&rig, false, "connection closed amid the answer");
}

static void the_body_does_not_end(void **state)
{
    (void)state;
    begin("{ body: ok, timeout: 50ms }", "", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok");
    rig_check(&rig, false, "no answer within 50ms");
}

/* What matches stands behind the first 64 KiB, or before. */
static void only_so_much_is_looked_at(void **state)
{
    (void)state;
    memset(large, 'x', sizeof(large));
    begin("{ body: ok, fast_interval: 100ms }", "", "HTTP/1.1 200 OK\r\n\r\n");
    rig_then(&rig, slice_make(large, 40000));
    rig_then(&rig, slice_make(large, 25534));
    rig_then(&rig, S("xok"));
    rig_then(&rig, S("more"));
    rig_check(&rig, false, "the body does not match");
    rig.pieces[3] = S("ok, and more");
    rig_expect(&rig, true, "200 OK");
}

static void an_end_that_was_not_seen_is_none(void **state)
{
    (void)state;
    memset(large, 'x', sizeof(large));
    begin("{ body: \"x$\" }", "", "HTTP/1.1 200 OK\r\n\r\n");
    rig_then(&rig, slice_make(large, 40000));
    rig_then(&rig, slice_make(large, 40000));
    rig_check(&rig, false, "the body does not match");
}

/* Exponential, were it not bounded. */
static void an_evil_expression_ends(void **state)
{
    (void)state;
    memset(large, 'a', sizeof(large));
    begin("{ body: \"^(a+)+$\", timeout: 20s }", "",
          "HTTP/1.1 200 OK\r\nContent-Length: 40001\r\n\r\n");
    rig_then(&rig, slice_make(large, 40000));
    rig_then(&rig, S("b"));
    rig_start(&rig, 1);
    while (rig.accepted_count == 0) rig_turn(&rig);
    uint64_t from_ns = clock_mono_ns();
    rig_expect(&rig, false, "`body` takes too long to match what was answered");
    assert_true(clock_mono_ns() - from_ns < 2000000000u);
}

/* Of few steps, each of which looks at all the rest; nor does one that begins anywhere. */
static void nor_does_one_that_looks_far(void **state)
{
    (void)state;
    memset(large, 'a', sizeof(large));
    begin("{ body: \"(.*)\\\\1[0-9]\", timeout: 20s }", "",
          "HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n");
    rig_then(&rig, slice_make(large, 40000));
    rig_start(&rig, 1);
    while (rig.accepted_count == 0) rig_turn(&rig);
    uint64_t from_ns = clock_mono_ns();
    rig_expect(&rig, false, "`body` takes too long to match what was answered");
    assert_true(clock_mono_ns() - from_ns < 2000000000u);
}

static void many_steps_are_allowed(void **state)
{
    (void)state;
    memset(large, 'a', sizeof(large));
    begin("{ body: \"(?:a|b)*c\" }", "", "HTTP/1.1 200 OK\r\nContent-Length: 30001\r\n\r\n");
    rig_then(&rig, slice_make(large, 30000));
    rig_then(&rig, S("c"));
    rig_check(&rig, true, "200 OK");
}

#define TEST(f) cmocka_unit_test_teardown(f, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(asks_as_configured),
        TEST(takes_the_upstreams_host),
        TEST(takes_its_own_host_first),
        TEST(each_has_a_connection_of_its_own),
        TEST(says_the_status_in_its_own_words),
        TEST(knows_no_word_for_some),
        TEST(redirects_are_good),
        TEST(statuses_are_as_configured),
        TEST(early_answers_do_not_count),
        TEST(head_has_no_body),
        TEST(does_not_wait_for_the_body),
        TEST(reads_no_large_body),
        TEST(reads_no_endless_body),
        TEST(waits_for_the_rest_no_longer_than_the_timeout),
        TEST(nobody_listens),
        TEST(nobody_answers),
        TEST(nobody_accepts),
        TEST(it_hangs_up),
        TEST(it_hangs_up_in_the_head),
        TEST(it_talks_rubbish),
        TEST(it_greets_before_it_is_asked),
        TEST(the_body_matches),
        TEST(the_body_comes_in_pieces),
        TEST(the_body_does_not_match),
        TEST(a_bad_status_needs_no_body),
        TEST(the_body_is_cut_off),
        TEST(the_body_does_not_end),
        TEST(only_so_much_is_looked_at),
        TEST(an_end_that_was_not_seen_is_none),
        TEST(an_evil_expression_ends),
        TEST(nor_does_one_that_looks_far),
        TEST(many_steps_are_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
