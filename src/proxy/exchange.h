/* SPDX-License-Identifier: Apache-2.0
 *
 * An exchange: one request of a client and its response, from the head's
 * arrival to the last byte handed to the connection. It owns the arena that
 * everything about the request lives in, asks the router and the filters, and
 * gets its answer from an attempt (attempt.h) or an origin.
 *
 * Private to proxy/; filters and origins see filter.h.
 * docs/design/life-of-a-request.md draws the states.
 */
#pragma once

#include "proxy/filter.h"
#include "proxy/worker.h"

struct attempt;
struct downstream;
struct farewell;
struct transform;

enum exchange_state {
    EXCHANGE_READ_HEAD,       /* awaits the head; the connection's header deadline */
    EXCHANGE_ROUTE,           /* awaits nothing: the route is being looked up */
    EXCHANGE_REQUEST_FILTERS, /* awaits a filter that paused, which bounds that */
    EXCHANGE_WAIT,    /* awaits an endpoint, a turn, the time of a retry or the body: x->wait; its
                         own deadline */
    EXCHANGE_ATTEMPT, /* awaits a connection to an endpoint; connect deadline */
    EXCHANGE_RESPONSE_HEAD, /* awaits the response's head, and may be sending the body:
                               body_idle while the client is to send, response_header after */
    EXCHANGE_RELAY,         /* awaits the rest of the response: response_idle; or the client's
                               taking it: write_idle */
    EXCHANGE_TUNNEL,        /* after a 101: awaits bytes of either side: tunnel_idle; once one
                               side has ended: write_idle */
    EXCHANGE_REPLY_LOCAL,   /* awaits an origin, the request's end, or the client's taking
                               the answer: body_idle, write_idle */
    EXCHANGE_DONE,          /* awaits nothing; freed by then */
    EXCHANGE_STATE_COUNT
};

enum { EXCHANGE_HELD_MAX = 64 * 1024, EXCHANGE_FILTERS_MAX = 16 };

/* What EXCHANGE_WAIT is about. */
enum exchange_wait {
    WAIT_ENDPOINT, /* none is ready */
    WAIT_TURN,     /* all are at a limit */
    WAIT_PAUSE,    /* before another attempt */
    WAIT_BODY,     /* the body is not there: buffering.h */
};

/* An answer of our own that waits for the request's end. */
struct local_reply {
    struct http_head *head;
    struct slice      body;
};

/* Where the body of our own answer comes from, when it is streamed. */
struct reply_stream {
    reply_source      *next; /* NULL: it is not */
    void              *source;
    struct reply_piece piece; /* what is left of the present one */
    struct job         job;   /* goes on with it later in the turn */
};

struct exchange {
    struct http_stream      *stream; /* to the client */
    struct downstream       *downstream;
    struct worker           *worker;
    struct plan_use         *use;
    const struct plan_route *route;
    struct http_head        *request;
    struct attempt          *attempt;   /* the present one, or NULL */
    struct farewell         *farewell;  /* of a WebSocket; else NULL */
    struct transform        *transform; /* of the response's body; else NULL */
    struct arena             arena;
    struct deadline          deadline;
    struct list              link; /* worker.ended */
    struct balance_ask       ask;
    struct upstream_turn     turn;
    enum exchange_wait       wait;
    uint64_t                 wait_until_ms; /* loop clock */
    uint64_t                 wait_end_ms; /* of all waiting for endpoints and turns; 0: none yet */
    enum exchange_state      state;

    struct buffer             held; /* of the request's body, for sending (again) */
    const struct http_fields *request_trailers;
    struct local_reply        reply;
    struct reply_stream       reply_stream;
    const char               *reason; /* why we answered or broke off, for the log */

    struct address client; /* the one client address */
    struct slice   client_text;
    struct slice   request_id;
    struct slice   csp_nonce; /* empty: nobody has asked for one */
    struct slice   host;
    struct slice   path;          /* that the route was found by, before any rewriting */
    struct slice  *captures;      /* of it by the route's pattern; NULL: nobody has asked yet */
    struct slice   websocket_key; /* that the replica sees */
    struct slice   prefix;        /* that a rewriting stripped */
    struct slice   new_token;     /* for the cookie of sticky; empty: it is right as it is */
    void          *filter_states[EXCHANGE_FILTERS_MAX];
    void          *origin_state;

    uint64_t         received_bytes;      /* of the request's body */
    uint64_t         consumed_bytes;      /* of them, gone on or dropped */
    uint64_t         response_bytes;      /* of body, given to the client's stream */
    int64_t          response_body_bytes; /* as its head said: -1 unknown */
    uint64_t         started_ns;          /* the head was there */
    uint64_t         body_ns;             /* the body began */
    uint64_t         attempt_ns;          /* the present attempt has a stream */
    uint64_t         connect_us;
    uint64_t         first_byte_ns;
    uint16_t         status;      /* sent; 0: none yet */
    uint16_t         retries;     /* further attempts, all of them */
    uint16_t         repeats;     /* of them, those that count against the upstream's `retries` */
    uint8_t          filter_next; /* the request filter to run next */
    uint8_t          filters_run; /* whose response side is to run */
    bool             request_ended;
    bool             response_ended;
    bool             is_held_whole; /* `held` has all that was received */
    bool             is_trusted;    /* the peer's X-Forwarded-* are believed */
    bool             is_origin_waiting;
    bool             is_late;    /* the client did not send in time: it is not waited for again */
    bool             is_invalid; /* the client broke the protocol: nothing more comes */
    bool             is_websocket_key_ours;
    bool             has_waited;    /* for an endpoint or a turn */
    bool             is_last_try;   /* no other attempt follows: try_timeout does not hold */
    struct slice     limit;         /* that refused it, for the log */
    struct slice     limit_dry_run; /* that would have */
    struct endpoint *endpoint;      /* the last one tried */
};

/* A request begins on `s`. */
void exchange_begin(struct downstream *d, struct http_stream *s);

/* The only writer of x->state: checks the move, arms the state's deadline. */
void exchange_enter(struct exchange *x, enum exchange_state state);
/* Something moved: the state's deadline starts anew. */
void exchange_progress(struct exchange *x);

/* Is it the client whose bytes are awaited? */
bool exchange_awaits_body(const struct exchange *x);

/* Frees what has ended in this turn. */
void exchange_free_ended(struct worker *w);

/* ---- for attempt.c ---- */
void exchange_respond(struct exchange *x, struct http_head *head);
void exchange_respond_body(struct exchange *x, struct slice data);
void exchange_respond_end(struct exchange *x, struct http_fields *trailers);
/* The replica switched protocols: so does the client, and bytes go both ways. */
void exchange_switch(struct exchange *x, struct http_head *head);
/* Both sides of the tunnel have ended, and got everything? */
void exchange_finish_tunnel(struct exchange *x);
/* Waits, at most so long (0: until what it waits for before has passed). */
void exchange_wait(struct exchange *x, enum exchange_wait what, uint64_t most_ms);
/* The attempt came to nothing: answers with `status`, or, when the response has
 * begun, breaks it off. */
void exchange_fail(struct exchange *x, unsigned status, const char *reason);
/* All of the request's body that was received went on to the replica, up to
 * `total_bytes`. */
void                           exchange_sent_on(struct exchange *x, uint64_t total_bytes);
const struct timeout_settings *exchange_timeouts(const struct exchange *x);

/* ---- for reply.c ---- */
/* Sends `head` and `body`, or what reply_stream gives, as the response, now or when the
 * request has ended. */
void exchange_send_local(struct exchange *x, struct http_head *head, struct slice body);

/* ---- reply_stream.c ---- */
/* Gives the client what there is room for; the response may have ended then. */
void reply_stream_pump(struct exchange *x);
/* The same, after others had their turn. */
void reply_stream_queue(struct exchange *x);
/* Did a file end before what was said of it? Then the response cannot be completed. */
bool reply_stream_is_short(const struct exchange *x);
void reply_stream_stop(struct exchange *x);
