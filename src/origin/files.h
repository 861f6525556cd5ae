/* SPDX-License-Identifier: Apache-2.0
 *
 * `files:` of a route: the files of a folder. files.c finds the file, files_reply.c says
 * what of it is sent, files_list.c shows a folder; file_cache.c opens.
 *
 * Opening and reading block the worker for as long as the file system takes. The folder is
 * opened by its workers, with their rights, and not by the supervisor: what they may not
 * read is not served.
 */
#pragma once

#include "io/loop.h"
#include "origin/file_cache.h"
#include "origin/mime.h"
#include "proxy/filter.h"

struct files_worker {
    struct file_cache cache;
    struct deadline   expiry;
    struct loop      *loop;          /* NULL: has not adopted it */
    bool              has_told_want; /* of descriptors */
};

struct files {
    const struct files_settings *settings;
    const struct mime_table     *types;
    struct file_cache_rules      rules;
    struct text_list             index;
    struct slice                 fallback; /* as files_path.text */
    struct files_worker         *workers;
};

/* In the arena, as are `s` and `types`. NULL and *e: its fallback cannot be served. */
struct files *files_new(struct arena *a, const struct files_settings *s,
                        const struct mime_table *types, unsigned worker_count, struct error *e);
/* Is the folder there? Files are looked for in it from then on, whatever becomes of it. */
bool files_check(const struct files *f, struct error *e);

/* Its config is a struct files, which is a part of the plan too. */
extern const struct origin_ops    origin_files;
extern const struct plan_part_ops files_part;

/* ---- files_reply.c ---- */
/* Takes the reference to `file`. */
void files_reply(struct exchange *x, const struct files *f, struct open_file *file);

/* ---- files_list.c ---- */
/* Takes the descriptor. */
void files_list(struct exchange *x, int fd);
