/* SPDX-License-Identifier: Apache-2.0
 *
 * UTF-8. See utf8.h.
 */
#include "base/utf8.h"

#include <stdbool.h>

static size_t length_of(unsigned char first)
{
    if (first < 0x80) return 1;
    if (first < 0xc2) return 0;
    if (first < 0xe0) return 2;
    if (first < 0xf0) return 3;
    return first < 0xf5 ? 4 : 0;
}

size_t utf8_decode(const char *text, size_t left, uint32_t *point)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    const unsigned char  *s = (const unsigned char *)text;
    size_t                len = length_of(s[0]);
    if (len == 0 || len > left) return 0;
    uint32_t value = len == 1 ? s[0] : s[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
        value = value << 6 | (s[i] & 0x3f);
    }
    bool is_surrogate = value >= 0xd800 && value <= 0xdfff;
    if (value < least[len] || value > 0x10ffff || is_surrogate) return 0;
    *point = value;
    return len;
}
