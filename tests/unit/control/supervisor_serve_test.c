/* SPDX-License-Identifier: Apache-2.0
 *
 * What the supervisor does for a worker process that may be hostile: what the
 * configuration names, and nothing else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/open_file.h"
#include "control/supervisor_parts.h"

struct scene {
    struct supervisor         s;
    struct supervisor_options options;
    int                       far; /* the worker process' end */
    char                      dir[64];
    char                      config[128];
};

static char *in_dir(struct scene *c, const char *name, char path[160])
{
    snprintf(path, 160, "%s/%s", c->dir, name);
    return path;
}

static void put_file(struct scene *c, const char *name, const char *text)
{
    char         path[160];
    struct error e;
    assert_true(write_atomically(in_dir(c, name, path), slice_of(text), &e));
}

static void put_config(struct scene *c, const char *extra)
{
    struct buffer text = BUFFER_INIT;
    buffer_printf(&text,
                  "listeners: { web: { address: \"127.0.0.1:0\" } }\n"
                  "include: \"%s/conf.d/*.yaml\"\n"
                  "admin: { address: \"off\", socket: \"off\" }\n"
                  "log: { access: %s/access.log }\n"
                  "defaults: { error_pages: { 404: %s/404.html } }\n"
                  "routes: [ { match: { path: / }, respond: { body: x } } ]\n%s",
                  c->dir, c->dir, c->dir, extra);
    char *detached = buffer_detach(&text);
    put_file(c, "main.yaml", detached);
    free(detached);
}

static int set_up(void **state)
{
    struct scene *c = calloc(1, sizeof(*c));
    char          path[160];
    int           ends[2];
    snprintf(c->dir, sizeof(c->dir), "/tmp/wharfgate-test-XXXXXX");
    assert_non_null(mkdtemp(c->dir));
    assert_int_equal(mkdir(in_dir(c, "conf.d", path), 0700), 0);
    put_file(c, "404.html", "page");
    put_file(c, "secret", "secret");
    put_file(c, "conf.d/one.yaml", "workers: 1\n");
    put_config(c, "");
    snprintf(c->config, sizeof(c->config), "%s/main.yaml", c->dir);
    c->options.config_path = c->config;
    c->s.options = &c->options;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    c->s.line = ends[0];
    c->far = ends[1];
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    log_init(&c->s.log, null, LOG_LEVEL_ERROR);
    sockets_init(&c->s.sockets);
    snapshot_init(&c->s.kept);
    snapshot_init(&c->s.tried);
    conf_report_init(&c->s.report);
    c->s.current = manifest_load(c->config, &conf_reader_direct, &c->s.report);
    assert_true(c->s.current->is_good);
    *state = c;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = { "404.html",   "secret",     "conf.d/one.yaml",
                                         "main.yaml",  "access.log", "link",
                                         "victim.log", "ready.json", "conf.d" };
    struct scene            *c = *state;
    char                     path[160];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        (void)!remove(in_dir(c, names[i], path));
    rmdir(c->dir);
    sockets_reset(&c->s.sockets, true);
    buffer_reset(&c->s.ready);
    manifest_free(c->s.current);
    manifest_free(c->s.next);
    snapshot_reset(&c->s.kept);
    snapshot_reset(&c->s.tried);
    conf_report_reset(&c->s.report);
    close(atomic_load(&c->s.log.fd));
    close(c->s.line);
    if (c->far >= 0) close(c->far);
    free(c);
    return 0;
}

/* Sends, has it served, and returns whether it was granted; *m is the answer. */
static bool ask(struct scene *c, struct wire_message *m)
{
    assert_int_equal(wire_send(c->far, m, 0), WIRE_OK);
    assert_true(supervisor_serve(&c->s));
    assert_int_equal(wire_receive(c->far, m, MSG_DONTWAIT), WIRE_OK);
    assert_int_equal(m->kind, WIRE_ANSWER);
    assert_int_equal(m->number == 0, m->text_bytes > 0);
    return m->number == 1;
}

static bool ask_text(struct scene *c, struct wire_message *m, enum wire_kind kind, const char *text)
{
    wire_init(m, kind, 1);
    wire_set_text(m, slice_of(text));
    return ask(c, m);
}

/* Granted, and with one descriptor? */
static bool gets_fd(struct scene *c, enum wire_kind kind, const char *text)
{
    struct wire_message m;
    bool                is_granted = ask_text(c, &m, kind, text);
    assert_int_equal(m.fd_count, is_granted ? 1 : 0);
    wire_close_fds(&m);
    return is_granted;
}

static void ends_a_building(struct scene *c, bool serves)
{
    struct wire_message m;
    wire_init(&m, WIRE_COMMIT, serves);
    assert_true(ask(c, &m));
}

/* What it took is what it got, and what is kept; not what a plan that failed took. */
static void what_a_plan_was_built_from_is_kept(void **state)
{
    struct scene       *c = *state;
    struct wire_message m;
    struct buffer       text = BUFFER_INIT;
    struct error        e;
    char                path[160], secret[160];
    in_dir(c, "404.html", path);
    assert_true(ask_text(c, &m, WIRE_TAKE, path));
    assert_int_equal(m.fd_count, 2);
    put_file(c, "404.html", "another");
    assert_true(read_all(m.fds[1], path, 100, &text, &e));
    assert_true(slice_eq(buffer_slice(&text), S("page")));
    wire_close_fds(&m);
    buffer_reset(&text);
    assert_true(snapshot_is_empty(&c->s.kept));
    ends_a_building(c, true);
    assert_true(snapshot_has(&c->s.kept, path, S("page")));
    assert_true(ask_text(c, &m, WIRE_TAKE, path));
    wire_close_fds(&m);
    ends_a_building(c, false);
    assert_true(snapshot_has(&c->s.kept, path, S("page")));
    assert_true(snapshot_is_empty(&c->s.tried));
    assert_false(ask_text(c, &m, WIRE_TAKE, in_dir(c, "secret", secret)));
}

static void files_of_the_configuration_are_opened_and_no_others(void **state)
{
    struct scene *c = *state;
    char          path[160];
    assert_true(gets_fd(c, WIRE_READ, c->config));
    assert_true(gets_fd(c, WIRE_READ, in_dir(c, "404.html", path)));
    assert_true(gets_fd(c, WIRE_READ, in_dir(c, "conf.d/one.yaml", path)));
    assert_false(gets_fd(c, WIRE_READ, in_dir(c, "secret", path)));
    assert_false(gets_fd(c, WIRE_READ, in_dir(c, "conf.d/../404.html", path)));
    assert_false(gets_fd(c, WIRE_READ, in_dir(c, "access.log", path)));
    assert_false(gets_fd(c, WIRE_READ, "/etc/shadow"));
    assert_false(gets_fd(c, WIRE_READ, ""));
}

static void a_descriptor_for_reading_cannot_write(void **state)
{
    struct scene       *c = *state;
    struct wire_message m;
    assert_true(ask_text(c, &m, WIRE_READ, c->config));
    assert_int_equal(fcntl(m.fds[0], F_GETFL) & O_ACCMODE, O_RDONLY);
    wire_close_fds(&m);
}

static void logs_are_appended_to_and_nothing_else(void **state)
{
    struct scene *c = *state;
    char          path[160];
    assert_true(gets_fd(c, WIRE_APPEND, in_dir(c, "access.log", path)));
    assert_false(gets_fd(c, WIRE_APPEND, c->config));
    assert_false(gets_fd(c, WIRE_APPEND, in_dir(c, "404.html", path)));
    assert_false(gets_fd(c, WIRE_APPEND, "/etc/passwd"));
}

static void a_log_that_became_a_link_is_not_followed(void **state)
{
    struct scene *c = *state;
    char          log[160], victim[160];
    in_dir(c, "access.log", log);
    in_dir(c, "victim.log", victim);
    assert_int_equal(symlink(victim, log), 0);
    assert_false(gets_fd(c, WIRE_APPEND, log));
    assert_int_equal(access(victim, F_OK), -1);
}

static void patterns_of_the_configuration_are_expanded(void **state)
{
    struct scene                  *c = *state;
    struct wire_message            m;
    struct buffer                  paths = BUFFER_INIT;
    struct error                   e;
    char                           path[160];
    const struct snapshot_pattern *known =
        container_of(c->s.current->files.patterns.next, struct snapshot_pattern, link);
    assert_true(ask_text(c, &m, WIRE_GLOB, known->pattern));
    assert_true(read_all(m.fds[0], "", 1000, &paths, &e));
    assert_string_equal(paths.data, in_dir(c, "conf.d/one.yaml", path));
    buffer_reset(&paths);
    wire_close_fds(&m);
    assert_false(gets_fd(c, WIRE_GLOB, "/etc/*"));
}

static void addresses_of_the_configuration_are_bound_and_no_others(void **state)
{
    struct scene       *c = *state;
    struct wire_message m;
    wire_init(&m, WIRE_BIND, 2);
    wire_set_text(&m, S("web 127.0.0.1:0"));
    assert_true(ask(c, &m));
    assert_int_equal(m.fd_count, 2);
    wire_close_fds(&m);
    assert_false(gets_fd(c, WIRE_BIND, "127.0.0.1:0"));
    assert_false(gets_fd(c, WIRE_BIND, "other 127.0.0.1:0"));
    assert_false(gets_fd(c, WIRE_BIND, "127.0.0.1:22"));
}

static void numbers_of_sockets_are_bounded(void **state)
{
    struct scene       *c = *state;
    struct wire_message m;
    static const struct {
        uint32_t total, first;
    } bad[] = { { 0, 0 }, { 1, 1 }, { 2, 5 }, { 1000000, 0 }, { UINT32_MAX, UINT32_MAX - 1 } };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        wire_init(&m, WIRE_BIND, bad[i].total);
        m.first = bad[i].first;
        wire_set_text(&m, S("web 127.0.0.1:0"));
        assert_false(ask(c, &m));
    }
}

static void the_sockets_outlive_who_asked_for_them(void **state)
{
    struct scene           *c = *state;
    struct wire_message     m;
    struct sockaddr_storage first, second;
    socklen_t               len = sizeof(first);
    assert_true(ask_text(c, &m, WIRE_BIND, "web 127.0.0.1:0"));
    assert_int_equal(getsockname(m.fds[0], (struct sockaddr *)&first, &len), 0);
    wire_close_fds(&m);
    assert_true(ask_text(c, &m, WIRE_BIND, "web 127.0.0.1:0"));
    assert_int_equal(getsockname(m.fds[0], (struct sockaddr *)&second, &len), 0);
    wire_close_fds(&m);
    assert_memory_equal(&first, &second, len);
}

static void a_reload_allows_new_names_beside_the_old(void **state)
{
    struct scene       *c = *state;
    struct wire_message m;
    char                secret[160], page[160];
    struct buffer       extra = BUFFER_INIT;
    in_dir(c, "secret", secret);
    in_dir(c, "404.html", page);
    buffer_printf(&extra, "rate_limits: { a: { rate: 1/s } }\npid_file: /x\n");
    buffer_printf(&extra, "upstreams: { u: { servers: [\"127.0.0.1:1\"], tls: { ca: %s } } }\n",
                  secret);
    put_config(c, extra.data);
    buffer_reset(&extra);
    assert_false(gets_fd(c, WIRE_READ, secret));
    assert_true(ask_text(c, &m, WIRE_PREPARE, ""));
    assert_true(gets_fd(c, WIRE_READ, secret));
    assert_true(gets_fd(c, WIRE_READ, page));
    wire_init(&m, WIRE_COMMIT, 0);
    assert_true(ask(c, &m));
    assert_false(gets_fd(c, WIRE_READ, secret));
    assert_true(ask_text(c, &m, WIRE_PREPARE, ""));
    wire_init(&m, WIRE_COMMIT, 1);
    assert_true(ask(c, &m));
    assert_true(gets_fd(c, WIRE_READ, secret));
}

static void a_broken_configuration_names_its_own_files_only(void **state)
{
    struct scene       *c = *state;
    struct wire_message m;
    put_config(c, "nonsense: 1\n");
    assert_true(ask_text(c, &m, WIRE_PREPARE, ""));
    assert_true(gets_fd(c, WIRE_READ, c->config));
    /* The claim that it works does not make it the one that counts. */
    wire_init(&m, WIRE_COMMIT, 1);
    assert_true(ask(c, &m));
    assert_true(c->s.current->is_good);
}

static void ready_is_told_outside(void **state)
{
    struct scene       *c = *state;
    struct wire_message m;
    struct buffer       text = BUFFER_INIT;
    char                path[160];
    struct error        e;
    c->options.ready_file = in_dir(c, "ready.json", path);
    wire_init(&m, WIRE_READY, 7);
    wire_set_text(&m, S("{"));
    assert_true(ask(c, &m));
    assert_false(c->s.has_served);
    assert_int_equal(access(path, F_OK), -1);
    wire_init(&m, WIRE_READY, 7);
    wire_set_text(&m, S("}"));
    m.first = 1;
    assert_true(ask(c, &m));
    assert_true(c->s.has_served);
    assert_int_equal(c->s.generation, 7);
    int fd = open_for_reading(path, &e);
    assert_true(fd >= 0 && read_all(fd, path, 100, &text, &e));
    assert_true(slice_eq(buffer_slice(&text), S("{}")));
    buffer_reset(&text);
    close(fd);
}

static void nonsense_is_refused(void **state)
{
    struct scene       *c = *state;
    struct wire_message m;
    assert_false(ask_text(c, &m, 99, "x"));
    assert_false(ask_text(c, &m, WIRE_ANSWER, "x"));
    /* "main.yaml\0..." is not "main.yaml". */
    wire_init(&m, WIRE_READ, 0);
    wire_set_text(&m, slice_of(c->config));
    m.text_bytes += 4;
    memcpy(m.text + m.text_bytes - 4, "\0xyz", 4);
    assert_false(ask(c, &m));
}

static void a_malformed_datagram_ends_the_line(void **state)
{
    struct scene *c = *state;
    assert_int_equal(send(c->far, "short", 5, 0), 5);
    assert_false(supervisor_serve(&c->s));
}

static void a_closed_line_is_noticed(void **state)
{
    struct scene *c = *state;
    close(c->far);
    c->far = -1;
    assert_false(supervisor_serve(&c->s));
}

#define SCENE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(what_a_plan_was_built_from_is_kept),
        SCENE(files_of_the_configuration_are_opened_and_no_others),
        SCENE(a_descriptor_for_reading_cannot_write),
        SCENE(logs_are_appended_to_and_nothing_else),
        SCENE(a_log_that_became_a_link_is_not_followed),
        SCENE(patterns_of_the_configuration_are_expanded),
        SCENE(addresses_of_the_configuration_are_bound_and_no_others),
        SCENE(numbers_of_sockets_are_bounded),
        SCENE(the_sockets_outlive_who_asked_for_them),
        SCENE(a_reload_allows_new_names_beside_the_old),
        SCENE(a_broken_configuration_names_its_own_files_only),
        SCENE(ready_is_told_outside),
        SCENE(nonsense_is_refused),
        SCENE(a_malformed_datagram_ends_the_line),
        SCENE(a_closed_line_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
