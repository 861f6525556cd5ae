/* SPDX-License-Identifier: Apache-2.0
 *
 * What attempt.c (one try), seek.c (where to) and retry.c (what next) share.
 * Nobody else includes it.
 */
#pragma once

#include "proxy/attempt.h"

/* An attempt that came to nothing, as far as another one goes. */
struct failure {
    enum http_reset    why;
    enum setting_retry kind;
    unsigned           status; /* the answer, if there is no other attempt */
    const char        *reason;
    bool               needs_other; /* at the same endpoint it would come to the same */
};

static inline struct upstream *upstream_of(const struct attempt *a)
{
    return a->x->route->upstream;
}

/* ---- attempt.c ---- */
/* The endpoint was chosen, and has the request among its active ones. */
void attempt_at(struct exchange *x, struct endpoint *e, bool must_be_fresh);
/* It has ended; `status` 0: without an answer. */
void attempt_count(struct attempt *a, unsigned status);
/* Lets go of the stream and the endpoint. */
void attempt_release(struct attempt *a);
void attempt_note_success(struct attempt *a);
void attempt_note_failure(struct attempt *a);
/* To the log, so often and no more. */
void attempt_warn(const struct attempt *a, const char *what, const char *why);

/* ---- seek.c ---- */
/* The endpoint of the attempt came to nothing: not again, as long as others are left. Of so many
 * that not all can be remembered, the first one may be chosen again. */
void attempt_tried(struct exchange *x);

/* ---- retry.c ---- */
/* Before a response was relayed, or amid it: another one if that may be, or the answer. */
void attempt_give_up(struct attempt *a, const struct failure *f);
/* The replica's status is one to go elsewhere for: true when that is so, and was done. */
bool attempt_retry_status(struct attempt *a);
