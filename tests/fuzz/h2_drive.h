/* SPDX-License-Identifier: Apache-2.0
 *
 * What the fuzz targets of both HTTP/2 roles share: an owner of many streams that
 * checks the order of events and writes down what each stream hears. An input is
 * [2 options][4 seed][8 piece lengths][bytes]. An active owner answers, lends,
 * consumes, resets, closes and frees as the seed has it, within events and between
 * them. A passive one only listens: fed whole and in pieces it must hear the same.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "claim.h"
#include "http/h2.h"
#include "http/rules.h"

enum { DRIVE_OPTIONS = 2, DRIVE_SEED = 4, DRIVE_PIECES = 8 };
enum { DRIVE_PREFIX_BYTES = DRIVE_OPTIONS + DRIVE_SEED + DRIVE_PIECES };
enum { DRIVE_FRAME_HEAD_BYTES = 9, DRIVE_FRAME_BYTES_MAX = 16384 };

/* The first option byte, then the second. */
enum drive_option {
    DRIVE_IS_TIGHT = 1 << 0,
    DRIVE_HAS_PREFACE = 1 << 1, /* a good preface goes before the bytes */
    DRIVE_IS_ACTIVE = 1 << 2,
    DRIVE_EXPIRES = 1 << 3,
    DRIVE_ABORTS = 1 << 4,
    DRIVE_HAS_SMALL_BLOCKS = 1 << 5,
    DRIVE_SHUTS_DOWN = 1 << 6,
    DRIVE_TIME_PASSES = 1 << 7,
    DRIVE_FREES = 1 << 8,       /* now and then, the codec from within an event */
    DRIVE_IS_SLOW = 1 << 9,     /* output is taken bit by bit */
    DRIVE_IS_STUCK = 1 << 10,   /* output is not taken until the end */
    DRIVE_IS_UPGRADE = 1 << 11, /* client: the third request asks for a tunnel */
    DRIVE_LENDS_MUCH = 1 << 12,
};

enum drive_stage {
    DRIVE_BEGUN,
    DRIVE_HEAD,
    DRIVE_TRAILERS,
    DRIVE_ENDED,
    DRIVE_INVALID,
    DRIVE_RESET
};

struct drive_stream {
    struct drive       *d;
    struct http_stream *stream; /* NULL: let go of */
    struct arena        arena;
    struct buffer       events;
    size_t              unconsumed;
    size_t              given, told; /* of body, towards the peer */
    int64_t             send_left;
    enum drive_stage    stage;
    size_t              body_at; /* where the line of a body began */
    bool                is_in_body;
    bool                has_upgrade;
    bool                is_of_head; /* HEAD */
    bool                is_tunnel;
    bool                is_head_sent;
    bool                is_sending; /* a body may be sent */
    bool                is_dropped; /* we broke off: what is unsent may go */
};

struct drive {
    struct http_codec    *codec;
    struct drive_stream **streams;
    size_t                stream_count;
    size_t                open_count;
    char                **lent;
    size_t                lent_count;
    struct block_pool     blocks;
    struct clock          clock;
    struct http_limits    limits;
    struct buffer         output;
    unsigned              options;
    uint32_t              random;
    bool                  is_server;
    bool                  is_active;
    bool                  is_made;
    bool                  is_in_sending; /* no event may come */
    /* Looks at a head that was understood. */
    void (*check_head)(struct drive_stream *t, const struct http_head *head);
};

/* ---- chance ---- */

static inline unsigned drive_random(struct drive *d, unsigned below)
{
    d->random ^= d->random << 13;
    d->random ^= d->random >> 17;
    d->random ^= d->random << 5;
    return d->random % below;
}

/* ---- what is written down ---- */

static inline void drive_line(struct drive_stream *t, const char *text)
{
    if (t->is_in_body) buffer_put_char(&t->events, '\n');
    t->is_in_body = false;
    buffer_puts(&t->events, text);
}

static inline void drive_fields(struct drive_stream *t, const struct http_fields *f)
{
    for (unsigned i = 0; i < f->count; i++) {
        const struct http_field *field = &f->items[i];
        if (field->is_dropped) continue;
        CHECK(http_is_token(field->name) && http_is_field_value(field->value));
        CHECK(!http_is_control_field(field->id));
        CHECK(field->id == http_field_lookup(field->name));
        CHECK(f->present >> field->id & 1);
        for (size_t j = 0; j < field->name.len; j++)
            CHECK(field->name.data[j] < 'A' || field->name.data[j] > 'Z');
        buffer_printf(&t->events, " %.*s=", SLICE_ARG(field->name));
        buffer_put_slice(&t->events, field->value);
    }
    buffer_put_char(&t->events, '\n');
}

/* ---- what the owner does ---- */

static inline void drive_let_go(struct drive_stream *t)
{
    struct http_stream *s = t->stream;
    t->stream = NULL;
    t->d->open_count--;
    http_stream_close(s);
    arena_reset(&t->arena);
}

static inline void drive_free_codec(struct drive *d)
{
    struct http_codec *codec = d->codec;
    d->codec = NULL;
    for (size_t i = 0; i < d->stream_count; i++) d->streams[i]->stream = NULL;
    codec_free(codec);
}

static inline void drive_consume(struct drive_stream *t, size_t bytes)
{
    if (bytes > t->unconsumed) bytes = t->unconsumed;
    t->unconsumed -= bytes;
    http_stream_consumed(t->stream, bytes);
}

static inline void drive_answer(struct drive_stream *t)
{
    static const int64_t lengths[] = { 0, -1, 10, 20000, 400000 };
    struct drive        *d = t->d;
    struct http_head     head = { .status = 200, .body_bytes = lengths[drive_random(d, 5)] };
    if (t->stage == DRIVE_INVALID) head.status = 400, head.body_bytes = 0;
    if (t->has_upgrade && t->stage == DRIVE_ENDED && drive_random(d, 2)) {
        head.status = 101;
        t->is_tunnel = true;
        t->stage = DRIVE_HEAD;
    } else if (!drive_random(d, 6)) {
        head.status = drive_random(d, 2) ? 204 : 304;
    }
    http_fields_add_named(&head.fields, &t->arena, S("X-Answer"), S("yes"));
    t->is_head_sent = true;
    t->is_sending = t->is_tunnel ||
                    (head.body_bytes && !http_status_has_no_body(head.status) && !t->is_of_head);
    t->send_left = t->is_tunnel ? -1 : head.body_bytes;
    http_stream_send_head(t->stream, &head);
}

static inline void drive_inform(struct drive_stream *t)
{
    struct http_head head = { .status = 103 };
    http_fields_add_named(&head.fields, &t->arena, S("Link"), S("<a>"));
    http_stream_send_informational(t->stream, &head);
}

/* On the heap, until the end of the event. */
static inline void drive_send(struct drive_stream *t)
{
    struct drive *d = t->d;
    size_t        len = 1 + drive_random(d, d->options & DRIVE_LENDS_MUCH ? 150000 : 6000);
    if (t->send_left >= 0 && len > (size_t)t->send_left) len = (size_t)t->send_left;
    if (!len) return;
    if (t->send_left > 0) t->send_left -= (int64_t)len;
    char *data = mem_alloc(len);
    memset(data, 'a' + (int)drive_random(d, 26), len);
    d->lent = mem_realloc(d->lent, (d->lent_count + 1) * sizeof(*d->lent));
    d->lent[d->lent_count++] = data;
    size_t before = t->stream->unsent_bytes;
    http_stream_send_body(t->stream, slice_make(data, len));
    /* A stream that cannot be spoken on takes nothing. */
    if (t->stream->unsent_bytes != before) t->given += len;
    CHECK(t->stream->unsent_bytes == before || t->stream->unsent_bytes == before + len);
}

static inline void drive_end(struct drive_stream *t)
{
    struct http_fields trailers = { 0 };
    t->is_sending = false;
    if (t->send_left > 0) t->is_dropped = true;
    http_fields_add_named(&trailers, &t->arena, S("X-Sum"), S("1"));
    bool has_trailers = !t->is_tunnel && drive_random(t->d, 2);
    http_stream_send_end(t->stream, has_trailers ? &trailers : NULL);
}

static inline void drive_break(struct drive_stream *t)
{
    t->is_dropped = true;
    t->is_sending = false;
    t->is_head_sent = true;
    http_stream_reset(t->stream);
    if (drive_random(t->d, 2)) drive_let_go(t);
}

static inline void drive_act(struct drive_stream *t)
{
    struct drive *d = t->d;
    if (!t->stream) return;
    d->is_in_sending = true;
    switch (drive_random(d, 16)) {
    case 0:
    case 1:
    case 2: drive_consume(t, t->unconsumed); break;
    case 3: drive_consume(t, 1 + drive_random(d, 40)); break;
    case 4:
        if (!t->is_head_sent) drive_inform(t);
        break;
    case 5:
    case 6:
    case 7:
        if (!t->is_head_sent && t->stage != DRIVE_BEGUN) drive_answer(t);
        break;
    case 8:
    case 9:
    case 10:
    case 11:
        if (t->is_sending) drive_send(t);
        break;
    case 12:
    case 13:
        if (t->is_sending) drive_end(t);
        break;
    case 14:
        if (!drive_random(d, 8)) drive_break(t);
        break;
    default:
        if (!drive_random(d, 4)) drive_let_go(t);
        break;
    }
    d->is_in_sending = false;
}

/* Last in each event. */
static inline void drive_react(struct drive_stream *t)
{
    struct drive *d = t->d;
    if (!d->is_active) return;
    if (d->options & DRIVE_FREES && !drive_random(d, 64)) {
        drive_free_codec(d);
        return;
    }
    while (drive_random(d, 2)) drive_act(t);
    /* What another does must not hurt either. */
    if (drive_random(d, 4) == 0) drive_act(d->streams[drive_random(d, (unsigned)d->stream_count)]);
}

/* ---- events ---- */

static inline struct drive_stream *drive_of(struct http_stream *s)
{
    struct drive_stream *t = s->owner;
    CHECK(t->d->codec && t->stream == s && !t->d->is_in_sending);
    CHECK(t->stage != DRIVE_RESET);
    return t;
}

static inline void drive_on_head(struct http_stream *s, struct http_head *head)
{
    struct drive_stream *t = drive_of(s);
    CHECK(t->stage == DRIVE_BEGUN);
    t->stage = DRIVE_HEAD;
    drive_line(t, "head ");
    buffer_printf(&t->events, "%u %.*s %.*s?%.*s @%.*s %s %lld", head->status,
                  SLICE_ARG(head->method_name), SLICE_ARG(head->path), SLICE_ARG(head->query),
                  SLICE_ARG(head->authority), head->protocol, (long long)head->body_bytes);
    drive_fields(t, &head->fields);
    if (t->d->is_server) {
        t->has_upgrade = head->upgrade.len;
        t->is_of_head = head->method == HTTP_HEAD;
        CHECK(!head->upgrade.len == !head->must_switch);
    } else {
        CHECK(head->status >= 200 || (head->status == 101 && t->has_upgrade));
        t->is_tunnel = head->status == 101;
        t->is_sending |= t->is_tunnel;
    }
    if (t->d->check_head) t->d->check_head(t, head);
    drive_react(t);
}

static inline void drive_on_informational(struct http_stream *s, struct http_head *head)
{
    struct drive_stream *t = drive_of(s);
    CHECK(!t->d->is_server && t->stage == DRIVE_BEGUN);
    CHECK(head->status >= 100 && head->status < 200 && head->status != 101);
    drive_line(t, "info ");
    drive_fields(t, &head->fields);
    drive_react(t);
}

static inline void drive_on_body(struct http_stream *s, struct slice data)
{
    struct drive_stream *t = drive_of(s);
    CHECK(t->stage == DRIVE_HEAD && data.len);
    if (!t->is_in_body) {
        t->body_at = t->events.len;
        buffer_puts(&t->events, "body ");
    }
    t->is_in_body = true;
    buffer_put_slice(&t->events, data);
    t->unconsumed += data.len;
    if (!t->d->is_active) drive_consume(t, data.len);
    drive_react(t);
}

static inline void drive_on_trailers(struct http_stream *s, struct http_fields *trailers)
{
    struct drive_stream *t = drive_of(s);
    CHECK(t->stage == DRIVE_HEAD && !t->is_tunnel);
    t->stage = DRIVE_TRAILERS;
    drive_line(t, "trailers");
    drive_fields(t, trailers);
    drive_react(t);
}

static inline void drive_on_end(struct http_stream *s)
{
    struct drive_stream *t = drive_of(s);
    CHECK(t->stage == DRIVE_HEAD || t->stage == DRIVE_TRAILERS);
    t->stage = DRIVE_ENDED;
    drive_line(t, "end\n");
    drive_react(t);
}

static inline void drive_on_invalid(struct http_stream *s, const struct http_fault *fault)
{
    struct drive_stream *t = drive_of(s);
    CHECK(t->stage < DRIVE_ENDED);
    CHECK(fault->status >= 400 && fault->reason);
    CHECK(t->d->is_server || fault->status == 502);
    t->stage = DRIVE_INVALID;
    /* How much of a body that is too long was told depends on the pieces. */
    if (t->is_in_body) t->events.len = t->body_at;
    t->is_in_body = false;
    drive_line(t, "invalid ");
    buffer_printf(&t->events, "%u %s\n", fault->status, fault->reason);
    if (!t->d->is_server)
        drive_let_go(t);
    else
        drive_react(t);
}

static inline void drive_on_reset(struct http_stream *s, enum http_reset why)
{
    struct drive_stream *t = drive_of(s);
    t->stage = DRIVE_RESET;
    t->is_dropped = true;
    t->is_sending = false;
    t->is_head_sent = true;
    drive_line(t, "reset ");
    buffer_printf(&t->events, "%d\n", why);
    drive_let_go(t);
}

static inline void drive_on_sent(struct http_stream *s, size_t sent_bytes)
{
    struct drive_stream *t = s->owner;
    CHECK(t->d->codec && t->stream == s && sent_bytes);
    t->told += sent_bytes;
    CHECK(t->told <= t->given);
    if (!t->is_dropped) CHECK(s->unsent_bytes == t->given - t->told);
    drive_react(t);
}

static const struct http_stream_ops drive_stream_ops = {
    .on_head = drive_on_head,
    .on_informational = drive_on_informational,
    .on_body = drive_on_body,
    .on_trailers = drive_on_trailers,
    .on_end = drive_on_end,
    .on_invalid = drive_on_invalid,
    .on_reset = drive_on_reset,
    .on_sent = drive_on_sent,
};

static inline void drive_on_stream(struct http_codec *c, struct http_stream *s)
{
    struct drive        *d = c->owner;
    struct drive_stream *t = mem_zalloc(sizeof(*t));
    CHECK(d->codec == c);
    t->d = d;
    t->stream = s;
    arena_init(&t->arena, NULL);
    d->streams = mem_realloc(d->streams, (d->stream_count + 1) * sizeof(struct drive_stream *));
    d->streams[d->stream_count++] = t;
    d->open_count++;
    s->ops = &drive_stream_ops;
    s->owner = t;
    s->arena = &t->arena;
}

static inline void drive_on_output(struct http_codec *c)
{
    struct drive *d = c->owner;
    CHECK(d->codec || !d->is_made);
}

static inline void drive_on_want_input(struct http_codec *c)
{
    CHECK(codec_wants_input(c));
}

static inline void drive_on_idle(struct http_codec *c)
{
    struct drive *d = c->owner;
    CHECK(d->codec == c && !d->open_count);
}

/* ---- life ---- */

static inline void drive_init(struct drive *d, enum http_role role, const uint8_t *prefix)
{
    static const struct http_codec_owner_ops ops = { drive_on_stream, drive_on_output,
                                                     drive_on_want_input, drive_on_idle };
    unsigned                                 options = prefix[0] | (unsigned)prefix[1] << 8;
    bool                                     is_tight = options & DRIVE_IS_TIGHT;
    *d = (struct drive){ .is_server = role == HTTP_SERVER, .options = options };
    d->is_active = options & DRIVE_IS_ACTIVE;
    memcpy(&d->random, prefix + DRIVE_OPTIONS, sizeof(d->random));
    if (!d->random) d->random = 1;
    d->limits = (struct http_limits){
        .request_line_bytes = is_tight ? 20 : 8192,
        .header_bytes = is_tight ? 150 : 16384,
        .informational_count = 2,
        .window_bytes = is_tight ? 16 : 65536,
        .stream_count = is_tight ? 3 : 100,
        .merges_slashes = true,
        .trailer_bytes = 4096,
        .header_count = is_tight ? 6 : 100,
    };
    block_pool_init(&d->blocks, options & DRIVE_HAS_SMALL_BLOCKS ? 256 : 16384, 4);
    memcpy(d->clock.http_date, "Sat, 21 Nov 2026 07:00:00 GMT", 30);
    d->codec = h2_codec_new(role, &ops, d, &d->limits, &d->clock, &d->blocks, false);
    d->is_made = true;
}

static inline void drive_free_lent(struct drive *d)
{
    for (size_t i = 0; i < d->lent_count; i++) free(d->lent[i]);
    d->lent_count = 0;
}

static inline void drive_reset(struct drive *d)
{
    if (d->codec) drive_free_codec(d);
    drive_free_lent(d);
    free(d->lent);
    for (size_t i = 0; i < d->stream_count; i++) {
        arena_reset(&d->streams[i]->arena);
        buffer_reset(&d->streams[i]->events);
        free(d->streams[i]);
    }
    free(d->streams);
    block_pool_reset(&d->blocks);
    buffer_reset(&d->output);
}

/* ---- bytes ---- */

static inline void drive_check_streams(const struct drive *d)
{
    for (size_t i = 0; i < d->stream_count; i++) {
        const struct drive_stream *t = d->streams[i];
        if (t->stream && !t->is_dropped) CHECK(t->stream->unsent_bytes == t->given - t->told);
    }
}

/* The end of an event: what was lent goes away. */
static inline void drive_settle(struct drive *d)
{
    d->is_in_sending = true;
    codec_prepare(d->codec);
    d->is_in_sending = false;
    outq_own(&d->codec->out);
    drive_free_lent(d);
    drive_check_streams(d);
}

static inline void drive_take(struct drive *d, size_t len)
{
    while (len) {
        struct slice front = outq_front(&d->codec->out);
        if (front.len > len) front.len = len;
        buffer_put_slice(&d->output, front);
        outq_consume(&d->codec->out, front.len);
        len -= front.len;
    }
    codec_sent(d->codec);
}

static inline void drive_flush(struct drive *d, bool is_final)
{
    for (unsigned turn = 0; d->codec && turn < 200; turn++) {
        drive_settle(d);
        size_t len = d->codec->out.bytes;
        if (!len || (d->options & DRIVE_IS_STUCK && !is_final)) return;
        if (d->options & DRIVE_IS_SLOW && !is_final) {
            len = 1 + drive_random(d, (unsigned)len);
            if (!drive_random(d, 3)) return;
        }
        drive_take(d, len);
    }
    if (d->codec) drive_settle(d);
}

/* Feeds one piece at its exact length on the heap; false when no more is taken. */
static inline bool drive_piece(struct drive *d, const char *data, size_t len)
{
    while (len && d->codec) {
        char *piece = mem_alloc(len);
        memcpy(piece, data, len);
        size_t taken = codec_feed(d->codec, piece, len);
        free(piece);
        if (!d->codec) return false;
        CHECK(taken == len || (taken < len && !codec_wants_input(d->codec)));
        drive_flush(d, false);
        if (!d->codec || (taken < len && !codec_wants_input(d->codec))) return false;
        data += taken;
        len -= taken;
    }
    return d->codec != NULL;
}

/* What happens between two pieces. */
static inline void drive_pause(struct drive *d)
{
    if (!d->is_active) return;
    if (d->options & DRIVE_TIME_PASSES) d->clock.now_ms += drive_random(d, 200);
    for (size_t i = 0; i < d->stream_count; i++) drive_act(d->streams[i]);
    if (d->options & DRIVE_SHUTS_DOWN && !drive_random(d, 4)) codec_shutdown(d->codec);
    drive_flush(d, false);
}

/* `lengths`: DRIVE_PIECES lengths, taken in turn; NULL: all at once. */
static inline void drive_feed(struct drive *d, const uint8_t *lengths, const char *data, size_t len)
{
    unsigned turn = 0;
    while (len) {
        size_t n = lengths ? lengths[turn++ % DRIVE_PIECES] + (size_t)1 : len;
        if (n > len) n = len;
        if (!drive_piece(d, data, n)) return;
        drive_pause(d);
        if (!d->codec) return;
        data += n;
        len -= n;
    }
}

/* The connection's end. */
static inline void drive_finish(struct drive *d)
{
    if (d->codec && d->options & DRIVE_EXPIRES) codec_expire(d->codec);
    if (d->codec) drive_flush(d, false);
    if (!d->codec) return;
    if (d->options & DRIVE_ABORTS)
        codec_feed_abort(d->codec);
    else
        codec_feed_eof(d->codec);
    if (d->codec) CHECK(!codec_is_reusable(d->codec) && !codec_room(d->codec));
    for (size_t i = 0; d->codec && i < d->stream_count; i++) {
        const struct drive_stream *t = d->streams[i];
        if (t->stream) CHECK(!(d->options & DRIVE_ABORTS) && t->stage >= DRIVE_ENDED);
    }
    drive_flush(d, true);
    for (size_t i = 0; d->codec && i < d->stream_count; i++)
        if (d->streams[i]->stream) drive_let_go(d->streams[i]);
    if (!d->codec) return;
    drive_flush(d, true);
    CHECK(!d->open_count);
}

/* ---- what was written ---- */

struct drive_said {
    uint32_t id;
    bool     has_headers, has_ended, is_reset;
};

struct drive_frames {
    struct drive_said *said;
    size_t             count;
    bool               has_reset, has_goaway;
};

static inline struct drive_said *drive_said_of(struct drive_frames *f, uint32_t id)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->said[i].id == id) return &f->said[i];
    f->said = mem_realloc(f->said, (f->count + 1) * sizeof(*f->said));
    f->said[f->count] = (struct drive_said){ .id = id };
    return &f->said[f->count++];
}

static inline void drive_check_frame(struct drive_frames *f, unsigned type, unsigned flags,
                                     uint32_t id)
{
    enum { DATA, HEADERS, PRIORITY, RST_STREAM, GOAWAY = 7 };
    if (type == GOAWAY) f->has_goaway = true;
    if (type != DATA && type != HEADERS && type != RST_STREAM) return;
    struct drive_said *said = drive_said_of(f, id);
    CHECK(id && !said->is_reset);
    if (type == RST_STREAM) {
        said->is_reset = f->has_reset = true;
        return;
    }
    CHECK(!said->has_ended);
    CHECK(type == HEADERS || said->has_headers);
    said->has_headers = true;
    said->has_ended = flags & 1;
}

/* Nothing is said on a stream after its end; every frame is whole. */
static inline struct drive_frames drive_check_output(const struct drive *d)
{
    struct drive_frames f = { 0 };
    struct slice        left = buffer_slice(&d->output);
    if (!d->is_server && left.len) {
        size_t preface = sizeof(H2_PREFACE) - 1;
        if (left.len < preface) return f;
        CHECK(slice_starts_with(left, S(H2_PREFACE)));
        left = slice_from(left, preface);
    }
    while (left.len >= DRIVE_FRAME_HEAD_BYTES) {
        const uint8_t *p = (const uint8_t *)left.data;
        size_t         len = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
        uint32_t id = (uint32_t)p[5] << 24 | (uint32_t)p[6] << 16 | (uint32_t)p[7] << 8 | p[8];
        CHECK(len <= DRIVE_FRAME_BYTES_MAX && p[3] <= 9);
        drive_check_frame(&f, p[3], p[4], id);
        if (left.len - DRIVE_FRAME_HEAD_BYTES < len) break;
        left = slice_from(left, DRIVE_FRAME_HEAD_BYTES + len);
    }
    free(f.said);
    f.said = NULL;
    return f;
}

/* Where we reset a stream or gave up, when that took effect depends on the pieces. */
static inline void drive_compare(const struct drive *a, const struct drive *b)
{
    struct drive_frames fa = drive_check_output(a), fb = drive_check_output(b);
    if (a->is_active || fa.has_reset || fa.has_goaway || fb.has_reset || fb.has_goaway) return;
    CHECK(a->stream_count == b->stream_count);
    for (size_t i = 0; i < a->stream_count; i++) {
        struct slice ea = buffer_slice(&a->streams[i]->events);
        struct slice eb = buffer_slice(&b->streams[i]->events);
        if (slice_eq(ea, eb)) continue;
        fprintf(stderr, "whole:\n%.*s-- in pieces --\n%.*s", SLICE_ARG(ea), SLICE_ARG(eb));
        abort();
    }
}
