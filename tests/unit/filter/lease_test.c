/* SPDX-License-Identifier: Apache-2.0
 *
 * Leases: when a key asks and for how much, what is remembered of the answers,
 * the table when it is too small, and the fleet's bound over every window of a
 * random run. Redis is a bucket in memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "../../sim/bucket.h"
#include "base/random.h"
#include "filter/lease.h"

#define MS ((uint64_t)1000000)
#define START (1000000 * MS) /* some time after boot */

enum { TABLE_BYTES = 1 << 20, SMALL_BYTES = 4096, SMALL_KEYS = 56 };

/* 1000/s, burst 400, one gateway: 200 in hand at most. */
static const struct lease_terms thousand = { MS, 400, 1, false };
static const struct lease_terms ten_exact = { 100 * MS, 20, 1, true };

static struct slice number_key(const uint64_t *n)
{
    return slice_make((const char *)n, sizeof(*n));
}

static struct bucket_rule bucket_of(const struct lease_terms *terms)
{
    return (struct bucket_rule){ terms->interval_ns, terms->interval_ns * (terms->burst + 1) };
}

static uint32_t answer(struct lease_table *t, struct slice key, const struct lease_terms *terms,
                       struct lease_answer a, uint64_t now_ns)
{
    return lease_answered(t, key, terms, &a, now_ns);
}

/* As a key that asks, with what it asks for granted. */
static void feed(struct lease_table *t, struct slice key, const struct lease_terms *terms,
                 const struct lease_take *take, uint64_t now_ns)
{
    if (!take->want) return;
    struct lease_answer a = { take->ticket, take->want, 100, 0, take->verdict == LEASE_ASK };
    assert_int_equal(lease_answered(t, key, terms, &a, now_ns), 0);
}

/* `count` requests, evenly over the 100 ms before `until`, all granted. */
static void warm(struct lease_table *t, struct slice key, const struct lease_terms *terms,
                 unsigned count, uint64_t until)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t          now = until - 100 * MS + i * (100 * MS / count);
        struct lease_take take = lease_take(t, key, terms, now);
        feed(t, key, terms, &take, now);
    }
}

/* Takes what is in hand, until a request has to wait; *fetch is the fetch that began meanwhile. */
static unsigned use_up(struct lease_table *t, struct slice key, const struct lease_terms *terms,
                       uint64_t now_ns, struct lease_take *fetch)
{
    *fetch = (struct lease_take){ 0 };
    for (unsigned count = 0;; count++) {
        struct lease_take take = lease_take(t, key, terms, now_ns);
        if (take.ticket) *fetch = take;
        if (take.verdict != LEASE_ADMITTED) return count;
    }
}

struct returned {
    uint32_t tokens;
    unsigned keys;
    char     last[LEASE_KEY_MAX + 1];
};

static void on_unused(void *arg, struct slice key, uint32_t tokens)
{
    struct returned *r = arg;
    r->tokens += tokens;
    r->keys++;
    snprintf(r->last, sizeof(r->last), "%.*s", SLICE_ARG(key));
}

static struct returned sweep(struct lease_table *t, unsigned parts, uint64_t unused_since_ns)
{
    struct returned r = { 0 };
    for (unsigned i = 0; i < parts; i++)
        lease_sweep(t, &(struct lease_sweep){ i, parts, unused_since_ns, on_unused, &r });
    return r;
}

/* ---- exact ---- */

static void exact_asks_for_each_request(void **state)
{
    (void)state;
    struct lease_table *t = lease_table_new(TABLE_BYTES);
    for (unsigned i = 0; i < 100; i++) {
        struct lease_take take = lease_take(t, S("a"), &ten_exact, START + i);
        assert_int_equal(take.verdict, LEASE_ASK);
        assert_int_equal(take.want, 1);
        assert_int_equal(take.ticket, 0);
        assert_int_equal(
            answer(t, S("a"), &ten_exact, (struct lease_answer){ 0, 1, 5, 0, true }, START + i), 0);
    }
    /* Granted to nobody: surplus. */
    assert_int_equal(
        answer(t, S("a"), &ten_exact, (struct lease_answer){ 0, 1, 5, 0, false }, START), 1);
    lease_table_free(t);
    lease_table_free(NULL);
}

static void a_refusal_is_remembered_until_its_time(void **state)
{
    (void)state;
    struct lease_table *t = lease_table_new(TABLE_BYTES);
    struct lease_answer refused = { .retry_after_us = 70000, .is_awaited = true };
    assert_int_equal(answer(t, S("a"), &ten_exact, refused, START), 0);
    for (unsigned i = 0; i < 70; i++) {
        struct lease_take take = lease_take(t, S("a"), &ten_exact, START + i * MS);
        assert_int_equal(take.verdict, LEASE_REFUSED);
        assert_int_equal(take.want, 0);
        assert_int_equal(take.retry_after_ms, 70 - i);
        assert_int_equal(take.reset_ms, 20 * 100 + 70 - i);
    }
    assert_int_equal(lease_take(t, S("b"), &ten_exact, START).verdict, LEASE_ASK);
    assert_int_equal(lease_take(t, S("a"), &ten_exact, START + 70 * MS).verdict, LEASE_ASK);
    /* The last one of a bucket tells the next its time. */
    struct lease_answer last = { .granted = 1, .retry_after_us = 100000, .is_awaited = true };
    assert_int_equal(answer(t, S("c"), &ten_exact, last, START), 0);
    assert_int_equal(lease_take(t, S("c"), &ten_exact, START + 99 * MS).verdict, LEASE_REFUSED);
    assert_int_equal(lease_take(t, S("c"), &ten_exact, START + 100 * MS).verdict, LEASE_ASK);
    lease_table_free(t);
}

/* Nothing that an answer may say overflows. */
static void absurd_answers_are_bounded(void **state)
{
    (void)state;
    struct lease_table *t = lease_table_new(TABLE_BYTES);
    struct lease_terms  slow = { UINT64_MAX / 2, UINT32_MAX, 1, true };
    struct lease_answer refused = { .retry_after_us = UINT64_MAX };
    assert_int_equal(answer(t, S("a"), &slow, refused, START), 0);
    struct lease_take take = lease_take(t, S("a"), &slow, START);
    assert_int_equal(take.verdict, LEASE_REFUSED);
    assert_int_equal(take.retry_after_ms, 86400 * 1000);
    assert_int_equal(take.reset_ms, UINT64_MAX / 1000000 + 1);
    lease_table_free(t);
}

/* ---- lease ---- */

static void a_rare_key_leases_nothing(void **state)
{
    (void)state;
    struct lease_table *t = lease_table_new(TABLE_BYTES);
    for (uint64_t i = 0; i < 100; i++) {
        uint64_t          now = START + i * 125 * MS;
        struct lease_take take = lease_take(t, S("a"), &thousand, now);
        assert_int_equal(take.verdict, LEASE_ASK);
        assert_int_equal(take.want, 1);
        assert_int_equal(take.ticket, 0);
        feed(t, S("a"), &thousand, &take, now);
    }
    lease_table_free(t);
}

static void a_hot_key_asks_ten_times_a_second(void **state)
{
    (void)state;
    static const unsigned rates[] = { 20, 50, 100, 500, 900 }; /* a second */
    for (size_t r = 0; r < sizeof(rates) / sizeof(*rates); r++) {
        struct lease_table *t = lease_table_new(TABLE_BYTES);
        struct bucket_rule  rule = bucket_of(&thousand);
        uint64_t            tat = 0;
        unsigned            calls = 0;
        for (unsigned i = 0; i < rates[r] * 10; i++) {
            uint64_t          now = START + i * 1000 * MS / rates[r];
            struct lease_take take = lease_take(t, S("a"), &thousand, now);
            assert_int_not_equal(take.verdict, LEASE_REFUSED);
            if (!take.want) continue;
            calls++;
            struct lease_answer a = bucket_ask(&tat, &rule, take.want, now);
            assert_int_equal(a.granted, take.want);
            a.ticket = take.ticket;
            a.is_awaited = take.verdict == LEASE_ASK;
            assert_int_equal(lease_answered(t, S("a"), &thousand, &a, now), 0);
        }
        assert_in_range(calls, 10 * 6, 10 * 11 + 10);
        /* No more than half a lease and a whole one. */
        assert_true(sweep(t, 1, UINT64_MAX).tokens <= rates[r] / 10 * 3 / 2 + 2);
        lease_table_free(t);
    }
}

static void the_next_lease_comes_at_half(void **state)
{
    (void)state;
    struct lease_table *t = lease_table_new(TABLE_BYTES);
    struct lease_take   take;
    warm(t, S("a"), &thousand, 100, START);
    use_up(t, S("a"), &thousand, START, &take);
    lease_failed(t, S("a"), take.ticket); /* nothing in hand, nothing under way */
    take = lease_take(t, S("a"), &thousand, START);
    assert_int_equal(take.verdict, LEASE_ASK);
    uint32_t lease = take.want;
    assert_in_range(lease, 100, 200);
    feed(t, S("a"), &thousand, &take, START);
    unsigned taken = 0;
    do {
        take = lease_take(t, S("a"), &thousand, START);
        assert_int_equal(take.verdict, LEASE_ADMITTED);
        assert_int_equal(take.remaining, 100 + lease - 2 - taken++);
    } while (!take.want);
    uint32_t left = take.remaining - 100;
    assert_int_equal(left, 200 / 3); /* its use is at the most that may be leased */
    assert_int_equal(take.want, 200 - left);
    /* One fetch at a time; who finds nothing left asks for itself. */
    uint32_t ticket = take.ticket;
    for (uint32_t i = 0; i < left; i++) {
        take = lease_take(t, S("a"), &thousand, START);
        assert_int_equal(take.verdict, LEASE_ADMITTED);
        assert_int_equal(take.want, 0);
    }
    for (int i = 0; i < 3; i++) {
        take = lease_take(t, S("a"), &thousand, START);
        assert_int_equal(take.verdict, LEASE_ASK);
        assert_int_equal(take.want, 1);
        assert_int_equal(take.ticket, 0);
        feed(t, S("a"), &thousand, &take, START);
    }
    assert_int_equal(answer(t, S("a"), &thousand,
                            (struct lease_answer){ ticket, 200 - left, 9, 0, false }, START),
                     0);
    assert_true(use_up(t, S("a"), &thousand, START, &take) == 200 - left);
    lease_table_free(t);
}

static void more_gateways_have_smaller_leases(void **state)
{
    (void)state;
    struct lease_terms terms = thousand;
    struct lease_take  take;
    assert_int_equal(lease_size_max(&terms), 200);
    for (terms.gateways = 1; terms.gateways <= 64; terms.gateways *= 2) {
        struct lease_table *t = lease_table_new(TABLE_BYTES);
        warm(t, S("a"), &terms, 300, START);
        uint32_t in_hand = use_up(t, S("a"), &terms, START, &take);
        assert_true(in_hand <= lease_size_max(&terms));
        assert_true(take.want <= lease_size_max(&terms));
        lease_table_free(t);
    }
    terms.gateways = 0;
    assert_int_equal(lease_size_max(&terms), 200);
    terms.gateways = 1000;
    assert_int_equal(lease_size_max(&terms), 1);
    /* The fleet grows while a lease is in hand: it is used, and the next one is smaller. */
    struct lease_table *t = lease_table_new(TABLE_BYTES);
    terms.gateways = 1;
    warm(t, S("a"), &terms, 300, START);
    terms.gateways = 20;
    unsigned in_hand = use_up(t, S("a"), &terms, START, &take);
    assert_in_range(in_hand, 60, 200);
    lease_failed(t, S("a"), take.ticket);
    assert_int_equal(use_up(t, S("a"), &terms, START, &take), 0);
    assert_int_equal(take.want, 10);
    /* And an answer to what was asked before is kept in so far as it fits. */
    assert_int_equal(
        answer(t, S("a"), &terms, (struct lease_answer){ take.ticket, 100, 9, 0, true }, START),
        99 - 10);
    lease_table_free(t);
}

static void a_hot_key_that_is_dry_asks_seldom(void **state)
{
    (void)state;
    struct lease_table *t = lease_table_new(TABLE_BYTES);
    struct lease_take   take;
    warm(t, S("a"), &thousand, 100, START);
    use_up(t, S("a"), &thousand, START, &take);
    struct lease_answer dry = { take.ticket, 0, 0, 1000, true };
    assert_int_equal(lease_answered(t, S("a"), &thousand, &dry, START), 0);
    take = lease_take(t, S("a"), &thousand, START + 1);
    assert_int_equal(take.verdict, LEASE_REFUSED);
    assert_int_equal(take.retry_after_ms, 100);
    assert_int_equal(lease_take(t, S("a"), &thousand, START + 99 * MS).verdict, LEASE_REFUSED);
    assert_int_equal(lease_take(t, S("a"), &thousand, START + 100 * MS).verdict, LEASE_ASK);
    /* A small bucket would be full before. */
    struct lease_terms small = { MS, 40, 1, false };
    warm(t, S("b"), &small, 100, START);
    use_up(t, S("b"), &small, START, &take);
    dry.ticket = take.ticket;
    assert_int_equal(lease_answered(t, S("b"), &small, &dry, START), 0);
    assert_int_equal(lease_take(t, S("b"), &small, START).retry_after_ms, 20);
    lease_table_free(t);
}

/* What is in hand is used while Redis refuses more; nothing is asked meanwhile. */
static void a_dry_bucket_leaves_what_is_in_hand(void **state)
{
    (void)state;
    struct lease_table *t = lease_table_new(TABLE_BYTES);
    struct lease_take   take;
    warm(t, S("a"), &thousand, 100, START);
    use_up(t, S("a"), &thousand, START, &take);
    assert_true(take.ticket);
    struct lease_answer part = { take.ticket, 31, 0, 1000, true };
    assert_int_equal(lease_answered(t, S("a"), &thousand, &part, START), 0);
    for (unsigned i = 0; i < 30; i++) {
        take = lease_take(t, S("a"), &thousand, START);
        assert_int_equal(take.verdict, LEASE_ADMITTED);
        assert_int_equal(take.want, 0);
    }
    assert_int_equal(lease_take(t, S("a"), &thousand, START).verdict, LEASE_REFUSED);
    lease_table_free(t);
}

static void late_answers_count_until_the_next_fetch(void **state)
{
    (void)state;
    struct lease_table *t = lease_table_new(TABLE_BYTES);
    struct lease_take   take;
    warm(t, S("a"), &thousand, 100, START);
    use_up(t, S("a"), &thousand, START, &take);
    struct lease_answer late = { take.ticket, take.want, 50, 0, false };
    assert_true(late.ticket && take.want > 1);
    lease_failed(t, S("a"), late.ticket);
    lease_failed(t, S("a"), late.ticket + 1);
    lease_failed(t, S("never seen"), late.ticket);
    assert_int_equal(lease_answered(t, S("a"), &thousand, &late, START), 0);
    assert_int_equal(use_up(t, S("a"), &thousand, START, &take), late.granted);
    /* Its second coming, or that of one before the last, adds nothing. */
    struct lease_answer older = { take.ticket, take.want, 50, 0, false };
    assert_true(older.ticket && older.ticket != late.ticket);
    assert_int_equal(lease_answered(t, S("a"), &thousand, &late, START), late.granted);
    lease_failed(t, S("a"), older.ticket);
    take = lease_take(t, S("a"), &thousand, START);
    assert_true(take.ticket && take.ticket != older.ticket);
    assert_int_equal(lease_answered(t, S("a"), &thousand, &older, START), older.granted);
    lease_failed(t, S("a"), older.ticket); /* nor does it end the new one */
    assert_int_equal(lease_take(t, S("a"), &thousand, START).ticket, 0);
    lease_table_free(t);
}

/* ---- giving back ---- */

static void what_is_unused_is_given_back(void **state)
{
    (void)state;
    static const char name[] = "192.0.2.123/api/a-route.";
    struct slice      key = slice_make(name, LEASE_KEY_MAX);
    for (unsigned parts = 1; parts < 600; parts = parts * 3 + 1) {
        struct lease_table *t = lease_table_new(TABLE_BYTES);
        struct lease_take   take;
        assert_int_equal(sweep(t, parts, UINT64_MAX).keys, 0);
        warm(t, key, &thousand, 100, START);
        warm(t, S("b"), &thousand, 100, START + 500 * MS);
        assert_int_equal(sweep(t, parts, START - 200 * MS).keys, 0);
        assert_int_equal(sweep(t, parts, START - 200 * MS).keys, 0);
        struct returned r = sweep(t, parts, START + 200 * MS);
        assert_int_equal(r.keys, 1);
        assert_in_range(r.tokens, 30, 200);
        assert_string_equal(r.last, name);
        assert_int_equal(sweep(t, parts, START + 200 * MS).keys, 0);
        assert_int_equal(use_up(t, key, &thousand, START + 2000 * MS, &take), 0);
        /* The other one still has its own; as one leaves, all go. */
        r = sweep(t, parts, UINT64_MAX);
        assert_int_equal(r.keys, 1);
        assert_string_equal(r.last, "b");
        assert_int_equal(sweep(t, parts, UINT64_MAX).keys, 0);
        /* Tokens that come later are seen again. */
        warm(t, S("b"), &thousand, 100, START + 5000 * MS);
        assert_int_equal(sweep(t, parts, START + 8000 * MS).keys, 1);
        lease_table_free(t);
    }
}

/* ---- the table ---- */

/* New ones push each other out, not who has tokens. */
static void who_has_tokens_stays(void **state)
{
    (void)state;
    struct lease_table *t = lease_table_new(SMALL_BYTES);
    struct lease_take   take;
    uint64_t            rich = UINT64_MAX;
    warm(t, number_key(&rich), &thousand, 100, START);
    for (uint64_t key = 0; key < 5000; key++) {
        take = lease_take(t, number_key(&key), &thousand, START + MS);
        assert_int_equal(take.verdict, LEASE_ASK);
        assert_int_equal(take.want, 1);
        feed(t, number_key(&key), &thousand, &take, START + MS);
    }
    assert_int_equal(lease_counts(t).evictions, 0);
    assert_true(use_up(t, number_key(&rich), &thousand, START + MS, &take) > 30);
    lease_table_free(t);
}

/* Where all have some, one loses them: nobody admits what was granted to another. */
static void tokens_end_with_their_key(void **state)
{
    (void)state;
    struct lease_table *t = lease_table_new(SMALL_BYTES);
    uint64_t            granted = 0, admitted = 0;
    for (uint64_t i = 0; i < 200000; i++) {
        uint64_t          key = i / 20 * 7 % 400;
        struct lease_take take = lease_take(t, number_key(&key), &thousand, START + MS);
        admitted++; /* at once or by the answer */
        granted += take.want;
        feed(t, number_key(&key), &thousand, &take, START + MS);
    }
    struct lease_counts counts = lease_counts(t);
    assert_true(counts.evictions > 100 && counts.lost_tokens > 100);
    assert_int_equal(granted, admitted + counts.lost_tokens + sweep(t, 1, UINT64_MAX).tokens);
    lease_table_free(t);
}

static void refusals_end_with_their_key(void **state)
{
    (void)state;
    struct lease_table *t = lease_table_new(SMALL_BYTES);
    struct lease_answer refused = { .retry_after_us = 1000000 };
    for (uint64_t key = 0; key < 5000; key++) {
        assert_int_equal(lease_take(t, number_key(&key), &ten_exact, START).verdict, LEASE_ASK);
        assert_int_equal(answer(t, number_key(&key), &ten_exact, refused, START), 0);
        assert_int_equal(lease_take(t, number_key(&key), &ten_exact, START).verdict, LEASE_REFUSED);
    }
    assert_in_range(lease_counts(t).evictions, 5000 - SMALL_KEYS, 5000);
    lease_table_free(t);
}

/* A key that was evicted while it fetched begins anew: the answer is surplus. */
static void answers_for_evicted_keys_are_surplus(void **state)
{
    (void)state;
    struct lease_table *t = lease_table_new(SMALL_BYTES);
    struct lease_take   first, take;
    uint64_t            later = START + 200 * MS;
    /* Two requests that ask: the second one's fetch is the first of its key. */
    for (int i = 0; i < 2; i++) first = lease_take(t, S("a"), &thousand, START);
    assert_true(first.ticket && first.want == 2);
    for (uint64_t key = 0; key < 5000; key++) lease_take(t, number_key(&key), &thousand, later);
    struct lease_answer a = { first.ticket, 2, 50, 0, false };
    assert_int_equal(lease_answered(t, S("a"), &thousand, &a, later), 2);
    for (int i = 0; i < 2; i++) take = lease_take(t, S("a"), &thousand, later);
    assert_true(take.ticket && take.ticket != first.ticket);
    assert_int_equal(lease_answered(t, S("a"), &thousand, &a, later), 2);
    a.ticket = take.ticket;
    assert_int_equal(lease_answered(t, S("a"), &thousand, &a, later), 0);
    assert_int_equal(lease_counts(t).lost_tokens, 0);
    lease_table_free(t);
}

static void keys_of_all_lengths_are_apart(void **state)
{
    (void)state;
    struct lease_table *t = lease_table_new(TABLE_BYTES);
    static const char   zeros[LEASE_KEY_MAX];
    struct lease_answer refused = { .retry_after_us = 1000000 };
    for (size_t len = 1; len <= LEASE_KEY_MAX; len += 2)
        assert_int_equal(answer(t, slice_make(zeros, len), &ten_exact, refused, START), 0);
    for (size_t len = 1; len <= LEASE_KEY_MAX; len++)
        assert_int_equal(lease_take(t, slice_make(zeros, len), &ten_exact, START).verdict,
                         len % 2 ? LEASE_REFUSED : LEASE_ASK);
    lease_table_free(t);
}

/* ---- the bound ---- */

enum { STEPS = 3000, GATEWAYS_MAX = 8, CALLS_MAX = 4096, NOBODY = GATEWAYS_MAX };

#define LATENCY_MAX (5 * MS)

struct call {
    uint64_t            due_ns;  /* at Redis, then back here */
    bool                is_back; /* the answer */
    unsigned            gateway;
    struct lease_take   take;
    int64_t             want;
    struct lease_answer answer;
};

struct fleet {
    struct lease_terms  terms;
    struct bucket_rule  rule;
    struct lease_table *tables[GATEWAYS_MAX];
    uint64_t            tat;
    struct call         calls[CALLS_MAX];
    size_t              call_count;
    uint64_t            times[STEPS * 2];
    size_t              admitted;
    struct random       random;
    unsigned            sweeper;
    uint64_t            now;
};

static void send_call(struct fleet *f, unsigned gateway, const struct lease_take *take,
                      int64_t want, uint64_t now)
{
    assert_true(f->call_count < CALLS_MAX);
    f->calls[f->call_count++] = (struct call){
        now + random_below(&f->random, LATENCY_MAX / 2), false, gateway, *take, want, { 0 }
    };
}

static void land(struct fleet *f, struct call c)
{
    if (!c.is_back) {
        c.answer = bucket_ask(&f->tat, &f->rule, c.want, c.due_ns);
        c.is_back = true;
        c.due_ns += random_below(&f->random, LATENCY_MAX / 2);
        if (c.want > 0) f->calls[f->call_count++] = c;
        return;
    }
    if (c.gateway == NOBODY) return;
    c.answer.ticket = c.take.ticket;
    c.answer.is_awaited = c.take.verdict == LEASE_ASK;
    if (c.answer.is_awaited && c.answer.granted) f->times[f->admitted++] = c.due_ns;
    uint32_t surplus =
        lease_answered(f->tables[c.gateway], S("key"), &f->terms, &c.answer, c.due_ns);
    if (surplus) send_call(f, c.gateway, &c.take, -(int64_t)surplus, c.due_ns);
}

/* All that is due by `now`, in order. */
static void run_calls(struct fleet *f, uint64_t now)
{
    for (;;) {
        size_t first = f->call_count;
        for (size_t i = 0; i < f->call_count; i++)
            if (f->calls[i].due_ns <= now &&
                (first == f->call_count || f->calls[i].due_ns < f->calls[first].due_ns))
                first = i;
        if (first == f->call_count) return;
        struct call c = f->calls[first];
        f->calls[first] = f->calls[--f->call_count];
        land(f, c);
    }
}

static void on_fleet_unused(void *arg, struct slice key, uint32_t tokens)
{
    struct fleet *f = arg;
    (void)key;
    struct lease_take none = { 0 };
    send_call(f, f->sweeper, &none, -(int64_t)tokens, f->now);
}

/* Answers to its calls meet nobody; another one takes its place. */
static void die(struct fleet *f, unsigned gateway)
{
    for (size_t i = 0; i < f->call_count; i++)
        if (f->calls[i].gateway == gateway) f->calls[i].gateway = NOBODY;
    lease_table_free(f->tables[gateway]);
    f->tables[gateway] = lease_table_new(SMALL_BYTES);
}

static void step(struct fleet *f)
{
    uint64_t          now = f->now;
    unsigned          g = random_below(&f->random, f->terms.gateways);
    struct lease_take take = lease_take(f->tables[g], S("key"), &f->terms, now);
    if (take.verdict == LEASE_ADMITTED) f->times[f->admitted++] = now;
    /* Some calls are given up, whatever becomes of them; the others are answered. */
    if (take.ticket && random_below(&f->random, 10) == 0)
        lease_failed(f->tables[g], S("key"), take.ticket);
    if (take.want) send_call(f, g, &take, take.want, now);
    if (random_below(&f->random, 50) == 0) {
        f->sweeper = random_below(&f->random, f->terms.gateways);
        lease_sweep(f->tables[f->sweeper],
                    &(struct lease_sweep){ 0, 1, now - 100 * MS, on_fleet_unused, f });
    }
    if (random_below(&f->random, 300) == 0) die(f, g);
}

/* to - from + 1 requests in any window, less the leases, fit into it and the span. */
static void check_windows(const struct fleet *f)
{
    int64_t interval = (int64_t)f->terms.interval_ns, least = INT64_MAX;
    int64_t spare = (int64_t)f->terms.gateways * lease_size_max(&f->terms) * interval +
                    (int64_t)(f->rule.span_ns + LATENCY_MAX);
    for (size_t i = 0; i < f->admitted; i++) {
        int64_t from = (int64_t)i * interval - (int64_t)f->times[i];
        if (from < least) least = from;
        assert_true(from + interval - least <= spare);
    }
}

static int by_time(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void run_fleet(struct fleet *f)
{
    uint64_t pace = f->terms.interval_ns / (1 + random_below(&f->random, 5)) + 1;
    for (unsigned g = 0; g < GATEWAYS_MAX; g++) f->tables[g] = lease_table_new(SMALL_BYTES);
    f->now = START;
    for (int i = 0; i < STEPS; i++) {
        f->now += random_next(&f->random) % (2 * pace);
        if (random_below(&f->random, 500) == 0) f->now += f->rule.span_ns;
        run_calls(f, f->now);
        step(f);
    }
    run_calls(f, UINT64_MAX);
    for (unsigned g = 0; g < GATEWAYS_MAX; g++) lease_table_free(f->tables[g]);
    qsort(f->times, f->admitted, sizeof(*f->times), by_time);
}

/* With latency, calls that are given up, sweeps, and gateways that die. */
static void a_fleet_admits_no_more_than_it_may(void **state)
{
    (void)state;
    static struct fleet f;
    for (int round = 0; round < 200; round++) {
        f = (struct fleet){ .terms.is_exact = round % 8 == 7 };
        random_init(&f.random);
        f.terms.interval_ns = MS / 4 + random_below(&f.random, 20) * MS;
        f.terms.burst = 20 + random_below(&f.random, 200);
        f.terms.gateways = 1 + random_below(&f.random, GATEWAYS_MAX);
        f.rule = bucket_of(&f.terms);
        run_fleet(&f);
        assert_true(f.admitted > f.terms.burst / 2);
        check_windows(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_asks_for_each_request),
        cmocka_unit_test(a_refusal_is_remembered_until_its_time),
        cmocka_unit_test(absurd_answers_are_bounded),
        cmocka_unit_test(a_rare_key_leases_nothing),
        cmocka_unit_test(a_hot_key_asks_ten_times_a_second),
        cmocka_unit_test(the_next_lease_comes_at_half),
        cmocka_unit_test(more_gateways_have_smaller_leases),
        cmocka_unit_test(a_hot_key_that_is_dry_asks_seldom),
        cmocka_unit_test(a_dry_bucket_leaves_what_is_in_hand),
        cmocka_unit_test(late_answers_count_until_the_next_fetch),
        cmocka_unit_test(what_is_unused_is_given_back),
        cmocka_unit_test(who_has_tokens_stays),
        cmocka_unit_test(tokens_end_with_their_key),
        cmocka_unit_test(refusals_end_with_their_key),
        cmocka_unit_test(answers_for_evicted_keys_are_surplus),
        cmocka_unit_test(keys_of_all_lengths_are_apart),
        cmocka_unit_test(a_fleet_admits_no_more_than_it_may),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
