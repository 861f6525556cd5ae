/* SPDX-License-Identifier: Apache-2.0
 *
 * What a configuration becomes: typed values, defaults that are handed down,
 * names, fingerprints; and how files come together, from a reader that holds
 * them in memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "conf/load.h"

/* ---- files in memory ---- */

struct memory_file {
    const char *name;
    const char *text;
};

static bool read_memory(void *arg, const char *path, size_t max_bytes, struct buffer *to,
                        struct error *e)
{
    for (const struct memory_file *f = arg; f && f->name; f++) {
        if (!slice_ends_with(slice_of(path), slice_of(f->name))) continue;
        if (strlen(f->text) > max_bytes) return error_set(e, "%s is too large", path);
        buffer_puts(to, f->text);
        return true;
    }
    return error_set(e, "cannot open %s", path);
}

/* Every file is found by every pattern. */
static bool glob_memory(void *arg, const char *pattern, void (*found)(void *to, const char *path),
                        void *to, struct error *e)
{
    (void)e;
    for (const struct memory_file *f = arg; f && f->name; f++) {
        char        path[256];
        const char *slash = strrchr(pattern, '/');
        snprintf(path, sizeof(path), "%.*s%s", slash ? (int)(slash - pattern) + 1 : 0, pattern,
                 f->name);
        found(to, path);
    }
    return true;
}

struct loaded {
    struct conf_report report;
    struct settings   *settings;
    struct buffer      text; /* the report, printed */
};

static void load(struct loaded *l, const char *text, const struct memory_file *files)
{
    struct conf_reader reader = { read_memory, glob_memory, NULL };
    memcpy(&reader.arg, &files, sizeof(files));
    conf_report_init(&l->report);
    l->text = (struct buffer)BUFFER_INIT;
    l->settings = conf_load_text("/etc/main.yaml", slice_of(text), &reader, &l->report);
    conf_report_print(&l->report, &l->text, false);
    buffer_put(&l->text, "", 0);
    assert_int_equal(l->settings == NULL, l->report.error_count > 0);
}

static void load_good(struct loaded *l, const char *text, const struct memory_file *files)
{
    load(l, text, files);
    if (!l->settings) fail_msg("%s", l->text.data);
}

static void unload(struct loaded *l)
{
    settings_free(l->settings);
    conf_report_reset(&l->report);
    buffer_reset(&l->text);
}

static void assert_says(const struct loaded *l, const char *words)
{
    if (!strstr(l->text.data, words)) fail_msg("no \"%s\" in:\n%s", words, l->text.data);
}

static void assert_refused(const char *text, const struct memory_file *files, const char *words)
{
    struct loaded l;
    load(&l, text, files);
    assert_null(l.settings);
    assert_says(&l, words);
    unload(&l);
}

#define LISTEN "listeners: { http: { address: \":80\" } }\n"
#define APP "upstreams: { app: { servers: [\"a:1\"] } }\n"

/* ---- values ---- */

static void test_defaults(void **state)
{
    struct loaded l;
    (void)state;
    load_good(&l, LISTEN APP "routes: [{ upstream: app }]\n", NULL);
    const struct settings *s = l.settings;
    assert_int_equal(s->workers, 0);
    assert_int_equal(s->shutdown_grace, 30000);
    assert_null(s->user.data);
    assert_null(s->pid_file.data);
    assert_int_equal(s->timeouts.tls_handshake, 10000);
    assert_int_equal(s->timeouts.header, 10000);
    assert_int_equal(s->timeouts.body_idle, 30000);
    assert_int_equal(s->timeouts.keep_alive, 60000);
    assert_int_equal(s->timeouts.write_idle, 30000);
    assert_int_equal(s->timeouts.connect, 5000);
    assert_int_equal(s->timeouts.response_header, 60000);
    assert_int_equal(s->timeouts.response_idle, 60000);
    assert_int_equal(s->timeouts.upstream_keep_alive, 50000);
    assert_int_equal(s->limits.request_line, 8192);
    assert_int_equal(s->limits.header_bytes, 16384);
    assert_int_equal(s->limits.header_count, 100);
    assert_int_equal(s->limits.max_connections, 65536);
    assert_int_equal(s->limits.body_min_rate, 256);
    assert_int_equal(s->limits.requests_per_connection, 0);
    assert_string_equal(s->log.level.data, "info");
    assert_string_equal(s->log.error.data, "stderr");
    assert_string_equal(s->log.access.data, "stdout");
    assert_int_equal(s->log.format, LOG_FORMAT_JSON);
    assert_string_equal(s->admin.address.data, "127.0.0.1:9600");
    assert_string_equal(s->admin.socket.data, "/run/wharfgate/admin.sock");
    assert_true(s->metrics.enabled);
    assert_string_equal(s->metrics.path.data, "/metrics");
    const struct upstream_settings *u = &s->upstreams[0];
    assert_int_equal(u->servers[0].weight, 1);
    assert_false(u->servers[0].backup);
    assert_int_equal(u->balance.algorithm, BALANCE_LEAST_REQUESTS);
    assert_int_equal(u->keep_alive_connections, 32);
    assert_int_equal(u->retries, 2);
    assert_null(u->tls);
    const struct policy_settings *p = &s->routes[0].policy;
    assert_int_equal(p->max_body, 1 << 20);
    assert_true(p->access_log);
    assert_true(p->client_cert_headers);
    assert_false(p->allow_encoded_slash);
    assert_int_equal(p->timeouts.connect, 5000);
    unload(&l);
}

static void test_listener_values(void **state)
{
    struct loaded l;
    (void)state;
    load_good(&l,
              "listeners:\n"
              "  a: { address: [\":80\", \"unix:/a\"], redirect: https, redirect_port: 8443 }\n"
              "  b:\n"
              "    address: \":443\"\n"
              "    trusted_proxies: [10.0.0.0/8, unix]\n"
              "    max_connections: 7\n"
              "    tls:\n"
              "      certificates: [{ cert: c.pem, key: /k.pem, ocsp: ../o.der }]\n"
              "      profile: modern\n"
              "      client_auth: { mode: required, ca: ca.pem }\n"
              "      tickets: false\n",
              NULL);
    const struct listener_settings *a = &l.settings->listeners[0], *b = a + 1;
    assert_int_equal(l.settings->listener_count, 2);
    assert_string_equal(a->name.data, "a");
    assert_string_equal(a->at.file, "/etc/main.yaml");
    assert_int_equal(a->at.line, 2);
    assert_int_equal(a->at.column, 3);
    assert_int_equal(a->addresses.count, 2);
    assert_string_equal(a->addresses.items[1].data, "unix:/a");
    assert_true(a->redirects_https);
    assert_int_equal(a->redirect_port, 8443);
    assert_null(a->tls);
    assert_int_equal(b->trusted_proxies.count, 2);
    assert_int_equal(b->max_connections, 7);
    assert_string_equal(b->tls->certificates[0].cert.data, "/etc/c.pem");
    assert_string_equal(b->tls->certificates[0].key.data, "/k.pem");
    assert_string_equal(b->tls->certificates[0].ocsp.data, "/o.der");
    assert_int_equal(b->tls->profile, PROFILE_MODERN);
    assert_int_equal(b->tls->client_auth, CLIENT_AUTH_REQUIRED);
    assert_string_equal(b->tls->client_ca.data, "/etc/ca.pem");
    assert_false(b->tls->tickets);
    unload(&l);
}

static void test_upstream_values(void **state)
{
    struct loaded l;
    (void)state;
    load_good(&l,
              LISTEN "upstreams:\n"
                     "  a: { servers: [\"a:1\", { address: \"b:2\", weight: 5, backup: true }],\n"
                     "       tls: true, proxy_protocol: v2, host: x.org }\n"
                     "  b: { servers: [\"a:1\"], tls: false, keep_alive_connections: 0 }\n"
                     "  c: { servers: [\"a:1\"], tls: { verify: false, sni: y.org } }\n",
              NULL);
    const struct upstream_settings *a = &l.settings->upstreams[0], *b = a + 1, *c = b + 1;
    assert_string_equal(a->servers[0].address.data, "a:1");
    assert_int_equal(a->servers[1].weight, 5);
    assert_true(a->servers[1].backup);
    assert_true(a->tls && a->tls->verify);
    assert_int_equal(a->proxy_protocol, PROXY_PROTOCOL_V2);
    assert_string_equal(a->host.data, "x.org");
    assert_null(b->tls);
    assert_int_equal(b->keep_alive_connections, 0);
    assert_true(c->tls && !c->tls->verify);
    assert_string_equal(c->tls->sni.data, "y.org");
    unload(&l);
}

static void test_route_values(void **state)
{
    struct loaded l;
    (void)state;
    load_good(&l,
              LISTEN "rate_limits: { api: { rate: 5/m, burst: 3, dry_run: true } }\n"
                     "routes:\n"
                     "  - match: { host: [A.Example, \"*.B.example\"], path: /api/*, method: GET,\n"
                     "             listener: http, headers: { X-A: ~, X-B: b },\n"
                     "             query: { q: \"~*  ^x\" } }\n"
                     "    respond: { status: 404, body: none, headers: { X-C: c } }\n"
                     "    rate_limit: api\n"
                     "  - match: { path: \"=  /x\" }\n"
                     "    redirect: /y\n"
                     "  - redirect: { to: https://z.org/, status: 302 }\n",
              NULL);
    const struct route_settings *r = l.settings->routes;
    assert_int_equal(l.settings->rate_limits[0].rate_count, 5);
    assert_int_equal(l.settings->rate_limits[0].rate_period, 60000);
    assert_int_equal(l.settings->rate_limits[0].key.parts.count, 0); /* client_ip */
    assert_int_equal(l.settings->rate_limits[0].key.ipv6_prefix, 64);
    assert_string_equal(r[0].match.hosts.items[0].data, "a.example");
    assert_string_equal(r[0].match.hosts.items[1].data, "*.b.example");
    assert_string_equal(r[0].match.path.data, "/api/");
    assert_string_equal(r[0].match.methods.items[0].data, "GET");
    assert_string_equal(r[0].match.headers[0].name.data, "X-A");
    assert_null(r[0].match.headers[0].value.data);
    assert_string_equal(r[0].match.headers[1].value.data, "b");
    assert_string_equal(r[0].match.query[0].value.data, "~* ^x");
    assert_int_equal(r[0].respond->status, 404);
    assert_string_equal(r[0].respond->content_type.data, "text/plain; charset=utf-8");
    assert_string_equal(r[0].respond->headers[0].value.data, "c");
    assert_string_equal(r[0].policy.rate_limits.items[0].data, "api");
    assert_string_equal(r[1].match.path.data, "= /x");
    assert_int_equal(r[1].redirect->status, 308);
    assert_int_equal(r[2].redirect->status, 302);
    unload(&l);
}

static void test_policies_are_handed_down(void **state)
{
    struct loaded l;
    (void)state;
    load_good(&l,
              "routes:\n"
              "  - { respond: {}, match: { path: /a }, timeouts: { response_idle: 3s } }\n"
              "  - { respond: {}, max_body: unlimited, error_pages: { 404: four.html } }\n"
              "defaults: { max_body: 2MiB, access_log: false, timeouts: { connect: 2s },\n"
              "            error_pages: { 503: /five.html, default: /any.html } }\n"
              "timeouts: { connect: 1s, body_idle: 1s }\n" LISTEN,
              NULL);
    const struct policy_settings *a = &l.settings->routes[0].policy,
                                 *b = &l.settings->routes[1].policy;
    assert_int_equal(a->max_body, 2 << 20);
    assert_false(a->access_log);
    assert_int_equal(a->timeouts.connect, 2000);
    assert_int_equal(a->timeouts.body_idle, 1000);
    assert_int_equal(a->timeouts.response_idle, 3000);
    assert_int_equal(a->error_page_count, 2);
    assert_int_equal(a->error_pages[0].status, 503);
    assert_int_equal(a->error_pages[1].status, 0);
    assert_int_equal(b->max_body, 0);
    assert_int_equal(b->timeouts.response_idle, 60000);
    assert_int_equal(b->error_page_count, 1);
    assert_string_equal(b->error_pages[0].path.data, "/etc/four.html");
    assert_int_equal(l.settings->defaults.max_body, 2 << 20);
    assert_int_equal(l.settings->timeouts.connect, 1000);
    unload(&l);
}

static void test_route_names(void **state)
{
    static const char *const names[] = { "a.org/x", "a.org/x#2", "a.org",         "default",
                                         "/y",      "a.org/x#3", "*.b.org ~ ^/x", "a.org = /z" };
    struct loaded            l;
    (void)state;
    load_good(&l,
              LISTEN "routes:\n"
                     "  - { match: { host: a.org, path: /x }, respond: {} }\n"
                     "  - { match: { host: a.org, path: /x, method: GET }, respond: {} }\n"
                     "  - { match: { host: a.org }, respond: {} }\n"
                     "  - { respond: {} }\n"
                     "  - { match: { path: /y }, respond: {} }\n"
                     "  - { match: { host: a.org, path: /x, method: PUT }, respond: {} }\n"
                     "  - { match: { host: \"*.b.org\", path: \"~ ^/x\" }, respond: {} }\n"
                     "  - { match: { host: a.org, path: \"= /z\" }, respond: {} }\n",
              NULL);
    for (size_t i = 0; i < 8; i++) assert_string_equal(l.settings->routes[i].name.data, names[i]);
    unload(&l);
    load_good(
        &l, LISTEN "routes: [{ respond: {} }, { name: default, match: { path: /a }, respond: {} }]",
        NULL);
    assert_string_equal(l.settings->routes[0].name.data, "default#2");
    unload(&l);
}

static char *fingerprint_of(const char *upstream)
{
    struct loaded l;
    char          text[512];
    snprintf(text, sizeof(text), LISTEN "upstreams: { app: { %s } }\n", upstream);
    load_good(&l, text, NULL);
    char *copy = mem_slicedup(l.settings->upstreams[0].fingerprint);
    unload(&l);
    return copy;
}

static void test_fingerprints(void **state)
{
    static const char *const same[] = { "servers: [\"a:1\"]", "servers: [{ address: \"a:1\" }]",
                                        "servers: [\"a:1\"], retries: 2, balance: least_requests",
                                        "tls: false, servers: [{ weight: 1, address: \"a:1\" }]" };
    static const char *const other[] = { "servers: [\"a:2\"]",
                                         "servers: [\"a:1\", \"a:2\"]",
                                         "servers: [{ address: \"a:1\", weight: 2 }]",
                                         "servers: [{ address: \"a:1\" }], retries: 1",
                                         "servers: [\"a:1\"], tls: true",
                                         "servers: [\"a:1\"], tls: { verify: false }",
                                         "servers: [\"a:1\"], host: a",
                                         "servers: [\"a:1\"], proxy_protocol: v1",
                                         "servers: [\"a:1\"], keep_alive_connections: 1",
                                         "servers: [\"a:1\"], balance: random" };
    char                    *first = fingerprint_of(same[0]);
    (void)state;
    for (size_t i = 1; i < sizeof(same) / sizeof(*same); i++) {
        char *f = fingerprint_of(same[i]);
        assert_string_equal(f, first);
        free(f);
    }
    for (size_t i = 0; i < sizeof(other) / sizeof(*other); i++) {
        char *f = fingerprint_of(other[i]);
        assert_string_not_equal(f, first);
        free(f);
    }
    free(first);
}

/* ---- trees ---- */

static void test_merge_keys(void **state)
{
    struct loaded l;
    (void)state;
    load_good(&l,
              LISTEN "x-a: &a { retries: 1, balance: random }\n"
                     "x-b: &b { retries: 3, keep_alive_connections: 4 }\n"
                     "upstreams:\n"
                     "  one: { <<: *a, retries: 5, servers: &s [\"a:1\"] }\n"
                     "  two: { <<: [*a, *b], servers: *s }\n",
              NULL);
    const struct upstream_settings *u = l.settings->upstreams;
    assert_int_equal(u[0].retries, 5);
    assert_int_equal(u[0].balance.algorithm, BALANCE_RANDOM);
    assert_int_equal(u[1].retries, 1);
    assert_int_equal(u[1].keep_alive_connections, 4);
    assert_string_equal(u[1].servers[0].address.data, "a:1");
    unload(&l);
}

static void test_text_marks(void **state)
{
    struct loaded l;
    (void)state;
    load_good(&l, "\xef\xbb\xbf" LISTEN, NULL);
    unload(&l);
    load_good(&l, "listeners:\r\n  http:\r\n    address: ':80'\r\n", NULL);
    unload(&l);
    assert_refused("\xff\xfel\x01", NULL, "UTF-16");
    assert_refused("", NULL, "1:1: error: the file is empty");
    assert_refused("# nothing\n", NULL, "1:1: error: the file is empty");
    assert_refused("\xef\xbb\xbf" LISTEN "wokers: 1\n", NULL, ":2:1: error: unknown key `wokers`");
}

/* Shows a caret under the right character of a long line. */
static void test_long_line(void **state)
{
    struct buffer text = BUFFER_INIT;
    struct loaded l;
    (void)state;
    buffer_puts(&text, LISTEN "x-a: [");
    for (int i = 0; i < 1000; i++) buffer_puts(&text, "\xc3\xa4, ");
    buffer_puts(&text, "*nowhere]\n");
    load(&l, text.data, NULL);
    assert_null(l.settings);
    assert_int_equal(l.report.problems[0].at.column, 3007);
    assert_true(l.report.problems[0].source.len < 400);
    assert_true(l.report.problems[0].caret <= 160);
    assert_non_null(strstr(l.report.problems[0].source.data, "*nowhere]"));
    const char *caret = strrchr(l.text.data, '^');
    const char *last = memrchr(l.text.data, '|', (size_t)(caret - l.text.data));
    assert_int_equal(caret - last - 1, l.report.problems[0].caret);
    unload(&l);
    buffer_reset(&text);
}

static void test_bounds(void **state)
{
    struct buffer text = BUFFER_INIT;
    (void)state;
    buffer_puts(&text, "x-a: &a []\nx-b: [");
    for (int i = 0; i < 100001; i++) buffer_puts(&text, "*a,");
    buffer_puts(&text, "]\n" LISTEN);
    assert_refused(text.data, NULL, "more than 100000 aliases");
    text.len = 0;
    buffer_puts(&text, "# ");
    memset(buffer_reserve(&text, 17 << 20), 'x', 17 << 20);
    text.len += 17 << 20;
    buffer_puts(&text, "\n" LISTEN);
    assert_refused(text.data, NULL, "is larger than 16777216 bytes");
    text.len = 0;
    setenv("WHARFGATE_LONG", "0123456789012345678901234567890123456789", 1);
    buffer_puts(&text, LISTEN "x-a:\n");
    for (int i = 0; i < 500000; i++) buffer_puts(&text, "- ${WHARFGATE_LONG}\n");
    assert_refused(text.data, NULL, "put in more than 16 MiB");
    buffer_reset(&text);
}

/* Ten megabytes of routes are a large file, but a file. */
static void test_large_file(void **state)
{
    struct buffer text = BUFFER_INIT;
    struct loaded l;
    size_t        count = 0;
    (void)state;
    buffer_puts(&text, LISTEN APP "routes:\n");
    for (; text.len < 10000000; count++)
        buffer_printf(&text,
                      "  - match: { host: host-%zu.example.org, path: /api/ }\n"
                      "    upstream: app\n"
                      "    max_body: 5MiB\n",
                      count);
    load_good(&l, text.data, NULL);
    assert_int_equal(l.settings->route_count, count);
    unload(&l);
    buffer_reset(&text);
}

/* ---- several files ---- */

static void test_includes(void **state)
{
    static const struct memory_file files[] = {
        { "sub/a.yaml", APP "routes: [{ name: second, match: { path: /b }, upstream: app }]\n" },
        { "sub/b.yaml", "include: ../sub/deep/c.yaml\nlog: { level: warn }\n" },
        { "sub/deep/c.yaml", "log: { access: off }\nlisteners: { c: { address: \":81\" } }\n"
                             "routes: [{ name: third, match: { path: /c }, upstream: app }]\n" },
        { NULL, NULL },
    };
    struct loaded l;
    (void)state;
    load_good(&l,
              LISTEN "include: [sub/a.yaml, sub/b.yaml]\n"
                     "routes: [{ name: first, match: { path: /a }, upstream: app }]\n",
              files);
    const struct settings *s = l.settings;
    assert_int_equal(s->route_count, 3);
    assert_string_equal(s->routes[0].name.data, "first");
    assert_string_equal(s->routes[1].name.data, "second");
    assert_string_equal(s->routes[2].name.data, "third");
    assert_string_equal(s->routes[2].at.file, "/etc/sub/../sub/deep/c.yaml");
    assert_string_equal(s->log.level.data, "warn");
    assert_string_equal(s->log.access.data, "off");
    assert_int_equal(s->listener_count, 2);
    assert_int_equal(s->files.count, 3);
    assert_string_equal(s->files.items[0].data, "/etc/sub/a.yaml");
    assert_string_equal(s->files.items[2].data, "/etc/sub/deep/c.yaml");
    unload(&l);
}

static void test_include_patterns(void **state)
{
    static const struct memory_file files[] = {
        { "1.yaml", "routes: [{ name: one, respond: {} }]\n" },
        { "2.yaml", "routes: [{ name: two, match: { path: /x }, respond: {} }]\n" },
        { NULL, NULL },
    };
    struct loaded l;
    (void)state;
    load_good(&l, LISTEN "include: conf.d/*.yaml\n", files);
    assert_int_equal(l.settings->route_count, 2);
    assert_string_equal(l.settings->files.items[1].data, "/etc/conf.d/2.yaml");
    unload(&l);
}

static void test_include_faults(void **state)
{
    static const struct memory_file circle[] = {
        { "a.yaml", "include: b.yaml\n" },
        { "b.yaml", "include: ./a.yaml\n" },
        { NULL, NULL },
    };
    static const struct memory_file broken[] = {
        { "a.yaml", "upstreams: [\n" },
        { "b.yaml", "metrics: { enabld: true }\n" },
        { NULL, NULL },
    };
    static const struct memory_file deep[] = { { "a.yaml", "include: x/a.yaml\n" },
                                               { NULL, NULL } };
    struct loaded                   l;
    (void)state;
    assert_refused(LISTEN "include: a.yaml\n", circle, "/etc/a.yaml -> /etc/b.yaml -> /etc/a.yaml");
    assert_refused(LISTEN "include: a.yaml\n", deep, "more than 16 deep");
    /* The rest is checked all the same, but for names that the broken file may have. */
    load(&l, LISTEN "include: [a.yaml, b.yaml]\nroutes: [{ upstream: app }]\nwokers: 1\n", broken);
    assert_int_equal(l.report.error_count, 3);
    assert_says(&l, "/etc/a.yaml:2:1: error: ");
    assert_says(&l, "/etc/b.yaml:1:12: error: unknown key `enabld`");
    assert_says(&l, "did you mean `enabled`?");
    assert_says(&l, "/etc/main.yaml:4:1: error: unknown key `wokers`");
    unload(&l);
}

/* ---- secrets ---- */

static void test_secret_files(void **state)
{
    static const struct memory_file files[] = {
        { "/run/key", "hunter2\n" },
        { "/run/bad", "hunter2\nhunter3\n" },
        { "/run/body", "several\nlines\r\n" },
        { NULL, NULL },
    };
    struct loaded l;
    (void)state;
    load_good(&l,
              LISTEN "routes:\n"
                     "  - match: { headers: { X-Key: file:/run/key } }\n"
                     "    respond: { body: file:/run/body }\n",
              files);
    assert_string_equal(l.settings->routes[0].match.headers[0].value.data, "hunter2");
    assert_string_equal(l.settings->routes[0].respond->body.data, "several\nlines");
    unload(&l);
    load(&l, LISTEN "routes: [{ match: { headers: { X-Key: file:/run/bad } }, respond: {} }]\n",
         files);
    assert_null(l.settings);
    assert_says(&l, "`X-Key`: expected a value");
    assert_null(strstr(l.text.data, "hunter"));
    unload(&l);
}

/* A value of a header condition stands in no message and in no quoted line, and
 * neither does one that a variable or a merge brought in. */
static void test_secrets_are_masked(void **state)
{
    struct loaded l;
    struct buffer json = BUFFER_INIT;
    (void)state;
    setenv("WHARFGATE_SECRET", "~ (hunter4", 1);
    load(&l,
         LISTEN "x-h: &h { X-C: \"~ (hunter3\" }\n"
                "routes:\n"
                "  - { match: { headers: { X-A: hunter1, X-B: \"~ (hunter2\" } }, respnd: {} }\n"
                "  - match: { headers: *h, path: x }\n"
                "    respond: {}\n"
                "  - match: { path: y, headers: { X-D: \"${WHARFGATE_SECRET}\" } }\n"
                "    respond: {}\n"
                "  - match:\n"
                "      headers:\n"
                "        X-E: \"~ (one\n"
                "          hunter5\"\n"
                "    respond: {}\n",
         NULL);
    assert_null(l.settings);
    conf_report_json(&l.report, &json);
    assert_null(strstr(l.text.data, "hunter"));
    assert_null(strstr(json.data, "hunter"));
    assert_says(&l, "`X-B`: expected a value");
    assert_says(&l, "{ X-A: *******, X-B: ************ } }, respnd: {} }\n");
    assert_says(&l, "did you mean `respond`?");
    buffer_reset(&json);
    unload(&l);
}

/* ---- reports ---- */

static void test_at_most_a_hundred(void **state)
{
    struct buffer text = BUFFER_INIT;
    struct loaded l;
    (void)state;
    buffer_puts(&text, LISTEN);
    for (int i = 0; i < 150; i++) buffer_printf(&text, "key-%d: 1\n", i);
    load(&l, text.data, NULL);
    assert_int_equal(l.report.count, 100);
    assert_int_equal(l.report.error_count, 150);
    assert_says(&l, "and 50 more\n");
    unload(&l);
    buffer_reset(&text);
}

/* What others call it, or where it stands. */
static void test_hints(void **state)
{
    static const struct {
        const char *text, *hint;
    } cases[] = {
        { "routes: [ { strip_prefix: /x } ]\n", "`strip_prefix` stands in `rewrite`\n" },
        { "routes: [ { path: /x } ]\n", "`path` stands in `match` or `rewrite`\n" },
        { "routes: [ { pathh: /x } ]\n", "did you mean `match`?\n" },
        { "routes: [ { respnd: {} } ]\n", "did you mean `respond`?\n" },
        { "routes: [ { max_body: 50M } ]\n", "did you mean `50MiB`?\n" },
        { "routes: [ { max_body: 10kb } ]\n", "did you mean `10KiB`?\n" },
        { "timeouts: { connect: 30 }\n", "did you mean `30s`?\n" },
        { "timeouts: { connect: 2w }\n", "did you mean `14d`?\n" },
        { "timeouts: { connect: 1y }\n", "did you mean `365d`?\n" },
        { "pid_file: \"/${nonce}\"\n", "`wharfgate reference` has the variables of a request\n" },
        { "pid_file: \"/${NO_SUCH}\"\n", "`${NAME:-default}` gives a default\n" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer text = BUFFER_INIT;
        struct loaded l;
        buffer_printf(&text, "%s%s", LISTEN, cases[i].text);
        load(&l, text.data, NULL);
        assert_says(&l, cases[i].hint);
        unload(&l);
        buffer_reset(&text);
    }
}

static void test_printed_report(void **state)
{
    struct loaded l;
    struct buffer out = BUFFER_INIT;
    (void)state;
    load(&l, LISTEN "log: { levle: info }\n", NULL);
    assert_string_equal(l.text.data, "/etc/main.yaml:2:8: error: unknown key `levle` in `log`\n"
                                     "     2 | log: { levle: info }\n"
                                     "       |        ^\n"
                                     "         did you mean `level`?\n");
    conf_report_json(&l.report, &out);
    assert_string_equal(out.data, "[{\"severity\":\"error\",\"file\":\"/etc/main.yaml\",\"line\":2,"
                                  "\"column\":8,\"message\":\"unknown key `levle` in `log`\","
                                  "\"hint\":\"did you mean `level`?\","
                                  "\"source\":\"log: { levle: info }\"}]\n");
    out.len = 0;
    conf_report_print(&l.report, &out, true);
    assert_non_null(strstr(out.data, "\033[1;31merror:\033[0m"));
    buffer_reset(&out);
    unload(&l);
}

/* In the order of the lines, whatever finds them first. */
static void test_order_of_problems(void **state)
{
    struct loaded l;
    (void)state;
    load(&l,
         LISTEN "routes: [{ upstream: nowhere }]\n"
                "wokers: 1\n"
                "log: { level: loud, levle: info }\n"
                "user: \"\"\n",
         NULL);
    assert_int_equal(l.report.count, 5);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(l.report.problems[i].at.line, i < 3 ? i + 2 : i + 1);
    unload(&l);
}

/* A later stage points at a listener, and the line is still there to be shown. */
static void test_later_problems(void **state)
{
    struct loaded l;
    (void)state;
    load_good(&l, LISTEN, NULL);
    conf_report_add(&l.report, CONF_WARNING, &l.settings->listeners[0].at, "expires in %d days", 3);
    conf_report_add(&l.report, CONF_ERROR, NULL, "no place");
    l.text.len = 0;
    conf_report_print(&l.report, &l.text, false);
    assert_string_equal(l.text.data, "/etc/main.yaml:1:14: warning: expires in 3 days\n"
                                     "     1 | listeners: { http: { address: \":80\" } }\n"
                                     "       |              ^\n"
                                     "error: no place\n");
    unload(&l);
}

static void test_restart_changes(void **state)
{
    struct loaded l, next;
    (void)state;
    load_good(&l, LISTEN "workers: 1\nadmin: { address: off }\n", NULL);
    load_good(&next, LISTEN "workers: 2\nadmin: { address: \":1\" }\ntimeouts: { header: 1s }\n",
              NULL);
    conf_report_restart(l.settings, next.settings, &next.report);
    assert_int_equal(next.report.count, 2);
    assert_string_equal(next.report.problems[0].message.data,
                        "`workers` changes only at a restart");
    assert_string_equal(next.report.problems[1].message.data,
                        "`admin.address` changes only at a restart");
    unload(&next);
    unload(&l);
}

/* ---- the direct reader ---- */

static void test_direct_reader(void **state)
{
    struct error  e = { "" };
    struct buffer to = BUFFER_INIT;
    char          path[] = "/tmp/wharfgate-conf-XXXXXX";
    int           fd = mkstemp(path);
    (void)state;
    assert_true(fd >= 0 && write(fd, "12345", 5) == 5);
    close(fd);
    assert_true(conf_reader_direct.read(NULL, path, 5, &to, &e));
    assert_int_equal(to.len, 5);
    assert_false(conf_reader_direct.read(NULL, path, 4, &to, &e));
    assert_non_null(strstr(e.text, "larger than 4 bytes"));
    unlink(path);
    assert_false(conf_reader_direct.read(NULL, path, 4, &to, &e));
    assert_non_null(strstr(e.text, "No such file"));
    assert_false(conf_reader_direct.read(NULL, "/", 4, &to, &e));
    assert_non_null(strstr(e.text, "is a directory"));
    buffer_reset(&to);
}

static void test_directory_as_configuration(void **state)
{
    struct conf_report r;
    (void)state;
    conf_report_init(&r);
    assert_null(conf_load_file("/", &conf_reader_direct, &r));
    assert_int_equal(r.error_count, 1);
    assert_non_null(strstr(r.problems[0].message.data, "is a directory"));
    conf_report_reset(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_listener_values),
        cmocka_unit_test(test_upstream_values),
        cmocka_unit_test(test_route_values),
        cmocka_unit_test(test_policies_are_handed_down),
        cmocka_unit_test(test_route_names),
        cmocka_unit_test(test_fingerprints),
        cmocka_unit_test(test_merge_keys),
        cmocka_unit_test(test_text_marks),
        cmocka_unit_test(test_long_line),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_large_file),
        cmocka_unit_test(test_includes),
        cmocka_unit_test(test_include_patterns),
        cmocka_unit_test(test_include_faults),
        cmocka_unit_test(test_secret_files),
        cmocka_unit_test(test_secrets_are_masked),
        cmocka_unit_test(test_at_most_a_hundred),
        cmocka_unit_test(test_hints),
        cmocka_unit_test(test_printed_report),
        cmocka_unit_test(test_order_of_problems),
        cmocka_unit_test(test_later_problems),
        cmocka_unit_test(test_restart_changes),
        cmocka_unit_test(test_direct_reader),
        cmocka_unit_test(test_directory_as_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
