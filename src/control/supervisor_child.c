/* SPDX-License-Identifier: Apache-2.0
 *
 * The fork: what the worker process keeps of the supervisor, and what not.
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "control/credentials.h"
#include "control/supervisor_parts.h"

/* In this order: taking another user clears the parent-death signal. */
static bool confine(const struct credentials *c, pid_t parent, struct error *e)
{
    if (!credentials_take(c, e)) return false;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return error_set(e, "PR_SET_PDEATHSIG: %s", strerror(errno));
    return getppid() == parent || error_set(e, "the supervisor is gone");
}

static void be_child(struct supervisor *s, int line, pid_t parent, const struct credentials *c)
{
    struct gate_options o = {
        .config_path = s->options->config_path,
        .settings = manifest_take_settings(s->current),
        .files = &s->current->files,
        .kept = &s->kept,
        .supervisor_fd = line,
        .crash_count = s->crash_count,
        .generation = s->generation,
        .overrides = s->options->overrides,
        .override_count = s->options->override_count,
    };
    struct error e;
    s->is_child = true;
    s->is_done = true;
    close(s->signal_fd);
    s->signal_fd = -1;
    /* They come anew from the supervisor; a copy here would keep an address open. */
    sockets_reset(&s->sockets, false);
    if (o.settings) o.report = &s->report;
    if (confine(c, parent, &e)) {
        s->exit_code = gate_run(&o);
    } else {
        log_error(&s->log, "worker process: %s", e.text);
        s->exit_code = EXIT_FAULT;
        if (o.settings) settings_free(o.settings);
    }
    close(line);
}

/* The settings went to the child with the fork; ours are not needed. */
static void forget_settings(struct supervisor *s)
{
    struct settings *settings = manifest_take_settings(s->current);
    if (settings) settings_free(settings);
    conf_report_reset(&s->report);
    conf_report_init(&s->report);
    malloc_trim(0);
}

static bool fail(struct supervisor *s, const char *what)
{
    log_error(&s->log, "cannot start a worker process: %s: %s", what, strerror(errno));
    return false;
}

static bool fork_child(struct supervisor *s, const struct credentials *c)
{
    int   ends[2];
    pid_t parent = getpid();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return fail(s, "socketpair");
    s->child = fork();
    if (s->child < 0) {
        close(ends[0]);
        close(ends[1]);
        return fail(s, "fork");
    }
    if (s->child == 0) {
        close(ends[0]);
        be_child(s, ends[1], parent, c);
        return true;
    }
    close(ends[1]);
    s->line = ends[0];
    return true;
}

void supervisor_start_child(struct supervisor *s)
{
    struct credentials c;
    struct error       e;
    s->restart_at_ms = 0;
    s->started_ms = clock_mono_ns() / 1000000;
    bool is_found = credentials_find(&c, s->current->user, s->current->group, &e);
    if (!is_found) log_error(&s->log, "%s", e.text);
    bool is_started = is_found && fork_child(s, &c);
    if (s->is_child) return;
    forget_settings(s);
    if (is_started) return;
    s->child = 0;
    s->exit_code = is_found ? EXIT_FAULT : EXIT_CONFIG;
    s->is_done = !s->has_served;
    s->restart_at_ms = s->started_ms + 1000;
}
