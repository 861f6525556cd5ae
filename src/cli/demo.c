/* SPDX-License-Identifier: Apache-2.0
 *
 * wharfgate demo: the product in one command. Two small replicas inside the
 * process, each behind a listener of its own on a Unix socket in a private
 * directory; a certificate made on the spot; a rate limit in memory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "control/open_file.h"
#include "control/supervisor.h"
#include "io/listener.h"
#include "origin/demo.h"

struct demo {
    const char *http, *https, *admin; /* ports */
    char        directory[64];
    char        config_path[96];
};

static const char config_format[] =
    "# The demo's configuration. Edit it, then: wharfgate reload -c %s/wharfgate.yaml\n"
    "workers: 1\n"
    "listeners:\n"
    "  http:      { address: \":%s\", redirect: https }\n"
    "  https:     { address: \":%s\", tls: { self_signed: true } }\n"
    "  replica-1: { address: \"unix:%s/replica-1.sock\", trusted_proxies: [unix] }\n"
    "  replica-2: { address: \"unix:%s/replica-2.sock\", trusted_proxies: [unix] }\n"
    "rate_limits:\n"
    "  demo: { key: client_ip, rate: 1/s, burst: 4 }\n"
    "upstreams:\n"
    "  replicas:\n"
    "    servers: [ \"unix:%s/replica-1.sock\", \"unix:%s/replica-2.sock\" ]\n"
    "    balance: round_robin\n"
    "routes:\n"
    "  - { name: limited, match: { listener: https, path: \"= /limited\" }, upstream: replicas,\n"
    "      rate_limit: demo }\n"
    "  - { name: all, match: { listener: https }, upstream: replicas }\n"
    "  - { name: replica-1, match: { listener: replica-1 }, respond: { body: \"1\" } }\n"
    "  - { name: replica-2, match: { listener: replica-2 }, respond: { body: \"2\" } }\n"
    "admin: { address: \"127.0.0.1:%s\", socket: %s/admin.sock }\n"
    "log: { access: \"off\" }\n";

static const struct origin_override overrides[] = {
    { "replica-1", &origin_demo, "replica-1" },
    { "replica-2", &origin_demo, "replica-2" },
};

static void print_welcome(void *arg, struct slice ready)
{
    const struct demo *d = arg;
    (void)ready;
    printf("\nwharfgate demo is up. Open\n\n"
           "  https://localhost:%s/        two replicas in turn (the certificate is self-signed)\n"
           "  http://localhost:%s/         redirects there\n"
           "  http://127.0.0.1:%s/         admin: metrics and status\n\n"
           "or try\n\n"
           "  curl -k https://localhost:%s/ -H 'Accept: application/json'\n"
           "  for i in 1 2 3 4 5 6 7; do curl -sko /dev/null -w '%%{http_code}\\n' "
           "https://localhost:%s/limited; done\n"
           "  wharfgate reload -c %s      after you have edited it\n\n"
           "Ctrl-C ends it.\n\n",
           d->https, d->http, d->admin, d->https, d->https, d->config_path);
    fflush(stdout);
}

/* ---- ports ---- */

static bool is_port(const char *text)
{
    size_t len = strlen(text);
    long   port = len && len <= 5 && strspn(text, "0123456789") == len ? strtol(text, NULL, 10) : 0;
    return port >= 1 && port <= 65535;
}

/* A port that is taken is told with the option that chooses another. */
static bool is_free(const char *option, const char *host, const char *port)
{
    struct arena   arena;
    struct address a;
    struct error   e = { "" };
    arena_init(&arena, NULL);
    bool is_good = address_parse(&a, arena_printf(&arena, "%s:%s", host, port), &arena, &e);
    int  fd = is_good ? listener_bind(&a, 1, false, &e) : -1;
    if (fd >= 0)
        close(fd);
    else
        fprintf(stderr, "wharfgate demo: %s\nChoose another port: wharfgate demo %s PORT\n", e.text,
                option);
    arena_reset(&arena);
    return fd >= 0;
}

static bool check_ports(const struct demo *d)
{
    const char *options[] = { "--http", "--https", "--admin" };
    const char *hosts[] = { "", "", "127.0.0.1" };
    const char *ports[] = { d->http, d->https, d->admin };
    bool        is_good = true;
    for (int i = 0; i < 3; i++) is_good &= is_free(options[i], hosts[i], ports[i]);
    return is_good;
}

/* ---- the private directory ---- */

static bool make_directory(struct demo *d)
{
    struct buffer text = BUFFER_INIT;
    struct error  e;
    snprintf(d->directory, sizeof(d->directory), "/tmp/wharfgate-demo-XXXXXX");
    if (!mkdtemp(d->directory)) {
        perror("wharfgate demo: a directory in /tmp");
        return false;
    }
    const char *dir = d->directory;
    snprintf(d->config_path, sizeof(d->config_path), "%s/wharfgate.yaml", dir);
    buffer_printf(&text, config_format, dir, d->http, d->https, dir, dir, dir, dir, d->admin, dir);
    bool is_done = write_atomically(d->config_path, buffer_slice(&text), &e);
    buffer_reset(&text);
    if (!is_done) fprintf(stderr, "wharfgate demo: %s\n", e.text);
    return is_done;
}

static void remove_directory(const struct demo *d)
{
    static const char *const names[] = { "wharfgate.yaml", "replica-1.sock", "replica-2.sock",
                                         "admin.sock" };
    char                     path[128];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", d->directory, names[i]);
        unlink(path);
    }
    rmdir(d->directory);
}

static int serve(struct demo *d)
{
    struct supervisor_options o = {
        .config_path = d->config_path,
        .overrides = overrides,
        .override_count = sizeof(overrides) / sizeof(overrides[0]),
        .on_ready = print_welcome,
        .arg = d,
    };
    int code = make_directory(d) ? supervisor_run(&o) : EXIT_FAULT;
    remove_directory(d);
    return code;
}

static int run(const struct cli_command *command, int argc, char **argv)
{
    struct demo             d = { .http = "8080", .https = "8443", .admin = "9600" };
    const struct cli_option options[] = {
        { "--http", NULL, NULL, &d.http },
        { "--https", NULL, NULL, &d.https },
        { "--admin", NULL, NULL, &d.admin },
        { 0 },
    };
    enum cli_parse parsed = cli_parse(command, argc, argv, options);
    if (parsed != CLI_GO_ON) return cli_parse_exit(parsed);
    if (!is_port(d.http) || !is_port(d.https) || !is_port(d.admin)) {
        fprintf(stderr, "wharfgate demo: a port is a number from 1 to 65535\n");
        return EXIT_USAGE;
    }
    return check_ports(&d) ? serve(&d) : EXIT_FAULT;
}

const struct cli_command cli_demo = {
    .name = "demo",
    .arguments = "[--http PORT] [--https PORT] [--admin PORT]",
    .summary = "Shows it all at once: TLS, two replicas, a rate limit, nothing else needed",
    .help = "  --http PORT          redirects to TLS (8080)\n"
            "  --https PORT         TLS (8443)\n"
            "  --admin PORT         metrics and status, on 127.0.0.1 (9600)\n",
    .run = run,
};
