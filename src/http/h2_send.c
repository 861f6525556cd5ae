/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP/2 codec's sending half. What streams are given waits in them, the last
 * piece only lent; h2_pull() has nghttp2 make frames of it in base.out. Delivers no
 * event but on_output.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"
#include "http/h2_private.h"
#include "http/names.h"

enum {
    /* Frames made ahead of the transport: more than one read of a replica's, so that
     * what was lent leaves without a copy. */
    AHEAD_BYTES = 144 * 1024,
    /* Below it a copy is cheaper than another piece. */
    BORROW_BYTES_MIN = 4096,
    FRAME_HEAD_BYTES = 9,
    /* Streams that have more to say take turns of so much. */
    TURN_BYTES = 32 * 1024,
    MARKS_MIN = 64,
    /* Of a file: fits a block of the queue with its head (outq.h), so that it is read there. */
    FILE_FRAME_BYTES = 16 * 1024 - 64 - FRAME_HEAD_BYTES,
    EXTRA_FIELDS = 8, /* pseudo-headers and those that a codec writes itself */
};

struct h2_trailers {
    size_t     count;
    nghttp2_nv items[]; /* then their texts */
};

/* ---- marks: which bytes of the queue are whose ---- */

static struct h2_mark *mark_at(struct h2_codec *c, uint32_t i)
{
    return &c->marks[(c->mark_first + i) & (c->mark_capacity - 1)];
}

static void grow_marks(struct h2_codec *c)
{
    uint32_t        capacity = c->mark_capacity ? c->mark_capacity * 2 : MARKS_MIN;
    struct h2_mark *marks = mem_alloc(capacity * sizeof(*marks));
    for (uint32_t i = 0; i < c->mark_count; i++) marks[i] = *mark_at(c, i);
    free(c->marks);
    c->marks = marks;
    c->mark_first = 0;
    c->mark_capacity = capacity;
}

static void put_mark(struct h2_codec *c, struct h2_stream *s, size_t bytes)
{
    if (c->mark_count == c->mark_capacity) grow_marks(c);
    *mark_at(c, c->mark_count++) = (struct h2_mark){ s, (uint32_t)bytes, c->put_bytes };
    s->framed_bytes += bytes;
}

void h2_forget_marks(struct h2_codec *c, const struct h2_stream *s)
{
    if (!s->framed_bytes) return;
    for (uint32_t i = 0; i < c->mark_count; i++)
        if (mark_at(c, i)->stream == s) mark_at(c, i)->stream = NULL;
}

/* Takes the marks of one stream that have left, as many as follow each other. */
static struct h2_stream *take_marks(struct h2_codec *c, uint64_t sent_bytes, size_t *bytes)
{
    struct h2_stream *s = NULL;
    *bytes = 0;
    while (c->mark_count && mark_at(c, 0)->end <= sent_bytes) {
        struct h2_mark *mark = mark_at(c, 0);
        if (s && mark->stream && mark->stream != s) break;
        if (mark->stream) {
            s = mark->stream;
            *bytes += mark->bytes;
        }
        c->mark_first = (c->mark_first + 1) & (c->mark_capacity - 1);
        c->mark_count--;
    }
    return s;
}

void h2_tell_sent(struct h2_codec *c)
{
    uint64_t          sent_bytes = c->put_bytes - c->base.out.bytes;
    size_t            bytes;
    struct h2_stream *s;
    while ((s = take_marks(c, sent_bytes, &bytes))) {
        s->framed_bytes -= bytes;
        s->stream.unsent_bytes -= bytes;
        if (s->has_owner) s->stream.ops->on_sent(&s->stream, bytes);
    }
}

/* ---- frames ---- */

static void put(struct h2_codec *c, const void *data, size_t len)
{
    outq_put(&c->base.out, data, len);
    c->put_bytes += len;
}

static void put_piece(struct h2_codec *c, const char *data, size_t len)
{
    if (len < BORROW_BYTES_MIN) {
        put(c, data, len);
        return;
    }
    outq_borrow(&c->base.out, data, len);
    c->put_bytes += len;
}

/* Moves the next bytes of a stream's body into the queue. */
static void move_body(struct h2_codec *c, struct h2_stream *s, size_t len)
{
    while (len && s->body.bytes) {
        struct slice front = outq_front(&s->body);
        if (front.len > len) front.len = len;
        put(c, front.data, front.len);
        outq_consume(&s->body, front.len);
        len -= front.len;
    }
    if (!len) return;
    put_piece(c, s->lent.data, len);
    s->lent = slice_from(s->lent, len);
}

/* A frame with bytes of a file: read where it is written from. False: the file was short. */
static bool put_file_frame(struct h2_codec *c, struct h2_stream *s, const uint8_t *frame_head,
                           size_t len)
{
    char *to = outq_reserve(&c->base.out, FRAME_HEAD_BYTES + len);
    memcpy(to, frame_head, FRAME_HEAD_BYTES);
    if (!outq_copy(&s->body, to + FRAME_HEAD_BYTES, len)) return false;
    outq_commit(&c->base.out, FRAME_HEAD_BYTES + len);
    c->put_bytes += FRAME_HEAD_BYTES + len;
    outq_consume(&s->body, len);
    return true;
}

static int submit_trailers(struct h2_codec *c, struct h2_stream *s)
{
    struct h2_trailers *t = s->trailers;
    return nghttp2_submit_trailer(c->session, s->id, t->items, t->count);
}

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len,
                         uint32_t *flags, nghttp2_data_source *source, void *codec)
{
    struct h2_stream *s = source->ptr;
    size_t            there = s->body.bytes + s->lent.len;
    (void)session, (void)id, (void)buf;
    if (!there && s->send != H2_SEND_END) {
        s->is_deferred = true;
        s->turn_bytes = 0;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (there && s->turn_bytes >= TURN_BYTES) {
        list_append(&((struct h2_codec *)codec)->resting, &s->rest_link);
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (s->body.range_count && len > FILE_FRAME_BYTES) len = FILE_FRAME_BYTES;
    if (s->body.range_count && len > s->body.bytes) len = s->body.bytes;
    if (there > len) return (ssize_t)len;
    if (s->send != H2_SEND_END) return (ssize_t)there;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (s->trailers) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (submit_trailers(codec, s) != 0) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    return (ssize_t)there;
}

static int send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *frame_head,
                     size_t len, nghttp2_data_source *source, void *codec)
{
    struct h2_codec  *c = codec;
    struct h2_stream *s = source->ptr;
    (void)session, (void)frame;
    if (s->body.range_count) {
        if (!put_file_frame(c, s, frame_head, len)) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    } else {
        put(c, frame_head, FRAME_HEAD_BYTES);
        move_body(c, s, len);
    }
    if (len) {
        put_mark(c, s, len);
        s->turn_bytes += (uint32_t)len;
    }
    return c->base.out.bytes >= AHEAD_BYTES ? NGHTTP2_ERR_PAUSE : 0;
}

/* Of streams that are only answered with a reset because of what the peer did. */
static bool is_provoked(uint32_t code)
{
    return code != NGHTTP2_NO_ERROR && code != NGHTTP2_CANCEL && code != NGHTTP2_INTERNAL_ERROR;
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *codec)
{
    struct h2_codec *c = codec;
    uint8_t          type = frame->hd.type;
    if (type == NGHTTP2_DATA) h2_budget_earn(&c->budget, frame->hd.length);
    if (type == NGHTTP2_RST_STREAM && c->is_server && is_provoked(frame->rst_stream.error_code))
        h2_spend(c, H2_NUISANCE_RESET);
    if (type != NGHTTP2_DATA && type != NGHTTP2_HEADERS) return 0;
    if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) return 0;
    struct h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (!s) return 0;
    s->is_end_framed = true;
    if (c->is_server) h2_budget_reward(&c->budget);
    if (!s->has_owner) h2_finish_stream(c, s);
    return 0;
}

void h2_set_send_callbacks(nghttp2_session_callbacks *to)
{
    nghttp2_session_callbacks_set_send_data_callback(to, send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(to, on_frame_sent);
}

/* Copies what was lent and could not be framed. */
static void own_lent(struct h2_codec *c)
{
    while (!list_is_empty(&c->lent)) {
        struct h2_stream *s = container_of(c->lent.next, struct h2_stream, lent_link);
        list_remove(&s->lent_link);
        if (s->lent.len) outq_put(&s->body, s->lent.data, s->lent.len);
        s->lent = slice_make(NULL, 0);
    }
}

/* Everybody who had something to say has had a turn: the next one. What the connection's
 * window stops waits in nghttp2, and comes first. False when there is nobody. */
static bool next_turn(struct h2_codec *c)
{
    if (list_is_empty(&c->resting) || c->base.out.bytes >= AHEAD_BYTES) return false;
    if (nghttp2_session_get_remote_window_size(c->session) <= 0) return false;
    while (!list_is_empty(&c->resting)) {
        struct h2_stream *s = container_of(c->resting.next, struct h2_stream, rest_link);
        list_remove(&s->rest_link);
        s->turn_bytes = 0;
        nghttp2_session_resume_data(c->session, s->id);
    }
    return true;
}

void h2_pull(struct h2_codec *c)
{
    assert(!c->is_in_nghttp2);
    c->is_in_nghttp2 = true;
    while (!c->is_dead && c->base.out.bytes < AHEAD_BYTES) {
        const uint8_t *data;
        ssize_t        n = nghttp2_session_mem_send(c->session, &data);
        if (n < 0) abort(); /* memory: our callbacks do not fail */
        if (n == 0 && !next_turn(c)) break;
        put(c, data, (size_t)n);
    }
    c->is_in_nghttp2 = false;
    own_lent(c);
}

/* ---- fields ---- */

struct nv_list {
    nghttp2_nv *items;
    size_t      count;
};

static struct nv_list nv_list_new(struct arena *a, size_t field_count)
{
    return (struct nv_list){ arena_alloc(a, (field_count + EXTRA_FIELDS) * sizeof(nghttp2_nv)), 0 };
}

static void nv_put(struct nv_list *to, const char *name, size_t name_bytes, struct slice value,
                   uint8_t flags)
{
    to->items[to->count++] = (nghttp2_nv){
        .name = (uint8_t *)(uintptr_t)name,
        .namelen = name_bytes,
        .value = (uint8_t *)(uintptr_t)(value.data ? value.data : ""),
        .valuelen = value.len,
        .flags = flags,
    };
}

/* A name that is a constant, in lower case. */
#define NV_PUT(to, name, value)                                                                    \
    nv_put(to, name, sizeof(name) - 1, value, NGHTTP2_NV_FLAG_NO_COPY_NAME)

/* What differs each time is not worth a place in the peer's table. */
static uint8_t flags_of(unsigned id)
{
    return id == FIELD_X_REQUEST_ID || id == FIELD_SEC_WEBSOCKET_KEY ? NGHTTP2_NV_FLAG_NO_INDEX
                                                                     : NGHTTP2_NV_FLAG_NONE;
}

/* Other names are copied, and put into lower case, by nghttp2. */
static void nv_put_fields(struct nv_list *to, const struct http_fields *fields)
{
    for (unsigned i = 0; i < fields->count; i++) {
        const struct http_field *f = &fields->items[i];
        if (f->is_dropped || http_is_control_field(f->id)) continue;
        const struct http_name_row *row = &http_name_rows[f->id];
        if (f->id != FIELD_OTHER && f->name.len == row->len)
            nv_put(to, row->text, row->len, f->value,
                   (uint8_t)(flags_of(f->id) | NGHTTP2_NV_FLAG_NO_COPY_NAME));
        else
            nv_put(to, f->name.data, f->name.len, f->value, NGHTTP2_NV_FLAG_NONE);
    }
}

static struct slice number(struct arena *a, uint64_t n)
{
    char  *text = arena_alloc(a, 24);
    size_t at = 24;
    do text[--at] = (char)('0' + n % 10);
    while (n /= 10);
    return slice_make(text + at, 24 - at);
}

/* ---- heads ---- */

static nghttp2_data_provider provider(struct h2_stream *s)
{
    return (nghttp2_data_provider){ .source = { .ptr = s }, .read_callback = read_body };
}

/* Nothing that is said on the stream reaches anybody any more. */
static bool is_mute(const struct h2_codec *c, const struct h2_stream *s)
{
    return c->is_dead || s->send == H2_SEND_END || (s->id && !s->is_at_nghttp2);
}

static void want_output(struct h2_codec *c)
{
    c->base.owner_ops->on_output(&c->base);
}

void h2_send_informational(struct http_stream *stream, const struct http_head *head)
{
    struct h2_stream *s = h2_stream_of(stream);
    struct h2_codec  *c = h2_of(stream->codec);
    struct nv_list    nv = nv_list_new(stream->arena, head->fields.count);
    if (is_mute(c, s) || s->send != H2_SEND_HEAD || head->status == 101) return;
    NV_PUT(&nv, ":status", number(stream->arena, head->status));
    nv_put_fields(&nv, &head->fields);
    nghttp2_submit_headers(c->session, NGHTTP2_FLAG_NONE, s->id, NULL, nv.items, nv.count, NULL);
    want_output(c);
}

/* Both directions begin anew (codec.h). */
static void begin_tunnel(struct h2_codec *c, struct h2_stream *s)
{
    s->is_tunnel = true;
    s->is_received = false;
    s->receive = H2_RECEIVE_BODY;
    s->length_left = -1;
    if (s->early.bytes || s->is_early_end) list_append(&c->due, &s->due_link);
}

static void send_response_head(struct h2_codec *c, struct h2_stream *s,
                               const struct http_head *head)
{
    struct arena  *a = s->stream.arena;
    struct nv_list nv = nv_list_new(a, head->fields.count);
    bool           is_switch = head->status == 101 && s->asks_tunnel;
    bool           is_bodiless = s->is_head_method || http_status_has_no_body(head->status);
    bool           has_body = is_switch || (!is_bodiless && head->body_bytes != 0);
    bool           says_length = is_bodiless && http_status_has_no_body(head->status)
                                     ? head->status == 304 && head->body_bytes > 0
                                     : head->body_bytes >= 0;
    NV_PUT(&nv, ":status", is_switch ? S("200") : number(a, head->status));
    if (!http_fields_find(&head->fields, FIELD_DATE))
        NV_PUT(&nv, "date", slice_of(c->base.clock->http_date));
    nv_put_fields(&nv, &head->fields);
    if (says_length) NV_PUT(&nv, "content-length", number(a, (uint64_t)head->body_bytes));
    nghttp2_data_provider body = provider(s);
    s->send = has_body ? H2_SEND_BODY : H2_SEND_END;
    s->send_left = has_body && !is_switch ? head->body_bytes : -1;
    nghttp2_submit_response(c->session, s->id, nv.items, nv.count, has_body ? &body : NULL);
    if (is_switch) begin_tunnel(c, s);
}

static bool says_empty(enum http_method method)
{
    return method == HTTP_POST || method == HTTP_PUT || method == HTTP_PATCH;
}

static struct slice whole_path(struct arena *a, const struct http_head *head)
{
    if (!head->has_query) return head->path;
    return arena_printf(a, "%.*s?%.*s", SLICE_ARG(head->path), SLICE_ARG(head->query));
}

/* RFC 8441 section 5: the handshake's key has no place here. */
static void drop_key(struct nv_list *nv, size_t from)
{
    size_t to = from;
    for (size_t i = from; i < nv->count; i++)
        if (nv->items[i].name != (const uint8_t *)http_name_rows[FIELD_SEC_WEBSOCKET_KEY].text)
            nv->items[to++] = nv->items[i];
    nv->count = to;
}

static void put_request(struct h2_codec *c, struct h2_stream *s, const struct http_head *head,
                        struct nv_list *nv)
{
    struct arena *a = s->stream.arena;
    NV_PUT(nv, ":method", s->asks_tunnel ? S("CONNECT") : head->method_name);
    NV_PUT(nv, ":scheme", c->base.is_tls ? S("https") : S("http"));
    if (head->authority.len) NV_PUT(nv, ":authority", head->authority);
    NV_PUT(nv, ":path", whole_path(a, head));
    if (s->asks_tunnel) NV_PUT(nv, ":protocol", head->upgrade);
    size_t before = nv->count;
    nv_put_fields(nv, &head->fields);
    if (s->asks_tunnel) drop_key(nv, before);
    if (head->body_bytes > 0 || (head->body_bytes == 0 && says_empty(head->method)))
        NV_PUT(nv, "content-length", number(a, (uint64_t)head->body_bytes));
    if (head->accepts_trailers) NV_PUT(nv, "te", S("trailers"));
    if (head->expects_continue && head->body_bytes) NV_PUT(nv, "expect", S("100-continue"));
}

static void send_request_head(struct h2_codec *c, struct h2_stream *s, const struct http_head *head)
{
    struct nv_list nv = nv_list_new(s->stream.arena, head->fields.count);
    s->is_head_method = head->method == HTTP_HEAD;
    s->asks_tunnel = head->upgrade.len && c->base.takes_upgrade;
    put_request(c, s, head, &nv);
    bool                  has_body = s->asks_tunnel || head->body_bytes != 0;
    nghttp2_data_provider body = provider(s);
    s->send = has_body ? H2_SEND_BODY : H2_SEND_END;
    s->send_left = has_body && !s->asks_tunnel ? head->body_bytes : -1;
    s->id =
        nghttp2_submit_request(c->session, NULL, nv.items, nv.count, has_body ? &body : NULL, s);
    s->is_at_nghttp2 = s->id > 0;
    if (s->id < 0) h2_reset_due(c, s, HTTP_RESET_UNPROCESSED);
}

void h2_send_head(struct http_stream *stream, const struct http_head *head)
{
    struct h2_stream *s = h2_stream_of(stream);
    struct h2_codec  *c = h2_of(stream->codec);
    if (is_mute(c, s)) {
        s->send = H2_SEND_END;
        return;
    }
    assert(s->send == H2_SEND_HEAD);
    if (c->is_server)
        send_response_head(c, s, head);
    else
        send_request_head(c, s, head);
    want_output(c);
}

/* ---- bodies ---- */

static void wake(struct h2_codec *c, struct h2_stream *s)
{
    if (s->is_deferred) nghttp2_session_resume_data(c->session, s->id);
    s->is_deferred = false;
    want_output(c);
}

void h2_send_body(struct http_stream *stream, struct slice data)
{
    struct h2_stream *s = h2_stream_of(stream);
    struct h2_codec  *c = h2_of(stream->codec);
    if (!data.len || is_mute(c, s)) return;
    assert(s->send == H2_SEND_BODY);
    assert(s->send_left < 0 || data.len <= (uint64_t)s->send_left);
    if (s->send_left > 0) s->send_left -= (int64_t)data.len;
    if (s->lent.len) outq_put(&s->body, s->lent.data, s->lent.len);
    s->lent = stream->copies_body ? slice_make(NULL, 0) : data;
    if (stream->copies_body)
        outq_put(&s->body, data.data, data.len);
    else if (list_is_empty(&s->lent_link))
        list_append(&c->lent, &s->lent_link);
    stream->unsent_bytes += data.len;
    wake(c, s);
}

void h2_send_range(struct http_stream *stream, const struct outq_range *range)
{
    struct h2_stream *s = h2_stream_of(stream);
    struct h2_codec  *c = h2_of(stream->codec);
    if (!range->bytes || is_mute(c, s)) return;
    assert(s->send == H2_SEND_BODY);
    assert(s->send_left < 0 || range->bytes <= (uint64_t)s->send_left);
    if (s->send_left > 0) s->send_left -= (int64_t)range->bytes;
    if (s->lent.len) outq_put(&s->body, s->lent.data, s->lent.len);
    s->lent = slice_make(NULL, 0);
    outq_put_range(&s->body, range);
    stream->unsent_bytes += range->bytes;
    wake(c, s);
}

/* The exchange's memory may be gone when they leave. */
static struct h2_trailers *copy_trailers(struct arena *a, const struct http_fields *fields)
{
    struct nv_list nv = nv_list_new(a, fields->count);
    nv_put_fields(&nv, fields);
    size_t bytes = 0;
    for (size_t i = 0; i < nv.count; i++) bytes += nv.items[i].namelen + nv.items[i].valuelen;
    if (!nv.count) return NULL;
    struct h2_trailers *t = mem_alloc(sizeof(*t) + nv.count * sizeof(t->items[0]) + bytes);
    uint8_t            *to = (uint8_t *)&t->items[nv.count];
    t->count = nv.count;
    for (size_t i = 0; i < nv.count; i++) {
        nghttp2_nv *one = &t->items[i];
        *one = nv.items[i];
        one->name = memcpy(to, nv.items[i].name, one->namelen);
        one->value = memcpy(to + one->namelen, nv.items[i].value, one->valuelen);
        one->flags &= (uint8_t)~NGHTTP2_NV_FLAG_NO_COPY_NAME;
        to += one->namelen + one->valuelen;
    }
    return t;
}

void h2_send_end(struct http_stream *stream, const struct http_fields *trailers)
{
    struct h2_stream *s = h2_stream_of(stream);
    struct h2_codec  *c = h2_of(stream->codec);
    if (is_mute(c, s)) return;
    assert(s->send == H2_SEND_BODY);
    if (s->send_left > 0) {
        stream->codec->ops->reset(stream);
        return;
    }
    if (trailers) s->trailers = copy_trailers(stream->arena, trailers);
    s->send = H2_SEND_END;
    wake(c, s);
}

void h2_drop_queued(struct h2_codec *c, struct h2_stream *s)
{
    (void)c;
    list_remove(&s->lent_link);
    s->lent = slice_make(NULL, 0);
    outq_reset(&s->body);
    s->stream.unsent_bytes = s->framed_bytes;
}
