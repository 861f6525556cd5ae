/* SPDX-License-Identifier: Apache-2.0
 *
 * wharfgate reload: asks the running gateway, over its admin socket, to read its
 * configuration anew, and tells how that went.
 */
#include <stdio.h>
#include <unistd.h>

#include "cli/admin_client.h"
#include "cli/cli.h"
#include "control/gate.h"

enum { ANSWER_WAIT_S = 120 };

static int tell(const struct admin_client *c, struct admin_answer *a, bool is_json)
{
    if (a->status == 200) return cli_put(STDOUT_FILENO, &a->body, EXIT_OK);
    if (a->status != 422) return admin_client_give_up(c, a);
    return cli_put(is_json ? STDOUT_FILENO : STDERR_FILENO, &a->body, EXIT_CONFIG);
}

static int run(const struct cli_command *command, int argc, char **argv)
{
    struct admin_where      where = { .command = command->name,
                                      .config = WG_DEFAULT_CONFIG,
                                      .instead = "send SIGHUP instead" };
    bool                    is_json = false;
    const struct cli_option options[] = {
        { "--config", "-c", NULL, &where.config },
        { "--socket", NULL, NULL, &where.socket },
        { "--json", NULL, &is_json, NULL },
        { 0 },
    };
    enum cli_parse parsed = cli_parse(command, argc, argv, options);
    if (parsed != CLI_GO_ON) return cli_parse_exit(parsed);
    bool                        has_color = !is_json && cli_has_color(STDERR_FILENO);
    const struct admin_question question = {
        .path = has_color ? "/v1/reload?color" : "/v1/reload",
        .accept = is_json ? "application/json" : "text/plain",
        .is_post = true,
        .wait_s = ANSWER_WAIT_S,
    };
    int code = admin_client_put(&where, &question, tell, is_json);
    if (code == EXIT_CONFIG && !is_json) fprintf(stderr, "not reloaded: nothing has changed\n");
    return code;
}

const struct cli_command cli_reload = {
    .name = "reload",
    .arguments = "[-c FILE | --socket PATH] [--json]",
    .summary = "Has the running gateway read its configuration anew",
    .help = "  -c, --config FILE    where the admin socket is looked up (" WG_DEFAULT_CONFIG ")\n"
            "  --socket PATH        the admin socket itself\n"
            "  --json               the outcome as JSON on standard output\n"
            "\n"
            "The gateway reads the file itself: what it finds counts. A configuration with\n"
            "errors changes nothing: they are printed, exit code 3.\n\n",
    .run = run,
};
