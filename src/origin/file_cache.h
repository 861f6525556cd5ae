/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of one folder, opened beneath it, and a bounded number of them kept open for a
 * second: an open file is one inode, so that no response mixes two that followed each other
 * under a name. One worker's. Blocks for as long as the file system does.
 */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "base/outq.h"
#include "http/coding.h"

enum file_result {
    FILE_OPEN,
    FILE_IS_FOLDER,
    FILE_MISSING,   /* or a way to it leads out of the folder, or it is no file at all */
    FILE_FORBIDDEN, /* the file system says so */
    FILE_EXHAUSTED, /* out of descriptors or memory */
    FILE_FAILED,
};

enum { FILE_CODINGS_MAX = 3, FILE_ETAG_BYTES = 48 };

/* What is known of an open file. */
struct open_file {
    struct outq_file  file;
    uint64_t          size;
    int64_t           modified_s;
    char              modified[32]; /* Last-Modified */
    char              etag[FILE_ETAG_BYTES];
    size_t            etag_bytes;
    enum http_coding  coding;                  /* of what it has */
    struct open_file *coded[FILE_CODINGS_MAX]; /* the same in other codings, or NULL */
    /* What files.c says of it, made when it is first asked for. */
    struct slice type, cache_control; /* in `dress` */
    char        *dress;               /* NULL: not made yet */
    uint64_t     expires_s;           /* from now on; 0: nothing is said */
    uint64_t     opened_ms;           /* used by file_cache.c only, from here on */
    uint64_t     used_ms;
    struct list  link;
    size_t       path_bytes;
    char         path[];
};

/* What all of a folder's files have in common; outlives the cache. */
struct file_cache_rules {
    const char      *root;
    enum http_coding codings[FILE_CODINGS_MAX]; /* whose files may lie beside one */
    size_t           coding_count;
    size_t           most; /* descriptors that are kept */
};

struct file_cache {
    const struct file_cache_rules *rules;
    int                            root_fd;     /* -1: not open, */
    enum file_result               root_result; /* because of that */
    uint64_t                       root_ms;     /* when it was looked at */
    struct map                     files;       /* path -> struct open_file */
    struct list                    recent;      /* the last used first */
    size_t                         fd_count;
};

/* Is there such a folder, and a kernel that opens files beneath one? */
bool file_cache_check(const struct file_cache_rules *rules, char *why, size_t why_bytes);

void file_cache_init(struct file_cache *c, const struct file_cache_rules *rules);
/* What is in use elsewhere stays open there. */
void file_cache_reset(struct file_cache *c);

/* `path` is relative, NUL-terminated and without empty or dot segments. A reference is the caller's
 * (outq_file_unref(&(*f)->file)). */
enum file_result file_cache_open(struct file_cache *c, struct slice path, uint64_t now_ms,
                                 struct open_file **f);
/* A descriptor of a folder, to read it; -1 where there is none. */
int file_cache_open_folder(struct file_cache *c, const char *path, uint64_t now_ms);
/* Closes what nobody has asked for in so long. False: nothing is left. */
bool file_cache_expire(struct file_cache *c, uint64_t now_ms, uint64_t unused_ms);
