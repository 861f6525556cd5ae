/* SPDX-License-Identifier: Apache-2.0
 *
 * Noticing that files changed. See file_watch.h.
 */
#include "control/file_watch.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

struct file_stamp {
    int64_t changed_ns;
    int64_t bytes;
    ino_t   inode;
};

struct watched_file {
    struct list       link;
    char             *path;
    struct file_stamp stamp; /* zero: it was not there */
};

void file_watch_init(struct file_watch *w)
{
    list_init(&w->files);
}

void file_watch_reset(struct file_watch *w)
{
    LIST_EACH_SAFE (it, &w->files) {
        struct watched_file *f = container_of(it, struct watched_file, link);
        list_remove(&f->link);
        free(f->path);
        free(f);
    }
}

void file_watch_move(struct file_watch *to, struct file_watch *from)
{
    file_watch_reset(to);
    LIST_EACH_SAFE (it, &from->files) {
        list_remove(it);
        list_append(&to->files, it);
    }
}

static struct file_stamp stamp_of(int fd)
{
    struct file_stamp stamp = { 0 };
    struct stat       st;
    if (fd < 0 || fstat(fd, &st) < 0) return stamp;
    stamp.changed_ns = st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec;
    stamp.bytes = st.st_size;
    stamp.inode = st.st_ino;
    return stamp;
}

void file_watch_note(struct file_watch *w, const char *path, int fd)
{
    struct watched_file *f = mem_zalloc(sizeof(*f));
    f->path = mem_strdup(path);
    f->stamp = stamp_of(fd);
    list_append(&w->files, &f->link);
}

static bool is_same(const struct file_stamp *a, const struct file_stamp *b)
{
    return a->changed_ns == b->changed_ns && a->bytes == b->bytes && a->inode == b->inode;
}

const char *file_watch_changed(const struct file_watch *w, struct privileged *p)
{
    struct error ignored;
    LIST_EACH (it, &w->files) {
        const struct watched_file *f = container_of(it, struct watched_file, link);
        int                        fd = privileged_open(p, f->path, false, &ignored);
        struct file_stamp          now = stamp_of(fd);
        if (fd >= 0) close(fd);
        if (!is_same(&now, &f->stamp)) return f->path;
    }
    return NULL;
}
