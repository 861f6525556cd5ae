/* SPDX-License-Identifier: Apache-2.0
 *
 * Paths and authorities: [options][bytes]. A normal form is its own normal form
 * and holds nothing that leads upwards; a good authority is good again.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "claim.h"
#include "http/chars.h"
#include "http/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_normal(struct slice path, const struct uri_rules *rules)
{
    CHECK(path.len && path.data[0] == '/');
    size_t segment = 1;
    for (size_t i = 1; i <= path.len; i++) {
        if (i < path.len && path.data[i] != '/') {
            char c = path.data[i];
            CHECK(c == '%' || http_char_is(c, CHAR_PATH));
            continue;
        }
        struct slice s = slice_make(path.data + segment, i - segment);
        CHECK(!slice_eq(s, S(".")) && !slice_eq(s, S("..")));
        if (!rules->allows_encoded_slash)
            CHECK(!slice_starts_with(s, S("..;")) && !slice_starts_with(s, S(".;")));
        if (rules->merges_slashes) CHECK(s.len || i == path.len);
        segment = i + 1;
    }
    for (size_t i = 0; i < path.len; i++) {
        if (path.data[i] != '%') continue;
        CHECK(i + 2 < path.len && memcmp(path.data + i, "%00", 3) != 0);
        if (!rules->allows_encoded_slash)
            CHECK(memcmp(path.data + i, "%2F", 3) != 0 && memcmp(path.data + i, "%5C", 3) != 0);
        for (size_t j = 1; j <= 2; j++)
            CHECK(http_char_is(path.data[i + j], CHAR_HEX) && path.data[i + j] < 'a');
    }
}

static void try_path(struct slice raw, const struct uri_rules *rules)
{
    struct arena a;
    struct slice path;
    struct slice again;
    arena_init(&a, NULL);
    if (!uri_path(raw, rules, &a, &path)) {
        check_normal(path, rules);
        CHECK(!uri_path(path, rules, &a, &again));
        CHECK(slice_eq(path, again));
    }
    arena_reset(&a);
}

static void try_authority(struct slice text)
{
    struct uri_authority first;
    struct uri_authority again;
    if (!uri_authority(text, &first)) return;
    CHECK(first.host.len && first.text.len >= first.host.len);
    CHECK(uri_authority(first.text, &again));
    CHECK(slice_eq(first.text, again.text) && slice_eq(first.host, again.host));
    CHECK(first.port == again.port && uri_authority_is_same(&first, &again, 80));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    struct uri_rules rules = { .allows_encoded_slash = data[0] & 1, .merges_slashes = data[0] & 2 };
    size_t           len = size - 1;
    char            *text = mem_alloc(len + !len);
    memcpy(text, data + 1, len);
    try_path(slice_make(text, len), &rules);
    try_authority(slice_make(text, len));
    free(text);
    return 0;
}
