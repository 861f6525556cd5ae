/* SPDX-License-Identifier: Apache-2.0
 *
 * Lookups at name servers that fail in ways in which no good one does: each is a
 * socket of the test, on the same loop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "conn_probe.h"
#include "dns_server.h"

enum {
    HEAD_BYTES = 12,
    REPLY_MAX = 1232,
    TYPE_AAAA = 28,
    TYPE_SRV = 33,
    SERVFAIL = 2,
    REFUSED = 5,
    TARGETS = 36,
};

/* A name server: what it says to each question. */
struct fake {
    struct watch watch;
    int          fd;
    uint16_t     port;
    unsigned     question_count;
    unsigned     rcode;            /* of every reply */
    bool         is_silent;        /* no reply at all */
    bool         answers_srv_only; /* no reply to other questions */
    bool         hides_aaaa;       /* no reply to AAAA; A is 192.0.2.1 */
    const char  *records;          /* follow the question in every reply, as they are */
    size_t       records_bytes;
    uint8_t      record_count;
    bool         was_asked_for_z; /* a name that begins with this letter */
};

struct bench {
    struct fake    fakes[2];
    char           servers[SERVER_PATH_MAX];
    struct loop   *loop;
    struct dns    *dns;
    struct watcher a;
};

static size_t question_end(const unsigned char *packet, size_t len)
{
    size_t at = HEAD_BYTES;
    while (at < len && packet[at]) at += packet[at] + 1u;
    assert_true(at + 5 <= len);
    return at + 5;
}

static void on_question(struct watch *w, int fd, unsigned what)
{
    static const unsigned char address[] = "\xc0\x0c\0\1\0\1\0\0\0\1\0\4\xc0\0\2\1";
    (void)what;
    struct fake       *f = container_of(w, struct fake, watch);
    struct sockaddr_in from;
    socklen_t          from_len = sizeof(from);
    unsigned char      packet[REPLY_MAX];
    ssize_t            got = recvfrom(fd, packet, sizeof(packet), 0, (void *)&from, &from_len);
    assert_true(got > HEAD_BYTES);
    f->question_count++;
    size_t   len = question_end(packet, (size_t)got);
    unsigned type = packet[len - 3];
    f->was_asked_for_z |= packet[HEAD_BYTES + 1] == 'z';
    if (f->is_silent || (f->hides_aaaa && type == TYPE_AAAA)) return;
    if (f->answers_srv_only && type != TYPE_SRV) return;
    packet[2] |= 0x80;
    packet[3] = (unsigned char)(0x80 | f->rcode);
    memset(packet + 6, 0, 6);
    if (f->hides_aaaa) {
        f->records = (const char *)address;
        f->records_bytes = sizeof(address) - 1;
        f->record_count = 1;
    }
    packet[7] = f->record_count;
    memcpy(packet + len, f->records, f->records_bytes);
    len += f->records_bytes;
    assert_int_equal(sendto(fd, packet, len, 0, (void *)&from, from_len), len);
}

static void fake_open(struct fake *f, struct loop *l)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t          len = sizeof(in);
    f->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f->fd, (struct sockaddr *)&in, len), 0);
    assert_int_equal(getsockname(f->fd, (struct sockaddr *)&in, &len), 0);
    f->port = ntohs(in.sin_port);
    assert_true(watch_add(l, &f->watch, f->fd, false, on_question));
}

static int set_up(void **state)
{
    static struct bench t;
    t = (struct bench){ .loop = make_loop() };
    for (int i = 0; i < 2; i++) {
        fake_open(&t.fakes[i], t.loop);
        t.fakes[i].records = "";
    }
    *state = &t;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *t = *state;
    unwatch(&t->a);
    dns_free(t->dns);
    for (int i = 0; i < 2; i++) {
        watch_remove(&t->fakes[i].watch);
        close(t->fakes[i].fd);
    }
    loop_free(t->loop);
    return 0;
}

/* The first change of the name, asked at one server or at both. */
static const char *look_up(struct bench *t, int server_count, enum dns_kind kind, const char *name)
{
    struct error       e;
    char               first[SERVER_PATH_MAX];
    struct dns_options o = test_options(first, t->fakes[0].port);
    if (server_count == 2) {
        snprintf(t->servers, sizeof(t->servers), "127.0.0.1:%u,127.0.0.1:%u", t->fakes[0].port,
                 t->fakes[1].port);
        o.servers = t->servers;
    }
    o.retry_ms = o.max_ttl_ms;
    t->dns = dns_new(t->loop, &o, &e);
    assert_non_null(t->dns);
    watch_name(&t->a, t->loop, t->dns, kind, name);
    turn_until(t->loop, &t->a.changed_count, 1);
    return answer_of(&t->a);
}

static void a_server_that_fails_is_told_of(void **state)
{
    struct bench *t = *state;
    t->fakes[0].rcode = SERVFAIL;
    assert_string_equal(look_up(t, 1, DNS_ADDRESSES, "a.test."),
                        "trouble: the name server fails to look up \"a.test.\" (SERVFAIL)\n");
}

static void of_two_servers_one_that_works_is_enough(void **state)
{
    struct bench *t = *state;
    t->fakes[0].rcode = REFUSED;
    t->fakes[1].hides_aaaa = true;
    assert_string_equal(look_up(t, 2, DNS_ADDRESSES, "a.test."), "0 0 192.0.2.1:0 a.test.\n");
}

static void two_servers_that_fail_are_told_of(void **state)
{
    struct bench *t = *state;
    t->fakes[0].rcode = t->fakes[1].rcode = SERVFAIL;
    const char *text = look_up(t, 2, DNS_ADDRESSES, "a.test.");
    assert_non_null(strstr(text, "\"a.test.\""));
    assert_non_null(strstr(text, "fail"));
}

/* Some servers drop what they do not know. */
static void addresses_come_without_an_answer_to_aaaa(void **state)
{
    struct bench *t = *state;
    t->fakes[0].hides_aaaa = true;
    assert_string_equal(look_up(t, 1, DNS_ADDRESSES, "a.test."), "0 0 192.0.2.1:0 a.test.\n");
}

/* It is asked again within the time, and there is an end. */
static void silence_is_told_of_when_the_time_is_over(void **state)
{
    struct bench *t = *state;
    uint64_t      start_ns = clock_mono_ns();
    t->fakes[0].is_silent = t->fakes[1].is_silent = true;
    assert_string_equal(look_up(t, 2, DNS_SRV, "_s._tcp.test."),
                        "trouble: no name server answers for \"_s._tcp.test.\"\n");
    assert_true(clock_mono_ns() - start_ns >= 300000000u);
    assert_true(t->fakes[0].question_count >= 2);
    assert_true(t->fakes[1].question_count >= 1);
}

/* So many targets that never answer, one batch after the other, would take longer than a lookup
 * may: the last ones are not even asked for. */
static void the_time_is_that_of_all_questions(void **state)
{
    static const char names[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    static const char record[] = "\xc0\x0c\0\x21\0\1\0\0\0\1\0\x09\0\1\0\1\0\x50\1?";
    struct bench     *t = *state;
    char              records[TARGETS * sizeof(record)];
    for (size_t i = 0; i < TARGETS; i++) {
        memcpy(records + i * sizeof(record), record, sizeof(record));
        records[(i + 1) * sizeof(record) - 2] = names[i];
    }
    t->fakes[0].answers_srv_only = true;
    t->fakes[0].records = records;
    t->fakes[0].records_bytes = sizeof(records);
    t->fakes[0].record_count = TARGETS;
    assert_string_equal(look_up(t, 1, DNS_SRV, "_s._tcp.test."),
                        "trouble: a target of \"_s._tcp.test.\": no name server answers for "
                        "\"0\" (and 35 more)\n");
    assert_false(dns_answer(t->a.watch).is_known);
    assert_false(t->fakes[0].was_asked_for_z);
}

static void nothing_spins_while_it_waits(void **state)
{
    struct bench *t = *state;
    t->fakes[0].is_silent = true;
    uint64_t before = t->loop->turn_count;
    look_up(t, 1, DNS_ADDRESSES, "a.test.");
    assert_true(t->loop->turn_count - before < 100);
}

static void a_broken_reply_is_told_of(void **state)
{
    /* One SRV record whose target lies outside of the reply. */
    static const char broken[] = "\xc0\x0c\0\x21\0\1\0\0\0\1\0\x08\0\1\0\1\0\x50\xc3\xff";
    struct bench     *t = *state;
    t->fakes[0].records = broken;
    t->fakes[0].records_bytes = sizeof(broken) - 1;
    t->fakes[0].record_count = 1;
    const char *text = look_up(t, 1, DNS_SRV, "_s._tcp.test.");
    assert_non_null(strstr(text, "trouble: "));
    assert_non_null(strstr(text, "\"_s._tcp.test.\""));
    assert_false(dns_answer(t->a.watch).is_known);
}

static void bad_servers_are_named(void **state)
{
    static const char *const bad[] = { "",     "10.0.0.1,", "host", "10.0.0.1:0", "10.0.0.1:99999",
                                       "[::1", "unix:/x",   ":53",  "*:53",       "10.0.0.1 ",
                                       "1.2.3" };
    static const char *const good[] = { "10.0.0.1", "10.0.0.1:5353,::1", "[::1]:53,10.0.0.2" };
    struct bench            *t = *state;
    struct error             e;
    struct dns_options       o = test_options(t->servers, 53);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        o.servers = bad[i];
        assert_null(dns_new(t->loop, &o, &e));
        assert_non_null(strstr(e.text, "is no name server's address"));
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        o.servers = good[i];
        struct dns *d = dns_new(t->loop, &o, &e);
        assert_non_null(d);
        dns_free(d);
    }
    o.servers = NULL;
    t->dns = dns_new(t->loop, &o, &e);
    assert_non_null(t->dns);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_server_that_fails_is_told_of),
        TEST(of_two_servers_one_that_works_is_enough),
        TEST(two_servers_that_fail_are_told_of),
        TEST(addresses_come_without_an_answer_to_aaaa),
        TEST(silence_is_told_of_when_the_time_is_over),
        TEST(the_time_is_that_of_all_questions),
        TEST(nothing_spins_while_it_waits),
        TEST(a_broken_reply_is_told_of),
        TEST(bad_servers_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
