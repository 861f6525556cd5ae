/* SPDX-License-Identifier: Apache-2.0
 *
 * Kinds of scalars that only upstreams and discovery use. See types.h.
 */
#include <arpa/inet.h>
#include <inttypes.h>

#include "conf/nearest.h"
#include "conf/types.h"
#include "conf/value.h"

/* ---- shares ---- */

static void put_percent(struct buffer *to, uint64_t n)
{
    buffer_printf(to, "%" PRIu64 "%%", n);
}

static bool read_percent(struct conf_parser *p, const struct conf_row *row, struct slice text,
                         void *field, struct error *e)
{
    uint64_t n;
    uint32_t n32 = 0;
    if (row->zero && slice_eq(text, slice_of(row->zero))) {
        memcpy(field, &n32, sizeof(n32));
        return true;
    }
    if (!text.len || text.data[text.len - 1] != '%') {
        if (value_number(text, &n) && n)
            p->hint = arena_printf(&p->report->arena, "did you mean `%" PRIu64 "%%`?", n);
        return false;
    }
    if (!value_number(slice_make(text.data, text.len - 1), &n)) return false;
    if (n < row->min || n > row->max)
        return error_set(e, "expected %" PRIu64 "%% to %" PRIu64 "%%%s%s%s, got `%.*s`", row->min,
                         row->max, row->zero ? " or `" : "", row->zero ? row->zero : "",
                         row->zero ? "`" : "", SLICE_ARG(text));
    n32 = (uint32_t)n;
    memcpy(field, &n32, sizeof(n32));
    return true;
}

static void write_percent(const struct conf_row *row, const void *field, struct buffer *to)
{
    uint32_t n;
    (void)row;
    memcpy(&n, field, sizeof(n));
    put_percent(to, n);
}

const struct conf_type conf_percent = {
    .label = "percentage",
    .expected = "a percentage such as `20%`",
    .json = "\"string\"",
    .pattern = "[0-9]+%",
    .read = read_percent,
    .write = write_percent,
    .put_bound = put_percent,
};

/* ---- statuses ---- */

static bool is_status(struct slice text)
{
    uint64_t n;
    return text.len == 3 && value_number(text, &n) && n >= 100 && n <= 599;
}

static bool is_class(struct slice text)
{
    return text.len == 3 && text.data[0] >= '1' && text.data[0] <= '5' &&
           slice_eq_nocase(slice_from(text, 1), S("xx"));
}

bool conf_status_fits(struct slice pattern, unsigned status)
{
    uint64_t least, most;
    if (is_class(pattern)) return status / 100 == (unsigned)(pattern.data[0] - '0');
    value_number(slice_make(pattern.data, 3), &least);
    most = least;
    if (pattern.len == 7) value_number(slice_from(pattern, 4), &most);
    return status >= least && status <= most;
}

static bool is_status_pattern(struct slice text)
{
    if (is_status(text) || is_class(text)) return true;
    return text.len == 7 && text.data[3] == '-' && is_status(slice_make(text.data, 3)) &&
           is_status(slice_from(text, 4)) && memcmp(text.data, text.data + 4, 3) <= 0;
}

static bool read_status(struct conf_parser *p, const struct conf_row *row, struct slice text,
                        void *field, struct error *e)
{
    (void)row;
    (void)e;
    return is_status_pattern(text) && conf_store_text(p, text, field);
}

const struct conf_type conf_status = {
    .label = "status",
    .expected = "a status such as `200`, `2xx` or `200-399`",
    .json = "\"integer\", \"string\"",
    .pattern = "[1-5][0-9][0-9](-[1-5][0-9][0-9])?|[1-5][xX][xX]",
    .read = read_status,
    .write = conf_write_text,
};

/* ---- retries ---- */

static const char *const retry_names[] = {
    [RETRY_CONNECT] = "connect",
    [RETRY_RESET] = "reset",
    [RETRY_TIMEOUT] = "timeout",
    [RETRY_MALFORMED] = "malformed",
};

enum { RETRY_NAME_COUNT = sizeof(retry_names) / sizeof(retry_names[0]) };

unsigned conf_retry_bit(struct slice condition)
{
    for (unsigned i = 0; i < RETRY_NAME_COUNT; i++)
        if (slice_eq(condition, slice_of(retry_names[i]))) return 1u << i;
    return 1u << RETRY_STATUS;
}

static bool read_retry(struct conf_parser *p, const struct conf_row *row, struct slice text,
                       void *field, struct error *e)
{
    struct nearest near;
    (void)row;
    (void)e;
    if (conf_retry_bit(text) == 1u << RETRY_STATUS && !is_status_pattern(text) &&
        !slice_eq(text, S("off"))) {
        nearest_init(&near, text);
        for (unsigned i = 0; i < RETRY_NAME_COUNT; i++)
            nearest_try(&near, slice_of(retry_names[i]));
        p->hint = nearest_hint(&near, &p->report->arena);
        return false;
    }
    return conf_store_text(p, text, field);
}

const struct conf_type conf_retry = {
    .label = "condition",
    .expected = "`connect`, `reset`, `timeout`, `malformed`, a status such as `503` or `5xx`, or "
                "`off`",
    .json = "\"string\", \"integer\"",
    .pattern = "connect|reset|timeout|malformed|off|"
               "[1-5][0-9][0-9](-[1-5][0-9][0-9])?|[1-5][xX][xX]",
    .read = read_retry,
    .write = conf_write_text,
};

/* ---- cookies ---- */

static bool read_cookie_name(struct conf_parser *p, const struct conf_row *row, struct slice text,
                             void *field, struct error *e)
{
    return conf_field_name.read(p, row, text, field, e); /* RFC 6265: a token, as a header's */
}

const struct conf_type conf_cookie_name = {
    .label = "cookie name",
    .expected = "the name of a cookie: letters, digits and marks such as `-` and `_`",
    .json = "\"string\"",
    .pattern = "[!#$%&'*+.^_`|~0-9A-Za-z-]+",
    .read = read_cookie_name,
    .write = conf_write_text,
};

/* ---- names in the DNS ---- */

/* RFC 1035 section 2.3.4 and RFC 2782: labels with underscores too. */
static bool read_dns_name(struct conf_parser *p, const struct conf_row *row, struct slice text,
                          void *field, struct error *e)
{
    size_t label = 0;
    (void)row;
    (void)e;
    if (!text.len || text.len > 253) return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '_' || c == '-';
        if (c == '.' && label == 0) return false;
        if (c != '.' && !is_letter) return false;
        label = c == '.' ? 0 : label + 1;
        if (label > 63) return false;
    }
    return conf_store_text(p, text, field);
}

const struct conf_type conf_dns_name = {
    .label = "DNS name",
    .expected = "a name in the DNS such as `_http._tcp.backend.internal`",
    .json = "\"string\"",
    .pattern = "[A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+)*\\.?",
    .read = read_dns_name,
    .write = conf_write_text,
};

/* "10.0.0.2", "10.0.0.2:5353", "fd00::2", "[fd00::2]:5353". */
static bool read_dns_server(struct conf_parser *p, const struct conf_row *row, struct slice text,
                            void *field, struct error *e)
{
    char         ip[INET6_ADDRSTRLEN];
    char         to[sizeof(struct in6_addr)];
    struct slice host = text, port = { 0 };
    uint64_t     n = 53;
    size_t       close = slice_find(text, ']'), colon = slice_find(text, ':');
    (void)row;
    (void)e;
    if (close < text.len) {
        host = slice_make(text.data + 1, close - 1);
        port = slice_from(text, close + 1);
    } else if (colon < text.len &&
               slice_find(slice_from(text, colon + 1), ':') + colon + 1 == text.len) {
        host = slice_make(text.data, colon);
        port = slice_from(text, colon);
    }
    if (port.len && (port.data[0] != ':' || !value_number(slice_from(port, 1), &n))) return false;
    if (!n || n > 65535 || !host.len || host.len >= sizeof(ip)) return false;
    memcpy(ip, host.data, host.len);
    ip[host.len] = 0;
    bool is_v4 = inet_pton(AF_INET, ip, to) == 1;
    if (!is_v4 && inet_pton(AF_INET6, ip, to) != 1) return false;
    struct slice full =
        arena_printf(p->arena, "%s%s%s:%u", is_v4 ? "" : "[", ip, is_v4 ? "" : "]", (unsigned)n);
    memcpy(field, &full, sizeof(full));
    return true;
}

const struct conf_type conf_dns_server = {
    .label = "IP address, port",
    .expected = "the address of a name server such as `10.0.0.2` or `[fd00::2]:5353`",
    .json = "\"string\"",
    .pattern = "[0-9a-fA-F.:]+|\\[[0-9a-fA-F.:]+\\](:[0-9]+)?",
    .read = read_dns_server,
    .write = conf_write_text,
};

/* ---- Docker ---- */

/* "unix:///var/run/docker.sock", "tcp://10.0.0.2:2376", as DOCKER_HOST has them. A path fits into
 * struct sockaddr_un. */
static bool read_docker_endpoint(struct conf_parser *p, const struct conf_row *row,
                                 struct slice text, void *field, struct error *e)
{
    (void)row;
    if (slice_starts_with(text, S("http://")) || slice_starts_with(text, S("https://")))
        p->hint = S("write `tcp://`; TLS it is with `ca`");
    if (slice_starts_with(text, S("unix:///")) && text.len > 8 && text.len - 7 < 108)
        return conf_store_text(p, text, field);
    if (!slice_starts_with(text, S("tcp://"))) return false;
    const char *wrong = value_address_fault(slice_from(text, 6), true);
    if (wrong) return error_set(e, "%s", wrong);
    return conf_store_text(p, text, field);
}

const struct conf_type conf_docker_endpoint = {
    .label = "endpoint",
    .expected = "`unix:///path` or `tcp://host:port`",
    .json = "\"string\"",
    .pattern = "unix:///.+|tcp://.+:[0-9]+",
    .read = read_docker_endpoint,
    .write = conf_write_text,
};

/* ---- checks ---- */

static bool read_request_target(struct conf_parser *p, const struct conf_row *row,
                                struct slice text, void *field, struct error *e)
{
    (void)row;
    if (!text.len || text.data[0] != '/' || text.len > 2048) return false;
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] <= ' ' || (unsigned char)text.data[i] >= 0x7f ||
            text.data[i] == '#')
            return error_set(e, "a path is plain ASCII without spaces and `#`");
    return conf_store_text(p, text, field);
}

const struct conf_type conf_request_target = {
    .label = "path",
    .expected = "a path, perhaps with a query, such as `/health`",
    .json = "\"string\"",
    .pattern = "/[!-~]*",
    .read = read_request_target,
    .write = conf_write_text,
};
