/* SPDX-License-Identifier: Apache-2.0
 *
 * The rate limit as a filter: who shares a bucket, what the answer says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../origin/fake_exchange.h"
#include "filter/rate_limit.h"

static struct rate_limit *make(bool dry_run)
{
    struct rate_limit_settings s = { .name = S("api"),
                                     .rate_count = 1,
                                     .rate_period = 10000,
                                     .burst = 1,
                                     .status = 429,
                                     .dry_run = dry_run };
    return rate_limit_new(&s, 1);
}

/* One request of `client`; the result, and the fields of a 200 in x->head. */
static enum filter_result ask(struct rate_limit *l, struct exchange *x,
                              const struct address *client)
{
    void *state = NULL;
    fake_exchange_init(x, "/");
    x->client = *client;
    enum filter_result r = filter_rate_limit.on_request(x, l, &state);
    x->head = arena_zalloc(&x->arena, sizeof(*x->head));
    filter_rate_limit.on_response(x, l, state, x->head);
    return r;
}

static enum filter_result ask_only(struct rate_limit *l, const struct address *client)
{
    struct exchange    x;
    enum filter_result r = ask(l, &x, client);
    fake_exchange_reset(&x);
    return r;
}

static const struct address v4 = { .family = ADDRESS_V4, .ip = { 192, 0, 2, 1 } };
static const struct address v4_other = { .family = ADDRESS_V4, .ip = { 192, 0, 2, 2 } };

static void the_bucket_runs_out_and_says_so(void **state)
{
    (void)state;
    struct rate_limit *l = make(false);
    struct exchange    x;
    assert_int_equal(ask(l, &x, &v4), FILTER_CONTINUE);
    assert_true(slice_eq(fake_exchange_field(&x, "RateLimit-Policy"), S("\"api\";q=2;w=20")));
    assert_true(slice_eq(fake_exchange_field(&x, "RateLimit"), S("\"api\";r=1;t=10")));
    assert_int_equal(fake_exchange_field(&x, "Retry-After").len, 0);
    fake_exchange_reset(&x);
    assert_int_equal(ask_only(l, &v4), FILTER_CONTINUE);
    assert_int_equal(ask(l, &x, &v4), FILTER_REPLY);
    assert_int_equal(x.status, 429);
    assert_string_equal(x.reason, "rate_limited");
    assert_true(slice_eq(fake_exchange_field(&x, "RateLimit"), S("\"api\";r=0;t=20")));
    assert_true(slice_eq(fake_exchange_field(&x, "Retry-After"), S("10")));
    fake_exchange_reset(&x);
    assert_int_equal(ask_only(l, &v4_other), FILTER_CONTINUE);
    struct rate_limit_counts counts = rate_limit_count(l);
    assert_int_equal(counts.admitted, 3);
    assert_int_equal(counts.refused, 1);
    rate_limit_free(l);
}

static void an_ipv6_network_shares_a_bucket(void **state)
{
    (void)state;
    struct rate_limit *l = make(false);
    struct address     a = { .family = ADDRESS_V6, .ip = { 0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 1 } };
    struct address     b = a, elsewhere = a;
    b.ip[15] = 9;
    elsewhere.ip[7] = 2;
    assert_int_equal(ask_only(l, &a), FILTER_CONTINUE);
    assert_int_equal(ask_only(l, &b), FILTER_CONTINUE);
    assert_int_equal(ask_only(l, &a), FILTER_REPLY);
    assert_int_equal(ask_only(l, &elsewhere), FILTER_CONTINUE);
    rate_limit_free(l);
}

static void a_dry_run_counts_and_lets_pass(void **state)
{
    (void)state;
    struct rate_limit *l = make(true);
    struct exchange    x;
    for (int i = 0; i < 4; i++) assert_int_equal(ask_only(l, &v4), FILTER_CONTINUE);
    assert_int_equal(ask(l, &x, &v4), FILTER_CONTINUE);
    assert_int_equal(x.status, 0);
    assert_int_equal(fake_exchange_field(&x, "RateLimit").len, 0);
    fake_exchange_reset(&x);
    assert_int_equal(rate_limit_count(l).refused, 3);
    rate_limit_free(l);
}

static void without_a_decision_the_answer_says_nothing(void **state)
{
    (void)state;
    struct rate_limit *l = make(false);
    struct exchange    x;
    fake_exchange_init(&x, "/");
    x.head = arena_zalloc(&x.arena, sizeof(*x.head));
    filter_rate_limit.on_response(&x, l, NULL, x.head);
    assert_int_equal(x.head->fields.count, 0);
    fake_exchange_reset(&x);
    rate_limit_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bucket_runs_out_and_says_so),
        cmocka_unit_test(an_ipv6_network_shares_a_bucket),
        cmocka_unit_test(a_dry_run_counts_and_lets_pass),
        cmocka_unit_test(without_a_decision_the_answer_says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
