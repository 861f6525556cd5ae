/* SPDX-License-Identifier: Apache-2.0
 *
 * Which replica is at fault: what rosters know of each endpoint, for status and
 * metrics. Labels come from the configuration only, and are bounded.
 */
#include "control/gate_parts.h"

static uint64_t load(const _Atomic uint64_t *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

static uint32_t load32(const _Atomic uint32_t *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

/* ---- status ---- */

static void put_text(struct buffer *to, const char *key, const char *text)
{
    buffer_printf(to, ",\"%s\":", key);
    if (text[0])
        buffer_put_json(to, slice_of(text));
    else
        buffer_puts(to, "null");
}

static void put_check(struct buffer *to, const struct member *m)
{
    if (!m->probe_us) {
        buffer_puts(to, ",\"check\":null");
        return;
    }
    buffer_printf(to, ",\"check\":{\"ok\":%s,\"at\":%.3f,\"took_ms\":%.3f",
                  m->is_probe_good ? "true" : "false", (double)m->probe_us / 1e6,
                  m->probe_time_us / 1e3);
    put_text(to, "output", m->probe_output);
    buffer_printf(to, ",\"total\":%llu,\"failed\":%llu}", (unsigned long long)m->check_count,
                  (unsigned long long)m->check_failures);
}

static void put_traffic(struct buffer *to, const struct member *m)
{
    const struct endpoint_live *l = m->endpoint->live;
    double                      latency_us = endpoint_latency_us(m->endpoint, clock_mono_ns());
    /* Of failures alone it is but their penalty. */
    bool has_latency = load(&l->outcomes) > load(&l->failed);
    buffer_printf(to, ",\"active\":%u,\"connections\":%u,\"requests\":%llu", load32(&l->active),
                  load32(&l->connections), (unsigned long long)load(&l->requests));
    buffer_printf(to, ",\"failures\":%u,\"failed\":%llu,\"ejections\":%llu", load32(&l->failures),
                  (unsigned long long)load(&l->failed), (unsigned long long)m->ejection_count);
    if (has_latency)
        buffer_printf(to, ",\"latency_ms\":%.3f", latency_us / 1e3);
    else
        buffer_puts(to, ",\"latency_ms\":null");
}

static void put_member(struct buffer *to, const struct member *m)
{
    const struct endpoint *e = m->endpoint;
    buffer_puts(to, "{\"address\":");
    buffer_put_json(to, slice_of(e->text));
    buffer_puts(to, ",\"identity\":");
    buffer_put_json(to, slice_of(e->identity));
    buffer_printf(to, ",\"state\":\"%s\",\"since\":%.3f", endpoint_state_name(m->state),
                  (double)m->since_us / 1e6);
    put_text(to, "reason", m->reason);
    buffer_printf(to, ",\"weight\":%u,\"backup\":%s", e->weight, e->is_backup ? "true" : "false");
    put_traffic(to, m);
    put_check(to, m);
    buffer_put_char(to, '}');
}

struct rows {
    struct buffer *to;
    const char    *separator;
};

static void put_quarantined(void *arg, struct slice name, struct slice why)
{
    struct rows *rows = arg;
    buffer_printf(rows->to, "%s{\"address\":", rows->separator);
    buffer_put_json(rows->to, name);
    buffer_puts(rows->to, ",\"identity\":");
    buffer_put_json(rows->to, name);
    buffer_puts(rows->to, ",\"state\":\"quarantined\",\"reason\":");
    buffer_put_json(rows->to, why);
    buffer_put_char(rows->to, '}');
    rows->separator = ",";
}

void gate_put_upstream(const struct docker *d, struct buffer *to, const struct upstream *u)
{
    const struct roster *r = u->roster;
    struct rows          rows = { to, "" };
    uint64_t             active = 0;
    LIST_EACH (it, &r->members)
        active += load32(&container_of(it, struct member, link)->endpoint->live->active);
    buffer_puts(to, "{\"name\":");
    buffer_put_json(to, slice_of(u->name));
    buffer_printf(to, ",\"balance\":\"%s\",\"active\":%llu,\"queued\":%u,\"panic\":%s",
                  u->balance->name, (unsigned long long)active, load32(&u->queued),
                  r->is_in_panic ? "true" : "false");
    put_text(to, "trouble", r->trouble);
    buffer_puts(to, ",\"endpoints\":[");
    LIST_EACH (it, &r->members) {
        buffer_puts(to, rows.separator);
        put_member(to, container_of(it, struct member, link));
        rows.separator = ",";
    }
    /* Containers that would be its endpoints, and cannot be used. */
    if (u->settings->docker && d) docker_each_quarantined(d, r, put_quarantined, &rows);
    buffer_put_char(to, ']');
    buffer_put_char(to, '}');
}

void gate_put_upstreams(struct gate *g, struct buffer *to)
{
    buffer_put_char(to, '[');
    for (size_t i = 0; i < g->current->upstream_count; i++) {
        if (i) buffer_put_char(to, ',');
        /* Whoever reads that an endpoint is ready may count on it. */
        roster_flush(g->current->upstreams[i]->roster);
        gate_put_upstream(g->docker, to, g->current->upstreams[i]);
    }
    buffer_put_char(to, ']');
}

/* ---- status of the daemon ---- */

static void put_route(void *arg, const struct docker_route_view *view)
{
    struct rows *rows = arg;
    buffer_printf(rows->to, "%s{\"name\":", rows->separator);
    buffer_put_json(rows->to, slice_of(view->name));
    buffer_puts(rows->to, ",\"hosts\":");
    buffer_put_json(rows->to, view->hosts);
    buffer_puts(rows->to, ",\"path\":");
    buffer_put_json(rows->to, view->path);
    buffer_printf(rows->to, ",\"state\":\"%s\"", docker_route_state(view));
    put_text(rows->to, "container", view->container);
    buffer_printf(rows->to, ",\"containers\":%zu", view->container_count);
    put_text(rows->to, "reason", view->why_refused ? view->why_refused : "");
    put_text(rows->to, "warning", view->clash ? view->clash : "");
    buffer_put_char(rows->to, '}');
    rows->separator = ",";
}

void gate_put_docker(struct gate *g, struct buffer *to)
{
    struct rows rows = { to, "" };
    if (!g->docker) {
        buffer_puts(to, "null");
        return;
    }
    struct docker_status s = docker_status(g->docker);
    buffer_puts(to, "{\"endpoint\":");
    buffer_put_json(to, slice_of(s.endpoint));
    buffer_printf(to, ",\"connected\":%s,\"snapshot\":%s", s.is_connected ? "true" : "false",
                  s.is_from_snapshot ? "true" : "false");
    put_text(to, "trouble", s.trouble ? s.trouble : "");
    if (s.version)
        buffer_printf(to, ",\"api\":\"%u.%u\"", s.version / 100, s.version % 100);
    else
        buffer_puts(to, ",\"api\":null");
    if (s.listed_us)
        buffer_printf(to, ",\"listed\":%.3f", (double)s.listed_us / 1e6);
    else
        buffer_puts(to, ",\"listed\":null");
    buffer_printf(to, ",\"containers\":%zu,\"events\":%llu,\"lists\":%llu,\"reconnects\":%llu",
                  s.container_count, (unsigned long long)s.event_count,
                  (unsigned long long)s.list_count, (unsigned long long)s.reconnect_count);
    buffer_puts(to, ",\"routes\":[");
    if (g->current->settings->discovery.docker) docker_each_route(g->docker, put_route, &rows);
    buffer_puts(to, "]}");
}

/* ---- metrics of endpoints ---- */

static uint64_t count_requests(const struct member *m)
{
    return load(&m->endpoint->live->requests);
}

static uint64_t count_active(const struct member *m)
{
    return load32(&m->endpoint->live->active);
}

static uint64_t count_connections(const struct member *m)
{
    return load32(&m->endpoint->live->connections);
}

static uint64_t count_in_a_row(const struct member *m)
{
    return load32(&m->endpoint->live->failures);
}

static uint64_t count_failed(const struct member *m)
{
    return load(&m->endpoint->live->failed);
}

static uint64_t count_ejections(const struct member *m)
{
    return m->ejection_count;
}

static uint64_t count_checks(const struct member *m)
{
    return m->check_count;
}

static uint64_t count_bad_checks(const struct member *m)
{
    return m->check_failures;
}

static uint64_t is_ready(const struct member *m)
{
    return m->state == ENDPOINT_READY;
}

static const struct {
    const char *name;
    const char *type;
    const char *help;
    uint64_t (*count)(const struct member *m);
} families[] = {
    { "wharfgate_endpoint_ready", "gauge", "Does the endpoint get requests? 1 or 0.", is_ready },
    { "wharfgate_endpoint_requests_total", "counter", "Attempts at an endpoint.", count_requests },
    { "wharfgate_endpoint_active", "gauge", "Requests in progress at an endpoint.", count_active },
    { "wharfgate_endpoint_connections", "gauge", "Connections to an endpoint.", count_connections },
    { "wharfgate_endpoint_failures_in_a_row", "gauge",
      "Failures of an endpoint since it last answered well.", count_in_a_row },
    { "wharfgate_endpoint_failures_total", "counter",
      "Attempts at an endpoint that failed, or were answered 500 and above.", count_failed },
    { "wharfgate_endpoint_ejections_total", "counter", "How often an endpoint was ejected.",
      count_ejections },
    { "wharfgate_endpoint_checks_total", "counter", "Health checks of an endpoint that ended.",
      count_checks },
    { "wharfgate_endpoint_checks_failed_total", "counter", "Of them, those that found it unwell.",
      count_bad_checks },
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
        const struct upstream *u = p->upstreams[i];
        LIST_EACH (it, &u->roster->members) {
            const struct member *m = container_of(it, struct member, link);
            uint64_t             value = families[family].count(m);
            if (count++ < p->settings->metrics.max_series)
                put_sample(to, name, slice_of(u->name), slice_of(m->endpoint->identity), value);
            else
                others += value;
        }
    }
    if (count > p->settings->metrics.max_series)
        put_sample(to, name, S("_other"), S("_other"), others);
}

/* ---- metrics of upstreams: bounded by the configuration, as their series are ---- */

static uint64_t count_queued(const struct upstream *u)
{
    return load32(&u->queued);
}

static uint64_t is_in_panic(const struct upstream *u)
{
    return u->roster->is_in_panic;
}

static uint64_t count_changes(const struct upstream *u)
{
    return u->roster->change_count;
}

static uint64_t has_trouble(const struct upstream *u)
{
    return u->roster->trouble[0] != 0;
}

static const struct {
    const char *name;
    const char *type;
    const char *help;
    uint64_t (*count)(const struct upstream *u);
} upstream_families[] = {
    { "wharfgate_upstream_queued", "gauge", "Requests that wait now, by upstream.", count_queued },
    { "wharfgate_upstream_panic", "gauge",
      "Are so many endpoints ejected that it counts for nothing? 1 or 0.", is_in_panic },
    { "wharfgate_upstream_state_changes_total", "counter",
      "Changes of endpoints' states, by upstream.", count_changes },
    { "wharfgate_upstream_discovery_trouble", "gauge",
      "Is the list of endpoints old, since they cannot be looked up? 1 or 0.", has_trouble },
};

static void put_upstream_family(const struct plan *p, size_t family, struct buffer *to)
{
    const char *name = upstream_families[family].name;
    uint32_t    most = p->settings->metrics.max_series;
    stats_put_family(to, name, upstream_families[family].type, upstream_families[family].help);
    for (size_t i = 0; i < p->upstream_count && i < most; i++) {
        struct buffer label = BUFFER_INIT;
        stats_put_label(&label, "upstream", slice_of(p->upstreams[i]->name));
        stats_put_sample(to, name, label.data, upstream_families[family].count(p->upstreams[i]));
        buffer_reset(&label);
    }
}

void gate_put_endpoint_metrics(struct gate *g, struct buffer *to)
{
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        put_family(g->current, i, to);
    for (size_t i = 0; i < sizeof(upstream_families) / sizeof(upstream_families[0]); i++)
        put_upstream_family(g->current, i, to);
}
