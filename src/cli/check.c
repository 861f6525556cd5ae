/* SPDX-License-Identifier: Apache-2.0
 *
 * wharfgate check: everything that a start does, but for binding addresses.
 */
#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/trial.h"
#include "control/gate.h"

static int print(const struct conf_report *report, const char *path, bool is_json)
{
    struct buffer text = BUFFER_INIT;
    bool          is_good = report->error_count == 0;
    int           code = is_good ? EXIT_OK : EXIT_CONFIG;
    if (is_json) {
        buffer_printf(&text, "{\"ok\":%s,\"problems\":", is_good ? "true" : "false");
        conf_report_json(report, &text);
        buffer_puts(&text, "}\n");
        return cli_put(STDOUT_FILENO, &text, code);
    }
    conf_report_print(report, &text, cli_has_color(STDERR_FILENO));
    code = cli_put(STDERR_FILENO, &text, code);
    if (is_good) printf("%s is good\n", path);
    return code;
}

static int run(const struct cli_command *command, int argc, char **argv)
{
    const char             *path = WG_DEFAULT_CONFIG;
    bool                    is_json = false;
    const struct cli_option options[] = {
        { "--config", "-c", NULL, &path },
        { "--json", NULL, &is_json, NULL },
        { 0 },
    };
    enum cli_parse parsed = cli_parse(command, argc, argv, options);
    if (parsed != CLI_GO_ON) return cli_parse_exit(parsed);
    struct conf_report report;
    conf_report_init(&report);
    struct trial trial;
    trial_open(&trial, path, &report);
    trial_close(&trial);
    int code = print(&report, path, is_json);
    conf_report_reset(&report);
    return code;
}

const struct cli_command cli_check = {
    .name = "check",
    .arguments = "[-c FILE] [--json]",
    .summary = "Finds every error of a configuration, certificates and names included",
    .help = "  -c, --config FILE    the configuration (" WG_DEFAULT_CONFIG ")\n"
            "  --json               the problems as JSON on standard output\n",
    .run = run,
};
