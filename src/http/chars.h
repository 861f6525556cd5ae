/* SPDX-License-Identifier: Apache-2.0
 *
 * Classes of bytes in HTTP messages, one table for all.
 */
#pragma once

#include <stdbool.h>

enum http_char_class {
    CHAR_TOKEN = 0x01,      /* tchar, RFC 9110 section 5.6.2 */
    CHAR_VALUE = 0x02,      /* field-content, SP, HTAB, obs-text: section 5.5 */
    CHAR_UNRESERVED = 0x04, /* RFC 3986 section 2.3 */
    CHAR_REG_NAME = 0x08,   /* unreserved and sub-delims */
    CHAR_PATH = 0x10,       /* pchar without "%", and "/" */
    CHAR_HEX = 0x20,
    CHAR_PLAIN = 0x40, /* CHAR_PATH without "." and "/" */
    CHAR_NAME = 0x80,  /* CHAR_TOKEN without "_" */
};

extern const unsigned char http_char_classes[256];

static inline bool http_char_is(char c, enum http_char_class what)
{
    return http_char_classes[(unsigned char)c] & what;
}

/* Of a CHAR_HEX byte. */
static inline unsigned http_hex_value(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
}
