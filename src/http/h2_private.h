/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the HTTP/2 codec share: h2_codec.c (life and state),
 * h2_receive.c and h2_send.c. Nobody else includes it.
 */
#pragma once

#include <nghttp2/nghttp2.h>

#include "base/block.h"
#include "base/list.h"
#include "http/codec.h"
#include "http/h2_budget.h"
#include "http/h2_head.h"

enum h2_receive {
    H2_RECEIVE_HEAD, /* client: the response's; server: none, a stream begins with it */
    H2_RECEIVE_BODY,
    H2_RECEIVE_END, /* the message is complete, or cannot be any more */
};

enum h2_send { H2_SEND_HEAD, H2_SEND_BODY, H2_SEND_END };

/* Trailers, kept until the body before them is framed. */
struct h2_trailers;

struct h2_stream {
    struct http_stream  stream;
    struct list         link;     /* codec.streams */
    struct list         due_link; /* codec.due: its end is to be told */
    struct list         lent_link;
    struct list         rest_link; /* codec.resting */
    struct outq         body;      /* given, not framed: what was copied */
    struct slice        lent;      /* and, after it, what is lent in this event */
    struct outq         early;     /* sent by the peer before its tunnel stood */
    struct h2_trailers *trailers;
    int64_t             length_left; /* of what content-length said; -1: it said nothing */
    int64_t             send_left;   /* of what our content-length said; -1: it said nothing */
    size_t              framed_bytes;
    uint32_t            turn_bytes;   /* framed in its present turn */
    uint32_t            window_bytes; /* that the peer has, once it has grown */
    uint32_t            taken_bytes;  /* consumed since the window grew */
    uint32_t            unconsumed_bytes;
    int32_t             id; /* client: 0 until the head is sent */
    uint32_t            informational_count;
    uint8_t             receive;   /* enum h2_receive */
    uint8_t             send;      /* enum h2_send */
    uint8_t             reset_why; /* enum http_reset: to be told, when in codec.due */
    bool                has_owner;
    bool                is_at_nghttp2; /* which knows the stream; it tells when it forgets it */
    bool                is_deferred;   /* nghttp2 waits for more of the body */
    bool                is_received;   /* the message was complete, and good */
    bool                is_peer_done;  /* END_STREAM came, whatever was understood */
    bool                is_end_framed;
    bool                is_reset; /* RST_STREAM is on its way */
    bool                is_head_method;
    bool                asks_tunnel; /* extended CONNECT, or Upgrade towards a replica */
    bool                is_tunnel;
    bool                is_early_end; /* the peer ended before its tunnel stood */
    bool                is_malformed; /* its reset says so */
};

/* Body bytes in codec->out, in order: whose they are, and where they end. */
struct h2_mark {
    struct h2_stream *stream;
    uint32_t          bytes;
    uint64_t          end; /* in the count of all bytes ever put */
};

struct h2_codec {
    struct http_codec base;
    nghttp2_session  *session;
    struct block_pool stream_blocks;
    struct list       streams;
    struct list       due;
    struct list       lent;
    struct list       resting; /* have more, and had their turn */
    struct h2_head    head;
    int32_t           last_id; /* server: the newest stream's */
    int32_t           head_id; /* whose block is on its way; 0: none */
    struct h2_budget  budget;
    struct h2_mark   *marks; /* a ring */
    uint32_t          mark_first, mark_count, mark_capacity;
    uint64_t          put_bytes;    /* ever, into base.out */
    uint32_t          window_bytes; /* of a stream at first, as our SETTINGS say */
    uint32_t          grown_bytes;  /* by which streams' windows have grown, in all */
    uint32_t          open_count;   /* streams with an owner */
    uint32_t          stream_count; /* all that somebody knows */
    uint32_t          last_count;   /* is_leaving: so many more streams are served */
    bool              is_server : 1;
    bool              is_last : 1;    /* no stream after those there are */
    bool              is_leaving : 1; /* server: the notice was sent */
    bool              is_dead : 1;    /* nothing is understood or said any more */
    bool              is_feeding : 1; /* events may be delivered */
    bool              is_in_nghttp2 : 1;
    bool              is_freed : 1;     /* while feeding: to be freed at the end of it */
    bool              is_giving_up : 1; /* its GOAWAY is on its way */
    bool              is_clogged : 1;   /* so many answers are unsent that nothing is read */
    bool              is_idle_due : 1;  /* no stream is open, which is to be told */
    bool              has_settings : 1; /* the peer's preface is complete */
};

static inline struct h2_codec *h2_of(struct http_codec *base)
{
    return (struct h2_codec *)(void *)base;
}

static inline struct h2_stream *h2_stream_of(struct http_stream *s)
{
    return (struct h2_stream *)(void *)s;
}

/* ---- h2_codec.c ---- */
struct h2_stream *h2_stream_new(struct h2_codec *c, int32_t id);
/* Frees it unless somebody still knows it. */
void h2_stream_unuse(struct h2_codec *c, struct h2_stream *s);
/* Gives the connection up: GOAWAY with the code, and nothing more is read. */
void h2_give_up(struct h2_codec *c, uint32_t code, const char *abuse);
void h2_spend(struct h2_codec *c, enum h2_nuisance what);
void h2_submit_reset(struct h2_codec *c, struct h2_stream *s, uint32_t code);
/* Its owner has let go, and the message to the peer is framed: RST_STREAM where the
 * peer's is not complete. */
void h2_finish_stream(struct h2_codec *c, struct h2_stream *s);
/* The last GOAWAY, after the notice. */
void h2_finish_leaving(struct h2_codec *c);
/* The stream's end is to be told its owner as soon as events may be. */
void h2_reset_due(struct h2_codec *c, struct h2_stream *s, enum http_reset why);

/* ---- h2_receive.c ---- */
void h2_set_callbacks(nghttp2_session_callbacks *to);
/* Tells what is due. Events may be delivered. */
void h2_tell_due(struct h2_codec *c);
void h2_consumed(struct http_stream *stream, size_t bytes);

/* ---- h2_send.c ---- */
void h2_set_send_callbacks(nghttp2_session_callbacks *to);
/* Turns what is queued into frames in base.out. */
void h2_pull(struct h2_codec *c);
/* Some of base.out has left: tells the streams. */
void h2_tell_sent(struct h2_codec *c);
/* What was given and is not framed yet. */
void h2_drop_queued(struct h2_codec *c, struct h2_stream *s);
void h2_forget_marks(struct h2_codec *c, const struct h2_stream *s);
void h2_send_informational(struct http_stream *s, const struct http_head *head);
void h2_send_head(struct http_stream *s, const struct http_head *head);
void h2_send_body(struct http_stream *s, struct slice data);
void h2_send_range(struct http_stream *s, const struct outq_range *range);
void h2_send_end(struct http_stream *s, const struct http_fields *trailers);
