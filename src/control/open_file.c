/* SPDX-License-Identifier: Apache-2.0
 *
 * Careful opening. See open_file.h.
 */
#include "control/open_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/random.h"

static int refuse(int fd, struct error *e, const char *path, const char *why)
{
    if (fd >= 0) close(fd);
    error_set(e, "%s: %s", path, why);
    return -1;
}

int open_for_reading(const char *path, struct error *e)
{
    struct stat st;
    int         fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) return refuse(fd, e, path, strerror(errno));
    if (fstat(fd, &st) < 0) return refuse(fd, e, path, strerror(errno));
    if (!S_ISREG(st.st_mode)) return refuse(fd, e, path, "is not a regular file");
    return fd;
}

int open_for_appending(const char *path, struct error *e)
{
    const int flags =
        O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW;
    int fd = open(path, flags, 0640);
    if (fd < 0) return refuse(fd, e, path, errno == ELOOP ? "is a symbolic link" : strerror(errno));
    return fd;
}

bool read_all(int fd, const char *path, size_t max_bytes, struct buffer *to, struct error *e)
{
    size_t begun = to->len;
    for (;;) {
        char   *room = buffer_reserve(to, 16384);
        ssize_t n = pread(fd, room, 16384, (off_t)(to->len - begun));
        if (n < 0) return error_set(e, "%s: %s", path, strerror(errno));
        if (n == 0) return true;
        to->len += (size_t)n;
        if (to->len - begun > max_bytes)
            return error_set(e, "%s: larger than %zu bytes", path, max_bytes);
    }
}

static bool write_all(int fd, struct slice content)
{
    while (content.len) {
        ssize_t n = write(fd, content.data, content.len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        content = slice_from(content, (size_t)n);
    }
    return true;
}

bool write_atomically(const char *path, struct slice content, struct error *e)
{
    struct buffer name = BUFFER_INIT;
    uint64_t      mark;
    random_secret(&mark, sizeof(mark));
    buffer_printf(&name, "%s.%016llx", path, (unsigned long long)mark);
    char *temporary = buffer_detach(&name);
    int   fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool  is_done = false;
    if (fd >= 0) {
        is_done = write_all(fd, content) && fchmod(fd, 0644) == 0 && rename(temporary, path) == 0;
        if (!is_done) unlink(temporary);
        close(fd);
    }
    if (!is_done) error_set(e, "%s: %s", path, strerror(errno));
    free(temporary);
    return is_done;
}
