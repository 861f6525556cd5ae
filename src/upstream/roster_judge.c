/* SPDX-License-Identifier: Apache-2.0
 *
 * Who of a roster is well: verdicts of checks, ejections by what traffic saw,
 * weights that grow. See roster.h.
 */
#include <stdio.h>

#include "base/clock.h"
#include "upstream/roster_private.h"

enum {
    RATE_REQUESTS_MIN = 20, /* fewer say nothing about a rate */
    RATE_TIMES_OTHERS = 2,  /* when all fail alike, no one is an outlier */
    RELIEF_MS = 1000,       /* so long an ejected one stays so, even when it is the only other */
    DENIED_MS = 1000,       /* an ejection that the share did not allow is thought over again */
    RAMP_STEPS = 20,
    RAMP_STEP_MS = 100,
    RAMP_FIRST_PERCENT = 10,
};

static const char *const state_names[] = {
    [ENDPOINT_READY] = "ready",         [ENDPOINT_UNCHECKED] = "unchecked",
    [ENDPOINT_STARTING] = "starting",   [ENDPOINT_UNHEALTHY] = "unhealthy",
    [ENDPOINT_EJECTED] = "ejected",     [ENDPOINT_DRAINING] = "draining",
    [ENDPOINT_STATE_COUNT] = "unknown",
};

const char *endpoint_state_name(enum endpoint_state s)
{
    return state_names[s];
}

static const struct ejection_settings *ejection_of(const struct roster *r)
{
    return &r->upstream->settings->outlier_ejection;
}

/* ---- the state ---- */

static enum endpoint_state by_checks(const struct member *m, char reason[ROSTER_REASON_MAX])
{
    const struct health_check_settings *c = m->roster->upstream->settings->health_check;
    const char *output = m->probe_output[0] ? m->probe_output : "no check has ended yet";
    if (m->is_silent) {
        const char *what = m->probe_output[0] ? "takes no connections yet: " : "not tried yet";
        snprintf(reason, ROSTER_REASON_MAX, "%s%.120s", what, m->probe_output);
        return ENDPOINT_STARTING;
    }
    if (!c) return ENDPOINT_READY;
    if (m->verdict == PROBE_DOWN) {
        snprintf(reason, ROSTER_REASON_MAX, "checks fail: %.140s", output);
        return ENDPOINT_UNHEALTHY;
    }
    if (m->verdict == PROBE_UP || c->serve_unchecked) return ENDPOINT_READY;
    snprintf(reason, ROSTER_REASON_MAX, "no good check yet: %.130s", output);
    return ENDPOINT_UNCHECKED;
}

static enum endpoint_state derive(const struct member *m, char reason[ROSTER_REASON_MAX])
{
    reason[0] = 0;
    if (m->source != SOURCE_READY) memcpy(reason, m->source_reason, ROSTER_REASON_MAX);
    switch (m->source) {
    case SOURCE_STARTING: return ENDPOINT_STARTING;
    case SOURCE_UNHEALTHY: return ENDPOINT_UNHEALTHY;
    case SOURCE_DRAINING: return ENDPOINT_DRAINING;
    case SOURCE_READY: break;
    }
    enum endpoint_state state = by_checks(m, reason);
    if (state != ENDPOINT_READY || !m->ejected_until_ms) return state;
    memcpy(reason, m->ejection_reason, ROSTER_REASON_MAX);
    return ENDPOINT_EJECTED;
}

bool roster_has_ramp(const struct roster *r)
{
    return r->upstream->settings->slow_start && !r->upstream->balance->is_fixed;
}

static uint64_t ramp_step_ms(const struct roster *r)
{
    uint64_t step_ms = r->upstream->settings->slow_start / RAMP_STEPS;
    return step_ms > RAMP_STEP_MS ? step_ms : RAMP_STEP_MS;
}

/* A newcomer among those that are at work gets its share little by little. */
static void begin_ramp(struct member *m)
{
    struct roster *r = m->roster;
    uint64_t       now_ms = r->loop->clock.now_ms, step_ms = ramp_step_ms(r);
    if (!roster_has_ramp(r) || now_ms - r->began_ms <= r->upstream->settings->slow_start) return;
    m->ramp_from_ms = now_ms;
    bool is_due = r->tick.at_ms && r->tick.at_ms <= now_ms + step_ms;
    if (!is_due && !r->is_frozen) deadline_set(r->loop, &r->tick, step_ms);
}

void roster_settle(struct member *m)
{
    struct roster      *r = m->roster;
    enum endpoint_state before = m->state, state = derive(m, m->reason);
    if (state == before) return;
    m->state = state;
    m->since_us = clock_wall_us();
    r->counts[state]++;
    r->change_count++;
    if (before != ENDPOINT_STATE_COUNT) r->counts[before]--;
    if (state == ENDPOINT_READY) begin_ramp(m);
    /* It is in the set, if as a last resort, and is to leave it; or it is the first one in it,
     * which some may wait for. */
    bool was_in = before == ENDPOINT_READY || before == ENDPOINT_EJECTED;
    bool is_first = state == ENDPOINT_READY && r->counts[ENDPOINT_READY] == 1;
    bool is_new = before == ENDPOINT_STATE_COUNT;
    if (!is_new || !roster_is_awaited(m)) roster_change(r, was_in || is_first);
    if (r->ops->on_state) r->ops->on_state(r, m, before);
}

uint32_t roster_weight(const struct member *m, uint32_t scale)
{
    uint64_t ramp_ms = m->roster->upstream->settings->slow_start;
    uint64_t since_ms = m->roster->loop->clock.now_ms - m->ramp_from_ms;
    if (scale == 1 || !m->ramp_from_ms || since_ms >= ramp_ms) return m->endpoint->weight * scale;
    uint64_t percent = RAMP_FIRST_PERCENT + (100 - RAMP_FIRST_PERCENT) * since_ms / ramp_ms;
    uint64_t weight = m->endpoint->weight * scale * percent / 100;
    return weight ? (uint32_t)weight : 1;
}

/* ---- checks ---- */

bool roster_is_unsure(const struct member *m)
{
    return m->verdict == PROBE_UNKNOWN || m->streak > 0;
}

static void note_verdict(struct member *m, const struct health_check_settings *c, bool is_good)
{
    bool agrees = m->verdict == (is_good ? PROBE_UP : PROBE_DOWN);
    m->streak = agrees ? 0 : m->streak + 1;
    uint32_t enough = !is_good ? c->fall : m->verdict == PROBE_UNKNOWN ? 1 : c->rise;
    if (!agrees && m->streak >= enough) {
        m->verdict = is_good ? PROBE_UP : PROBE_DOWN;
        m->streak = 0;
    }
}

/* It listens: that is all that was asked. */
static void hear(struct member *m)
{
    m->is_silent = false;
    m->probe_output[0] = 0;
    m->probe_us = 0;
}

void roster_judge(struct member *m, bool is_good, const char *output, uint64_t time_us)
{
    const struct health_check_settings *c = m->roster->upstream->settings->health_check;
    snprintf(m->probe_output, sizeof(m->probe_output), "%s", output);
    m->probe_us = clock_wall_us();
    m->probe_time_us = (uint32_t)time_us;
    m->is_probe_good = is_good;
    m->check_count++;
    m->check_failures += !is_good;
    if (c)
        note_verdict(m, c, is_good);
    else if (is_good)
        hear(m);
    roster_settle(m);
}

/* ---- ejection ---- */

static bool may_eject(const struct roster *r)
{
    uint64_t share = ejection_of(r)->max_share;
    size_t   most = share * r->member_count / 100;
    if (!share || r->counts[ENDPOINT_READY] < 2) return false;
    return r->counts[ENDPOINT_EJECTED] < (most ? most : 1);
}

static void eject(struct member *m, const char *reason)
{
    const struct ejection_settings *s = ejection_of(m->roster);
    uint64_t                        now_ms = m->roster->loop->clock.now_ms;
    if (now_ms - m->ejection_ended_ms >= s->max_time) m->ejection_level = 0;
    uint64_t time_ms = s->base_time * ++m->ejection_level;
    m->ejected_from_ms = now_ms;
    m->ejected_until_ms = now_ms + (time_ms < s->max_time ? time_ms : s->max_time);
    m->ejection_count++;
    m->roster->ejection_count++;
    snprintf(m->ejection_reason, sizeof(m->ejection_reason), "%s", reason);
    roster_settle(m);
}

/* Back on probation: its next failure ejects it again. */
static void readmit(struct member *m)
{
    uint32_t most = ejection_of(m->roster)->consecutive_failures;
    m->ejected_until_ms = 0;
    m->ejection_ended_ms = m->roster->loop->clock.now_ms;
    m->seen_outcomes = atomic_load_explicit(&m->endpoint->live->outcomes, memory_order_relaxed);
    m->seen_failed = atomic_load_explicit(&m->endpoint->live->failed, memory_order_relaxed);
    atomic_store_explicit(&m->endpoint->live->failures, most ? most - 1 : 0, memory_order_relaxed);
    roster_settle(m);
}

/* The last one that is left fails as well. Who was ejected may be back by now (replicas that are
 * restarted one after the other), and is tried instead; on probation, as always. */
static bool change_places(struct roster *r)
{
    uint64_t       now_ms = r->loop->clock.now_ms;
    struct member *longest = NULL;
    if (!ejection_of(r)->max_share || r->counts[ENDPOINT_READY] != 1) return false;
    LIST_EACH (it, &r->members) {
        struct member *m = container_of(it, struct member, link);
        if (m->state != ENDPOINT_EJECTED || now_ms - m->ejected_from_ms < RELIEF_MS) continue;
        if (!longest || m->ejected_from_ms < longest->ejected_from_ms) longest = m;
    }
    if (longest) readmit(longest);
    return longest != NULL;
}

/* True when somebody would be ejected if the share allowed it. */
static bool judge_streaks(struct roster *r)
{
    uint32_t most = ejection_of(r)->consecutive_failures;
    bool     is_denied = false;
    char     reason[ROSTER_REASON_MAX];
    if (!most) return false;
    LIST_EACH (it, &r->members) {
        struct member *m = container_of(it, struct member, link);
        uint32_t count = atomic_load_explicit(&m->endpoint->live->failures, memory_order_relaxed);
        if (m->state != ENDPOINT_READY || count < most) continue;
        snprintf(reason, sizeof(reason), "%u failures in a row", count);
        if (may_eject(r) || change_places(r))
            eject(m, reason);
        else
            is_denied = true;
    }
    return is_denied;
}

struct rate {
    uint64_t outcomes, failed;
};

static struct rate rate_of(const struct member *m)
{
    const struct endpoint_live *l = m->endpoint->live;
    return (struct rate){
        atomic_load_explicit(&l->outcomes, memory_order_relaxed) - m->seen_outcomes,
        atomic_load_explicit(&l->failed, memory_order_relaxed) - m->seen_failed,
    };
}

static bool is_outlier(const struct rate *one, const struct rate *all, uint32_t percent)
{
    struct rate rest = { all->outcomes - one->outcomes, all->failed - one->failed };
    if (one->outcomes < RATE_REQUESTS_MIN || !rest.outcomes) return false;
    if (one->failed * 100 < percent * one->outcomes) return false;
    return one->failed * rest.outcomes > RATE_TIMES_OTHERS * rest.failed * one->outcomes;
}

static void judge_rates(struct roster *r)
{
    uint32_t    percent = ejection_of(r)->error_rate;
    struct rate all = { 0, 0 };
    char        reason[ROSTER_REASON_MAX];
    LIST_EACH (it, &r->members) {
        struct rate one = rate_of(container_of(it, struct member, link));
        all.outcomes += one.outcomes;
        all.failed += one.failed;
    }
    LIST_EACH (it, &r->members) {
        struct member *m = container_of(it, struct member, link);
        struct rate    one = rate_of(m);
        m->seen_outcomes += one.outcomes;
        m->seen_failed += one.failed;
        if (m->state != ENDPOINT_READY || !is_outlier(&one, &all, percent) || !may_eject(r))
            continue;
        snprintf(reason, sizeof(reason), "%llu of %llu requests failed",
                 (unsigned long long)one.failed, (unsigned long long)one.outcomes);
        eject(m, reason);
    }
}

void roster_suspect(struct roster *r)
{
    /* Not a store: what was counted before the suspicion is to be seen. */
    atomic_exchange(&r->upstream->is_suspected, false);
    if (!r->is_frozen) roster_tick(r);
}

/* ---- the clock ---- */

static void earlier(uint64_t *due_ms, uint64_t at_ms)
{
    if (!*due_ms || at_ms < *due_ms) *due_ms = at_ms;
}

static void end_ejections(struct roster *r, uint64_t *due_ms)
{
    uint64_t now_ms = r->loop->clock.now_ms;
    LIST_EACH (it, &r->members) {
        struct member *m = container_of(it, struct member, link);
        if (m->ejected_until_ms && m->ejected_until_ms <= now_ms) readmit(m);
        if (m->ejected_until_ms) earlier(due_ms, m->ejected_until_ms);
    }
}

static void grow_weights(struct roster *r, uint64_t *due_ms)
{
    uint64_t ramp_ms = r->upstream->settings->slow_start, now_ms = r->loop->clock.now_ms;
    LIST_EACH (it, &r->members) {
        struct member *m = container_of(it, struct member, link);
        if (!m->ramp_from_ms) continue;
        roster_change(r, false);
        if (now_ms - m->ramp_from_ms >= ramp_ms)
            m->ramp_from_ms = 0;
        else
            earlier(due_ms, now_ms + ramp_step_ms(r));
    }
}

void roster_tick(struct roster *r)
{
    const struct ejection_settings *s = ejection_of(r);
    uint64_t                        now_ms = r->loop->clock.now_ms, due_ms = 0;
    if (r->is_frozen) return;
    if (s->error_rate && s->max_share && r->member_count > 1) {
        if (now_ms - r->rated_ms >= s->interval) {
            if (r->rated_ms) judge_rates(r);
            r->rated_ms = now_ms;
        }
        earlier(&due_ms, r->rated_ms + s->interval);
    }
    if (judge_streaks(r)) earlier(&due_ms, now_ms + DENIED_MS);
    end_ejections(r, &due_ms);
    if (roster_has_ramp(r)) grow_weights(r, &due_ms);
    if (due_ms)
        deadline_set(r->loop, &r->tick, due_ms > now_ms ? due_ms - now_ms : 1);
    else
        deadline_clear(&r->tick);
}
