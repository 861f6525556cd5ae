/* SPDX-License-Identifier: Apache-2.0
 *
 * Files whose being there turns maintenance on: one flag a file, shared by all plans that name it
 * (REGISTRY_MAINTENANCE, by path), set by control and read by workers.
 */
#pragma once

#include "control/plan_parts.h"
#include "filter/maintenance.h"

struct maintenance_file {
    atomic_bool is_there;
    bool        is_told; /* what the log was last told */
    char       *path;
};

/* Control looks again. */
void maintenance_file_look(struct maintenance_file *f);

/* The filter's config, or NULL: the route has none. */
const void *build_maintenance(struct build *b, const struct route_settings *route);
