/* SPDX-License-Identifier: Apache-2.0
 *
 * Which replica is at fault: the live state of each endpoint, for status and
 * metrics. Labels come from the configuration only, and are bounded.
 */
#include "control/gate_parts.h"

static uint64_t count_requests(const struct endpoint *e)
{
    return atomic_load_explicit(&e->live.requests, memory_order_relaxed);
}

static uint64_t count_active(const struct endpoint *e)
{
    return atomic_load_explicit(&e->live.active, memory_order_relaxed);
}

static uint64_t count_failures(const struct endpoint *e)
{
    return atomic_load_explicit(&e->live.failures, memory_order_relaxed);
}

/* ---- status ---- */

static void put_endpoint(struct buffer *to, const struct endpoint *e)
{
    buffer_puts(to, "{\"address\":");
    buffer_put_json(to, slice_of(e->text));
    buffer_printf(to, ",\"weight\":%u,\"backup\":%s,\"active\":%llu,\"failures\":%llu", e->weight,
                  e->is_backup ? "true" : "false", (unsigned long long)count_active(e),
                  (unsigned long long)count_failures(e));
    buffer_printf(to, ",\"requests\":%llu}", (unsigned long long)count_requests(e));
}

static void put_upstream(struct buffer *to, const struct upstream *u)
{
    const struct endpoint_set *set = atomic_load(&u->set);
    buffer_puts(to, "{\"name\":");
    buffer_put_json(to, slice_of(u->name));
    buffer_printf(to, ",\"balance\":\"%s\",\"endpoints\":[", u->balance->name);
    for (size_t i = 0; i < set->count; i++) {
        if (i) buffer_put_char(to, ',');
        put_endpoint(to, set->items[i]);
    }
    buffer_puts(to, "]}");
}

void gate_put_upstreams(struct gate *g, struct buffer *to)
{
    buffer_put_char(to, '[');
    for (size_t i = 0; i < g->current->upstream_count; i++) {
        if (i) buffer_put_char(to, ',');
        put_upstream(to, g->current->upstreams[i]);
    }
    buffer_put_char(to, ']');
}

/* ---- metrics ---- */

static const struct {
    const char *name;
    const char *type;
    const char *help;
    uint64_t (*count)(const struct endpoint *e);
} families[] = {
    { "wharfgate_endpoint_requests_total", "counter", "Attempts at an endpoint.", count_requests },
    { "wharfgate_endpoint_active", "gauge", "Requests in progress at an endpoint.", count_active },
    { "wharfgate_endpoint_failures_in_a_row", "gauge",
      "Failures of an endpoint since it last answered.", count_failures },
};

static void put_sample(struct buffer *to, const char *name, struct slice upstream,
                       struct slice endpoint, uint64_t value)
{
    struct buffer labels = BUFFER_INIT;
    stats_put_label(&labels, "upstream", upstream);
    buffer_put_char(&labels, ',');
    stats_put_label(&labels, "endpoint", endpoint);
    stats_put_sample(to, name, labels.data, value);
    buffer_reset(&labels);
}

/* Those past max_series together. */
static void put_family(const struct plan *p, size_t family, struct buffer *to)
{
    const char *name = families[family].name;
    uint64_t    others = 0;
    size_t      count = 0;
    stats_put_family(to, name, families[family].type, families[family].help);
    for (size_t i = 0; i < p->upstream_count; i++) {
        const struct upstream     *u = p->upstreams[i];
        const struct endpoint_set *set = atomic_load(&u->set);
        for (size_t k = 0; k < set->count; k++) {
            const struct endpoint *e = set->items[k];
            uint64_t               value = families[family].count(e);
            if (count++ < p->settings->metrics.max_series)
                put_sample(to, name, slice_of(u->name), slice_of(e->text), value);
            else
                others += value;
        }
    }
    if (count > p->settings->metrics.max_series)
        put_sample(to, name, S("_other"), S("_other"), others);
}

void gate_put_endpoint_metrics(struct gate *g, struct buffer *to)
{
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        put_family(g->current, i, to);
}
