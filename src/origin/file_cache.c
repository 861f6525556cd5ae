/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening files beneath a folder. See file_cache.h.
 */
#include "origin/file_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/memory.h"
#include "http/date.h"

enum {
    FRESH_MS = 1000, /* what is known of a file is believed so long */
    RACE_TRIES = 4,  /* the kernel cannot tell whether a link leaves while others rename */
    SUFFIX_BYTES_MAX = 8,
};

/* ---- beneath the root ---- */

static int open_beneath(int root, const char *path, int flags)
{
    struct open_how how = {
        .flags = (uint64_t)(flags | O_CLOEXEC),
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    long fd = -1;
    for (int tries = 0; tries < RACE_TRIES; tries++) {
        fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) break;
    }
    return (int)fd;
}

static enum file_result result_of(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case EXDEV: /* it leaves the root */
    case ENAMETOOLONG:
    case ENXIO:
    case ENODEV: return FILE_MISSING;
    case EACCES:
    case EPERM: return FILE_FORBIDDEN;
    case EMFILE:
    case ENFILE:
    case ENOMEM: return FILE_EXHAUSTED;
    default: return FILE_FAILED;
    }
}

bool file_cache_check(const struct file_cache_rules *rules, char *why, size_t why_bytes)
{
    int root = open(rules->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int folder = root < 0 ? -1 : open_beneath(root, ".", O_PATH | O_DIRECTORY);
    int error = errno;
    if (folder >= 0) close(folder);
    if (root >= 0) close(root);
    if (folder >= 0) return true;
    if (error == EACCES)
        snprintf(why, why_bytes, "%s: the `user` of the configuration may not enter it",
                 strerror(error));
    else if (root < 0)
        snprintf(why, why_bytes, "%s", strerror(error));
    else
        snprintf(why, why_bytes,
                 "openat2(2), which keeps requests beneath it, fails: %s (Linux 5.6 has it; in a "
                 "container its seccomp profile must allow it)",
                 strerror(error));
    return false;
}

/* ---- one file ---- */

static void free_file(struct outq_file *file)
{
    struct open_file *f = container_of(file, struct open_file, file);
    for (size_t i = 0; i < FILE_CODINGS_MAX; i++)
        if (f->coded[i]) outq_file_unref(&f->coded[i]->file);
    close(file->fd);
    free(f->dress);
    free(f);
}

static size_t fds_of(const struct open_file *f)
{
    size_t count = 1;
    for (size_t i = 0; i < FILE_CODINGS_MAX; i++) count += f->coded[i] != NULL;
    return count;
}

static struct open_file *new_file(int fd, struct slice path, const struct stat *st,
                                  enum http_coding coding)
{
    struct open_file *f = mem_zalloc(sizeof(*f) + path.len + 1);
    f->file = (struct outq_file){ .fd = fd, .ref_count = 1, .free = free_file };
    f->size = (uint64_t)st->st_size;
    f->modified_s = st->st_mtim.tv_sec;
    f->coding = coding;
    http_date_write(f->modified, f->modified_s);
    struct slice name = coding ? http_coding_name(coding) : S("");
    f->etag_bytes =
        (size_t)snprintf(f->etag, sizeof(f->etag), "\"%llx-%llx%s%.*s\"",
                         (unsigned long long)st->st_mtim.tv_sec * 1000000000 +
                             (unsigned long long)st->st_mtim.tv_nsec,
                         (unsigned long long)f->size, coding ? "-" : "", SLICE_ARG(name));
    list_init(&f->link);
    memcpy(f->path, path.data, path.len);
    f->path_bytes = path.len;
    return f;
}

static enum file_result open_one(int root, struct slice path, enum http_coding coding,
                                 struct open_file **f)
{
    struct stat st;
    int         fd = open_beneath(root, path.data, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return result_of(errno);
    enum file_result r = FILE_OPEN;
    if (fstat(fd, &st) < 0)
        r = FILE_FAILED;
    else if (S_ISDIR(st.st_mode))
        r = FILE_IS_FOLDER;
    else if (!S_ISREG(st.st_mode))
        r = FILE_MISSING;
    if (r == FILE_OPEN)
        *f = new_file(fd, path, &st, coding);
    else
        close(fd);
    return r;
}

static const char *suffix_of(enum http_coding coding)
{
    return coding == CODING_GZIP ? ".gz" : coding == CODING_BR ? ".br" : ".zst";
}

/* Those that cannot be opened do not count. */
static void open_coded(const struct file_cache *c, struct open_file *f)
{
    char name[PATH_MAX];
    for (size_t i = 0; i < c->rules->coding_count; i++) {
        enum http_coding coding = c->rules->codings[i];
        if (f->path_bytes + SUFFIX_BYTES_MAX > sizeof(name)) return;
        int len = snprintf(name, sizeof(name), "%s%s", f->path, suffix_of(coding));
        (void)open_one(c->root_fd, slice_make(name, (size_t)len), coding, &f->coded[i]);
    }
}

/* ---- what is kept ---- */

static void drop(struct file_cache *c, struct open_file *f)
{
    map_remove(&c->files, slice_make(f->path, f->path_bytes));
    list_remove(&f->link);
    c->fd_count -= fds_of(f);
    outq_file_unref(&f->file);
}

static void drop_all(struct file_cache *c)
{
    LIST_EACH_SAFE (it, &c->recent) drop(c, container_of(it, struct open_file, link));
}

static void keep(struct file_cache *c, struct open_file *f, uint64_t now_ms)
{
    size_t count = fds_of(f);
    if (count > c->rules->most) return;
    while (c->fd_count + count > c->rules->most)
        drop(c, container_of(c->recent.prev, struct open_file, link));
    outq_file_ref(&f->file);
    f->opened_ms = f->used_ms = now_ms;
    c->fd_count += count;
    map_put(&c->files, slice_make(f->path, f->path_bytes), f);
    list_prepend(&c->recent, &f->link);
}

/* NULL: there is none that may be believed. */
static struct open_file *find(struct file_cache *c, struct slice path, uint64_t now_ms)
{
    struct open_file *f = map_get(&c->files, path);
    if (!f) return NULL;
    if (now_ms - f->opened_ms >= FRESH_MS || f->file.is_short) {
        drop(c, f);
        return NULL;
    }
    f->used_ms = now_ms;
    list_remove(&f->link);
    list_prepend(&c->recent, &f->link);
    return f;
}

/* The root's name may lead elsewhere by now: a link that was turned to a new release. */
static void look_at_root(struct file_cache *c, uint64_t now_ms)
{
    struct stat was, is;
    if (c->root_ms && now_ms - c->root_ms < FRESH_MS) return;
    int fd = open(c->rules->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    c->root_result = fd < 0 ? result_of(errno) : FILE_OPEN;
    if (c->root_result == FILE_EXHAUSTED) return;
    bool is_same = fd >= 0 && c->root_fd >= 0 && fstat(c->root_fd, &was) == 0 &&
                   fstat(fd, &is) == 0 && was.st_dev == is.st_dev && was.st_ino == is.st_ino;
    if (!is_same) drop_all(c);
    if (c->root_fd >= 0) close(c->root_fd);
    c->root_fd = fd;
    c->root_ms = now_ms;
}

void file_cache_init(struct file_cache *c, const struct file_cache_rules *rules)
{
    *c = (struct file_cache){ .rules = rules, .root_fd = -1 };
    map_init(&c->files);
    list_init(&c->recent);
}

void file_cache_reset(struct file_cache *c)
{
    drop_all(c);
    map_reset(&c->files);
    if (c->root_fd >= 0) close(c->root_fd);
    c->root_fd = -1;
    c->root_ms = 0;
}

enum file_result file_cache_open(struct file_cache *c, struct slice path, uint64_t now_ms,
                                 struct open_file **f)
{
    look_at_root(c, now_ms);
    if ((*f = find(c, path, now_ms))) {
        outq_file_ref(&(*f)->file);
        return FILE_OPEN;
    }
    if (c->root_fd < 0) return c->root_result;
    enum file_result r = open_one(c->root_fd, path, CODING_IDENTITY, f);
    if (r == FILE_EXHAUSTED && c->fd_count) {
        drop_all(c); /* what nobody is sending has its descriptor back now */
        r = open_one(c->root_fd, path, CODING_IDENTITY, f);
    }
    if (r != FILE_OPEN) return r;
    open_coded(c, *f);
    keep(c, *f, now_ms);
    return r;
}

int file_cache_open_folder(struct file_cache *c, const char *path, uint64_t now_ms)
{
    look_at_root(c, now_ms);
    return open_beneath(c->root_fd, *path ? path : ".", O_RDONLY | O_DIRECTORY);
}

bool file_cache_expire(struct file_cache *c, uint64_t now_ms, uint64_t unused_ms)
{
    while (!list_is_empty(&c->recent)) {
        struct open_file *f = container_of(c->recent.prev, struct open_file, link);
        if (now_ms - f->used_ms < unused_ms) return true;
        drop(c, f);
    }
    return false;
}
