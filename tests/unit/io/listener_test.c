/* SPDX-License-Identifier: Apache-2.0
 *
 * Listeners: binding, accepting, running out of descriptors, stopping.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "conn_probe.h"
#include "io/listener.h"

struct taker {
    struct listener listener;
    unsigned        count;
    unsigned        exhausted_count;
    int             fds[256];
    struct address  peer;
    bool            stops;
};

static void take(struct listener *l, int fd, const struct address *peer)
{
    struct taker *t = container_of(l, struct taker, listener);
    t->fds[t->count++] = fd;
    t->peer = *peer;
    if (t->stops) listener_stop(l);
}

static void note_exhausted(struct listener *l)
{
    container_of(l, struct taker, listener)->exhausted_count++;
}

static void close_taken(struct taker *t)
{
    for (unsigned i = 0; i < t->count; i++) close(t->fds[i]);
    t->count = 0;
}

static struct address bound_address(int fd)
{
    struct sockaddr_storage sa;
    socklen_t               len = sizeof(sa);
    struct address          a;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    address_from_sockaddr(&a, (struct sockaddr *)&sa, len);
    return a;
}

static int dial(const struct address *a)
{
    struct sockaddr_storage sa;
    socklen_t               len = address_to_sockaddr(a, &sa);
    int                     fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
    return fd;
}

static int bind_loopback(struct address *a)
{
    struct error   e;
    struct address any = { .family = ADDRESS_V4, .ip = { 127, 0, 0, 1 } };
    int            fd = listener_bind(&any, 128, false, &e);
    assert_true(fd >= 0);
    *a = bound_address(fd);
    return fd;
}

static void accepts(void **state)
{
    (void)state;
    struct loop   *l = make_loop();
    struct taker   t = { .count = 0 };
    struct address a;
    int            fd = bind_loopback(&a), clients[100], one = 0;
    socklen_t      len = sizeof(one);
    assert_true(listener_start(&t.listener, l, fd, take));
    for (int i = 0; i < 100; i++) clients[i] = dial(&a);
    turn_until(l, &t.count, 100);
    for (int i = 0; i < 100; i++) {
        assert_true(fcntl(t.fds[i], F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(t.fds[i], F_GETFD) & FD_CLOEXEC);
    }
    assert_int_equal(getsockopt(t.fds[0], IPPROTO_TCP, TCP_NODELAY, &one, &len), 0);
    assert_int_not_equal(one, 0);
    struct address last = bound_address(clients[99]);
    assert_true(address_eq(&t.peer, &last));
    listener_stop(&t.listener);
    listener_stop(&t.listener);
    close_taken(&t);
    for (int i = 0; i < 100; i++) close(clients[i]);
    loop_close_fd(l, fd);
    loop_free(l);
}

static void any_address_takes_both_families(void **state)
{
    (void)state;
    struct loop   *l = make_loop();
    struct taker   t = { .count = 0 };
    struct error   e;
    struct address any = { .family = ADDRESS_V6 };
    int            fd = listener_bind(&any, 16, false, &e);
    assert_true(fd >= 0);
    assert_true(listener_start(&t.listener, l, fd, take));
    struct address four = { .family = ADDRESS_V4, .ip = { 127, 0, 0, 1 } };
    four.port = bound_address(fd).port;
    int client = dial(&four);
    turn_until(l, &t.count, 1);
    assert_int_equal(t.peer.family, ADDRESS_V4);
    if (bound_address(fd).family == ADDRESS_V6) {
        struct address six = { .family = ADDRESS_V6, .port = four.port };
        six.ip[15] = 1;
        close(dial(&six));
        turn_until(l, &t.count, 2);
        assert_int_equal(t.peer.family, ADDRESS_V6);
    }
    listener_stop(&t.listener);
    close_taken(&t);
    close(client);
    loop_close_fd(l, fd);
    loop_free(l);
}

static void stopping_within_accept(void **state)
{
    (void)state;
    struct loop   *l = make_loop();
    struct taker   t = { .stops = true };
    struct address a;
    int            fd = bind_loopback(&a), first = dial(&a), second = dial(&a);
    assert_true(listener_start(&t.listener, l, fd, take));
    t.listener.batch = 8;
    turn_until(l, &t.count, 1);
    loop_turn(l, 0);
    loop_turn(l, 0);
    assert_int_equal(t.count, 1);
    close_taken(&t);
    close(first);
    close(second);
    loop_close_fd(l, fd);
    loop_free(l);
}

/* Without a descriptor left the owner is told, the loop does not spin, and it goes
 * on once there is one again. */
static void running_out_of_descriptors(void **state)
{
    (void)state;
    struct loop   *l = make_loop();
    struct taker   t = { .listener.on_exhausted = note_exhausted };
    struct address a;
    struct rlimit  was, now;
    int            fd = bind_loopback(&a), client = dial(&a);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    assert_true(listener_start(&t.listener, l, fd, take));
    now = was;
    now.rlim_cur = (rlim_t)client + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
    turn_until(l, &t.exhausted_count, 1);
    uint64_t start_ms = l->clock.now_ms;
    turn_until(l, &t.exhausted_count, 3);
    assert_true(l->clock.now_ms - start_ms >= 100);
    assert_int_equal(t.count, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    turn_until(l, &t.count, 1);
    listener_stop(&t.listener);
    close_taken(&t);
    close(client);
    loop_close_fd(l, fd);
    loop_free(l);
}

static void says_what_is_wrong(void **state)
{
    (void)state;
    struct address a, unreachable = { .family = ADDRESS_V4, .port = 1234, .ip = { 192, 0, 2, 1 } };
    struct address no_dir = { .family = ADDRESS_UNIX, .path = "/nonexistent/a.sock" };
    struct error   e;
    int            fd = bind_loopback(&a);
    assert_int_equal(listener_bind(&a, 16, false, &e), -1);
    assert_non_null(strstr(e.text, "another process does"));
    assert_non_null(strstr(e.text, "127.0.0.1:"));
    assert_int_equal(listener_bind(&unreachable, 16, false, &e), -1);
    assert_non_null(strstr(e.text, "no such address"));
    assert_int_equal(listener_bind(&no_dir, 16, false, &e), -1);
    assert_non_null(strstr(e.text, "directory does not exist"));
    close(fd);
}

static void many_listeners_share_a_port(void **state)
{
    (void)state;
    struct error   e;
    struct address any = { .family = ADDRESS_V4, .ip = { 127, 0, 0, 1 } };
    int            first = listener_bind(&any, 16, true, &e);
    struct address a = bound_address(first);
    int            second = listener_bind(&a, 16, true, &e);
    assert_true(first >= 0 && second >= 0);
    close(first);
    close(second);
}

static void unix_paths(void **state)
{
    (void)state;
    char           dir[] = "/tmp/wharfgate-listener-XXXXXX", path[64];
    struct error   e;
    struct stat    st;
    struct address a = { .family = ADDRESS_UNIX, .path = path };
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/a.sock", dir);
    int fd = listener_bind_unix(&a, 16, 0600, &e);
    assert_true(fd >= 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    close(dial(&a));
    /* In use: not taken away. */
    assert_int_equal(listener_bind(&a, 16, false, &e), -1);
    assert_non_null(strstr(e.text, "another process does"));
    close(dial(&a));
    /* Its process is gone: replaced. */
    close(fd);
    fd = listener_bind(&a, 16, false, &e);
    assert_true(fd >= 0);
    close(dial(&a));
    close(fd);
    /* Not a socket: left alone. */
    unlink(path);
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(fd);
    assert_int_equal(listener_bind(&a, 16, false, &e), -1);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
}

static void takes_unix_peers(void **state)
{
    (void)state;
    struct loop   *l = make_loop();
    struct taker   t = { .count = 0 };
    struct error   e;
    char           name[64];
    struct address a = { .family = ADDRESS_UNIX, .path = name };
    snprintf(name, sizeof(name), "@wharfgate-listener-test-%d", (int)getpid());
    int fd = listener_bind(&a, 16, false, &e);
    assert_true(fd >= 0);
    assert_true(listener_start(&t.listener, l, fd, take));
    int client = dial(&a);
    turn_until(l, &t.count, 1);
    assert_int_equal(t.peer.family, ADDRESS_UNIX);
    listener_stop(&t.listener);
    close_taken(&t);
    close(client);
    loop_close_fd(l, fd);
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts),
        cmocka_unit_test(any_address_takes_both_families),
        cmocka_unit_test(stopping_within_accept),
        cmocka_unit_test(running_out_of_descriptors),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(many_listeners_share_a_port),
        cmocka_unit_test(unix_paths),
        cmocka_unit_test(takes_unix_peers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
