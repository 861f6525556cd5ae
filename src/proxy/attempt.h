/* SPDX-License-Identifier: Apache-2.0
 *
 * An attempt: one try at one endpoint for an exchange. A retry is a new
 * attempt; nothing is rewound. Lives in the exchange's arena.
 */
#pragma once

#include "proxy/exchange.h"

struct attempt {
    struct exchange     *x;
    struct upstream_wait wait;
    struct http_stream  *stream; /* NULL: not connected yet, or over */
    struct endpoint     *endpoint;
    struct http_fields  *trailers;   /* of the response */
    uint64_t             sent_bytes; /* of the request's body, gone to the transport */
    uint64_t             began_ns;   /* chosen */
    uint64_t             started_ns; /* has a stream; 0: nothing was sent */
    bool                 is_reused;
    bool                 has_sent_end;
    bool                 has_response; /* its head was relayed */
};

/* Chooses an endpoint and goes for it. */
void attempt_start(struct exchange *x);
/* The replica let a deadline pass: noted against it and told. Accepts NULL. */
void attempt_timed_out(struct attempt *a);
/* Might the request, now that it was sent, be sent again, if its body is held? */
bool attempt_may_repeat(const struct attempt *a);
/* A piece of the request's body arrived. */
void attempt_body(struct attempt *a, struct slice data);
/* The request is complete. */
void attempt_body_end(struct attempt *a);
/* The client has taken `bytes` of the response's body. */
void attempt_consumed(struct attempt *a, size_t bytes);
/* Both sides of its tunnel have ended: lets go of it. */
void attempt_finish(struct attempt *a);
/* Lets go of it: breaks off what is running. Accepts NULL. */
void attempt_cancel(struct attempt *a);
/* Bytes of the request's body that the replica has not taken yet. */
size_t attempt_backlog(const struct attempt *a);
