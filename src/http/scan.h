/* SPDX-License-Identifier: Apache-2.0
 *
 * Finding bytes sixteen at a time where the machine can (SSE2 is part of every
 * x86-64), one at a time elsewhere. The scan_* functions that have no `end` may
 * read up to 15 bytes past what they find: the caller guarantees that there is a
 * match and that those bytes are readable.
 */
#pragma once

#include <stdint.h>

#include "http/chars.h"

#if defined(__SSE2__)
#include <emmintrin.h>

static inline __m128i scan_load(const char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* The first control byte other than HTAB. As signed bytes, obs-text is below SP
 * like control bytes: it is rare, and looked at one by one. */
static inline const char *scan_control(const char *p)
{
    for (;; p += 16) {
        __m128i v = scan_load(p);
        __m128i low = _mm_cmplt_epi8(v, _mm_set1_epi8(0x20));
        __m128i del = _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f));
        int     found = _mm_movemask_epi8(_mm_or_si128(low, del));
        if (__builtin_expect(!found, 1)) continue;
        p += (unsigned)__builtin_ctz((unsigned)found);
        if (*p == '\r' || !http_char_is(*p, CHAR_VALUE)) return p;
        p -= 15;
    }
}

/* The first byte that is not VCHAR. */
static inline const char *scan_not_vchar(const char *p)
{
    for (;; p += 16) {
        __m128i v = scan_load(p);
        /* As signed bytes, obs-text is below SP too. */
        __m128i low = _mm_cmplt_epi8(v, _mm_set1_epi8(0x21));
        __m128i del = _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f));
        int     found = _mm_movemask_epi8(_mm_or_si128(low, del));
        if (found) return p + (unsigned)__builtin_ctz((unsigned)found);
    }
}

/* The first ':'. */
static inline const char *scan_colon(const char *p)
{
    for (;; p += 16) {
        int found = _mm_movemask_epi8(_mm_cmpeq_epi8(scan_load(p), _mm_set1_epi8(':')));
        if (found) return p + (unsigned)__builtin_ctz((unsigned)found);
    }
}

#else

static inline const char *scan_control(const char *p)
{
    while (http_char_is(*p, CHAR_VALUE)) p++;
    return p;
}

static inline const char *scan_not_vchar(const char *p)
{
    while (*p > 0x20 && *p < 0x7f) p++;
    return p;
}

static inline const char *scan_colon(const char *p)
{
    while (*p != ':') p++;
    return p;
}

#endif
