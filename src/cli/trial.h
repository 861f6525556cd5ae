/* SPDX-License-Identifier: Apache-2.0
 *
 * A configuration built as a start would build it, but for binding addresses:
 * certificates, keys and names are looked at, nothing serves.
 */
#pragma once

#include "control/plan_build.h"

struct trial {
    struct plan_maker   maker;
    struct privileged   direct;
    struct plan_outcome outcome;
    struct log          log;
    struct plan        *plan;     /* NULL: there are errors, in the report */
    bool                is_begun; /* the file could be read */
};

/* Close it in any case. */
void trial_open(struct trial *t, const char *path, struct conf_report *report);
void trial_close(struct trial *t);
