/* SPDX-License-Identifier: Apache-2.0
 *
 * What the fuzz targets of both HTTP/1 roles share: an owner that answers or
 * asks by itself, checks the order of events and writes down what it hears. An
 * input is [options][8 piece lengths][bytes]; fed whole and in those pieces it
 * must give the same transcript.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "claim.h"
#include "http/h1.h"
#include "http/h1_parse.h"

enum { DRIVE_PIECES = 8, DRIVE_PREFIX_BYTES = 1 + DRIVE_PIECES };

enum drive_stage { DRIVE_IDLE, DRIVE_BEGUN, DRIVE_HEAD, DRIVE_ENDED };

struct drive {
    struct http_codec  *codec;
    struct http_stream *stream;
    struct arena        arena;
    struct block_pool   blocks;
    struct clock        clock;
    struct http_limits  limits;
    struct buffer       events;
    struct buffer       output;
    enum drive_stage    stage;
    size_t              unconsumed;
    bool                is_in_body;
    bool                is_answered_early; /* from within on_head */
    bool                is_server;
    /* Looks at a head that was understood. */
    void (*check_head)(struct drive *d, const struct http_head *head);
};

static inline void drive_line(struct drive *d, const char *text)
{
    if (d->is_in_body) buffer_put_char(&d->events, '\n');
    d->is_in_body = false;
    buffer_puts(&d->events, text);
}

static inline void drive_fields(struct drive *d, const struct http_fields *f)
{
    for (unsigned i = 0; i < f->count; i++) {
        const struct http_field *field = &f->items[i];
        if (field->is_dropped) continue;
        CHECK(http_is_token(field->name) && http_is_field_value(field->value));
        CHECK(!http_is_control_field(field->id));
        CHECK(field->id == http_field_lookup(field->name));
        buffer_printf(&d->events, " %.*s=", SLICE_ARG(field->name));
        buffer_put_slice(&d->events, field->value);
    }
    buffer_put_char(&d->events, '\n');
}

static inline void drive_output(struct drive *d)
{
    while (!outq_is_empty(&d->codec->out)) {
        struct slice front = outq_front(&d->codec->out);
        buffer_put_slice(&d->output, front);
        outq_consume(&d->codec->out, front.len);
    }
    codec_sent(d->codec);
}

static inline void drive_close(struct drive *d)
{
    struct http_stream *s = d->stream;
    drive_output(d);
    d->stream = NULL;
    d->stage = DRIVE_IDLE;
    d->unconsumed = 0;
    http_stream_close(s);
    arena_reset(&d->arena);
}

static inline void drive_answer(struct drive *d, unsigned status, int64_t body_bytes)
{
    struct http_head head = { .status = (uint16_t)status, .body_bytes = body_bytes };
    http_stream_send_head(d->stream, &head);
    if (body_bytes < 0 && status != 204) {
        http_stream_send_body(d->stream, S("x"));
        http_stream_send_end(d->stream, NULL);
    }
}

static inline void drive_on_head(struct http_stream *s, struct http_head *head)
{
    struct drive *d = s->owner;
    CHECK(d->stage == DRIVE_BEGUN);
    d->stage = DRIVE_HEAD;
    drive_line(d, "head ");
    buffer_printf(&d->events, "%u %.*s %.*s?%.*s @%.*s %s %lld", head->status,
                  SLICE_ARG(head->method_name), SLICE_ARG(head->path), SLICE_ARG(head->query),
                  SLICE_ARG(head->authority), head->protocol, (long long)head->body_bytes);
    drive_fields(d, &head->fields);
    if (d->check_head) d->check_head(d, head);
    if (d->is_server && d->is_answered_early) drive_answer(d, 204, 0);
}

static inline void drive_on_informational(struct http_stream *s, struct http_head *head)
{
    struct drive *d = s->owner;
    CHECK(d->stage == DRIVE_BEGUN && head->status >= 100 && head->status < 200);
    drive_line(d, "info ");
    drive_fields(d, &head->fields);
}

static inline void drive_on_body(struct http_stream *s, struct slice data)
{
    struct drive *d = s->owner;
    CHECK(d->stage == DRIVE_HEAD && data.len);
    if (!d->is_in_body) buffer_puts(&d->events, "body ");
    d->is_in_body = true;
    buffer_put_slice(&d->events, data);
    d->unconsumed += data.len;
}

static inline void drive_on_trailers(struct http_stream *s, struct http_fields *trailers)
{
    struct drive *d = s->owner;
    CHECK(d->stage == DRIVE_HEAD);
    drive_line(d, "trailers");
    drive_fields(d, trailers);
}

static inline void drive_on_end(struct http_stream *s)
{
    struct drive *d = s->owner;
    CHECK(d->stage == DRIVE_HEAD);
    d->stage = DRIVE_ENDED;
    drive_line(d, "end\n");
    if (d->is_server && !d->is_answered_early) drive_answer(d, 200, -1);
    drive_close(d);
}

static inline void drive_on_invalid(struct http_stream *s, const struct http_fault *fault)
{
    struct drive *d = s->owner;
    CHECK(d->stage == DRIVE_BEGUN || d->stage == DRIVE_HEAD);
    CHECK(fault->status >= 400 && fault->reason);
    /* With several faults in one message, how it is cut decides which is met
     * first: that it is refused is the same, not why. */
    drive_line(d, "invalid\n");
    if (d->is_server && (d->stage == DRIVE_BEGUN || !d->is_answered_early)) drive_answer(d, 400, 0);
    drive_close(d);
    CHECK(!codec_is_reusable(d->codec) && !codec_wants_input(d->codec));
}

static inline void drive_on_reset(struct http_stream *s, enum http_reset why)
{
    struct drive *d = s->owner;
    drive_line(d, "reset ");
    buffer_printf(&d->events, "%d\n", why);
    drive_close(d);
}

static inline void drive_on_sent(struct http_stream *s, size_t sent_bytes)
{
    (void)s;
    CHECK(sent_bytes);
}

static inline void drive_on_stream(struct http_codec *c, struct http_stream *s)
{
    static const struct http_stream_ops ops = {
        .on_head = drive_on_head,
        .on_informational = drive_on_informational,
        .on_body = drive_on_body,
        .on_trailers = drive_on_trailers,
        .on_end = drive_on_end,
        .on_invalid = drive_on_invalid,
        .on_reset = drive_on_reset,
        .on_sent = drive_on_sent,
    };
    struct drive *d = c->owner;
    CHECK(d->stage == DRIVE_IDLE);
    d->stage = DRIVE_BEGUN;
    d->stream = s;
    s->ops = &ops;
    s->owner = d;
    s->arena = &d->arena;
}

static inline void drive_ignore(struct http_codec *c)
{
    (void)c;
}

static inline void drive_init(struct drive *d, enum http_role role, uint8_t options)
{
    static const struct http_codec_owner_ops ops = { drive_on_stream, drive_ignore, drive_ignore,
                                                     drive_ignore };
    bool                                     is_tight = options & 1;
    *d = (struct drive){ .is_server = role == HTTP_SERVER };
    d->limits = (struct http_limits){
        .request_line_bytes = is_tight ? 40 : 8192,
        .header_bytes = is_tight ? 120 : 16384,
        .header_count = is_tight ? 4 : 100,
        .trailer_bytes = is_tight ? 20 : 4096,
        .chunk_extension_bytes = is_tight ? 6 : 1024,
        .informational_count = 2,
        .window_bytes = is_tight ? 16 : 65536,
        .allows_encoded_slash = options & 2,
        .merges_slashes = options & 4,
    };
    d->is_answered_early = options & 8;
    block_pool_init(&d->blocks, options & 16 ? 256 : 16384, 4);
    arena_init(&d->arena, NULL);
    memcpy(d->clock.http_date, "Sat, 21 Nov 2026 07:00:00 GMT", 30);
    d->codec = h1_codec_new(role, &ops, d, &d->limits, &d->clock, &d->blocks, false);
}

static inline void drive_reset(struct drive *d)
{
    codec_free(d->codec);
    arena_reset(&d->arena);
    block_pool_reset(&d->blocks);
    buffer_reset(&d->events);
    buffer_reset(&d->output);
}

/* What is due between two feeds: consuming what was received. */
static inline void drive_consume(struct drive *d)
{
    if (d->stream && d->unconsumed) {
        size_t bytes = d->unconsumed;
        d->unconsumed = 0;
        http_stream_consumed(d->stream, bytes);
    }
}

/* Feeds one piece at its exact length on the heap; false when no more is taken. */
static inline bool drive_piece(struct drive *d, const char *data, size_t len)
{
    while (len) {
        char *piece = mem_alloc(len);
        memcpy(piece, data, len);
        size_t taken = codec_feed(d->codec, piece, len);
        free(piece);
        CHECK(taken <= len);
        if (taken < len) CHECK(taken || !codec_wants_input(d->codec));
        drive_consume(d);
        if (taken < len && !codec_wants_input(d->codec)) return false;
        data += taken;
        len -= taken;
    }
    return true;
}

/* `lengths`: DRIVE_PIECES lengths, taken in turn; NULL: all at once. */
static inline void drive_feed(struct drive *d, const uint8_t *lengths, const char *data, size_t len)
{
    unsigned turn = 0;
    while (len) {
        size_t n = lengths ? lengths[turn++ % DRIVE_PIECES] + (size_t)1 : len;
        if (n > len) n = len;
        if (!drive_piece(d, data, n)) return;
        data += n;
        len -= n;
    }
}

static inline void drive_compare(const struct drive *a, const struct drive *b)
{
    struct slice ea = buffer_slice(&a->events);
    struct slice eb = buffer_slice(&b->events);
    struct slice oa = buffer_slice(&a->output);
    struct slice ob = buffer_slice(&b->output);
    if (slice_eq(ea, eb) && slice_eq(oa, ob)) return;
    fprintf(stderr, "whole:\n%.*s-- in pieces --\n%.*s", SLICE_ARG(ea), SLICE_ARG(eb));
    fprintf(stderr, "-- written --\n%.*s-- in pieces --\n%.*s", SLICE_ARG(oa), SLICE_ARG(ob));
    abort();
}
