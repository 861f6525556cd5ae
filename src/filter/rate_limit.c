/* SPDX-License-Identifier: Apache-2.0
 *
 * Rate limits. See rate_limit.h.
 */
#include "filter/rate_limit.h"

#include <stdalign.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/counter.h"
#include "base/gcra.h"
#include "base/memory.h"

enum { TABLE_BYTES = 16 * 1024 * 1024 };

/* Written by one worker each. */
struct limit_counters {
    alignas(64) struct counter admitted;
    struct counter refused;
};

struct rate_limit {
    char                  *name;
    struct gcra_table     *table;
    struct gcra_rule       rule;
    unsigned               worker_count;
    struct limit_counters *counters;
    char                  *policy; /* RateLimit-Policy */
    uint16_t               status;
    bool                   is_dry_run;
};

/* One request's outcome, until the answer's head is made. */
struct limit_state {
    struct gcra_decision decision;
    bool                 is_refused;
};

/* "name";q=burst + 1;w=seconds: the quota of the bucket and the time in which an
 * empty one fills. */
static char *make_policy(const struct rate_limit *l)
{
    struct buffer b = BUFFER_INIT;
    uint64_t      quota = l->rule.interval_ns ? l->rule.span_ns / l->rule.interval_ns : 1;
    uint64_t      window_s = (l->rule.span_ns + 999999999) / 1000000000;
    buffer_put_json(&b, slice_of(l->name));
    buffer_printf(&b, ";q=%llu;w=%llu", (unsigned long long)quota, (unsigned long long)window_s);
    return buffer_detach(&b);
}

struct rate_limit *rate_limit_new(const struct rate_limit_settings *s, unsigned worker_count)
{
    struct rate_limit *l = mem_zalloc(sizeof(*l));
    l->name = mem_slicedup(s->name);
    l->table = gcra_table_new(TABLE_BYTES);
    l->rule = gcra_rule_make(s->rate_count, s->rate_period, s->burst);
    l->worker_count = worker_count;
    l->counters =
        mem_zalloc_aligned(alignof(struct limit_counters), worker_count * sizeof(*l->counters));
    l->status = s->status;
    l->is_dry_run = s->dry_run;
    l->policy = make_policy(l);
    return l;
}

void rate_limit_free(struct rate_limit *l)
{
    if (!l) return;
    gcra_table_free(l->table);
    free(l->counters);
    free(l->policy);
    free(l->name);
    free(l);
}

/* An IPv6 client has a /64 of its own: more bits would give it 2^64 buckets. */
static struct slice key_of(const struct address *client)
{
    size_t len = client->family == ADDRESS_V4 ? 4 : client->family == ADDRESS_V6 ? 8 : 0;
    return slice_make((const char *)client->ip, len);
}

static enum filter_result on_request(struct exchange *x, const void *config, void **state)
{
    const struct rate_limit *l = config;
    struct limit_state      *s = arena_zalloc(exchange_arena(x), sizeof(*s));
    struct limit_counters   *counters = &l->counters[exchange_worker_index(x)];
    s->decision =
        gcra_take(l->table, key_of(exchange_client(x)), &l->rule, exchange_clock(x)->now_ns);
    *state = s;
    counter_add(s->decision.admitted ? &counters->admitted : &counters->refused, 1);
    if (s->decision.admitted || l->is_dry_run) return FILTER_CONTINUE;
    s->is_refused = true;
    exchange_reply_status(x, l->status, "rate_limited");
    return FILTER_REPLY;
}

static unsigned long long seconds_up(uint64_t ms)
{
    return (unsigned long long)((ms + 999) / 1000);
}

static void on_response(struct exchange *x, const void *config, void *state, struct http_head *head)
{
    const struct rate_limit  *l = config;
    const struct limit_state *s = state;
    struct arena             *a = exchange_arena(x);
    if (!s || l->is_dry_run) return;
    struct buffer name = BUFFER_INIT;
    buffer_put_json(&name, slice_of(l->name));
    struct slice now = arena_printf(a, "%.*s;r=%u;t=%llu", SLICE_ARG(buffer_slice(&name)),
                                    s->decision.remaining, seconds_up(s->decision.reset_ms));
    buffer_reset(&name);
    http_fields_add_named(&head->fields, a, S("RateLimit-Policy"), slice_of(l->policy));
    http_fields_add_named(&head->fields, a, S("RateLimit"), now);
    if (!s->is_refused) return;
    struct slice wait = arena_printf(a, "%llu", seconds_up(s->decision.retry_after_ms));
    http_fields_set(&head->fields, a, FIELD_RETRY_AFTER, wait);
}

const struct filter_ops filter_rate_limit = {
    .name = "rate_limit",
    .on_request = on_request,
    .on_response = on_response,
};

struct slice rate_limit_name(const struct rate_limit *l)
{
    return slice_of(l->name);
}

struct rate_limit_counts rate_limit_count(const struct rate_limit *l)
{
    struct rate_limit_counts sum = { .evictions = gcra_evictions(l->table) };
    for (unsigned i = 0; i < l->worker_count; i++) {
        sum.admitted += counter_get(&l->counters[i].admitted);
        sum.refused += counter_get(&l->counters[i].refused);
    }
    return sum;
}
