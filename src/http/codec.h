/* SPDX-License-Identifier: Apache-2.0
 *
 * The seam. A codec turns a connection's bytes into streams and back; a stream
 * is one request with its response. Everything above speaks of streams and
 * never asks which version of HTTP it is serving; everything below (sockets,
 * TLS) only moves bytes.
 *
 *        bytes in  --> codec_feed()  --> stream events (struct http_stream_ops)
 *        bytes out <-- codec->out    <-- http_stream_send_*()
 *
 * One codec object serves one side of one connection:
 *   HTTP_SERVER  we are the server: streams begin when the client sends a head;
 *                the codec announces them by codec_owner_ops.on_stream.
 *   HTTP_CLIENT  we are the client: codec_open() begins a stream.
 *
 * Thread: the worker that owns the connection. A codec never frees or
 * re-enters its owner from within a call that its owner made, except for the
 * events listed here, which may be delivered from within codec_feed(),
 * codec_feed_eof(), codec_feed_abort(), codec_expire() and codec_sent() only.
 * Sending never delivers an event.
 *
 * Tunnels. A request whose head has `upgrade` may be answered by a head with status 101:
 * from then on the stream is a tunnel. Both directions begin anew, whatever had ended
 * before: bytes arrive by on_body until on_end and are sent by http_stream_send_body()
 * until http_stream_send_end(); neither has a length, nor do they end together.
 */
#pragma once

#include "base/clock.h"
#include "base/outq.h"
#include "http/message.h"

struct http_codec;
struct http_stream;

enum http_role { HTTP_SERVER, HTTP_CLIENT };

/* Why a stream ended without being complete. */
enum http_reset {
    HTTP_RESET_CLOSED,      /* the connection ended before a byte of the awaited message */
    HTTP_RESET_TRUNCATED,   /* it ended amid the message */
    HTTP_RESET_PEER,        /* the peer reset the stream (h2) or the connection */
    HTTP_RESET_MALFORMED,   /* the peer broke the protocol; see the fault */
    HTTP_RESET_UNPROCESSED, /* the peer promises that it did nothing: safe to retry (h2) */
};

/* What was wrong with a peer's bytes. `reason` is a short constant phrase with
 * underscores, for logs and counters; `status` is the answer that it earns
 * when we are the server (400, 413, 414, 417, 431, 501, 505). */
struct http_fault {
    uint16_t    status;
    const char *reason;
};

/* Bounds on what a peer may send; from the plan, outlives the codec. */
struct http_limits {
    uint32_t request_line_bytes; /* 414 past it */
    uint32_t header_bytes;       /* the whole head, request line included: 431, for a replica 502 */
    uint32_t header_count;       /* fields: 431 / 502 */
    uint32_t trailer_bytes;
    uint32_t chunk_extension_bytes; /* of one body in all: 400 */
    uint32_t informational_count;   /* 1xx before one final response: 502 */
    uint32_t window_bytes;          /* received and not yet consumed, per stream: stops reading */
    uint32_t stream_count;          /* at once on one connection, where the version allows many */
    bool     allows_encoded_slash;  /* %2f, %5c in paths */
    bool     merges_slashes;        /* "//" -> "/" */
};

/* Events of one stream, in this order: informational*, head, body*, trailers?,
 * end; or invalid or reset at any time, which is the last. Data is valid
 * during the call only, heads as long as the arena. */
struct http_stream_ops {
    /* The message's head. Server role: the request. Client role: the final response, or
     * that with status 101 which begins a tunnel. */
    void (*on_head)(struct http_stream *s, struct http_head *head);
    /* Client role: a 1xx response other than 101. May be NULL. */
    void (*on_informational)(struct http_stream *s, struct http_head *head);
    void (*on_body)(struct http_stream *s, struct slice data);
    /* Before on_end, when the message had any. Already checked against RFC 9110 6.5.1. */
    void (*on_trailers)(struct http_stream *s, struct http_fields *trailers);
    void (*on_end)(struct http_stream *s);
    /* The message cannot be understood. Server role: nothing more is received on
     * the stream but on_reset, an answer (fault->status) may still be sent, and a connection
     * that cannot go on closes after it. Client role: like reset. */
    void (*on_invalid)(struct http_stream *s, const struct http_fault *fault);
    void (*on_reset)(struct http_stream *s, enum http_reset why);
    /* `sent_bytes` of body given to http_stream_send_body() have left for the
     * transport since the last call. */
    void (*on_sent)(struct http_stream *s, size_t sent_bytes);
};

/* The part of a stream that the owner sees; codecs embed it. From creation until
 * http_stream_close() the owner may use it. */
struct http_stream {
    struct http_codec            *codec;
    const struct http_stream_ops *ops;
    struct arena                 *arena; /* for received heads; set by the owner before input */
    void                         *owner;
    size_t                        unsent_bytes; /* of body, given but not yet in the transport */
    bool copies_body; /* set by the owner: body that it sends is not borrowed */
};

/* What a codec asks of the connection it stands on. */
struct http_codec_owner_ops {
    /* Server role. A request begins: set s->ops, s->owner and s->arena. */
    void (*on_stream)(struct http_codec *c, struct http_stream *s);
    /* codec->out has got bytes; have them written at the end of this event.
     * Only sets a mark. */
    void (*on_output)(struct http_codec *c);
    /* codec_wants_input() turned true: resume reading. Only sets a mark. */
    void (*on_want_input)(struct http_codec *c);
    /* No stream is open any more. Afterwards codec_is_reusable() tells whether
     * another may follow. Delivered by http_stream_close() as well. */
    void (*on_idle)(struct http_codec *c);
};

struct http_codec_ops {
    size_t (*feed)(struct http_codec *c, const char *data, size_t len);
    void (*feed_eof)(struct http_codec *c);
    void (*feed_abort)(struct http_codec *c);
    void (*expire)(struct http_codec *c);
    void (*sent)(struct http_codec *c);
    bool (*wants_input)(const struct http_codec *c);
    bool (*is_reusable)(const struct http_codec *c);
    bool (*is_blank)(const struct http_codec *c);
    bool (*is_in_head)(const struct http_codec *c);
    void (*prepare)(struct http_codec *c); /* NULL: nothing to do */
    unsigned (*room)(const struct http_codec *c);
    struct http_stream *(*open)(struct http_codec *c);
    void (*shutdown)(struct http_codec *c);
    void (*free)(struct http_codec *c);

    void (*send_informational)(struct http_stream *s, const struct http_head *head);
    void (*send_head)(struct http_stream *s, const struct http_head *head);
    void (*send_body)(struct http_stream *s, struct slice data);
    void (*send_range)(struct http_stream *s, const struct outq_range *range);
    void (*send_end)(struct http_stream *s, const struct http_fields *trailers);
    void (*consumed)(struct http_stream *s, size_t bytes);
    void (*reset)(struct http_stream *s);
    void (*close)(struct http_stream *s);
};

struct http_codec {
    const struct http_codec_ops       *ops;
    const struct http_codec_owner_ops *owner_ops;
    void                              *owner;
    const struct http_limits          *limits; /* may be replaced between requests */
    const struct clock                *clock;  /* for Date */
    struct outq                        out;
    bool                               is_tls; /* scheme of requests that do not name one */
    /* Many streams share the connection: what they send is gathered over a turn. */
    bool is_shared;
    /* Client role: the peer has said how many streams it takes, and whether tunnels. */
    bool is_settled;
    bool takes_upgrade;
    /* Set by the codec when a message was broken off. The connection is to be closed
     * at once and by a reset, so that the peer cannot take it for complete. */
    bool is_broken;
    /* Set by the codec: its one stream became a tunnel, whose end nothing else tells. */
    bool is_tunnel;
    /* Set by the codec: `out` is the last that is said; FIN once it is written. */
    bool has_ended;
    /* Set by the codec when it gives the connection up because of what the peer did to
     * it: a short constant phrase, for logs. */
    const char *abuse;
};

/* Makes a codec. `owner`, `limits`, `clock` and `blocks` (of the output queue) outlive it. */
typedef struct http_codec *http_codec_make(enum http_role                     role,
                                           const struct http_codec_owner_ops *ops, void *owner,
                                           const struct http_limits *limits,
                                           const struct clock *clock, struct block_pool *blocks,
                                           bool is_tls);

/* ---- the connection's side ---- */

/* Gives received bytes. Returns how many were taken: fewer than `len` only when
 * codec_wants_input() is false afterwards; the rest is to be given again. */
static inline size_t codec_feed(struct http_codec *c, const char *data, size_t len)
{
    return c->ops->feed(c, data, len);
}

/* The peer will send nothing more. Open streams that wait for more are reset; all of
 * them, where a peer that has ended cannot take answers any more (h2 server). */
static inline void codec_feed_eof(struct http_codec *c)
{
    c->ops->feed_eof(c);
}

/* The connection broke (reset, TLS cut short): every open stream is reset, a body
 * that ends with the connection included. */
static inline void codec_feed_abort(struct http_codec *c)
{
    c->ops->feed_abort(c);
}

/* Server role: a head that has begun took too long. Announces the stream it would
 * have been, as on_stream and on_invalid with status 408, so that it is
 * answered and logged; or, where what was begun is nobody's yet, gives the connection
 * up. Without a begun head it does nothing. */
static inline void codec_expire(struct http_codec *c)
{
    c->ops->expire(c);
}

/* Some of codec->out has been written (it was consumed by the caller). */
static inline void codec_sent(struct http_codec *c)
{
    c->ops->sent(c);
}

static inline bool codec_wants_input(const struct http_codec *c)
{
    return c->ops->wants_input(c);
}

/* May this connection carry another request after the present ones? A server
 * codec that is not reusable and has no stream is to be closed once codec->out
 * is written. */
static inline bool codec_is_reusable(const struct http_codec *c)
{
    return c->ops->is_reusable(c);
}

/* Server role: is there nothing that it knows of the connection? Then it may be freed
 * while the connection is idle, and a new one goes on in its place. */
static inline bool codec_is_blank(const struct http_codec *c)
{
    return c->ops->is_blank(c);
}

/* Server role: has a head begun that is not complete? */
static inline bool codec_is_in_head(const struct http_codec *c)
{
    return c->ops->is_in_head(c);
}

/* To be called before `out` is written or copied, at the end of each event: puts what
 * streams were given into it. Delivers no event. */
static inline void codec_prepare(struct http_codec *c)
{
    if (c->ops->prepare) c->ops->prepare(c);
}

/* Client role: how many more streams may be opened now. */
static inline unsigned codec_room(const struct http_codec *c)
{
    return c->ops->room(c);
}

/* Client role: begins a stream; NULL when there is no room. The caller sets
 * ops, owner and arena. */
static inline struct http_stream *codec_open(struct http_codec *c)
{
    return c->ops->open(c);
}

/* Finish what runs, take nothing new (h1: Connection: close; h2: GOAWAY). A codec that
 * is still reusable afterwards takes what was on its way to it; told again when idle, it
 * takes nothing more. */
static inline void codec_shutdown(struct http_codec *c)
{
    c->ops->shutdown(c);
}

/* Streams that are still open get no event; the owner has let go of them. */
static inline void codec_free(struct http_codec *c)
{
    if (c) c->ops->free(c);
}

/* ---- the stream's side ---- */

/* Server role: a 1xx (100, 103). A client that cannot take one gets none. */
static inline void http_stream_send_informational(struct http_stream     *s,
                                                  const struct http_head *head)
{
    s->codec->ops->send_informational(s, head);
}

/* head->body_bytes decides the framing; 0 also ends the message, as does a
 * response that may have no body. Written anew from the parsed form. */
static inline void http_stream_send_head(struct http_stream *s, const struct http_head *head)
{
    s->codec->ops->send_head(s, head);
}

/* `data` may be borrowed until the end of this event (outq.h), unless s->copies_body. Never more in
 * all than body_bytes said; fewer at the end is a reset. */
static inline void http_stream_send_body(struct http_stream *s, struct slice data)
{
    s->codec->ops->send_body(s, data);
}

/* The same for a range of a file. Where the file turns out to be shorter, outq_file.is_short
 * tells; an HTTP/2 stream is reset then, and of an HTTP/1 connection nothing more is written: its
 * owner resets the stream. */
static inline void http_stream_send_range(struct http_stream *s, const struct outq_range *range)
{
    s->codec->ops->send_range(s, range);
}

/* The message is complete. `trailers` may be NULL. Not after a head that ended
 * the message by itself. */
static inline void http_stream_send_end(struct http_stream *s, const struct http_fields *trailers)
{
    s->codec->ops->send_end(s, trailers);
}

/* `bytes` delivered by on_body have gone on; the peer may send as many again. */
static inline void http_stream_consumed(struct http_stream *s, size_t bytes)
{
    s->codec->ops->consumed(s, bytes);
}

/* Breaks the stream off: the peer must see that it is incomplete (h1: the
 * connection closes; h2: RST_STREAM). Then close it. */
static inline void http_stream_reset(struct http_stream *s)
{
    s->codec->ops->reset(s);
}

/* The owner lets go; the stream may not be used again. When either direction is
 * not complete, that is a reset. May be called from within an event. */
static inline void http_stream_close(struct http_stream *s)
{
    s->codec->ops->close(s);
}
