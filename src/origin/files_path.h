/* SPDX-License-Identifier: Apache-2.0
 *
 * From the path of a request to that of a file.
 */
#pragma once

#include "base/arena.h"

struct files_path {
    struct slice text;      /* relative, decoded, NUL-terminated; empty: the root itself */
    bool         is_folder; /* it ended with a slash */
};

/* `path` is in normal form (http/uri.h) and is decoded once; empty segments are left out. False:
 * it names nothing that is served: a segment with a slash or NUL in it, or that begins with a dot,
 * but for `.well-known` at the top. */
bool files_path_read(struct slice path, struct arena *a, struct files_path *to);
/* What follows the last slash. */
struct slice files_path_name(struct slice path);
