/* SPDX-License-Identifier: Apache-2.0
 *
 * Routes beside those of the files: judged by the same tables, each alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conf/part.h"

static const char base[] =
    "listeners: { http: { address: ':80' } }\n"
    "discovery: { docker: true }\n"
    "rate_limits: { api: { key: client_ip, rate: 10/s } }\n"
    "defaults: { max_body: 7KiB }\n"
    "upstreams: { app: { servers: ['127.0.0.1:1'] } }\n"
    "routes:\n"
    "  - { match: { host: file.example, path: / }, upstream: app }\n"
    "  - { name: 'docker:taken', match: { host: b.example }, upstream: app }\n";

static struct arena     arena;
static struct settings *settings;

static int open_settings(void **state)
{
    struct conf_report report;
    (void)state;
    conf_report_init(&report);
    arena_init(&arena, NULL);
    settings = conf_load_text("/x.yaml", S(base), &conf_reader_direct, &report);
    assert_non_null(settings);
    conf_report_reset(&report);
    return 0;
}

static int close_settings(void **state)
{
    (void)state;
    settings_free(settings);
    arena_reset(&arena);
    return 0;
}

/* "key", "value" ...: keys of the upstream begin with "u.". */
static struct conf_part make(const char *name, const char *host, const char *const *more)
{
    struct conf_part p = { .name = slice_of(name),
                           .upstream = conf_part_mapping(&arena, "container x"),
                           .route = conf_part_mapping(&arena, "container x") };
    struct slice     hosts[1] = { slice_of(host) };
    struct text_list list = { hosts, 1 };
    conf_part_put(&arena, p.upstream, "docker.group", slice_of(name), "container x");
    conf_part_put(&arena, p.route, "name", p.name, "container x");
    conf_part_put(&arena, p.route, "upstream", p.name, "container x");
    conf_part_put_list(&arena, p.route, "match.host", &list, "label h");
    for (; more && *more; more += 2) {
        bool is_upstream = strncmp(more[0], "u.", 2) == 0;
        conf_part_put(&arena, is_upstream ? p.upstream : p.route, more[0] + (is_upstream ? 2 : 0),
                      slice_of(more[1]), "label l");
    }
    return p;
}

static void assert_refused(const struct conf_part *p, const char *why)
{
    assert_false(p->is_taken);
    assert_string_equal(p->refusal.data, why);
}

static void a_good_one_is_like_those_of_the_file(void **state)
{
    const char *const more[] = { "match.path",
                                 "/api",
                                 "rate_limit",
                                 "api",
                                 "u.balance",
                                 "round_robin",
                                 "u.health_check.path",
                                 "/h",
                                 "u.health_check.interval",
                                 "2s",
                                 NULL };
    struct conf_part  p = make("docker:shop/web#2", "A.example", more);
    (void)state;
    conf_take_parts(settings, &p, 1, &arena);
    assert_true(p.is_taken);
    assert_int_equal(p.refusal.len, 0);
    assert_int_equal(settings->upstream_count, 2);
    assert_int_equal(settings->route_count, 3);
    const struct upstream_settings *u = &settings->upstreams[1];
    const struct route_settings    *r = &settings->routes[2];
    assert_string_equal(u->name.data, "docker:shop/web#2");
    assert_string_equal(u->docker->group.data, "docker:shop/web#2");
    assert_int_equal(u->balance.algorithm, BALANCE_ROUND_ROBIN);
    assert_string_equal(u->health_check->path.data, "/h");
    assert_int_equal(u->health_check->interval, 2000);
    assert_int_equal(u->wait_for_endpoint, 5000); /* the table's default */
    assert_non_null(memmem(u->fingerprint.data, u->fingerprint.len, "group:", 6));
    assert_string_equal(r->upstream.data, u->name.data);
    assert_string_equal(r->match.hosts.items[0].data, "a.example");
    assert_string_equal(r->match.path.data, "/api");
    assert_int_equal(r->policy.rate_limits.count, 1);
    assert_string_equal(r->policy.rate_limits.items[0].data, "api");
    assert_int_equal(r->policy.max_body, 7 * 1024); /* of `defaults` */
    assert_string_equal(r->at.file, "container x");
    assert_string_equal(settings->routes[0].name.data, "file.example/");
}

static void each_is_judged_alone(void **state)
{
    const char *const no_limit[] = { "rate_limit", "apii", NULL };
    const char *const no_path[] = { "match.path", "${HOME}", "max_body", "big", NULL };
    const char *const root[] = { "match.path", "/", NULL };
    const char *const file[] = { "u.balance", "file:/etc/passwd", NULL };
    struct conf_part  p[] = {
         make("docker:1", "file.example", NULL), make("docker:2", "2.example", no_limit),
         make("docker:3", "3.example", no_path), make("docker:4", "4.example", root),
         make("docker:5", "4.example", NULL),    make("docker:taken", "6.example", NULL),
         make("docker:7", "7.example", file),    make("docker:8", "x y", NULL),
         make("docker:9", "3.example", NULL),
    };
    (void)state;
    conf_take_parts(settings, p, sizeof(p) / sizeof(p[0]), &arena);
    assert_refused(&p[0], "this route matches just what the route in /x.yaml:7 does, for the host "
                          "`file.example`");
    assert_refused(&p[1],
                   "label l: `rate_limit`: there is no rate limit `apii` (did you mean `api`?)");
    assert_refused(&p[2],
                   "label l: `path`: expected a path such as `/api/`, `= /exact`, `~ pattern` or "
                   "`~* pattern`, got `${HOME}`: a path begins with `/`; label l: `max_body`: "
                   "expected a size such as `100`, `16KiB`, `50MiB` or `1MB`, or `unlimited`, got "
                   "`big`");
    assert_true(p[3].is_taken);
    assert_refused(&p[4], "this route matches just what the route in container x does, for the "
                          "host `4.example`");
    assert_refused(&p[5], "the name `docker:taken` is already that of the route in /x.yaml:8");
    assert_false(p[6].is_taken);
    assert_non_null(strstr(p[6].refusal.data, "got `file:/etc/passwd`"));
    assert_false(p[7].is_taken);
    assert_true(p[8].is_taken); /* what a refused one would have had is free */
    assert_int_equal(settings->upstream_count, 3);
    assert_int_equal(settings->route_count, 4);
}

static void of_one_name_the_first_good_one(void **state)
{
    const char *const bad[] = { "rate_limit", "none", NULL };
    const char *const good[] = { "rate_limit", "api", NULL };
    struct conf_part  p[] = { make("docker:1", "1.example", bad),
                              make("docker:1", "1.example", good),
                              make("docker:1", "1.example", NULL),
                              make("docker:1", "1.example", bad),
                              make("docker:2", "2.example", NULL) };
    (void)state;
    conf_take_parts(settings, p, 5, &arena);
    assert_non_null(strstr(p[0].refusal.data, "there is no rate limit `none`"));
    assert_true(p[1].is_taken);
    assert_false(p[2].is_taken || p[2].refusal.len);
    assert_false(p[3].is_taken || p[3].refusal.len);
    assert_true(p[4].is_taken);
    assert_int_equal(settings->route_count, 4);
}

/* What is for parts of our own making only is unknown in a file; `/` there is every path. */
static void files_have_no_such_keys(void **state)
{
    static const struct {
        const char *more, *error;
    } rows[] = {
        { "upstreams: { a: { docker: { group: x } } }\n", "unknown key `group` in `docker`" },
        { "upstreams: { 'docker:a': { servers: ['127.0.0.1:1'] } }\n",
          "expected a name of 1 to 64" },
        { "routes: [ { match: { host: a, path: / }, redirect: /x }, { match: { host: a }, "
          "redirect: /y } ]\n",
          "this route matches just what the route in line 3 does" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct conf_report report;
        struct buffer      text = BUFFER_INIT, shown = BUFFER_INIT;
        conf_report_init(&report);
        buffer_printf(&text,
                      "listeners: { http: { address: ':80' } }\ndiscovery: { docker: true }\n%s",
                      rows[i].more);
        assert_null(conf_load_text("/y.yaml", buffer_slice(&text), &conf_reader_direct, &report));
        conf_report_print(&report, &shown, false);
        if (!strstr(shown.data, rows[i].error)) fail_msg("%s", shown.data);
        conf_report_reset(&report);
        buffer_reset(&text);
        buffer_reset(&shown);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_good_one_is_like_those_of_the_file, open_settings,
                                        close_settings),
        cmocka_unit_test_setup_teardown(each_is_judged_alone, open_settings, close_settings),
        cmocka_unit_test_setup_teardown(of_one_name_the_first_good_one, open_settings,
                                        close_settings),
        cmocka_unit_test(files_have_no_such_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
