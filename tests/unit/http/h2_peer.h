/* SPDX-License-Identifier: Apache-2.0
 *
 * An owner for one HTTP/2 codec in tests: writes every event down as text, each
 * stream under its number ("3 head GET /"), consecutive pieces of body as one line.
 * Also frames by hand, and the frames of an output as text.
 */
#pragma once

#include "base/buffer.h"
#include "http/h2.h"

enum { H2_PEER_STREAMS = 1100 };

struct h2_peer;
struct nghttp2_hd_inflater;

struct h2_peer_stream {
    struct h2_peer     *peer;
    struct http_stream *stream; /* NULL: closed */
    struct http_head   *head;   /* the last one */
    struct arena        arena;
    size_t              unconsumed;
    size_t              given_bytes;
    size_t              sent_bytes; /* by on_sent */
};

/* What an owner does from within an event. */
enum h2_peer_deed {
    H2_PEER_NOTHING,
    H2_PEER_CLOSE,
    H2_PEER_FREE,   /* the codec */
    H2_PEER_ANSWER, /* 204, and close */
};

enum h2_peer_event {
    H2_PEER_ON_HEAD,
    H2_PEER_ON_INFORMATIONAL,
    H2_PEER_ON_BODY,
    H2_PEER_ON_TRAILERS,
    H2_PEER_ON_END,
    H2_PEER_ON_INVALID,
    H2_PEER_ON_RESET,
    H2_PEER_ON_SENT,
    H2_PEER_EVENTS,
};

struct h2_peer {
    struct http_codec          *codec;
    struct h2_peer_stream       streams[H2_PEER_STREAMS]; /* in the order of their beginning */
    unsigned                    stream_count;
    struct block_pool           blocks;
    struct clock                clock;
    struct http_limits          limits;
    struct buffer               events;
    struct buffer               frames;
    struct buffer               body; /* of the stream that is in one */
    struct h2_peer_stream      *in_body;
    struct nghttp2_hd_inflater *inflater;
    char                       *lent[64];
    unsigned                    lent_count;
    unsigned                    want_input_count;
    unsigned                    idle_count;
    unsigned                    output_count;
    bool                        has_read_preface;
    bool                        keeps_window; /* do not consume what is received */
    bool                        was_reusable; /* at the last on_idle */
    enum h2_peer_deed           deeds[H2_PEER_EVENTS];
};

struct h2_peer *h2_peer_new(enum http_role role, uint32_t window_bytes, uint32_t stream_count);
/* A server that has got a client's preface and SETTINGS. */
struct h2_peer *h2_peer_new_server(void);
/* A client that has got a server's SETTINGS, with ENABLE_CONNECT_PROTOCOL. */
struct h2_peer *h2_peer_new_client(void);
void            h2_peer_free(struct h2_peer *p);
/* Feeds in pieces of `step` bytes (0: all at once) on the heap, and empties `input`. */
void        h2_peer_feed(struct h2_peer *p, struct buffer *input, size_t step);
const char *h2_peer_events(struct h2_peer *p);
/* Fails the test when the events since the last call are others, and forgets them. */
#define h2_peer_expect(p, expected)                                                                \
    do {                                                                                           \
        assert_string_equal(h2_peer_events(p), expected);                                          \
        h2_peer_clear(p);                                                                          \
    } while (0)
void h2_peer_clear(struct h2_peer *p);
/* Takes at most `most` bytes of what waits to leave and tells the codec; how many. */
size_t h2_peer_take(struct h2_peer *p, size_t most, struct buffer *to);
/* What was lent is put where it may stay, then freed: the end of an event. */
void h2_peer_settle(struct h2_peer *p);
/* Takes all and reads it, a line each frame: "HEADERS 1 END_STREAM :status=204"; without
 * the preface, SETTINGS, the connection's WINDOW_UPDATE, and Date. */
const char *h2_peer_frames(struct h2_peer *p);

/* ---- asking and answering ---- */

/* Client role. Opens a stream and sends the head; NULL without room. */
struct h2_peer_stream *h2_peer_ask(struct h2_peer *p, enum http_method method, int64_t body_bytes);
struct h2_peer_stream *h2_peer_ask_tunnel(struct h2_peer *p);
void h2_peer_answer(struct h2_peer_stream *t, unsigned status, int64_t body_bytes);
void h2_peer_send(struct h2_peer_stream *t, size_t bytes);
void h2_peer_end(struct h2_peer_stream *t);
void h2_peer_close(struct h2_peer_stream *t);
/* Carries bytes both ways until none is left. */
void h2_peer_exchange(struct h2_peer *a, struct h2_peer *b);

/* A client and a server of ours that have exchanged SETTINGS. */
struct h2_pair {
    struct h2_peer *client;
    struct h2_peer *server;
};

struct h2_pair h2_pair_new(uint32_t window_bytes);
/* Fails the test when either is of no further use. */
void h2_pair_free(struct h2_pair x);

/* ---- frames by hand ---- */

enum h2_peer_frame {
    H2_DATA,
    H2_HEADERS,
    H2_PRIORITY,
    H2_RST_STREAM,
    H2_SETTINGS,
    H2_PUSH_PROMISE,
    H2_PING,
    H2_GOAWAY,
    H2_WINDOW_UPDATE,
    H2_CONTINUATION,
};

enum { H2_END_STREAM = 1, H2_ACK = 1, H2_END_HEADERS = 4, H2_PADDED = 8 };

/* "name value\n" lines become literals without indexing. A name ends at its first
 * blank; an empty text is an empty block. */
void h2_put_frame(struct buffer *b, unsigned type, unsigned flags, uint32_t id,
                  struct slice payload);
void h2_put_block(struct buffer *b, const char *lines);
void h2_put_headers(struct buffer *b, uint32_t id, unsigned flags, const char *lines);
void h2_put_data(struct buffer *b, uint32_t id, unsigned flags, const char *text);
void h2_put_word(struct buffer *b, unsigned type, uint32_t id, uint32_t word);
void h2_put_ping(struct buffer *b, unsigned flags, const char *text);
void h2_put_goaway(struct buffer *b, uint32_t last_id, uint32_t code);
void h2_put_setting(struct buffer *b, unsigned id, uint32_t value);
void h2_peer_feed_headers(struct h2_peer *p, uint32_t id, unsigned flags, const char *lines);
void h2_peer_feed_data(struct h2_peer *p, uint32_t id, unsigned flags, const char *text);
