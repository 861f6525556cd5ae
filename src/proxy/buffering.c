/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests that wait for their bodies. See buffering.h.
 */
#include "proxy/buffering.h"

#include "proxy/attempt.h"

static bool is_waiting(const struct exchange *x)
{
    return x->state == EXCHANGE_WAIT && x->wait == WAIT_BODY;
}

/* The client is told to send: the replica, which would say so, is not asked yet. */
static void send_continue(struct exchange *x)
{
    struct http_head *head = arena_zalloc(&x->arena, sizeof(*head));
    if (!x->request->expects_continue) return;
    x->request->expects_continue = false;
    head->status = 100;
    http_stream_send_informational(x->stream, head);
}

bool buffering_begin(struct exchange *x)
{
    if (!x->route->policy->buffer_request || !x->request->body_bytes || x->request_ended)
        return false;
    if (x->request->upgrade.len || exchange_is_grpc(x)) return false; /* it is a conversation */
    send_continue(x);
    exchange_wait(x, WAIT_BODY, 0);
    return true;
}

bool buffering_take(struct exchange *x, struct slice data)
{
    if (!is_waiting(x)) return false;
    buffer_put(&x->held, data.data, data.len);
    x->consumed_bytes += data.len;
    http_stream_consumed(x->stream, data.len);
    if (x->held.len >= x->route->policy->buffer_request)
        attempt_start(x);
    else
        exchange_progress(x);
    return true;
}

/* The replica is told the length, which it may need; with trailers it stays chunked. */
bool buffering_end(struct exchange *x)
{
    if (!is_waiting(x)) return false;
    if (x->request->body_bytes < 0 && !x->request_trailers)
        x->request->body_bytes = (int64_t)x->held.len;
    attempt_start(x);
    return true;
}
