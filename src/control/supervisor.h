/* SPDX-License-Identifier: Apache-2.0
 *
 * The supervisor: starts the worker process, keeps its sockets, opens and binds
 * for it what the configuration names, starts it again when it dies. One thread,
 * no connection of any client. docs/design/processes.md tells the whole.
 */
#pragma once

#include "control/gate.h"

struct supervisor_options {
    const char                   *config_path;
    const char                   *ready_file; /* NULL: none */
    const struct origin_override *overrides;
    size_t                        override_count;
    /* Called when the first worker process serves; may be NULL. */
    void (*on_ready)(void *arg, struct slice ready);
    void *arg;
};

/* Both return the exit code. */
int supervisor_run(const struct supervisor_options *o);
/* The worker process alone, in this one. */
int supervisor_run_alone(const struct supervisor_options *o);
