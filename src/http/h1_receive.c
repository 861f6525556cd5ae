/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP/1 codec's receiving half: a loop over what input is taken for
 * (enum h1_receive). Each step uses up some bytes and delivers events; after
 * each event the stream may be gone.
 */
#include <assert.h>

#include "base/memory.h"
#include "http/h1_parse.h"
#include "http/h1_private.h"

/* Heads up to this length are parsed without looking for their end first. */
enum { SHORT_HEAD_BYTES = 1024 };

static bool is_gone(const struct h1_codec *c, uint16_t serial)
{
    return c->serial != serial;
}

/* ---- events ---- */

static void invalid(struct h1_codec *c, struct http_fault *f)
{
    c->is_last = true;
    c->receive = H1_RECEIVE_DEAD;
    h1_drop_begun(c);
    if (!c->is_server) {
        f->status = 502;
        c->base.is_broken = true;
    }
    c->stream.ops->on_invalid(&c->stream, f);
}

static void lost(struct h1_codec *c, enum http_reset why)
{
    c->is_last = true;
    c->receive = H1_RECEIVE_DEAD;
    h1_drop_begun(c);
    c->stream.ops->on_reset(&c->stream, why);
}

/* The message is complete; `surplus` bytes follow it. */
static void end_message(struct h1_codec *c, size_t surplus)
{
    c->receive = H1_RECEIVE_NOTHING;
    /* A response is not followed by anything that was not asked for, and a
     * replica that answers before the request is complete may never read it. */
    if (!c->is_server && (surplus || c->send != H1_SEND_DONE)) c->is_last = true;
    c->stream.ops->on_end(&c->stream);
}

static void deliver_body(struct h1_codec *c, struct slice data)
{
    c->x->unconsumed_bytes += data.len;
    if (c->x->unconsumed_bytes > c->base.limits->window_bytes) c->is_choked = true;
    c->stream.ops->on_body(&c->stream, data);
}

void h1_consumed(struct http_stream *s, size_t bytes)
{
    struct h1_codec *c = h1_of(s->codec);
    if (!c->x) return;
    assert(bytes <= c->x->unconsumed_bytes);
    c->x->unconsumed_bytes -= bytes;
    if (!c->is_choked || c->x->unconsumed_bytes > c->base.limits->window_bytes / 2) return;
    c->is_choked = false;
    if (!c->is_feeding && h1_wants_input(&c->base)) c->base.owner_ops->on_want_input(&c->base);
}

/* ---- heads ---- */

/* What follows a head of `body_bytes`, unless nothing does. */
static void expect_body(struct h1_codec *c, const struct h1_message *m)
{
    if (m->control.is_chunked) {
        c->receive = H1_RECEIVE_CHUNKED;
        c->x->chunked = (struct h1_chunked){ 0 };
    } else if (m->head.body_bytes > 0) {
        c->receive = H1_RECEIVE_LENGTH;
        c->x->receive_left = (uint64_t)m->head.body_bytes;
    } else {
        c->receive = m->head.body_bytes < 0 ? H1_RECEIVE_UNTIL_CLOSE : H1_RECEIVE_NOTHING;
    }
}

/* Does the peer want the connection kept (RFC 9112 section 9.3)? */
static bool is_kept(const struct h1_message *m)
{
    if (m->control.says_close) return false;
    return m->minor_version > 0 || m->control.says_keep_alive;
}

/* The head's own place in the arena, with the slack that the parser needs. */
static struct slice copy_head(struct h1_codec *c, const char *data, size_t len)
{
    char *copy = arena_alloc(c->stream.arena, len + H1_SLACK_BYTES);
    memcpy(copy, data, len);
    h1_end_text(copy + len);
    return slice_make(copy, len);
}

/* Gives back what was copied beyond the head. */
static void trim_copy(struct h1_codec *c, struct slice text, size_t head_bytes)
{
    union { /* the arena's own bytes, which only look constant from here */
        const char *in;
        char       *out;
    } from = { text.data };
    arena_trim(c->stream.arena, from.out, text.len + H1_SLACK_BYTES, head_bytes + H1_SLACK_BYTES);
}

static void begin_request(struct h1_codec *c)
{
    c->is_open = true;
    c->serial++;
    c->send = H1_SEND_HEAD;
    c->is_http_1_0 = c->is_head_method = c->takes_trailers = false;
    if (c->is_ending) c->is_last = true;
    c->stream = (struct http_stream){ .codec = &c->base };
    c->base.owner_ops->on_stream(&c->base, &c->stream);
}

/* `text` begins with a whole head; returns how much of it was one. */
static size_t receive_request(struct h1_codec *c, const char *data, size_t len)
{
    begin_request(c);
    struct arena      *a = c->stream.arena;
    struct h1_message *m = h1_message_new(a, len);
    struct slice       text = copy_head(c, data, len);
    struct http_fault  fault;
    bool is_good = h1_parse_request(m, text, a, c->base.limits, c->base.is_tls, &fault);
    h1_drop_begun(c);
    c->is_line_checked = c->is_line_skipped = false;
    c->is_head_method = m->head.method == HTTP_HEAD;
    if (!is_good) {
        invalid(c, &fault);
        return len;
    }
    size_t head_bytes = m->head_bytes;
    trim_copy(c, text, head_bytes);
    c->is_http_1_0 = m->minor_version == 0;
    c->takes_trailers = m->head.accepts_trailers;
    if (!is_kept(m)) c->is_last = true;
    h1_exchange_of(c);
    expect_body(c, m);
    uint16_t serial = c->serial;
    c->stream.ops->on_head(&c->stream, &m->head);
    if (!is_gone(c, serial) && c->receive == H1_RECEIVE_NOTHING) end_message(c, 0);
    return head_bytes;
}

static void receive_informational(struct h1_codec *c, struct http_head *head)
{
    struct http_fault fault;
    if (++c->x->informational_count > c->base.limits->informational_count) {
        http_refuse(&fault, 502, "too_many_informational");
        invalid(c, &fault);
        return;
    }
    head->body_bytes = 0;
    if (c->stream.ops->on_informational) c->stream.ops->on_informational(&c->stream, head);
}

/* RFC 9112 section 6.3, with what the request has to say. */
static void expect_response_body(struct h1_codec *c, struct h1_message *m)
{
    struct http_head *head = &m->head;
    bool              has_body = !c->is_head_method && !http_status_has_no_body(head->status);
    if (has_body) {
        expect_body(c, m);
        if (c->receive == H1_RECEIVE_UNTIL_CLOSE) c->is_last = true;
        return;
    }
    c->receive = H1_RECEIVE_NOTHING;
    if (head->status != 304 && http_status_has_no_body(head->status)) head->body_bytes = 0;
}

static void receive_final(struct h1_codec *c, struct h1_message *m, size_t surplus)
{
    if (!is_kept(m)) c->is_last = true;
    expect_response_body(c, m);
    bool is_complete = c->receive == H1_RECEIVE_NOTHING;
    if (is_complete && surplus) c->is_last = true;
    uint16_t serial = c->serial;
    c->stream.ops->on_head(&c->stream, &m->head);
    if (!is_gone(c, serial) && is_complete) end_message(c, surplus);
}

/* What follows the head is not HTTP. */
static void receive_switch(struct h1_codec *c, struct h1_message *m)
{
    struct http_fault fault;
    if (!c->asks_upgrade || c->send != H1_SEND_DONE) {
        http_refuse(&fault, 502, "unasked_upgrade");
        invalid(c, &fault);
        return;
    }
    m->head.body_bytes = 0;
    h1_begin_tunnel(c);
    c->stream.ops->on_head(&c->stream, &m->head);
}

static void receive_understood(struct h1_codec *c, struct h1_message *m, size_t surplus)
{
    if (m->head.status == 101)
        receive_switch(c, m);
    else if (m->head.status < 200)
        receive_informational(c, &m->head);
    else
        receive_final(c, m, surplus);
}

static void receive_response(struct h1_codec *c, const char *data, size_t len, size_t surplus)
{
    struct arena      *a = c->stream.arena;
    struct h1_message *m = h1_message_new(a, len);
    struct http_fault  fault;
    bool is_good = h1_parse_response(m, copy_head(c, data, len), a, c->base.limits, &fault);
    h1_drop_begun(c);
    if (is_good)
        receive_understood(c, m, surplus);
    else
        invalid(c, &fault);
}

/* Most heads come whole and are short. Then there is no need to look for their end
 * first: the parser finds it. */
static bool may_be_whole(const struct h1_codec *c, size_t len)
{
    return !c->begun && len <= c->base.limits->header_bytes && len <= SHORT_HEAD_BYTES;
}

/* Tries the beginning of the input as a response's head; 0 when it is none, for
 * whatever reason. */
static size_t try_response(struct h1_codec *c, const char *data, size_t len)
{
    size_t            n = len < SHORT_HEAD_BYTES ? len : SHORT_HEAD_BYTES;
    struct http_fault fault;
    if (!may_be_whole(c, n)) return 0;
    struct h1_message *m = h1_message_new(c->stream.arena, n / 2);
    struct slice       text = copy_head(c, data, n);
    if (!h1_parse_response(m, text, c->stream.arena, c->base.limits, &fault)) return 0;
    size_t head_bytes = m->head_bytes;
    trim_copy(c, text, head_bytes);
    receive_understood(c, m, len - head_bytes);
    return head_bytes;
}

/* The same for a request, whose stream may be announced only when its head is
 * surely there. */
static size_t try_request(struct h1_codec *c, const char *data, size_t len)
{
    if (len < 4 || memcmp(data + len - 4, "\r\n\r\n", 4) != 0 || !may_be_whole(c, len)) return 0;
    return receive_request(c, data, len);
}

static void receive_head(struct h1_codec *c, const char *data, size_t len, size_t surplus)
{
    if (c->is_server)
        receive_request(c, data, len);
    else
        receive_response(c, data, len, surplus);
}

/* Keeps input of which the end is not there. Bounded: returns how much it took. */
static size_t keep(struct h1_codec *c, const char *data, size_t len, size_t most)
{
    if (!c->begun) c->begun = mem_zalloc(sizeof(*c->begun));
    size_t room = c->begun->len < most ? most - c->begun->len : 0;
    size_t n = len < room ? len : room;
    /* The slack is for h1_check_begun_request(), which scans as the parser does. */
    char *to = buffer_reserve(c->begun, n + H1_SLACK_BYTES);
    memcpy(to, data, n);
    h1_end_text(to + n);
    c->begun->len += n;
    return n;
}

/* Is what was kept already too much, or no HTTP? */
static void check_begun(struct h1_codec *c)
{
    struct http_fault fault;
    struct slice      begun = buffer_slice(c->begun);
    bool              is_good;
    if (!c->is_server) {
        is_good = h1_check_begun_response(begun, c->base.limits, &fault);
    } else if (c->is_line_checked) {
        is_good =
            begun.len <= c->base.limits->header_bytes || http_refuse(&fault, 431, "head_too_large");
    } else {
        if (begun.len == 1 && begun.data[0] == '\r' && !c->is_line_skipped) return;
        is_good = h1_check_begun_request(begun, c->base.limits, &fault);
        c->is_line_checked = slice_find(begun, '\n') < begun.len;
    }
    if (is_good) return;
    if (c->is_server) begin_request(c);
    invalid(c, &fault);
}

/* RFC 9112 section 2.2: one empty line before a request is passed over. */
static size_t skip_line(struct h1_codec *c, const char *data, size_t len)
{
    if (!c->is_server || c->is_line_skipped || c->begun) return 0;
    if (len < 2 || data[0] != '\r' || data[1] != '\n') return 0;
    c->is_line_skipped = true;
    return 2;
}

static size_t step_head_in_parts(struct h1_codec *c, const char *data, size_t len)
{
    size_t limit = c->base.limits->header_bytes;
    if (limit < c->base.limits->request_line_bytes) limit = c->base.limits->request_line_bytes;
    size_t         before = c->begun ? c->begun->len : 0;
    size_t         n = keep(c, data, len, limit + 3);
    struct buffer *b = c->begun;
    if (before == 1 && c->is_server && !c->is_line_skipped && b->data[0] == '\r' &&
        b->data[1] == '\n') {
        h1_drop_begun(c);
        c->is_line_skipped = true;
        if (c->is_ending) c->receive = H1_RECEIVE_DEAD;
        return 1;
    }
    size_t head = h1_head_length(b->data, b->len, before);
    if (!head) {
        check_begun(c);
        return n;
    }
    receive_head(c, b->data, head, len - (head - before));
    return head - before;
}

static size_t step_head(struct h1_codec *c, const char *data, size_t len)
{
    size_t skipped = skip_line(c, data, len);
    if (skipped) return skipped;
    size_t tried = c->is_server ? try_request(c, data, len) : try_response(c, data, len);
    if (tried) return tried;
    size_t head = c->begun ? 0 : h1_head_length(data, len, 0);
    if (!head) return step_head_in_parts(c, data, len);
    receive_head(c, data, head, len - head);
    return head;
}

/* ---- bodies ---- */

static size_t step_length(struct h1_codec *c, const char *data, size_t len)
{
    size_t   n = len < c->x->receive_left ? len : (size_t)c->x->receive_left;
    uint16_t serial = c->serial;
    c->x->receive_left -= n;
    bool is_complete = c->x->receive_left == 0;
    deliver_body(c, slice_make(data, n));
    if (!is_gone(c, serial) && is_complete && c->receive == H1_RECEIVE_LENGTH)
        end_message(c, len - n);
    return n;
}

static size_t step_until_close(struct h1_codec *c, const char *data, size_t len)
{
    deliver_body(c, slice_make(data, len));
    return len;
}

static size_t step_chunked(struct h1_codec *c, const char *data, size_t len)
{
    struct http_fault fault;
    struct slice      body;
    size_t            used;
    switch (h1_chunked_next(&c->x->chunked, slice_make(data, len), c->base.limits, &used, &body,
                            &fault)) {
    case H1_CHUNK_MORE: break;
    case H1_CHUNK_DATA: deliver_body(c, body); break;
    case H1_CHUNK_LAST: c->receive = H1_RECEIVE_TRAILERS; break;
    case H1_CHUNK_BAD: invalid(c, &fault); break;
    }
    return used;
}

static void receive_trailers(struct h1_codec *c, const char *data, size_t len, size_t surplus)
{
    struct http_fault   fault;
    struct http_fields *trailers = arena_zalloc(c->stream.arena, sizeof(*trailers));
    bool is_good = h1_parse_trailers(trailers, copy_head(c, data, len), c->stream.arena,
                                     c->base.limits, &fault);
    h1_drop_begun(c);
    if (!is_good) {
        invalid(c, &fault);
        return;
    }
    uint16_t serial = c->serial;
    bool     has_any = false;
    for (unsigned i = 0; i < trailers->count; i++) has_any |= !trailers->items[i].is_dropped;
    if (has_any) c->stream.ops->on_trailers(&c->stream, trailers);
    if (!is_gone(c, serial) && c->receive == H1_RECEIVE_TRAILERS) end_message(c, surplus);
}

static size_t step_trailers(struct h1_codec *c, const char *data, size_t len)
{
    if (!c->begun && len >= 2 && data[0] == '\r' && data[1] == '\n') {
        end_message(c, len - 2);
        return 2;
    }
    size_t before = c->begun ? c->begun->len : 0;
    size_t most = c->base.limits->trailer_bytes + (size_t)2;
    size_t n = keep(c, data, len, most + 1);
    size_t all = h1_trailers_length(c->begun->data, c->begun->len, before);
    if (all && all <= most) {
        receive_trailers(c, c->begun->data, all, len - (all - before));
        return all - before;
    }
    if (c->begun->len > most) {
        struct http_fault fault;
        http_refuse(&fault, 431, "trailers_too_large");
        invalid(c, &fault);
    }
    return n;
}

/* ---- input ---- */

/* A client codec that awaits nothing: a replica that talks unasked is done with. */
static size_t step_nothing(struct h1_codec *c, size_t len)
{
    c->is_last = true;
    if (c->is_open && !c->x)
        lost(c, HTTP_RESET_CLOSED);
    else if (!c->is_open)
        c->receive = H1_RECEIVE_DEAD;
    return len;
}

static size_t step(struct h1_codec *c, const char *data, size_t len)
{
    switch ((enum h1_receive)c->receive) {
    case H1_RECEIVE_HEAD: return step_head(c, data, len);
    case H1_RECEIVE_LENGTH: return step_length(c, data, len);
    case H1_RECEIVE_CHUNKED: return step_chunked(c, data, len);
    case H1_RECEIVE_TRAILERS: return step_trailers(c, data, len);
    case H1_RECEIVE_UNTIL_CLOSE: return step_until_close(c, data, len);
    case H1_RECEIVE_NOTHING: return step_nothing(c, len);
    case H1_RECEIVE_DEAD: break;
    }
    return 0;
}

size_t h1_feed(struct h1_codec *c, const char *data, size_t len)
{
    size_t at = 0;
    if (len == 0 || !h1_wants_input(&c->base)) return 0;
    /* A window that fills up meanwhile stops the next feed, not this one: what has
     * been read is passed on without another copy. */
    do at += step(c, data + at, len - at);
    while (at < len && h1_takes_input(c) && !h1_is_clogged(c));
    return at;
}

static void end_in_response_head(struct h1_codec *c)
{
    bool has_begun = c->begun || c->x->informational_count;
    lost(c, has_begun ? HTTP_RESET_TRUNCATED : HTTP_RESET_CLOSED);
}

/* The end came when nothing was awaited. */
static void end_in_nothing(struct h1_codec *c, bool is_abort)
{
    if (!c->is_server && !c->x)
        lost(c, HTTP_RESET_CLOSED);
    else if (is_abort)
        lost(c, HTTP_RESET_PEER);
}

void h1_feed_end(struct h1_codec *c, bool is_abort)
{
    c->is_last = true;
    if (!c->is_open) {
        c->receive = H1_RECEIVE_DEAD;
        h1_drop_begun(c);
        return;
    }
    switch ((enum h1_receive)c->receive) {
    case H1_RECEIVE_HEAD: end_in_response_head(c); break;
    case H1_RECEIVE_LENGTH:
    case H1_RECEIVE_CHUNKED:
    case H1_RECEIVE_TRAILERS: lost(c, HTTP_RESET_TRUNCATED); break;
    case H1_RECEIVE_UNTIL_CLOSE:
        if (is_abort)
            lost(c, HTTP_RESET_TRUNCATED);
        else
            end_message(c, 0);
        break;
    case H1_RECEIVE_NOTHING: end_in_nothing(c, is_abort); break;
    /* Malformed, and its answer has not left yet. */
    case H1_RECEIVE_DEAD:
        if (is_abort) lost(c, HTTP_RESET_PEER);
        break;
    }
}

void h1_expire(struct h1_codec *c)
{
    struct http_fault fault;
    if (!c->is_server || c->is_open || !c->begun) return;
    begin_request(c);
    http_refuse(&fault, 408, "header_timeout");
    invalid(c, &fault);
}
