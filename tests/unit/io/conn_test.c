/* SPDX-License-Identifier: Apache-2.0
 *
 * Plain connections over real sockets: what is read and written, pausing,
 * how they end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/memory.h"
#include "conn_probe.h"

static void reads_what_came_before_it_was_watched(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    struct probe p;
    int          peer = probe_pair(&p, l);
    put(peer, "hello");
    loop_turn(l, 0);
    expect_got(&p, "hello");
    assert_int_equal(p.open_count, 0);
    assert_int_equal(p.conn.received_bytes, 5);
    probe_reset(&p, l);
    close(peer);
    loop_free(l);
}

static void echoes_lent_bytes(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    struct probe p;
    int          peer = probe_tcp(&p, l);
    p.echoes = true;
    for (unsigned i = 0; i < 5; i++) {
        put(peer, "round trip");
        turn_until(l, &p.sent_count, i + 1);
        expect(peer, "round trip");
    }
    assert_int_equal(p.conn.sent_bytes, 50);
    assert_true(outq_is_empty(&p.out));
    probe_reset(&p, l);
    expect_end(peer);
    close(peer);
    loop_free(l);
}

/* Two connections; a small send buffer makes the second one fall behind: what was
 * lent must have been copied before the scratch buffer is used again. */
static void relays_more_than_the_socket_takes(void **state)
{
    (void)state;
    enum { TOTAL = 3 * 1024 * 1024 };
    struct loop *l = make_loop();
    struct probe from, to;
    int          source = probe_pair(&from, l), sink = probe_tcp(&to, l);
    int          small = 4096;
    char        *sent = mem_alloc(TOTAL), *got = mem_alloc(TOTAL);
    size_t       sent_bytes = 0, got_bytes = 0;
    setsockopt(to.conn.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    from.relay = &to;
    for (size_t i = 0; i < TOTAL; i++) sent[i] = (char)(i * 2654435761u >> 13);
    fcntl(source, F_SETFL, O_NONBLOCK);
    fcntl(sink, F_SETFL, O_NONBLOCK);
    while (got_bytes < TOTAL) {
        ssize_t n = send(source, sent + sent_bytes, TOTAL - sent_bytes, MSG_NOSIGNAL);
        if (n > 0) sent_bytes += (size_t)n;
        loop_turn(l, 0);
        assert_int_equal(to.out.borrowed_bytes, 0);
        n = recv(sink, got + got_bytes, 30000, 0);
        if (n > 0) got_bytes += (size_t)n;
        assert_true(n != 0);
    }
    assert_memory_equal(sent, got, TOTAL);
    assert_true(to.sent_count > 1);
    free(sent);
    free(got);
    probe_reset(&from, l);
    probe_reset(&to, l);
    close(source);
    close(sink);
    loop_free(l);
}

static void forget_file(struct outq_file *f)
{
    close(f->fd);
}

static struct outq_file make_file(const char *text, size_t len)
{
    struct outq_file f = { .fd = memfd_create("conn", 0), .ref_count = 1, .free = forget_file };
    assert_int_equal(write(f.fd, text, len), len);
    return f;
}

static void sends_ranges_of_files_between_bytes(void **state)
{
    (void)state;
    enum { TOTAL = 3 * 1024 * 1024, HEAD = 5 };
    struct loop *l = make_loop();
    struct probe p;
    int          sink = probe_tcp(&p, l);
    char        *text = mem_alloc(TOTAL), *got = mem_alloc(TOTAL + 2 * HEAD);
    size_t       got_bytes = 0;
    for (size_t i = 0; i < TOTAL; i++) text[i] = (char)(i * 2654435761u >> 13);
    struct outq_file f = make_file(text, TOTAL);
    fcntl(sink, F_SETFL, O_NONBLOCK);
    outq_put(&p.out, "head ", HEAD);
    outq_put_range(&p.out, &(struct outq_range){ &f, 0, TOTAL });
    outq_put(&p.out, " tail", HEAD);
    conn_want_flush(&p.conn);
    while (got_bytes < TOTAL + 2 * HEAD) {
        loop_turn(l, 0);
        ssize_t n = recv(sink, got + got_bytes, 100000, 0);
        if (n > 0) got_bytes += (size_t)n;
        assert_true(n != 0);
    }
    assert_memory_equal(got, "head ", HEAD);
    assert_memory_equal(got + HEAD, text, TOTAL);
    assert_memory_equal(got + HEAD + TOTAL, " tail", HEAD);
    assert_int_equal(p.conn.sent_bytes, TOTAL + 2 * HEAD);
    assert_int_equal(f.ref_count, 1);
    outq_file_unref(&f);
    free(text);
    free(got);
    probe_reset(&p, l);
    close(sink);
    loop_free(l);
}

static void a_short_file_ends_the_writing(void **state)
{
    (void)state;
    struct loop     *l = make_loop();
    struct probe     p;
    int              sink = probe_tcp(&p, l);
    struct outq_file f = make_file("0123456789", 10);
    outq_put_range(&p.out, &(struct outq_range){ &f, 0, 20 });
    f.is_short = false;
    conn_want_flush(&p.conn);
    turn_until(l, &p.fault_count, 1);
    assert_true(f.is_short);
    assert_int_equal(p.fault, CONN_RESET);
    assert_int_equal(p.sent_count, 1); /* whoever waits for it goes on */
    assert_true(outq_is_empty(&p.out));
    assert_int_equal(f.ref_count, 1);
    outq_file_unref(&f);
    probe_reset(&p, l);
    close(sink);
    loop_free(l);
}

static void keeps_what_is_not_taken(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    struct probe p;
    int          peer = probe_pair(&p, l);
    p.take_max = 3;
    put(peer, "0123456789");
    turn_until(l, &p.input_count, 1);
    loop_turn(l, 0);
    expect_got(&p, "012");
    assert_true(p.conn.is_paused);
    put(peer, "ab");
    loop_turn(l, 0);
    expect_got(&p, "012");
    for (unsigned i = 2; i <= 4; i++) {
        conn_resume(&p.conn);
        turn_until(l, &p.input_count, i);
    }
    turn_until_bytes(l, &p.got, 12);
    expect_got(&p, "0123456789ab");
    assert_int_equal(p.conn.kept_bytes, 0);
    probe_reset(&p, l);
    close(peer);
    loop_free(l);
}

/* Taken in full, but paused: nothing is read until resumed, and the end waits. */
static void pauses(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    struct probe p;
    int          peer = probe_pair(&p, l);
    p.pauses = true;
    put(peer, "one");
    turn_until(l, &p.input_count, 1);
    put(peer, "two");
    close(peer);
    loop_turn(l, 0);
    loop_turn(l, 0);
    expect_got(&p, "one");
    assert_int_equal(p.eof_count, 0);
    p.pauses = false;
    conn_resume(&p.conn);
    loop_turn(l, 0);
    assert_int_equal(p.eof_count, 1);
    expect_got(&p, "onetwo");
    probe_reset(&p, l);
    loop_free(l);
}

static void kept_input_may_be_lent(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    struct probe p;
    int          peer = probe_pair(&p, l);
    p.take_max = 4;
    p.echoes = true;
    put(peer, "abcdefghij");
    turn_until(l, &p.sent_count, 1);
    conn_resume(&p.conn);
    turn_until(l, &p.sent_count, 2);
    conn_resume(&p.conn);
    turn_until(l, &p.sent_count, 3);
    expect(peer, "abcdefghij");
    probe_reset(&p, l);
    close(peer);
    loop_free(l);
}

static size_t take_two_and_resume(struct conn *c, const char *data, size_t len)
{
    struct probe *p = container_of(c, struct probe, conn);
    p->input_count++;
    size_t taken = len < 2 ? len : 2;
    buffer_put(&p->got, data, taken);
    conn_resume(c);
    return taken;
}

static void resuming_within_input_does_not_recurse_or_stall(void **state)
{
    (void)state;
    struct loop    *l = make_loop();
    struct probe    p;
    struct conn_ops ops = probe_ops;
    int             peer = probe_pair(&p, l);
    ops.on_input = take_two_and_resume;
    p.conn.ops = &ops;
    put(peer, "abcdefghi");
    turn_until_bytes(l, &p.got, 9);
    expect_got(&p, "abcdefghi");
    assert_int_equal(p.input_count, 5);
    probe_reset(&p, l);
    close(peer);
    loop_free(l);
}

static void half_close_lets_us_answer(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    struct probe p;
    int          peer = probe_tcp(&p, l);
    put(peer, "question");
    shutdown(peer, SHUT_WR);
    loop_turn(l, 0);
    loop_turn(l, 0);
    assert_int_equal(p.eof_count, 1);
    expect_got(&p, "question");
    assert_false(p.was_truncated);
    probe_write(&p, "answer");
    conn_shutdown_write(&p.conn);
    loop_turn(l, 0);
    expect(peer, "answer");
    expect_end(peer);
    assert_int_equal(p.fault_count, 0);
    probe_reset(&p, l);
    close(peer);
    loop_free(l);
}

static void shutdown_waits_for_the_output(void **state)
{
    (void)state;
    enum { TOTAL = 1024 * 1024 };
    struct loop *l = make_loop();
    struct probe p;
    int          peer = probe_pair(&p, l);
    char        *block = mem_zalloc(TOTAL);
    size_t       got = 0;
    ssize_t      n;
    outq_borrow(&p.out, block, TOTAL);
    conn_want_flush(&p.conn);
    conn_shutdown_write(&p.conn);
    fcntl(peer, F_SETFL, O_NONBLOCK);
    do {
        loop_turn(l, 0);
        n = recv(peer, block, TOTAL, 0);
        if (n > 0) got += (size_t)n;
    } while (n > 0 || (n < 0 && errno == EAGAIN));
    assert_int_equal(n, 0);
    assert_int_equal(got, TOTAL);
    free(block);
    probe_reset(&p, l);
    close(peer);
    loop_free(l);
}

static void reset_is_a_fault(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    struct probe p;
    int          peer = probe_tcp(&p, l);
    loop_turn(l, 0);
    abort_socket(peer);
    turn_until(l, &p.fault_count, 1);
    assert_int_equal(p.fault, CONN_RESET);
    assert_int_equal(p.eof_count, 0);
    turn_until(l, &p.free_count, 1);
    loop_free(l);
}

/* The epoll event of data and reset together looks like data alone. */
static void reset_behind_data_is_found(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    struct probe p;
    int          peer = probe_tcp(&p, l);
    loop_turn(l, 0);
    put(peer, "last words");
    abort_socket(peer);
    turn_until(l, &p.input_count, 1);
    assert_int_equal(p.fault_count, 0);
    expect_got(&p, "last words");
    turn_until(l, &p.fault_count, 1);
    assert_int_equal(p.fault, CONN_RESET);
    turn_until(l, &p.free_count, 1);
    loop_free(l);
}

/* Nor need that be waited for when something is written. */
static void reset_behind_data_is_found_by_writing(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    struct probe p;
    int          peer = probe_tcp(&p, l);
    loop_turn(l, 0);
    p.echoes = true;
    put(peer, "question");
    abort_socket(peer);
    loop_turn(l, -1);
    assert_int_equal(p.input_count, 1);
    assert_int_equal(p.fault_count, 1);
    assert_int_equal(p.fault, CONN_RESET);
    assert_int_equal(p.free_count, 1);
    peer = probe_tcp(&p, l);
    loop_turn(l, 0);
    put(peer, "question");
    abort_socket(peer);
    turn_until(l, &p.input_count, 1);
    probe_write(&p, "answer, later");
    loop_turn(l, 0);
    assert_int_equal(p.fault_count, 1);
    assert_int_equal(p.free_count, 1);
    loop_free(l);
}

/* The peer answered early and went away while we were still writing. */
static void peer_that_answered_is_heard_out(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    struct probe p;
    int          peer = probe_tcp(&p, l);
    loop_turn(l, 0);
    p.pauses = true;
    put(peer, "413");
    turn_until(l, &p.input_count, 1);
    put(peer, " go away");
    shutdown(peer, SHUT_WR);
    close(peer);
    p.pauses = false;
    /* The first write provokes the reset, the second meets it. */
    probe_write(&p, "body");
    loop_turn(l, 0);
    probe_write(&p, "more body");
    loop_turn(l, 0);
    assert_true(p.conn.is_write_dead);
    assert_true(outq_is_empty(&p.out));
    assert_int_equal(p.fault_count + p.eof_count, 0);
    conn_resume(&p.conn);
    turn_until(l, &p.eof_count, 1);
    expect_got(&p, "413 go away");
    assert_int_equal(p.fault_count, 0);
    probe_write(&p, "to nobody");
    turn_until(l, &p.fault_count, 1);
    assert_int_equal(p.fault, CONN_RESET);
    turn_until(l, &p.free_count, 1);
    loop_free(l);
}

static void write_to_a_reset_peer_is_a_fault(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    struct probe p;
    int          peer = probe_tcp(&p, l);
    loop_turn(l, 0);
    conn_pause(&p.conn);
    abort_socket(peer);
    probe_write(&p, "anybody?");
    loop_turn(l, 0);
    assert_int_equal(p.fault_count, 0);
    assert_true(p.sent_count > 0);
    conn_resume(&p.conn);
    turn_until(l, &p.fault_count, 1);
    assert_int_equal(p.fault, CONN_RESET);
    assert_int_equal(p.eof_count, 0);
    turn_until(l, &p.free_count, 1);
    loop_free(l);
}

static void watching_pause_tells_of_a_reset_only(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    struct probe p;
    int          peer = probe_tcp(&p, l);
    loop_turn(l, 0);
    conn_pause_watching(&p.conn);
    put(peer, "pipelined");
    loop_turn(l, -1);
    shutdown(peer, SHUT_WR);
    loop_turn(l, -1);
    assert_int_equal(p.input_count + p.eof_count + p.fault_count, 0);
    probe_reset(&p, l);
    close(peer);
    peer = probe_tcp(&p, l);
    loop_turn(l, 0);
    conn_pause_watching(&p.conn);
    abort_socket(peer);
    turn_until(l, &p.fault_count, 1);
    assert_int_equal(p.fault, CONN_RESET);
    turn_until(l, &p.free_count, 1);
    loop_free(l);
}

static void close_by_reset_is_seen_by_the_peer(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    struct probe p;
    char         byte;
    int          peer = probe_tcp(&p, l);
    loop_turn(l, 0);
    conn_close(&p.conn, true);
    assert_int_equal(p.free_count, 0);
    loop_turn(l, 0);
    assert_int_equal(p.free_count, 1);
    assert_int_equal(recv(peer, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    close(peer);
    loop_free(l);
}

static void closing_itself_or_another_within_input(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    struct probe a, b, *first = &a, *second = &b;
    int          peer_a = probe_pair(&a, l), peer_b = probe_pair(&b, l);
    put(peer_a, "x");
    put(peer_b, "x");
    a.victim = &b;
    b.victim = &a;
    a.closes_early = b.closes_early = true;
    a.echoes = b.echoes = true;
    turn_until(l, &a.free_count, 1);
    assert_int_equal(b.free_count, 1);
    /* Whichever came first closed the other one before it was told anything. */
    assert_int_equal(first->input_count + second->input_count, 1);
    close(peer_a);
    close(peer_b);
    loop_free(l);
}

static void closing_when_sent(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    struct probe p;
    int          peer = probe_pair(&p, l);
    p.closes_at_sent = true;
    p.echoes = true;
    put(peer, "bye");
    turn_until(l, &p.free_count, 1);
    expect(peer, "bye");
    expect_end(peer);
    close(peer);
    loop_free(l);
}

/* More than one event may read at once, and no edge will tell of the rest. */
static void long_input_is_read_in_shares(void **state)
{
    (void)state;
    enum { PIECE = 4096 };
    static const char piece[PIECE];
    struct loop      *l = make_loop();
    struct probe      p;
    int               peer = probe_pair(&p, l), large = 1024 * 1024;
    size_t            sent = 0;
    setsockopt(peer, SOL_SOCKET, SO_SNDBUF, &large, sizeof(large));
    conn_pause(&p.conn);
    for (ssize_t n = 0; n >= 0; n = send(peer, piece, PIECE, MSG_DONTWAIT)) sent += (size_t)n;
    assert_true(sent > 2 * LOOP_SCRATCH_BYTES);
    loop_turn(l, 0);
    conn_resume(&p.conn);
    loop_turn(l, 0);
    assert_int_equal(p.got.len, sent);
    assert_int_equal(p.largest_input, LOOP_SCRATCH_BYTES);
    probe_reset(&p, l);
    close(peer);
    loop_free(l);
}

static void deadline_is_told(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    struct probe p;
    int          peer = probe_pair(&p, l);
    deadline_set(l, &p.conn.deadline, 5);
    turn_until(l, &p.deadline_count, 1);
    probe_reset(&p, l);
    close(peer);
    loop_free(l);
}

/* The budget of an idle keep-alive connection. */
static void is_small(void **state)
{
    (void)state;
    assert_true(sizeof(struct conn) <= 320);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_came_before_it_was_watched),
        cmocka_unit_test(echoes_lent_bytes),
        cmocka_unit_test(relays_more_than_the_socket_takes),
        cmocka_unit_test(sends_ranges_of_files_between_bytes),
        cmocka_unit_test(a_short_file_ends_the_writing),
        cmocka_unit_test(keeps_what_is_not_taken),
        cmocka_unit_test(pauses),
        cmocka_unit_test(kept_input_may_be_lent),
        cmocka_unit_test(resuming_within_input_does_not_recurse_or_stall),
        cmocka_unit_test(half_close_lets_us_answer),
        cmocka_unit_test(shutdown_waits_for_the_output),
        cmocka_unit_test(reset_is_a_fault),
        cmocka_unit_test(reset_behind_data_is_found),
        cmocka_unit_test(reset_behind_data_is_found_by_writing),
        cmocka_unit_test(peer_that_answered_is_heard_out),
        cmocka_unit_test(write_to_a_reset_peer_is_a_fault),
        cmocka_unit_test(watching_pause_tells_of_a_reset_only),
        cmocka_unit_test(close_by_reset_is_seen_by_the_peer),
        cmocka_unit_test(closing_itself_or_another_within_input),
        cmocka_unit_test(closing_when_sent),
        cmocka_unit_test(long_input_is_read_in_shares),
        cmocka_unit_test(deadline_is_told),
        cmocka_unit_test(is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
