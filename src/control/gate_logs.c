/* SPDX-License-Identifier: Apache-2.0
 *
 * The worker process' logs: opened through the supervisor, opened again when
 * they were moved away.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/gate_parts.h"
#include "proxy/access_log.h"

enum { MOVE_WAIT_MS = 200 };

static bool is_path(struct slice name)
{
    return name.len && !slice_eq(name, S("stderr")) && !slice_eq(name, S("stdout")) &&
           !slice_eq(name, S("off"));
}

void gate_apply_log_level(struct gate *g, const struct settings *s)
{
    static const struct slice names[] = { SLICE("debug"), SLICE("info"), SLICE("warn"),
                                          SLICE("error") };
    for (int i = 0; i <= LOG_LEVEL_ERROR; i++)
        if (slice_eq(s->log.level, names[i])) atomic_store(&g->log.level, i);
}

/* The number stays the same, so that a line in another thread finds an open file. */
static bool open_error_log(struct gate *g, const struct settings *s, struct error *e)
{
    if (!is_path(s->log.error)) return true;
    int fd = privileged_open(&g->privileged, s->log.error.data, true, e);
    if (fd < 0) return false;
    int old = atomic_load(&g->log.fd);
    if (old == STDERR_FILENO) {
        atomic_store(&g->log.fd, fd);
        g->log.has_color = false;
        return true;
    }
    bool is_done = dup3(fd, old, O_CLOEXEC) >= 0;
    close(fd);
    return is_done || error_set(e, "%s: %s", s->log.error.data, strerror(errno));
}

/* One that is off has its rings and its writer all the same: a reload may switch it on. */
static int open_access_log(struct gate *g, const struct settings *s, struct error *e)
{
    const char *name = s->log.access.data;
    if (slice_eq(s->log.access, S("off"))) return access_log_open("/dev/null", e);
    return is_path(s->log.access) ? privileged_open(&g->privileged, name, true, e)
                                  : access_log_open(name, e);
}

bool gate_open_logs(struct gate *g, const struct settings *s, struct error *e)
{
    gate_apply_log_level(g, s);
    if (!open_error_log(g, s, e)) return false;
    int fd = open_access_log(g, s, e);
    if (fd < 0) return false;
    struct access_log_options o = {
        .fd = fd,
        .name = s->log.access.data,
        .format = s->log.format,
        .ring_count = g->crew.count,
        .log = &g->log,
    };
    g->access = access_log_new(&o, e);
    return g->access != NULL;
}

static bool has_access_moved(const struct settings *old, const struct settings *now)
{
    return !slice_eq(old->log.access, now->log.access) || old->log.format != now->log.format;
}

bool gate_move_logs(struct gate *g, const struct settings *s, struct error *e)
{
    const struct settings *old = g->current->settings;
    bool                   moves_access = has_access_moved(old, s);
    int                    fd = moves_access ? open_access_log(g, s, e) : -1;
    if (moves_access && fd < 0) return false;
    if (!slice_eq(old->log.error, s->log.error) && !open_error_log(g, s, e)) {
        if (fd >= 0) close(fd);
        return false;
    }
    if (!moves_access) return true;
    /* What was logged before belongs where it was logged to. */
    (void)access_log_flush(g->access, MOVE_WAIT_MS);
    access_log_move(g->access, fd, s->log.access.data, s->log.format);
    return true;
}

void gate_reopen_logs(struct gate *g)
{
    struct error           e;
    const struct settings *s = g->current->settings;
    if (!open_error_log(g, s, &e)) log_error(&g->log, "reopening logs: %s", e.text);
    if (!is_path(s->log.access)) return;
    int fd = open_access_log(g, s, &e);
    if (fd >= 0)
        access_log_reopen(g->access, fd);
    else
        log_error(&g->log, "reopening logs: %s", e.text);
    log_info(&g->log, "logs reopened");
}
