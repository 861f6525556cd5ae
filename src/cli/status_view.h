/* SPDX-License-Identifier: Apache-2.0
 *
 * The gateway's status as a table for people. Pure: an answer in, text out;
 * asking, waiting and the terminal are others' affair.
 */
#pragma once

#include "base/buffer.h"
#include "cli/status_data.h"

struct status_view {
    size_t        width, height; /* of the terminal; 0: no bound */
    bool          has_color;
    double        now;      /* seconds since the epoch: what ages are counted to */
    const json_t *rates;    /* NULL: no column for them */
    const char   *note;     /* under the head line; NULL: nothing */
    bool          is_stale; /* the note is bad news */
    char *const  *names;    /* of the upstreams that are shown; none: all */
    size_t        name_count;
};

/* Lines, each ended by a line feed. */
void status_view_put(struct buffer *to, const struct status_view *view, const json_t *root);
