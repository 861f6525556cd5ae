/* SPDX-License-Identifier: Apache-2.0
 *
 * Which endpoint an exchange goes to next, and how it waits for one. See
 * attempt.h.
 */
#include "proxy/affinity.h"
#include "proxy/attempt_parts.h"
#include "proxy/worker.h"

static bool is_current_tried(const struct exchange *x)
{
    return balance_was_tried(x->endpoint, &x->ask);
}

/* All but `kept` may be chosen again. */
static void forget_tried(struct exchange *x, const struct endpoint *kept)
{
    struct upstream *u = x->route->upstream;
    for (unsigned i = 0; i < x->ask.tried_count; i++)
        if (x->ask.tried[i] != kept)
            upstream_client_forget(&x->worker->upstreams, u, x->ask.tried[i]);
    x->ask.tried_count = 0;
}

void attempt_tried(struct exchange *x)
{
    struct balance_ask *ask = &x->ask;
    if (ask->tried_count == BALANCE_TRIED_MAX) {
        struct endpoint *first = ask->tried[0];
        ask->tried_count--;
        memmove(ask->tried, ask->tried + 1, ask->tried_count * sizeof(ask->tried[0]));
        upstream_client_forget(&x->worker->upstreams, x->route->upstream, first);
    }
    balance_tried(ask, x->endpoint);
}

void attempt_forget(struct exchange *x)
{
    if (!x->endpoint) return;
    if (!is_current_tried(x))
        upstream_client_forget(&x->worker->upstreams, x->route->upstream, x->endpoint);
    forget_tried(x, NULL);
    x->endpoint = NULL;
}

/* All were tried: another round, in which the last one is the last again. Limits hold. */
static enum upstream_choice choose_again(struct exchange *x, struct endpoint **e)
{
    struct upstream *u = x->route->upstream;
    struct endpoint *last = x->endpoint;
    forget_tried(x, last);
    balance_tried(&x->ask, last);
    enum upstream_choice choice = upstream_client_choose(&x->worker->upstreams, u, &x->ask, e);
    if (choice != UPSTREAM_TRIED) return choice;
    x->ask.tried_count = 0;
    choice = upstream_client_choose(&x->worker->upstreams, u, &x->ask, e);
    if (choice == UPSTREAM_CHOSEN)
        upstream_client_forget(&x->worker->upstreams, u, last);
    else
        balance_tried(&x->ask, last);
    return choice;
}

static enum upstream_choice choose(struct exchange *x, struct endpoint **e)
{
    struct upstream_client *c = &x->worker->upstreams;
    x->ask.now_ns = x->worker->loop->clock.now_ns;
    enum upstream_choice choice = upstream_client_choose(c, x->route->upstream, &x->ask, e);
    return choice == UPSTREAM_TRIED ? choose_again(x, e) : choice;
}

/* It waited for so long, or is not to wait. */
static void give_up(struct exchange *x, enum exchange_wait what)
{
    struct worker_stats *s = x->worker->stats;
    bool                 is_turn = what == WAIT_TURN;
    counter_add(is_turn ? &s->upstream_queue_timeouts : &s->upstream_no_endpoint, 1);
    exchange_fail(x, 503, is_turn ? "queue_timeout" : "no_endpoint");
}

/* What is waited for may change, and change back; but not for ever. */
static uint64_t limit_ms(struct exchange *x, uint64_t most_ms)
{
    const struct upstream_settings *s = x->route->upstream->settings;
    uint64_t                        now_ms = x->worker->loop->clock.now_ms;
    if (!x->wait_end_ms) x->wait_end_ms = now_ms + s->wait_for_endpoint + s->limits.queue_timeout;
    if (now_ms >= x->wait_end_ms) return 0;
    uint64_t left_ms = x->wait_end_ms - now_ms;
    return most_ms < left_ms ? most_ms : left_ms;
}

/* It may have been in the queue before; the time to wait is counted from the first. */
static void wait_for(struct exchange *x, enum exchange_wait what, uint64_t most_ms)
{
    struct upstream *u = x->route->upstream;
    bool             is_again = x->state == EXCHANGE_WAIT && x->wait == what;
    x->turn.is_picky = x->ask.tried_count > 0;
    if (most_ms && !is_again) most_ms = limit_ms(x, most_ms);
    if (!most_ms) {
        give_up(x, what);
    } else if (!upstream_client_queue(&x->worker->upstreams, u, &x->turn)) {
        exchange_fail(x, 503, "queue_full");
    } else {
        exchange_wait(x, what, is_again ? 0 : most_ms);
    }
}

static void seek(struct exchange *x)
{
    const struct upstream_settings *s = x->route->upstream->settings;
    struct endpoint                *e = NULL;
    switch (choose(x, &e)) {
    case UPSTREAM_EMPTY: wait_for(x, WAIT_ENDPOINT, s->wait_for_endpoint); break;
    case UPSTREAM_TRIED: /* not after choose_again() */
    case UPSTREAM_BUSY: wait_for(x, WAIT_TURN, s->limits.queue_timeout); break;
    case UPSTREAM_CHOSEN:
        affinity_chosen(x, e);
        attempt_at(x, e, x->retries > 0);
        break;
    }
}

static void on_turn(struct upstream_turn *t)
{
    seek(container_of(t, struct exchange, turn));
}

void attempt_start(struct exchange *x)
{
    if (!x->turn.run) {
        x->turn.run = on_turn;
        list_init(&x->turn.link);
        upstream_client_earn(&x->worker->upstreams, x->route->upstream);
        affinity_ask(x);
    }
    seek(x);
}

void attempt_wait_over(struct exchange *x)
{
    upstream_client_unqueue(&x->turn);
    if (x->wait == WAIT_PAUSE)
        seek(x);
    else
        give_up(x, x->wait);
}
