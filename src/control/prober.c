/* SPDX-License-Identifier: Apache-2.0
 *
 * When each member is checked, and what becomes of the verdict. See prober.h.
 *
 *   start --> waits --fewer run--> runs --judged--> rests --deadline--> waits
 *                                   |  \--judged--> drains --^
 *                                   timeout: judged
 *
 * At any point: stopped, and freed as soon as no connection and no call stands on it.
 */
#include "control/prober.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "control/prober_parts.h"
#include "io/proxy_protocol.h"

enum {
    BODIES_KEPT = 16,
    JITTER_PERCENT = 10, /* of the interval, either way */
    /* A deadline that comes so late is the gate's own doing: its thread was busy, and what
     * came meanwhile has perhaps not been looked at. */
    LATE_MS = 100,
    LATE_MAX = 3,
    /* Of a replica that does not listen yet, a 32nd of how long that has been. */
    KNOCK_PART = 32,
    KNOCK_MIN_MS = 50,
    KNOCK_MAX_MS = 5000,
    KNOCK_TIMEOUT_MS = 1000,
    KNOCK_TOLD_MS = 10000, /* so long, and it is worth a line */
};

/* Of upstreams without checks, whose sources do not tell whether a new replica listens. */
static const struct health_check_settings knock = { .type = CHECK_TCP,
                                                    .timeout = KNOCK_TIMEOUT_MS };

void prober_init(struct prober *p, struct loop *l, unsigned worker_count)
{
    *p = (struct prober){ .loop = l };
    upstream_client_init(&p->client, l, worker_count, &p->counters);
    list_init(&p->waiting);
    block_pool_init(&p->bodies, PROBE_BODY_BYTES, BODIES_KEPT);
}

void prober_reset(struct prober *p)
{
    upstream_client_reset(&p->client);
    block_pool_reset(&p->client.conn_blocks);
    p->client.conn_blocks.keep_count = 0; /* of those that are closed just now */
    block_pool_reset(&p->bodies);
    body_matcher_free(p->matcher);
    free(p->probed);
}

/* ---- upstreams ---- */

static const struct check_type *const types[] = {
    [CHECK_HTTP] = &probe_http,
    [CHECK_GRPC] = &probe_grpc,
    [CHECK_TLS] = &probe_tls,
    [CHECK_TCP] = &probe_tcp,
};

static struct slice make_preamble(struct probed *p)
{
    enum setting_proxy_protocol version = p->upstream->proxy_protocol;
    if (version == PROXY_PROTOCOL_OFF) return slice_make("", 0);
    char  *text = arena_alloc(&p->arena, PROXY_WRITE_MAX);
    size_t len = proxy_protocol_write(version == PROXY_PROTOCOL_V1 ? 1 : 2, NULL, NULL, text);
    return slice_make(text, len);
}

static struct probed *probed_new(struct upstream *u)
{
    struct probed *p = mem_zalloc(sizeof(*p));
    p->upstream = u;
    p->is_knock = !u->settings->health_check;
    p->settings = p->is_knock ? &knock : u->settings->health_check;
    p->type = types[p->settings->type];
    arena_init(&p->arena, NULL);
    p->preamble = make_preamble(p);
    if (p->settings->type == CHECK_HTTP) probe_http_prepare(p);
    if (p->settings->type == CHECK_GRPC) probe_grpc_prepare(p);
    return p;
}

static void probed_free(struct probed *p)
{
    body_regex_free(p->regex);
    arena_reset(&p->arena);
    free(p);
}

static struct probed *probed_of(const struct prober *p, const struct upstream *u)
{
    struct probed *of = u->slot < p->probed_count ? p->probed[u->slot] : NULL;
    return of && of->upstream == u ? of : NULL;
}

static void make_room(struct prober *p, uint32_t slot)
{
    if (slot < p->probed_count) return;
    uint32_t count = slot + 16;
    p->probed = mem_realloc(p->probed, count * sizeof(struct probed *));
    memset(p->probed + p->probed_count, 0, (count - p->probed_count) * sizeof(struct probed *));
    p->probed_count = count;
}

void prober_adopt(struct prober *p, struct upstream *u)
{
    upstream_client_adopt(&p->client, u);
    if (!u->settings->health_check && !u->settings->docker) return;
    make_room(p, u->slot);
    if (!p->probed[u->slot]) p->probed[u->slot] = probed_new(u);
    struct probed *of = p->probed[u->slot];
    of->adopt_count++;
    if (of->regex && !p->matcher) p->matcher = body_matcher_new();
}

void prober_release(struct prober *p, struct upstream *u)
{
    struct probed *of = probed_of(p, u);
    upstream_client_release(&p->client, u);
    if (!of || --of->adopt_count) return;
    p->probed[u->slot] = NULL;
    probed_free(of);
}

/* ---- the end of one ---- */

static void free_if_done(struct check *c)
{
    if (c->state == CHECK_STOPPED && !c->has_conn && !c->is_judging) free(c);
}

void check_conn_gone(struct check *c)
{
    c->has_conn = false;
    free_if_done(c);
}

static void begin(struct check *c);

static void begin_waiting(struct prober *p)
{
    while (p->running_count < PROBER_RUNNING_MAX && !list_is_empty(&p->waiting)) {
        struct check *c = container_of(p->waiting.next, struct check, link);
        list_remove(&c->link);
        begin(c);
    }
}

/* Lets go of what it has; others may run. */
static void let_go(struct check *c)
{
    c->of->type->stop(c);
    c->prober->running_count--;
    c->state = CHECK_RESTS;
    begin_waiting(c->prober);
}

static void set_deadline(struct check *c, uint64_t after_ms)
{
    c->due_ms = c->prober->loop->clock.now_ms + after_ms;
    deadline_set(c->prober->loop, &c->deadline, after_ms);
}

static uint64_t knock_pace(struct check *c)
{
    const struct prober *p = c->prober;
    uint64_t             so_far_ms = p->loop->clock.now_ms - c->first_ms;
    uint64_t             ms = so_far_ms / KNOCK_PART;
    if (so_far_ms > KNOCK_TOLD_MS && !c->is_told) {
        c->is_told = true;
        log_warn(p->loop->log, "upstream %s: %s %s; it is tried on", c->of->upstream->name,
                 c->member->endpoint->text, c->member->reason);
    }
    return ms < KNOCK_MIN_MS ? KNOCK_MIN_MS : ms > KNOCK_MAX_MS ? KNOCK_MAX_MS : ms;
}

/* From the beginning of one to that of the next. Once, that is anywhere in the interval, so
 * that those who began together do not go on together. */
static uint64_t pace(struct check *c)
{
    if (c->of->is_knock) return knock_pace(c);
    const struct health_check_settings *s = c->of->settings;
    uint64_t                            interval_ms = s->interval;
    bool                                is_unsure = roster_is_unsure(c->member);
    if (is_unsure && s->fast_interval < interval_ms) interval_ms = s->fast_interval;
    struct random *random = &c->prober->loop->random;
    if (!c->is_spread && !is_unsure) {
        c->is_spread = true;
        return random_below(random, (uint32_t)interval_ms);
    }
    uint32_t range_ms = (uint32_t)(interval_ms * 2 * JITTER_PERCENT / 100);
    return interval_ms - range_ms / 2 + random_below(random, range_ms + 1);
}

static void rest(struct check *c)
{
    uint64_t now_ms = c->prober->loop->clock.now_ms, at_ms = c->began_ms + pace(c);
    set_deadline(c, at_ms > now_ms ? at_ms - now_ms : 1);
}

void check_judge(struct check *c, bool is_good, bool is_over, const char *output)
{
    uint64_t us = (clock_mono_ns() - c->began_ns) / 1000;
    if (is_over)
        let_go(c);
    else
        c->state = CHECK_DRAINS;
    c->is_judging = true;
    roster_judge(c->member, is_good, output, us);
    if (c->of->is_knock && is_good && c->state != CHECK_STOPPED) prober_stop(c->prober, c->member);
    c->is_judging = false;
    if (c->state == CHECK_STOPPED)
        free_if_done(c);
    else if (is_over)
        rest(c);
}

void check_fail(struct check *c, const char *format, ...)
{
    char    output[ROSTER_REASON_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(output, sizeof(output), format, args);
    va_end(args);
    check_judge(c, false, true, output);
}

void check_drained(struct check *c)
{
    let_go(c);
    rest(c);
}

void check_unconnected(struct check *c, const char *why)
{
    struct prober *p = c->prober;
    if (!slice_starts_with(slice_of(why), S("the gate"))) {
        check_fail(c, "%s", why);
        return;
    }
    log_bounded(p->loop->log, &p->log_budget, p->loop->clock.now_ms, LOG_LEVEL_WARN,
                "upstream %s: %s cannot be checked: %s", c->of->upstream->name,
                c->member->endpoint->text, why);
    check_drained(c);
}

/* ---- the clock ---- */

static void time_out(struct check *c)
{
    uint64_t    ms = c->of->settings->timeout;
    bool        is_whole = ms % 1000 == 0;
    const char *what = c->of->type->is_connected(c) ? "answer" : "connection";
    check_fail(c, "no %s within %llu%s", what, (unsigned long long)(is_whole ? ms / 1000 : ms),
               is_whole ? "s" : "ms");
}

/* The loop takes input before it looks at deadlines, but not all of it when there is very
 * much: then the check has as much longer as this thread was late. */
static bool is_gate_late(struct check *c)
{
    uint64_t late_ms = c->prober->loop->clock.now_ms - c->due_ms;
    if (late_ms < LATE_MS || c->late_count == LATE_MAX) return false;
    c->late_count++;
    set_deadline(c, late_ms < c->of->settings->timeout ? late_ms : c->of->settings->timeout);
    return true;
}

static void make_due(struct check *c)
{
    c->state = CHECK_WAITS;
    list_append(&c->prober->waiting, &c->link);
    begin_waiting(c->prober);
}

static void run_deadline(struct deadline *d)
{
    struct check *c = container_of(d, struct check, deadline);
    switch (c->state) {
    case CHECK_RESTS: make_due(c); break;
    case CHECK_RUNS:
        if (!is_gate_late(c)) time_out(c);
        break;
    case CHECK_DRAINS: check_drained(c); break;
    case CHECK_WAITS:
    case CHECK_STOPPED: break;
    }
}

static void begin(struct check *c)
{
    struct prober *p = c->prober;
    p->running_count++;
    c->state = CHECK_RUNS;
    c->late_count = 0;
    c->began_ms = p->loop->clock.now_ms;
    c->began_ns = clock_mono_ns();
    set_deadline(c, c->of->settings->timeout);
    c->of->type->start(c);
}

/* ---- members ---- */

void prober_start(struct prober *p, struct member *m)
{
    struct probed *of = probed_of(p, m->roster->upstream);
    if (!of || m->prober || (of->is_knock && !m->is_silent)) return;
    struct check *c = mem_zalloc(sizeof(*c));
    c->prober = p;
    c->of = of;
    c->member = m;
    c->first_ms = p->loop->clock.now_ms;
    list_init(&c->link);
    deadline_init(&c->deadline, run_deadline);
    arena_init(&c->arena, &p->loop->small_blocks);
    m->prober = c;
    make_due(c);
}

void prober_stop(struct prober *p, struct member *m)
{
    struct check *c = m->prober;
    if (!c) return;
    m->prober = NULL;
    list_remove(&c->link);
    if (c->state == CHECK_RUNS || c->state == CHECK_DRAINS) let_go(c);
    deadline_remove(&c->deadline);
    c->state = CHECK_STOPPED;
    upstream_client_let_go(&p->client, c->of->upstream, m->endpoint);
    free_if_done(c);
}
