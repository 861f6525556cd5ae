/* SPDX-License-Identifier: Apache-2.0
 *
 * Files that a plan was built from (certificates, keys, pages), and whether they
 * are still the same: by inode, size and time of change.
 */
#pragma once

#include "control/privileged.h"

struct file_watch {
    struct list files;
};

void file_watch_init(struct file_watch *w);
void file_watch_reset(struct file_watch *w);
/* `fd` is what was read of `path`; -1: it could not be opened. */
void file_watch_note(struct file_watch *w, const char *path, int fd);
/* The first file that is not what it was, or NULL. */
const char *file_watch_changed(const struct file_watch *w, struct privileged *p);
/* `to` gets what `from` has; `from` is empty afterwards. */
void file_watch_move(struct file_watch *to, struct file_watch *from);
