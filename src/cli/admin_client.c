/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions to the running gateway. See admin_client.h.
 */
#include "cli/admin_client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "cli/cli.h"
#include "control/gate.h"

enum { ANSWER_MAX_BYTES = 256 * 1024 * 1024, WAIT_STEP_MS = 1000 };

/* ---- where ---- */

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
    return EXIT_CONFIG;
}

int admin_client_open(struct admin_client *c, const struct admin_where *where)
{
    *c = (struct admin_client){ .command = where->command, .wake_fd = -1 };
    conf_report_init(&c->report);
    if (where->socket) {
        c->socket = mem_strdup(where->socket);
        return EXIT_OK;
    }
    c->socket = find_socket(where->config, &c->report);
    /* A slip of the pen must not ask another gateway. */
    if (access(where->config, F_OK) != 0) {
        int code = print_errors(&c->report);
        fprintf(stderr, "-c names the gateway's configuration, --socket its admin socket.\n");
        return code;
    }
    if (!*c->socket || strcmp(c->socket, "off") == 0) {
        fprintf(stderr, "wharfgate %s: %s has `admin: socket: off`; %s\n", c->command,
                where->config, where->instead);
        return EXIT_CONFIG;
    }
    if (c->report.error_count)
        fprintf(stderr, "wharfgate %s: %s has errors when read here; asking at %s\n", c->command,
                where->config, c->socket);
    return EXIT_OK;
}

void admin_client_close(struct admin_client *c)
{
    free(c->socket);
    c->socket = NULL;
    conf_report_reset(&c->report);
}

/* ---- asking ---- */

static size_t take(char *data, size_t size, size_t count, void *arg)
{
    struct admin_answer *a = arg;
    size_t               len = size * count;
    if (len > ANSWER_MAX_BYTES - a->body.len) {
        error_set(&a->why, "its answer is too long");
        return 0;
    }
    buffer_put(&a->body, data, len);
    return len;
}

/* Waits for the transfer's end, or for what else there is to do. */
static CURLcode wait_for_end(CURLM *multi, const struct admin_client *c)
{
    int running = 1, left;
    while (curl_multi_perform(multi, &running) == CURLM_OK && running) {
        struct curl_waitfd wake = { .fd = c->wake_fd, .events = CURL_WAIT_POLLIN };
        unsigned           count = c->wake_fd >= 0;
        if (curl_multi_poll(multi, &wake, count, WAIT_STEP_MS, NULL) != CURLM_OK) break;
        if (wake.revents && !c->on_wake(c->wake_arg)) return CURLE_ABORTED_BY_CALLBACK;
    }
    const CURLMsg *message = curl_multi_info_read(multi, &left);
    return message ? message->data.result : CURLE_FAILED_INIT;
}

static CURLcode perform(CURL *curl, const struct admin_client *c)
{
    CURLM *multi = curl_multi_init();
    if (!multi) abort();
    CURLcode code =
        curl_multi_add_handle(multi, curl) == CURLM_OK ? wait_for_end(multi, c) : CURLE_FAILED_INIT;
    curl_multi_remove_handle(multi, curl);
    curl_multi_cleanup(multi);
    return code;
}

/* The library would speak of a port that there is not. */
static void explain(CURL *curl, CURLcode code, const char *why, struct admin_answer *a)
{
    long error = 0;
    if (code == CURLE_COULDNT_CONNECT) curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &error);
    a->os_error = (int)error;
    if (error)
        error_set(&a->why, "%s", strerror((int)error));
    else if (code != CURLE_WRITE_ERROR || !*a->why.text)
        error_set(&a->why, "%s", *why ? why : curl_easy_strerror(code));
}

static void set_options(CURL *curl, const struct admin_client *c, const struct admin_question *q)
{
    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, c->socket);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, q->wait_s);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    if (!q->is_post) return;
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
}

bool admin_client_ask(const struct admin_client *c, const struct admin_question *q,
                      struct admin_answer *a)
{
    struct buffer      url = BUFFER_INIT, accept = BUFFER_INIT;
    char               why[CURL_ERROR_SIZE] = "";
    CURL              *curl = curl_easy_init();
    struct curl_slist *fields;
    *a = (struct admin_answer){ .body = BUFFER_INIT };
    buffer_printf(&url, "http://admin%s", q->path);
    buffer_printf(&accept, "Accept: %s", q->accept);
    fields = curl_slist_append(NULL, accept.data);
    if (!curl || !fields) abort();
    set_options(curl, c, q);
    curl_easy_setopt(curl, CURLOPT_URL, url.data);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, fields);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, a);
    CURLcode code = perform(curl, c);
    if (code == CURLE_OK)
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &a->status);
    else
        explain(curl, code, why, a);
    curl_slist_free_all(fields);
    curl_easy_cleanup(curl);
    buffer_reset(&url);
    buffer_reset(&accept);
    return a->status != 0;
}

void admin_answer_reset(struct admin_answer *a)
{
    buffer_reset(&a->body);
}

/* ---- giving up ---- */

int admin_client_give_up(const struct admin_client *c, struct admin_answer *a)
{
    if (a->status) {
        fprintf(stderr, "wharfgate %s: the gateway answered %ld\n", c->command, a->status);
        return cli_put(STDERR_FILENO, &a->body, EXIT_FAULT);
    }
    fprintf(stderr, "wharfgate %s: the gateway cannot be reached: %s: %s\n%s\n", c->command,
            c->socket, a->why.text,
            a->os_error == EACCES
                ? "The socket is its owner's and root's: try it with sudo."
                : "Does it run, and with this configuration? --socket names another one.");
    return c->report.error_count ? print_errors(&c->report) : EXIT_UNREACHABLE;
}

int admin_client_put(const struct admin_where *where, const struct admin_question *q,
                     int (*tell)(const struct admin_client *c, struct admin_answer *a,
                                 bool is_json),
                     bool is_json)
{
    struct admin_client c;
    struct admin_answer a;
    int                 code = admin_client_open(&c, where);
    if (code == EXIT_OK) {
        code = admin_client_ask(&c, q, &a) ? tell(&c, &a, is_json) : admin_client_give_up(&c, &a);
        admin_answer_reset(&a);
    }
    admin_client_close(&c);
    return code;
}
