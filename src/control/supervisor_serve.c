/* SPDX-License-Identifier: Apache-2.0
 *
 * The supervisor's answers. The worker process is not trusted: what the
 * configuration does not name is refused and logged.
 */
#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/announce.h"
#include "control/open_file.h"
#include "control/supervisor_parts.h"

enum { READY_BYTES_MAX = 4 * 1024 * 1024 };

static bool is_named(const struct supervisor *s, enum manifest_kind kind, const char *text)
{
    struct slice t = slice_of(text);
    return manifest_has(s->current, kind, t) || manifest_has(s->next, kind, t);
}

static bool refuse(struct supervisor *s, const char *what, const char *text, struct error *e)
{
    log_warn(&s->log, "refused to %s %s: the configuration does not name it", what, text);
    return error_set(e, "%s: the supervisor's reading of the configuration does not name it", text);
}

/* Each fills `a` in or sets *e. */

static bool serve_open(struct supervisor *s, const struct wire_message *ask, struct wire_message *a,
                       struct error *e)
{
    bool appends = ask->kind == WIRE_APPEND;
    if (!is_named(s, appends ? MANIFEST_APPEND : MANIFEST_READ, ask->text))
        return refuse(s, appends ? "write" : "read", ask->text, e);
    int fd = appends ? open_for_appending(ask->text, e) : open_for_reading(ask->text, e);
    if (fd < 0) return false;
    a->fds[a->fd_count++] = fd;
    return true;
}

/* For a plan: what it reads is remembered. If we cannot, it may find the reason itself. */
static bool serve_take(struct supervisor *s, const struct wire_message *ask, struct wire_message *a,
                       struct error *e)
{
    struct buffer content = BUFFER_INIT;
    struct error  ignored;
    if (!serve_open(s, ask, a, e)) return false;
    bool is_read = read_all(a->fds[0], ask->text, PLAN_FILE_BYTES_MAX, &content, &ignored);
    int  fd = is_read ? wire_memfd(buffer_slice(&content)) : -1;
    if (fd >= 0) {
        snapshot_put(&s->tried, ask->text, buffer_slice(&content));
        a->fds[a->fd_count++] = fd;
    }
    if (content.data) explicit_bzero(content.data, content.len); /* it may be a key */
    buffer_reset(&content);
    return true;
}

static void put_path(void *to, const char *path)
{
    buffer_put(to, path, strlen(path) + 1);
}

static bool serve_glob(struct supervisor *s, const struct wire_message *ask, struct wire_message *a,
                       struct error *e)
{
    struct slice  pattern = slice_of(ask->text);
    struct buffer paths = BUFFER_INIT;
    if (!manifest_has_pattern(s->current, pattern) && !manifest_has_pattern(s->next, pattern))
        return refuse(s, "list", ask->text, e);
    bool is_done = conf_reader_direct.glob(conf_reader_direct.arg, ask->text, put_path, &paths, e);
    int  fd = is_done ? wire_memfd(buffer_slice(&paths)) : -1;
    buffer_reset(&paths);
    if (is_done && fd < 0) return error_set(e, "%s: no memory for the paths", ask->text);
    if (fd >= 0) a->fds[a->fd_count++] = fd;
    return is_done;
}

/* The sockets stay the table's: copies go out, so that all answers are closed alike. */
static bool serve_bind(struct supervisor *s, const struct wire_message *ask, struct wire_message *a,
                       struct error *e)
{
    unsigned total = ask->number, first = ask->first;
    if (!is_named(s, MANIFEST_BIND, ask->text)) return refuse(s, "bind", ask->text, e);
    if (first >= total) return error_set(e, "%s: no socket was asked for", ask->text);
    unsigned count = total - first < WIRE_FDS_MAX ? total - first : WIRE_FDS_MAX;
    if (!sockets_bind(&s->sockets, ask->text, total, first, count, a->fds, e)) return false;
    for (unsigned i = 0; i < count; i++) {
        int copy = dup(a->fds[i]);
        if (copy < 0) return error_set(e, "%s: out of descriptors", ask->text);
        a->fds[a->fd_count++] = copy;
    }
    return true;
}

static bool serve_prepare(struct supervisor *s)
{
    struct conf_report report;
    conf_report_init(&report);
    manifest_free(s->next);
    s->next = manifest_load(s->options->config_path, &conf_reader_direct, &report);
    conf_report_reset(&report);
    struct settings *settings = manifest_take_settings(s->next);
    if (settings) settings_free(settings);
    return true;
}

static bool serve_commit(struct supervisor *s, bool is_good)
{
    if (is_good && s->next && s->next->is_good) {
        manifest_free(s->current);
        s->current = s->next;
    } else {
        manifest_free(s->next);
    }
    s->next = NULL;
    if (is_good)
        snapshot_move(&s->kept, &s->tried);
    else
        snapshot_reset(&s->tried);
    malloc_trim(0);
    return true;
}

static void announce(struct supervisor *s)
{
    struct slice ready = buffer_slice(&s->ready);
    announce_file(&s->log, slice_of(s->options->ready_file), ready);
    announce_pid(&s->log, s->current->pid_file);
    if (s->has_served) return;
    announce_systemd("READY=1");
    if (s->options->on_ready) s->options->on_ready(s->options->arg, ready);
}

/* In pieces: a datagram is short. */
static bool serve_ready(struct supervisor *s, const struct wire_message *ask, struct error *e)
{
    if (s->ready.len + ask->text_bytes > READY_BYTES_MAX) {
        buffer_reset(&s->ready);
        return error_set(e, "the ready file is too long");
    }
    buffer_put(&s->ready, ask->text, ask->text_bytes);
    if (!ask->first) return true;
    announce(s);
    buffer_reset(&s->ready);
    s->has_served = true;
    s->generation = ask->number;
    return true;
}

static bool serve_one(struct supervisor *s, const struct wire_message *ask, struct wire_message *a,
                      struct error *e)
{
    switch (ask->kind) {
    case WIRE_READ:
    case WIRE_APPEND: return serve_open(s, ask, a, e);
    case WIRE_TAKE: return serve_take(s, ask, a, e);
    case WIRE_GLOB: return serve_glob(s, ask, a, e);
    case WIRE_BIND: return serve_bind(s, ask, a, e);
    case WIRE_UNBIND: sockets_close(&s->sockets, ask->text); return true;
    case WIRE_PREPARE: return serve_prepare(s);
    case WIRE_COMMIT: return serve_commit(s, ask->number == 1);
    case WIRE_READY: return serve_ready(s, ask, e);
    default: return error_set(e, "unknown request %u", ask->kind);
    }
}

bool supervisor_serve(struct supervisor *s)
{
    struct wire_message ask, answer;
    for (;;) {
        enum wire_result got = wire_receive(s->line, &ask, MSG_DONTWAIT);
        if (got == WIRE_NOTHING) return true;
        if (got != WIRE_OK) return false;
        struct error e = { "" };
        wire_init(&answer, WIRE_ANSWER, 1);
        if (memchr(ask.text, 0, ask.text_bytes))
            answer.number = error_set(&e, "a NUL in a text");
        else
            answer.number = serve_one(s, &ask, &answer, &e);
        if (!answer.number) {
            wire_close_fds(&answer);
            wire_set_text(&answer, slice_of(e.text));
        }
        bool is_sent = wire_send(s->line, &answer, 0) == WIRE_OK;
        wire_close_fds(&ask);
        wire_close_fds(&answer);
        if (!is_sent) return false;
    }
}
