/* SPDX-License-Identifier: Apache-2.0
 *
 * Maintenance as a filter: when it answers, whom it lets pass, what it says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../origin/fake_exchange.h"
#include "filter/maintenance.h"

struct desk {
    atomic_bool        is_asked, has_file;
    struct maintenance m;
    struct cidr        cidr;
};

static void set_up(struct desk *d)
{
    memset(d, 0, sizeof(*d));
    d->m = (struct maintenance){
        .is_asked = &d->is_asked, .has_file = &d->has_file, .status = 503, .retry_after_s = 60
    };
}

/* What a request gets; 0: it goes on. The head is what leaves, filters included. */
static unsigned ask(struct desk *d, struct exchange *x, struct http_head *head)
{
    void *state = NULL;
    fake_exchange_init(x, "/");
    *head = (struct http_head){ 0 };
    enum filter_result got = filter_maintenance.on_request(x, &d->m, &state);
    assert_int_equal(got, x->status ? FILTER_REPLY : FILTER_CONTINUE);
    filter_maintenance.on_response(x, &d->m, state, x->head ? x->head : head);
    return x->status;
}

static void expect(struct desk *d, unsigned status, const char *retry_after)
{
    struct exchange  x;
    struct http_head head;
    assert_int_equal(ask(d, &x, &head), status);
    struct slice got =
        http_fields_value(x.head ? &x.head->fields : &head.fields, FIELD_RETRY_AFTER);
    assert_true(slice_eq(got, slice_of(retry_after)));
    fake_exchange_reset(&x);
}

static void each_switch_turns_it_on(void **state)
{
    struct desk d;
    (void)state;
    set_up(&d);
    expect(&d, 0, "");
    d.is_asked = true;
    expect(&d, 503, "60");
    d.has_file = true;
    expect(&d, 503, "60");
    d.is_asked = false;
    expect(&d, 503, "60");
    d.has_file = false;
    expect(&d, 0, "");
    d.m.has_file = NULL;
    expect(&d, 0, "");
}

static void the_answer_is_as_configured(void **state)
{
    struct desk      d;
    struct exchange  x;
    struct http_head head;
    (void)state;
    set_up(&d);
    d.is_asked = true;
    d.m.status = 502;
    d.m.retry_after_s = 0;
    expect(&d, 502, "");
    d.m.page = S("later");
    d.m.content_type = S("text/x");
    assert_int_equal(ask(&d, &x, &head), 502);
    assert_true(slice_eq(x.body, S("later")));
    assert_string_equal(x.reason, "maintenance");
    assert_true(slice_eq(fake_exchange_field(&x, "Content-Type"), S("text/x")));
    assert_true(slice_eq(fake_exchange_field(&x, "Cache-Control"), S("no-store")));
    fake_exchange_reset(&x);
}

static void listed_addresses_pass(void **state)
{
    struct desk  d;
    struct error e;
    (void)state;
    set_up(&d);
    d.is_asked = true;
    d.m.allowed = (struct cidr_set){ .items = &d.cidr, .count = 1 };
    assert_true(cidr_parse(&d.cidr, S("198.51.100.0/24"), &e));
    expect(&d, 503, "60");
    assert_true(cidr_parse(&d.cidr, S("192.0.2.0/24"), &e)); /* the client's */
    expect(&d, 0, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_switch_turns_it_on),
        cmocka_unit_test(the_answer_is_as_configured),
        cmocka_unit_test(listed_addresses_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
