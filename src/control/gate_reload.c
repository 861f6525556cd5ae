/* SPDX-License-Identifier: Apache-2.0
 *
 * A configuration's way into service: load, build, publish. See gate_parts.h.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "control/announce.h"
#include "control/gate_parts.h"

static const char *const cause_texts[] = {
    [RELOAD_START] = "start",
    [RELOAD_KEPT] = "start with the last good files",
    [RELOAD_ASKED] = "reload",
    [RELOAD_FILES] = "changed files",
    [RELOAD_LABELS] = "labels of containers",
};

static bool is_start(enum reload_cause cause)
{
    return cause == RELOAD_START || cause == RELOAD_KEPT;
}

/* ---- loading ---- */

static struct settings *load_present(struct gate *g, struct snapshot *files,
                                     struct conf_report *report)
{
    struct conf_reader       inner = privileged_reader(&g->privileged);
    struct snapshot_recorder recorder = { files, &inner };
    struct conf_reader       reader = snapshot_record(&recorder);
    return conf_load_file(g->options.config_path, &reader, report);
}

static struct settings *load_remembered(struct gate *g, struct conf_report *report)
{
    struct conf_reader reader = snapshot_replay(&g->files);
    return conf_load_file(g->options.config_path, &reader, report);
}

/* At the first start what the supervisor has loaded already. */
static struct settings *take_given(struct gate *g)
{
    struct settings *s = g->options.settings;
    g->options.settings = NULL;
    return s;
}

/* A line each, for whoever looks into the file only. */
static void log_report(struct gate *g, const struct conf_report *report)
{
    for (size_t i = 0; i < report->count; i++) {
        const struct conf_problem *p = &report->problems[i];
        enum log_level level = p->severity == CONF_ERROR ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN;
        char           place[PATH_MAX + 32] = "";
        if (p->at.file)
            snprintf(place, sizeof(place), "%s:%u:%u: ", p->at.file, p->at.line, p->at.column);
        log_line(&g->log, level, "%s%.*s%s%.*s", place, SLICE_ARG(p->message),
                 p->hint.len ? "; " : "", SLICE_ARG(p->hint));
    }
}

static void print_report(struct gate *g, const struct conf_report *report)
{
    struct buffer text = BUFFER_INIT;
    if (report->count) conf_report_print(report, &text, g->log.has_color);
    if (text.len) (void)!write(STDERR_FILENO, text.data, text.len);
    buffer_reset(&text);
    /* It may be a file: then the same is there too. */
    if (atomic_load(&g->log.fd) != STDERR_FILENO) log_report(g, report);
}

/* A worker process that takes another's place serves what that one served: neither
 * edits that nobody has asked for yet nor a file that is broken meanwhile. */
static struct settings *load_first(struct gate *g, struct snapshot *files,
                                   struct conf_report *report)
{
    struct settings *given = take_given(g);
    if (given) return given;
    if (snapshot_is_empty(&g->files)) return load_present(g, files, report);
    log_info(&g->log, "the configuration is not read anew: serving the last good one");
    return load_remembered(g, report);
}

static struct settings *load(struct gate *g, enum reload_cause cause, struct snapshot *files,
                             struct conf_report *report)
{
    switch (cause) {
    case RELOAD_KEPT:
    case RELOAD_LABELS:
    case RELOAD_FILES: return load_remembered(g, report);
    case RELOAD_ASKED: return load_present(g, files, report);
    case RELOAD_START: break;
    }
    return load_first(g, files, report);
}

/* ---- publishing ---- */

struct publication {
    struct gate *gate;
    uint64_t     generation;
};

/* The supervisor does it for us if there is one: its rights, its pid. */
static void announce(struct gate *g, struct slice ready)
{
    if (g->options.supervisor_fd >= 0) {
        privileged_ready(&g->privileged, g->generation, ready);
        return;
    }
    announce_pid(&g->log, g->current->settings->pid_file);
    announce_file(&g->log, slice_of(g->options.ready_file), ready);
    announce_systemd("READY=1");
}

static const char *spoken(const struct plan_listener *l)
{
    if (l->tls) return l->settings->http2 == HTTP2_OFF ? " (TLS)" : " (TLS, HTTP/2)";
    return l->settings->http2 == HTTP2_ON ? " (HTTP/2)" : "";
}

/* Once a process; later ones are in the status. */
static void log_listeners(struct gate *g)
{
    for (size_t i = 0; i < g->current->listener_count; i++) {
        const struct plan_listener *l = &g->current->listeners[i];
        for (size_t k = 0; k < l->socket_count; k++)
            log_info(&g->log, "listening: %.*s on %s%s", SLICE_ARG(l->name), l->sockets[k]->text,
                     spoken(l));
    }
}

/* All workers have the plan. */
static void on_published(void *arg)
{
    struct publication *done = arg;
    struct gate        *g = done->gate;
    struct buffer       text = BUFFER_INIT;
    bool                is_latest = done->generation == g->generation;
    free(done);
    if (!is_latest || g->stop_count) return; /* the later one sees to it */
    plan_retire_sockets(&g->maker, g->current);
    if (!g->is_serving) log_listeners(g);
    g->is_serving = true;
    gate_put_ready(g, &text);
    announce(g, buffer_slice(&text));
    buffer_reset(&text);
}

static void publish(struct gate *g, struct plan *p)
{
    struct publication *done = mem_zalloc(sizeof(*done));
    done->gate = g;
    done->generation = p->generation;
    g->current = p;
    g->plans_alive++;
    atomic_store(&p->worker_refs, g->crew.count);
    crew_publish(&g->crew, p);
    crew_barrier(&g->crew, on_published, done);
}

/* ---- the whole ---- */

/* Needs the number of workers, which a process keeps for life. */
static void prepare_crew(struct gate *g, const struct settings *s)
{
    long     cpus = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned count = s->workers ? s->workers : cpus > 0 ? (unsigned)cpus : 1;
    crew_init(&g->crew, count, &g->mailbox);
    g->maker.worker_count = count;
    prober_init(&g->prober, g->loop, count);
}

/* What plans are built with, by the first of them. */
static bool prepare(struct gate *g, const struct settings *s, struct conf_report *report)
{
    struct conf_place at = { .file = g->options.config_path, .line = 1, .column = 1 };
    struct error      e;
    prepare_crew(g, s);
    if (gate_configure_dns(g, &s->discovery.dns, &e)) return true;
    conf_report_add(report, CONF_ERROR, &at, "names cannot be looked up: %s", e.text);
    return false;
}

static void record(struct gate *g, enum reload_cause cause, bool is_ok,
                   const struct conf_report *report)
{
    struct buffer json = BUFFER_INIT;
    if (is_start(cause) || (cause == RELOAD_LABELS && is_ok)) return;
    if (is_ok)
        g->reloads.ok_count++;
    else
        g->reloads.failed_count++;
    g->reloads.last_us = clock_wall_us();
    g->reloads.is_last_ok = is_ok;
    conf_report_json(report, &json);
    while (json.len && json.data[json.len - 1] == '\n') json.len--;
    buffer_put_char(&json, 0);
    free(g->reloads.last_report);
    g->reloads.last_report = buffer_detach(&json);
}

static bool start_crew(struct gate *g, const struct settings *s, struct error *e)
{
    if (gate_open_logs(g, s, e) && crew_start(&g->crew, &g->log, g->access, s->log.format, e))
        return true;
    g->exit_code = EXIT_FAULT;
    return false;
}

/* The last steps that may fail. */
static bool get_ready(struct gate *g, enum reload_cause cause, const struct settings *s,
                      struct conf_report *report)
{
    struct conf_place at = { .file = g->options.config_path, .line = 1, .column = 1 };
    struct error      e;
    if (is_start(cause) ? start_crew(g, s, &e) : gate_move_logs(g, s, &e)) return true;
    conf_report_add(report, CONF_ERROR, &at, "%s", e.text);
    return false;
}

/* Every name is looked up anew, where the new configuration says. */
static void move_dns(struct gate *g, const struct settings *s)
{
    struct error e;
    if (!gate_configure_dns(g, &s->discovery.dns, &e))
        log_error(&g->log, "names are looked up as before: %s", e.text);
}

static bool take_up(struct gate *g, enum reload_cause cause, struct plan *p,
                    struct conf_report *report)
{
    if (!get_ready(g, cause, p->settings, report)) {
        plan_free(p);
        return false;
    }
    const struct settings *before = g->current ? g->current->settings : p->settings;
    bool is_elsewhere = !conf_same_dns(&before->discovery.dns, &p->settings->discovery.dns);
    g->generation = p->generation;
    publish(g, p);
    gate_settle_upstreams(g);
    gate_configure_docker(g, p->settings);
    if (is_elsewhere) move_dns(g, p->settings);
    gate_apply_log_level(g, p->settings);
    return true;
}

static struct plan *build(struct gate *g, enum reload_cause cause, struct snapshot *files,
                          struct label_offer *labels, struct conf_report *report)
{
    struct plan_outcome outcome;
    struct settings    *s = load(g, cause, files, report);
    if (!s) return NULL;
    if (cause == RELOAD_START && !prepare(g, s, report)) {
        settings_free(s);
        return NULL;
    }
    gate_prepare_docker(g, s);
    gate_offer_labels(g, s, labels);
    if (!is_start(cause)) conf_report_restart(g->current->settings, s, report);
    g->maker.reads_kept = cause == RELOAD_KEPT;
    g->maker.takes_missing = cause != RELOAD_ASKED && (cause != RELOAD_START || g->generation);
    /* In another's place a new file that is expired does not replace a good one either. */
    g->maker.takes_expired =
        cause == RELOAD_KEPT || (cause == RELOAD_START && snapshot_is_empty(&g->kept));
    struct plan *p = plan_build(&g->maker, s, g->generation + 1, report, &outcome);
    /* Also of a plan that failed: the same fault is not told again every ten seconds. */
    if (cause != RELOAD_KEPT && (p || cause != RELOAD_ASKED))
        file_watch_move(&g->watch, &outcome.files);
    if (p) expiries_move(&g->certificates, &outcome.certificates);
    plan_outcome_reset(&outcome);
    if (!p && is_start(cause) && outcome.is_bind_fault) g->exit_code = EXIT_FAULT;
    return p;
}

static void log_outcome(struct gate *g, enum reload_cause cause, bool is_ok,
                        const struct conf_report *report)
{
    size_t      count = report->error_count;
    const char *plural = count == 1 ? "" : "s";
    if (is_ok)
        log_info(&g->log, "%s: generation %llu serves", cause_texts[cause],
                 (unsigned long long)g->generation);
    else if (is_start(cause))
        log_error(&g->log, "not started: %zu error%s", count, plural);
    else
        log_error(&g->log, "%s: refused, %zu error%s; nothing has changed", cause_texts[cause],
                  count, plural);
}

bool gate_reload(struct gate *g, enum reload_cause cause, struct conf_report *report)
{
    struct snapshot    files;
    struct label_offer labels = { .is_made = false };
    bool               is_ok = false;
    snapshot_init(&files);
    if (cause == RELOAD_ASKED) privileged_prepare(&g->privileged);
    struct plan *p = build(g, cause, &files, &labels, report);
    if (p) is_ok = take_up(g, cause, p, report);
    if (is_ok) gate_settle_labels(g, &labels);
    label_offer_reset(&labels);
    if (is_ok && !snapshot_is_empty(&files)) snapshot_move(&g->files, &files);
    privileged_commit(&g->privileged, is_ok && cause != RELOAD_KEPT);
    snapshot_reset(&files);
    record(g, cause, is_ok, report);
    /* Its warnings are known from when it was loaded first. */
    if (cause != RELOAD_LABELS || !is_ok) print_report(g, report);
    log_outcome(g, cause, is_ok, report);
    return is_ok;
}

bool gate_start_with_kept(struct gate *g, const struct conf_report *faults)
{
    struct conf_report report;
    conf_report_init(&report);
    bool is_up = gate_reload(g, RELOAD_KEPT, &report);
    conf_report_reset(&report);
    if (!is_up) return false;
    /* On standard error they were before; the log is open only now. */
    if (atomic_load(&g->log.fd) != STDERR_FILENO) log_report(g, faults);
    log_error(&g->log, "certificates, keys or pages have errors: serving the last good ones");
    record(g, RELOAD_FILES, false, faults);
    return true;
}

void gate_check_files(struct gate *g)
{
    struct conf_report report;
    const char        *path = file_watch_changed(&g->watch, &g->privileged);
    if (!path || g->stop_count) return;
    log_info(&g->log, "%s has changed", path);
    conf_report_init(&report);
    (void)gate_reload(g, RELOAD_FILES, &report);
    conf_report_reset(&report);
}
