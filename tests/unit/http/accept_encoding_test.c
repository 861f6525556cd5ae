/* SPDX-License-Identifier: Apache-2.0
 *
 * Accept-Encoding by RFC 9110 section 12.5.3: what is taken, and how gladly.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/accept_encoding.h"

struct row {
    const char *first, *second; /* fields; NULL: none */
    uint16_t    identity, gzip, br, zstd;
};

static const struct row rows[] = {
    { NULL, NULL, 1, 0, 0, 0 },
    { "", NULL, 1, 0, 0, 0 },
    { "gzip", NULL, 1, 1000, 0, 0 },
    { "GZIP, Br", NULL, 1, 1000, 1000, 0 },
    { "x-gzip", NULL, 1, 1000, 0, 0 },
    { "gzip, deflate, br, zstd", NULL, 1, 1000, 1000, 1000 },
    { "gzip;q=0.5,br;q=0.25 , zstd;q=1.000", NULL, 1, 500, 250, 1000 },
    { "gzip ; q=0.001", NULL, 1, 1, 0, 0 },
    { "gzip;Q=0.9", NULL, 1, 900, 0, 0 },
    { "gzip;q=0", NULL, 1, 0, 0, 0 },
    { "gzip;q=0.", NULL, 1, 0, 0, 0 },
    { "*", NULL, 1000, 1000, 1000, 1000 },
    { "*;q=0", NULL, 0, 0, 0, 0 },
    { "gzip, *;q=0", NULL, 0, 1000, 0, 0 },
    { "*;q=0.5, gzip;q=0", NULL, 500, 0, 500, 500 },
    { "identity;q=0", NULL, 0, 0, 0, 0 },
    { "identity;q=0, gzip", NULL, 0, 1000, 0, 0 },
    { "identity, gzip;q=0.5", NULL, 1000, 500, 0, 0 },
    { "identity;q=0.5, *;q=0", NULL, 500, 0, 0, 0 },
    { "gzip", "br;q=0.7", 1, 1000, 700, 0 },
    { "gzip", "gzip;q=0", 1, 0, 0, 0 },
    /* What cannot be understood is passed over. */
    { "gzip;q=2", NULL, 1, 0, 0, 0 },
    { "gzip;q=1.001", NULL, 1, 0, 0, 0 },
    { "gzip;q=0.1234", NULL, 1, 0, 0, 0 },
    { "gzip;q=-1", NULL, 1, 0, 0, 0 },
    { "gzip;q", NULL, 1, 0, 0, 0 },
    { "gzip;x=1", NULL, 1, 0, 0, 0 },
    { "gzip br", NULL, 1, 0, 0, 0 },
    { ",, gzip,;q=1,", NULL, 1, 1000, 0, 0 },
    { "compress, gzipped, zst", NULL, 1, 0, 0, 0 },
};

static void weights_are_those_of_the_fields(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row     *r = &rows[i];
        struct http_fields    f = { 0 };
        struct arena          a;
        struct coding_weights w;
        arena_init(&a, NULL);
        if (r->first) http_fields_add_named(&f, &a, S("accept-encoding"), slice_of(r->first));
        http_fields_add_named(&f, &a, S("Accept"), S("br"));
        if (r->second) http_fields_add_named(&f, &a, S("Accept-Encoding"), slice_of(r->second));
        http_accept_encoding(&f, &w);
        const uint16_t wanted[CODING_COUNT] = { r->identity, r->gzip, r->br, r->zstd };
        for (size_t c = 0; c < CODING_COUNT; c++)
            if (w.of[c] != wanted[c])
                fail_msg("\"%s\": %s is %u", r->first, http_coding_name(c).data, w.of[c]);
        arena_reset(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_those_of_the_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
