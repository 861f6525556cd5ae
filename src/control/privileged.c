/* SPDX-License-Identifier: Apache-2.0
 *
 * The worker process' end of the line to the supervisor. See privileged.h.
 */
#include "control/privileged.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "control/open_file.h"

enum { GLOB_BYTES_MAX = 16 * 1024 * 1024 };

void privileged_init(struct privileged *p, int fd, struct socket_table *table)
{
    *p = (struct privileged){ .fd = fd, .table = table };
}

static void take_command(struct privileged *p, const struct wire_message *m)
{
    if (m->kind == WIRE_RELOAD) p->wants_reload = true;
    if (m->kind == WIRE_REOPEN) p->wants_reopen = true;
    if (m->kind == WIRE_STOP) p->stop_count++;
}

void privileged_poll(struct privileged *p)
{
    struct wire_message m;
    while (p->fd >= 0 && !p->is_lost) {
        enum wire_result got = wire_receive(p->fd, &m, MSG_DONTWAIT);
        if (got == WIRE_NOTHING) return;
        if (got != WIRE_OK) {
            p->is_lost = true;
            return;
        }
        take_command(p, &m);
        wire_close_fds(&m);
    }
}

/* Sends *m and turns it into the answer. */
static bool call(struct privileged *p, struct wire_message *m, struct error *e)
{
    enum wire_result got = wire_send(p->fd, m, 0);
    while (got == WIRE_OK) {
        got = wire_receive(p->fd, m, 0);
        if (got != WIRE_OK) break;
        if (m->kind == WIRE_ANSWER) {
            if (m->number) return true;
            wire_close_fds(m);
            return error_set(e, "%s", m->text);
        }
        take_command(p, m);
        wire_close_fds(m);
        if (p->on_command) p->on_command(p->arg);
    }
    p->is_lost = true;
    return error_set(e, "the supervisor is gone");
}

static bool call_text(struct privileged *p, struct wire_message *m, enum wire_kind kind,
                      const char *text, struct error *e)
{
    if (strlen(text) > WIRE_TEXT_MAX) return error_set(e, "%.60s...: too long", text);
    wire_init(m, kind, 0);
    wire_set_text(m, slice_of(text));
    return call(p, m, e);
}

static int one_fd(struct wire_message *m, struct error *e)
{
    if (m->fd_count == 1) return m->fds[0];
    wire_close_fds(m);
    error_set(e, "no descriptor came from the supervisor");
    return -1;
}

int privileged_open(struct privileged *p, const char *path, bool for_append, struct error *e)
{
    if (p->fd < 0) return for_append ? open_for_appending(path, e) : open_for_reading(path, e);
    struct wire_message m;
    if (!call_text(p, &m, for_append ? WIRE_APPEND : WIRE_READ, path, e)) return -1;
    return one_fd(&m, e);
}

/* The content comes beside the file, so that what is used and what is kept are the same. */
static bool take_from_supervisor(struct privileged *p, const char *path, size_t max_bytes, int *fd,
                                 struct buffer *to, struct error *e)
{
    struct wire_message m;
    if (!call_text(p, &m, WIRE_TAKE, path, e)) return false;
    if (m.fd_count != 1 && m.fd_count != 2) {
        wire_close_fds(&m);
        return error_set(e, "%s: no content came from the supervisor", path);
    }
    *fd = m.fds[0];
    bool is_read = read_all(m.fds[m.fd_count - 1], path, max_bytes, to, e);
    if (m.fd_count == 2) close(m.fds[1]);
    return is_read;
}

bool privileged_take(struct privileged *p, const char *path, size_t max_bytes, int *fd,
                     struct buffer *to, struct error *e)
{
    *fd = -1;
    if (p->fd >= 0) return take_from_supervisor(p, path, max_bytes, fd, to, e);
    *fd = open_for_reading(path, e);
    return *fd >= 0 && read_all(*fd, path, max_bytes, to, e);
}

bool privileged_read(struct privileged *p, const char *path, size_t max_bytes, struct buffer *to,
                     struct error *e)
{
    int fd = privileged_open(p, path, false, e);
    if (fd < 0) return false;
    bool is_done = read_all(fd, path, max_bytes, to, e);
    close(fd);
    return is_done;
}

/* ---- a reader of configuration files ---- */

static bool reader_read(void *arg, const char *path, size_t max_bytes, struct buffer *to,
                        struct error *e)
{
    return privileged_read(arg, path, max_bytes, to, e);
}

static bool reader_glob(void *arg, const char *pattern, void (*found)(void *, const char *),
                        void *to, struct error *e)
{
    struct privileged *p = arg;
    if (p->fd < 0) return conf_reader_direct.glob(conf_reader_direct.arg, pattern, found, to, e);
    struct wire_message m;
    struct buffer       paths = BUFFER_INIT;
    if (!call_text(p, &m, WIRE_GLOB, pattern, e)) return false;
    int fd = one_fd(&m, e);
    if (fd < 0) return false;
    bool is_done = read_all(fd, pattern, GLOB_BYTES_MAX, &paths, e);
    close(fd);
    buffer_put_char(&paths, 0); /* an unterminated last path ends here */
    for (size_t at = 0; is_done && at + 1 < paths.len; at += strlen(paths.data + at) + 1)
        found(to, paths.data + at);
    buffer_reset(&paths);
    return is_done;
}

struct conf_reader privileged_reader(struct privileged *p)
{
    return (struct conf_reader){ .read = reader_read, .glob = reader_glob, .arg = p };
}

/* ---- sockets ---- */

static void close_all(const int *fds, unsigned count)
{
    for (unsigned i = 0; i < count; i++) close(fds[i]);
}

/* Copies, so that both ways the caller owns what it gets. */
static bool bind_ourselves(struct privileged *p, const char *address, unsigned count, int *fds,
                           struct error *e)
{
    if (!sockets_bind(p->table, address, count, 0, count, fds, e)) return false;
    for (unsigned i = 0; i < count; i++) {
        fds[i] = dup(fds[i]);
        if (fds[i] >= 0 && fcntl(fds[i], F_SETFD, FD_CLOEXEC) == 0) continue;
        close_all(fds, i);
        return error_set(e, "cannot listen on %s: %s", address, strerror(errno));
    }
    return true;
}

static bool bind_some(struct privileged *p, const char *address, unsigned total, unsigned first,
                      int *fds, unsigned *got, struct error *e)
{
    struct wire_message m;
    wire_init(&m, WIRE_BIND, total);
    m.first = first;
    wire_set_text(&m, slice_of(address));
    if (!call(p, &m, e)) return false;
    if (m.fd_count == 0 || m.fd_count > total - first) {
        wire_close_fds(&m);
        return error_set(e, "cannot listen on %s: the supervisor sent no socket", address);
    }
    memcpy(fds + first, m.fds, m.fd_count * sizeof(int));
    *got = m.fd_count;
    return true;
}

bool privileged_bind(struct privileged *p, const char *address, unsigned count, int *fds,
                     struct error *e)
{
    if (p->fd < 0) return bind_ourselves(p, address, count, fds, e);
    for (unsigned have = 0, got = 0; have < count; have += got) {
        if (bind_some(p, address, count, have, fds, &got, e)) continue;
        close_all(fds, have);
        return false;
    }
    return true;
}

void privileged_unbind(struct privileged *p, const char *address)
{
    struct wire_message m;
    struct error        e;
    if (p->fd < 0)
        sockets_close(p->table, address);
    else
        (void)call_text(p, &m, WIRE_UNBIND, address, &e);
}

/* ---- the course of things ---- */

void privileged_prepare(struct privileged *p)
{
    struct wire_message m;
    struct error        e;
    if (p->fd < 0) return;
    wire_init(&m, WIRE_PREPARE, 0);
    (void)call(p, &m, &e);
}

void privileged_commit(struct privileged *p, bool is_good)
{
    struct wire_message m;
    struct error        e;
    if (p->fd < 0) return;
    wire_init(&m, WIRE_COMMIT, is_good);
    (void)call(p, &m, &e);
}

void privileged_ready(struct privileged *p, uint64_t generation, struct slice text)
{
    struct wire_message m;
    struct error        e;
    bool                goes_on = p->fd >= 0;
    while (goes_on) {
        wire_init(&m, WIRE_READY, (uint32_t)generation);
        wire_set_text(&m, text);
        text = slice_from(text, m.text_bytes);
        m.first = text.len == 0;
        goes_on = call(p, &m, &e) && text.len;
    }
}
