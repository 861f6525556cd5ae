/* SPDX-License-Identifier: Apache-2.0
 *
 * wharfgate limits: the limits of the running gateway, who meets them most, and the
 * store that gateways share, asked over the admin socket.
 */
#include <stdio.h>
#include <unistd.h>

#include "cli/admin_client.h"
#include "cli/cells.h"
#include "cli/cli.h"
#include "cli/limits_view.h"
#include "control/gate.h"

enum { ANSWER_S = 10 };

static int tell(const struct admin_client *client, struct admin_answer *a, bool is_json)
{
    struct buffer text = BUFFER_INIT;
    struct error  e;
    if (a->status != 200) return admin_client_give_up(client, a);
    if (is_json) return cli_put(STDOUT_FILENO, &a->body, EXIT_OK);
    json_t *root = status_parse(buffer_slice(&a->body), "rate_limits", &e);
    if (!root) {
        fprintf(stderr, "wharfgate limits: %s: %s\n", client->socket, e.text);
        return EXIT_FAULT;
    }
    limits_view_put(&text, root, cli_has_color(STDOUT_FILENO));
    json_decref(root);
    return cli_put(STDOUT_FILENO, &text, EXIT_OK);
}

static int run(const struct cli_command *command, int argc, char **argv)
{
    struct admin_where      where = { .command = command->name,
                                      .config = WG_DEFAULT_CONFIG,
                                      .instead = "ask its admin address for /v1/limits" };
    bool                    is_json = false;
    const struct cli_option options[] = {
        { "--config", "-c", NULL, &where.config },
        { "--socket", NULL, NULL, &where.socket },
        { "--json", NULL, &is_json, NULL },
        { 0 },
    };
    const struct admin_question q = { "/v1/limits", "application/json", false, ANSWER_S };
    enum cli_parse              parsed = cli_parse(command, argc, argv, options);
    if (parsed != CLI_GO_ON) return cli_parse_exit(parsed);
    cells_init();
    return admin_client_put(&where, &q, tell, is_json);
}

const struct cli_command cli_limits = {
    .name = "limits",
    .arguments = "[-c FILE | --socket PATH] [--json]",
    .summary = "Shows limits, who meets them most, and the store that is shared",
    .help = "  -c, --config FILE    where the admin socket is looked up (" WG_DEFAULT_CONFIG ")\n"
            "  --socket PATH        the admin socket itself\n"
            "  --json               all that the gateway tells, as JSON\n"
            "\n"
            "Keys are shown as they are counted: of an IPv6 address the network. Their\n"
            "numbers fade with time: half of each remains after ten seconds.\n\n",
    .run = run,
};
