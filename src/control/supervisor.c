/* SPDX-License-Identifier: Apache-2.0
 *
 * The supervisor's life: signals, the worker process' death and return. See
 * supervisor.h.
 */
#include "control/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/announce.h"
#include "control/open_file.h"
#include "control/supervisor_parts.h"

enum {
    BACKOFF_FIRST_MS = 100,
    BACKOFF_MAX_MS = 10 * 1000,
    LIFE_GOOD_MS = 30 * 1000,  /* of a worker process: its death is not part of a loop */
    GRACE_EXTRA_MS = 5 * 1000, /* beyond shutdown_grace: then it hangs */
    GRACE_IMMEDIATE_MS = 2 * 1000,
};

static uint64_t now_ms(void)
{
    return clock_mono_ns() / 1000000;
}

/* ---- the worker process' end ---- */

static void log_death(struct supervisor *s, int status)
{
    if (WIFSIGNALED(status))
        log_error(&s->log, "worker process %d died of signal %d (%s)%s", (int)s->child,
                  WTERMSIG(status), strsignal(WTERMSIG(status)),
                  WCOREDUMP(status) ? ", core dumped" : "");
    else
        log_error(&s->log, "worker process %d ended with exit code %d", (int)s->child,
                  WEXITSTATUS(status));
}

/* At once, then ever slower while it does not live. */
static void plan_restart(struct supervisor *s)
{
    uint64_t now = now_ms();
    bool     was_good = now - s->started_ms >= LIFE_GOOD_MS;
    uint64_t wait = was_good ? 0 : s->backoff_ms;
    uint64_t next = wait ? wait * 2 : BACKOFF_FIRST_MS;
    s->backoff_ms = next < BACKOFF_MAX_MS ? next : BACKOFF_MAX_MS;
    s->restart_at_ms = now + wait;
    log_info(&s->log, "starting a new worker process %s", wait ? "after a pause" : "at once");
}

static void on_child_end(struct supervisor *s, int status)
{
    if (s->line >= 0) {
        (void)supervisor_serve(s); /* what it said last */
        close(s->line);
        s->line = -1;
    }
    manifest_free(s->next);
    s->next = NULL;
    snapshot_reset(&s->tried);
    buffer_reset(&s->ready);
    bool is_clean = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_OK;
    if (s->stop_count || !s->has_served) {
        if (!is_clean && (s->stop_count || WIFSIGNALED(status))) log_death(s, status);
        s->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAULT;
        s->is_done = true;
    } else {
        log_death(s, status);
        s->crash_count++;
        plan_restart(s);
    }
    s->child = 0;
    s->kill_at_ms = 0;
}

/* It is ending: SIGCHLD follows, or it has lost its way. */
static void on_line_closed(struct supervisor *s)
{
    close(s->line);
    s->line = -1;
    if (s->child) s->kill_at_ms = now_ms() + GRACE_IMMEDIATE_MS;
}

/* As PID 1 also orphans that are not ours. */
static void reap(struct supervisor *s)
{
    int   status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == s->child) on_child_end(s, status);
}

/* ---- signals ---- */

static void command(struct supervisor *s, enum wire_kind kind)
{
    struct wire_message m;
    if (s->line < 0) return;
    wire_init(&m, kind, 0);
    if (wire_send(s->line, &m, MSG_DONTWAIT) == WIRE_NOTHING)
        log_warn(&s->log, "the worker process is too busy to hear a command");
}

static void stop(struct supervisor *s)
{
    uint64_t grace = s->current->shutdown_grace_ms + GRACE_EXTRA_MS;
    if (!s->stop_count++) announce_systemd("STOPPING=1");
    if (!s->child) {
        s->is_done = true;
        s->exit_code = EXIT_OK;
        return;
    }
    s->kill_at_ms = now_ms() + (s->stop_count == 1 ? grace : GRACE_IMMEDIATE_MS);
    command(s, WIRE_STOP);
}

static void open_error_log(struct supervisor *s)
{
    struct error e;
    struct slice name = s->current->error_log;
    int          old = atomic_load(&s->log.fd);
    if (!name.len || slice_eq(name, S("stderr"))) return;
    int fd = open_for_appending(name.data, &e);
    if (fd < 0) {
        log_error(&s->log, "%s", e.text);
        return;
    }
    s->log.has_color = false;
    atomic_store(&s->log.fd, fd);
    if (old != STDERR_FILENO) close(old);
}

static void on_signal(struct supervisor *s, uint32_t number)
{
    switch (number) {
    case SIGCHLD: reap(s); break;
    case SIGHUP: command(s, WIRE_RELOAD); break;
    case SIGUSR1:
        open_error_log(s);
        command(s, WIRE_REOPEN);
        break;
    case SIGTERM:
    case SIGINT: stop(s); break;
    default: break;
    }
}

static void read_signals(struct supervisor *s)
{
    struct signalfd_siginfo info;
    while (!s->is_done && read(s->signal_fd, &info, sizeof(info)) == sizeof(info))
        on_signal(s, info.ssi_signo);
}

/* ---- the loop ---- */

static int wait_ms(const struct supervisor *s)
{
    uint64_t now = now_ms(), at = s->restart_at_ms;
    if (s->kill_at_ms && (!at || s->kill_at_ms < at)) at = s->kill_at_ms;
    if (!at) return -1;
    return at > now ? (int)(at - now) : 0;
}

static void run_due(struct supervisor *s)
{
    uint64_t now = now_ms();
    if (s->kill_at_ms && now >= s->kill_at_ms && s->child) {
        log_error(&s->log, "worker process %d does not end: killed", (int)s->child);
        kill(s->child, SIGKILL);
        s->kill_at_ms = 0;
    }
    if (s->restart_at_ms && now >= s->restart_at_ms && !s->is_done) supervisor_start_child(s);
}

static void run(struct supervisor *s)
{
    while (!s->is_done) {
        struct pollfd fds[] = { { .fd = s->signal_fd, .events = POLLIN },
                                { .fd = s->line, .events = POLLIN } };
        if (poll(fds, 2, wait_ms(s)) < 0 && errno != EINTR) {
            log_error(&s->log, "poll: %s", strerror(errno));
            s->exit_code = EXIT_FAULT;
            return;
        }
        if (s->line >= 0 && fds[1].revents && !supervisor_serve(s)) on_line_closed(s);
        if (fds[0].revents) read_signals(s);
        run_due(s);
    }
}

/* ---- start and end ---- */

static void raise_limits(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0) return;
    files.rlim_cur = files.rlim_max;
    (void)!setrlimit(RLIMIT_NOFILE, &files);
}

static bool take_signals(struct supervisor *s)
{
    static const int numbers[] = { SIGCHLD, SIGHUP, SIGTERM, SIGINT, SIGUSR1, SIGUSR2 };
    sigset_t         set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) sigaddset(&set, numbers[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    s->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (s->signal_fd < 0) log_error(&s->log, "signalfd: %s", strerror(errno));
    return s->signal_fd >= 0;
}

/* Errors are printed here; warnings by the worker process, with its own. */
static bool load(struct supervisor *s)
{
    s->current = manifest_load(s->options->config_path, &conf_reader_direct, &s->report);
    if (s->current->is_good) return true;
    struct buffer text = BUFFER_INIT;
    conf_report_print(&s->report, &text, s->log.has_color);
    (void)!write(STDERR_FILENO, text.data, text.len);
    buffer_reset(&text);
    s->exit_code = EXIT_CONFIG;
    return false;
}

static void warn_of_user(struct supervisor *s)
{
    if (s->current->user.len && geteuid() != 0)
        log_warn(&s->log, "user: %s is not taken: only root may become another user",
                 s->current->user.data);
    else if (!s->current->user.len && geteuid() == 0)
        log_warn(&s->log, "user: not set, so the worker process, which reads what clients send, "
                          "runs as root; an account without rights, such as nobody, is safer");
}

static void reset(struct supervisor *s)
{
    int log_fd = atomic_load(&s->log.fd);
    if (!s->is_child && s->current && s->current->pid_file.len && s->has_served)
        unlink(s->current->pid_file.data);
    sockets_reset(&s->sockets, !s->is_child);
    manifest_free(s->current);
    manifest_free(s->next);
    snapshot_reset(&s->kept);
    snapshot_reset(&s->tried);
    conf_report_reset(&s->report);
    buffer_reset(&s->ready);
    if (s->signal_fd >= 0) close(s->signal_fd);
    if (s->line >= 0) close(s->line);
    if (log_fd != STDERR_FILENO) close(log_fd);
}

int supervisor_run(const struct supervisor_options *o)
{
    struct supervisor s = { .options = o, .signal_fd = -1, .line = -1 };
    log_init(&s.log, STDERR_FILENO, LOG_LEVEL_INFO);
    sockets_init(&s.sockets);
    snapshot_init(&s.kept);
    snapshot_init(&s.tried);
    conf_report_init(&s.report);
    raise_limits();
    if (!take_signals(&s)) {
        s.exit_code = EXIT_FAULT;
    } else if (load(&s)) {
        warn_of_user(&s);
        open_error_log(&s);
        supervisor_start_child(&s);
        run(&s);
    }
    bool is_child = s.is_child;
    reset(&s);
    if (is_child) exit(s.exit_code); /* what the caller cleans up is the supervisor's */
    return s.exit_code;
}

int supervisor_run_alone(const struct supervisor_options *o)
{
    struct gate_options g = {
        .config_path = o->config_path,
        .supervisor_fd = -1,
        .ready_file = o->ready_file,
        .overrides = o->overrides,
        .override_count = o->override_count,
    };
    raise_limits();
    return gate_run(&g);
}
