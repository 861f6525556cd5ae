/* SPDX-License-Identifier: Apache-2.0
 *
 * A recording owner of HTTP calls. See http_probe.h.
 */
#include "http_probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum { TURN_MS = 20, REQUEST_MAX = 4096, BACKLOG = 256 };

static const uint64_t patience_ns = 30000000000u;

static void act(struct http_probe *p, enum http_moment now)
{
    assert_false(p->is_calling);
    if (p->cancels == now) http_call_cancel(p->call);
    if (p->frees_client == now) http_client_free(p->client);
}

static void on_head(struct http_call *c, unsigned status, void *arg)
{
    struct http_probe *p = arg;
    assert_ptr_equal(c, p->call);
    assert_int_equal(http_call_status(c), status);
    p->head_count++;
    p->status = status;
    act(p, ON_HEAD);
}

static void on_field(struct http_call *c, struct slice name, struct slice value, void *arg)
{
    struct http_probe *p = arg;
    assert_ptr_equal(c, p->call);
    assert_int_equal(p->head_count, 0);
    buffer_printf(&p->fields, "%.*s=%.*s\n", SLICE_ARG(name), SLICE_ARG(value));
    act(p, ON_FIELD);
}

static void on_data(struct http_call *c, struct slice data, void *arg)
{
    struct http_probe *p = arg;
    assert_ptr_equal(c, p->call);
    assert_int_equal(p->head_count, 1);
    p->data_count++;
    buffer_put_slice(&p->data, data);
    act(p, ON_DATA);
}

static void on_done(struct http_call *c, const char *trouble, void *arg)
{
    struct http_probe *p = arg;
    assert_ptr_equal(c, p->call);
    assert_int_equal(p->done_count, 0);
    p->done_count++;
    snprintf(p->trouble, sizeof(p->trouble), "%s", trouble ? trouble : "");
    if (p->next) probe_start(p->after, p->client, p->next);
    if (p->victim) probe_cancel(p->victim);
    act(p, ON_DONE);
    p->call = NULL;
}

static const struct http_call_ops probe_http_ops = {
    .on_head = on_head,
    .on_field = on_field,
    .on_data = on_data,
    .on_done = on_done,
};

void probe_start(struct http_probe *p, struct http_client *h, const struct http_call_options *o)
{
    p->client = h;
    p->is_calling = true;
    p->call = http_call_start(h, o, &probe_http_ops, p);
    p->is_calling = false;
    assert_int_equal(http_call_status(p->call), 0);
}

void probe_cancel(struct http_probe *p)
{
    p->is_calling = true;
    http_call_cancel(p->call);
    p->is_calling = false;
    p->call = NULL;
}

void probe_forget(struct http_probe *p)
{
    buffer_reset(&p->fields);
    buffer_reset(&p->data);
}

void probe_finish(struct http_probe *p, struct loop *l)
{
    turn_until(l, &p->done_count, 1);
    probe_forget(p);
}

bool probe_got(const struct http_probe *p, const char *text)
{
    return slice_eq(buffer_slice(&p->data), slice_of(text));
}

int listen_at(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int                fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    unlink(path);
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(fd, BACKLOG), 0);
    return fd;
}

int accept_in(struct loop *l, int listening)
{
    uint64_t end_ns = clock_mono_ns() + patience_ns;
    int      fd;
    assert_int_equal(fcntl(listening, F_SETFL, O_NONBLOCK), 0);
    while ((fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC)) < 0) {
        assert_true(clock_mono_ns() < end_ns);
        loop_turn(l, TURN_MS);
    }
    return fd;
}

void expect_request(struct loop *l, int fd, const char *target)
{
    char     got[REQUEST_MAX] = "", line[REQUEST_MAX];
    size_t   len = 0;
    uint64_t end_ns = clock_mono_ns() + patience_ns;
    while (!strstr(got, "\r\n\r\n")) {
        ssize_t n = recv(fd, got + len, sizeof(got) - 1 - len, MSG_DONTWAIT);
        assert_true(n != 0 && clock_mono_ns() < end_ns);
        if (n > 0) len += (size_t)n;
        if (n < 0) loop_turn(l, TURN_MS);
    }
    snprintf(line, sizeof(line), "GET %s HTTP/1.1\r\n", target);
    assert_memory_equal(got, line, strlen(line));
}
