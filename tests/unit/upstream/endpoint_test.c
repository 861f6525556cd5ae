/* SPDX-License-Identifier: Apache-2.0
 *
 * Endpoints: texts, references, outcomes and the mean latency; and sets.
 */
#include "upstream/endpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "upstream/balance/balance.h"

#define SECOND 1000000000ULL

static struct endpoint_spec spec_v4(void)
{
    return (struct endpoint_spec){
        .address = { .family = ADDRESS_V4, .port = 8080, .ip = { 10, 0, 0, 7 } },
        .weight = 3,
    };
}

static void texts_have_defaults(void **unused)
{
    (void)unused;
    struct endpoint_spec spec = spec_v4();
    struct endpoint     *e = endpoint_new(&spec, NULL);
    assert_string_equal(e->text, "10.0.0.7:8080");
    assert_string_equal(e->identity, "10.0.0.7:8080");
    assert_string_equal(e->server_name, "10.0.0.7");
    assert_int_equal(e->weight, 3);
    assert_false(e->is_backup);
    endpoint_unref(e);
    spec.weight = 0;
    spec.is_backup = true;
    spec.identity = S("container-1");
    spec.text = S("web-1 (10.0.0.7:8080)");
    spec.server_name = S("web.internal");
    e = endpoint_new(&spec, NULL);
    assert_string_equal(e->text, "web-1 (10.0.0.7:8080)");
    assert_string_equal(e->identity, "container-1");
    assert_string_equal(e->server_name, "web.internal");
    assert_int_equal(e->weight, 1);
    assert_true(e->is_backup);
    endpoint_unref(e);
}

/* Longer than address_format() writes. */
static void a_path_is_its_own(void **unused)
{
    (void)unused;
    char path[] = "/run/a-rather-long-name-of-an-application/and-a-longer-one-of-the-socket.sock";
    struct endpoint_spec spec = { .address = { .family = ADDRESS_UNIX, .path = path } };
    struct endpoint     *e = endpoint_new(&spec, NULL);
    assert_string_equal(
        e->text,
        "unix:/run/a-rather-long-name-of-an-application/and-a-longer-one-of-the-socket.sock");
    memset(path, 'x', sizeof(path) - 1);
    assert_string_equal(
        e->address.path,
        "/run/a-rather-long-name-of-an-application/and-a-longer-one-of-the-socket.sock");
    assert_string_equal(e->server_name, "");
    endpoint_unref(e);
}

static void count_unused(struct endpoint *e, void *arg)
{
    (void)e;
    (*(unsigned *)arg)++;
}

static void the_last_reference_tells(void **unused)
{
    (void)unused;
    unsigned             count = 0;
    struct endpoint_spec spec = spec_v4();
    struct endpoint     *e = endpoint_new(&spec, NULL);
    e->on_unused = count_unused;
    e->unused_arg = &count;
    endpoint_ref(e);
    endpoint_unref(e);
    assert_int_equal(count, 0);
    endpoint_unref(e);
    assert_int_equal(count, 1);
    assert_string_equal(e->text, "10.0.0.7:8080"); /* still there */
    endpoint_free(e);
    endpoint_free(NULL);
}

static void what_is_known_is_handed_on(void **unused)
{
    (void)unused;
    struct endpoint_spec  spec = spec_v4();
    struct endpoint      *old = endpoint_new(&spec, NULL);
    struct endpoint_live *live = old->live;
    endpoint_note_failure(old, SECOND);
    struct endpoint *heir = endpoint_new(&spec, live);
    endpoint_unref(old);
    assert_int_equal(endpoint_note_failure(heir, SECOND), 2);
    endpoint_live_ref(live);
    endpoint_unref(heir);
    assert_int_equal(atomic_load(&live->failed), 2);
    endpoint_live_unref(live);
    endpoint_live_unref(NULL);
}

static void outcomes_are_counted(void **unused)
{
    (void)unused;
    struct endpoint_spec spec = spec_v4();
    struct endpoint     *e = endpoint_new(&spec, NULL);
    assert_int_equal(endpoint_note_failure(e, SECOND), 1);
    assert_int_equal(endpoint_note_failure(e, SECOND), 2);
    endpoint_note_success(e, 100, SECOND);
    assert_int_equal(endpoint_note_failure(e, SECOND), 1);
    assert_int_equal(atomic_load(&e->live->outcomes), 4);
    assert_int_equal(atomic_load(&e->live->failed), 3);
    endpoint_unref(e);
}

static void assert_latency(const struct endpoint *e, uint64_t now_ns, double low, double high)
{
    double us = endpoint_latency_us(e, now_ns);
    if (us < low || us > high) fail_msg("%g is not in [%g, %g]", us, low, high);
}

static void the_mean_jumps_up_and_creeps_down(void **unused)
{
    (void)unused;
    struct endpoint_spec spec = spec_v4();
    struct endpoint     *e = endpoint_new(&spec, NULL);
    assert_latency(e, 50 * SECOND, 0, 0);
    endpoint_note_success(e, 1000, 50 * SECOND);
    assert_latency(e, 50 * SECOND, 1000, 1000);
    endpoint_note_success(e, 9000, 51 * SECOND); /* a peak counts at once */
    assert_latency(e, 51 * SECOND, 9000, 9000);
    endpoint_note_success(e, 1000, 51 * SECOND); /* no time has passed */
    assert_latency(e, 51 * SECOND, 9000, 9000);
    endpoint_note_success(e, 1000, 61 * SECOND); /* one tau: 1000 + 8000 / e, 3 % more */
    assert_latency(e, 61 * SECOND, 1000 + 8000 * 0.36, 1000 + 8000 * 0.38);
    endpoint_note_success(e, 1000, 60 * SECOND); /* a clock that is behind */
    assert_latency(e, 60 * SECOND, 3000, 5000);
    /* Nobody asks: it fades. */
    assert_latency(e, 161 * SECOND, 0.01, 4);
    endpoint_unref(e);
}

static void too_quick_to_measure_is_not_unknown(void **unused)
{
    (void)unused;
    struct endpoint_spec spec = spec_v4();
    struct endpoint     *e = endpoint_new(&spec, NULL);
    endpoint_note_success(e, 0, SECOND);
    assert_latency(e, SECOND, 0.1, 1);
    endpoint_unref(e);
}

/* 50,000 answers a second, each of which moves the mean by less than a nanosecond. */
static void many_small_steps_add_up(void **unused)
{
    (void)unused;
    struct endpoint_spec spec = spec_v4();
    struct endpoint     *e = endpoint_new(&spec, NULL);
    endpoint_note_success(e, 2000, SECOND);
    for (unsigned i = 1; i <= 500000; i++) endpoint_note_success(e, 1000, SECOND + i * 20000ULL);
    assert_latency(e, 11 * SECOND, 1000 + 1000 * 0.36, 1000 + 1000 * 0.38);
    endpoint_unref(e);
}

static void failures_look_slow(void **unused)
{
    (void)unused;
    struct endpoint_spec spec = spec_v4();
    struct endpoint     *e = endpoint_new(&spec, NULL);
    endpoint_note_success(e, 500, SECOND);
    endpoint_note_failure(e, SECOND);
    assert_latency(e, SECOND, 1e6, 1e6);
    endpoint_note_success(e, 3000000, 2 * SECOND);
    endpoint_note_failure(e, 12 * SECOND); /* a second is less; it does not make it better */
    assert_latency(e, 12 * SECOND, 3e6, 3e6);
    endpoint_unref(e);
}

static void sets_have_two_tiers(void **unused)
{
    (void)unused;
    static const uint32_t weights[] = { 5, 0, 5, 7 };
    struct endpoint_pick  picks[4];
    for (unsigned i = 0; i < 4; i++) {
        struct endpoint_spec spec = spec_v4();
        spec.is_backup = i % 2;
        picks[i] = (struct endpoint_pick){ endpoint_new(&spec, NULL), weights[i], false };
    }
    const struct balance_ops   *ops = balance_algorithms[BALANCE_RANDOM];
    struct endpoint_set        *set = endpoint_set_new(ops, NULL, picks, 4);
    struct endpoint_set        *none = endpoint_set_new(ops, NULL, NULL, 0);
    const struct endpoint_tier *primary = &set->tiers[TIER_PRIMARY];
    const struct endpoint_tier *backup = &set->tiers[TIER_BACKUP];
    assert_true(set->id != 0 && none->id != set->id);
    assert_int_equal(primary->count, 2);
    assert_ptr_equal(primary->items[1], picks[2].endpoint);
    assert_true(primary->is_even && !primary->aliases && primary->total_weight == 10);
    assert_int_equal(backup->count, 2);
    assert_ptr_equal(backup->items[0], picks[1].endpoint);
    assert_int_equal(backup->weights[0], 1); /* none is without weight */
    assert_true(!backup->is_even && backup->aliases && backup->total_weight == 8);
    assert_int_equal(none->tiers[TIER_PRIMARY].count, 0);
    endpoint_set_free(set);
    endpoint_set_free(none);
    endpoint_set_free(NULL);
    for (unsigned i = 0; i < 4; i++) endpoint_unref(picks[i].endpoint);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_have_defaults),
        cmocka_unit_test(a_path_is_its_own),
        cmocka_unit_test(the_last_reference_tells),
        cmocka_unit_test(what_is_known_is_handed_on),
        cmocka_unit_test(outcomes_are_counted),
        cmocka_unit_test(the_mean_jumps_up_and_creeps_down),
        cmocka_unit_test(too_quick_to_measure_is_not_unknown),
        cmocka_unit_test(many_small_steps_add_up),
        cmocka_unit_test(failures_look_slow),
        cmocka_unit_test(sets_have_two_tiers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
