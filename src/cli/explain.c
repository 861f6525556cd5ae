/* SPDX-License-Identifier: Apache-2.0
 *
 * wharfgate explain: who would serve a request and why, or what becomes of a
 * container. Asks the running gateway; a file is explained without one.
 */
#include <ctype.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/admin_client.h"
#include "cli/cells.h"
#include "cli/cli.h"
#include "cli/explain_view.h"
#include "cli/trial.h"
#include "control/explain.h"
#include "control/gate.h"

enum { ANSWER_S = 30 };

struct wishes {
    const char *config; /* NULL: the running gateway is asked */
    const char *socket, *method, *client, *word;
    bool        is_json, has_docker; /* the latter: of the file */
};

/* ---- the question ---- */

static void put_parameter(struct buffer *to, const char *name, const char *value)
{
    if (!value) return;
    buffer_printf(to, "%s%s=", to->len ? "&" : "", name);
    for (const char *c = value; *c; c++) {
        if (isalnum((unsigned char)*c))
            buffer_put_char(to, *c);
        else
            buffer_printf(to, "%%%02X", (unsigned char)*c);
    }
}

/* Neither a name nor an id of a container has one of these. */
static bool is_url(const char *word)
{
    return strpbrk(word, "/:?") != NULL;
}

/* --header may stand there several times: goes into the question, and out of the words.
 * False: its value is missing. */
static bool take_headers(int *argc, char **argv, struct buffer *query)
{
    int kept = 1;
    for (int i = 1; i < *argc; i++) {
        if (strncmp(argv[i], "--header=", 9) == 0) {
            put_parameter(query, "header", argv[i] + 9);
        } else if (strcmp(argv[i], "--header") == 0) {
            if (++i == *argc) return false;
            put_parameter(query, "header", argv[i]);
        } else {
            argv[kept++] = argv[i];
        }
    }
    *argc = kept;
    return true;
}

static void put_question(struct buffer *query, const struct wishes *w)
{
    put_parameter(query, "method", w->method);
    put_parameter(query, "client", w->client);
    put_parameter(query, is_url(w->word) ? "url" : "container", w->word);
}

/* ---- the answer ---- */

static int tell_error(const json_t *root, long status, const struct wishes *w)
{
    struct buffer text = BUFFER_INIT;
    buffer_puts(&text, "wharfgate explain: ");
    cells_put(&text, status_text(root, "error"));
    buffer_put_char(&text, '\n');
    if (status == 404 && strchr(w->word, '.')) {
        buffer_puts(&text, "A host is written with a path: ");
        cells_put(&text, slice_of(w->word));
        buffer_puts(&text, "/\n");
    }
    return cli_put(STDERR_FILENO, &text, status == 400 ? EXIT_USAGE : EXIT_FAULT);
}

static int show(const json_t *root, struct buffer *body, const struct wishes *w)
{
    struct buffer text = BUFFER_INIT;
    if (w->is_json) return cli_put(STDOUT_FILENO, body, EXIT_OK);
    if (w->config)
        buffer_printf(&text, "As %s says, without a running gateway%s:\n", w->config,
                      w->has_docker ? ", which may have routes of containers' labels as well" : "");
    explain_view_put(&text, root, cli_has_color(STDOUT_FILENO));
    return cli_put(STDOUT_FILENO, &text, EXIT_OK);
}

/* -1: that is no explanation. */
static int tell(struct buffer *body, long status, const struct wishes *w)
{
    struct slice text = buffer_slice(body);
    json_t      *root = json_loadb(text.data, text.len, JSON_ALLOW_NUL, NULL);
    int          code = -1;
    if (status_text(root, "error").len && status != 200)
        code = tell_error(root, status, w);
    else if (json_is_object(root) && status == 200)
        code = show(root, body, w);
    json_decref(root);
    return code;
}

/* ---- whom it asks ---- */

static int ask(struct admin_client *client, struct slice query, const struct wishes *w)
{
    struct buffer path = BUFFER_INIT;
    buffer_printf(&path, "/v1/explain?%.*s", SLICE_ARG(query));
    const struct admin_question q = { path.data, "application/json", false, ANSWER_S };
    struct admin_answer         a;
    int                         code = -1;
    if (admin_client_ask(client, &q, &a)) code = tell(&a.body, a.status, w);
    if (code < 0) code = admin_client_give_up(client, &a);
    admin_answer_reset(&a);
    buffer_reset(&path);
    return code;
}

static int ask_gateway(struct slice query, const struct wishes *w)
{
    const struct admin_where where = { .command = "explain",
                                       .config = WG_DEFAULT_CONFIG,
                                       .socket = w->socket,
                                       .instead = "ask its admin address for /v1/explain" };
    struct admin_client      client;
    int                      code = admin_client_open(&client, &where);
    if (code == EXIT_OK) code = ask(&client, query, w);
    admin_client_close(&client);
    return code;
}

static int print_errors(const struct conf_report *report)
{
    struct buffer text = BUFFER_INIT;
    conf_report_print(report, &text, cli_has_color(STDERR_FILENO));
    return cli_put(STDERR_FILENO, &text, EXIT_CONFIG);
}

static int explain_file(struct slice query, const struct wishes *w)
{
    struct conf_report report;
    struct trial       trial;
    int                code;
    conf_report_init(&report);
    trial_open(&trial, w->config, &report);
    if (trial.plan) {
        struct explain_world world = { trial.plan, NULL, false };
        struct wishes        own = *w;
        struct buffer        body = BUFFER_INIT;
        unsigned             status = explain_answer(&world, query, &body);
        own.has_docker = trial.plan->settings->discovery.docker != NULL;
        code = tell(&body, status, &own);
        buffer_reset(&body);
    } else {
        code = print_errors(&report);
    }
    trial_close(&trial);
    conf_report_reset(&report);
    return code;
}

/* ---- the command ---- */

static int wrong(const char *what)
{
    fprintf(stderr, "wharfgate explain: %s\nwharfgate help explain tells more.\n", what);
    return EXIT_USAGE;
}

static int explain(struct buffer *query, const struct wishes *w)
{
    if (w->config && w->socket)
        return wrong("-c explains a file, --socket asks a gateway: one of them");
    cells_init();
    put_question(query, w);
    return w->config ? explain_file(buffer_slice(query), w) : ask_gateway(buffer_slice(query), w);
}

static int run(const struct cli_command *command, int argc, char **argv)
{
    struct wishes           w = { .config = NULL };
    struct buffer           query = BUFFER_INIT;
    int                     word_count = 0, code;
    const struct cli_option options[] = {
        { "--config", "-c", NULL, &w.config }, { "--socket", NULL, NULL, &w.socket },
        { "--method", NULL, NULL, &w.method }, { "--client", NULL, NULL, &w.client },
        { "--json", NULL, &w.is_json, NULL },  { 0 },
    };
    bool           is_whole = take_headers(&argc, argv, &query);
    enum cli_parse parsed = cli_parse_words(command, argc, argv, options, &word_count);
    w.word = argv[1];
    if (parsed != CLI_GO_ON)
        code = cli_parse_exit(parsed);
    else if (!is_whole)
        code = wrong("a value is missing after '--header'");
    else if (word_count != 1)
        code = wrong("one URL or one container is explained");
    else
        code = explain(&query, &w);
    buffer_reset(&query);
    return code;
}

const struct cli_command cli_explain = {
    .name = "explain",
    .arguments = "URL|CONTAINER [-c FILE | --socket PATH] [--json]\n"
                 "                         [--method M] [--header 'NAME: VALUE']... [--client IP]",
    .summary = "Tells who would serve a request and why, or what becomes of a container",
    .help = "  URL                  http://HOST[:PORT]/PATH?QUERY, https://..., or HOST/PATH\n"
            "  CONTAINER            its name, its id, or the beginning of the id\n"
            "  -c, --config FILE    explains this file; otherwise the gateway that runs with\n"
            "                       " WG_DEFAULT_CONFIG " is asked. Routes of containers'\n"
            "                       labels are in no file: only that one knows them\n"
            "  --socket PATH        the admin socket of the gateway that is asked\n"
            "  --method M           the request's method (GET)\n"
            "  --header 'N: V'      one of its headers; several may be given\n"
            "  --client IP          who sends it: for hashing by address and for `allow`\n"
            "  --json               the explanation as JSON\n"
            "\n"
            "Nothing is sent to any replica, and nothing is counted.\n\n",
    .run = run,
};
