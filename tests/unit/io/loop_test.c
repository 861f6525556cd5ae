/* SPDX-License-Identifier: Apache-2.0
 *
 * The loop: turns, jobs, watches, the clock.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn_probe.h"

struct tracked_job {
    struct job   job;
    struct loop *loop;
    char         name;
    char        *trace;
    unsigned     again; /* queues itself so many times */
    struct job  *other; /* cancelled by this one */
};

static void run_tracked(struct job *j)
{
    struct tracked_job *t = container_of(j, struct tracked_job, job);
    t->trace[strlen(t->trace)] = t->name;
    if (t->other) job_cancel(t->other);
    if (!t->again) return;
    t->again--;
    job_queue(t->loop, j);
}

static struct tracked_job make_job(struct loop *l, char name, char *trace)
{
    return (struct tracked_job){ .loop = l, .name = name, .trace = trace };
}

static void jobs_run_in_order_and_once(void **state)
{
    (void)state;
    struct loop       *l = make_loop();
    char               trace[32] = "";
    struct tracked_job a = make_job(l, 'a', trace), b = make_job(l, 'b', trace);
    job_init(&a.job, run_tracked);
    job_init(&b.job, run_tracked);
    job_queue(l, &a.job);
    job_queue(l, &b.job);
    job_queue(l, &a.job);
    loop_turn(l, -1);
    assert_string_equal(trace, "ab");
    loop_free(l);
}

static void a_job_may_queue_itself_and_cancel_others(void **state)
{
    (void)state;
    struct loop       *l = make_loop();
    char               trace[32] = "";
    struct tracked_job a = make_job(l, 'a', trace), b = make_job(l, 'b', trace);
    job_init(&a.job, run_tracked);
    job_init(&b.job, run_tracked);
    a.again = 2;
    a.other = &b.job;
    job_queue(l, &a.job);
    job_queue(l, &b.job);
    loop_turn(l, 0);
    assert_string_equal(trace, "aaa");
    loop_free(l);
}

/* Jobs without end must not keep events from being seen. */
static void endless_jobs_do_not_starve_events(void **state)
{
    (void)state;
    struct loop       *l = make_loop();
    struct probe       p;
    char               trace[4096] = "";
    struct tracked_job a = make_job(l, 'a', trace);
    int                peer = probe_pair(&p, l);
    loop_turn(l, 0);
    job_init(&a.job, run_tracked);
    a.again = 4000;
    job_queue(l, &a.job);
    put(peer, "now");
    loop_turn(l, -1);
    assert_int_equal(p.input_count, 1);
    assert_true(a.again > 3000);
    job_cancel(&a.job);
    probe_reset(&p, l);
    close(peer);
    loop_free(l);
}

struct seen {
    struct watch watch;
    unsigned     count;
    unsigned     what;
    uint64_t     now_ns;
    bool         drains;
};

static void note_event(struct watch *w, int fd, unsigned what)
{
    struct seen *s = container_of(w, struct seen, watch);
    uint64_t     value;
    s->count++;
    s->what |= what;
    s->now_ns = w->loop->clock.now_ns;
    if (s->drains) assert_int_equal(read(fd, &value, sizeof(value)), sizeof(value));
}

static void ring(int fd)
{
    uint64_t one = 1;
    assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

static void level_watch_repeats_edge_watch_does_not(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    struct seen  level = { .count = 0 }, edge = { .count = 0 };
    int          a = eventfd(0, EFD_NONBLOCK), b = eventfd(0, EFD_NONBLOCK);
    ring(a);
    ring(b);
    assert_true(watch_add(l, &level.watch, a, false, note_event));
    assert_true(watch_add(l, &edge.watch, b, true, note_event));
    for (int i = 0; i < 3; i++) loop_turn(l, 0);
    assert_int_equal(level.count, 3);
    assert_int_equal(level.what, LOOP_READABLE);
    assert_int_equal(edge.count, 1);
    assert_int_equal(edge.what, LOOP_READABLE | LOOP_WRITABLE);
    watch_remove(&level.watch);
    watch_remove(&edge.watch);
    loop_turn(l, 0);
    assert_int_equal(level.count, 3);
    close(a);
    close(b);
    loop_free(l);
}

static void a_level_watch_may_wait_for_room_as_well(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    struct seen  s = { .count = 0 };
    int          fd = eventfd(0, EFD_NONBLOCK);
    assert_true(watch_add(l, &s.watch, fd, false, note_event));
    loop_turn(l, 0);
    assert_int_equal(s.count, 0);
    assert_true(watch_select(&s.watch, LOOP_READABLE | LOOP_WRITABLE));
    for (int i = 0; i < 3; i++) loop_turn(l, 0);
    assert_int_equal(s.count, 3);
    assert_int_equal(s.what, LOOP_WRITABLE);
    assert_true(watch_select(&s.watch, LOOP_READABLE));
    loop_turn(l, 0);
    assert_int_equal(s.count, 3);
    ring(fd);
    loop_turn(l, 0);
    assert_int_equal(s.what, LOOP_WRITABLE | LOOP_READABLE);
    watch_remove(&s.watch);
    close(fd);
    loop_free(l);
}

static void peer_closing_is_told(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    struct seen  s = { .count = 0 };
    int          fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_true(watch_add(l, &s.watch, fds[0], true, note_event));
    loop_turn(l, 0);
    assert_int_equal(s.what, LOOP_WRITABLE);
    shutdown(fds[1], SHUT_WR);
    loop_turn(l, -1);
    assert_int_equal(s.what, LOOP_WRITABLE | LOOP_READABLE | LOOP_PEER_CLOSED);
    watch_remove(&s.watch);
    close(fds[0]);
    close(fds[1]);
    loop_free(l);
}

static void the_clock_is_that_of_the_turn(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    struct seen  s = { .drains = true };
    int          fd = eventfd(0, EFD_NONBLOCK);
    assert_true(watch_add(l, &s.watch, fd, false, note_event));
    loop_turn(l, 20);
    ring(fd);
    uint64_t before_ns = clock_mono_ns();
    loop_turn(l, -1);
    assert_true(s.now_ns >= before_ns);
    assert_true(l->clock.now_ns == s.now_ns);
    assert_int_equal(l->turn_count, 2);
    watch_remove(&s.watch);
    close(fd);
    loop_free(l);
}

static void a_turn_waits_no_longer_than_asked(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    uint64_t     start_ns = clock_mono_ns();
    loop_turn(l, 30);
    uint64_t took_ns = clock_mono_ns() - start_ns;
    assert_true(took_ns >= 20000000u); /* libevent's clock is coarse */
    loop_turn(l, 0);
    loop_free(l);
}

static void stop_from_job(struct job *j)
{
    struct tracked_job *t = container_of(j, struct tracked_job, job);
    loop_stop(t->loop);
}

static void runs_until_stopped(void **state)
{
    (void)state;
    struct loop       *l = make_loop();
    char               trace[4] = "";
    struct tracked_job a = make_job(l, 'a', trace);
    job_init(&a.job, stop_from_job);
    job_queue(l, &a.job);
    loop_run(l);
    assert_true(l->must_stop);
    loop_free(l);
}

/* As a listening socket that the supervisor holds too: once it is closed here, the
 * loop must hear no more of it. */
static void shared_descriptor_is_forgotten_before_it_is_closed(void **state)
{
    (void)state;
    struct loop *l = make_loop();
    struct seen  s = { .count = 0 };
    int          fd = eventfd(0, EFD_NONBLOCK), other = dup(fd);
    assert_true(watch_add(l, &s.watch, fd, false, note_event));
    ring(fd);
    loop_turn(l, 0);
    watch_remove(&s.watch);
    loop_close_fd(l, fd);
    assert_true(fcntl(fd, F_GETFD) >= 0);
    loop_turn(l, -1);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    assert_int_equal(s.count, 1);
    /* Were it still watched, this would end at once. */
    uint64_t start_ns = clock_mono_ns();
    loop_turn(l, 30);
    assert_true(clock_mono_ns() - start_ns >= 20000000u);
    close(other);
    loop_free(l);
}

static void free_accepts_null(void **state)
{
    (void)state;
    loop_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_run_in_order_and_once),
        cmocka_unit_test(a_job_may_queue_itself_and_cancel_others),
        cmocka_unit_test(endless_jobs_do_not_starve_events),
        cmocka_unit_test(level_watch_repeats_edge_watch_does_not),
        cmocka_unit_test(a_level_watch_may_wait_for_room_as_well),
        cmocka_unit_test(peer_closing_is_told),
        cmocka_unit_test(the_clock_is_that_of_the_turn),
        cmocka_unit_test(a_turn_waits_no_longer_than_asked),
        cmocka_unit_test(runs_until_stopped),
        cmocka_unit_test(shared_descriptor_is_forgotten_before_it_is_closed),
        cmocka_unit_test(free_accepts_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
