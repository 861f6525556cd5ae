/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening the files of a configuration carefully: a pipe or a device in place of
 * a file cannot make the opener hang, a symbolic link in place of a log cannot
 * make it write elsewhere.
 */
#pragma once

#include "base/buffer.h"
#include "base/error.h"

/* -1 and *e on failure. Regular files only. */
int open_for_reading(const char *path, struct error *e);
/* Made when missing, mode 0640. */
int open_for_appending(const char *path, struct error *e);
/* Appends what the descriptor has, from its start; `path` for messages. */
bool read_all(int fd, const char *path, size_t max_bytes, struct buffer *to, struct error *e);
/* Replaces the file's content at once or not at all. */
bool write_atomically(const char *path, struct slice content, struct error *e);
