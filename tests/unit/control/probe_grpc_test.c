/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks over HTTP/2: by a request, and by gRPC's health service, whose answers are
 * trusted in nothing.
 */
#include "probe_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static struct rig rig;

static int tear_down(void **state)
{
    (void)state;
    rig_reset(&rig);
    return 0;
}

static const char h2[] = "    protocol: h2\n";

#define SERVING "\0\0\0\0\2\10\1"

/* A replica that answers well. */
static void begin(const char *health_check)
{
    rig_init(&rig, health_check, h2);
    rig_listen(&rig, NULL);
    rig.is_h2 = true;
    rig.status = 200;
    rig.content_type = "application/grpc+proto";
    rig.grpc_status = "0";
    rig.body = S(SERVING);
}

static const char grpc[] = "{ type: grpc, fast_interval: 100ms, interval: 100ms, timeout: 1s }";

/* ---- requests ---- */

static void asks_over_http_2(void **state)
{
    (void)state;
    begin("{ path: /up, host: probe.internal, interval: 100ms }");
    rig_check(&rig, true, "200 OK");
    assert_string_equal(rig.got.data, "GET /up probe.internal|||");
    rig_until(&rig, 3);
    rig_turn(&rig);
    assert_int_equal(rig.accepted_count, 3); /* each a connection */
    assert_int_equal(rig.closed_count, 3);
}

static void it_speaks_http_1_only(void **state)
{
    (void)state;
    begin("{ path: /, timeout: 1s }");
    rig.is_h2 = false;
    rig.greets = true;
    rig_answer(&rig, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    rig.hangs_up = true;
    rig_check(&rig, false, "the server does not speak HTTP/2");
}

static void nothing_is_answered_over_http_2(void **state)
{
    (void)state;
    begin("{ path: /, timeout: 50ms }");
    rig.status = 0;
    rig_check(&rig, false, "no answer within 50ms");
    while (rig.closed_count == 0) rig_turn(&rig);
}

/* Connected, and then silence: no SETTINGS. */
static void nothing_at_all_is_said(void **state)
{
    (void)state;
    begin("{ path: /, timeout: 50ms, fast_interval: 100ms }");
    rig.is_h2 = false;
    rig_check(&rig, false, "no answer within 50ms");
    while (rig.closed_count == 0) rig_turn(&rig);
    rig.is_h2 = true;
    rig_expect(&rig, true, "200 OK");
}

/* ---- gRPC ---- */

static void it_serves(void **state)
{
    (void)state;
    begin(grpc);
    rig_check(&rig, true, "SERVING");
    struct slice expected = S("POST /grpc.health.v1.Health/Check 127.0.0.1:");
    assert_true(slice_starts_with(buffer_slice(&rig.got), expected));
    assert_true(slice_ends_with(buffer_slice(&rig.got), S("|application/grpc|te|\0\0\0\0\0")));
}

static void a_service_is_asked_about(void **state)
{
    (void)state;
    begin("{ type: grpc, service: shop.Orders }");
    rig_check(&rig, true, "SERVING");
    assert_true(slice_ends_with(buffer_slice(&rig.got),
                                S("|application/grpc|te|\0\0\0\0\15\12\13shop.Orders")));
}

/* One of the longest names, whose length takes two bytes. */
static void a_long_name_is_asked_about(void **state)
{
    char text[400], name[257];
    (void)state;
    memset(name, 'n', 256);
    name[256] = 0;
    snprintf(text, sizeof(text), "{ type: grpc, service: %s }", name);
    begin(text);
    rig_check(&rig, true, "SERVING");
    size_t at = rig.got.len - 256 - 8;
    assert_memory_equal(rig.got.data + at, "\0\0\0\1\3\12\200\2nnn", 11);
}

struct answer {
    struct slice body;
    const char  *grpc_status;
    const char  *output;
};

static void answers_mean(const struct answer *answers, size_t count)
{
    begin(grpc);
    rig_check(&rig, true, "SERVING");
    for (size_t i = 0; i < count; i++) {
        rig.body = answers[i].body;
        rig.grpc_status = answers[i].grpc_status;
        rig_expect(&rig, slice_eq(slice_of(answers[i].output), S("SERVING")), answers[i].output);
    }
}

static void other_states_are_bad(void **state)
{
    static const struct answer answers[] = {
        { SLICE("\0\0\0\0\2\10\2"), "0", "NOT_SERVING" },
        { SLICE("\0\0\0\0\2\10\3"), "0", "SERVICE_UNKNOWN" },
        { SLICE("\0\0\0\0\2\10\0"), "0", "UNKNOWN" },
        { SLICE("\0\0\0\0\0"), "0", "UNKNOWN" }, /* zero is left out */
        { SLICE("\0\0\0\0\2\10\7"), "0", "malformed answer: unknown_status" },
        { SLICE(SERVING), "5", "grpc-status 5: NOT_FOUND" },
        { SLICE(""), "12", "grpc-status 12: UNIMPLEMENTED" },
        { SLICE(SERVING), "17", "malformed answer: bad_grpc_status" },
        { SLICE(SERVING), "99", "malformed answer: bad_grpc_status" },
        { SLICE(SERVING), "x", "malformed answer: bad_grpc_status" },
        { SLICE(SERVING), "000", "malformed answer: bad_grpc_status" },
        { SLICE(SERVING), NULL, "malformed answer: no_grpc_status" },
    };
    (void)state;
    answers_mean(answers, sizeof(answers) / sizeof(answers[0]));
}

static void messages_are_understood(void **state)
{
    static const struct answer answers[] = {
        /* Its end would be found in what was there before. */
        { SLICE("\0\0\0\0\1\10"), "0", "malformed answer: bad_message" },
        /* Fields that are not known: a varint, 8 bytes, a text, 4 bytes. */
        { SLICE("\0\0\0\0\31\20\226\1\31........\42\2hi\55....\10\1"), "0",
          "malformed answer: bad_message" },
        { SLICE("\0\0\0\0\27\20\226\1\31........\42\2hi\55....\10\1"), "0", "SERVING" },
        { SLICE("\0\0\0\0\4\10\2\10\1"), "0", "SERVING" }, /* the last one holds */
        { SLICE("\0\0\0\0\3\10\201\0"), "0", "SERVING" },  /* longer than it need be */
        { SLICE("\0\0\0\0\2\12\1"), "0", "malformed answer: bad_message" },  /* cut off */
        { SLICE("\0\0\0\0\2\13\14"), "0", "malformed answer: bad_message" }, /* a group */
        { SLICE("\0\0\0\0\15\10\377\377\377\377\377\377\377\377\377\377\377\1"), "0",
          "malformed answer: bad_message" }, /* a varint without end */
        { SLICE("\0\0\0\0\14\22\377\377\377\377\377\377\377\377\377\1\0"), "0",
          "malformed answer: bad_message" }, /* a length of 2^64 - 1 */
        { SLICE("\1\0\0\0\2\10\1"), "0", "malformed answer: bad_message" }, /* compressed */
        { SLICE("\0\0\0\0\3\10\1"), "0", "malformed answer: bad_message" },
        { SLICE("\0\377\377\377\377\10\1"), "0", "malformed answer: bad_message" },
        { SLICE("\0\0\0\0\2\10\1\0\0\0\0\2\10\1"), "0", "malformed answer: bad_message" },
        { SLICE("\0\0\0\0\2\10\1\20\1"), "0", "malformed answer: bad_message" },
        { SLICE("\0\0\0"), "0", "malformed answer: bad_message" },
        { SLICE(""), "0", "malformed answer: bad_message" },
    };
    (void)state;
    answers_mean(answers, sizeof(answers) / sizeof(answers[0]));
}

static void a_head_may_be_all(void **state)
{
    (void)state;
    begin(grpc);
    rig.has_early_status = true;
    rig.grpc_status = "12";
    rig_check(&rig, false, "grpc-status 12: UNIMPLEMENTED");
}

static void it_is_no_grpc(void **state)
{
    (void)state;
    begin(grpc);
    rig.content_type = "text/html";
    rig_check(&rig, false, "malformed answer: not_grpc");
    rig.status = 404;
    rig_expect(&rig, false, "404 Not Found");
}

static void a_message_is_bounded(void **state)
{
    static char large[PROBE_BODY_BYTES + 1];
    (void)state;
    begin(grpc);
    rig.body = slice_make(large, sizeof(large));
    rig_check(&rig, false, "malformed answer: message_too_long");
}

#define TEST(f) cmocka_unit_test_teardown(f, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(asks_over_http_2),
        TEST(it_speaks_http_1_only),
        TEST(nothing_is_answered_over_http_2),
        TEST(nothing_at_all_is_said),
        TEST(it_serves),
        TEST(a_service_is_asked_about),
        TEST(a_long_name_is_asked_about),
        TEST(other_states_are_bad),
        TEST(messages_are_understood),
        TEST(a_head_may_be_all),
        TEST(it_is_no_grpc),
        TEST(a_message_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
