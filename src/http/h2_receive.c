/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP/2 codec's receiving half: nghttp2's callbacks become events of streams.
 * After each event the stream may have lost its owner.
 */
#include "http/h2_private.h"

enum {
    /* Decoded fields beyond this many times what a head may have end the connection: until
     * then they are only counted. */
    HEADER_FLOOD_FACTOR = 4,
    /* A window doubles after so many windows; up to so much, and over all streams of a
     * connection by so much. */
    GROWTH_AFTER = 2,
    WINDOW_BYTES_MAX = 1024 * 1024,
    GROWN_BYTES_MAX = 4 * 1024 * 1024,
};

static struct h2_stream *find(struct h2_codec *c, int32_t id)
{
    return id ? nghttp2_session_get_stream_user_data(c->session, id) : NULL;
}

static bool has_end(const nghttp2_frame *frame)
{
    return frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
}

/* ---- events ---- */

/* The message cannot be understood; nothing more of it is heard. */
static void invalid(struct h2_codec *c, struct h2_stream *s, struct http_fault *f)
{
    s->receive = H2_RECEIVE_END;
    list_remove(&s->due_link);
    outq_reset(&s->early);
    s->is_early_end = false;
    s->is_malformed = f->status != 431 && f->status != 414 && f->status != 413;
    if (!c->is_server) f->status = 502;
    s->stream.ops->on_invalid(&s->stream, f);
}

static void refuse(struct h2_codec *c, struct h2_stream *s, const char *reason)
{
    struct http_fault f;
    http_refuse(&f, 400, reason);
    invalid(c, s, &f);
}

static void end_message(struct h2_codec *c, struct h2_stream *s)
{
    if (s->length_left > 0) {
        if (c->is_server) {
            refuse(c, s, "body_shorter_than_length");
            return;
        }
        s->receive = H2_RECEIVE_END;
        s->stream.ops->on_reset(&s->stream, HTTP_RESET_TRUNCATED);
        return;
    }
    s->receive = H2_RECEIVE_END;
    s->is_received = true;
    s->stream.ops->on_end(&s->stream);
}

/* The tunnel stands: what the peer did not wait with. It is lent on until the end of the
 * event, which the arena outlives. */
static void tell_early(struct h2_codec *c, struct h2_stream *s)
{
    while (s->has_owner && s->early.bytes) {
        struct slice front = outq_front(&s->early);
        struct slice copy = arena_copy(s->stream.arena, front);
        outq_consume(&s->early, front.len);
        s->stream.ops->on_body(&s->stream, copy);
    }
    if (s->is_early_end && s->has_owner) end_message(c, s);
    s->is_early_end = false;
}

void h2_tell_due(struct h2_codec *c)
{
    while (!list_is_empty(&c->due)) {
        struct h2_stream *s = container_of(c->due.next, struct h2_stream, due_link);
        list_remove(&s->due_link);
        if (s->early.bytes || s->is_early_end) {
            tell_early(c, s);
            continue;
        }
        s->receive = H2_RECEIVE_END;
        s->stream.ops->on_reset(&s->stream, (enum http_reset)s->reset_why);
    }
}

/* ---- heads ---- */

static void receive_request(struct h2_codec *c, const nghttp2_frame *frame)
{
    struct http_fault fault;
    struct h2_stream *s = h2_stream_new(c, frame->hd.stream_id);
    nghttp2_session_set_stream_user_data(c->session, s->id, s);
    c->last_id = s->id;
    s->is_at_nghttp2 = true;
    s->is_head_method = h2_head_is_of_head(&c->head);
    s->is_peer_done = has_end(frame);
    if (c->is_leaving && --c->last_count == 0) h2_finish_leaving(c);
    c->base.owner_ops->on_stream(&c->base, &s->stream);
    struct http_head *head = h2_head_request(&c->head, s->stream.arena, c->base.limits,
                                             !has_end(frame), c->base.is_tls, &fault);
    if (!head) {
        invalid(c, s, &fault);
        return;
    }
    s->asks_tunnel = head->upgrade.len != 0;
    s->length_left = head->body_bytes;
    s->receive = has_end(frame) || s->asks_tunnel ? H2_RECEIVE_END : H2_RECEIVE_BODY;
    s->stream.ops->on_head(&s->stream, head);
    if (s->has_owner && s->receive == H2_RECEIVE_END) end_message(c, s);
}

static void receive_informational(struct h2_codec *c, struct h2_stream *s, struct http_head *head,
                                  bool is_end)
{
    if (is_end) {
        refuse(c, s, "bad_status_line");
    } else if (++s->informational_count > c->base.limits->informational_count) {
        refuse(c, s, "too_many_informational");
    } else {
        head->body_bytes = 0;
        if (s->stream.ops->on_informational) s->stream.ops->on_informational(&s->stream, head);
    }
}

/* RFC 8441 section 4: as HTTP/1 says it, 101. */
static void receive_switch(struct h2_stream *s, struct http_head *head)
{
    head->status = 101;
    head->must_switch = true;
    head->body_bytes = 0;
    s->is_tunnel = true;
    s->receive = H2_RECEIVE_BODY;
    s->length_left = -1;
    s->stream.ops->on_head(&s->stream, head);
}

static void receive_final(struct h2_codec *c, struct h2_stream *s, struct http_head *head,
                          bool is_end)
{
    bool has_body = !s->is_head_method && !http_status_has_no_body(head->status);
    s->receive = H2_RECEIVE_BODY;
    s->length_left = has_body ? head->body_bytes : 0;
    if (has_body && is_end) {
        if (head->body_bytes > 0) {
            refuse(c, s, "body_shorter_than_length");
            return;
        }
        head->body_bytes = 0;
    }
    if (head->status != 304 && http_status_has_no_body(head->status)) head->body_bytes = 0;
    s->stream.ops->on_head(&s->stream, head);
    if (s->has_owner && is_end) end_message(c, s);
}

static void receive_response(struct h2_codec *c, struct h2_stream *s, const nghttp2_frame *frame)
{
    struct http_fault fault;
    struct http_head *head = h2_head_response(&c->head, s->stream.arena, &fault);
    if (!head)
        invalid(c, s, &fault);
    else if (head->status < 200)
        receive_informational(c, s, head, has_end(frame));
    else if (s->asks_tunnel && head->status < 300 && !has_end(frame))
        receive_switch(s, head);
    else
        receive_final(c, s, head, has_end(frame));
}

static void receive_trailers(struct h2_codec *c, struct h2_stream *s, const nghttp2_frame *frame)
{
    struct http_fault   fault;
    struct http_fields *trailers = h2_head_trailers(&c->head, s->stream.arena, &fault);
    bool                has_any = false;
    if (!trailers) {
        invalid(c, s, &fault);
        return;
    }
    if (!has_end(frame) || s->is_tunnel) {
        refuse(c, s, "trailers_without_end");
        return;
    }
    for (unsigned i = 0; i < trailers->count; i++) has_any |= !trailers->items[i].is_dropped;
    if (has_any) s->stream.ops->on_trailers(&s->stream, trailers);
    if (s->has_owner && s->receive == H2_RECEIVE_BODY) end_message(c, s);
}

static void receive_headers(struct h2_codec *c, const nghttp2_frame *frame)
{
    struct h2_stream *s = find(c, frame->hd.stream_id);
    c->head_id = 0;
    if (c->is_server && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        receive_request(c, frame);
    else if (!s || !s->has_owner)
        return;
    else if (s->receive == H2_RECEIVE_HEAD)
        receive_response(c, s, frame);
    else if (s->receive == H2_RECEIVE_BODY)
        receive_trailers(c, s, frame);
    else if (s->asks_tunnel && !s->is_tunnel && has_end(frame))
        s->is_early_end = true;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *codec)
{
    struct h2_codec  *c = codec;
    enum h2_head_kind kind = H2_HEAD_TRAILERS;
    (void)session;
    if (c->is_server && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        kind = H2_HEAD_REQUEST;
    } else if (!c->is_server) {
        const struct h2_stream *s = find(c, frame->hd.stream_id);
        if (s && s->receive == H2_RECEIVE_HEAD) kind = H2_HEAD_RESPONSE;
    }
    c->head_id = frame->hd.stream_id;
    h2_head_begin(&c->head, kind);
    return 0;
}

static struct slice slice_of_rcbuf(nghttp2_rcbuf *b)
{
    nghttp2_vec v = nghttp2_rcbuf_get_buf(b);
    return slice_make((const char *)v.base, v.len);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name,
                     nghttp2_rcbuf *value, uint8_t flags, void *codec)
{
    struct h2_codec *c = codec;
    (void)session, (void)frame, (void)flags;
    if (c->is_giving_up) return 0;
    h2_head_add(&c->head, slice_of_rcbuf(name), slice_of_rcbuf(value), c->base.limits);
    if (c->head.list_bytes > (uint64_t)c->base.limits->header_bytes * HEADER_FLOOD_FACTOR)
        h2_give_up(c, NGHTTP2_ENHANCE_YOUR_CALM, "header_flood");
    return 0;
}

/* ---- bodies ---- */

static void receive_body(struct h2_codec *c, struct h2_stream *s, struct slice data)
{
    if (s->length_left >= 0 && (uint64_t)s->length_left < data.len) {
        refuse(c, s, "body_longer_than_length");
        return;
    }
    if (s->length_left > 0) s->length_left -= (int64_t)data.len;
    s->unconsumed_bytes += (uint32_t)data.len;
    s->stream.ops->on_body(&s->stream, data);
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                         size_t len, void *codec)
{
    struct h2_codec  *c = codec;
    struct h2_stream *s = find(c, id);
    (void)flags;
    nghttp2_session_consume_connection(session, len);
    if (!s || !s->has_owner || c->is_giving_up) return 0;
    if (s->early.bytes || (s->asks_tunnel && !s->is_tunnel && s->send == H2_SEND_HEAD))
        outq_put(&s->early, data, len); /* not consumed: the stream's window bounds it */
    else if (s->receive == H2_RECEIVE_BODY)
        receive_body(c, s, slice_make((const char *)data, len));
    return 0;
}

/* A stream whose bytes go on as fast as they come is held back by its window alone, the
 * more the further away the peer is: the window grows. */
static void grow_window(struct h2_codec *c, struct h2_stream *s, size_t bytes)
{
    uint32_t window = s->window_bytes ? s->window_bytes : c->window_bytes;
    s->taken_bytes += (uint32_t)bytes;
    if (s->unconsumed_bytes || s->taken_bytes < window * GROWTH_AFTER) return;
    s->taken_bytes = 0;
    if (window * 2 > WINDOW_BYTES_MAX || c->grown_bytes + window > GROWN_BYTES_MAX) return;
    c->grown_bytes += window;
    s->window_bytes = window * 2;
    nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, s->id,
                                          (int32_t)s->window_bytes);
}

void h2_consumed(struct http_stream *stream, size_t bytes)
{
    struct h2_stream *s = h2_stream_of(stream);
    struct h2_codec  *c = h2_of(stream->codec);
    s->unconsumed_bytes -= bytes < s->unconsumed_bytes ? (uint32_t)bytes : s->unconsumed_bytes;
    if (!bytes || !s->is_at_nghttp2 || c->is_dead) return;
    nghttp2_session_consume_stream(c->session, s->id, bytes);
    if (s->receive == H2_RECEIVE_BODY) grow_window(c, s, bytes);
    if (nghttp2_session_get_outbound_queue_size(c->session)) c->base.owner_ops->on_output(&c->base);
}

static void receive_data_end(struct h2_codec *c, const nghttp2_frame *frame)
{
    struct h2_stream *s = find(c, frame->hd.stream_id);
    if (!has_end(frame)) {
        if (frame->hd.length <= frame->data.padlen) h2_spend(c, H2_NUISANCE_EMPTY_DATA);
        return;
    }
    if (!s || !s->has_owner) return;
    if (s->early.bytes)
        s->is_early_end = true;
    else if (s->receive == H2_RECEIVE_BODY)
        end_message(c, s);
    else if (s->asks_tunnel && !s->is_tunnel)
        s->is_early_end = true;
}

/* ---- frames ---- */

/* A stream that is reset before it was answered has cost us its work. */
static bool is_answered(struct h2_codec *c, int32_t id)
{
    const struct h2_stream *s = find(c, id);
    return s && s->is_end_framed;
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *codec)
{
    struct h2_codec *c = codec;
    (void)session;
    switch (hd->type) {
    case NGHTTP2_RST_STREAM:
        if (c->is_server && !is_answered(c, hd->stream_id)) h2_spend(c, H2_NUISANCE_RESET);
        break;
    case NGHTTP2_PING: h2_spend(c, H2_NUISANCE_PING); break;
    case NGHTTP2_SETTINGS:
        if (!(hd->flags & NGHTTP2_FLAG_ACK)) h2_spend(c, H2_NUISANCE_SETTINGS);
        break;
    case NGHTTP2_HEADERS:
        if (c->is_server && hd->stream_id <= c->last_id && !find(c, hd->stream_id))
            h2_spend(c, H2_NUISANCE_CLOSED_STREAM);
        break;
    case NGHTTP2_WINDOW_UPDATE:
        if (c->is_server) h2_spend(c, H2_NUISANCE_WINDOW_UPDATE);
        break;
    case NGHTTP2_CONTINUATION: h2_spend(c, H2_NUISANCE_CONTINUATION); break;
    case NGHTTP2_PRIORITY:
        if (!hd->stream_id) h2_give_up(c, NGHTTP2_PROTOCOL_ERROR, NULL);
        h2_spend(c, H2_NUISANCE_PRIORITY);
        break;
    default: break; /* nghttp2 reads over it */
    }
    return 0;
}

/* RFC 8441 section 3. */
static void receive_settings(struct h2_codec *c)
{
    c->has_settings = c->base.is_settled = true;
    c->base.takes_upgrade = nghttp2_session_get_remote_settings(
                                c->session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

static void note_end(struct h2_codec *c, int32_t id)
{
    struct h2_stream *s = find(c, id);
    if (s) s->is_peer_done = true;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *codec)
{
    struct h2_codec *c = codec;
    (void)session;
    if (c->is_giving_up || c->is_freed) return 0;
    uint8_t type = frame->hd.type;
    if ((type == NGHTTP2_DATA || type == NGHTTP2_HEADERS) && has_end(frame))
        note_end(c, frame->hd.stream_id);
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS: receive_headers(c, frame); break;
    case NGHTTP2_DATA: receive_data_end(c, frame); break;
    case NGHTTP2_SETTINGS: receive_settings(c); break;
    case NGHTTP2_PING:
        if (frame->hd.flags & NGHTTP2_FLAG_ACK) h2_finish_leaving(c);
        break;
    case NGHTTP2_GOAWAY: c->is_last = true; break;
    default: break;
    }
    return 0;
}

static enum http_reset why_closed(const struct h2_codec *c, uint32_t code)
{
    return !c->is_server && code == NGHTTP2_REFUSED_STREAM ? HTTP_RESET_UNPROCESSED
                                                           : HTTP_RESET_PEER;
}

/* nghttp2 knows it no longer: both sides ended, or either reset it. */
static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *codec)
{
    struct h2_codec  *c = codec;
    struct h2_stream *s = find(c, id);
    (void)session;
    if (id == c->head_id) c->head_id = 0;
    if (!s) return 0;
    s->is_at_nghttp2 = false;
    bool is_over = s->is_end_framed && s->receive == H2_RECEIVE_END;
    if (s->has_owner && !is_over) h2_reset_due(c, s, why_closed(c, code));
    h2_stream_unuse(c, s);
    return 0;
}

/* A request that could not be begun any more; of one that could, on_stream_close tells.
 * A response whose head cannot be said is none. */
static int on_frame_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int error,
                             void *codec)
{
    struct h2_codec *c = codec;
    (void)error;
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    if (nghttp2_session_find_stream(session, frame->hd.stream_id)) {
        struct h2_stream *known = find(c, frame->hd.stream_id);
        if (c->is_server && known) h2_submit_reset(c, known, NGHTTP2_INTERNAL_ERROR);
        return 0;
    }
    LIST_EACH (it, &c->streams) {
        struct h2_stream *s = container_of(it, struct h2_stream, link);
        if (s->id != frame->hd.stream_id) continue;
        s->is_at_nghttp2 = false;
        h2_reset_due(c, s, HTTP_RESET_UNPROCESSED);
        h2_stream_unuse(c, s);
        break;
    }
    return 0;
}

void h2_set_callbacks(nghttp2_session_callbacks *to)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(to, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(to, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback2(to, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(to, on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(to, on_frame);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(to, on_frame_not_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(to, on_stream_close);
}
