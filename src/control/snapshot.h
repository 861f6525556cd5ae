/* SPDX-License-Identifier: Apache-2.0
 *
 * Files as they were read once, above all those of the configuration: a reader that remembers what
 * it reads, and one that answers from what was remembered. So the same text can
 * be loaded again although the files have changed, and it is known which files
 * and patterns a configuration consists of.
 */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "conf/load.h"

struct snapshot {
    struct list files;
    struct map  by_path;
    struct list patterns;
};

struct snapshot_file {
    struct list   link;
    char         *path;
    struct buffer content;
};

struct snapshot_pattern {
    struct list   link;
    char         *pattern;
    struct buffer paths; /* each NUL-terminated */
};

/* Reads by `inner` and remembers in `snapshot`; both are borrowed. */
struct snapshot_recorder {
    struct snapshot          *snapshot;
    const struct conf_reader *inner;
};

void snapshot_init(struct snapshot *s);
/* Wipes the contents: there may be keys among them. */
void snapshot_reset(struct snapshot *s);
/* `to` gets what `from` has; `from` is empty afterwards. */
void snapshot_move(struct snapshot *to, struct snapshot *from);
bool snapshot_is_empty(const struct snapshot *s);
/* In place of what was remembered of that file before. */
void snapshot_put(struct snapshot *s, const char *path, struct slice content);
/* Does it remember that file with that content? */
bool snapshot_has(const struct snapshot *s, const char *path, struct slice content);

struct conf_reader snapshot_record(struct snapshot_recorder *r);
/* What is not in the snapshot cannot be read. */
struct conf_reader snapshot_replay(struct snapshot *s);
