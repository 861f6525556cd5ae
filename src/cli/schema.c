/* SPDX-License-Identifier: Apache-2.0
 *
 * wharfgate schema: the configuration's JSON Schema, for editors.
 */
#include <stddef.h>
#include <unistd.h>

#include "cli/cli.h"
#include "conf/load.h"

static int run(const struct cli_command *command, int argc, char **argv)
{
    const struct cli_option options[] = { { 0 } };
    struct buffer           text = BUFFER_INIT;
    enum cli_parse          parsed = cli_parse(command, argc, argv, options);
    if (parsed != CLI_GO_ON) return cli_parse_exit(parsed);
    conf_emit_schema(&text);
    return cli_put(STDOUT_FILENO, &text, 0);
}

const struct cli_command cli_schema = {
    .name = "schema",
    .arguments = "",
    .summary = "Prints the JSON Schema of the configuration",
    .run = run,
};
