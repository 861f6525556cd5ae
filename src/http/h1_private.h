/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the HTTP/1 codec share: h1_codec.c (life and state),
 * h1_receive.c and h1_send.c. Nobody else includes it.
 */
#pragma once

#include "base/buffer.h"
#include "http/codec.h"
#include "http/h1_body.h"

/* What input is taken for. */
enum h1_receive {
    H1_RECEIVE_HEAD,   /* server: of the next request; client: of the response */
    H1_RECEIVE_LENGTH, /* body of x->receive_left bytes more */
    H1_RECEIVE_CHUNKED,
    H1_RECEIVE_TRAILERS,
    H1_RECEIVE_UNTIL_CLOSE,
    H1_RECEIVE_NOTHING, /* the message is complete; client: or not yet asked for */
    H1_RECEIVE_DEAD,    /* nothing will be understood any more */
};

enum h1_send {
    H1_SEND_HEAD,
    H1_SEND_LENGTH, /* x->send_left bytes more */
    H1_SEND_CHUNKED,
    H1_SEND_UNTIL_CLOSE, /* to an HTTP/1.0 client; in a tunnel */
    H1_SEND_DONE,
};

/* Of one request with its response; in the stream's arena. */
struct h1_exchange {
    uint64_t          receive_left;
    uint64_t          send_left;
    size_t            unconsumed_bytes;
    struct h1_chunked chunked;
    uint32_t          informational_count;
};

struct h1_codec {
    struct http_codec   base;
    struct http_stream  stream;
    struct h1_exchange *x;       /* NULL until the stream needs it */
    struct buffer      *begun;   /* a head or trailers received in part, or NULL */
    uint16_t            serial;  /* counts streams: tells a new one from that before */
    uint8_t             receive; /* enum h1_receive */
    uint8_t             send;    /* enum h1_send */
    bool                is_server : 1;
    bool                is_open : 1;    /* there is a stream */
    bool                is_last : 1;    /* no request after the present one */
    bool                is_ending : 1;  /* ... nor after the one whose head is on its way */
    bool                is_choked : 1;  /* the window is full */
    bool                is_clogged : 1; /* server: took no request, as answers are unsent */
    bool                is_feeding : 1;
    bool                is_freed : 1;        /* while feeding: to be freed at the end of it */
    bool                is_head_method : 1;  /* the request is HEAD */
    bool                is_http_1_0 : 1;     /* server: the client is */
    bool                takes_trailers : 1;  /* server: the client said TE: trailers */
    bool                asks_upgrade : 1;    /* client: the request has Upgrade */
    bool                is_line_checked : 1; /* first line of `begun` */
    bool                is_line_skipped : 1; /* an empty line before a request */
};

/* ---- h1_codec.c ---- */
struct h1_exchange *h1_exchange_of(struct h1_codec *c);
void                h1_drop_begun(struct h1_codec *c);
/* Breaks the connection off; what was sent must not look complete. */
void h1_break(struct h1_codec *c);
/* Is there a use for more input, the window left aside? */
bool h1_takes_input(const struct h1_codec *c);
/* Do so many answers wait to be sent that no further request is taken? Those without a
 * body are complete at once: else a client that reads nothing makes the queue grow. */
bool h1_is_clogged(const struct h1_codec *c);
bool h1_wants_input(const struct http_codec *base);
/* 101 was sent or received: both directions begin anew (codec.h). */
void h1_begin_tunnel(struct h1_codec *c);

static inline struct h1_codec *h1_of(struct http_codec *base)
{
    return (struct h1_codec *)(void *)base;
}

/* ---- h1_receive.c ---- */
size_t h1_feed(struct h1_codec *c, const char *data, size_t len);
void   h1_feed_end(struct h1_codec *c, bool is_abort);
void   h1_expire(struct h1_codec *c);
void   h1_consumed(struct http_stream *s, size_t bytes);

/* ---- h1_send.c ---- */
void h1_send_informational(struct http_stream *s, const struct http_head *head);
void h1_send_head(struct http_stream *s, const struct http_head *head);
void h1_send_body(struct http_stream *s, struct slice data);
void h1_send_range(struct http_stream *s, const struct outq_range *range);
void h1_send_end(struct http_stream *s, const struct http_fields *trailers);
