/* SPDX-License-Identifier: Apache-2.0
 *
 * wharfgate maintenance: has the running gateway answer requests with its maintenance page,
 * or serve them again.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/admin_client.h"
#include "cli/cli.h"
#include "control/gate.h"

enum { ANSWER_WAIT_S = 10 };

static int tell(const struct admin_client *c, struct admin_answer *a, bool is_json)
{
    if (a->status == 200) return cli_put(STDOUT_FILENO, &a->body, EXIT_OK);
    if (a->status != 409) return admin_client_give_up(c, a);
    return cli_put(is_json ? STDOUT_FILENO : STDERR_FILENO, &a->body, EXIT_FAULT);
}

static int run(const struct cli_command *command, int argc, char **argv)
{
    struct admin_where      where = { .command = command->name,
                                      .config = WG_DEFAULT_CONFIG,
                                      .instead = "make the file that `maintenance` names" };
    bool                    is_json = false;
    int                     word_count;
    const struct cli_option options[] = {
        { "--config", "-c", NULL, &where.config },
        { "--socket", NULL, NULL, &where.socket },
        { "--json", NULL, &is_json, NULL },
        { 0 },
    };
    enum cli_parse parsed = cli_parse_words(command, argc, argv, options, &word_count);
    if (parsed != CLI_GO_ON) return cli_parse_exit(parsed);
    bool is_on = word_count == 1 && strcmp(argv[1], "on") == 0;
    if (!is_on && (word_count != 1 || strcmp(argv[1], "off") != 0)) {
        fprintf(stderr, "wharfgate maintenance: say `on` or `off`; `wharfgate status` tells which "
                        "it is\n");
        return EXIT_USAGE;
    }
    const struct admin_question question = {
        .path = is_on ? "/v1/maintenance?on" : "/v1/maintenance?off",
        .accept = is_json ? "application/json" : "text/plain",
        .is_post = true,
        .wait_s = ANSWER_WAIT_S,
    };
    return admin_client_put(&where, &question, tell, is_json);
}

const struct cli_command cli_maintenance = {
    .name = "maintenance",
    .arguments = "on|off [-c FILE | --socket PATH] [--json]",
    .summary = "Turns the maintenance page of the running gateway on or off",
    .help = "  -c, --config FILE    where the admin socket is looked up (" WG_DEFAULT_CONFIG ")\n"
            "  --socket PATH        the admin socket itself\n"
            "  --json               the outcome as JSON\n"
            "\n"
            "It is that of the routes that have `maintenance` in the configuration. Reloads\n"
            "leave it as it is; a restart turns it off. The file that `maintenance` may name\n"
            "is a switch of its own.\n\n",
    .run = run,
};
