/* SPDX-License-Identifier: Apache-2.0
 *
 * The states of an exchange: which may follow which, and how long each may
 * last. See exchange.h.
 */
#include <assert.h>

#include "proxy/attempt.h"
#include "proxy/farewell.h"

/* An answer of our own waits so long for a next piece of the request's short body, so
 * that the connection can be kept. */
enum { AWAIT_MS = 1000 };

#define TO(state) (1u << (state))

static const unsigned legal_moves[EXCHANGE_STATE_COUNT] = {
    [EXCHANGE_READ_HEAD] = TO(EXCHANGE_ROUTE) | TO(EXCHANGE_REPLY_LOCAL) | TO(EXCHANGE_DONE),
    [EXCHANGE_ROUTE] = TO(EXCHANGE_REQUEST_FILTERS) | TO(EXCHANGE_REPLY_LOCAL) | TO(EXCHANGE_DONE),
    [EXCHANGE_REQUEST_FILTERS] =
        TO(EXCHANGE_WAIT) | TO(EXCHANGE_ATTEMPT) | TO(EXCHANGE_REPLY_LOCAL) | TO(EXCHANGE_DONE),
    [EXCHANGE_WAIT] =
        TO(EXCHANGE_WAIT) | TO(EXCHANGE_ATTEMPT) | TO(EXCHANGE_REPLY_LOCAL) | TO(EXCHANGE_DONE),
    [EXCHANGE_ATTEMPT] = TO(EXCHANGE_RESPONSE_HEAD) | TO(EXCHANGE_ATTEMPT) | TO(EXCHANGE_WAIT) |
                         TO(EXCHANGE_REPLY_LOCAL) | TO(EXCHANGE_DONE),
    [EXCHANGE_RESPONSE_HEAD] = TO(EXCHANGE_RELAY) | TO(EXCHANGE_TUNNEL) | TO(EXCHANGE_ATTEMPT) |
                               TO(EXCHANGE_WAIT) | TO(EXCHANGE_REPLY_LOCAL) | TO(EXCHANGE_DONE),
    [EXCHANGE_RELAY] = TO(EXCHANGE_DONE),
    [EXCHANGE_TUNNEL] = TO(EXCHANGE_DONE),
    [EXCHANGE_REPLY_LOCAL] = TO(EXCHANGE_DONE),
};

const struct timeout_settings *exchange_timeouts(const struct exchange *x)
{
    return &x->route->policy->timeouts;
}

bool exchange_awaits_body(const struct exchange *x)
{
    if (x->request_ended) return false;
    return x->state == EXCHANGE_REPLY_LOCAL
               ? x->reply.head != NULL
               : x->state == EXCHANGE_RESPONSE_HEAD && x->consumed_bytes == x->received_bytes;
}

/* What is waited for there does not come sooner because the client sends. */
static uint64_t wait_ms(const struct exchange *x)
{
    uint64_t now_ms = x->worker->loop->clock.now_ms;
    return x->wait_until_ms > now_ms ? x->wait_until_ms - now_ms : 1;
}

/* Apart, so that deadlines without it cost no frame. */
__attribute__((noinline)) static uint64_t try_or_all_ms(const struct exchange *x, uint64_t try_ms,
                                                        uint64_t all_ms)
{
    bool is_try = try_ms < all_ms && !x->is_last_try && attempt_may_follow(x);
    return is_try ? try_ms : all_ms;
}

/* For the response's head: of this attempt, if another one may follow. */
static uint64_t response_ms(const struct exchange *x)
{
    uint64_t all_ms = exchange_timeouts(x)->response_header;
    uint64_t try_ms = x->route->upstream ? x->route->upstream->settings->try_timeout : 0;
    return try_ms ? try_or_all_ms(x, try_ms, all_ms) : all_ms;
}

static uint64_t tunnel_ms(const struct exchange *x)
{
    const struct timeout_settings *t = exchange_timeouts(x);
    uint64_t                       ms = x->farewell ? farewell_ms(x) : 0;
    if (ms) return ms;
    return x->request_ended || x->response_ended ? t->write_idle : t->tunnel_idle;
}

static uint64_t deadline_ms(const struct exchange *x)
{
    const struct timeout_settings *t = exchange_timeouts(x);
    switch (x->state) {
    case EXCHANGE_WAIT: return x->wait == WAIT_BODY ? t->body_idle : wait_ms(x);
    case EXCHANGE_RESPONSE_HEAD: return exchange_awaits_body(x) ? t->body_idle : response_ms(x);
    case EXCHANGE_RELAY: return x->stream->unsent_bytes ? t->write_idle : t->response_idle;
    case EXCHANGE_TUNNEL: return tunnel_ms(x);
    case EXCHANGE_REPLY_LOCAL:
        if (exchange_awaits_body(x)) return t->body_idle < AWAIT_MS ? t->body_idle : AWAIT_MS;
        return x->is_origin_waiting ? t->response_header : t->write_idle;
    default: return 0; /* others' deadlines: the connection's, the filter's, the connecting one's */
    }
}

void exchange_progress(struct exchange *x)
{
    uint64_t after_ms = deadline_ms(x);
    if (after_ms)
        deadline_set(x->worker->loop, &x->deadline, after_ms);
    else
        deadline_clear(&x->deadline);
}

void exchange_enter(struct exchange *x, enum exchange_state state)
{
    assert(legal_moves[x->state] & TO(state));
    x->state = state;
    exchange_progress(x);
}

void exchange_wait(struct exchange *x, enum exchange_wait what, uint64_t most_ms)
{
    if (most_ms) x->wait_until_ms = x->worker->loop->clock.now_ms + most_ms;
    x->wait = what;
    x->has_waited |= what == WAIT_ENDPOINT || what == WAIT_TURN;
    exchange_enter(x, EXCHANGE_WAIT);
}
