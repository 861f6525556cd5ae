/* SPDX-License-Identifier: Apache-2.0
 *
 * PROXY protocol. See proxy_protocol.h.
 */
#include "io/proxy_protocol.h"

#include <arpa/inet.h>
#include <stdio.h>

static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";

enum { SIGNATURE_BYTES = 12, V2_HEAD_BYTES = 16, V4_BYTES = 12, V6_BYTES = 36, UNIX_BYTES = 216 };
enum { COMMAND_LOCAL = 0x20, COMMAND_PROXY = 0x21 };
enum { KIND_TCP4 = 0x11, KIND_TCP6 = 0x21, KIND_UNIX = 0x31 };

static enum proxy_status invalid(struct proxy_header *h, const char *reason)
{
    h->reason = reason;
    return PROXY_INVALID;
}

static enum proxy_status complete(struct proxy_header *h, size_t used)
{
    h->used = used;
    address_unmap(&h->src);
    address_unmap(&h->dst);
    return PROXY_COMPLETE;
}

/* ---- version 1: "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n" ---- */

/* The next word and the one space behind it; the last word has none. */
static bool take_word(struct slice *rest, struct slice *word, bool is_last)
{
    size_t end = slice_find(*rest, ' ');
    *word = slice_make(rest->data, end);
    if (is_last) return word->len && end == rest->len;
    if (!word->len || end == rest->len) return false;
    *rest = slice_from(*rest, end + 1);
    return true;
}

static bool take_ip(struct slice *rest, uint8_t family, struct address *a)
{
    char         text[INET6_ADDRSTRLEN];
    struct slice word;
    if (!take_word(rest, &word, false) || word.len >= sizeof(text)) return false;
    memcpy(text, word.data, word.len);
    text[word.len] = '\0';
    if (strlen(text) != word.len) return false;
    a->family = family;
    return inet_pton(family == ADDRESS_V4 ? AF_INET : AF_INET6, text, a->ip) == 1;
}

/* Decimal without leading zeros. */
static bool take_port(struct slice *rest, struct address *a, bool is_last)
{
    struct slice word;
    unsigned     port = 0;
    if (!take_word(rest, &word, is_last) || word.len > 5) return false;
    if (word.data[0] == '0' && word.len > 1) return false;
    for (size_t i = 0; i < word.len; i++) {
        if (word.data[i] < '0' || word.data[i] > '9') return false;
        port = port * 10 + (unsigned)(word.data[i] - '0');
    }
    a->port = (uint16_t)port;
    return port <= UINT16_MAX;
}

static enum proxy_status parse_v1_line(struct slice line, size_t used, struct proxy_header *h)
{
    struct slice rest = slice_from(line, 6);
    uint8_t      family;
    if (slice_eq(rest, S("UNKNOWN")) || slice_starts_with(rest, S("UNKNOWN "))) {
        h->is_local = true; /* what follows is to be ignored */
        return complete(h, used);
    }
    if (slice_starts_with(rest, S("TCP4 ")))
        family = ADDRESS_V4;
    else if (slice_starts_with(rest, S("TCP6 ")))
        family = ADDRESS_V6;
    else
        return invalid(h, "proxy_protocol_bad_family");
    rest = slice_from(rest, 5);
    if (!take_ip(&rest, family, &h->src) || !take_ip(&rest, family, &h->dst))
        return invalid(h, "proxy_protocol_bad_address");
    if (!take_port(&rest, &h->src, false) || !take_port(&rest, &h->dst, true))
        return invalid(h, "proxy_protocol_bad_port");
    return complete(h, used);
}

static enum proxy_status parse_v1(struct slice in, struct proxy_header *h)
{
    size_t seen = in.len < PROXY_V1_MAX ? in.len : PROXY_V1_MAX;
    size_t end = slice_find(slice_make(in.data, seen), '\n');
    if (end == seen)
        return seen < PROXY_V1_MAX ? PROXY_NEEDS_MORE : invalid(h, "proxy_protocol_too_long");
    if (in.data[end - 1] != '\r') return invalid(h, "proxy_protocol_bad_line_end");
    return parse_v1_line(slice_make(in.data, end - 1), end + 1, h);
}

/* ---- version 2: signature, command, kind, length, addresses, TLVs ---- */

static unsigned read_u16(const char *at)
{
    return (unsigned)(unsigned char)at[0] << 8 | (unsigned char)at[1];
}

/* src ip, dst ip, src port, dst port. */
static void read_addresses(struct proxy_header *h, const char *at, uint8_t family, size_t ip_bytes)
{
    h->src.family = h->dst.family = family;
    memcpy(h->src.ip, at, ip_bytes);
    memcpy(h->dst.ip, at + ip_bytes, ip_bytes);
    h->src.port = (uint16_t)read_u16(at + 2 * ip_bytes);
    h->dst.port = (uint16_t)read_u16(at + 2 * ip_bytes + 2);
}

static enum proxy_status parse_v2_body(const char *data, size_t body_bytes, struct proxy_header *h)
{
    const char *body = data + V2_HEAD_BYTES;
    size_t      used = V2_HEAD_BYTES + body_bytes;
    if ((unsigned char)data[12] == COMMAND_LOCAL) {
        h->is_local = true; /* addresses are to be ignored */
        return complete(h, used);
    }
    switch ((unsigned char)data[13]) {
    case KIND_TCP4:
        if (body_bytes < V4_BYTES) return invalid(h, "proxy_protocol_too_short");
        read_addresses(h, body, ADDRESS_V4, 4);
        break;
    case KIND_TCP6:
        if (body_bytes < V6_BYTES) return invalid(h, "proxy_protocol_too_short");
        read_addresses(h, body, ADDRESS_V6, 16);
        break;
    case KIND_UNIX:
        if (body_bytes < UNIX_BYTES) return invalid(h, "proxy_protocol_too_short");
        h->src.family = h->dst.family = ADDRESS_UNIX;
        break;
    default:
        /* Unspecified, or datagrams: the receiver is to use the socket's addresses. */
        h->is_local = true;
        break;
    }
    return complete(h, used);
}

static enum proxy_status parse_v2(struct slice in, struct proxy_header *h)
{
    if (in.len < V2_HEAD_BYTES) return PROXY_NEEDS_MORE;
    unsigned command = (unsigned char)in.data[12];
    if (command >> 4 != 2) return invalid(h, "proxy_protocol_bad_version");
    if (command != COMMAND_LOCAL && command != COMMAND_PROXY)
        return invalid(h, "proxy_protocol_bad_command");
    size_t body_bytes = read_u16(in.data + 14);
    if (V2_HEAD_BYTES + body_bytes > PROXY_V2_MAX) return invalid(h, "proxy_protocol_too_long");
    if (in.len < V2_HEAD_BYTES + body_bytes) return PROXY_NEEDS_MORE;
    return parse_v2_body(in.data, body_bytes, h);
}

/* Is `in` the beginning of `magic`, or the other way round? */
static bool may_become(struct slice in, struct slice magic)
{
    size_t len = in.len < magic.len ? in.len : magic.len;
    return len == 0 || memcmp(in.data, magic.data, len) == 0;
}

enum proxy_status proxy_protocol_parse(const char *data, size_t len, struct proxy_header *h)
{
    struct slice in = slice_make(data, len), v1 = S("PROXY ");
    struct slice v2 = slice_make(signature, SIGNATURE_BYTES);
    *h = (struct proxy_header){ .used = 0 };
    if (may_become(in, v1)) return len < v1.len ? PROXY_NEEDS_MORE : parse_v1(in, h);
    if (may_become(in, v2)) return len < v2.len ? PROXY_NEEDS_MORE : parse_v2(in, h);
    return invalid(h, "proxy_protocol_missing");
}

/* ---- writing ---- */

static void to_ip6(const struct address *a, uint8_t ip[16])
{
    if (a->family == ADDRESS_V6) {
        memcpy(ip, a->ip, 16);
        return;
    }
    memset(ip, 0, 10);
    ip[10] = ip[11] = 0xff;
    memcpy(ip + 12, a->ip, 4);
}

static bool is_ip(const struct address *a)
{
    return a && (a->family == ADDRESS_V4 || a->family == ADDRESS_V6);
}

static void put_u16(char *at, size_t value)
{
    at[0] = (char)(value >> 8);
    at[1] = (char)value;
}

static size_t write_v2(const struct address *src, const struct address *dst, char *buf)
{
    char  *at = buf + V2_HEAD_BYTES;
    size_t body_bytes = 0;
    memcpy(buf, signature, SIGNATURE_BYTES);
    buf[12] = COMMAND_LOCAL;
    buf[13] = 0;
    if (is_ip(src) && is_ip(dst)) {
        bool    is_v4 = src->family == ADDRESS_V4 && dst->family == ADDRESS_V4;
        size_t  ip_bytes = is_v4 ? 4 : 16;
        uint8_t from[16], to[16];
        to_ip6(src, from);
        to_ip6(dst, to);
        buf[12] = COMMAND_PROXY;
        buf[13] = is_v4 ? KIND_TCP4 : KIND_TCP6;
        body_bytes = is_v4 ? V4_BYTES : V6_BYTES;
        memcpy(at, from + 16 - ip_bytes, ip_bytes);
        memcpy(at + ip_bytes, to + 16 - ip_bytes, ip_bytes);
        put_u16(at + 2 * ip_bytes, src->port);
        put_u16(at + 2 * ip_bytes + 2, dst->port);
    }
    put_u16(buf + 14, body_bytes);
    return V2_HEAD_BYTES + body_bytes;
}

static size_t write_v1(const struct address *src, const struct address *dst, char *buf)
{
    char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];
    int  n;
    if (!is_ip(src) || !is_ip(dst)) {
        n = snprintf(buf, PROXY_WRITE_MAX, "PROXY UNKNOWN\r\n");
    } else if (src->family == ADDRESS_V4 && dst->family == ADDRESS_V4) {
        inet_ntop(AF_INET, src->ip, from, sizeof(from));
        inet_ntop(AF_INET, dst->ip, to, sizeof(to));
        n = snprintf(buf, PROXY_WRITE_MAX, "PROXY TCP4 %s %s %u %u\r\n", from, to, src->port,
                     dst->port);
    } else {
        uint8_t ip[16];
        to_ip6(src, ip);
        inet_ntop(AF_INET6, ip, from, sizeof(from));
        to_ip6(dst, ip);
        inet_ntop(AF_INET6, ip, to, sizeof(to));
        n = snprintf(buf, PROXY_WRITE_MAX, "PROXY TCP6 %s %s %u %u\r\n", from, to, src->port,
                     dst->port);
    }
    return n > 0 ? (size_t)n : 0;
}

size_t proxy_protocol_write(int version, const struct address *src, const struct address *dst,
                            char buf[PROXY_WRITE_MAX])
{
    return version == 2 ? write_v2(src, dst, buf) : write_v1(src, dst, buf);
}
