/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of listening sockets: ports that stay, ports that are taken, Unix
 * paths.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/sockets.h"
#include "io/address.h"

static uint16_t port_of(int fd)
{
    struct sockaddr_storage sa;
    socklen_t               len = sizeof(sa);
    struct address          a;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    address_from_sockaddr(&a, (struct sockaddr *)&sa, len);
    return a.port;
}

static void sockets_of_one_key_share_a_port_that_stays(void **state)
{
    (void)state;
    struct socket_table t;
    struct error        e;
    int                 fds[3], again[3];
    sockets_init(&t);
    assert_true(sockets_bind(&t, "a 127.0.0.1:0", 3, 0, 3, fds, &e));
    assert_int_not_equal(port_of(fds[0]), 0);
    assert_int_equal(port_of(fds[0]), port_of(fds[1]));
    assert_int_equal(port_of(fds[0]), port_of(fds[2]));
    assert_true(sockets_bind(&t, "a 127.0.0.1:0", 3, 1, 2, again, &e));
    assert_int_equal(again[0], fds[1]);
    assert_int_equal(again[1], fds[2]);
    sockets_reset(&t, true);
}

static void port_0_is_another_for_each_listener(void **state)
{
    (void)state;
    struct socket_table t;
    struct error        e;
    struct arena        arena;
    int                 one, two;
    arena_init(&arena, NULL);
    sockets_init(&t);
    assert_true(slice_eq(sockets_key(&arena, S("a"), S("127.0.0.1:0")), S("a 127.0.0.1:0")));
    assert_true(slice_eq(sockets_key(&arena, S("a"), S("127.0.0.1:80")), S("127.0.0.1:80")));
    assert_true(sockets_bind(&t, "a 127.0.0.1:0", 1, 0, 1, &one, &e));
    assert_true(sockets_bind(&t, "b 127.0.0.1:0", 1, 0, 1, &two, &e));
    assert_int_not_equal(port_of(one), port_of(two));
    sockets_reset(&t, true);
    arena_reset(&arena);
}

static void a_port_of_another_gateway_is_taken(void **state)
{
    (void)state;
    struct socket_table ours, theirs;
    struct error        e;
    int                 fd, other;
    char                key[64];
    sockets_init(&ours);
    sockets_init(&theirs);
    assert_true(sockets_bind(&theirs, "a 127.0.0.1:0", 1, 0, 1, &fd, &e));
    snprintf(key, sizeof(key), "127.0.0.1:%u", port_of(fd));
    assert_false(sockets_bind(&ours, key, 1, 0, 1, &other, &e));
    assert_non_null(strstr(e.text, key));
    assert_true(sockets_close(&theirs, "a 127.0.0.1:0"));
    assert_false(sockets_close(&theirs, "a 127.0.0.1:0"));
    assert_true(sockets_bind(&ours, key, 1, 0, 1, &other, &e));
    sockets_reset(&ours, true);
    sockets_reset(&theirs, true);
}

static void fewer_workers_leave_no_socket_behind(void **state)
{
    (void)state;
    struct socket_table t;
    struct error        e;
    int                 fds[2];
    sockets_init(&t);
    assert_true(sockets_bind(&t, "a 127.0.0.1:0", 2, 0, 2, fds, &e));
    uint16_t port = port_of(fds[0]);
    assert_true(sockets_bind(&t, "a 127.0.0.1:0", 1, 0, 1, fds, &e));
    /* Both are gone with the key: the port is free for one that shares with nobody. */
    assert_true(sockets_close(&t, "a 127.0.0.1:0"));
    struct address          a = { .family = ADDRESS_V4, .port = port, .ip = { 127, 0, 0, 1 } };
    struct sockaddr_storage sa;
    socklen_t               len = address_to_sockaddr(&a, &sa);
    int                     alone = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(alone, (struct sockaddr *)&sa, len), 0);
    close(alone);
    sockets_reset(&t, true);
}

static void a_path_is_made_private_and_removed(void **state)
{
    (void)state;
    struct socket_table t;
    struct error        e;
    struct stat         st;
    char                dir[] = "/tmp/wharfgate-test-XXXXXX", path[96], key[112];
    int                 fd;
    sockets_init(&t);
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/run/admin.sock", dir);
    snprintf(key, sizeof(key), "unix:%s", path);
    assert_true(sockets_bind(&t, key, 1, 0, 1, &fd, &e));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    /* A fork that ends does not take the path away; the owner does. */
    sockets_reset(&t, false);
    assert_int_equal(stat(path, &st), 0);
    assert_true(sockets_bind(&t, key, 1, 0, 1, &fd, &e)); /* left over, and nobody answers */
    sockets_reset(&t, true);
    assert_int_equal(stat(path, &st), -1);
    snprintf(path, sizeof(path), "%s/run", dir);
    rmdir(path);
    rmdir(dir);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    struct socket_table t;
    struct error        e;
    int                 fds[1];
    sockets_init(&t);
    assert_false(sockets_bind(&t, "a 127.0.0.1:0", 0, 0, 0, fds, &e));
    assert_false(sockets_bind(&t, "a 127.0.0.1:0", 100000, 0, 1, fds, &e));
    assert_false(sockets_bind(&t, "a 127.0.0.1:0", 1, 1, 1, fds, &e));
    assert_false(sockets_bind(&t, "nonsense", 1, 0, 1, fds, &e));
    assert_false(sockets_bind(&t, "", 1, 0, 1, fds, &e));
    assert_true(list_is_empty(&t.entries));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sockets_of_one_key_share_a_port_that_stays),
        cmocka_unit_test(port_0_is_another_for_each_listener),
        cmocka_unit_test(a_port_of_another_gateway_is_taken),
        cmocka_unit_test(fewer_workers_leave_no_socket_behind),
        cmocka_unit_test(a_path_is_made_private_and_removed),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
