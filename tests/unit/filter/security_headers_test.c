/* SPDX-License-Identifier: Apache-2.0
 *
 * Security headers: which lines, when, what becomes of a server's own, and that they lie so that
 * they can be copied at once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../origin/fake_exchange.h"
#include "filter/security_headers.h"

static struct exchange x;

static int set_up(void **state)
{
    (void)state;
    fake_exchange_init(&x, "/");
    x.is_secure = true;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fake_exchange_reset(&x);
    return 0;
}

static const struct security_settings some = {
    .hsts = SLICE("max-age=1"),
    .csp = SLICE("default-src 'self'"),
    .frame_options = SLICE("DENY"),
    .keep = { (struct slice[]){ SLICE("Content-Security-Policy") }, 1 },
    .hide = { (struct slice[]){ SLICE("Server"), SLICE("X-Runtime") }, 2 },
};

/* The answer to a request, with the lines that the server gave it ("" ends them). */
static const char *answer(const struct security_settings *s, unsigned status,
                          const char *const *lines)
{
    const struct security_headers *h = security_headers_build(s, &x.arena);
    struct http_head              *head = arena_zalloc(&x.arena, sizeof(*head));
    struct slice                   all = S("");
    head->status = (uint16_t)status;
    for (; lines && lines[0]; lines += 2)
        http_fields_add_named(&head->fields, &x.arena, slice_of(lines[0]), slice_of(lines[1]));
    filter_security_headers.on_response(&x, h, NULL, head);
    for (unsigned i = 0; i < head->fields.count; i++) {
        const struct http_field *f = &head->fields.items[i];
        if (f->is_dropped) continue;
        assert_int_equal(f->id, http_field_lookup(f->name));
        all = arena_printf(&x.arena, "%.*s%s%.*s: %.*s", SLICE_ARG(all), all.len ? "|" : "",
                           SLICE_ARG(f->name), SLICE_ARG(f->value));
    }
    x.head = head;
    return all.len ? all.data : "";
}

#define CSP "Content-Security-Policy: default-src 'self'"
#define HSTS "Strict-Transport-Security: max-age=1"

static void lines_are_added(void **state)
{
    (void)state;
    assert_string_equal(answer(&some, 200, NULL), CSP "|X-Frame-Options: DENY|" HSTS);
    assert_string_equal(answer(&some, 304, NULL), CSP "|X-Frame-Options: DENY|" HSTS);
    assert_string_equal(answer(&some, 101, NULL), "");
}

static void hsts_needs_tls(void **state)
{
    const char *const own[] = { "Strict-Transport-Security", "max-age=0", NULL };
    (void)state;
    x.is_secure = false;
    assert_string_equal(answer(&some, 200, NULL), CSP "|X-Frame-Options: DENY");
    assert_string_equal(answer(&some, 200, own), CSP "|X-Frame-Options: DENY");
}

static void a_servers_own_are_kept_replaced_or_hidden(void **state)
{
    const char *const own[] = { "server",    "x", "content-security-policy", "own",
                                "Date",      "d", "x-frame-options",         "ALLOWALL",
                                "X-Runtime", "1", "X-Frame-Options",         "SAMEORIGIN",
                                NULL };
    (void)state;
    assert_string_equal(answer(&some, 200, own),
                        "content-security-policy: own|Date: d|X-Frame-Options: DENY|" HSTS);
}

/* "Name: value\r\nName: value\r\n": http/h1_write.c relies on it. */
static void lines_lie_one_after_the_other(void **state)
{
    (void)state;
    (void)answer(&some, 200, NULL);
    const struct http_field *f = x.head->fields.items;
    assert_int_equal(x.head->fields.count, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_memory_equal(f[i].name.data + f[i].name.len, ": ", 2);
        assert_ptr_equal(f[i].value.data, f[i].name.data + f[i].name.len + 2);
        assert_memory_equal(f[i].value.data + f[i].value.len, "\r\n", 2);
        if (i) assert_ptr_equal(f[i].name.data, f[i - 1].value.data + f[i - 1].value.len + 2);
    }
}

static const struct security_settings nonce = {
    .csp = SLICE("script-src 'nonce-${csp_nonce}'"),
    .is_report_only = true,
};

static void a_nonce_goes_both_ways(void **state)
{
    const struct security_headers *h = security_headers_build(&nonce, &x.arena);
    void                          *s = NULL;
    (void)state;
    http_fields_add_named(&x.request.fields, &x.arena, S("x-csp-nonce"), S("forged"));
    assert_int_equal(filter_security_headers.on_request(&x, h, &s), FILTER_CONTINUE);
    const struct http_field *f = http_fields_find_named(&x.request.fields, S("X-CSP-Nonce"));
    assert_true(slice_eq(f->value, S("bm9uY2U=")));
    assert_string_equal(answer(&nonce, 200, NULL),
                        "Content-Security-Policy-Report-Only: script-src 'nonce-bm9uY2U='");
}

/* The page that the client kept has another one. */
static void a_304_has_no_nonce(void **state)
{
    (void)state;
    assert_string_equal(answer(&nonce, 304, NULL), "");
}

static void a_servers_policy_is_kept_instead_of_a_nonce(void **state)
{
    struct security_settings s = some;
    const char *const        own[] = { "Content-Security-Policy", "own", NULL };
    (void)state;
    s.csp = nonce.csp;
    assert_string_equal(answer(&s, 200, own),
                        "Content-Security-Policy: own|X-Frame-Options: DENY|" HSTS);
    s.keep.count = 0;
    assert_string_equal(answer(&s, 200, own),
                        "X-Frame-Options: DENY|" HSTS
                        "|Content-Security-Policy: script-src 'nonce-bm9uY2U='");
}

static void nothing_to_say_is_no_filter(void **state)
{
    const struct security_settings none = { .preset = SECURITY_OFF };
    (void)state;
    assert_null(security_headers_build(NULL, &x.arena));
    assert_null(security_headers_build(&none, &x.arena));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_are_added, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hsts_needs_tls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_servers_own_are_kept_replaced_or_hidden, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(lines_lie_one_after_the_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_nonce_goes_both_ways, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_304_has_no_nonce, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_servers_policy_is_kept_instead_of_a_nonce, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(nothing_to_say_is_no_filter, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
