/* SPDX-License-Identifier: Apache-2.0
 */
#include "control/supervisor.h"

#include <sys/resource.h>

static void raise_limits(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0) return;
    files.rlim_cur = files.rlim_max;
    (void)!setrlimit(RLIMIT_NOFILE, &files);
}

int supervisor_run_alone(const struct supervisor_options *o)
{
    struct gate_options g = {
        .config_path = o->config_path,
        .supervisor_fd = -1,
        .ready_file = o->ready_file,
        .overrides = o->overrides,
        .override_count = o->override_count,
    };
    raise_limits();
    return gate_run(&g);
}
int supervisor_run(const struct supervisor_options *o)
{
    return supervisor_run_alone(o);
}
