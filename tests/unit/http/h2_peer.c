/* SPDX-License-Identifier: Apache-2.0
 *
 * See h2_peer.h.
 */
#include "h2_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <nghttp2/nghttp2.h>

#include "base/memory.h"

enum { FRAME_HEAD_BYTES = 9, BODY_TEXT_BYTES_MAX = 40, WINDOW_BYTES = 65536, STREAMS = 100 };

/* ---- events ---- */

static unsigned id_of(const struct h2_peer_stream *t)
{
    return 2 * (unsigned)(t - t->peer->streams) + 1;
}

/* Bodies go through the alphabet, so that a piece that is lost is seen. */
static void flush_body(struct h2_peer *p)
{
    if (!p->in_body) return;
    unsigned id = id_of(p->in_body);
    if (p->body.len <= BODY_TEXT_BYTES_MAX) {
        buffer_printf(&p->events, "%u body %.*s\n", id, (int)p->body.len, p->body.data);
    } else {
        for (size_t i = 1; i < p->body.len; i++)
            assert_int_equal(p->body.data[i], 'a' + (p->body.data[i - 1] - 'a' + 1) % 26);
        buffer_printf(&p->events, "%u body <%zu>\n", id, p->body.len);
    }
    buffer_reset(&p->body);
    p->in_body = NULL;
}

static struct buffer *begin_line(struct h2_peer_stream *t, const char *event)
{
    flush_body(t->peer);
    buffer_printf(&t->peer->events, "%u %s", id_of(t), event);
    return &t->peer->events;
}

static void put_fields(struct h2_peer *p, const struct http_fields *f)
{
    for (unsigned i = 0; i < f->count; i++)
        if (!f->items[i].is_dropped && f->items[i].id != FIELD_DATE)
            buffer_printf(&p->events, " %.*s=%.*s", SLICE_ARG(f->items[i].name),
                          SLICE_ARG(f->items[i].value));
    buffer_put_char(&p->events, '\n');
}

static void put_head(struct h2_peer_stream *t, const char *event, struct http_head *head)
{
    struct buffer *b = begin_line(t, event);
    t->head = head;
    if (head->status) {
        buffer_printf(b, " %u", head->status);
    } else {
        buffer_printf(b, " %.*s %.*s", SLICE_ARG(head->method_name), SLICE_ARG(head->path));
        if (head->has_query) buffer_printf(b, "?%.*s", SLICE_ARG(head->query));
        buffer_printf(b, " %.*s://%.*s", SLICE_ARG(head->scheme), SLICE_ARG(head->authority));
        if (head->expects_continue) buffer_puts(b, " expects");
        if (head->accepts_trailers) buffer_puts(b, " trailers-ok");
    }
    if (head->upgrade.len) buffer_printf(b, " upgrade:%.*s", SLICE_ARG(head->upgrade));
    if (head->must_switch) buffer_puts(b, " must-switch");
    if (head->body_bytes) buffer_printf(b, " body:%lld", (long long)head->body_bytes);
    put_fields(t->peer, &head->fields);
}

static void do_deed(struct h2_peer_stream *t, enum h2_peer_event event)
{
    struct h2_peer *p = t->peer;
    switch (p->deeds[event]) {
    case H2_PEER_NOTHING: break;
    case H2_PEER_ANSWER: h2_peer_answer(t, 204, 0); /* fall through */
    case H2_PEER_CLOSE: h2_peer_close(t); break;
    case H2_PEER_FREE:
        codec_free(p->codec);
        p->codec = NULL;
        break;
    }
}

static struct h2_peer_stream *peer_of(struct http_stream *s)
{
    struct h2_peer_stream *t = s->owner;
    assert_ptr_equal(t->stream, s);
    assert_non_null(t->peer->codec);
    return t;
}

static void on_head(struct http_stream *s, struct http_head *head)
{
    put_head(peer_of(s), "head", head);
    do_deed(s->owner, H2_PEER_ON_HEAD);
}

static void on_informational(struct http_stream *s, struct http_head *head)
{
    put_head(peer_of(s), "info", head);
    do_deed(s->owner, H2_PEER_ON_INFORMATIONAL);
}

static void on_body(struct http_stream *s, struct slice data)
{
    struct h2_peer_stream *t = peer_of(s);
    if (t->peer->in_body != t) flush_body(t->peer);
    t->peer->in_body = t;
    buffer_put_slice(&t->peer->body, data);
    if (t->peer->keeps_window)
        t->unconsumed += data.len;
    else
        http_stream_consumed(s, data.len);
    do_deed(t, H2_PEER_ON_BODY);
}

static void on_trailers(struct http_stream *s, struct http_fields *trailers)
{
    struct h2_peer_stream *t = peer_of(s);
    begin_line(t, "trailers");
    put_fields(t->peer, trailers);
    do_deed(t, H2_PEER_ON_TRAILERS);
}

static void on_end(struct http_stream *s)
{
    begin_line(peer_of(s), "end\n");
    do_deed(s->owner, H2_PEER_ON_END);
}

static void on_invalid(struct http_stream *s, const struct http_fault *fault)
{
    buffer_printf(begin_line(peer_of(s), "invalid "), "%u %s\n", fault->status, fault->reason);
    do_deed(s->owner, H2_PEER_ON_INVALID);
}

static void on_reset(struct http_stream *s, enum http_reset why)
{
    static const char *const names[] = { "closed", "truncated", "peer", "malformed",
                                         "unprocessed" };
    buffer_printf(begin_line(peer_of(s), "reset "), "%s\n", names[why]);
    do_deed(s->owner, H2_PEER_ON_RESET);
}

static void on_sent(struct http_stream *s, size_t sent_bytes)
{
    struct h2_peer_stream *t = peer_of(s);
    t->sent_bytes += sent_bytes;
    assert_int_equal(t->sent_bytes + s->unsent_bytes, t->given_bytes);
    do_deed(t, H2_PEER_ON_SENT);
}

static void on_stream(struct http_codec *c, struct http_stream *s)
{
    static const struct http_stream_ops ops = {
        .on_head = on_head,
        .on_informational = on_informational,
        .on_body = on_body,
        .on_trailers = on_trailers,
        .on_end = on_end,
        .on_invalid = on_invalid,
        .on_reset = on_reset,
        .on_sent = on_sent,
    };
    struct h2_peer *p = c->owner;
    assert_in_range(p->stream_count, 0, H2_PEER_STREAMS - 1);
    struct h2_peer_stream *t = &p->streams[p->stream_count++];
    *t = (struct h2_peer_stream){ .peer = p, .stream = s };
    arena_init(&t->arena, NULL);
    s->ops = &ops;
    s->owner = t;
    s->arena = &t->arena;
}

static void on_output(struct http_codec *c)
{
    struct h2_peer *p = c->owner;
    p->output_count++;
}

static void on_want_input(struct http_codec *c)
{
    struct h2_peer *p = c->owner;
    p->want_input_count++;
}

static void on_idle(struct http_codec *c)
{
    struct h2_peer *p = c->owner;
    p->idle_count++;
    p->was_reusable = codec_is_reusable(c);
}

/* ---- life ---- */

struct h2_peer *h2_peer_new(enum http_role role, uint32_t window_bytes, uint32_t stream_count)
{
    static const struct http_codec_owner_ops ops = { on_stream, on_output, on_want_input, on_idle };
    struct h2_peer                          *p = mem_zalloc(sizeof(*p));
    p->limits = (struct http_limits){
        .request_line_bytes = 2048,
        .header_bytes = 4096,
        .header_count = 20,
        .trailer_bytes = 4096,
        .informational_count = 3,
        .window_bytes = window_bytes,
        .stream_count = stream_count,
        .merges_slashes = true,
    };
    block_pool_init(&p->blocks, 16384, 4);
    memcpy(p->clock.http_date, "Sat, 21 Nov 2026 07:00:00 GMT", 30);
    p->codec = h2_codec_new(role, &ops, p, &p->limits, &p->clock, &p->blocks, false);
    assert_int_equal(nghttp2_hd_inflate_new(&p->inflater), 0);
    return p;
}

struct h2_peer *h2_peer_new_server(void)
{
    struct h2_peer *p = h2_peer_new(HTTP_SERVER, WINDOW_BYTES, STREAMS);
    struct buffer   in = BUFFER_INIT;
    buffer_puts(&in, H2_PREFACE);
    h2_put_frame(&in, H2_SETTINGS, 0, 0, S(""));
    h2_put_frame(&in, H2_SETTINGS, H2_ACK, 0, S(""));
    h2_peer_feed(p, &in, 0);
    h2_peer_frames(p);
    return p;
}

struct h2_peer *h2_peer_new_client(void)
{
    struct h2_peer *p = h2_peer_new(HTTP_CLIENT, WINDOW_BYTES, STREAMS);
    struct buffer   in = BUFFER_INIT;
    h2_put_setting(&in, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1);
    h2_put_frame(&in, H2_SETTINGS, H2_ACK, 0, S(""));
    h2_peer_feed(p, &in, 0);
    h2_peer_frames(p);
    return p;
}

void h2_peer_free(struct h2_peer *p)
{
    codec_free(p->codec);
    for (unsigned i = 0; i < p->stream_count; i++) arena_reset(&p->streams[i].arena);
    for (unsigned i = 0; i < p->lent_count; i++) free(p->lent[i]);
    block_pool_reset(&p->blocks);
    buffer_reset(&p->events);
    buffer_reset(&p->frames);
    buffer_reset(&p->body);
    nghttp2_hd_inflate_del(p->inflater);
    free(p);
}

const char *h2_peer_events(struct h2_peer *p)
{
    flush_body(p);
    return p->events.data ? p->events.data : "";
}

void h2_peer_clear(struct h2_peer *p)
{
    flush_body(p);
    buffer_reset(&p->events);
}

/* ---- bytes ---- */

void h2_peer_settle(struct h2_peer *p)
{
    if (p->codec) {
        codec_prepare(p->codec);
        outq_own(&p->codec->out);
    }
    for (unsigned i = 0; i < p->lent_count; i++) free(p->lent[i]);
    p->lent_count = 0;
}

void h2_peer_feed(struct h2_peer *p, struct buffer *input, size_t step)
{
    struct slice left = buffer_slice(input);
    while (left.len && p->codec) {
        size_t n = step && step < left.len ? step : left.len;
        /* At its exact length, so that reading past it is found out. */
        char *piece = mem_alloc(n);
        memcpy(piece, left.data, n);
        size_t taken = codec_feed(p->codec, piece, n);
        free(piece);
        h2_peer_settle(p);
        if (taken < n) {
            assert_false(codec_wants_input(p->codec));
            break;
        }
        left = slice_from(left, n);
    }
    buffer_reset(input);
}

size_t h2_peer_take(struct h2_peer *p, size_t most, struct buffer *to)
{
    size_t taken = 0;
    h2_peer_settle(p);
    if (!p->codec) return 0;
    while (taken < most && !outq_is_empty(&p->codec->out)) {
        struct slice front = outq_front(&p->codec->out);
        if (front.len > most - taken) front.len = most - taken;
        buffer_put_slice(to, front);
        outq_consume(&p->codec->out, front.len);
        taken += front.len;
    }
    codec_sent(p->codec);
    h2_peer_settle(p);
    return p->codec ? taken : 0;
}

void h2_peer_exchange(struct h2_peer *a, struct h2_peer *b)
{
    struct buffer ab = BUFFER_INIT, ba = BUFFER_INIT;
    for (bool is_on = true; is_on;) {
        is_on = a->codec && h2_peer_take(a, SIZE_MAX, &ab);
        if (b->codec) h2_peer_feed(b, &ab, 0);
        is_on |= b->codec && h2_peer_take(b, SIZE_MAX, &ba);
        if (a->codec) h2_peer_feed(a, &ba, 0);
    }
    buffer_reset(&ab);
    buffer_reset(&ba);
}

enum { PAIR_STREAMS = 100 };

struct h2_pair h2_pair_new(uint32_t window_bytes)
{
    struct h2_pair x = { h2_peer_new(HTTP_CLIENT, window_bytes, PAIR_STREAMS),
                         h2_peer_new(HTTP_SERVER, window_bytes, PAIR_STREAMS) };
    h2_peer_exchange(x.client, x.server);
    assert_true(x.client->codec->is_settled);
    assert_true(x.client->codec->takes_upgrade);
    return x;
}

void h2_pair_free(struct h2_pair x)
{
    assert_true(codec_is_reusable(x.client->codec));
    assert_true(codec_is_reusable(x.server->codec));
    assert_null(x.server->codec->abuse);
    h2_peer_free(x.client);
    h2_peer_free(x.server);
}

void h2_peer_feed_headers(struct h2_peer *p, uint32_t id, unsigned flags, const char *lines)
{
    struct buffer in = BUFFER_INIT;
    h2_put_headers(&in, id, flags, lines);
    h2_peer_feed(p, &in, 0);
}

void h2_peer_feed_data(struct h2_peer *p, uint32_t id, unsigned flags, const char *text)
{
    struct buffer in = BUFFER_INIT;
    h2_put_data(&in, id, flags, text);
    h2_peer_feed(p, &in, 0);
}

/* ---- reading frames ---- */

static uint32_t word_at(const char *p)
{
    const uint8_t *b = (const uint8_t *)p;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static void put_block_text(struct h2_peer *p, struct slice block, bool is_last)
{
    const uint8_t *at = (const uint8_t *)block.data;
    size_t         left = block.len;
    for (;;) {
        nghttp2_nv nv;
        int        flags = 0;
        ssize_t    n = nghttp2_hd_inflate_hd2(p->inflater, &nv, &flags, at, left, is_last);
        assert_true(n >= 0);
        at += n;
        left -= (size_t)n;
        if (flags & NGHTTP2_HD_INFLATE_EMIT && !(nv.namelen == 4 && !memcmp(nv.name, "date", 4)))
            buffer_printf(&p->frames, " %.*s=%.*s", (int)nv.namelen, (const char *)nv.name,
                          (int)nv.valuelen, (const char *)nv.value);
        if (flags & NGHTTP2_HD_INFLATE_FINAL) nghttp2_hd_inflate_end_headers(p->inflater);
        if (flags & NGHTTP2_HD_INFLATE_FINAL || (!left && !(flags & NGHTTP2_HD_INFLATE_EMIT)))
            break;
    }
}

static void put_frame_text(struct h2_peer *p, unsigned type, unsigned flags, uint32_t id,
                           struct slice payload)
{
    static const char *const names[] = { "DATA",          "HEADERS",      "PRIORITY", "RST_STREAM",
                                         "SETTINGS",      "PUSH_PROMISE", "PING",     "GOAWAY",
                                         "WINDOW_UPDATE", "CONTINUATION" };
    struct buffer           *b = &p->frames;
    assert_in_range(type, 0, H2_CONTINUATION);
    if (type == H2_SETTINGS || (type == H2_WINDOW_UPDATE && !id)) return;
    buffer_puts(b, names[type]);
    if (id) buffer_printf(b, " %u", id);
    if (type == H2_DATA) buffer_printf(b, " %zu", payload.len);
    if (type == H2_PING && flags & H2_ACK) buffer_puts(b, " ACK");
    if ((type == H2_DATA || type == H2_HEADERS) && flags & H2_END_STREAM)
        buffer_puts(b, " END_STREAM");
    if (type == H2_RST_STREAM || type == H2_WINDOW_UPDATE)
        buffer_printf(b, " %u", word_at(payload.data));
    if (type == H2_GOAWAY)
        buffer_printf(b, " %u %u", word_at(payload.data), word_at(payload.data + 4));
    if (type == H2_HEADERS || type == H2_CONTINUATION)
        put_block_text(p, payload, flags & H2_END_HEADERS);
    buffer_put_char(b, '\n');
}

const char *h2_peer_frames(struct h2_peer *p)
{
    struct buffer bytes = BUFFER_INIT;
    buffer_reset(&p->frames);
    while (h2_peer_take(p, SIZE_MAX, &bytes)) {}
    struct slice left = buffer_slice(&bytes);
    if (!p->has_read_preface && slice_starts_with(left, S(H2_PREFACE)))
        left = slice_from(left, sizeof(H2_PREFACE) - 1);
    p->has_read_preface = true;
    while (left.len) {
        assert_in_range(left.len, FRAME_HEAD_BYTES, SIZE_MAX);
        size_t   len = word_at(left.data) >> 8;
        unsigned type = (uint8_t)left.data[3], flags = (uint8_t)left.data[4];
        uint32_t id = word_at(left.data + 5);
        left = slice_from(left, FRAME_HEAD_BYTES);
        assert_in_range(left.len, len, SIZE_MAX);
        put_frame_text(p, type, flags, id, slice_make(left.data, len));
        left = slice_from(left, len);
    }
    buffer_reset(&bytes);
    return p->frames.data ? p->frames.data : "";
}

/* ---- asking and answering ---- */

static struct h2_peer_stream *ask(struct h2_peer *p, struct http_head *head)
{
    struct http_stream *s = codec_open(p->codec);
    if (!s) return NULL;
    on_stream(p->codec, s);
    http_stream_send_head(s, head);
    return s->owner;
}

struct h2_peer_stream *h2_peer_ask(struct h2_peer *p, enum http_method method, int64_t body_bytes)
{
    struct http_head head = {
        .method = method,
        .method_name = http_method_name(method),
        .path = S("/"),
        .authority = S("a.example"),
        .body_bytes = body_bytes,
    };
    return ask(p, &head);
}

struct h2_peer_stream *h2_peer_ask_tunnel(struct h2_peer *p)
{
    struct http_head head = {
        .method = HTTP_GET,
        .method_name = S("GET"),
        .path = S("/chat"),
        .authority = S("a.example"),
        .upgrade = S("websocket"),
    };
    return ask(p, &head);
}

void h2_peer_answer(struct h2_peer_stream *t, unsigned status, int64_t body_bytes)
{
    struct http_head head = { .status = (uint16_t)status, .body_bytes = body_bytes };
    http_stream_send_head(t->stream, &head);
}

void h2_peer_send(struct h2_peer_stream *t, size_t bytes)
{
    struct h2_peer *p = t->peer;
    char           *data = mem_alloc(bytes);
    assert_in_range(p->lent_count, 0, sizeof(p->lent) / sizeof(p->lent[0]) - 1);
    p->lent[p->lent_count++] = data;
    for (size_t i = 0; i < bytes; i++) data[i] = (char)('a' + (t->given_bytes + i) % 26);
    t->given_bytes += bytes;
    http_stream_send_body(t->stream, slice_make(data, bytes));
}

void h2_peer_end(struct h2_peer_stream *t)
{
    http_stream_send_end(t->stream, NULL);
}

void h2_peer_close(struct h2_peer_stream *t)
{
    struct http_stream *s = t->stream;
    t->stream = NULL;
    http_stream_close(s);
}

/* ---- frames by hand ---- */

static void put_word(struct buffer *b, uint32_t word)
{
    for (int shift = 24; shift >= 0; shift -= 8) buffer_put_char(b, (char)(word >> shift));
}

void h2_put_frame(struct buffer *b, unsigned type, unsigned flags, uint32_t id,
                  struct slice payload)
{
    put_word(b, (uint32_t)payload.len << 8 | type);
    buffer_put_char(b, (char)flags);
    put_word(b, id);
    buffer_put_slice(b, payload);
}

/* RFC 7541 section 5.2, without Huffman's code. */
static void put_literal(struct buffer *b, struct slice text)
{
    size_t left = text.len;
    if (left < 127) {
        buffer_put_char(b, (char)left);
    } else {
        buffer_put_char(b, 127);
        for (left -= 127; left >= 128; left /= 128) buffer_put_char(b, (char)(left % 128 + 128));
        buffer_put_char(b, (char)left);
    }
    buffer_put_slice(b, text);
}

void h2_put_block(struct buffer *b, const char *lines)
{
    struct slice left = slice_of(lines);
    while (left.len) {
        struct slice line = slice_make(left.data, slice_find(left, '\n'));
        size_t       blank = slice_find(line, ' ');
        assert_true(line.len < left.len && blank < line.len);
        buffer_put_char(b, 0);
        put_literal(b, slice_make(line.data, blank));
        put_literal(b, slice_from(line, blank + 1));
        left = slice_from(left, line.len + 1);
    }
}

void h2_put_headers(struct buffer *b, uint32_t id, unsigned flags, const char *lines)
{
    struct buffer block = BUFFER_INIT;
    h2_put_block(&block, lines);
    h2_put_frame(b, H2_HEADERS, flags | H2_END_HEADERS, id, buffer_slice(&block));
    buffer_reset(&block);
}

void h2_put_data(struct buffer *b, uint32_t id, unsigned flags, const char *text)
{
    h2_put_frame(b, H2_DATA, flags, id, slice_of(text));
}

void h2_put_word(struct buffer *b, unsigned type, uint32_t id, uint32_t word)
{
    struct buffer payload = BUFFER_INIT;
    put_word(&payload, word);
    h2_put_frame(b, type, 0, id, buffer_slice(&payload));
    buffer_reset(&payload);
}

void h2_put_ping(struct buffer *b, unsigned flags, const char *text)
{
    h2_put_frame(b, H2_PING, flags, 0, slice_make(text, 8));
}

void h2_put_goaway(struct buffer *b, uint32_t last_id, uint32_t code)
{
    struct buffer payload = BUFFER_INIT;
    put_word(&payload, last_id);
    put_word(&payload, code);
    h2_put_frame(b, H2_GOAWAY, 0, 0, buffer_slice(&payload));
    buffer_reset(&payload);
}

void h2_put_setting(struct buffer *b, unsigned id, uint32_t value)
{
    struct buffer payload = BUFFER_INIT;
    buffer_put_char(&payload, (char)(id >> 8));
    buffer_put_char(&payload, (char)id);
    put_word(&payload, value);
    h2_put_frame(b, H2_SETTINGS, 0, 0, buffer_slice(&payload));
    buffer_reset(&payload);
}
