/* SPDX-License-Identifier: Apache-2.0
 *
 * Our two sides against the openssl program over loopback: s_client with TLS
 * 1.2 and 1.3, s_server with the line it is sent reversed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/tls.h"
#include "tls_pair.h"

enum { PATIENCE_S = 20 };

struct fixture {
    struct pair        pair; /* its loop only */
    struct buffer      cert, key;
    struct tls_server *server;
    struct tls_client *client;
    char               cert_path[64], key_path[64];
};

static void write_file(char *path, const struct buffer *b)
{
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, b->data, b->len), b->len);
    close(fd);
}

static int set_up(void **state)
{
    static const char *const names[] = { "localhost", "127.0.0.1" };
    static struct fixture    f = { .cert_path = "/tmp/wg-tls-cert-XXXXXX",
                                   .key_path = "/tmp/wg-tls-key-XXXXXX" };
    struct error             e = { "" };
    pair_init(&f.pair);
    assert_true(tls_make_self_signed(names, 2, &f.cert, &f.key, &e));
    struct tls_certificate_pem pem = { "c", buffer_slice(&f.cert), "k", buffer_slice(&f.key),
                                       S("") };
    struct tls_server_settings ss = { .certificates = &pem,
                                      .certificate_count = 1,
                                      .has_tickets = true };
    struct tls_client_settings cs = { .verifies = true, .ca = buffer_slice(&f.cert) };
    struct tls_store          *store = tls_store_new(&ss, NULL, &e);
    struct tls_ticket_keys    *keys = tls_ticket_keys_new();
    assert_non_null(store);
    f.server = tls_server_new(store, keys, &e);
    f.client = tls_client_new(&cs, &e);
    assert_non_null(f.server);
    assert_non_null(f.client);
    tls_store_free(store);
    tls_ticket_keys_free(keys);
    write_file(f.cert_path, &f.cert);
    write_file(f.key_path, &f.key);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    tls_server_unref(f->server);
    tls_client_unref(f->client);
    pair_free(&f->pair);
    unlink(f->cert_path);
    unlink(f->key_path);
    buffer_reset(&f->cert);
    buffer_reset(&f->key);
    return 0;
}

/* Starts openssl with its output (and, if asked for, its input) on a pipe of ours. */
static pid_t start(const char *const *argv, int *to, int *from)
{
    int in[2], out[2];
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        dup2(out[1], 2);
        alarm(PATIENCE_S);
        execvp("openssl", (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    *to = in[1];
    *from = out[0];
    return pid;
}

static void send_all(struct tls *t, int fd)
{
    struct outq *q = tls_out(t);
    while (!outq_is_empty(q)) {
        struct slice piece = outq_front(q);
        ssize_t      n = send(fd, piece.data, piece.len, MSG_NOSIGNAL);
        assert_true(n > 0);
        outq_consume(q, (size_t)n);
    }
}

/* One recv(2) into the TLS layer. False at the end. */
static bool receive(struct tls *t, int fd, char *memory, size_t capacity)
{
    ssize_t n = recv(fd, memory, capacity, 0);
    assert_true(n >= 0);
    tls_give(t, memory, (size_t)n);
    return n > 0;
}

static void shake_hands(struct tls *t, int fd, char *memory, size_t capacity)
{
    enum tls_result r;
    while ((r = tls_handshake(t)) == TLS_AGAIN) {
        send_all(t, fd);
        receive(t, fd, memory, capacity);
    }
    if (r != TLS_OK) fail_msg("%s", tls_failure(t));
    send_all(t, fd);
}

/* Reads until `want` has come or the other side has finished. */
static enum tls_result read_until(struct tls *t, int fd, struct buffer *to, const char *want)
{
    char memory[16384], plain[16384];
    for (;;) {
        size_t          n;
        enum tls_result r = tls_read(t, plain, sizeof(plain), &n);
        if (r == TLS_OK) {
            buffer_put(to, plain, n);
            buffer_put(to, "", 1);
            to->len--;
            if (want && strstr(to->data, want)) return TLS_OK;
        } else if (r == TLS_AGAIN) {
            receive(t, fd, memory, sizeof(memory));
        } else {
            return r;
        }
    }
}

static int listen_here(struct sockaddr_in *at)
{
    socklen_t len = sizeof(*at);
    *at = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)at, sizeof(*at)), 0);
    assert_int_equal(listen(fd, 5), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)at, &len), 0);
    return fd;
}

static void check_s_client(struct fixture *f, const char *version, const char *expected)
{
    struct sockaddr_in at;
    int                listener = listen_here(&at), to, from;
    char               target[32], memory[16384];
    struct buffer      got = BUFFER_INIT, said = BUFFER_INIT;
    snprintf(target, sizeof(target), "127.0.0.1:%d", ntohs(at.sin_port));
    const char *argv[] = { "openssl",  "s_client",    version,      "-connect",
                           target,     "-servername", "localhost",  "-alpn",
                           "http/1.1", "-CAfile",     f->cert_path, "-verify_return_error",
                           "-brief",   "-no_ign_eof", NULL };
    pid_t       pid = start(argv, &to, &from);
    int         fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    struct tls *t = tls_accept(f->server, &f->pair.loop);
    shake_hands(t, fd, memory, sizeof(memory));
    assert_string_equal(tls_version(t), expected);
    assert_int_equal(tls_alpn(t), TLS_ALPN_HTTP_1_1);
    assert_true(slice_eq(tls_sni(t), S("localhost")));
    assert_int_equal(write(to, "hello gate\n", 11), 11);
    assert_int_equal(read_until(t, fd, &got, "gate\n"), TLS_OK);
    assert_string_equal(got.data, "hello gate\n");
    struct iovec answer = { (char[]){ "hello client\n" }, 13 };
    assert_int_equal(tls_write(t, &answer, 1), TLS_OK);
    tls_send_close_notify(t);
    send_all(t, fd);
    close(to);
    assert_int_equal(read_until(t, fd, &got, NULL), TLS_EOF);
    for (ssize_t n; (n = read(from, memory, sizeof(memory))) > 0;)
        buffer_put(&said, memory, (size_t)n);
    buffer_put(&said, "", 1);
    if (!strstr(said.data, "hello client")) fail_msg("%s", said.data);
    if (!strstr(said.data, "Verification: OK")) fail_msg("%s", said.data);
    waitpid(pid, NULL, 0);
    tls_free(t);
    close(fd);
    close(from);
    close(listener);
    buffer_reset(&got);
    buffer_reset(&said);
}

static void test_s_client(void **state)
{
    check_s_client(*state, "-tls1_2", "TLSv1.2");
    check_s_client(*state, "-tls1_3", "TLSv1.3");
}

/* The port from "ACCEPT 127.0.0.1:40123". */
static int port_of_s_server(int from)
{
    struct buffer said = BUFFER_INIT;
    char          c;
    int           port = 0;
    while (!port && read(from, &c, 1) == 1) {
        if (c != '\n') {
            buffer_put_char(&said, c);
            continue;
        }
        const char *colon = said.data ? strrchr(said.data, ':') : NULL;
        if (colon && strncmp(said.data, "ACCEPT", 6) == 0) port = (int)strtol(colon + 1, NULL, 10);
        buffer_reset(&said);
    }
    buffer_reset(&said);
    assert_int_not_equal(port, 0);
    return port;
}

static void test_s_server(void **state)
{
    struct fixture    *f = *state;
    const char        *argv[] = { "openssl",    "s_server", "-accept",   "127.0.0.1:0", "-cert",
                                  f->cert_path, "-key",     f->key_path, "-rev",        NULL };
    int                to, from;
    char               memory[16384];
    struct buffer      got = BUFFER_INIT;
    pid_t              pid = start(argv, &to, &from);
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons((uint16_t)port_of_s_server(from)) };
    for (int i = 0; i < 2; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
        struct tls *t = tls_connect(f->client, &f->pair.loop, S("localhost"));
        shake_hands(t, fd, memory, sizeof(memory));
        struct iovec line = { (char[]){ "abcdef\n" }, 7 };
        assert_int_equal(tls_write(t, &line, 1), TLS_OK);
        send_all(t, fd);
        assert_int_equal(read_until(t, fd, &got, "fedcba\n"), TLS_OK);
        assert_int_equal(tls_is_resumed(t), i > 0);
        tls_send_close_notify(t);
        send_all(t, fd);
        tls_free(t);
        close(fd);
        buffer_reset(&got);
    }
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
    close(to);
    close(from);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_s_client),
        cmocka_unit_test(test_s_server),
    };
    alarm(PATIENCE_S);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
