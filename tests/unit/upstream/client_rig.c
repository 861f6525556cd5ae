/* SPDX-License-Identifier: Apache-2.0
 *
 * See client_rig.h.
 */
#include "client_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../io/conn_probe.h"

enum { CONNECT_MS = 10000, WAIT_MS = 5 };

static const uint64_t patience_ns = 20000000000u;

/* ---- workers ---- */

static struct upstream *upstream_of(const struct bench *b)
{
    return b->rig.now.upstream;
}

static void side_init(struct bench *b, unsigned index)
{
    struct side *s = &b->sides[index];
    s->loop = loop_new(&b->rig.log);
    assert_non_null(s->loop);
    assert_true(mailbox_init(&s->mailbox, s->loop, s));
    upstream_client_init(&s->client, s->loop, index, &s->counters);
    s->client.mailbox = &s->mailbox;
    upstream_client_adopt(&s->client, upstream_of(b));
}

void bench_init(struct bench *b, const char *lines, const char *list)
{
    rig_init_for(&b->rig, lines, SIDES);
    rig_update(&b->rig, list);
    roster_flush(b->rig.now.roster);
    rig_pass(&b->rig);
    for (unsigned i = 0; i < SIDES; i++) side_init(b, i);
}

void bench_listen(struct bench *b)
{
    struct address a;
    memset(b, 0, sizeof(*b));
    b->listening = tcp_listen(&a);
    b->port = a.port;
}

const char *bench_list(struct bench *b, const char *names)
{
    static char text[256];
    size_t      len = 0;
    for (; *names; names++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%c=%u", len ? " " : "", *names,
                                b->port);
    return text;
}

static void side_reset(struct side *s, struct upstream *u)
{
    upstream_client_release(&s->client, u);
    upstream_client_reset(&s->client);
    loop_turn(s->loop, 0);
    mailbox_reset(&s->mailbox);
    block_pool_reset(&s->client.conn_blocks);
    s->client.conn_blocks.keep_count = 0;
    loop_free(s->loop);
}

static void expect_nothing_counted(struct bench *b)
{
    LIST_EACH (it, &b->rig.now.roster->members) {
        const struct endpoint *e = container_of(it, struct member, link)->endpoint;
        assert_int_equal(atomic_load(&e->live->active), 0);
        assert_int_equal(atomic_load(&e->live->connections), 0);
        /* The member's; a set borrows it. */
        assert_int_equal(atomic_load(&e->ref_count), 1);
    }
    assert_int_equal(atomic_load(&upstream_of(b)->load->active), 0);
    assert_int_equal(atomic_load(&upstream_of(b)->queued), 0);
    for (unsigned i = 0; i < SIDES; i++)
        assert_int_equal(atomic_load(&upstream_of(b)->peers[i].waiting_ms), 0);
}

void bench_reset(struct bench *b)
{
    if (!b->rig.loop) return;
    for (unsigned i = 0; i < SIDES; i++) side_reset(&b->sides[i], upstream_of(b));
    expect_nothing_counted(b);
    rig_reset(&b->rig);
    if (b->listening > 0) close(b->listening);
    memset(b, 0, sizeof(*b));
}

void bench_update(struct bench *b, const char *list)
{
    rig_update(&b->rig, list);
    roster_flush(b->rig.now.roster);
    for (unsigned i = 0; i < SIDES; i++) {
        upstream_client_sync(&b->sides[i].client, upstream_of(b)->slot, upstream_of(b));
        side_turn(b, i);
    }
    rig_pass(&b->rig);
}

void side_turn(struct bench *b, unsigned side)
{
    loop_turn(b->sides[side].loop, 0);
}

void bench_turn(struct bench *b)
{
    for (unsigned i = 0; i < SIDES; i++) side_turn(b, i);
}

uint64_t bench_patience(void)
{
    return clock_mono_ns() + patience_ns;
}

void bench_wait(struct bench *b, uint64_t end_ns)
{
    assert_true(clock_mono_ns() < end_ns);
    for (unsigned i = 0; i < SIDES; i++) loop_turn(b->sides[i].loop, WAIT_MS);
}

uint32_t bench_active(struct bench *b, char name)
{
    return atomic_load(&rig_member(&b->rig, name)->endpoint->live->active);
}

uint32_t bench_queued(struct bench *b)
{
    return atomic_load(&upstream_of(b)->queued);
}

/* ---- requests ---- */

static void on_turn(struct upstream_turn *t)
{
    struct request *r = container_of(t, struct request, turn);
    r->run_count++;
    assert_true(request_seek(r));
}

void request_init(struct request *r, struct bench *b, unsigned side, char name)
{
    memset(r, 0, sizeof(*r));
    r->bench = b;
    r->side = &b->sides[side];
    r->name = name;
    r->turn.run = on_turn;
    r->ask.random = &r->side->loop->random;
    list_init(&r->turn.link);
    arena_init(&r->arena, NULL);
}

enum upstream_choice request_choose(struct request *r)
{
    enum upstream_choice choice =
        upstream_client_choose(&r->side->client, upstream_of(r->bench), &r->ask, &r->endpoint);
    if (choice != UPSTREAM_CHOSEN || !r->name) return choice;
    size_t len = strlen(r->bench->order);
    assert_true(len + 1 < ORDER_MAX);
    r->bench->order[len] = r->name;
    return choice;
}

bool request_seek(struct request *r)
{
    if (request_choose(r) == UPSTREAM_CHOSEN) return true;
    r->turn.is_picky = r->ask.tried_count > 0;
    return upstream_client_queue(&r->side->client, upstream_of(r->bench), &r->turn);
}

bool request_waits(const struct request *r)
{
    return r->turn.local != NULL;
}

static void forget(struct request *r, struct endpoint *e)
{
    upstream_client_forget(&r->side->client, upstream_of(r->bench), e);
}

void request_give_up(struct request *r)
{
    balance_tried(&r->ask, r->endpoint);
    upstream_client_leave(&r->side->client, upstream_of(r->bench), r->endpoint);
    r->endpoint = NULL;
}

void request_leave(struct request *r)
{
    struct endpoint *e = r->endpoint;
    if (!e) return;
    upstream_client_leave(&r->side->client, upstream_of(r->bench), e);
    forget(r, e);
    r->endpoint = NULL;
}

void request_end(struct request *r)
{
    upstream_client_cancel(&r->wait);
    if (r->stream) http_stream_close(r->stream);
    r->stream = NULL;
    upstream_client_unqueue(&r->turn);
    request_leave(r);
    for (unsigned i = 0; i < r->ask.tried_count; i++) forget(r, r->ask.tried[i]);
    r->ask.tried_count = 0;
    arena_reset(&r->arena);
}

/* ---- connections ---- */

static struct request *of_stream(struct http_stream *s)
{
    return s->owner;
}

static void on_head(struct http_stream *s, struct http_head *head)
{
    (void)s;
    assert_int_equal(head->status, 200);
}

static void on_body(struct http_stream *s, struct slice data)
{
    http_stream_consumed(s, data.len);
}

static void on_end(struct http_stream *s)
{
    of_stream(s)->ended_count++;
}

static void on_reset(struct http_stream *s, enum http_reset why)
{
    (void)why;
    of_stream(s)->reset_count++;
}

static void on_invalid(struct http_stream *s, const struct http_fault *f)
{
    fail_msg("%s", f->reason);
    (void)s;
}

static void on_sent(struct http_stream *s, size_t bytes)
{
    (void)s;
    (void)bytes;
}

static const struct http_stream_ops stream_ops = {
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
    .on_invalid = on_invalid,
    .on_reset = on_reset,
    .on_sent = on_sent,
};

static void on_stream(struct upstream_wait *w, struct http_stream *s)
{
    struct request *r = container_of(w, struct request, wait);
    s->ops = &stream_ops;
    s->owner = r;
    s->arena = &r->arena;
    r->stream = s;
}

static void on_failed(struct upstream_wait *w, enum conn_fault fault, const char *why)
{
    (void)fault;
    (void)why;
    container_of(w, struct request, wait)->failed_count++;
}

static const struct upstream_wait_ops wait_ops = { on_stream, on_failed };

void request_connect(struct request *r)
{
    r->wait.ops = &wait_ops;
    r->wait.connect_ms = CONNECT_MS;
    struct http_stream *s =
        upstream_client_acquire(&r->side->client, upstream_of(r->bench), r->endpoint, &r->wait);
    if (s) on_stream(&r->wait, s);
    bench_until(r->bench, r->stream || r->failed_count);
}

void request_ask(struct request *r, int fd)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    struct http_head  head = { .method = HTTP_GET, .method_name = S("GET") };
    char              text[4096];
    ssize_t           len;
    head.path = head.target = S("/");
    head.authority = S("app");
    http_stream_send_head(r->stream, &head);
    conn_flush_all(r->side->loop);
    side_turn(r->bench, (unsigned)(r->side - r->bench->sides));
    len = recv(fd, text, sizeof(text), 0);
    assert_true(len > 4 && memcmp(text + len - 4, "\r\n\r\n", 4) == 0);
    put(fd, answer);
    unsigned before = r->ended_count;
    bench_until(r->bench, r->ended_count > before);
    http_stream_close(r->stream);
    r->stream = NULL;
}

int replica_accept(struct bench *b)
{
    int fd = accept(b->listening, NULL, NULL);
    assert_true(fd >= 0);
    return fd;
}
