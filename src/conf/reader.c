/* SPDX-License-Identifier: Apache-2.0
 *
 * Files by open(2) and glob(3). See struct conf_reader in load.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/load.h"

static bool read_all(int fd, const char *path, size_t max_bytes, struct buffer *to, struct error *e)
{
    size_t before = to->len;
    for (;;) {
        char   *room = buffer_reserve(to, 65536);
        ssize_t got = read(fd, room, 65536);
        if (got == 0) return true;
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return error_set(e, "cannot read %s: %s", path, strerror(errno));
        to->len += (size_t)got;
        if (to->len - before > max_bytes)
            return error_set(e, "%s is larger than %zu bytes", path, max_bytes);
    }
}

static bool read_direct(void *arg, const char *path, size_t max_bytes, struct buffer *to,
                        struct error *e)
{
    struct stat st;
    (void)arg;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) return error_set(e, "cannot open %s: %s", path, strerror(errno));
    bool is_read = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)
                       ? error_set(e, "%s is a directory, not a file", path)
                       : read_all(fd, path, max_bytes, to, e);
    close(fd);
    return is_read;
}

static bool glob_direct(void *arg, const char *pattern, void (*found)(void *to, const char *path),
                        void *to, struct error *e)
{
    glob_t paths;
    (void)arg;
    int rc = glob(pattern, GLOB_ERR, NULL, &paths);
    for (size_t i = 0; rc == 0 && i < paths.gl_pathc; i++) found(to, paths.gl_pathv[i]);
    globfree(&paths);
    if (rc == 0 || rc == GLOB_NOMATCH) return true;
    return error_set(e, "cannot expand %s: %s", pattern,
                     rc == GLOB_ABORTED ? "a folder cannot be read" : "out of memory");
}

const struct conf_reader conf_reader_direct = { read_direct, glob_direct, NULL };
