/* SPDX-License-Identifier: Apache-2.0
 *
 * What the origins answer: redirects, fixed answers, the demo's page, and the
 * admin's calls with their way to control and back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "conf/settings.h"
#include "fake_exchange.h"
#include "http/pattern.h"
#include "io/mailbox.h"
#include "origin/admin.h"
#include "origin/demo.h"
#include "origin/redirect.h"
#include "origin/respond.h"

static void expect_redirect(const char *authority, const char *path, const char *query,
                            uint16_t port, const char *location)
{
    struct exchange       x;
    struct https_redirect config = { .port = port };
    fake_exchange_init(&x, path);
    x.request.authority = slice_of(authority);
    x.request.has_query = query != NULL;
    x.request.query = slice_of(query ? query : "");
    origin_https_redirect.start(&x, &config);
    assert_int_equal(x.status, 308);
    struct slice got = fake_exchange_field(&x, "Location");
    if (!slice_eq(got, slice_of(location))) fail_msg("%.*s", SLICE_ARG(got));
    fake_exchange_reset(&x);
}

static void https_is_the_same_url(void **state)
{
    (void)state;
    expect_redirect("a.org", "/x", NULL, 443, "https://a.org/x");
    expect_redirect("a.org:80", "/x", "", 443, "https://a.org/x?");
    expect_redirect("a.org:80", "/x", "a=b", 8443, "https://a.org:8443/x?a=b");
    expect_redirect("[::1]", "/", NULL, 443, "https://[::1]/");
    expect_redirect("[::1]:80", "/", NULL, 8443, "https://[::1]:8443/");
    expect_redirect("192.0.2.1", "/", NULL, 443, "https://192.0.2.1/");
    expect_redirect("a.org:", "/", NULL, 443, "https://a.org/");
    expect_redirect("a.org", "*", NULL, 443, "https://a.org/");
}

static void without_a_host_there_is_no_url(void **state)
{
    (void)state;
    struct exchange       x;
    struct https_redirect config = { .port = 443 };
    fake_exchange_init(&x, "/");
    x.request.authority = S("");
    origin_https_redirect.start(&x, &config);
    assert_int_equal(x.status, 400);
    assert_null(x.head);
    fake_exchange_reset(&x);
}

static void expect_location(const struct redirect_settings *s, const char *pattern,
                            const char *path, unsigned status, const char *location)
{
    struct exchange        x;
    struct pattern_matcher m;
    struct uri_rules       rules = { 0 };
    struct error           e;
    fake_exchange_init(&x, path);
    pattern_matcher_init(x.matcher = &m);
    pcre2_code *code = *pattern ? pattern_compile(slice_of(pattern), false, &x.arena, &e) : NULL;
    origin_redirect.start(&x, redirect_build(s, code, &rules, &x.arena, &e));
    assert_int_equal(x.status, status);
    assert_true(slice_eq(fake_exchange_field(&x, "location"), slice_of(location)));
    pattern_matcher_reset(&m);
    fake_exchange_reset(&x);
}

static void a_route_redirects_where_it_says(void **state)
{
    (void)state;
    expect_location(&(struct redirect_settings){ .to = S("https://b.org"), .status = 302 }, "",
                    "/x", 302, "https://b.org");
}

static void a_redirect_takes_parts_of_the_request(void **state)
{
    (void)state;
    struct redirect_settings s = { .to = S("/new/$1"), .status = 301 };
    expect_location(&s, "^/old/(.*)$", "/old/x", 301, "/new/x");
    expect_location(&s, "^/%25(.*)$", "/%252f", 301, "/new/2f");
    s.match = S("^/old/(..)(.*)$"); /* of its own: that of the route does not count */
    s.to = S("/new/$2");
    expect_location(&s, "^/(.*)$", "/old/xyz", 301, "/new/z");
    expect_location(&s, "", "/else", 404, "");
    s.to = S("/new/%$1");
    expect_location(&s, "", "/old/2f", 400, "");
}

static void a_route_responds_what_it_says(void **state)
{
    (void)state;
    struct exchange         x;
    struct name_value       field = { S("X-A"), S("b") };
    struct respond_settings config = { .status = 201,
                                       .body = S("made"),
                                       .content_type = S("text/x"),
                                       .headers = &field,
                                       .header_count = 1 };
    fake_exchange_init(&x, "/");
    origin_respond.start(&x, &config);
    assert_int_equal(x.status, 201);
    assert_true(slice_eq(x.body, S("made")));
    assert_true(slice_eq(fake_exchange_field(&x, "Content-Type"), S("text/x")));
    assert_true(slice_eq(fake_exchange_field(&x, "X-A"), S("b")));
    fake_exchange_reset(&x);
}

static bool has(struct slice s, const char *words)
{
    return memmem(s.data, s.len, words, strlen(words)) != NULL;
}

static void the_demo_escapes_what_clients_send(void **state)
{
    (void)state;
    struct exchange x;
    fake_exchange_init(&x, "/");
    http_fields_add_named(&x.request.fields, &x.arena, S("X-Evil"), S("<script>&\""));
    origin_demo.start(&x, "replica-7");
    assert_true(has(x.body, "replica-7"));
    assert_true(has(x.body, "&lt;script&gt;&amp;&quot;"));
    assert_false(has(x.body, "<script>"));
    fake_exchange_reset(&x);
}

static void the_demo_speaks_json_when_asked(void **state)
{
    (void)state;
    struct exchange x;
    fake_exchange_init(&x, "/");
    http_fields_add(&x.request.fields, &x.arena, FIELD_ACCEPT, S("Accept"), S("application/json"));
    origin_demo.start(&x, "replica-7");
    assert_true(has(x.body, "{\"replica\":\"replica-7\","));
    assert_true(slice_eq(fake_exchange_field(&x, "Content-Type"), S("application/json")));
    fake_exchange_reset(&x);
}

/* ---- admin ---- */

struct desk {
    struct log          log;
    struct loop        *worker_loop, *control_loop;
    struct mailbox      worker, control;
    struct mailbox     *workers[1];
    struct admin_config config;
    struct admin_ask   *asked; /* not answered yet */
    unsigned            ask_count;
};

static void keep_ask(struct admin_ask *ask, void *control)
{
    struct desk *d = control;
    d->asked = ask;
    d->ask_count++;
}

static void open_desk(struct desk *d, bool may_change)
{
    memset(d, 0, sizeof(*d));
    log_init(&d->log, 2, LOG_LEVEL_ERROR);
    d->worker_loop = loop_new(&d->log);
    d->control_loop = loop_new(&d->log);
    assert_true(mailbox_init(&d->worker, d->worker_loop, d));
    assert_true(mailbox_init(&d->control, d->control_loop, d));
    d->workers[0] = &d->worker;
    d->config = (struct admin_config){ .control = &d->control,
                                       .workers = d->workers,
                                       .ask = keep_ask,
                                       .metrics_path = S("/m"),
                                       .may_change = may_change };
}

static void close_desk(struct desk *d)
{
    mailbox_reset(&d->control);
    mailbox_reset(&d->worker);
    loop_free(d->worker_loop);
    loop_free(d->control_loop);
}

static void start_admin(struct desk *d, struct exchange *x, enum http_method method,
                        const char *path)
{
    fake_exchange_init(x, path);
    x->request.method = method;
    origin_admin.start(x, &d->config);
}

static void answer(struct desk *d, const char *text)
{
    d->asked->status = 200;
    d->asked->content_type = "text/x";
    buffer_puts(&d->asked->body, text);
    admin_answer(d->asked);
    d->asked = NULL;
}

static void a_question_goes_to_control_and_back(void **state)
{
    (void)state;
    struct desk     d;
    struct exchange x;
    open_desk(&d, false);
    start_admin(&d, &x, HTTP_GET, "/m");
    assert_int_equal(x.status, 0);
    loop_turn(d.control_loop, 0);
    assert_non_null(d.asked);
    assert_int_equal(d.asked->call, ADMIN_METRICS);
    answer(&d, "up 1\n");
    loop_turn(d.worker_loop, 0);
    assert_int_equal(x.status, 200);
    assert_true(slice_eq(x.body, S("up 1\n")));
    assert_null(x.origin_state);
    fake_exchange_reset(&x);
    close_desk(&d);
}

static void an_exchange_that_is_gone_gets_nothing(void **state)
{
    (void)state;
    struct desk     d;
    struct exchange x;
    open_desk(&d, false);
    start_admin(&d, &x, HTTP_GET, "/v1/status");
    loop_turn(d.control_loop, 0);
    origin_admin.cancel(&x, &d.config);
    fake_exchange_reset(&x);
    answer(&d, "late");
    loop_turn(d.worker_loop, 0);
    assert_int_equal(x.status, 0);
    close_desk(&d);
}

static void expect_status(bool may_change, enum http_method method, const char *path,
                          unsigned status)
{
    struct desk     d;
    struct exchange x;
    open_desk(&d, may_change);
    start_admin(&d, &x, method, path);
    loop_turn(d.control_loop, 0);
    if (x.status != status || d.ask_count) fail_msg("%s: %u", path, x.status);
    fake_exchange_reset(&x);
    close_desk(&d);
}

static void what_changes_something_is_local(void **state)
{
    (void)state;
    struct desk     d;
    struct exchange x;
    expect_status(false, HTTP_POST, "/v1/reload", 403);
    open_desk(&d, true);
    start_admin(&d, &x, HTTP_POST, "/v1/reload");
    loop_turn(d.control_loop, 0);
    assert_int_equal(d.asked->call, ADMIN_RELOAD);
    answer(&d, "");
    loop_turn(d.worker_loop, 0);
    assert_int_equal(x.status, 200);
    fake_exchange_reset(&x);
    close_desk(&d);
}

static void a_wrong_method_is_told_the_right_one(void **state)
{
    (void)state;
    struct desk     d;
    struct exchange x;
    open_desk(&d, true);
    start_admin(&d, &x, HTTP_GET, "/v1/reload");
    assert_true(slice_eq(fake_exchange_field(&x, "Allow"), S("POST")));
    fake_exchange_reset(&x);
    start_admin(&d, &x, HTTP_POST, "/m");
    assert_true(slice_eq(fake_exchange_field(&x, "Allow"), S("GET, HEAD")));
    fake_exchange_reset(&x);
    close_desk(&d);
}

static void other_calls_are_refused(void **state)
{
    (void)state;
    expect_status(true, HTTP_GET, "/v1/reload", 405);
    expect_status(true, HTTP_POST, "/m", 405);
    expect_status(true, HTTP_GET, "/metrics", 404);
    expect_status(true, HTTP_GET, "/nothing", 404);
    expect_status(true, HTTP_GET, "/", 200);
    expect_status(true, HTTP_POST, "/", 404);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(https_is_the_same_url),
        cmocka_unit_test(without_a_host_there_is_no_url),
        cmocka_unit_test(a_route_redirects_where_it_says),
        cmocka_unit_test(a_redirect_takes_parts_of_the_request),
        cmocka_unit_test(a_route_responds_what_it_says),
        cmocka_unit_test(the_demo_escapes_what_clients_send),
        cmocka_unit_test(the_demo_speaks_json_when_asked),
        cmocka_unit_test(a_question_goes_to_control_and_back),
        cmocka_unit_test(an_exchange_that_is_gone_gets_nothing),
        cmocka_unit_test(what_changes_something_is_local),
        cmocka_unit_test(a_wrong_method_is_told_the_right_one),
        cmocka_unit_test(other_calls_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
