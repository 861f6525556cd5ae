/* SPDX-License-Identifier: Apache-2.0
 *
 * The worker process: its workers, and the control thread, which builds and
 * publishes plans, watches files, answers the admin listeners, rotates keys and
 * ends it all. It never touches a connection.
 */
#pragma once

#include "control/plan_build.h"
#include "control/snapshot.h"

enum { EXIT_OK = 0, EXIT_FAULT = 1, EXIT_USAGE = 2, EXIT_CONFIG = 3, EXIT_UNREACHABLE = 4 };

struct gate_options {
    const char *config_path;
    /* Loaded already, with the report that came of it; both become the gate's. NULL: it
     * loads them itself, from `files` if there are any. */
    struct settings              *settings;
    struct conf_report           *report;
    struct snapshot              *files;         /* the texts to serve; taken over; may be NULL */
    struct snapshot              *kept;          /* the same of other files: for when they fail */
    int                           supervisor_fd; /* -1: there is none */
    unsigned                      crash_count;   /* of worker processes before */
    uint64_t                      generation;    /* of the last plan before */
    const char                   *ready_file;    /* without a supervisor only; may be NULL */
    const struct origin_override *overrides;
    size_t                        override_count;
};

/* Serves until it is told to stop. Returns the exit code; a report was printed. */
int gate_run(const struct gate_options *o);
