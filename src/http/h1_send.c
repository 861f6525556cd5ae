/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP/1 codec's sending half: decides the framing (RFC 9112 section 6) and
 * queues the bytes. Delivers no event but on_output.
 */
#include <assert.h>

#include "http/h1_private.h"
#include "http/h1_write.h"

enum {
    BORROW_BYTES_MIN = 512,    /* below it a copy is cheaper than another iovec */
    RESERVE_MARGIN_BYTES = 64, /* what a block keeps for the queue (outq.h) */
};

/* A place for `len` contiguous bytes: in the queue, or in the arena when no
 * block is as large. */
static char *begin_write(struct h1_codec *c, size_t len, bool *is_queued)
{
    struct outq *q = &c->base.out;
    *is_queued = len + RESERVE_MARGIN_BYTES <= q->pool->block_bytes;
    return *is_queued ? outq_reserve(q, len) : arena_alloc(c->stream.arena, len);
}

static void end_write(struct h1_codec *c, const char *from, const char *to, bool is_queued)
{
    size_t len = (size_t)(to - from);
    if (is_queued)
        outq_commit(&c->base.out, len);
    else
        outq_put(&c->base.out, from, len);
    c->base.owner_ops->on_output(&c->base);
}

static void write_head(struct h1_codec *c, const struct http_head *head,
                       const struct h1_framing *framing)
{
    bool  is_queued;
    char *from = begin_write(c, h1_head_bytes_max(head), &is_queued);
    char *to = c->is_server ? h1_write_response(from, head, framing)
                            : h1_write_request(from, head, framing);
    end_write(c, from, to, is_queued);
}

static void set_body(struct h1_codec *c, int64_t body_bytes)
{
    if (body_bytes < 0) {
        c->send = H1_SEND_CHUNKED;
    } else if (body_bytes == 0) {
        c->send = H1_SEND_DONE;
    } else {
        c->send = H1_SEND_LENGTH;
        h1_exchange_of(c)->send_left = (uint64_t)body_bytes;
    }
}

void h1_send_informational(struct http_stream *s, const struct http_head *head)
{
    struct h1_codec *c = h1_of(s->codec);
    if (c->send != H1_SEND_HEAD || c->is_http_1_0) return;
    write_head(c, head, &(struct h1_framing){ .content_length = -1 });
}

static enum h1_connection response_connection(const struct h1_codec  *c,
                                              const struct http_head *head)
{
    if (head->status == 101) return H1_CONNECTION_UPGRADE;
    if (c->is_last) return H1_CONNECTION_CLOSE;
    return c->is_http_1_0 ? H1_CONNECTION_KEEP_ALIVE : H1_CONNECTION_NONE;
}

static void send_response_head(struct h1_codec *c, const struct http_head *head)
{
    struct h1_framing framing = { .content_length = -1 };
    /* A request that is not complete might never be: RFC 9112 section 9.6. */
    if (c->receive != H1_RECEIVE_NOTHING || head->status == 101) c->is_last = true;
    if (c->is_head_method || http_status_has_no_body(head->status)) {
        bool says_length =
            head->status == 304 ? head->body_bytes > 0 : !http_status_has_no_body(head->status);
        if (says_length) framing.content_length = head->body_bytes;
        c->send = H1_SEND_DONE;
    } else {
        set_body(c, head->body_bytes);
        framing.content_length = head->body_bytes;
        if (c->send == H1_SEND_CHUNKED && c->is_http_1_0) {
            c->send = H1_SEND_UNTIL_CLOSE;
            c->is_last = true;
        }
        framing.is_chunked = c->send == H1_SEND_CHUNKED;
    }
    framing.connection = response_connection(c, head);
    if (!http_fields_find(&head->fields, FIELD_DATE)) framing.date = c->base.clock->http_date;
    write_head(c, head, &framing);
    if (head->status == 101) {
        h1_begin_tunnel(c);
        if (!c->is_feeding) c->base.owner_ops->on_want_input(&c->base);
    }
}

/* RFC 9110 section 8.6: methods that are expected to have a body say so when it
 * is empty. */
static bool says_empty(enum http_method method)
{
    return method == HTTP_POST || method == HTTP_PUT || method == HTTP_PATCH;
}

static void send_request_head(struct h1_codec *c, const struct http_head *head)
{
    struct h1_framing framing = { .content_length = head->body_bytes };
    if (head->body_bytes == 0 && !says_empty(head->method)) framing.content_length = -1;
    set_body(c, head->body_bytes);
    framing.is_chunked = c->send == H1_SEND_CHUNKED;
    framing.expects_continue = head->expects_continue && head->body_bytes != 0;
    framing.accepts_trailers = head->accepts_trailers;
    if (head->upgrade.len)
        framing.connection = H1_CONNECTION_UPGRADE;
    else if (c->is_last)
        framing.connection = H1_CONNECTION_CLOSE;
    c->is_head_method = head->method == HTTP_HEAD;
    c->asks_upgrade = head->upgrade.len != 0;
    c->receive = H1_RECEIVE_HEAD;
    h1_exchange_of(c);
    write_head(c, head, &framing);
}

void h1_send_head(struct http_stream *s, const struct http_head *head)
{
    struct h1_codec *c = h1_of(s->codec);
    if (c->base.is_broken) return;
    assert(c->send == H1_SEND_HEAD);
    if (c->is_server)
        send_response_head(c, head);
    else
        send_request_head(c, head);
}

static void put_data(struct h1_codec *c, struct slice data)
{
    struct outq *q = &c->base.out;
    if (data.len >= BORROW_BYTES_MIN && !c->stream.copies_body)
        outq_borrow(q, data.data, data.len);
    else
        outq_put(q, data.data, data.len);
}

/* A HEAD request whose head was malformed: the owner, who saw no request, cannot know
 * that its answer has no body. */
static bool is_answer_to_head(const struct h1_codec *c)
{
    return c->is_server && c->is_head_method;
}

/* Comes before a piece of the body. False: it goes nowhere. */
static bool begin_piece(struct h1_codec *c, size_t len)
{
    if (len == 0 || c->base.is_broken || is_answer_to_head(c)) return false;
    assert(c->send != H1_SEND_HEAD && c->send != H1_SEND_DONE);
    if (c->send == H1_SEND_CHUNKED) {
        char *line = outq_reserve(&c->base.out, H1_CHUNK_LINE_MAX);
        outq_commit(&c->base.out, h1_chunk_line(line, len));
    } else if (c->send == H1_SEND_LENGTH) {
        assert(len <= c->x->send_left);
        c->x->send_left -= len;
    }
    return true;
}

static void end_piece(struct h1_codec *c, size_t len)
{
    if (c->send == H1_SEND_CHUNKED) outq_put(&c->base.out, "\r\n", 2);
    c->stream.unsent_bytes += len;
    c->base.owner_ops->on_output(&c->base);
}

void h1_send_body(struct http_stream *s, struct slice data)
{
    struct h1_codec *c = h1_of(s->codec);
    if (!begin_piece(c, data.len)) return;
    put_data(c, data);
    end_piece(c, data.len);
}

void h1_send_range(struct http_stream *s, const struct outq_range *range)
{
    struct h1_codec *c = h1_of(s->codec);
    if (!begin_piece(c, range->bytes)) return;
    outq_put_range(&c->base.out, range);
    end_piece(c, range->bytes);
}

static void send_last_chunk(struct h1_codec *c, const struct http_fields *trailers)
{
    struct outq *q = &c->base.out;
    if (trailers && (!c->is_server || c->takes_trailers)) {
        outq_put(q, "0\r\n", 3);
        bool  is_queued;
        char *from = begin_write(c, h1_trailers_bytes_max(trailers), &is_queued);
        end_write(c, from, h1_write_trailers(from, trailers), is_queued);
        return;
    }
    outq_put(q, "0\r\n\r\n", 5);
    c->base.owner_ops->on_output(&c->base);
}

void h1_send_end(struct http_stream *s, const struct http_fields *trailers)
{
    struct h1_codec *c = h1_of(s->codec);
    if (c->base.is_broken || is_answer_to_head(c)) return;
    assert(c->send != H1_SEND_HEAD && c->send != H1_SEND_DONE);
    if (c->send == H1_SEND_LENGTH && c->x->send_left) {
        h1_break(c);
        return;
    }
    if (c->send == H1_SEND_CHUNKED) send_last_chunk(c, trailers);
    c->send = H1_SEND_DONE;
    if (!c->base.is_tunnel) return;
    c->base.has_ended = true;
    c->base.owner_ops->on_output(&c->base);
}
