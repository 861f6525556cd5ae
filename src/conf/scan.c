/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes that a configuration file cannot hold. See scan.h.
 */
#include "conf/scan.h"

#include "base/utf8.h"

/* Why YAML, or a person who counts lines, would stumble over it; NULL: fine. */
static const char *fault_of(uint32_t code, uint32_t next)
{
    if (code == 0) return "a NUL byte: the file is not text";
    if (code == '\r') return next == '\n' ? NULL : "a carriage return without a line feed";
    if (code == '\n' || code == '\t') return NULL;
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return "a control character";
    if (code == 0x2028 || code == 0x2029) return "a Unicode line break; write \\u2028 in quotes";
    if (code == 0xfeff || code == 0xfffe || code == 0xffff) return "a character that is not text";
    return NULL;
}

size_t conf_character(const char *text, size_t len)
{
    uint32_t code = 0;
    size_t   bytes = utf8_decode(text, len, &code);
    return bytes && !fault_of(code, 0) ? bytes : 0;
}

bool conf_scan(const char *file, struct slice text, struct conf_report *r)
{
    const unsigned char *p = (const unsigned char *)text.data, *end = p + text.len;
    struct conf_place    at = { file, 1, 1 };
    if (text.len >= 2 && ((p[0] == 0xff && p[1] == 0xfe) || (p[0] == 0xfe && p[1] == 0xff))) {
        conf_report_add(r, CONF_ERROR, &at, "the file is UTF-16; it must be UTF-8");
        return false;
    }
    for (size_t len; p < end; p += len) {
        uint32_t    code = 0;
        const char *fault = "not valid UTF-8";
        len = utf8_decode((const char *)p, (size_t)(end - p), &code);
        if (len) fault = fault_of(code, p + 1 < end ? p[1] : 0);
        if (fault) {
            conf_report_add(r, CONF_ERROR, &at, "%s (byte 0x%02x)", fault, *p);
            return false;
        }
        at.column++;
        if (code == '\n') {
            at.line++;
            at.column = 1;
        }
    }
    return true;
}
