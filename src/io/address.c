/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses and networks. See address.h.
 */
#include "io/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/un.h>

#include "base/decimal.h"

static const uint8_t mapped_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

/* 1 to 5 digits, at most 65535. */
static bool parse_port(struct slice text, uint16_t *port)
{
    unsigned value = 0;
    if (text.len == 0 || text.len > 5) return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        value = value * 10 + (unsigned)(text.data[i] - '0');
    }
    *port = (uint16_t)value;
    return value <= UINT16_MAX;
}

/* Dotted decimal or an IPv6 address with an optional %scope, without port. */
static bool parse_ip(struct address *a, struct slice text)
{
    char         copy[ADDRESS_TEXT_MAX];
    char        *scope;
    struct slice t = text;
    if (t.len >= sizeof(copy)) return false;
    memcpy(copy, t.data, t.len);
    copy[t.len] = '\0';
    if (memchr(copy, '\0', t.len)) return false;
    *a = (struct address){ .family = ADDRESS_V4 };
    if (inet_pton(AF_INET, copy, a->ip) == 1) return true;
    a->family = ADDRESS_V6;
    if ((scope = strchr(copy, '%'))) {
        uint16_t number;
        *scope++ = '\0';
        a->scope = if_nametoindex(scope);
        if (!a->scope && parse_port(slice_of(scope), &number)) a->scope = number;
        if (!a->scope) return false;
    }
    return inet_pton(AF_INET6, copy, a->ip) == 1;
}

static bool parse_unix(struct address *a, struct slice path, struct arena *arena, struct error *e)
{
    const size_t max = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
    if (path.len == 0 || (path.data[0] != '/' && path.data[0] != '@'))
        return error_set(e, "a Unix socket's path starts with / (or @ for an abstract name)");
    if (path.len > max)
        return error_set(e, "a Unix socket's path has at most %zu bytes, this one %zu", max,
                         path.len);
    if (memchr(path.data, '\0', path.len)) return error_set(e, "a NUL byte in the path");
    a->family = ADDRESS_UNIX;
    struct slice copy = arena_copy(arena, path);
    a->path = copy.data;
    return true;
}

/* "[host]:port" or "host:port"; false when there is no colon where one must be. */
static bool split_port(struct slice text, struct slice *host, struct slice *port)
{
    size_t colon;
    if (text.len && text.data[0] == '[') {
        size_t end = slice_find(text, ']');
        if (end + 1 >= text.len || text.data[end + 1] != ':') return false;
        *host = slice_make(text.data + 1, end - 1);
        colon = end + 1;
    } else {
        colon = slice_find(text, ':');
        if (colon == text.len) return false;
        *host = slice_make(text.data, colon);
    }
    *port = slice_from(text, colon + 1);
    return true;
}

bool address_parse(struct address *a, struct slice text, struct arena *arena, struct error *e)
{
    struct slice   host, digits;
    uint16_t       port;
    struct address bare;
    *a = (struct address){ .family = ADDRESS_NONE };
    if (slice_starts_with(text, S("unix:"))) return parse_unix(a, slice_from(text, 5), arena, e);
    if (parse_ip(&bare, text))
        return error_set(e, "the port is missing: %s%.*s%s:80",
                         bare.family == ADDRESS_V6 ? "[" : "", SLICE_ARG(text),
                         bare.family == ADDRESS_V6 ? "]" : "");
    if (!split_port(text, &host, &digits))
        return error_set(e, "expected address:port, such as 10.0.0.1:80, [::1]:80 or :80");
    if (!parse_port(digits, &port))
        return error_set(e, "\"%.*s\" is not a port (0 to 65535)", SLICE_ARG(digits));
    bool is_any = text.data[0] != '[' && (host.len == 0 || slice_eq(host, S("*")));
    if (is_any) {
        a->family = ADDRESS_V6;
    } else if (!parse_ip(a, host) || (a->family == ADDRESS_V6) != (text.data[0] == '[')) {
        *a = (struct address){ .family = ADDRESS_NONE };
        return error_set(e, "\"%.*s\" is not an IP address", SLICE_ARG(host));
    }
    a->port = port;
    return true;
}

bool address_split(struct slice text, struct slice *host, uint16_t *port)
{
    struct slice name, digits;
    if (slice_starts_with(text, S("unix:")) || !split_port(text, &name, &digits)) return false;
    if (name.len == 0 || text.data[0] == '[' || !parse_port(digits, port)) return false;
    bool is_number = true;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char ch = (unsigned char)name.data[i];
        bool          is_digit = ch >= '0' && ch <= '9';
        bool          is_letter = (ch | 0x20) >= 'a' && (ch | 0x20) <= 'z';
        if (!is_digit && !is_letter && ch != '-' && ch != '.' && ch != '_') return false;
        is_number &= is_digit || ch == '.';
    }
    if (is_number) return false;
    *host = name;
    return true;
}

void address_unmap(struct address *a)
{
    if (a->family != ADDRESS_V6 || memcmp(a->ip, mapped_prefix, sizeof(mapped_prefix)) != 0) return;
    memmove(a->ip, a->ip + sizeof(mapped_prefix), 4);
    memset(a->ip + 4, 0, sizeof(mapped_prefix));
    a->family = ADDRESS_V4;
    a->scope = 0;
}

static void from_ip6(struct address *a, const struct sockaddr_in6 *in6)
{
    a->port = ntohs(in6->sin6_port);
    a->family = ADDRESS_V6;
    a->scope = in6->sin6_scope_id;
    memcpy(a->ip, &in6->sin6_addr, 16);
    address_unmap(a);
}

void address_from_sockaddr(struct address *a, const struct sockaddr *sa, socklen_t len)
{
    *a = (struct address){ .family = ADDRESS_NONE };
    if (len < (socklen_t)sizeof(sa->sa_family)) return;
    if (sa->sa_family == AF_INET && len >= (socklen_t)sizeof(struct sockaddr_in)) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof(in));
        a->family = ADDRESS_V4;
        a->port = ntohs(in.sin_port);
        memcpy(a->ip, &in.sin_addr, 4);
    } else if (sa->sa_family == AF_INET6 && len >= (socklen_t)sizeof(struct sockaddr_in6)) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof(in6));
        from_ip6(a, &in6);
    } else if (sa->sa_family == AF_UNIX) {
        a->family = ADDRESS_UNIX;
    }
}

static socklen_t to_unix(const struct address *a, struct sockaddr_storage *sa)
{
    struct sockaddr_un *un = (struct sockaddr_un *)sa;
    size_t              len = a->path ? strlen(a->path) : 0;
    if (!len || len >= sizeof(un->sun_path)) return 0;
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, a->path, len + 1);
    if (a->path[0] == '@')
        un->sun_path[0] = '\0'; /* an abstract name has no terminator */
    else
        len++;
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

socklen_t address_to_sockaddr(const struct address *a, struct sockaddr_storage *sa)
{
    memset(sa, 0, sizeof(*sa));
    if (a->family == ADDRESS_UNIX) return to_unix(a, sa);
    if (a->family == ADDRESS_V4) {
        struct sockaddr_in *in = (struct sockaddr_in *)sa;
        in->sin_family = AF_INET;
        in->sin_port = htons(a->port);
        memcpy(&in->sin_addr, a->ip, 4);
        return sizeof(*in);
    }
    if (a->family == ADDRESS_V6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)sa;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(a->port);
        in6->sin6_scope_id = a->scope;
        memcpy(&in6->sin6_addr, a->ip, 16);
        return sizeof(*in6);
    }
    return 0;
}

bool address_eq(const struct address *a, const struct address *b)
{
    if (a->family != b->family) return false;
    switch (a->family) {
    case ADDRESS_V4: return a->port == b->port && memcmp(a->ip, b->ip, 4) == 0;
    case ADDRESS_V6:
        return a->port == b->port && a->scope == b->scope && memcmp(a->ip, b->ip, 16) == 0;
    case ADDRESS_UNIX:
        return a->path == b->path || (a->path && b->path && strcmp(a->path, b->path) == 0);
    default: return true;
    }
}

/* Once or more a request: without the general case's divisions and copies. */
static char *put_byte(char *to, unsigned value)
{
    if (value >= 100) *to++ = (char)('0' + value / 100);
    if (value >= 10) *to++ = (char)('0' + value / 10 % 10);
    *to++ = (char)('0' + value % 10);
    return to;
}

static char *put_ip4(char *to, const uint8_t *ip)
{
    for (int i = 0; i < 4; i++) {
        if (i) *to++ = '.';
        to = put_byte(to, ip[i]);
    }
    return to;
}

static char *put_ip6(char *to, const struct address *a)
{
    inet_ntop(AF_INET6, a->ip, to, INET6_ADDRSTRLEN);
    to += strlen(to);
    if (a->scope) {
        *to++ = '%';
        to = decimal_put(to, a->scope);
    }
    return to;
}

size_t address_format_ip(const struct address *a, char text[ADDRESS_TEXT_MAX])
{
    char *end = text;
    switch (a->family) {
    case ADDRESS_V4: end = put_ip4(text, a->ip); break;
    case ADDRESS_V6: end = put_ip6(text, a); break;
    case ADDRESS_UNIX: end = (char *)mempcpy(text, "unix:", 5); break;
    default: *end++ = '-'; break;
    }
    *end = '\0';
    return (size_t)(end - text);
}

size_t address_format_net(const struct address *a, unsigned bits, char text[ADDRESS_TEXT_MAX])
{
    struct address net = { .family = ADDRESS_V6 };
    memcpy(net.ip, a->ip, bits / 8);
    if (bits % 8) net.ip[bits / 8] = (uint8_t)(a->ip[bits / 8] & 0xff << (8 - bits % 8));
    size_t len = address_format_ip(&net, text);
    text[len] = '/';
    char *end = decimal_put(text + len + 1, bits);
    *end = 0;
    return (size_t)(end - text);
}

size_t address_format(const struct address *a, char text[ADDRESS_TEXT_MAX])
{
    char *end = text;
    if (a->family == ADDRESS_UNIX) {
        int n = snprintf(text, ADDRESS_TEXT_MAX, "unix:%s", a->path ? a->path : "");
        return n < ADDRESS_TEXT_MAX ? (size_t)n : ADDRESS_TEXT_MAX - 1;
    }
    if (a->family == ADDRESS_V6) *end++ = '[';
    end += address_format_ip(a, end);
    if (a->family == ADDRESS_V6) *end++ = ']';
    if (a->family != ADDRESS_NONE) {
        *end++ = ':';
        end = decimal_put(end, a->port);
    }
    *end = '\0';
    return (size_t)(end - text);
}

/* Do the first `bits` bits agree? */
static bool has_prefix(const uint8_t *ip, const uint8_t *prefix, unsigned bits)
{
    if (memcmp(ip, prefix, bits / 8) != 0) return false;
    return bits % 8 == 0 || (ip[bits / 8] ^ prefix[bits / 8]) >> (8 - bits % 8) == 0;
}

static bool has_host_bits(const struct cidr *c, unsigned width)
{
    uint8_t zero[16] = { 0 }, ip[16];
    memcpy(ip, c->ip, sizeof(ip));
    if (c->bits % 8) {
        if (ip[c->bits / 8] & (0xff >> c->bits % 8)) return true;
    }
    size_t from = (c->bits + 7u) / 8;
    return memcmp(ip + from, zero, width / 8 - from) != 0;
}

bool cidr_parse(struct cidr *c, struct slice text, struct error *e)
{
    size_t         slash = slice_find(text, '/');
    struct address a;
    uint16_t       bits;
    *c = (struct cidr){ .family = ADDRESS_NONE };
    if (slice_eq(text, S("unix"))) {
        c->family = ADDRESS_UNIX;
        return true;
    }
    if (!parse_ip(&a, slice_make(text.data, slash)) || a.scope)
        return error_set(e, "expected a network such as 10.0.0.0/8 or 2001:db8::/32, or unix");
    unsigned width = a.family == ADDRESS_V4 ? 32 : 128;
    bits = (uint16_t)width;
    if (slash < text.len && (!parse_port(slice_from(text, slash + 1), &bits) || bits > width))
        return error_set(e, "\"%.*s\" is not a prefix length (0 to %u)",
                         SLICE_ARG(slice_from(text, slash + 1)), width);
    c->family = a.family;
    c->bits = (uint8_t)bits;
    memcpy(c->ip, a.ip, sizeof(c->ip));
    if (has_host_bits(c, width))
        return error_set(e, "bits are set after the first %u: name the network itself", bits);
    return true;
}

bool cidr_set_has(const struct cidr_set *set, const struct address *a)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct cidr *c = &set->items[i];
        if (c->family != a->family) continue;
        if (c->family == ADDRESS_UNIX || has_prefix(a->ip, c->ip, c->bits)) return true;
    }
    return false;
}
