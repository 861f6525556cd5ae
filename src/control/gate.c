/* SPDX-License-Identifier: Apache-2.0
 *
 * The worker process' life. See gate.h.
 */
#include "control/gate.h"

#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/memory.h"
#include "control/announce.h"
#include "control/gate_parts.h"
#include "proxy/access_log.h"

enum {
    FILE_CHECK_MS = 10 * 1000,
    MAINTENANCE_CHECK_MS = 1000,
    KEY_ROTATION_MS = 60 * 60 * 1000,
};

/* ---- plans that end ---- */

struct unused_message {
    struct message message;
    struct plan   *plan;
};

static void free_unused(struct message *m, void *control)
{
    struct gate *g = control;
    struct plan *p = container_of(m, struct unused_message, message)->plan;
    free(container_of(m, struct unused_message, message));
    if (p == g->current) g->current = NULL; /* at the very end */
    g->plans_alive--;
    plan_free(p);
    malloc_trim(0); /* a plan may be large, and the next one is long in coming */
}

/* On a worker's thread. */
static void on_unused(struct plan *p)
{
    struct gate           *g = p->on_unused_arg;
    struct unused_message *m = mem_alloc(sizeof(*m));
    m->message.run = free_unused;
    m->plan = p;
    mailbox_post(&g->mailbox, &m->message);
}

/* ---- stopping ---- */

static void on_drained(struct crew *c)
{
    struct gate *g = c->arg;
    loop_stop(g->loop);
}

static void on_drain_heard(void *arg)
{
    struct gate *g = arg;
    plan_retire_sockets(&g->maker, NULL);
}

static void run_grace(struct deadline *d)
{
    struct gate *g = container_of(d, struct gate, grace_deadline);
    log_warn(&g->log, "shutdown_grace has passed: the remaining requests are cut off");
    loop_stop(g->loop);
}

void gate_stop(struct gate *g)
{
    if (g->stop_count++) {
        log_warn(&g->log, "stopping at once");
        loop_stop(g->loop);
        return;
    }
    log_info(&g->log, "stopping: no new connections, running requests finish");
    deadline_set(g->loop, &g->grace_deadline, g->current->settings->shutdown_grace);
    crew_drain(&g->crew);
    crew_barrier(&g->crew, on_drain_heard, g);
}

/* ---- commands ---- */

static void reload(struct gate *g)
{
    struct conf_report report;
    if (g->stop_count) return;
    conf_report_init(&report);
    (void)gate_reload(g, RELOAD_ASKED, &report);
    conf_report_reset(&report);
}

/* What came in from the supervisor. */
static void run_commands(struct gate *g)
{
    struct privileged *p = &g->privileged;
    privileged_poll(p);
    while (p->wants_reload) {
        p->wants_reload = false;
        reload(g);
    }
    if (p->wants_reopen) gate_reopen_logs(g);
    p->wants_reopen = false;
    while (p->stop_count) {
        p->stop_count--;
        gate_stop(g);
    }
    if (!p->is_lost || g->exit_code) return;
    log_error(&g->log, "the supervisor is gone");
    g->exit_code = EXIT_FAULT;
    loop_stop(g->loop);
}

static void on_command(struct watch *w, int fd, unsigned what)
{
    (void)fd;
    (void)what;
    run_commands(container_of(w, struct gate, command_watch));
}

static void run_command_job(struct job *j)
{
    run_commands(container_of(j, struct gate, command_job));
}

/* While an answer was awaited, which may be anywhere. */
static void on_command_amid_call(void *arg)
{
    struct gate *g = arg;
    job_queue(g->loop, &g->command_job);
}

static void on_signal(struct watch *w, int fd, unsigned what)
{
    struct gate            *g = container_of(w, struct gate, signal_watch);
    struct signalfd_siginfo info;
    (void)what;
    while (read(fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGHUP)
            reload(g);
        else if (info.ssi_signo == SIGUSR1)
            gate_reopen_logs(g);
        else
            gate_stop(g);
    }
}

/* ---- timers ---- */

static void run_file_check(struct deadline *d)
{
    struct gate *g = container_of(d, struct gate, file_deadline);
    gate_check_files(g);
    gate_settle_upstreams(g);
    deadline_set(g->loop, d, FILE_CHECK_MS);
}

static void run_maintenance_check(struct deadline *d)
{
    struct gate *g = container_of(d, struct gate, maintenance_deadline);
    gate_check_maintenance(g);
    deadline_set(g->loop, d, MAINTENANCE_CHECK_MS);
}

static void run_key_rotation(struct deadline *d)
{
    struct gate *g = container_of(d, struct gate, key_deadline);
    tls_ticket_keys_rotate(g->maker.ticket_keys);
    deadline_set(g->loop, d, KEY_ROTATION_MS);
}

static void start_timers(struct gate *g)
{
    deadline_init(&g->file_deadline, run_file_check);
    deadline_init(&g->maintenance_deadline, run_maintenance_check);
    deadline_init(&g->key_deadline, run_key_rotation);
    deadline_init(&g->grace_deadline, run_grace);
    deadline_set(g->loop, &g->file_deadline, FILE_CHECK_MS);
    deadline_set(g->loop, &g->maintenance_deadline, MAINTENANCE_CHECK_MS);
    deadline_set(g->loop, &g->key_deadline, KEY_ROTATION_MS);
}

static void stop_timers(struct gate *g)
{
    deadline_remove(&g->file_deadline);
    deadline_remove(&g->maintenance_deadline);
    deadline_remove(&g->key_deadline);
    deadline_remove(&g->grace_deadline);
}

/* ---- life ---- */

static void init_maker(struct gate *g)
{
    plan_maker_init(&g->maker);
    g->maker.log = &g->log;
    g->maker.privileged = &g->privileged;
    g->maker.crew = &g->crew;
    g->maker.control = &g->mailbox;
    g->maker.ask = gate_ask;
    g->maker.on_unused = on_unused;
    g->maker.on_unused_arg = g;
    g->maker.begin_upstream = gate_begin_upstream;
    g->maker.begin_store = gate_begin_store;
    g->maker.end_store = gate_end_store;
    g->maker.end_upstream = gate_end_upstream;
    g->maker.gate = g;
    g->maker.ticket_keys = tls_ticket_keys_new();
    g->maker.served = &g->certificates;
    g->maker.kept = &g->kept;
    g->maker.overrides = g->options.overrides;
    g->maker.override_count = g->options.override_count;
}

/* Blocked in all threads. Without a supervisor they are read here; with one the
 * commands come from it, and a terminal's SIGINT to the whole group is not ours. */
static void block_signals(struct gate *g)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (g->options.supervisor_fd < 0) g->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static bool init(struct gate *g, const struct gate_options *o)
{
    struct socket_table *own = o->supervisor_fd < 0 ? &g->table : NULL;
    g->options = *o;
    g->signal_fd = -1;
    g->generation = o->generation;
    g->started_us = clock_wall_us();
    log_init(&g->log, STDERR_FILENO, LOG_LEVEL_INFO);
    sockets_init(&g->table);
    privileged_init(&g->privileged, o->supervisor_fd, own);
    snapshot_init(&g->files);
    snapshot_init(&g->kept);
    file_watch_init(&g->watch);
    expiries_init(&g->certificates);
    if (o->files) snapshot_move(&g->files, o->files);
    if (o->kept) snapshot_move(&g->kept, o->kept);
    block_signals(g);
    init_maker(g);
    g->loop = loop_new(&g->log);
    return g->loop && mailbox_init(&g->mailbox, g->loop, g);
}

static bool watch_commands(struct gate *g)
{
    job_init(&g->command_job, run_command_job);
    g->privileged.on_command = on_command_amid_call;
    g->privileged.arg = g;
    if (g->options.supervisor_fd >= 0)
        return watch_add(g->loop, &g->command_watch, g->options.supervisor_fd, false, on_command);
    return watch_add(g->loop, &g->signal_watch, g->signal_fd, false, on_signal);
}

static void unwatch_commands(struct gate *g)
{
    watch_remove(g->options.supervisor_fd >= 0 ? &g->command_watch : &g->signal_watch);
    g->privileged.on_command = NULL;
    job_cancel(&g->command_job);
}

static void reset(struct gate *g)
{
    crew_stop(&g->crew);
    /* Plans are freed by messages, and so is what they alone used, connections' memory at a
     * turn's end, endpoints by messages again. */
    for (unsigned i = 0; g->loop && i < 3; i++) loop_turn(g->loop, 0);
    if (g->prober.loop) prober_reset(&g->prober);
    if (g->loop) mailbox_reset(&g->mailbox);
    docker_free(g->docker);
    http_client_free(g->http);
    dns_free(g->dns);
    access_log_free(g->access);
    crew_reset(&g->crew);
    plan_maker_reset(&g->maker);
    tls_ticket_keys_free(g->maker.ticket_keys);
    sockets_reset(&g->table, true);
    snapshot_reset(&g->files);
    snapshot_reset(&g->kept);
    file_watch_reset(&g->watch);
    expiries_reset(&g->certificates);
    free(g->reloads.last_report);
    if (g->loop) loop_free(g->loop);
    if (g->signal_fd >= 0) close(g->signal_fd);
    int log_fd = atomic_load(&g->log.fd);
    if (log_fd != STDERR_FILENO) close(log_fd);
}

static bool start(struct gate *g)
{
    struct conf_report own, *report = g->options.report;
    conf_report_init(&own);
    if (!report) report = &own;
    bool is_up = gate_reload(g, RELOAD_START, report);
    if (!is_up && !g->exit_code && !snapshot_is_empty(&g->kept))
        is_up = gate_start_with_kept(g, report);
    snapshot_reset(&g->kept);
    if (report != &own) conf_report_reset(report);
    conf_report_reset(&own);
    if (!is_up && !g->exit_code) g->exit_code = EXIT_CONFIG;
    return is_up;
}

int gate_run(const struct gate_options *o)
{
    struct gate *g = mem_zalloc(sizeof(*g));
    if (!init(g, o)) {
        log_error(&g->log, "cannot make an event loop: out of descriptors?");
        g->exit_code = EXIT_FAULT;
    } else if (start(g)) {
        g->crew.on_drained = on_drained;
        g->crew.arg = g;
        start_timers(g);
        if (watch_commands(g)) {
            run_commands(g);
            loop_run(g->loop);
            unwatch_commands(g);
        }
        stop_timers(g);
        log_info(&g->log, "stopped");
    }
    int code = g->exit_code;
    reset(g);
    free(g);
    return code;
}
