/* SPDX-License-Identifier: Apache-2.0
 *
 * The last list of containers in a file: a line that says what it is, then the
 * daemon's own answer. See docker_private.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "discovery/docker_private.h"

enum { SNAPSHOT_MAX = 64 * 1024 * 1024, VERSION = 1 };

static const char magic[] = "wharfgate docker snapshot";

static bool write_all(int fd, struct slice text)
{
    while (text.len) {
        ssize_t n = write(fd, text.data, text.len);
        if (n < 0 && errno != EINTR) return false;
        if (n > 0) text = slice_from(text, (size_t)n);
    }
    return true;
}

/* Whole or not at all, also when the machine stops in the midst: fsync before rename. */
static bool write_file(const char *path, struct slice head, struct slice list)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return false;
    bool is_written = write_all(fd, head) && write_all(fd, list) && fsync(fd) == 0;
    int  why = errno;
    if (close(fd) != 0) is_written = false;
    errno = why;
    return is_written;
}

bool docker_snapshot_save(const char *path, struct slice list, int64_t at_us, struct error *e)
{
    struct buffer head = BUFFER_INIT, beside = BUFFER_INIT;
    bool          is_saved = false;
    buffer_printf(&beside, "%s.new", path);
    buffer_printf(&head, "%s %d %lld\n", magic, VERSION, (long long)at_us);
    if (write_file(beside.data, buffer_slice(&head), list) && rename(beside.data, path) == 0)
        is_saved = true;
    else
        error_set(e, "%s: %s", path, strerror(errno));
    if (!is_saved) unlink(beside.data);
    buffer_reset(&head);
    buffer_reset(&beside);
    return is_saved;
}

static bool read_file(const char *path, struct buffer *to, struct error *e)
{
    struct stat st;
    int         fd = open(path, O_RDONLY | O_CLOEXEC);
    bool        is_read = fd >= 0 && fstat(fd, &st) == 0;
    if (is_read && (!S_ISREG(st.st_mode) || st.st_size > SNAPSHOT_MAX)) {
        close(fd);
        return error_set(e, "%s: no file of ours", path);
    }
    while (is_read) {
        char   *at = buffer_reserve(to, 65536);
        ssize_t n = read(fd, at, 65536);
        if (n < 0) is_read = false;
        if (n <= 0) break;
        to->len += (size_t)n;
        if (to->len > SNAPSHOT_MAX) is_read = false;
    }
    if (!is_read) error_set(e, "%s: %s", path, strerror(errno));
    if (fd >= 0) close(fd);
    return is_read;
}

bool docker_snapshot_load(const char *path, struct buffer *list, int64_t *at_us, struct error *e)
{
    int       version = 0;
    long long at = 0;
    if (!read_file(path, list, e)) return false;
    buffer_put_char(list, '\0');
    list->len--;
    const char *end = memchr(list->data, '\n', list->len);
    size_t      used = sizeof(magic) - 1;
    if (!end || list->len < used || memcmp(list->data, magic, used) != 0 ||
        sscanf(list->data + used, " %d %lld", &version, &at) != 2)
        return error_set(e, "%s: no snapshot of containers", path);
    if (version != VERSION)
        return error_set(e, "%s: a snapshot of version %d; this program reads %d", path, version,
                         VERSION);
    size_t head = (size_t)(end + 1 - list->data);
    memmove(list->data, list->data + head, list->len - head + 1); /* and its NUL */
    list->len -= head;
    *at_us = at;
    return true;
}
