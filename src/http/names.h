/* SPDX-License-Identifier: Apache-2.0
 *
 * The table behind http_field_lookup(), and the same for a parser that reads
 * names where they lie. The hash of the known names of 4 bytes and more is
 * perfect; tests/unit/http/field_test.c finds out when it is not.
 */
#pragma once

#include "http/message.h"
#include "http/scan.h"

enum { HTTP_NAME_BYTES_MAX = 25, HTTP_NAME_SLACK_BYTES = 32 };

struct http_name_row {
    char    text[HTTP_NAME_SLACK_BYTES - 1]; /* lower case, zeros after it */
    uint8_t len;
};

extern const struct http_name_row http_name_rows[FIELD_ID_COUNT];
extern const uint8_t              http_name_slots[256];

static inline uint32_t http_name_word(const char *p)
{
    uint32_t word;
    memcpy(&word, p, sizeof(word));
    return word | 0x20202020u;
}

/* Of 4 bytes and more. */
static inline unsigned http_name_hash(const char *name, size_t len)
{
    uint32_t key = http_name_word(name) + http_name_word(name + len - 4) * 5 + (uint32_t)len;
    return key * 0x3b7dae05u >> 24;
}

#if defined(__SSE2__)

/* How many bytes at the beginning agree: up to 16. Case is ignored where the row
 * has a letter: bit 0x40 of such a byte tells, and becomes the bit to ignore. */
static inline unsigned http_name_agrees(const char *name, const char *row)
{
    __m128i known = scan_load(row);
    __m128i letters = _mm_and_si128(_mm_srli_epi16(known, 1), _mm_set1_epi8(0x20));
    __m128i same = _mm_cmpeq_epi8(_mm_or_si128(scan_load(name), letters), known);
    return (unsigned)__builtin_ctz(~(unsigned)_mm_movemask_epi8(same));
}

/* As http_field_lookup(); HTTP_NAME_SLACK_BYTES from `name` on are readable, and
 * the byte after it is no letter. */
static inline enum http_field_id http_name_lookup(const char *name, size_t len)
{
    if (len < 4 || len > HTTP_NAME_BYTES_MAX) return http_field_lookup(slice_make(name, len));
    unsigned                    id = http_name_slots[http_name_hash(name, len)];
    const struct http_name_row *row = &http_name_rows[id];
    if (row->len != len) return FIELD_OTHER;
    unsigned agreed = http_name_agrees(name, row->text);
    if (agreed == 16) agreed += http_name_agrees(name + 16, row->text + 16);
    return agreed >= len ? (enum http_field_id)id : FIELD_OTHER;
}

#else

static inline enum http_field_id http_name_lookup(const char *name, size_t len)
{
    return http_field_lookup(slice_make(name, len));
}

#endif
