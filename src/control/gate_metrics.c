/* SPDX-License-Identifier: Apache-2.0
 *
 * Metrics: the workers' counters, summed, and what only control knows.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "control/gate_parts.h"
#include "control/version.h"

static void put_workers(struct gate *g, struct buffer *to)
{
    struct arena                arena;
    struct series_names         names;
    const struct worker_stats **stats = mem_alloc(g->crew.count * sizeof(*stats));
    arena_init(&arena, NULL);
    names.routes =
        registry_series_names(g->maker.registry, SERIES_ROUTE, &arena, &names.route_count);
    names.upstreams =
        registry_series_names(g->maker.registry, SERIES_UPSTREAM, &arena, &names.upstream_count);
    for (unsigned i = 0; i < g->crew.count; i++) stats[i] = g->crew.members[i].worker->stats;
    stats_prometheus(stats, g->crew.count, &names, to);
    free(stats);
    arena_reset(&arena);
}

static void put_one(struct buffer *to, const char *name, const char *type, const char *help,
                    uint64_t value)
{
    stats_put_family(to, name, type, help);
    stats_put_sample(to, name, NULL, value);
}

static void put_reloads(struct gate *g, struct buffer *to)
{
    const char *name = "wharfgate_reloads_total";
    stats_put_family(to, name, "counter", "Reloads, by result.");
    stats_put_sample(to, name, "result=\"ok\"", g->reloads.ok_count);
    stats_put_sample(to, name, "result=\"failed\"", g->reloads.failed_count);
    put_one(to, "wharfgate_reload_last_timestamp_seconds", "gauge",
            "When the last reload was tried; 0: never.", (uint64_t)g->reloads.last_us / 1000000);
    put_one(to, "wharfgate_config_generation", "gauge", "The plan that serves.", g->generation);
    put_one(to, "wharfgate_plans_alive", "gauge",
            "Plans in memory: the present one and those that requests still use.", g->plans_alive);
}

static void put_process(struct gate *g, struct buffer *to)
{
    const char   *name = "wharfgate_build_info";
    struct buffer label = BUFFER_INIT;
    stats_put_family(to, name, "gauge", "Always 1; the labels tell the version.");
    stats_put_label(&label, "version", slice_of(wharfgate_version));
    stats_put_sample(to, name, label.data, 1);
    buffer_reset(&label);
    put_one(to, "wharfgate_start_timestamp_seconds", "gauge", "When the worker process started.",
            (uint64_t)g->started_us / 1000000);
    put_one(to, "wharfgate_worker_crashes_total", "counter",
            "Worker processes that died since the supervisor started.", g->options.crash_count);
}

static void put_docker(struct gate *g, struct buffer *to)
{
    if (!g->docker) return;
    struct docker_status s = docker_status(g->docker);
    put_one(to, "wharfgate_docker_connected", "gauge", "Do the daemon's events come in? 1 or 0.",
            s.is_connected);
    put_one(to, "wharfgate_docker_listed_timestamp_seconds", "gauge",
            "When the list of containers that is known was made; 0: none.",
            (uint64_t)s.listed_us / 1000000);
    put_one(to, "wharfgate_docker_events_total", "counter", "Events of the daemon.", s.event_count);
    put_one(to, "wharfgate_docker_lists_total", "counter", "Lists of containers taken up.",
            s.list_count);
    put_one(to, "wharfgate_docker_reconnects_total", "counter",
            "Connections to the daemon that ended or could not be made.", s.reconnect_count);
}

static void put_access_log(struct gate *g, struct buffer *to)
{
    struct access_log_counts c = { 0 };
    if (g->access) c = access_log_count(g->access);
    const char *name = "wharfgate_access_log_lines_total";
    stats_put_family(to, name, "counter",
                     "Lines of the access log: written, dropped (ring full), lost (file full).");
    stats_put_sample(to, name, "result=\"written\"", c.written);
    stats_put_sample(to, name, "result=\"dropped\"", c.dropped);
    stats_put_sample(to, name, "result=\"lost\"", c.lost);
}

static void put_certificates(struct gate *g, struct buffer *to)
{
    const char *name = "wharfgate_certificate_expiry_timestamp_seconds";
    stats_put_family(to, name, "gauge", "When a certificate in use ends, by its file.");
    LIST_EACH (it, &g->certificates.items) {
        const struct expiry *one = container_of(it, struct expiry, link);
        struct buffer        label = BUFFER_INIT;
        stats_put_label(&label, "file", slice_of(one->file));
        stats_put_sample(to, name, label.data, one->at_s > 0 ? (uint64_t)one->at_s : 0);
        buffer_reset(&label);
    }
}

/* ---- of client addresses ---- */

static void put_listener(struct buffer *to, const char *family, const struct plan_listener *l,
                         const char *reason, uint64_t value)
{
    struct buffer labels = BUFFER_INIT;
    stats_put_label(&labels, "listener", l->name);
    if (reason) {
        buffer_put_char(&labels, ',');
        stats_put_label(&labels, "reason", slice_of(reason));
    }
    stats_put_sample(to, family, labels.data, value);
    buffer_reset(&labels);
}

static void put_address_limits(struct gate *g, struct buffer *to)
{
    const char        *refused = "wharfgate_listener_connections_refused_total";
    const char        *untracked = "wharfgate_listener_connections_untracked_total";
    const struct plan *p = g->current;
    stats_put_family(to, refused, "counter",
                     "Connections closed because of what their client address has already.");
    for (size_t i = 0; i < p->listener_count; i++) {
        const struct plan_listener *l = &p->listeners[i];
        if (!l->per_address) continue;
        struct address_limits_counts c = address_limits_count(l->per_address);
        put_listener(to, refused, l, "connections_per_address", c.refused_connections);
        put_listener(to, refused, l, "handshakes_per_address", c.refused_handshakes);
    }
    stats_put_family(to, untracked, "counter",
                     "Connections and handshakes not limited by address for lack of memory.");
    for (size_t i = 0; i < p->listener_count; i++) {
        const struct plan_listener *l = &p->listeners[i];
        if (!l->per_address) continue;
        struct address_limits_counts c = address_limits_count(l->per_address);
        put_listener(to, untracked, l, NULL, c.untracked);
    }
}

void gate_put_metrics(struct gate *g, struct buffer *to)
{
    put_workers(g, to);
    gate_put_endpoint_metrics(g, to);
    put_process(g, to);
    put_reloads(g, to);
    put_access_log(g, to);
    put_certificates(g, to);
    gate_put_limit_metrics(g, to);
    put_address_limits(g, to);
    gate_put_maintenance_metrics(g, to);
    put_docker(g, to);
}
