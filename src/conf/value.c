/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading and writing of values. See value.h.
 */
#include "conf/value.h"

#include <arpa/inet.h>
#include <inttypes.h>

struct unit {
    const char *name;
    uint64_t    factor;
};

static const struct unit duration_units[] = {
    { "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 },
};

/* The binary ones first: sizes are written with them. */
static const struct unit size_units[] = {
    { "TiB", 1ull << 40 },   { "GiB", 1 << 30 },   { "MiB", 1 << 20 }, { "KiB", 1 << 10 },
    { "TB", 1000000000000 }, { "GB", 1000000000 }, { "MB", 1000000 },  { "kB", 1000 },
    { "KB", 1000 },          { "B", 1 },
};

enum { BINARY_SIZES = 4 };

#define COUNT_OF(list) (sizeof(list) / sizeof(*(list)))

/* The digits at the front; *rest is what follows. */
static bool leading_number(struct slice text, uint64_t *number, struct slice *rest)
{
    size_t i = 0;
    *number = 0;
    for (; i < text.len && text.data[i] >= '0' && text.data[i] <= '9'; i++)
        if (__builtin_mul_overflow(*number, 10, number) ||
            __builtin_add_overflow(*number, (unsigned)(text.data[i] - '0'), number))
            return false;
    *rest = slice_from(text, i);
    return i > 0;
}

static bool scaled(const struct unit *units, size_t count, struct slice name, uint64_t *number)
{
    for (size_t i = 0; i < count; i++)
        if (slice_eq(name, slice_of(units[i].name)))
            return !__builtin_mul_overflow(*number, units[i].factor, number);
    return false;
}

bool value_number(struct slice text, uint64_t *number)
{
    struct slice rest;
    return leading_number(text, number, &rest) && rest.len == 0;
}

bool value_duration(struct slice text, uint64_t *ms)
{
    struct slice unit;
    if (!leading_number(text, ms, &unit)) return false;
    if (unit.len == 0) return *ms == 0;
    return scaled(duration_units, COUNT_OF(duration_units), unit, ms);
}

bool value_size(struct slice text, uint64_t *bytes)
{
    struct slice unit;
    if (!leading_number(text, bytes, &unit)) return false;
    return unit.len == 0 || scaled(size_units, COUNT_OF(size_units), unit, bytes);
}

bool value_rate(struct slice text, uint64_t *count, uint64_t *period_ms)
{
    struct slice rest;
    if (!leading_number(text, count, &rest) || rest.len < 2 || rest.data[0] != '/') return false;
    *period_ms = 1;
    struct slice unit = slice_from(rest, 1);
    return !slice_eq(unit, S("ms")) &&
           scaled(duration_units, COUNT_OF(duration_units), unit, period_ms);
}

static void put_scaled(struct buffer *to, const struct unit *units, size_t count, uint64_t n)
{
    for (size_t i = 0; n && i < count; i++) {
        if (n % units[i].factor) continue;
        buffer_printf(to, "%" PRIu64 "%s", n / units[i].factor, units[i].name);
        return;
    }
    buffer_printf(to, "%" PRIu64, n);
}

void value_put_duration(struct buffer *to, uint64_t ms)
{
    put_scaled(to, duration_units, COUNT_OF(duration_units), ms);
}

void value_put_size(struct buffer *to, uint64_t bytes)
{
    put_scaled(to, size_units, BINARY_SIZES, bytes);
}

void value_put_rate(struct buffer *to, uint64_t count, uint64_t period_ms)
{
    buffer_printf(to, "%" PRIu64 "/", count);
    for (size_t i = 0; i < COUNT_OF(duration_units); i++)
        if (duration_units[i].factor == period_ms) buffer_puts(to, duration_units[i].name);
}

/* ---- addresses ---- */

/* Bytes of the IP address: 4, 16, or 0 when it is none. */
static unsigned parse_ip(struct slice text, unsigned char ip[16])
{
    char copy[INET6_ADDRSTRLEN];
    if (text.len == 0 || text.len >= sizeof(copy)) return 0;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    if (strlen(copy) != text.len) return 0;
    if (inet_pton(AF_INET, copy, ip) == 1) return 4;
    return inet_pton(AF_INET6, copy, ip) == 1 ? 16 : 0;
}

bool value_is_ip(struct slice text)
{
    unsigned char ip[16];
    return parse_ip(text, ip) != 0;
}

bool value_is_host_name(struct slice text)
{
    size_t label = 0;
    if (text.len == 0 || text.len > 253) return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        bool is_digit = c >= '0' && c <= '9';
        if (c == '.') {
            if (label == 0) return false;
            label = 0;
        } else if (is_letter || is_digit || (c == '-' && label > 0)) {
            if (++label > 63) return false;
        } else {
            return false;
        }
    }
    return label > 0;
}

const char *value_cidr_fault(struct slice text)
{
    unsigned char ip[16];
    size_t        slash = slice_find(text, '/');
    if (slice_eq(text, S("unix"))) return NULL;
    unsigned bytes = parse_ip(slice_make(text.data, slash), ip);
    if (!bytes) return "it is not an IP address";
    if (slash == text.len) return NULL;
    uint64_t bits;
    if (!value_number(slice_from(text, slash + 1), &bits) || bits > bytes * 8)
        return bytes == 4 ? "the prefix length is 0 to 32" : "the prefix length is 0 to 128";
    for (uint64_t bit = bits; bit < bytes * 8; bit++)
        if (ip[bit / 8] >> (7 - bit % 8) & 1) return "bits after the prefix are set";
    return NULL;
}

/* A listener may have port 0: the kernel chooses. */
static bool is_port(struct slice text, bool is_peer)
{
    uint64_t port;
    return text.len <= 5 && value_number(text, &port) && port >= is_peer && port <= 65535;
}

static const char *unix_fault(struct slice path)
{
    if (!path.len || (path.data[0] != '/' && path.data[0] != '@'))
        return "the path of the socket begins with `/`";
    /* sockaddr_un has 108 bytes, one of them for the end. */
    if (path.len < 2 || path.len > 107) return "the path of the socket has 2 to 107 bytes";
    return NULL;
}

/* "fe80::1%eth0" */
static bool is_scoped_v6(struct slice text)
{
    unsigned char ip[16];
    size_t        percent = slice_find(text, '%');
    bool          has_scope = percent == text.len || text.len - percent > 1;
    return has_scope && parse_ip(slice_make(text.data, percent), ip) == 16;
}

const char *value_address_fault(struct slice text, bool has_names)
{
    unsigned char ip[16];
    if (slice_starts_with(text, S("unix:"))) return unix_fault(slice_from(text, 5));
    if (memmem(text.data, text.len, "://", 3)) return "it is a URL, not an address";
    size_t colon = text.len;
    while (colon && text.data[colon - 1] != ':') colon--;
    if (!colon) return "the port is missing";
    struct slice host = { text.data, colon - 1 };
    if (!is_port(slice_from(text, colon), has_names)) return "the port is 1 to 65535";
    if (host.len > 2 && host.data[0] == '[' && host.data[host.len - 1] == ']')
        return is_scoped_v6(slice_make(host.data + 1, host.len - 2)) ? NULL
                                                                     : "it is not an IPv6 address";
    if (slice_find(host, ':') < host.len) return "an IPv6 address stands in brackets: [::1]:80";
    if (host.len == 0 || slice_eq(host, S("*"))) return has_names ? "the host is missing" : NULL;
    if (parse_ip(host, ip) == 4) return NULL;
    if (!has_names) return "it is not an IP address (names are not looked up here)";
    return value_is_host_name(host) ? NULL : "the host is not a name or an IP address";
}
