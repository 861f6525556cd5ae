/* SPDX-License-Identifier: Apache-2.0
 *
 * Digests: the published examples.
 */
#include "io/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* RFC 6455 section 1.3. */
static void answers_a_websocket_key(void **unused)
{
    (void)unused;
    struct arena a;
    arena_init(&a, NULL);
    assert_true(slice_eq(digest_sha1_base64(&a, S("dGhlIHNhbXBsZSBub25jZQ=="),
                                            S("258EAFA5-E914-47DA-95CA-C5AB0DC85B11")),
                         S("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
    arena_reset(&a);
}

/* RFC 4231 section 4.3, and a message with a NUL in it. */
static void authenticates_by_sha256(void **unused)
{
    (void)unused;
    static const uint8_t expected[DIGEST_SHA256_BYTES] = {
        0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24,
        0x26, 0x08, 0x95, 0x75, 0xc7, 0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27,
        0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43,
    };
    uint8_t sum[DIGEST_SHA256_BYTES], other[DIGEST_SHA256_BYTES];
    digest_hmac_sha256(sum, S("Jefe"), S("what do ya want for nothing?"));
    assert_memory_equal(sum, expected, sizeof(sum));
    digest_hmac_sha256(sum, S("Jefe"), S("a\0b"));
    digest_hmac_sha256(other, S("Jefe"), S("a\0c"));
    assert_memory_not_equal(sum, other, sizeof(sum));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_a_websocket_key),
        cmocka_unit_test(authenticates_by_sha256),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
