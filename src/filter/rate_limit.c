/* SPDX-License-Identifier: Apache-2.0
 *
 * Rate limits. See rate_limit.h.
 */
#include "filter/rate_limit.h"

#include <stdalign.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/counter.h"
#include "base/decimal.h"
#include "base/gcra.h"
#include "base/memory.h"
#include "filter/limit_remote.h"
#include "io/alarm.h"

enum { CLOSED_RETRY_MS = 1000 };

/* Written by one worker each. */
struct rule_counters {
    alignas(64) struct counter admitted;
    struct counter   delayed;
    struct counter   refused;
    struct counter   fallbacks;
    struct limit_top top;
};

struct rate_limit {
    struct arena               arena;
    struct slice               name;
    struct slice               label;  /* the name as a string of a structured field */
    struct slice               policy; /* RateLimit-Policy */
    struct slice               quota;  /* of it, q */
    struct request_key         key;
    struct cidr_set            allow;
    struct gcra_table         *table;  /* with a remote: while that cannot be asked */
    struct limit_remote       *remote; /* NULL: all counts are in the table */
    struct gcra_rule           rule;
    unsigned                   worker_count;
    struct rule_counters      *counters;
    enum setting_limit_headers headers;
    uint16_t                   status;
    bool                       delays;
    bool                       is_dry_run;
};

/* What a rule said of the request; is_known: it was asked. */
struct verdict {
    struct gcra_decision decision;
    bool                 is_known;
    bool                 is_closed; /* refused because Redis could not be asked */
};

/* One request's, until it ends. */
struct limit_state {
    struct exchange               *exchange;
    const struct rate_limit_chain *chain;
    size_t                         refused_by; /* index; chain->count: by none */
    uint64_t                       wait_ms;    /* until it is its turn by all rules */
    struct alarm                   alarm;
    struct limit_ask               ask;
    size_t                         next; /* the rule to be judged */
    struct verdict                 verdicts[];
};

/* ---- rules ---- */

/* q: what a full bucket holds; w: the time in which an empty one fills. RFC 9651 has
 * strings as JSON does, as far as names go. */
static void describe(struct rate_limit *l)
{
    struct buffer label = BUFFER_INIT;
    uint64_t      quota = l->rule.interval_ns ? l->rule.span_ns / l->rule.interval_ns : 1;
    uint64_t      window_s = (l->rule.span_ns + 999999999) / 1000000000;
    buffer_put_json(&label, l->name);
    l->label = arena_copy(&l->arena, buffer_slice(&label));
    l->quota = arena_printf(&l->arena, "%llu", (unsigned long long)quota);
    l->policy = arena_printf(&l->arena, "%.*s;q=%.*s;w=%llu", SLICE_ARG(l->label),
                             SLICE_ARG(l->quota), (unsigned long long)window_s);
    buffer_reset(&label);
}

static void take_allowed(struct rate_limit *l, const struct text_list *allow)
{
    struct error ignored;
    l->allow.items = arena_zalloc(&l->arena, allow->count * sizeof(*l->allow.items));
    for (size_t i = 0; i < allow->count; i++) /* the configuration has checked them */
        if (cidr_parse(&l->allow.items[l->allow.count], allow->items[i], &ignored))
            l->allow.count++;
}

struct rate_limit *rate_limit_new(const struct rate_limit_settings *s, struct limit_store *store,
                                  unsigned worker_count)
{
    struct gcra_table *table = gcra_table_new(s->memory);
    if (!table) return NULL;
    struct rate_limit *l = mem_zalloc(sizeof(*l));
    arena_init(&l->arena, NULL);
    l->name = arena_copy(&l->arena, s->name);
    request_key_build(&l->key, &s->key, &l->arena);
    take_allowed(l, &s->allow);
    l->table = table;
    l->rule = gcra_rule_make(s->rate_count, s->rate_period, s->burst);
    l->worker_count = worker_count;
    l->counters =
        mem_zalloc_aligned(alignof(struct rule_counters), worker_count * sizeof(*l->counters));
    l->headers = s->headers;
    l->status = s->status;
    l->delays = s->delay;
    l->is_dry_run = s->dry_run;
    describe(l);
    if (s->store != STORE_REDIS || !store) return l;
    l->remote = limit_remote_new(store, s);
    if (l->remote) return l;
    rate_limit_free(l);
    return NULL;
}

void rate_limit_free(struct rate_limit *l)
{
    if (!l) return;
    limit_remote_free(l->remote);
    gcra_table_free(l->table);
    free(l->counters);
    arena_reset(&l->arena);
    free(l);
}

/* ---- requests ---- */

/* The key that the rule counts the request under; empty: it does not. */
static struct slice key_of(const struct rate_limit *l, struct exchange *x)
{
    if (l->allow.count && cidr_set_has(&l->allow, exchange_client(x))) return S("");
    return exchange_key(x, &l->key);
}

/* A gateway's part of the limit, all of which together are to have no more than it. */
static struct gcra_rule share_of(const struct rate_limit *l)
{
    uint64_t         n = limit_remote_gateways(l->remote);
    uint64_t         burst = l->rule.span_ns / l->rule.interval_ns - 1;
    struct gcra_rule share = { .interval_ns = l->rule.interval_ns * n };
    share.span_ns = share.interval_ns * (burst / n + 1);
    return share;
}

/* What Redis admits is charged here too, so that a failure does not begin with a full bucket. */
static void mirror(const struct rate_limit *l, struct slice key, uint64_t now_ns)
{
    struct gcra_rule share;
    if (limit_remote_on_failure(l->remote) != ON_FAILURE_LOCAL) return;
    share = share_of(l);
    (void)gcra_take(l->table, key, &share, now_ns);
}

/* Redis cannot be asked: LIMIT_FAILED or LIMIT_LATE. */
static void fall_back(struct limit_state *s, size_t i, struct slice key, enum limit_outcome how)
{
    const struct rate_limit *l = s->chain->rules[i];
    struct exchange         *x = s->exchange;
    struct verdict          *v = &s->verdicts[i];
    struct gcra_rule         share;
    unsigned                 worker = exchange_worker_index(x);
    counter_add(&l->counters[worker].fallbacks, 1);
    switch (limit_remote_on_failure(l->remote)) {
    case ON_FAILURE_LOCAL:
        share = share_of(l);
        v->decision = gcra_take(l->table, key, &share, exchange_clock(x)->now_ns);
        if (v->decision.admitted && how == LIMIT_FAILED)
            limit_remote_owe(l->remote, worker, key, v->decision.reset_ms);
        break;
    case ON_FAILURE_OPEN:
        v->decision.admitted = true;
        v->is_known = false;
        break;
    case ON_FAILURE_CLOSED:
        v->decision.admitted = false;
        v->decision.retry_after_ms = CLOSED_RETRY_MS;
        v->is_closed = true;
        break;
    }
}

static void take_decision(struct limit_state *s, size_t i, struct slice key)
{
    s->verdicts[i].decision = s->ask.decision;
    if (s->ask.decision.admitted)
        mirror(s->chain->rules[i], key, exchange_clock(s->exchange)->now_ns);
}

/* False: the rule has still to say something. */
static bool ask(struct limit_state *s, size_t i)
{
    struct rate_limit *l = s->chain->rules[i];
    struct exchange   *x = s->exchange;
    struct verdict    *v = &s->verdicts[i];
    struct slice       key = key_of(l, x);
    v->decision.admitted = true;
    if (!key.len) return true;
    v->is_known = true;
    if (!l->remote) {
        v->decision = gcra_take(l->table, key, &l->rule, exchange_clock(x)->now_ns);
        return true;
    }
    switch (limit_remote_take(l->remote, exchange_worker_index(x), key, &s->ask)) {
    case LIMIT_DECIDED: take_decision(s, i, key); return true;
    case LIMIT_FAILED:
    case LIMIT_LATE: fall_back(s, i, key, LIMIT_FAILED); return true;
    case LIMIT_WAITS: break;
    }
    return false;
}

/* False: the request is refused. */
static bool judge(struct limit_state *s, size_t i)
{
    struct rate_limit    *l = s->chain->rules[i];
    struct verdict       *v = &s->verdicts[i];
    struct rule_counters *counters = &l->counters[exchange_worker_index(s->exchange)];
    if (!v->is_known) return true;
    counter_add(v->decision.admitted ? &counters->admitted : &counters->refused, 1);
    if (!v->decision.admitted) {
        limit_top_note(&counters->top, key_of(l, s->exchange), exchange_clock(s->exchange)->now_ms);
        exchange_note_limit(s->exchange, l->name, l->is_dry_run);
        return l->is_dry_run;
    }
    if (!l->delays || l->is_dry_run || !v->decision.early_ms) return true;
    counter_add(&counters->delayed, 1);
    if (s->wait_ms < v->decision.early_ms) s->wait_ms = v->decision.early_ms;
    return true;
}

/* What rules would say that were not asked any more: for the headers alone. */
static void peek_from(struct limit_state *s, size_t i)
{
    for (; i < s->chain->count; i++) {
        const struct rate_limit *l = s->chain->rules[i];
        struct slice             key = key_of(l, s->exchange);
        if (!key.len || l->remote) continue; /* what others know is not asked for that */
        s->verdicts[i].is_known = true;
        s->verdicts[i].decision =
            gcra_peek(l->table, key, &l->rule, exchange_clock(s->exchange)->now_ns);
    }
}

static void on_turn(struct alarm *a)
{
    exchange_continue(container_of(a, struct limit_state, alarm)->exchange);
}

static enum filter_result refuse(struct limit_state *s, size_t i)
{
    bool is_closed = s->verdicts[i].is_closed;
    s->refused_by = i;
    peek_from(s, i + 1);
    exchange_reply_status(s->exchange, is_closed ? 503 : s->chain->rules[i]->status,
                          is_closed ? "limit_store_down" : "rate_limited");
    return FILTER_REPLY;
}

/* From the rule s->next on, whose verdict is there or not (`is_asked`). */
static enum filter_result go_on(struct limit_state *s, bool is_asked)
{
    for (; s->next < s->chain->count; s->next++) {
        if (!is_asked && !ask(s, s->next)) return FILTER_PAUSE;
        is_asked = false;
        if (!judge(s, s->next)) return refuse(s, s->next);
    }
    if (!s->wait_ms) return FILTER_CONTINUE;
    alarm_set(exchange_loop(s->exchange), &s->alarm, s->wait_ms);
    return FILTER_PAUSE;
}

static bool on_answer(struct limit_ask *a)
{
    struct limit_state *s = container_of(a, struct limit_state, ask);
    struct slice        key = key_of(s->chain->rules[s->next], s->exchange);
    if (a->outcome == LIMIT_DECIDED)
        take_decision(s, s->next, key);
    else
        fall_back(s, s->next, key, a->outcome);
    bool passes = s->verdicts[s->next].decision.admitted;
    if (go_on(s, true) == FILTER_CONTINUE) exchange_continue(s->exchange);
    return passes;
}

static enum filter_result on_request(struct exchange *x, const void *config, void **state)
{
    const struct rate_limit_chain *chain = config;
    struct limit_state            *s =
        arena_zalloc(exchange_arena(x), sizeof(*s) + chain->count * sizeof(s->verdicts[0]));
    s->exchange = x;
    s->chain = chain;
    s->refused_by = chain->count;
    s->ask.on_answer = on_answer;
    alarm_init(&s->alarm, on_turn);
    *state = s;
    return go_on(s, false);
}

static void on_end(struct exchange *x, const void *config, void *state)
{
    struct limit_state *s = state;
    (void)x;
    (void)config;
    if (!s) return;
    alarm_clear(&s->alarm);
    limit_forget(&s->ask);
}

/* ---- answers ---- */

static uint64_t seconds_up(uint64_t ms)
{
    return ms / 1000 + (ms % 1000 != 0);
}

static struct slice number_text(struct arena *a, uint64_t n)
{
    char *text = arena_alloc(a, DECIMAL_BYTES_MAX);
    return slice_make(text, (size_t)(decimal_put(text, n) - text));
}

static char *put(char *to, struct slice s)
{
    memcpy(to, s.data, s.len);
    return to + s.len;
}

/* What all requests of the rule get, so without printf: "api";r=42;t=7 */
static struct slice state_text(const struct rate_limit *l, const struct gcra_decision *d,
                               struct arena *a)
{
    char *text = arena_alloc(a, l->label.len + 6 + 2 * DECIMAL_BYTES_MAX);
    char *to = decimal_put(put(put(text, l->label), S(";r=")), d->remaining);
    to = decimal_put(put(to, S(";t=")), seconds_up(d->reset_ms));
    return slice_make(text, (size_t)(to - text));
}

static void put_standard(const struct rate_limit *l, const struct gcra_decision *d, struct arena *a,
                         struct http_fields *to)
{
    http_fields_add(to, a, FIELD_OTHER, S("RateLimit-Policy"), l->policy);
    http_fields_add(to, a, FIELD_OTHER, S("RateLimit"), state_text(l, d, a));
}

static void put_legacy(const struct rate_limit *l, const struct gcra_decision *d, struct arena *a,
                       struct http_fields *to)
{
    http_fields_set_named(to, a, S("X-RateLimit-Limit"), l->quota);
    http_fields_set_named(to, a, S("X-RateLimit-Remaining"), number_text(a, d->remaining));
    http_fields_set_named(to, a, S("X-RateLimit-Reset"), number_text(a, seconds_up(d->reset_ms)));
}

/* Legacy headers know one limit: that of which the least is left. A replica's own are replaced,
 * since nobody can tell two of them apart. */
static void on_response(struct exchange *x, const void *config, void *state, struct http_head *head)
{
    const struct limit_state *s = state;
    struct arena             *a = exchange_arena(x);
    size_t                    tightest = SIZE_MAX;
    (void)config;
    if (!s) return;
    for (size_t i = 0; i < s->chain->count; i++) {
        const struct rate_limit    *l = s->chain->rules[i];
        const struct gcra_decision *d = &s->verdicts[i].decision;
        if (!s->verdicts[i].is_known || l->is_dry_run) continue;
        if (l->headers != LIMIT_HEADERS_OFF) put_standard(l, d, a, &head->fields);
        if (l->headers != LIMIT_HEADERS_LEGACY) continue;
        if (tightest == SIZE_MAX || d->remaining < s->verdicts[tightest].decision.remaining)
            tightest = i;
    }
    if (tightest != SIZE_MAX)
        put_legacy(s->chain->rules[tightest], &s->verdicts[tightest].decision, a, &head->fields);
    if (s->refused_by == s->chain->count) return;
    const struct gcra_decision *refusal = &s->verdicts[s->refused_by].decision;
    http_fields_set(&head->fields, a, FIELD_RETRY_AFTER,
                    number_text(a, seconds_up(refusal->retry_after_ms)));
}

const struct filter_ops filter_rate_limit = {
    .name = "rate_limit",
    .on_request = on_request,
    .on_response = on_response,
    .on_end = on_end,
};

/* ---- for control ---- */

struct slice rate_limit_name(const struct rate_limit *l)
{
    return l->name;
}

struct rate_limit_counts rate_limit_count(const struct rate_limit *l)
{
    struct rate_limit_counts sum = { .evictions = gcra_evictions(l->table) };
    for (unsigned i = 0; i < l->worker_count; i++) {
        sum.admitted += counter_get(&l->counters[i].admitted);
        sum.delayed += counter_get(&l->counters[i].delayed);
        sum.refused += counter_get(&l->counters[i].refused);
        sum.fallbacks += counter_get(&l->counters[i].fallbacks);
    }
    if (!l->remote) return sum;
    struct lease_counts leases = limit_remote_count(l->remote);
    sum.evictions += leases.evictions;
    sum.lost_tokens = leases.lost_tokens;
    return sum;
}

size_t rate_limit_top(const struct rate_limit *l, struct limit_top_key *to, size_t most)
{
    struct limit_top_key *all = mem_alloc(l->worker_count * LIMIT_TOP_COUNT * sizeof(*all));
    size_t                count = 0;
    for (unsigned i = 0; i < l->worker_count; i++)
        count += limit_top_read(&l->counters[i].top, all + count);
    count = limit_top_merge(all, count);
    if (count > most) count = most;
    memcpy(to, all, count * sizeof(*to));
    free(all);
    return count;
}

struct limit_remote *rate_limit_remote(const struct rate_limit *l)
{
    return l->remote;
}
