/* SPDX-License-Identifier: Apache-2.0
 *
 * wharfgate run: the gateway itself.
 */
#include <stddef.h>

#include "cli/cli.h"
#include "control/supervisor.h"

static int run(const struct cli_command *command, int argc, char **argv)
{
    struct supervisor_options o = { .config_path = WG_DEFAULT_CONFIG };
    bool                      is_alone = false;
    const struct cli_option   options[] = {
          { "--config", "-c", NULL, &o.config_path },
          { "--ready-file", NULL, NULL, &o.ready_file },
          { "--no-supervisor", NULL, &is_alone, NULL },
          { 0 },
    };
    enum cli_parse parsed = cli_parse(command, argc, argv, options);
    if (parsed != CLI_GO_ON) return cli_parse_exit(parsed);
    return is_alone ? supervisor_run_alone(&o) : supervisor_run(&o);
}

const struct cli_command cli_run = {
    .name = "run",
    .arguments = "[-c FILE] [--ready-file PATH] [--no-supervisor]",
    .summary = "Runs the gateway in the foreground",
    .help = "  -c, --config FILE    the configuration (" WG_DEFAULT_CONFIG ")\n"
            "  --ready-file PATH    written as JSON once it serves, and after each reload:\n"
            "                       pid, worker_pid, generation, listeners, admin, socket\n"
            "  --no-supervisor      one process only, for debugging: a crash ends it\n"
            "\n"
            "Signals: HUP reloads the configuration; TERM and INT finish what runs and end, a\n"
            "second one ends at once; USR1 opens the logs again.\n\n",
    .run = run,
};
