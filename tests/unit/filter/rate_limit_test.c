/* SPDX-License-Identifier: Apache-2.0
 *
 * Rate limits as a filter: who is limited, what several rules do together, what the
 * answer says, and who waits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../origin/fake_exchange.h"
#include "filter/rate_limit.h"
#include "io/loop.h"

enum { RULES_MAX = 4 };

/* A route's rules, and one request at a time. */
struct desk {
    struct rate_limit      *rules[RULES_MAX];
    struct rate_limit_chain chain;
    struct exchange         x;
    void                   *state;
    struct loop            *loop;
};

static const struct rate_limit_settings api = { .name = S("api"),
                                                .rate_count = 1,
                                                .rate_period = 10000,
                                                .burst = 1,
                                                .status = 429,
                                                .memory = 65536 };

static void add(struct desk *d, const struct rate_limit_settings *s)
{
    d->chain.rules = d->rules;
    d->rules[d->chain.count++] = rate_limit_new(s, NULL, 1);
}

static void end(struct desk *d)
{
    if (!d->x.arena.next && !d->state) return;
    filter_rate_limit.on_end(&d->x, &d->chain, d->state);
    fake_exchange_reset(&d->x);
    d->state = NULL;
}

/* A request with this key (NULL: by the client's address). */
static enum filter_result ask(struct desk *d, const char *key)
{
    end(d);
    fake_exchange_init(&d->x, "/");
    d->x.loop = d->loop;
    if (key) d->x.key = slice_of(key);
    return filter_rate_limit.on_request(&d->x, &d->chain, &d->state);
}

/* The field of the answer that follows; several of a name joined by ", ". */
static struct slice field(struct desk *d, const char *name)
{
    struct http_head head = { 0 };
    struct slice     all = S("");
    filter_rate_limit.on_response(&d->x, &d->chain, d->state, &head);
    for (size_t i = 0; i < head.fields.count; i++) {
        const struct http_field *f = &head.fields.items[i];
        if (!slice_eq_nocase(f->name, slice_of(name))) continue;
        all = arena_printf(&d->x.arena, "%.*s%s%.*s", SLICE_ARG(all), all.len ? ", " : "",
                           SLICE_ARG(f->value));
    }
    return all;
}

#define assert_field(d, name, text) assert_string_equal(field(d, name).data, text)

static int set_up(void **state)
{
    static struct desk d;
    d = (struct desk){ .loop = loop_new(NULL) };
    *state = &d;
    return d.loop ? 0 : 1;
}

static int tear_down(void **state)
{
    struct desk *d = *state;
    end(d);
    for (size_t i = 0; i < d->chain.count; i++) rate_limit_free(d->rules[i]);
    loop_free(d->loop);
    return 0;
}

static void the_bucket_runs_out_and_says_so(void **state)
{
    struct desk *d = *state;
    add(d, &api);
    assert_int_equal(ask(d, "a"), FILTER_CONTINUE);
    assert_field(d, "RateLimit-Policy", "\"api\";q=2;w=20");
    assert_field(d, "RateLimit", "\"api\";r=1;t=10");
    assert_field(d, "Retry-After", "");
    assert_int_equal(ask(d, "a"), FILTER_CONTINUE);
    assert_int_equal(ask(d, "a"), FILTER_REPLY);
    assert_int_equal(d->x.status, 429);
    assert_string_equal(d->x.reason, "rate_limited");
    assert_true(slice_eq(d->x.limit, S("api")));
    assert_field(d, "RateLimit", "\"api\";r=0;t=20");
    assert_field(d, "Retry-After", "10");
    assert_int_equal(ask(d, "b"), FILTER_CONTINUE);
    struct rate_limit_counts counts = rate_limit_count(d->rules[0]);
    assert_int_equal(counts.admitted, 3);
    assert_int_equal(counts.refused, 1);
    assert_int_equal(counts.delayed, 0);
}

static void an_empty_key_is_not_limited(void **state)
{
    struct desk *d = *state;
    add(d, &api);
    for (int i = 0; i < 5; i++) assert_int_equal(ask(d, ""), FILTER_CONTINUE);
    assert_field(d, "RateLimit", "");
    assert_int_equal(rate_limit_count(d->rules[0]).admitted, 0);
}

static void who_is_allowed_is_not_counted(void **state)
{
    struct desk               *d = *state;
    struct slice               networks[] = { S("198.51.100.0/24"), S("192.0.2.1") };
    struct rate_limit_settings s = api;
    s.allow = (struct text_list){ networks, 2 };
    add(d, &s);
    for (int i = 0; i < 5; i++) assert_int_equal(ask(d, NULL), FILTER_CONTINUE);
    assert_int_equal(rate_limit_count(d->rules[0]).admitted, 0);
}

static void a_dry_run_counts_and_lets_pass(void **state)
{
    struct desk               *d = *state;
    struct rate_limit_settings s = api;
    s.dry_run = true;
    add(d, &s);
    for (int i = 0; i < 5; i++) assert_int_equal(ask(d, "a"), FILTER_CONTINUE);
    assert_int_equal(d->x.status, 0);
    assert_true(slice_eq(d->x.limit_dry_run, S("api")));
    assert_int_equal(d->x.limit.len, 0);
    assert_field(d, "RateLimit", "");
    assert_int_equal(rate_limit_count(d->rules[0]).refused, 3);
}

/* The second is not charged for what the first refused, and yet reported. */
static void the_first_rule_that_refuses_answers(void **state)
{
    struct desk               *d = *state;
    struct rate_limit_settings strict = api, wide = api;
    strict.burst = 0;
    strict.status = 503;
    strict.name = S("login");
    wide.burst = 9;
    add(d, &strict);
    add(d, &wide);
    assert_int_equal(ask(d, "a"), FILTER_CONTINUE);
    assert_field(d, "RateLimit", "\"login\";r=0;t=10, \"api\";r=9;t=10");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask(d, "a"), FILTER_REPLY);
        assert_int_equal(d->x.status, 503);
        assert_field(d, "RateLimit", "\"login\";r=0;t=10, \"api\";r=9;t=10");
        assert_field(d, "Retry-After", "10");
    }
    assert_int_equal(rate_limit_count(d->rules[1]).admitted, 1);
    assert_int_equal(rate_limit_count(d->rules[1]).refused, 0);
}

static void legacy_headers_tell_of_the_tightest_rule(void **state)
{
    struct desk               *d = *state;
    struct rate_limit_settings wide = api, tight = api, silent = api;
    wide.headers = tight.headers = LIMIT_HEADERS_LEGACY;
    wide.burst = 9;
    tight.burst = 2;
    silent.headers = LIMIT_HEADERS_OFF;
    add(d, &wide);
    add(d, &tight);
    add(d, &silent);
    assert_int_equal(ask(d, "a"), FILTER_CONTINUE);
    assert_field(d, "X-RateLimit-Limit", "3");
    assert_field(d, "X-RateLimit-Remaining", "2");
    assert_field(d, "X-RateLimit-Reset", "10");
    assert_field(d, "RateLimit", "\"api\";r=9;t=10, \"api\";r=2;t=10");
}

static void delayed_requests_go_on_when_it_is_their_turn(void **state)
{
    struct desk               *d = *state;
    struct rate_limit_settings s = api;
    s.rate_count = 50;
    s.rate_period = 1000;
    s.delay = true;
    add(d, &s);
    assert_int_equal(ask(d, "a"), FILTER_CONTINUE);
    assert_int_equal(ask(d, "a"), FILTER_PAUSE);
    uint64_t began_ns = d->loop->clock.now_ns;
    while (!d->x.has_continued) loop_turn(d->loop, -1);
    assert_true(d->loop->clock.now_ns - began_ns >= 20000000); /* an interval; never early */
    assert_int_equal(rate_limit_count(d->rules[0]).delayed, 1);
    assert_int_equal(ask(d, "a"), FILTER_REPLY); /* the fake clock stands still */
}

/* Nothing runs for a request that is gone. */
static void a_delayed_request_may_leave(void **state)
{
    struct desk               *d = *state;
    struct rate_limit_settings s = api;
    s.rate_period = 5;
    s.delay = true;
    add(d, &s);
    assert_int_equal(ask(d, "a"), FILTER_CONTINUE);
    assert_int_equal(ask(d, "a"), FILTER_PAUSE);
    end(d);
    fake_exchange_init(&d->x, "/");
    loop_turn(d->loop, 20);
    assert_false(d->x.has_continued);
}

static void without_a_decision_the_answer_says_nothing(void **state)
{
    struct desk *d = *state;
    add(d, &api);
    fake_exchange_init(&d->x, "/");
    assert_field(d, "RateLimit", "");
    assert_field(d, "RateLimit-Policy", "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_bucket_runs_out_and_says_so),
        TEST(an_empty_key_is_not_limited),
        TEST(who_is_allowed_is_not_counted),
        TEST(a_dry_run_counts_and_lets_pass),
        TEST(the_first_rule_that_refuses_answers),
        TEST(legacy_headers_tell_of_the_tightest_rule),
        TEST(delayed_requests_go_on_when_it_is_their_turn),
        TEST(a_delayed_request_may_leave),
        TEST(without_a_decision_the_answer_says_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
