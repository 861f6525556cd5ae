/* SPDX-License-Identifier: Apache-2.0
 *
 * What control answers the admin listeners: status, metrics, reload. See
 * origin/admin.h for the way that a question takes.
 */
#include <stdlib.h>
#include <unistd.h>

#include "control/explain.h"
#include "control/gate_parts.h"
#include "control/version.h"

static void put_addresses(struct buffer *to, const struct plan_listener *l)
{
    buffer_put_char(to, '[');
    for (size_t i = 0; i < l->socket_count; i++) {
        if (i) buffer_put_char(to, ',');
        buffer_put_json(to, slice_of(l->sockets[i]->text));
    }
    buffer_put_char(to, ']');
}

static void put_listeners(struct gate *g, struct buffer *to)
{
    const char *separator = "";
    buffer_puts(to, "{");
    for (size_t i = 0; i < g->current->listener_count; i++) {
        const struct plan_listener *l = &g->current->listeners[i];
        if (l->is_admin) continue;
        buffer_puts(to, separator);
        buffer_put_json(to, l->name);
        buffer_put_char(to, ':');
        put_addresses(to, l);
        separator = ",";
    }
    buffer_puts(to, "}");
}

/* null where it is off or could not be had. */
static void put_admin(struct gate *g, struct buffer *to)
{
    const char *tcp = NULL;
    bool        has_socket = false;
    for (size_t i = 0; i < g->current->listener_count; i++) {
        const struct plan_listener *l = &g->current->listeners[i];
        if (!l->is_admin || !l->socket_count) continue;
        if (l->sockets[0]->address.family == ADDRESS_UNIX)
            has_socket = true;
        else
            tcp = l->sockets[0]->text;
    }
    buffer_puts(to, "\"admin\":");
    if (tcp)
        buffer_put_json(to, slice_of(tcp));
    else
        buffer_puts(to, "null");
    buffer_puts(to, ",\"socket\":");
    if (has_socket)
        buffer_put_json(to, g->current->settings->admin.socket);
    else
        buffer_puts(to, "null");
}

static void put_process(struct gate *g, struct buffer *to)
{
    bool is_alone = g->options.supervisor_fd < 0;
    buffer_printf(to, "\"pid\":%d,\"worker_pid\":%d,\"generation\":%llu",
                  (int)(is_alone ? getpid() : getppid()), (int)getpid(),
                  (unsigned long long)g->generation);
}

void gate_put_ready(struct gate *g, struct buffer *to)
{
    buffer_puts(to, "{");
    put_process(g, to);
    buffer_puts(to, ",\"listeners\":");
    put_listeners(g, to);
    buffer_puts(to, ",");
    put_admin(g, to);
    buffer_puts(to, "}\n");
}

static void put_reloads(struct gate *g, struct buffer *to)
{
    const struct reload_record *r = &g->reloads;
    buffer_printf(to, "{\"ok\":%llu,\"failed\":%llu,\"last\":", (unsigned long long)r->ok_count,
                  (unsigned long long)r->failed_count);
    if (r->last_us)
        buffer_printf(to, "{\"at\":%.3f,\"ok\":%s,\"problems\":%s}", (double)r->last_us / 1e6,
                      r->is_last_ok ? "true" : "false", r->last_report);
    else
        buffer_puts(to, "null");
    buffer_puts(to, "}");
}

void gate_put_status(struct gate *g, struct buffer *to)
{
    buffer_printf(to, "{\"version\":\"%s\",", wharfgate_version);
    put_process(g, to);
    buffer_printf(to, ",\"started\":%.3f,\"worker_crashes\":%u,\"workers\":%u,\"plans_alive\":%u",
                  (double)g->started_us / 1e6, g->options.crash_count, g->crew.count,
                  g->plans_alive);
    buffer_puts(to, ",\"listeners\":");
    put_listeners(g, to);
    buffer_puts(to, ",");
    put_admin(g, to);
    buffer_puts(to, ",\"upstreams\":");
    gate_put_upstreams(g, to);
    buffer_puts(to, ",\"docker\":");
    gate_put_docker(g, to);
    buffer_puts(to, ",\"maintenance\":");
    gate_put_maintenance(g, to);
    buffer_puts(to, ",\"reloads\":");
    put_reloads(g, to);
    buffer_printf(to, ",\"stopping\":%s}\n", g->stop_count ? "true" : "false");
}

/* ---- reload ---- */

static void put_outcome(struct gate *g, struct admin_ask *ask, bool is_ok,
                        const struct conf_report *report)
{
    ask->status = is_ok ? 200 : 422;
    if (ask->wants_text) {
        ask->content_type = "text/plain; charset=utf-8";
        conf_report_print(report, &ask->body, ask->wants_color);
        if (is_ok)
            buffer_printf(&ask->body, "reloaded, generation %llu\n",
                          (unsigned long long)g->generation);
        return;
    }
    ask->content_type = "application/json";
    buffer_printf(&ask->body,
                  "{\"ok\":%s,\"generation\":%llu,\"problems\":", is_ok ? "true" : "false",
                  (unsigned long long)g->generation);
    conf_report_json(report, &ask->body);
    buffer_puts(&ask->body, "}\n");
}

static void answer_late(void *arg)
{
    admin_answer(arg);
}

/* Answered once every worker serves the new plan. */
static void ask_reload(struct gate *g, struct admin_ask *ask)
{
    struct conf_report report;
    if (g->stop_count) {
        ask->status = 503;
        ask->content_type = "text/plain; charset=utf-8";
        buffer_puts(&ask->body, "the gateway is stopping\n");
        admin_answer(ask);
        return;
    }
    conf_report_init(&report);
    bool is_ok = gate_reload(g, RELOAD_ASKED, &report);
    put_outcome(g, ask, is_ok, &report);
    conf_report_reset(&report);
    if (is_ok)
        crew_barrier(&g->crew, answer_late, ask);
    else
        admin_answer(ask);
}

static void ask_explain(struct gate *g, struct admin_ask *ask)
{
    const struct explain_world w = { g->current, g->docker, true };
    ask->content_type = "application/json";
    ask->status = explain_answer(&w, slice_of(ask->query), &ask->body);
    admin_answer(ask);
}

void gate_ask(struct admin_ask *ask, void *control)
{
    struct gate *g = control;
    if (!g->crew.is_running) { /* nobody waits any more */
        admin_ask_free(ask);
        return;
    }
    ask->status = 200;
    switch (ask->call) {
    case ADMIN_METRICS:
        ask->content_type = "text/plain; version=0.0.4; charset=utf-8";
        gate_put_metrics(g, &ask->body);
        admin_answer(ask);
        break;
    case ADMIN_STATUS:
        ask->content_type = "application/json";
        gate_put_status(g, &ask->body);
        admin_answer(ask);
        break;
    case ADMIN_LIMITS:
        ask->content_type = "application/json";
        gate_put_limits(g, &ask->body);
        admin_answer(ask);
        break;
    case ADMIN_RELOAD: ask_reload(g, ask); break;
    case ADMIN_MAINTENANCE: gate_ask_maintenance(g, ask); break;
    case ADMIN_EXPLAIN: ask_explain(g, ask); break;
    }
}
