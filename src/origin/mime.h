/* SPDX-License-Identifier: Apache-2.0
 *
 * Media types by the ending of a file's name: those of the system's table, and of a short
 * one of our own where that is missing or lacks one.
 */
#pragma once

#include "base/arena.h"

struct mime_table;

/* `text` is a mime.types(5), or empty. All in the arena. */
const struct mime_table *mime_table_new(struct arena *a, struct slice text);
/* application/octet-stream when it is not known. */
struct slice mime_type_of(const struct mime_table *m, struct slice path);
