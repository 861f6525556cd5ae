/* SPDX-License-Identifier: Apache-2.0
 *
 * What a policy (filter/) and an answering party (origin/) see of an exchange.
 * They include this header and nothing else of proxy/.
 *
 * A request filter answers CONTINUE, PAUSE (and calls exchange_continue()
 * later, on the same thread, and itself bounds the time until then) or REPLY (after
 * exchange_reply*()). Response filters run in the reverse order on the head that is about to be
 * sent, the gateway's own answers included. The order is that of filter_table in
 * control/plan_routes.c and documented in docs/design/life-of-a-request.md.
 */
#pragma once

#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/outq.h"
#include "conf/settings.h"
#include "conf/template.h"
#include "http/message.h"
#include "io/address.h"

struct coder_pool;
struct exchange;
struct loop;
struct mailbox;
struct pattern_matcher;

/* A piece of a body: bytes, which stay until the exchange ends (arena or plan), or a range of a
 * file, whose reference the exchange's arena keeps (arena_on_reset). */
struct reply_piece {
    struct slice      bytes;
    struct outq_range range; /* file not NULL: instead */
};

/* What a streamed answer's body comes from, asked when little of what it gave is unsent: the
 * next piece, which is not empty, into *piece. False: that was all. `source` lives as long as
 * the exchange. */
typedef bool reply_source(void *source, struct reply_piece *piece);

/* What tells requests apart: conf/settings.h, enum setting_key. */
struct request_key_part {
    enum setting_key kind;
    struct slice     name; /* of a header, cookie or query parameter */
};

struct request_key {
    struct request_key_part *parts;
    size_t                   part_count;
    unsigned                 ipv6_prefix;
};

/* In that arena; keeps no pointer to `s`. */
void request_key_build(struct request_key *key, const struct key_settings *s, struct arena *a);

enum filter_result { FILTER_CONTINUE, FILTER_PAUSE, FILTER_REPLY };

struct filter_ops {
    const char *name;
    /* `config` is what the plan was built with, read-only; *state starts as NULL
     * and is the filter's own, usually in the exchange's arena. Either may be NULL. */
    enum filter_result (*on_request)(struct exchange *x, const void *config, void **state);
    void (*on_response)(struct exchange *x, const void *config, void *state,
                        struct http_head *response);
    /* The exchange has ended, its request side having run: nothing more may be asked of it
     * but its arena and worker. A filter that had paused forgets it. */
    void (*on_end)(struct exchange *x, const void *config, void *state);
    /* on_response() runs on every answer, also on one that was given before the request side's turn
     * came (the request malformed, refused, of no route), and then with a NULL state; what is asked
     * of the exchange may be empty then, and exchange_request() NULL. */
    bool on_response_always;
};

/* What a plan has that workers keep something of: each worker adopts it when it takes up a
 * plan with it, and releases it when it lets that plan go, on its own thread. */
struct plan_part_ops {
    void (*adopt)(void *part, unsigned worker, struct loop *l);
    void (*release)(void *part, unsigned worker, struct loop *l);
};

/* Something of the gateway's own that answers requests. */
struct origin_ops {
    const char *name;
    /* Answers by exchange_reply*(), at once or later (same thread). */
    void (*start)(struct exchange *x, const void *config);
    /* The exchange ended before the answer: forget it. May be NULL when start()
     * always answers at once. */
    void (*cancel)(struct exchange *x, const void *config);
};

/* What runs on a response's body: takes all of `data` and gives what comes of it by
 * exchange_emit(). It cannot fail, nor end the exchange. */
enum transform_step {
    TRANSFORM_MORE,
    TRANSFORM_FLUSH,  /* nothing is held back: what was given so far can be read */
    TRANSFORM_FINISH, /* the body is complete; nothing follows */
};
typedef void transform_run(struct exchange *x, void *state, struct slice data,
                           enum transform_step step);

/* ---- what may be asked of an exchange ---- */
struct http_head     *exchange_request(struct exchange *x);
struct arena         *exchange_arena(struct exchange *x);
const struct clock   *exchange_clock(const struct exchange *x);
const struct address *exchange_client(const struct exchange *x); /* the one client address */
struct slice          exchange_client_text(struct exchange *x);
struct slice          exchange_host(const struct exchange *x); /* lower case, without port */
bool                  exchange_is_tls(const struct exchange *x);
struct slice          exchange_request_id(struct exchange *x);
unsigned              exchange_worker_index(const struct exchange *x);
struct slice          exchange_listener(const struct exchange *x); /* its name */
/* Of the thread that the exchange lives on, for answers from other threads. */
struct mailbox *exchange_mailbox(const struct exchange *x);
/* For origins: a slot of their own. */
void **exchange_origin_state(struct exchange *x);
/* Of all its parts, any bytes; empty: one of them is. Lives as long as the exchange. */
struct slice exchange_key(struct exchange *x, const struct request_key *key);
/* Did the client come by TLS, here or, as a trusted proxy says, there? */
bool exchange_is_secure(const struct exchange *x);
/* Random, of this exchange alone: base64. */
struct slice exchange_csp_nonce(struct exchange *x);
/* The template with what its variables are now: any bytes. `response`: NULL, or the head that is
 * about to be sent. Lives as long as the exchange. */
struct slice exchange_expand(struct exchange *x, const struct template *t,
                             const struct http_head *response);
/* Its worker's, for expressions that the request is matched with. */
struct pattern_matcher *exchange_matcher(struct exchange *x);
/* The one that the exchange lives on. */
struct loop *exchange_loop(const struct exchange *x);
/* Of the worker that the exchange lives on. */
struct coder_pool *exchange_coders(struct exchange *x);
/* For the access log: this limit refused the request, or would have (`is_dry_run`). */
void exchange_note_limit(struct exchange *x, struct slice name, bool is_dry_run);

/* ---- what may be done ---- */
/* That this was stripped from the path: X-Forwarded-Prefix says so. Empty: nothing was. */
void exchange_note_prefix(struct exchange *x, struct slice prefix);
/* Does the client speak gRPC? It reads no page: exchange_reply_status() says it in gRPC's words. */
bool exchange_is_grpc(const struct exchange *x);
/* After FILTER_PAUSE; instead of it may come exchange_reply*(). */
void exchange_continue(struct exchange *x);
/* Answers with a page of the gateway's own (or the route's for that status).
 * `reason` is a constant with underscores; it goes to the log. */
void exchange_reply_status(struct exchange *x, unsigned status, const char *reason);
/* Answers with this. `head` lies in the exchange's arena; body_bytes is set from
 * `body`, which must stay until the exchange ends (arena or plan). */
void exchange_reply(struct exchange *x, struct http_head *head, struct slice body,
                    const char *reason);
/* From a response filter, once, for a head that a body follows: it goes through `run`,
 * which is told to flush at the end of each turn that brought some of a body whose length
 * nobody said. The head loses its length. A body that is cut short is never finished. */
void exchange_transform(struct exchange *x, struct http_head *head, transform_run *run,
                        void *state);
/* From within `run`: bytes for the client, which are copied. */
void exchange_emit(struct exchange *x, struct slice data);
/* Answers with this and what the source gives: of head->body_bytes in all, or until it ends (-1).
 * The source is not asked where no body may follow (HEAD). */
void exchange_reply_stream(struct exchange *x, struct http_head *head, reply_source *next,
                           void *source, const char *reason);
/* As exchange_reply_status(), with these fields too, whose texts stay until the exchange ends. */
void exchange_reply_status_with(struct exchange *x, unsigned status, const char *reason,
                                const struct http_fields *more);
