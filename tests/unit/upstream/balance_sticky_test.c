/* SPDX-License-Identifier: Apache-2.0
 *
 * sticky: tokens, and whom they bring a client to.
 */
#include "balance_rig.h"

#include <stdio.h>

enum { COUNT = 100, TOKEN_MAX = 64 };

/* A copy, as text. */
static void token_of(const struct rig *r, size_t i, char to[TOKEN_MAX])
{
    struct slice token = balance_token(r->set, r->endpoints[i]);
    assert_in_range(token.len, 20, TOKEN_MAX - 1);
    snprintf(to, TOKEN_MAX, "%.*s", SLICE_ARG(token));
    assert_int_equal(strlen(to), token.len);
}

static void a_token_leads_back(void **unused)
{
    (void)unused;
    static const size_t counts[] = { 1, 2, COUNT };
    for (unsigned c = 0; c < 3; c++) {
        struct rig r;
        rig_init(&r, BALANCE_STICKY, NULL, counts[c]);
        for (size_t i = 0; i < counts[c]; i++) {
            r.ask.token = balance_token(r.set, r.endpoints[i]);
            rig_set_active(&r, i, 1000); /* busy or not */
            for (unsigned n = 0; n < 10; n++) assert_int_equal(rig_choose(&r), (int)i);
        }
        rig_reset(&r);
    }
}

static void backups_have_tokens(void **unused)
{
    (void)unused;
    struct rig r;
    rig_init_tiers(&r, BALANCE_STICKY, NULL, 4, 2);
    r.ask.token = balance_token(r.set, r.endpoints[3]);
    assert_true(r.ask.token.len > 0);
    assert_in_range(rig_choose(&r), 0, 1); /* primaries come first all the same */
    balance_tried(&r.ask, r.endpoints[0]);
    balance_tried(&r.ask, r.endpoints[1]);
    for (unsigned n = 0; n < 50; n++) assert_int_equal(rig_choose(&r), 3);
    rig_reset(&r);
}

static void tokens_are_opaque_and_differ(void **unused)
{
    (void)unused;
    struct rig r;
    char       tokens[COUNT][TOKEN_MAX];
    rig_init(&r, BALANCE_STICKY, NULL, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        token_of(&r, i, tokens[i]);
        assert_null(strstr(tokens[i], "10.0"));
        /* Safe in a cookie (RFC 6265 section 4.1.1). */
        assert_int_equal(strspn(tokens[i], "0123456789abcdefghijklmnopqrstuvwxyz"
                                           "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_"),
                         strlen(tokens[i]));
        for (size_t j = 0; j < i; j++) assert_string_not_equal(tokens[i], tokens[j]);
    }
    rig_reset(&r);
}

/* HMAC-SHA256 of "app", NUL, "10.0.0.0:80" by 32 bytes of 7, as openssl(1) has it. */
static void a_token_is_the_same_everywhere(void **unused)
{
    (void)unused;
    struct rig r;
    char       token[TOKEN_MAX];
    rig_init(&r, BALANCE_STICKY, NULL, 3);
    token_of(&r, 0, token);
    assert_string_equal(token, "c8f0b4771dc87e23a0b1c836d791d487");
    r.is_out[1] = true;
    r.is_reversed = true;
    rig_publish(&r);
    token_of(&r, 0, token);
    assert_string_equal(token, "c8f0b4771dc87e23a0b1c836d791d487");
    rig_reset(&r);
}

static void tokens_go_by_secret_and_upstream(void **unused)
{
    (void)unused;
    struct rig r;
    char       token[TOKEN_MAX], other[TOKEN_MAX];
    rig_init(&r, BALANCE_STICKY, NULL, 2);
    token_of(&r, 0, token);
    r.config.secret[31] ^= 1;
    rig_publish(&r);
    token_of(&r, 0, other);
    assert_string_not_equal(token, other);
    r.config.secret[31] ^= 1;
    r.config.upstream = S("api");
    rig_publish(&r);
    token_of(&r, 0, other);
    assert_string_not_equal(token, other);
    /* And those of before are worth nothing now. */
    r.ask.token = slice_of(token);
    unsigned seen[2];
    rig_count(&r, 200, seen);
    assert_in_range(seen[0], 30, 170);
    rig_reset(&r);
}

/* As without one: the less busy. */
static void what_is_no_token_is_ignored(void **unused)
{
    (void)unused;
    struct rig r;
    char       token[TOKEN_MAX], longer[TOKEN_MAX + 1], forged[TOKEN_MAX];
    rig_init(&r, BALANCE_STICKY, NULL, 2);
    token_of(&r, 0, token);
    snprintf(longer, sizeof(longer), "%sa", token);
    snprintf(forged, sizeof(forged), "%s", token);
    forged[5] = forged[5] == '0' ? '1' : '0';
    const struct slice not_tokens[] = {
        slice_make(NULL, 0), S("a"),           S("10.0.0.0:80"),
        slice_of(longer),    slice_of(forged), slice_make(token, strlen(token) - 1),
    };
    rig_set_active(&r, 0, 10);
    for (size_t i = 0; i < sizeof(not_tokens) / sizeof(not_tokens[0]); i++) {
        r.ask.token = not_tokens[i];
        for (unsigned n = 0; n < 50; n++) assert_int_equal(rig_choose(&r), 1);
    }
    r.ask.token = slice_of(token);
    assert_int_equal(rig_choose(&r), 0);
    rig_reset(&r);
}

static void who_cannot_be_had_is_replaced(void **unused)
{
    (void)unused;
    struct rig r;
    rig_init(&r, BALANCE_STICKY, NULL, COUNT);
    r.ask.token = balance_token(r.set, r.endpoints[7]);
    r.set->request_max = 10;
    rig_set_active(&r, 7, 10);
    for (unsigned n = 0; n < 100; n++) assert_int_not_equal(rig_choose(&r), 7);
    rig_set_active(&r, 7, 9);
    assert_int_equal(rig_choose(&r), 7);
    balance_tried(&r.ask, r.endpoints[7]);
    for (unsigned n = 0; n < 100; n++) assert_int_not_equal(rig_choose(&r), 7);
    rig_reset(&r);
}

static void others_have_no_tokens(void **unused)
{
    (void)unused;
    struct rig r;
    rig_init(&r, BALANCE_RANDOM, NULL, 2);
    assert_int_equal(balance_token(r.set, r.endpoints[0]).len, 0);
    r.settings.algorithm = BALANCE_STICKY;
    r.is_out[1] = true;
    rig_publish(&r);
    assert_true(balance_token(r.set, r.endpoints[0]).len > 0);
    assert_int_equal(balance_token(r.set, r.endpoints[1]).len, 0); /* not in the set */
    rig_reset(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_leads_back),
        cmocka_unit_test(backups_have_tokens),
        cmocka_unit_test(tokens_are_opaque_and_differ),
        cmocka_unit_test(a_token_is_the_same_everywhere),
        cmocka_unit_test(tokens_go_by_secret_and_upstream),
        cmocka_unit_test(what_is_no_token_is_ignored),
        cmocka_unit_test(who_cannot_be_had_is_replaced),
        cmocka_unit_test(others_have_no_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
