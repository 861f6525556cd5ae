/* SPDX-License-Identifier: Apache-2.0
 *
 * What follows an attempt that came to nothing: another one, sooner or later,
 * or an answer. docs/design/balance.md has the rules.
 */
#include "proxy/attempt_parts.h"
#include "proxy/worker.h"

/* Was anything given to the replica that it may have acted on? */
static bool may_have_acted(const struct attempt *a, enum http_reset why)
{
    return a->started_ns && why != HTTP_RESET_UNPROCESSED;
}

/* May the request be sent again at all? */
static bool may_repeat(const struct attempt *a, enum http_reset why)
{
    const struct exchange *x = a->x;
    if (a->has_response || !x->is_held_whole) return false;
    return !may_have_acted(a, why) || http_method_is_idempotent(x->request->method);
}

static bool is_retried(const struct attempt *a, enum setting_retry kind)
{
    return upstream_of(a)->retry_on >> kind & 1;
}

static bool may_count_more(const struct attempt *a)
{
    return a->x->repeats < upstream_of(a)->retries;
}

/* A kept-alive connection that the replica closed just then is nobody's failure: the
 * fresh connection that follows, to the same one, is not counted as a retry. */
static void repeat(struct attempt *a)
{
    struct endpoint *e = a->endpoint;
    upstream_client_enter(upstream_of(a), e);
    attempt_release(a);
    attempt_at(a->x, e, true);
}

enum { PAUSE_MIN_MS = 25, PAUSE_MAX_MS = 250 };

/* Doubled with each retry that counts; half of it is chance, so that those who failed together do
 * not come back together. */
static uint64_t pause_ms(struct exchange *x, bool is_counted)
{
    uint32_t most = is_counted ? PAUSE_MIN_MS : PAUSE_MAX_MS;
    for (unsigned i = 1; i < x->repeats && most < PAUSE_MAX_MS; i++) most *= 2;
    if (most > PAUSE_MAX_MS) most = PAUSE_MAX_MS;
    return most / 2 + random_below(x->ask.random, most / 2 + 1);
}

/* Is there an endpoint left that the request has not been sent to? */
static bool has_other(const struct attempt *a)
{
    const struct endpoint_set *set =
        atomic_load_explicit(&upstream_of(a)->set, memory_order_acquire);
    size_t count = 0;
    for (unsigned t = 0; t < TIER_COUNT; t++)
        for (size_t i = 0; i < set->tiers[t].count; i++) {
            const struct endpoint *e = set->tiers[t].items[i];
            if (e != a->endpoint && !balance_was_tried(e, &a->x->ask)) return true;
            if (++count > BALANCE_TRIED_MAX + 1) return true;
        }
    return false;
}

/* Nothing was sent, and there are others: on to the next, at once. It costs nobody anything but
 * the look; but not without end. */
static bool goes_on(const struct attempt *a, const struct failure *f)
{
    return upstream_of(a)->retries && !may_have_acted(a, f->why) && !f->needs_other &&
           has_other(a) && a->x->retries + 1 < BALANCE_TRIED_MAX;
}

/* There is no connection to be had, though the containers are said to serve: they are stopping, and
 * the daemon has yet to tell. That is worth as long a wait as if there were none. */
static bool bides(const struct attempt *a, const struct failure *f)
{
    const struct exchange          *x = a->x;
    const struct upstream_settings *s = upstream_of(a)->settings;
    uint64_t age_ms = (x->worker->loop->clock.now_ns - x->started_ns) / 1000000;
    return s->docker && upstream_of(a)->retries && !a->started_ns && !f->needs_other &&
           age_ms < s->wait_for_endpoint;
}

/* Another attempt: after a pause, unless nothing was sent. What repeats work is paid from the
 * budget. */
static bool retry(struct attempt *a, const struct failure *f)
{
    struct exchange *x = a->x;
    struct worker   *w = x->worker;
    bool             is_free = goes_on(a, f);
    bool             is_counted = !is_free && may_count_more(a);
    if (!is_retried(a, f->kind) || (f->needs_other && !has_other(a))) return false;
    if (!is_free && !is_counted && !bides(a, f)) return false;
    if (may_have_acted(a, f->why) && !upstream_client_spend(&w->upstreams, upstream_of(a))) {
        counter_add(&w->stats->upstream_retries_denied, 1);
        return false;
    }
    x->retries += x->retries < UINT16_MAX;
    x->repeats += is_counted;
    x->ask.is_retry = true;
    counter_add(&w->stats->upstream_retries, 1);
    attempt_count(a, 0);
    attempt_tried(x);
    attempt_release(a);
    if (is_free)
        attempt_start(x);
    else
        exchange_wait(x, WAIT_PAUSE, pause_ms(x, is_counted));
    return true;
}

/* The try failed before a response was relayed, or amid it: another one, or the answer. */
void attempt_give_up(struct attempt *a, const struct failure *f)
{
    bool is_allowed = may_repeat(a, f->why);
    bool was_idle =
        a->is_reused && (f->why == HTTP_RESET_CLOSED || f->why == HTTP_RESET_UNPROCESSED);
    if (is_allowed && was_idle) {
        repeat(a);
        return;
    }
    if (a->x->state != EXCHANGE_TUNNEL && !was_idle) attempt_note_failure(a);
    if (is_allowed && retry(a, f)) return;
    attempt_count(a, 0);
    attempt_release(a);
    exchange_fail(a->x, f->status, f->reason);
}

bool attempt_retry_status(struct attempt *a)
{
    const struct failure f = { .why = HTTP_RESET_PEER, .kind = RETRY_STATUS, .needs_other = true };
    struct http_stream  *s = a->stream;
    if (!may_repeat(a, f.why)) return false;
    a->stream = NULL;
    if (retry(a, &f)) {
        http_stream_reset(s);
        http_stream_close(s);
        return true;
    }
    a->stream = s;
    return false;
}

bool attempt_may_follow(const struct exchange *x)
{
    const struct attempt *a = x->attempt;
    return a && a->endpoint && may_repeat(a, HTTP_RESET_PEER) && may_count_more(a) &&
           is_retried(a, RETRY_TIMEOUT);
}

bool attempt_try_again(struct exchange *x)
{
    const struct failure f = { .why = HTTP_RESET_PEER, .kind = RETRY_TIMEOUT, .needs_other = true };
    struct attempt      *a = x->attempt;
    if (!upstream_of(a)->settings->try_timeout || x->is_last_try || !attempt_may_follow(x))
        return false;
    attempt_timed_out(a);
    struct http_stream *s = a->stream;
    a->stream = NULL;
    if (!retry(a, &f)) { /* then it may take as long as it likes */
        a->stream = s;
        x->is_last_try = true;
        exchange_progress(x);
        return true;
    }
    http_stream_reset(s);
    http_stream_close(s);
    return true;
}
