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
    bool                 is_late;      /* a deadline has passed, and was noted */
};

/* Chooses an endpoint and goes for it, or waits for one. */
void attempt_start(struct exchange *x);
/* What the exchange waited for did not come, or its pause is over. */
void attempt_wait_over(struct exchange *x);
/* May another attempt follow if this one takes too long? */
bool attempt_may_follow(const struct exchange *x);
/* try_timeout has passed: goes elsewhere, or lets it go on. False: that was not why. */
bool attempt_try_again(struct exchange *x);
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
/* Nothing more comes of it: breaks off what is running, and waits no more. */
void attempt_cancel(struct exchange *x);
/* The exchange is about to be freed: so may be the endpoints that it tried. */
void attempt_forget(struct exchange *x);
/* Bytes of the request's body that the replica has not taken yet. */
size_t attempt_backlog(const struct attempt *a);
