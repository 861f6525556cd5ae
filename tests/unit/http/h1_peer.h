/* SPDX-License-Identifier: Apache-2.0
 *
 * An owner for one HTTP/1 codec in tests: writes every event down as text, so
 * that a test compares transcripts. Consecutive pieces of body are one line, so
 * that the transcript does not depend on how the input was cut.
 */
#pragma once

#include "base/buffer.h"
#include "http/h1.h"

struct h1_peer {
    struct http_codec  *codec;
    struct http_stream *stream; /* the open one, or NULL */
    struct arena        arena;
    struct block_pool   blocks;
    struct clock        clock;
    struct http_limits  limits;
    struct buffer       events;
    struct buffer       output; /* what peer_output() took so far */
    struct http_head   *head;   /* the last one */
    unsigned            want_input_count;
    unsigned            idle_count;
    bool                was_reusable; /* at the last on_idle */
    unsigned            output_count;
    size_t              sent_bytes;
    bool                is_in_body;
    bool                keeps_window;   /* do not consume what is received */
    bool                answers_heads;  /* server: 204 and close from within on_head */
    bool                closes_at_head; /* client: close the stream from within on_head */
    bool                closes_at_end;  /* close the stream from within on_end */
    bool                frees_at_end;   /* free the codec from within on_end */
};

void h1_peer_init(struct h1_peer *p, enum http_role role);
void h1_peer_reset(struct h1_peer *p);
/* Feeds in pieces of `step` bytes (0: all at once); returns what was taken. */
size_t h1_peer_feed(struct h1_peer *p, struct slice input, size_t step);
/* Client role: opens a stream and sends a request without a body. */
void h1_peer_ask(struct h1_peer *p, enum http_method method);
/* Moves what the codec wants written to p->output and tells it so; the whole
 * output so far, NUL-terminated. */
const char *h1_peer_output(struct h1_peer *p);
const char *h1_peer_events(struct h1_peer *p);
void        h1_peer_clear(struct h1_peer *p);
