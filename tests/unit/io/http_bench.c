/* SPDX-License-Identifier: Apache-2.0
 *
 * A loop, a client and a server's socket. See http_bench.h.
 */
#include "http_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

const char whole[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: b\r\n\r\nhello";

int bench_set_up(void **state)
{
    static struct bench t;
    t = (struct bench){ .folder = "/tmp/wharfgate-http-XXXXXX" };
    assert_non_null(mkdtemp(t.folder));
    chmod(t.folder, 0755);
    snprintf(t.path, sizeof(t.path), "%s/socket", t.folder);
    t.loop = make_loop();
    t.client = http_client_new(t.loop);
    t.endpoint = (struct http_endpoint){ .base = "http://docker", .unix_socket = t.path };
    t.options = (struct http_call_options){ .endpoint = &t.endpoint, .target = "/x" };
    t.listening = listen_at(t.path);
    *state = &t;
    return 0;
}

int bench_tear_down(void **state)
{
    struct bench *t = *state;
    http_client_free(t->client);
    probe_forget(&t->a);
    probe_forget(&t->b);
    loop_turn(t->loop, 0);
    loop_free(t->loop);
    if (t->listening >= 0) close(t->listening);
    unlink(t->path);
    rmdir(t->folder);
    return 0;
}

int bench_begin(struct bench *t)
{
    probe_start(&t->a, t->client, &t->options);
    int fd = accept_in(t->loop, t->listening);
    expect_request(t->loop, fd, t->options.target);
    return fd;
}

void bench_play(struct bench *t, const char *text)
{
    int fd = bench_begin(t);
    put(fd, text);
    close(fd);
    turn_until(t->loop, &t->a.done_count, 1);
}

void bench_use_tcp(struct bench *t, struct address *a)
{
    close(t->listening);
    t->listening = tcp_listen(a);
    snprintf(t->base, sizeof(t->base), "http://127.0.0.1:%u", a->port);
    t->endpoint = (struct http_endpoint){ .base = t->base };
}
