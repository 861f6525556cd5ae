/* SPDX-License-Identifier: Apache-2.0
 *
 * See probe_rig.h.
 */
#include "probe_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/memory.h"
#include "http/h2.h"

static const uint64_t patience_ns = 20000000000u;

/* ---- the replica ---- */

struct peer {
    struct conn        conn;
    struct rig        *rig;
    struct list        link;
    struct outq        out;
    struct buffer      got;
    struct http_codec *codec;
    struct arena       arena;
    size_t             sent_count;
    bool               is_answering;
};

static struct peer *peer_of(struct conn *c)
{
    return container_of(c, struct peer, conn);
}

static void on_output(struct http_codec *codec)
{
    conn_want_flush(&((struct peer *)codec->owner)->conn);
}

static void on_want_input(struct http_codec *codec)
{
    conn_resume(&((struct peer *)codec->owner)->conn);
}

static void on_idle(struct http_codec *codec)
{
    (void)codec;
}

static void on_head(struct http_stream *s, struct http_head *head)
{
    struct rig *r = ((struct peer *)s->owner)->rig;
    buffer_printf(&r->got, "%.*s %.*s %.*s|", SLICE_ARG(head->method_name), SLICE_ARG(head->path),
                  SLICE_ARG(head->authority));
    buffer_put_slice(&r->got, http_fields_value(&head->fields, FIELD_CONTENT_TYPE));
    buffer_puts(&r->got, head->accepts_trailers ? "|te|" : "||");
}

static void on_body(struct http_stream *s, struct slice data)
{
    buffer_put_slice(&((struct peer *)s->owner)->rig->got, data);
    http_stream_consumed(s, data.len);
}

static void on_end(struct http_stream *s)
{
    struct peer       *p = s->owner;
    struct rig        *r = p->rig;
    struct http_head   head = { .status = (uint16_t)r->status, .body_bytes = -1 };
    struct http_fields trailers = { 0 };
    if (!r->status) return; /* says nothing */
    if (r->content_type)
        http_fields_set(&head.fields, &p->arena, FIELD_CONTENT_TYPE, slice_of(r->content_type));
    if (r->grpc_status)
        http_fields_add_named(r->has_early_status ? &head.fields : &trailers, &p->arena,
                              S("grpc-status"), slice_of(r->grpc_status));
    if (r->has_early_status) head.body_bytes = 0;
    http_stream_send_head(s, &head);
    if (!r->has_early_status) {
        http_stream_send_body(s, r->body);
        http_stream_send_end(s, trailers.count ? &trailers : NULL);
    }
    http_stream_close(s);
}

static void on_reset(struct http_stream *s, enum http_reset why)
{
    (void)why;
    http_stream_close(s);
}

static void on_invalid(struct http_stream *s, const struct http_fault *f)
{
    (void)f;
    http_stream_close(s);
}

static void on_stream_sent(struct http_stream *s, size_t bytes)
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
    .on_sent = on_stream_sent,
};

static void on_stream(struct http_codec *codec, struct http_stream *s)
{
    struct peer *p = codec->owner;
    s->ops = &stream_ops;
    s->owner = p;
    s->arena = &p->arena;
}

static const struct http_codec_owner_ops codec_ops = { on_stream, on_output, on_want_input,
                                                       on_idle };

static bool is_asked(const struct buffer *b)
{
    return b->len >= 4 && memcmp(b->data + b->len - 4, "\r\n\r\n", 4) == 0;
}

static size_t on_input(struct conn *c, const char *data, size_t len)
{
    struct peer *p = peer_of(c);
    if (p->codec) return codec_feed(p->codec, data, len);
    buffer_put(&p->got, data, len);
    buffer_put(&p->rig->got, data, len);
    if (is_asked(&p->got)) p->is_answering = true;
    return len;
}

static void on_eof(struct conn *c)
{
    conn_close(c, false);
}

static void on_fault(struct conn *c, enum conn_fault fault)
{
    if (fault == CONN_RESET) peer_of(c)->rig->reset_count++;
    conn_close(c, false);
}

static void on_flush(struct conn *c)
{
    if (peer_of(c)->codec) codec_prepare(peer_of(c)->codec);
}

static void on_sent(struct conn *c)
{
    if (peer_of(c)->codec) codec_sent(peer_of(c)->codec);
}

static void on_free(struct conn *c)
{
    struct peer *p = peer_of(c);
    p->rig->closed_count++;
    list_remove(&p->link);
    codec_free(p->codec);
    outq_reset(&p->out);
    buffer_reset(&p->got);
    arena_reset(&p->arena);
    free(p);
}

static const struct conn_ops conn_ops = {
    .on_input = on_input,
    .on_eof = on_eof,
    .on_flush = on_flush,
    .on_sent = on_sent,
    .on_fault = on_fault,
    .on_free = on_free,
};

static const struct http_limits limits = {
    8192, 65536, 100, 8192, 4096, 8, 65536, 100, false, false
};

static void accept_one(struct rig *r, int fd)
{
    struct peer *p = mem_zalloc(sizeof(*p));
    p->rig = r;
    p->is_answering = r->greets;
    outq_init(&p->out, &r->loop->large_blocks);
    arena_init(&p->arena, NULL);
    list_init(&p->link);
    list_append(&r->peers, &p->link);
    if (r->is_h2)
        p->codec = h2_codec_new(HTTP_SERVER, &codec_ops, p, &limits, &r->loop->clock,
                                &r->loop->large_blocks, r->tls_server != NULL);
    conn_accept(&p->conn, r->loop, &conn_ops, p->codec ? &p->codec->out : &p->out, fd,
                r->tls_server);
    r->accepted_count++;
}

static void on_accept(struct watch *w, int fd, unsigned what)
{
    struct rig *r = container_of(w, struct rig, watch);
    int         got;
    (void)what;
    while ((got = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) accept_one(r, got);
}

/* The next piece of each answer. */
static void go_on(struct rig *r)
{
    LIST_EACH_SAFE (it, &r->peers) {
        struct peer *p = container_of(it, struct peer, link);
        if (!p->is_answering || p->conn.is_closed || p->conn.is_handshaking) continue;
        if (p->sent_count < r->piece_count) {
            outq_put(&p->out, r->pieces[p->sent_count].data, r->pieces[p->sent_count].len);
            p->sent_count++;
            conn_want_flush(&p->conn);
        } else if (r->hangs_up && !conn_has_unsent(&p->conn)) {
            conn_close(&p->conn, false);
        }
    }
    conn_flush_all(r->loop);
}

void rig_answer(struct rig *r, const char *text)
{
    r->piece_count = 0;
    rig_then(r, slice_of(text));
}

void rig_then(struct rig *r, struct slice piece)
{
    assert_true(r->piece_count < RIG_PIECES_MAX);
    r->pieces[r->piece_count++] = piece;
}

void rig_listen(struct rig *r, const char *path)
{
    struct sockaddr_storage sa;
    r->address = (struct address){ .family = ADDRESS_V4, .ip = { 127, 0, 0, 1 } };
    if (path) r->address = (struct address){ .family = ADDRESS_UNIX, .path = path };
    socklen_t len = address_to_sockaddr(&r->address, &sa);
    r->listening = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(r->listening >= 0);
    assert_int_equal(bind(r->listening, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(listen(r->listening, 1024), 0);
    assert_true(watch_add(r->loop, &r->watch, r->listening, false, on_accept));
    if (path) return;
    len = sizeof(sa);
    assert_int_equal(getsockname(r->listening, (struct sockaddr *)&sa, &len), 0);
    address_from_sockaddr(&r->address, (struct sockaddr *)&sa, len);
    address_format(&r->address, r->text);
}

/* ---- the roster ---- */

static void on_published(struct roster *roster, struct roster_retired *what)
{
    (void)roster;
    roster_retired_free(what);
}

static void on_member(struct roster *roster, struct member *m, bool is_leaving)
{
    struct rig *r = roster->arg;
    if (is_leaving)
        prober_stop(&r->prober, m);
    else
        prober_start(&r->prober, m);
}

static void on_state(struct roster *roster, struct member *m, enum endpoint_state before)
{
    struct rig *r = roster->arg;
    if (before == ENDPOINT_STATE_COUNT) return;
    r->state_count++;
    if (r->on_state) r->on_state(r, m);
}

static const struct roster_ops roster_ops = {
    .on_published = on_published,
    .on_member = on_member,
    .on_state = on_state,
};

static void load(struct rig *r, const char *health_check, const char *more)
{
    struct buffer text = BUFFER_INIT;
    buffer_printf(&text,
                  "listeners: { web: { address: \"127.0.0.1:0\" } }\n"
                  "upstreams:\n"
                  "  app:\n"
                  "    servers: [ \"127.0.0.1:1\" ]\n"
                  "    health_check: %s\n"
                  "%s"
                  "routes: [ { name: a, upstream: app } ]\n",
                  health_check, more);
    conf_report_init(&r->report);
    r->settings = conf_load_text("test.yaml", buffer_slice(&text), &conf_reader_direct, &r->report);
    buffer_reset(&text);
    if (r->settings) return;
    conf_report_print(&r->report, &text, false);
    fail_msg("%s", text.data);
}

void rig_init(struct rig *r, const char *health_check, const char *more)
{
    log_init(&r->log, STDERR_FILENO, LOG_LEVEL_ERROR);
    r->loop = loop_new(&r->log);
    r->listening = -1;
    list_init(&r->peers);
    arena_init(&r->arena, NULL);
    load(r, health_check, more);
    prober_init(&r->prober, r->loop, 2);
}

static void make_specs(struct rig *r, size_t count)
{
    struct endpoint_spec *specs = mem_zalloc((count + 1) * sizeof(*specs));
    for (size_t i = 0; i < count; i++) {
        specs[i].identity = arena_printf(&r->arena, "replica-%zu", i);
        specs[i].address = r->address;
    }
    roster_update(r->roster, specs, count, NULL);
    free(specs);
}

void rig_start(struct rig *r, size_t count)
{
    struct error          e;
    struct upstream_build build = { r->has_tls ? &r->tls : NULL, 2, 60000, limits, 3, 0 };
    if (!r->upstream) {
        r->upstream = upstream_new(&r->settings->upstreams[0], &build, &e);
        if (!r->upstream) fail_msg("%s", e.text);
        prober_adopt(&r->prober, r->upstream);
        r->roster = roster_new(r->upstream, r->loop, NULL, &roster_ops, r, NULL);
    }
    make_specs(r, count);
}

struct member *rig_member(struct rig *r, size_t i)
{
    struct list *it = r->roster->members.next;
    while (i--) it = it->next;
    return container_of(it, struct member, link);
}

void rig_turn(struct rig *r)
{
    loop_turn(r->loop, 20);
    go_on(r);
}

void rig_until(struct rig *r, uint64_t check_count)
{
    uint64_t end_ns = clock_mono_ns() + patience_ns;
    while (rig_member(r, 0)->check_count < check_count) {
        assert_true(clock_mono_ns() < end_ns);
        rig_turn(r);
    }
}

void rig_expect(struct rig *r, bool is_good, const char *output)
{
    struct member *m = rig_member(r, 0);
    rig_until(r, m->check_count + 1);
    assert_string_equal(m->probe_output, output);
    assert_int_equal(m->is_probe_good, is_good);
}

void rig_check(struct rig *r, bool is_good, const char *output)
{
    rig_start(r, 1);
    rig_expect(r, is_good, output);
}

static void stop_replica(struct rig *r)
{
    LIST_EACH_SAFE (it, &r->peers) conn_close(&container_of(it, struct peer, link)->conn, false);
    if (r->listening < 0) return;
    watch_remove(&r->watch);
    close(r->listening);
    if (r->address.family == ADDRESS_UNIX) unlink(r->address.path);
}

void rig_reset(struct rig *r)
{
    roster_free(r->roster);
    /* What was broken off left no connection. */
    assert_int_equal(counter_get(&r->prober.counters.active), 0);
    if (r->upstream) prober_release(&r->prober, r->upstream);
    prober_reset(&r->prober);
    assert_int_equal(r->prober.running_count, 0);
    assert_true(list_is_empty(&r->prober.waiting));
    stop_replica(r);
    loop_turn(r->loop, 0);
    upstream_free(r->upstream);
    settings_free(r->settings);
    conf_report_reset(&r->report);
    tls_server_unref(r->tls_server);
    buffer_reset(&r->got);
    arena_reset(&r->arena);
    loop_free(r->loop);
    memset(r, 0, sizeof(*r));
}
