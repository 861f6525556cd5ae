/* SPDX-License-Identifier: Apache-2.0
 *
 * Concurrency limits as a filter: who is refused, what several limits do together, and
 * that whatever was entered is left.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../origin/fake_exchange.h"
#include "filter/concurrency.h"

enum { LIMITS_MAX = 2, REQUESTS_MAX = 8 };

struct request {
    struct exchange x;
    void           *state;
};

/* A route's limits, and requests in progress. */
struct desk {
    struct concurrency_limit *limits[LIMITS_MAX];
    struct concurrency_chain  chain;
    struct request            requests[REQUESTS_MAX];
    unsigned                  count;
};

static const struct concurrency_limit_settings two = { .name = S("two"), .max = 2, .status = 429 };

static void add(struct desk *d, const struct concurrency_limit_settings *s)
{
    d->chain.limits = d->limits;
    d->limits[d->chain.count++] = concurrency_limit_new(s, 1);
}

/* One more request of that key; NULL: of the client's address. */
static struct request *begin(struct desk *d, const char *key, enum filter_result expected)
{
    struct request *r = &d->requests[d->count++];
    fake_exchange_init(&r->x, "/");
    if (key) r->x.key = slice_of(key);
    r->state = NULL;
    assert_int_equal(filter_concurrency.on_request(&r->x, &d->chain, &r->state), expected);
    return r;
}

static void end(struct desk *d, struct request *r)
{
    filter_concurrency.on_end(&r->x, &d->chain, r->state);
    fake_exchange_reset(&r->x);
    r->state = NULL;
}

static struct slice retry_after(struct desk *d, struct request *r)
{
    struct http_head head = { 0 };
    filter_concurrency.on_response(&r->x, &d->chain, r->state, &head);
    const struct http_field *f = http_fields_find(&head.fields, FIELD_RETRY_AFTER);
    return f ? f->value : S("");
}

static struct concurrency_counts counts(const struct desk *d, size_t i)
{
    return concurrency_limit_count(d->limits[i]);
}

static int set_up(void **state)
{
    static struct desk d;
    d = (struct desk){ 0 };
    *state = &d;
    return 0;
}

static int tear_down(void **state)
{
    struct desk *d = *state;
    for (unsigned i = 0; i < d->count; i++)
        if (d->requests[i].state) end(d, &d->requests[i]);
    for (size_t i = 0; i < d->chain.count; i++) {
        assert_int_equal(counts(d, i).active, 0);
        concurrency_limit_free(d->limits[i]);
    }
    return 0;
}

static void what_is_too_much_is_refused_until_one_ends(void **state)
{
    struct desk *d = *state;
    add(d, &two);
    struct request *first = begin(d, "a", FILTER_CONTINUE);
    begin(d, "a", FILTER_CONTINUE);
    struct request *third = begin(d, "a", FILTER_REPLY);
    assert_int_equal(third->x.status, 429);
    assert_string_equal(third->x.reason, "too_many_at_once");
    assert_true(slice_eq(third->x.limit, S("two")));
    assert_true(slice_eq(retry_after(d, third), S("1")));
    assert_int_equal(retry_after(d, first).len, 0);
    begin(d, "b", FILTER_CONTINUE);
    end(d, third);
    begin(d, "a", FILTER_REPLY);
    end(d, first);
    begin(d, "a", FILTER_CONTINUE);
    assert_int_equal(counts(d, 0).admitted, 4);
    assert_int_equal(counts(d, 0).refused, 2);
    assert_int_equal(counts(d, 0).active, 3);
}

static void an_empty_key_is_not_limited(void **state)
{
    struct desk *d = *state;
    add(d, &two);
    for (int i = 0; i < 4; i++) begin(d, "", FILTER_CONTINUE);
    assert_int_equal(counts(d, 0).admitted, 0);
}

/* What the first has let in and the second refuses takes no place in the first. */
static void whom_a_later_limit_refuses_an_earlier_one_forgets(void **state)
{
    struct desk                      *d = *state;
    struct concurrency_limit_settings one = { .name = S("one"), .max = 1, .status = 503 };
    add(d, &two);
    add(d, &one);
    struct request *first = begin(d, "a", FILTER_CONTINUE);
    for (int i = 0; i < 3; i++) {
        struct request *more = begin(d, "a", FILTER_REPLY);
        assert_int_equal(more->x.status, 503);
        assert_true(slice_eq(more->x.limit, S("one")));
    }
    assert_int_equal(counts(d, 0).active, 1);
    assert_int_equal(counts(d, 0).refused, 0);
    end(d, first);
    begin(d, "a", FILTER_CONTINUE);
}

/* Whoever would have been refused is not in progress, as it would not be. */
static void a_dry_run_counts_and_lets_pass(void **state)
{
    struct desk                      *d = *state;
    struct concurrency_limit_settings s = two;
    s.dry_run = true;
    add(d, &s);
    struct request *first = begin(d, "a", FILTER_CONTINUE);
    begin(d, "a", FILTER_CONTINUE);
    struct request *third = begin(d, "a", FILTER_CONTINUE);
    assert_int_equal(third->x.status, 0);
    assert_true(slice_eq(third->x.limit_dry_run, S("two")));
    assert_int_equal(retry_after(d, third).len, 0);
    end(d, third);
    begin(d, "a", FILTER_CONTINUE);
    end(d, first);
    struct request *last = begin(d, "a", FILTER_CONTINUE);
    assert_int_equal(last->x.limit_dry_run.len, 0);
    assert_int_equal(counts(d, 0).refused, 2);
    assert_int_equal(counts(d, 0).active, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_too_much_is_refused_until_one_ends, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_empty_key_is_not_limited, set_up, tear_down),
        cmocka_unit_test_setup_teardown(whom_a_later_limit_refuses_an_earlier_one_forgets, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_dry_run_counts_and_lets_pass, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
