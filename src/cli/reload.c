/* SPDX-License-Identifier: Apache-2.0
 *
 * wharfgate reload: asks the running gateway, over its admin socket, to read its
 * configuration anew, and tells how that went.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "cli/cli.h"
#include "control/gate.h"

enum { ANSWER_WAIT_S = 120 };

struct answer {
    long          status; /* 0: none came */
    struct buffer body;
};

static size_t take(char *data, size_t size, size_t count, void *arg)
{
    buffer_put(arg, data, size * count);
    return size * count;
}

/* The library would speak of a port that there is not. */
static void explain(CURL *curl, CURLcode code, const char *why, const char *socket, struct error *e)
{
    long error = 0;
    if (code == CURLE_COULDNT_CONNECT) curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &error);
    if (error)
        error_set(e, "%s: %s", socket, strerror((int)error));
    else
        error_set(e, "%s: %s", socket, *why ? why : curl_easy_strerror(code));
}

/* `e` gets why there is no answer. */
static void post(const char *socket, const char *accept, const char *url, struct answer *a,
                 struct error *e)
{
    CURL              *curl = curl_easy_init();
    struct curl_slist *fields = curl_slist_append(NULL, accept);
    char               why[CURL_ERROR_SIZE] = "";
    if (!curl || !fields) abort();
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket);
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, fields);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)ANSWER_WAIT_S);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &a->body);
    CURLcode code = curl_easy_perform(curl);
    if (code == CURLE_OK)
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &a->status);
    else
        explain(curl, code, why, socket, e);
    curl_slist_free_all(fields);
    curl_easy_cleanup(curl);
}

static int tell(const struct answer *a, struct buffer *body, bool is_json)
{
    if (a->status == 200) return cli_put(STDOUT_FILENO, body, EXIT_OK);
    if (a->status == 422) {
        int code = cli_put(is_json ? STDOUT_FILENO : STDERR_FILENO, body, EXIT_CONFIG);
        if (!is_json) fprintf(stderr, "not reloaded: nothing has changed\n");
        return code;
    }
    fprintf(stderr, "wharfgate reload: the gateway answered %ld\n", a->status);
    return cli_put(STDERR_FILENO, body, EXIT_FAULT);
}

static int reload(const char *socket, bool is_json)
{
    struct answer a = { .body = BUFFER_INIT };
    struct error  e = { "" };
    const char   *url = !is_json && cli_has_color(STDERR_FILENO) ? "http://admin/v1/reload?color"
                                                                 : "http://admin/v1/reload";
    post(socket, is_json ? "Accept: application/json" : "Accept: text/plain", url, &a, &e);
    if (a.status) return tell(&a, &a.body, is_json);
    fprintf(stderr,
            "wharfgate reload: the gateway cannot be reached: %s\n"
            "Does it run, and with this configuration? --socket names another one.\n",
            e.text);
    buffer_reset(&a.body);
    return EXIT_UNREACHABLE;
}

/* The admin socket that the configuration names, "off" included. Its errors are for
 * the gateway to judge, which may have variables and rights that we do not. */
static char *find_socket(const char *path, struct conf_report *report)
{
    struct settings *s = conf_load_readable(path, &conf_reader_direct, report);
    char            *found = mem_slicedup(s->admin.socket);
    settings_free(s);
    return found;
}

static int print_errors(const struct conf_report *report)
{
    struct buffer text = BUFFER_INIT;
    conf_report_print(report, &text, cli_has_color(STDERR_FILENO));
    (void)cli_put(STDERR_FILENO, &text, 0);
    fprintf(stderr, "not reloaded: nothing has changed\n");
    return EXIT_CONFIG;
}

static int reload_as_configured(const char *path, bool is_json)
{
    struct conf_report report;
    conf_report_init(&report);
    char *socket = find_socket(path, &report);
    bool  has_errors = report.error_count > 0;
    int   code;
    if (access(path, F_OK) != 0) { /* a slip of the pen must not reload another gateway */
        code = print_errors(&report);
    } else if (!*socket || strcmp(socket, "off") == 0) {
        fprintf(stderr, "wharfgate reload: %s has `admin: socket: off`; send SIGHUP instead\n",
                path);
        code = EXIT_CONFIG;
    } else {
        if (has_errors)
            fprintf(stderr, "wharfgate reload: %s has errors when read here; asking at %s\n", path,
                    socket);
        code = reload(socket, is_json);
        if (has_errors && code == EXIT_UNREACHABLE) code = print_errors(&report);
    }
    free(socket);
    conf_report_reset(&report);
    return code;
}

static int run(const struct cli_command *command, int argc, char **argv)
{
    const char             *path = WG_DEFAULT_CONFIG, *socket = NULL;
    bool                    is_json = false;
    const struct cli_option options[] = {
        { "--config", "-c", NULL, &path },
        { "--socket", NULL, NULL, &socket },
        { "--json", NULL, &is_json, NULL },
        { 0 },
    };
    enum cli_parse parsed = cli_parse(command, argc, argv, options);
    if (parsed != CLI_GO_ON) return cli_parse_exit(parsed);
    return socket ? reload(socket, is_json) : reload_as_configured(path, is_json);
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
