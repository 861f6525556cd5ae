/* SPDX-License-Identifier: Apache-2.0
 *
 * What the admin listeners and the metrics tell of limits: the rules, who is refused
 * most, and the store that gateways share.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "conf/types.h"
#include "conf/value.h"
#include "control/gate_parts.h"
#include "filter/concurrency.h"
#include "filter/limit_remote.h"
#include "filter/rate_limit.h"

enum { TOP_SHOWN = 10, PART_HEAD_BYTES = 4 };

/* ---- which there are ---- */

/* Those of the present plan by name, each once. */
struct limits {
    struct map rates, concurrencies;
};

static void find_limits(struct limits *l, const struct plan *p)
{
    map_init(&l->rates);
    map_init(&l->concurrencies);
    for (size_t i = 0; i < p->route_count; i++)
        for (size_t k = 0; k < p->routes[i].filter_count; k++) {
            const struct plan_filter       *f = &p->routes[i].filters[k];
            const struct rate_limit_chain  *r = f->ops == &filter_rate_limit ? f->config : NULL;
            const struct concurrency_chain *c = f->ops == &filter_concurrency ? f->config : NULL;
            for (size_t n = 0; r && n < r->count; n++)
                map_put(&l->rates, rate_limit_name(r->rules[n]), r->rules[n]);
            for (size_t n = 0; c && n < c->count; n++)
                map_put(&l->concurrencies, concurrency_limit_name(c->limits[n]), c->limits[n]);
        }
}

static void limits_reset(struct limits *l)
{
    map_reset(&l->rates);
    map_reset(&l->concurrencies);
}

/* NULL: the present plan needs none. */
static struct limit_store *find_store(const struct plan *p)
{
    for (size_t i = 0; i < p->part_count; i++)
        if (p->parts[i].ops == &limit_store_part) return p->parts[i].part;
    return NULL;
}

/* ---- JSON ---- */

static void put_number(struct buffer *to, const char *key, uint64_t value)
{
    buffer_printf(to, ",\"%s\":%llu", key, (unsigned long long)value);
}

static void put_text(struct buffer *to, const char *key, struct slice text)
{
    buffer_printf(to, ",\"%s\":", key);
    buffer_put_json(to, text);
}

static void put_key(struct buffer *to, const struct text_list *parts)
{
    buffer_puts(to, ",\"key\":[");
    for (size_t i = 0; i < parts->count; i++) {
        if (i) buffer_put_char(to, ',');
        buffer_put_json(to, parts->items[i]);
    }
    if (!parts->count) buffer_puts(to, "\"client_ip\"");
    buffer_put_char(to, ']');
}

/* Of a key of several parts each has its length before it, as exchange_key() writes them. */
static void put_parts(struct buffer *to, struct slice key)
{
    const char *between = "";
    while (key.len >= PART_HEAD_BYTES) {
        const unsigned char *head = (const unsigned char *)key.data;
        size_t len = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
        key = slice_from(key, PART_HEAD_BYTES);
        if (len > key.len) len = key.len; /* it was cut */
        buffer_puts(to, between);
        buffer_put(to, key.data, len);
        key = slice_from(key, len);
        between = " ";
    }
}

static void put_top_key(struct buffer *to, const struct limit_top_key *key, bool has_parts)
{
    struct buffer text = BUFFER_INIT;
    struct slice  shown = slice_make(key->text, key->shown);
    if (has_parts)
        put_parts(&text, shown);
    else
        buffer_put_slice(&text, shown);
    if (key->shown < key->length) buffer_puts(&text, "...");
    buffer_puts(to, "{\"key\":");
    buffer_put_json(to, buffer_slice(&text));
    put_number(to, "refused", key->count);
    buffer_put_char(to, '}');
    buffer_reset(&text);
}

static void put_top(struct buffer *to, const struct rate_limit *l, bool has_parts)
{
    struct limit_top_key keys[TOP_SHOWN];
    size_t               count = rate_limit_top(l, keys, TOP_SHOWN);
    buffer_puts(to, ",\"top\":[");
    for (size_t i = 0; i < count; i++) {
        if (i) buffer_put_char(to, ',');
        put_top_key(to, &keys[i], has_parts);
    }
    buffer_put_char(to, ']');
}

static void put_counts(struct buffer *to, const struct rate_limit *l, bool has_parts)
{
    struct rate_limit_counts c = rate_limit_count(l);
    put_number(to, "admitted", c.admitted);
    put_number(to, "delayed", c.delayed);
    put_number(to, "refused", c.refused);
    put_number(to, "fallbacks", c.fallbacks);
    put_number(to, "evictions", c.evictions);
    put_number(to, "lost_tokens", c.lost_tokens);
    put_top(to, l, has_parts);
}

/* `l` NULL: no route names it. */
static void put_rule(struct buffer *to, const struct rate_limit_settings *s,
                     const struct rate_limit *l)
{
    struct buffer rate = BUFFER_INIT;
    value_put_rate(&rate, s->rate_count, s->rate_period);
    buffer_puts(to, "{\"name\":");
    buffer_put_json(to, s->name);
    put_key(to, &s->key.parts);
    put_text(to, "rate", buffer_slice(&rate));
    put_number(to, "burst", s->burst);
    put_text(to, "store", s->store == STORE_REDIS ? S("redis") : S("local"));
    if (l && rate_limit_remote(l))
        put_text(to, "mode", slice_of(limit_remote_mode(rate_limit_remote(l))));
    buffer_printf(to, ",\"delay\":%s,\"dry_run\":%s,\"used\":%s", s->delay ? "true" : "false",
                  s->dry_run ? "true" : "false", l ? "true" : "false");
    if (l) put_counts(to, l, s->key.parts.count > 1);
    buffer_put_char(to, '}');
    buffer_reset(&rate);
}

/* `l` NULL: no route names it. */
static void put_concurrency(struct buffer *to, const struct concurrency_limit_settings *s,
                            const struct concurrency_limit *l)
{
    struct concurrency_counts c = { 0 };
    if (l) c = concurrency_limit_count(l);
    buffer_puts(to, "{\"name\":");
    buffer_put_json(to, s->name);
    put_key(to, &s->key.parts);
    put_number(to, "max", s->max);
    buffer_printf(to, ",\"dry_run\":%s,\"used\":%s", s->dry_run ? "true" : "false",
                  l ? "true" : "false");
    put_number(to, "active", c.active);
    put_number(to, "admitted", c.admitted);
    put_number(to, "refused", c.refused);
    put_number(to, "untracked", c.untracked);
    buffer_put_char(to, '}');
}

static void put_all(struct gate *g, struct buffer *to)
{
    const struct settings *s = g->current->settings;
    struct limits          l;
    find_limits(&l, g->current);
    buffer_puts(to, "\"rate_limits\":[");
    for (size_t i = 0; i < s->rate_limit_count; i++) {
        if (i) buffer_put_char(to, ',');
        put_rule(to, &s->rate_limits[i], map_get(&l.rates, s->rate_limits[i].name));
    }
    buffer_puts(to, "],\"concurrency_limits\":[");
    for (size_t i = 0; i < s->concurrency_limit_count; i++) {
        const struct concurrency_limit_settings *one = &s->concurrency_limits[i];
        if (i) buffer_put_char(to, ',');
        put_concurrency(to, one, map_get(&l.concurrencies, one->name));
    }
    buffer_put_char(to, ']');
    limits_reset(&l);
}

static const char *const failure_words[] = {
    [ON_FAILURE_LOCAL] = "local",
    [ON_FAILURE_OPEN] = "open",
    [ON_FAILURE_CLOSED] = "closed",
};

static void put_calls(struct buffer *to, const struct limit_store *st)
{
    struct limit_store_counts c = limit_store_count(st);
    put_number(to, "connections", c.ready);
    put_number(to, "circuits_open", c.open);
    put_number(to, "circuits_opened", c.opened);
    put_number(to, "calls", c.calls);
    put_number(to, "replies", c.replies);
    put_number(to, "late", c.late);
    put_number(to, "lost", c.lost);
    put_number(to, "errors", c.errors);
    put_number(to, "not_sent", c.refused);
    put_number(to, "mean_reply_us", c.replies ? c.reply_us / c.replies : 0);
}

static void put_store(struct gate *g, struct buffer *to)
{
    const struct limit_store *st = find_store(g->current);
    struct redis_watch_status w;
    char                      trouble[128];
    buffer_puts(to, "\"store\":");
    if (!st || !gate_store_status(st, &w)) {
        buffer_puts(to, "null");
        return;
    }
    limit_store_trouble(st, trouble, sizeof(trouble));
    uint64_t now_ms = g->loop->clock.now_ms;
    buffer_printf(to, "{\"mode\":\"%s\",\"connected\":%s", w.mode,
                  w.is_connected ? "true" : "false");
    put_text(to, "at", slice_of(w.at));
    put_text(to, "guide", slice_of(w.guide));
    put_text(to, "trouble", slice_of(w.trouble[0] ? w.trouble : w.guide_trouble));
    put_text(to, "last_failure", slice_of(trouble));
    put_number(to, "since_ms", now_ms - w.since_ms);
    put_number(to, "gateways", w.gateways);
    put_text(to, "on_failure", slice_of(failure_words[limit_store_settings(st)->on_failure]));
    put_calls(to, st);
    buffer_put_char(to, '}');
}

void gate_put_limits(struct gate *g, struct buffer *to)
{
    buffer_put_char(to, '{');
    put_all(g, to);
    buffer_put_char(to, ',');
    put_store(g, to);
    buffer_puts(to, "}\n");
}

/* ---- metrics ---- */

static void put_sample(struct buffer *to, const char *family, struct slice name, const char *result,
                       uint64_t value)
{
    struct buffer labels = BUFFER_INIT;
    stats_put_label(&labels, "limit", name);
    if (result) buffer_printf(&labels, ",result=\"%s\"", result);
    stats_put_sample(to, family, labels.data, value);
    buffer_reset(&labels);
}

static const struct {
    const char *name, *help;
    size_t      offset; /* in struct rate_limit_counts */
} rule_families[] = {
    { "wharfgate_rate_limit_delayed_total", "Admitted requests that were held back.",
      offsetof(struct rate_limit_counts, delayed) },
    { "wharfgate_rate_limit_fallbacks_total", "Requests decided while Redis could not be asked.",
      offsetof(struct rate_limit_counts, fallbacks) },
    { "wharfgate_rate_limit_evictions_total", "Keys forgotten before their bucket was full.",
      offsetof(struct rate_limit_counts, evictions) },
    { "wharfgate_rate_limit_lost_tokens_total", "Tokens of a lease whose key was forgotten.",
      offsetof(struct rate_limit_counts, lost_tokens) },
};

static void put_rule_metrics(const struct map *limits, struct buffer *to)
{
    const char  *requests = "wharfgate_rate_limit_requests_total";
    struct slice name;
    void        *limit;
    stats_put_family(to, requests, "counter", "Requests that a rate limit decided on.");
    for (size_t cursor = 0; map_next(limits, &cursor, &name, &limit);) {
        struct rate_limit_counts counts = rate_limit_count(limit);
        put_sample(to, requests, name, "admitted", counts.admitted);
        put_sample(to, requests, name, "refused", counts.refused);
    }
    for (size_t i = 0; i < sizeof(rule_families) / sizeof(rule_families[0]); i++) {
        stats_put_family(to, rule_families[i].name, "counter", rule_families[i].help);
        for (size_t cursor = 0; map_next(limits, &cursor, &name, &limit);) {
            struct rate_limit_counts counts = rate_limit_count(limit);
            uint64_t                 value;
            memcpy(&value, (const char *)&counts + rule_families[i].offset, sizeof(value));
            put_sample(to, rule_families[i].name, name, NULL, value);
        }
    }
}

static void put_concurrency_metrics(const struct map *limits, struct buffer *to)
{
    const char  *requests = "wharfgate_concurrency_limit_requests_total";
    const char  *active = "wharfgate_concurrency_limit_active";
    struct slice name;
    void        *limit;
    stats_put_family(to, requests, "counter",
                     "Requests that a concurrency limit decided on; untracked: they passed "
                     "because no memory was left to count them.");
    for (size_t cursor = 0; map_next(limits, &cursor, &name, &limit);) {
        struct concurrency_counts counts = concurrency_limit_count(limit);
        put_sample(to, requests, name, "admitted", counts.admitted);
        put_sample(to, requests, name, "refused", counts.refused);
        put_sample(to, requests, name, "untracked", counts.untracked);
    }
    stats_put_family(to, active, "gauge", "Admitted requests in progress, of all keys.");
    for (size_t cursor = 0; map_next(limits, &cursor, &name, &limit);)
        put_sample(to, active, name, NULL, concurrency_limit_count(limit).active);
}

static void put_store_metrics(struct gate *g, struct buffer *to)
{
    const struct limit_store *st = find_store(g->current);
    struct redis_watch_status w;
    const char               *calls = "wharfgate_redis_calls_total";
    if (!st || !gate_store_status(st, &w)) return;
    struct limit_store_counts c = limit_store_count(st);
    stats_put_family(to, calls, "counter", "Calls of Redis, by what became of them.");
    stats_put_sample(to, calls, "result=\"reply\"", c.replies);
    stats_put_sample(to, calls, "result=\"late\"", c.late);
    stats_put_sample(to, calls, "result=\"lost\"", c.lost);
    stats_put_sample(to, calls, "result=\"error\"", c.errors);
    stats_put_sample(to, calls, "result=\"not_sent\"", c.refused);
    stats_put_family(to, "wharfgate_redis_reply_microseconds_total", "counter",
                     "Time from call to reply, of all replies together.");
    stats_put_sample(to, "wharfgate_redis_reply_microseconds_total", NULL, c.reply_us);
    stats_put_family(to, "wharfgate_redis_circuits_opened_total", "counter",
                     "How often a worker ceased to ask a server.");
    stats_put_sample(to, "wharfgate_redis_circuits_opened_total", NULL, c.opened);
    stats_put_family(to, "wharfgate_redis_circuits_open", "gauge",
                     "Workers' connections that are not asked now.");
    stats_put_sample(to, "wharfgate_redis_circuits_open", NULL, c.open);
    stats_put_family(to, "wharfgate_redis_connections", "gauge", "Workers' connections.");
    stats_put_sample(to, "wharfgate_redis_connections", NULL, c.ready);
    stats_put_family(to, "wharfgate_redis_gateways", "gauge",
                     "Gateways that share the store, with this one.");
    stats_put_sample(to, "wharfgate_redis_gateways", NULL, w.gateways);
}

void gate_put_limit_metrics(struct gate *g, struct buffer *to)
{
    struct limits l;
    find_limits(&l, g->current);
    put_rule_metrics(&l.rates, to);
    put_concurrency_metrics(&l.concurrencies, to);
    limits_reset(&l);
    put_store_metrics(g, to);
}
