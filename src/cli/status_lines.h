/* SPDX-License-Identifier: Apache-2.0
 *
 * Which upstreams and endpoints are shown, each on a line: all of them, or where
 * there is no room those that have a problem before those that have none.
 */
#pragma once

#include "cli/status_data.h"

struct status_line {
    const json_t *upstream;
    const json_t *endpoint; /* NULL: the upstream's heading */
    size_t        heading;  /* index of it */
    unsigned char rank;     /* the lower, the sooner it is shown */
    bool          is_shown;
};

struct status_lines {
    struct status_line *items; /* in the order of the answer */
    size_t              count;
    /* Not shown: */
    size_t hidden_upstreams, hidden_endpoints, hidden_problems;
};

/* Those upstreams only, without names all of them; every line is shown. Borrows from `root`. */
void status_lines_init(struct status_lines *l, const json_t *root, char *const *names,
                       size_t name_count);
void status_lines_reset(struct status_lines *l);
/* Leaves `room` lines. */
void status_lines_fit(struct status_lines *l, size_t room);
