/* SPDX-License-Identifier: Apache-2.0
 *
 * Path normalisation and authorities. See uri.h.
 */
#include "http/uri.h"

#include <arpa/inet.h>

#include "http/chars.h"

enum { HOST_BYTES_MAX = 255 }; /* RFC 3986 section 3.2.2: within what DNS can hold */

/* A path that is being written. Segments end where a "/" is seen. */
struct path_writer {
    char                   *start;
    char                   *to;
    char                   *segment; /* just after the last "/" */
    const struct uri_rules *rules;
    bool                    has_encoded_slash; /* in this segment */
};

/* Is there nothing to normalise? Then nothing is copied. */
static bool is_normal(struct slice raw, bool merges_slashes)
{
    const char *p = raw.data + 1;
    const char *end = raw.data + raw.len;
    for (; p < end; p++) {
        if (http_char_is(*p, CHAR_PLAIN)) continue;
        if (*p != '/' && *p != '.') return false;
        if (p[-1] == '/' && (*p == '.' || merges_slashes)) return false;
    }
    return true;
}

static size_t written_bytes_max(struct slice raw)
{
    size_t bytes = raw.len;
    for (size_t i = 0; i < raw.len; i++)
        if (!http_char_is(raw.data[i], CHAR_PATH)) bytes += 2;
    return bytes;
}

static void put_encoded(struct path_writer *w, unsigned char byte)
{
    static const char digits[] = "0123456789ABCDEF";
    *w->to++ = '%';
    *w->to++ = digits[byte >> 4];
    *w->to++ = digits[byte & 15];
}

static bool is_dots(const char *from, const char *end)
{
    size_t len = (size_t)(end - from);
    return len >= 1 && len <= 2 && from[0] == '.' && from[len - 1] == '.';
}

/* "..;x" is a dot segment to servers that cut parameters off first. */
static bool has_dots_with_parameter(const char *from, const char *end)
{
    const char *p = from;
    while (p < end && *p == '.') p++;
    if (p == from || p - from > 2) return false;
    return (p < end && *p == ';') || (end - p >= 3 && memcmp(p, "%3B", 3) == 0);
}

/* Dot segments between slashes of which some are encoded: a server that decodes
 * them would see another path than we matched. */
static bool has_hidden_dots(const char *from, const char *end)
{
    const char *part = from;
    for (const char *p = from; p < end; p++) {
        if (*p != '%' || (memcmp(p, "%2F", 3) != 0 && memcmp(p, "%5C", 3) != 0)) continue;
        if (is_dots(part, p) || has_dots_with_parameter(part, p)) return true;
        part = p + 3;
    }
    return is_dots(part, end) || has_dots_with_parameter(part, end);
}

/* The segment is complete; `has_slash`: a "/" follows it. */
static const char *end_segment(struct path_writer *w, bool has_slash)
{
    size_t len = (size_t)(w->to - w->segment);
    bool   has_encoded_slash = w->has_encoded_slash;
    w->has_encoded_slash = false;
    if (is_dots(w->segment, w->to)) {
        w->to = w->segment;
        if (len == 1) return NULL;
        if (w->segment == w->start + 1) return "path_above_root";
        do w->segment--;
        while (w->segment[-1] != '/');
        w->to = w->segment;
        return NULL;
    }
    if (!w->rules->allows_encoded_slash && has_dots_with_parameter(w->segment, w->to))
        return "dot_segment_parameter";
    if (has_encoded_slash && has_hidden_dots(w->segment, w->to)) return "encoded_dot_segment";
    if (!has_slash || (len == 0 && w->rules->merges_slashes)) return NULL;
    *w->to++ = '/';
    w->segment = w->to;
    return NULL;
}

static const char *put_byte(struct path_writer *w, unsigned char byte)
{
    if (byte == 0) return "encoded_nul";
    if (byte == '/' || byte == '\\') {
        if (!w->rules->allows_encoded_slash) return "encoded_slash";
        w->has_encoded_slash = true;
    }
    if (http_char_is((char)byte, CHAR_UNRESERVED))
        *w->to++ = (char)byte;
    else
        put_encoded(w, byte);
    return NULL;
}

static const char *put_all(struct path_writer *w, struct slice raw)
{
    const char *reason = NULL;
    for (size_t i = 1; i < raw.len && !reason; i++) {
        char c = raw.data[i];
        if (c == '/') {
            reason = end_segment(w, true);
        } else if (c == '%') {
            if (raw.len - i < 3 || !http_char_is(raw.data[i + 1], CHAR_HEX) ||
                !http_char_is(raw.data[i + 2], CHAR_HEX))
                return "bad_percent_encoding";
            unsigned high = http_hex_value(raw.data[i + 1]);
            reason = put_byte(w, (unsigned char)(high << 4 | http_hex_value(raw.data[i + 2])));
            i += 2;
        } else if (http_char_is(c, CHAR_PATH)) {
            *w->to++ = c;
        } else if (c == '\\' && !w->rules->allows_encoded_slash) {
            return "backslash_in_path";
        } else if (c == '#') {
            return "bad_target"; /* a fragment is never sent, RFC 9112 section 3.2 */
        } else {
            reason = put_byte(w, (unsigned char)c);
        }
    }
    return reason ? reason : end_segment(w, false);
}

const char *uri_path(struct slice raw, const struct uri_rules *rules, struct arena *a,
                     struct slice *path)
{
    if (raw.len == 0 || raw.data[0] != '/') return "bad_target";
    *path = raw;
    if (is_normal(raw, rules->merges_slashes)) return NULL;

    struct path_writer w = { .rules = rules };
    w.start = w.to = arena_alloc(a, written_bytes_max(raw));
    *w.to++ = '/';
    w.segment = w.to;
    const char *reason = put_all(&w, raw);
    *path = slice_make(w.start, (size_t)(w.to - w.start));
    return reason;
}

static bool parse_port(struct slice digits, uint16_t *port)
{
    unsigned value = 0;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9') return false;
        value = value * 10 + (unsigned)(digits.data[i] - '0');
        if (value > UINT16_MAX) return false;
    }
    *port = (uint16_t)value;
    return value != 0;
}

static bool is_ipv6(struct slice inner)
{
    char            text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (inner.len >= sizeof(text) || memchr(inner.data, '\0', inner.len)) return false;
    memcpy(text, inner.data, inner.len);
    text[inner.len] = '\0';
    return inet_pton(AF_INET6, text, &address) == 1;
}

/* Length of the host at the beginning, or 0 when there is none. */
static size_t host_length(struct slice text)
{
    size_t n = 0;
    if (text.len && text.data[0] == '[') {
        n = slice_find(text, ']');
        if (n == text.len || !is_ipv6(slice_make(text.data + 1, n - 1))) return 0;
        return n + 1;
    }
    while (n < text.len && http_char_is(text.data[n], CHAR_REG_NAME)) n++;
    return n;
}

bool uri_authority(struct slice text, struct uri_authority *to)
{
    size_t n = host_length(text);
    if (n == 0 || n > HOST_BYTES_MAX) return false;
    *to = (struct uri_authority){ .text = text, .host = slice_make(text.data, n) };
    if (n == text.len) return true;
    if (text.data[n] != ':') return false;
    if (n + 1 < text.len) return parse_port(slice_from(text, n + 1), &to->port);
    to->text.len = n;
    return true;
}

bool uri_authority_is_same(const struct uri_authority *a, const struct uri_authority *b,
                           uint16_t default_port)
{
    uint16_t port_a = a->port ? a->port : default_port;
    uint16_t port_b = b->port ? b->port : default_port;
    return port_a == port_b && slice_eq_nocase(a->host, b->host);
}
