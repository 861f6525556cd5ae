/* SPDX-License-Identifier: Apache-2.0
 *
 * A line of the access log. Clean text, which is nearly all of it, is checked
 * and copied sixteen bytes at a time; only text that holds a quote, a
 * backslash, a control byte or a byte past ASCII takes the slow way.
 */
#include <assert.h>

#include "base/decimal.h"
#include "base/utf8.h"
#include "proxy/access_log.h"

enum {
    TARGET_MAX = 8192,
    REFERER_MAX = 2048,
    USER_AGENT_MAX = 1024,
    TEXT_MAX = 512, /* any other */
    TEXT_COUNT = 11,
    ESCAPED_MAX = 6,  /* bytes that one becomes */
    FIXED_MAX = 2048, /* keys, numbers and punctuation */
};

static_assert((TARGET_MAX + REFERER_MAX + USER_AGENT_MAX + TEXT_COUNT * TEXT_MAX) * ESCAPED_MAX +
                      FIXED_MAX <=
                  ACCESS_LINE_MAX,
              "a line always fits");

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* ---- numbers ---- */

ALWAYS_INLINE char *put_three(char *to, unsigned n)
{
    *to = (char)('0' + n / 100 % 10);
    memcpy(to + 1, decimal_pairs + 2 * (n % 100), 2);
    return to + 3;
}

/* ---- text ---- */

typedef signed char bytes16 __attribute__((vector_size(16)));
typedef uint64_t    words2 __attribute__((vector_size(16)));

/* Not zero where a byte may not be copied as it is. Signed: what is below blank
 * includes all past ASCII. */
ALWAYS_INLINE bytes16 unclean(bytes16 b)
{
    return (b < 0x20) | (b == '"') | (b == '\\') | (b == 0x7f);
}

ALWAYS_INLINE bool is_zero(bytes16 b)
{
    words2 w = (words2)b;
    return !(w[0] | w[1]);
}

ALWAYS_INLINE bytes16 move_sixteen(char *to, const char *from)
{
    bytes16 b;
    memcpy(&b, from, sizeof(b));
    memcpy(to, &b, sizeof(b));
    return unclean(b);
}

/* Fifteen bytes or less: the first and the last eight, or four, overlapping. */
static bool copy_short(char *to, const char *from, size_t len)
{
    words2 w = { 0x2020202020202020u, 0x2020202020202020u };
    if (len >= 8) {
        uint64_t first, last;
        memcpy(&first, from, 8);
        memcpy(&last, from + len - 8, 8);
        memcpy(to, &first, 8);
        memcpy(to + len - 8, &last, 8);
        w = (words2){ first, last };
    } else if (len >= 4) {
        uint32_t first, last;
        memcpy(&first, from, 4);
        memcpy(&last, from + len - 4, 4);
        memcpy(to, &first, 4);
        memcpy(to + len - 4, &last, 4);
        w[0] = (uint64_t)first << 32 | last;
    } else {
        unsigned char first = (unsigned char)from[0], mid = (unsigned char)from[len / 2],
                      last = (unsigned char)from[len - 1];
        to[0] = (char)first;
        to[len / 2] = (char)mid;
        to[len - 1] = (char)last;
        w[0] = 0x2020202020000000u | (uint64_t)(first << 16 | mid << 8 | last);
    }
    return is_zero(unclean((bytes16)w));
}

/* False when some byte needs escaping; what was copied is void then. `len` > 0. */
static bool copy_clean(char *to, const char *from, size_t len)
{
    if (len < 16) return copy_short(to, from, len);
    bytes16 found = move_sixteen(to + len - 16, from + len - 16);
    for (size_t i = 0; i + 16 < len; i += 16) found |= move_sixteen(to + i, from + i);
    return is_zero(found);
}

static char hex_digit(unsigned n)
{
    return "0123456789abcdef"[n & 15];
}

static char *put_json_escape(char *to, unsigned c)
{
    memcpy(to, "\\u00", 4);
    to[4] = hex_digit(c >> 4);
    to[5] = hex_digit(c);
    return to + 6;
}

/* RFC 8259 section 7. C1 controls are escaped as well: terminals obey them. */
static char *put_json_slowly(char *to, const char *from, size_t len)
{
    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)from[i];
        if (c >= 0x80) {
            uint32_t point = 0;
            size_t   n = utf8_decode(from + i, len - i, &point);
            if (!n || point < 0xa0) {
                to = n ? put_json_escape(to, point) : (char *)memcpy(to, "\xef\xbf\xbd", 3) + 3;
                i += n ? n : 1;
                continue;
            }
            memcpy(to, from + i, n);
            to += n;
            i += n;
            continue;
        }
        if (c < 0x20 || c == 0x7f) {
            to = put_json_escape(to, c);
        } else {
            if (c == '"' || c == '\\') *to++ = '\\';
            *to++ = (char)c;
        }
        i++;
    }
    return to;
}

/* As nginx and Apache do: \xHH. */
static char *put_combined_slowly(char *to, const char *from, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)from[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            *to++ = (char)c;
            continue;
        }
        *to++ = '\\';
        *to++ = 'x';
        *to++ = hex_digit(c >> 4);
        *to++ = hex_digit(c);
    }
    return to;
}

static char *put_text(char *to, struct slice s, size_t max,
                      char *(*slowly)(char *to, const char *from, size_t len))
{
    bool   is_cut = s.len > max;
    size_t len = is_cut ? max : s.len;
    to = copy_clean(to, s.data, len) ? to + len : slowly(to, s.data, len);
    if (is_cut) to = (char *)memcpy(to, "...", 3) + 3;
    return to;
}

/* With a literal, a few moves. */
ALWAYS_INLINE char *put_literal(char *to, const char *text)
{
    memcpy(to, text, __builtin_strlen(text));
    return to + __builtin_strlen(text);
}

/* ---- JSON ---- */

ALWAYS_INLINE char *put_member(char *to, const char *key, struct slice s, size_t max)
{
    if (!s.len) return to;
    to = put_text(put_literal(to, key), s, max, put_json_slowly);
    *to = '"';
    return to + 1;
}

/* Milliseconds with three decimals. */
ALWAYS_INLINE char *put_time(char *to, const char *key, uint64_t us)
{
    if (us == ACCESS_TIME_NONE) return to;
    to = decimal_put(put_literal(to, key), us / 1000);
    *to = '.';
    return put_three(to + 1, (unsigned)(us % 1000));
}

ALWAYS_INLINE char *put_count(char *to, const char *key, uint64_t n)
{
    return decimal_put(put_literal(to, key), n);
}

size_t access_format_json(char *to, const struct clock *now, const struct access_record *r)
{
    char *at = put_literal(to, "{\"time\":\"");
    memcpy(at, now->iso_seconds, 19);
    at[19] = '.';
    at = put_three(at + 20, (unsigned)(now->wall_us / 1000 % 1000));
    at = put_literal(at, "Z\"");
    at = put_member(at, ",\"client\":\"", r->client, TEXT_MAX);
    at = put_member(at, ",\"method\":\"", r->method, TEXT_MAX);
    at = put_member(at, ",\"host\":\"", r->host, TEXT_MAX);
    at = put_member(at, ",\"path\":\"", r->target, TARGET_MAX);
    at = put_member(at, ",\"protocol\":\"", r->protocol, TEXT_MAX);
    if (r->status) at = put_count(at, ",\"status\":", r->status);
    at = put_count(at, ",\"request_bytes\":", r->request_bytes);
    at = put_count(at, ",\"response_bytes\":", r->response_bytes);
    at = put_time(at, ",\"queue_ms\":", r->queue_us);
    at = put_time(at, ",\"connect_ms\":", r->connect_us);
    at = put_time(at, ",\"first_byte_ms\":", r->first_byte_us);
    at = put_time(at, ",\"total_ms\":", r->total_us);
    at = put_member(at, ",\"route\":\"", r->route, TEXT_MAX);
    at = put_member(at, ",\"upstream\":\"", r->upstream, TEXT_MAX);
    at = put_member(at, ",\"endpoint\":\"", r->endpoint, TEXT_MAX);
    at = put_count(at, ",\"retries\":", r->retries);
    at = put_member(at, ",\"tls\":\"", r->tls, TEXT_MAX);
    at = put_member(at, ",\"request_id\":\"", r->request_id, TEXT_MAX);
    at = put_member(at, ",\"reason\":\"", r->reason, TEXT_MAX);
    at = put_member(at, ",\"limit\":\"", r->limit, TEXT_MAX);
    at = put_member(at, ",\"limit_dry_run\":\"", r->limit_dry_run, TEXT_MAX);
    at = put_member(at, ",\"listener\":\"", r->listener, TEXT_MAX);
    at = put_member(at, ",\"user_agent\":\"", r->user_agent, USER_AGENT_MAX);
    at = put_member(at, ",\"referer\":\"", r->referer, REFERER_MAX);
    at = put_literal(at, "}\n");
    return (size_t)(at - to);
}

/* ---- combined ---- */

static char *put_or_dash(char *to, struct slice s, size_t max)
{
    if (s.len) return put_text(to, s, max, put_combined_slowly);
    *to = '-';
    return to + 1;
}

size_t access_format_combined(char *to, const struct clock *now, const struct access_record *r)
{
    char *at = put_literal(put_or_dash(to, r->client, TEXT_MAX), " - - [");
    memcpy(at, now->log_date, 26);
    at = put_literal(at + 26, "] \"");
    at = put_or_dash(at, r->method, TEXT_MAX);
    if (r->method.len) {
        at = put_or_dash(put_literal(at, " "), r->target, TARGET_MAX);
        at = put_or_dash(put_literal(at, " "), r->protocol, TEXT_MAX);
    }
    at = put_literal(at, "\" ");
    at = r->status ? decimal_put(at, r->status) : put_literal(at, "-");
    at = decimal_put(put_literal(at, " "), r->response_bytes);
    at = put_or_dash(put_literal(at, " \""), r->referer, REFERER_MAX);
    at = put_or_dash(put_literal(at, "\" \""), r->user_agent, USER_AGENT_MAX);
    at = put_literal(at, "\"\n");
    return (size_t)(at - to);
}
