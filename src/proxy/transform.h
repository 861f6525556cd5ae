/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the response's body and the client's stream: what a filter installed by
 * exchange_transform() (filter.h). What comes in counts as taken by the client when little
 * of what came out is unsent, so that a slow client stops its replica all the same.
 *
 *   body --> transform_feed --> run --> exchange_emit --> http_stream_send_body
 */
#pragma once

#include "proxy/exchange.h"

/* A piece of the body. */
void transform_feed(struct exchange *x, struct slice data);
/* The body is complete: what the transform still has goes out. */
void transform_finish(struct exchange *x, struct http_fields *trailers);
/* The exchange ends: nothing more is asked of it. */
void transform_stop(struct exchange *x);
/* The client has taken something: how much of the body that is. */
size_t transform_consume(struct exchange *x);
/* Of the body, given to it. */
uint64_t transform_fed_bytes(const struct exchange *x);
