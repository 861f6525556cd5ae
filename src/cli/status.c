/* SPDX-License-Identifier: Apache-2.0
 *
 * wharfgate status: what the running gateway and its replicas do, asked over the
 * admin socket. Live on a terminal, once in a pipe, JSON for programs.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cells.h"
#include "cli/cli.h"
#include "cli/status_watch.h"
#include "cli/terminal.h"
#include "conf/nearest.h"
#include "control/gate.h"

struct wishes {
    bool         is_json, is_once;
    char *const *names;
    size_t       name_count;
};

/* ---- names ---- */

static void put_quoted(struct buffer *to, struct slice name)
{
    buffer_put_char(to, '"');
    cells_put(to, name);
    buffer_put_char(to, '"');
}

static void put_known_names(struct buffer *to, const json_t *root)
{
    const char *separator = "";
    size_t      i;
    json_t     *upstream;
    json_array_foreach (status_upstreams(root), i, upstream) {
        buffer_puts(to, separator);
        cells_put(to, status_text(upstream, "name"));
        separator = ", ";
    }
    if (!i) buffer_puts(to, "none");
}

static int tell_unknown(const json_t *root, const char *name)
{
    struct buffer  text = BUFFER_INIT;
    struct nearest near;
    size_t         i;
    json_t        *upstream;
    nearest_init(&near, slice_of(name));
    json_array_foreach (status_upstreams(root), i, upstream)
        nearest_try(&near, status_text(upstream, "name"));
    buffer_puts(&text, "wharfgate status: there is no upstream ");
    put_quoted(&text, slice_of(name));
    if (near.best.len) {
        buffer_puts(&text, "; did you mean ");
        put_quoted(&text, near.best);
        buffer_put_char(&text, '?');
    }
    buffer_puts(&text, "\nThere are: ");
    put_known_names(&text, root);
    buffer_puts(&text, "\n");
    return cli_put(STDERR_FILENO, &text, EXIT_FAULT);
}

static const char *find_unknown(const json_t *root, const struct wishes *wishes)
{
    for (size_t i = 0; i < wishes->name_count; i++)
        if (!status_upstream(root, wishes->names[i])) return wishes->names[i];
    return NULL;
}

/* ---- showing ---- */

static int show(struct admin_client *client, json_t *root, const struct wishes *wishes)
{
    struct buffer      text = BUFFER_INIT;
    struct status_view view = { .has_color = cli_has_color(STDOUT_FILENO),
                                .now = (double)clock_wall_us() / 1e6,
                                .names = wishes->names,
                                .name_count = wishes->name_count };
    if (!wishes->is_once && terminal_can_draw()) return status_watch(client, &view, root);
    size_t height;
    if (isatty(STDOUT_FILENO)) terminal_size(&view.width, &height);
    status_view_put(&text, &view, root);
    json_decref(root);
    return cli_put(STDOUT_FILENO, &text, EXIT_OK);
}

static int tell(struct admin_client *client, struct admin_answer *a, const struct wishes *wishes)
{
    struct error e;
    if (a->status != 200) return admin_client_give_up(client, a);
    if (wishes->is_json) return cli_put(STDOUT_FILENO, &a->body, EXIT_OK);
    json_t *root = status_parse(buffer_slice(&a->body), "upstreams", &e);
    if (!root) {
        fprintf(stderr, "wharfgate status: %s: %s\n", client->socket, e.text);
        return EXIT_FAULT;
    }
    const char *unknown = find_unknown(root, wishes);
    if (!unknown) return show(client, root, wishes);
    int code = tell_unknown(root, unknown);
    json_decref(root);
    return code;
}

static int status(struct admin_client *client, const struct wishes *wishes)
{
    struct admin_answer a;
    int code = admin_client_ask(client, &status_question, &a) ? tell(client, &a, wishes)
                                                              : admin_client_give_up(client, &a);
    admin_answer_reset(&a);
    return code;
}

static int run(const struct cli_command *command, int argc, char **argv)
{
    struct admin_where      where = { .command = command->name,
                                      .config = WG_DEFAULT_CONFIG,
                                      .instead = "ask its admin address for /v1/status" };
    struct wishes           wishes = { .names = argv + 1 };
    int                     name_count = 0;
    const struct cli_option options[] = {
        { "--config", "-c", NULL, &where.config },
        { "--socket", NULL, NULL, &where.socket },
        { "--once", NULL, &wishes.is_once, NULL },
        { "--json", NULL, &wishes.is_json, NULL },
        { 0 },
    };
    struct admin_client client;
    enum cli_parse      parsed = cli_parse_words(command, argc, argv, options, &name_count);
    if (parsed != CLI_GO_ON) return cli_parse_exit(parsed);
    wishes.name_count = (size_t)name_count;
    if (wishes.is_json && name_count) {
        fprintf(stderr,
                "wharfgate status: --json prints all upstreams; '%s' is one too many\n"
                "wharfgate help status tells more.\n",
                argv[1]);
        return EXIT_USAGE;
    }
    cells_init();
    int code = admin_client_open(&client, &where);
    if (code == EXIT_OK) code = status(&client, &wishes);
    admin_client_close(&client);
    return code;
}

const struct cli_command cli_status = {
    .name = "status",
    .arguments = "[-c FILE | --socket PATH] [--once | --json] [UPSTREAM]...",
    .summary = "Shows what the running gateway and its replicas do",
    .help = "  -c, --config FILE    where the admin socket is looked up (" WG_DEFAULT_CONFIG ")\n"
            "  --socket PATH        the admin socket itself\n"
            "  --once               one table and the end, on a terminal too\n"
            "  --json               all that the gateway tells, as JSON\n"
            "  UPSTREAM             this one only; several may be named\n"
            "\n"
            "On a terminal the table is drawn anew each second until q or Ctrl-C; in a pipe\n"
            "it is printed once. Where it does not fit, what is not ready comes first.\n\n",
    .run = run,
};
