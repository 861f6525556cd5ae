/* SPDX-License-Identifier: Apache-2.0
 *
 * See redis_rig.h.
 */
#include "redis_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void retire(void *arg, struct redis_map *old)
{
    struct rig *r = arg;
    r->retired_count++;
    redis_map_free(old);
}

void rig_init(struct rig *r)
{
    struct error             e;
    const struct dns_options o = {
        .min_ttl_ms = 100, .max_ttl_ms = 1000, .timeout_ms = 2000, .retry_ms = 200
    };
    memset(r, 0, sizeof(*r));
    log_init(&r->log, getenv("RIG_LOG") ? STDERR_FILENO : open("/dev/null", O_WRONLY),
             LOG_LEVEL_DEBUG);
    r->loop = loop_new(&r->log);
    r->dns = dns_new(r->loop, &o, &e);
    assert_non_null(r->dns);
    assert_true(mailbox_init(&r->mailbox, r->loop, r));
    r->settings.prefix = S("test");
}

void rig_watch(struct rig *r, const char *url)
{
    const struct redis_watch_options o = { r->loop, r->dns, &r->mailbox, &r->settings, NULL,
                                           retire,  r };
    r->settings.url = slice_of(url);
    r->watch = redis_watch_new(&o);
    r->store = redis_watch_store(r->watch);
}

void rig_reset(struct rig *r)
{
    if (!r->loop) return;
    redis_watch_free(r->watch);
    mailbox_reset(&r->mailbox);
    loop_turn(r->loop, 0);
    dns_free(r->dns);
    loop_free(r->loop);
    if (r->log.fd != STDERR_FILENO) close(r->log.fd);
}

const struct redis_watch_status *rig_look(struct rig *r)
{
    redis_watch_status(r->watch, &r->status);
    return &r->status;
}

const char *rig_owner(struct rig *r, const char *key)
{
    const struct redis_node *n = redis_map_node(redis_store_map(r->store), slice_of(key));
    return n ? n->text : "";
}

void rig_turn(struct rig *r, uint64_t ms)
{
    for (uint64_t end_ns = clock_mono_ns() + ms * 1000000; clock_mono_ns() < end_ns;)
        loop_turn(r->loop, 5);
}

/* ---- farms ---- */

static bool read_line(struct farm *f)
{
    size_t len = 0;
    while (read(f->out, f->answer + len, 1) == 1 && len < sizeof(f->answer) - 1) {
        if (f->answer[len++] != '\n') continue;
        f->answer[len - 1] = 0;
        return true;
    }
    return false;
}

void farm_start(struct farm *f, const char *kind)
{
    int         in[2], out[2];
    const char *source = getenv("top_srcdir");
    char        path[512];
    snprintf(path, sizeof(path), "%s/tests/e2e/redisfarm.py", source ? source : ".");
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    f->pid = fork();
    assert_true(f->pid >= 0);
    if (f->pid == 0) {
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        execl("/usr/bin/python3", "python3", "-B", path, kind, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    f->in = in[1];
    f->out = out[0];
    assert_true(read_line(f));
    assert_string_equal(f->answer, "ready");
}

const char *farm_do(struct farm *f, struct rig *r, const char *format, ...)
{
    char          line[256];
    va_list       args;
    struct pollfd p = { .fd = f->out, .events = POLLIN };
    va_start(args, format);
    int len = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    assert_true(len > 0 && (size_t)len < sizeof(line));
    line[len] = '\n';
    assert_int_equal(write(f->in, line, (size_t)len + 1), len + 1);
    while (poll(&p, 1, 0) == 0) loop_turn(r->loop, 5);
    assert_true(read_line(f));
    return f->answer;
}

/* It ends what it has started when nothing more comes. */
void farm_stop(struct farm *f)
{
    close(f->in);
    close(f->out);
    assert_int_equal(waitpid(f->pid, NULL, 0), f->pid);
}
