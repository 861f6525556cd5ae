/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses, host names, URL paths, fields and conditions. See types.h.
 */
#include <inttypes.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

#include "conf/nearest.h"
#include "conf/template.h"
#include "conf/types.h"
#include "conf/value.h"

enum { PATTERN_BYTES_MAX = 4096 };

static bool refused(struct conf_parser *p, struct error *e, struct slice text, const char *expected,
                    const char *reason)
{
    return error_set(e, "expected %s, got %s: %s", expected, conf_quote(&p->report->arena, text),
                     reason);
}

/* ---- addresses ---- */

static bool read_listen_address(struct conf_parser *p, const struct conf_row *row,
                                struct slice text, void *field, struct error *e)
{
    const char *fault = value_address_fault(text, false);
    if (fault) return refused(p, e, text, row->type->expected, fault);
    return conf_store_text(p, text, field);
}

const struct conf_type conf_listen_address = {
    .label = "address",
    .expected = "an address such as `:443`, `10.0.0.1:443`, `[::1]:443` or `unix:/path`",
    .json = "\"string\"",
    .pattern = "(unix:.+|.*:[0-9]{1,5})",
    .read = read_listen_address,
    .write = conf_write_text,
};

static bool read_admin_address(struct conf_parser *p, const struct conf_row *row, struct slice text,
                               void *field, struct error *e)
{
    if (slice_eq(text, S("off"))) return conf_store_text(p, text, field);
    return read_listen_address(p, row, text, field, e);
}

const struct conf_type conf_admin_address = {
    .label = "address or `off`",
    .expected = "an address such as `127.0.0.1:9600`, or `off`",
    .json = "\"string\"",
    .pattern = "(off|unix:.+|.*:[0-9]{1,5})",
    .read = read_admin_address,
    .write = conf_write_text,
};

static bool read_server_address(struct conf_parser *p, const struct conf_row *row,
                                struct slice text, void *field, struct error *e)
{
    const char *fault = value_address_fault(text, true);
    if (fault) return refused(p, e, text, row->type->expected, fault);
    return conf_store_text(p, text, field);
}

const struct conf_type conf_server_address = {
    .label = "address",
    .expected = "an address such as `10.0.0.7:80`, `[::1]:80`, `app:8000` or `unix:/path`",
    .json = "\"string\"",
    .pattern = "(unix:.+|.+:[0-9]{1,5})",
    .read = read_server_address,
    .write = conf_write_text,
};

static bool read_cidr(struct conf_parser *p, const struct conf_row *row, struct slice text,
                      void *field, struct error *e)
{
    const char *fault = value_cidr_fault(text);
    if (fault) return refused(p, e, text, row->type->expected, fault);
    return conf_store_text(p, text, field);
}

const struct conf_type conf_cidr = {
    .label = "network",
    .expected = "a network such as `10.0.0.0/8`, `::1/128`, `10.1.2.3` or `unix`",
    .json = "\"string\"",
    .pattern = "(unix|[0-9a-fA-F:.]+(/[0-9]{1,3})?)",
    .read = read_cidr,
    .write = conf_write_text,
};

/* ---- hosts ---- */

static struct slice without_port(struct slice text)
{
    size_t   colon = slice_find(text, ':');
    uint64_t port;
    if (colon == text.len || !value_number(slice_from(text, colon + 1), &port) || port > 65535)
        return text;
    return slice_make(text.data, colon);
}

/* "[::1]" or "[::1]:80" */
static bool is_bracketed(struct slice text)
{
    size_t   close = slice_find(text, ']');
    uint64_t port;
    if (text.len < 4 || text.data[0] != '[' || close == text.len) return false;
    struct slice after = slice_from(text, close + 1);
    bool         has_port = after.len > 1 && after.data[0] == ':' &&
                    value_number(slice_from(after, 1), &port) && port <= 65535;
    return (after.len == 0 || has_port) && value_is_ip(slice_make(text.data + 1, close - 1));
}

static bool read_authority(struct conf_parser *p, const struct conf_row *row, struct slice text,
                           void *field, struct error *e)
{
    (void)row;
    (void)e;
    if (!is_bracketed(text) && !value_is_host_name(without_port(text))) return false;
    return conf_store_text(p, text, field);
}

const struct conf_type conf_authority = {
    .label = "host",
    .expected = "a host name, with a port if need be",
    .json = "\"string\"",
    .read = read_authority,
    .write = conf_write_text,
};

/* As requests' hosts are: exchange_host() is in lower case. */
static bool store_lower(struct conf_parser *p, struct slice text, void *field)
{
    char        *copy = arena_alloc(p->arena, text.len + 1);
    struct slice host = { copy, text.len };
    for (size_t i = 0; i < text.len; i++)
        copy[i] =
            text.data[i] >= 'A' && text.data[i] <= 'Z' ? (char)(text.data[i] + 32) : text.data[i];
    copy[text.len] = '\0';
    memcpy(field, &host, sizeof(host));
    return true;
}

static bool read_host_name(struct conf_parser *p, const struct conf_row *row, struct slice text,
                           void *field, struct error *e)
{
    (void)row;
    (void)e;
    return value_is_host_name(text) && store_lower(p, text, field);
}

const struct conf_type conf_host_name = {
    .label = "host",
    .expected = "a host name",
    .json = "\"string\"",
    .read = read_host_name,
    .write = conf_write_text,
};

static bool has_upper_bytes(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] >= 0x80) return true;
    return false;
}

static const char *host_fault(struct slice text)
{
    struct slice name = slice_starts_with(text, S("*.")) ? slice_from(text, 2) : text;
    if (has_upper_bytes(text)) return "write an international name in its `xn--` form";
    if (slice_starts_with(text, S("http://")) || slice_starts_with(text, S("https://")))
        return "a host, not a URL";
    if (text.len && text.data[0] == '[') return is_bracketed(text) ? NULL : "not an IPv6 address";
    if (value_is_host_name(name)) return NULL;
    if (slice_find(text, ':') < text.len) return "a host has no port here";
    return slice_find(text, '*') < text.len ? "`*` stands only for the first label: `*.example.org`"
                                            : "it is not a host name";
}

static bool read_host(struct conf_parser *p, const struct conf_row *row, struct slice text,
                      void *field, struct error *e)
{
    const char *fault = host_fault(text);
    if (fault) return refused(p, e, text, row->type->expected, fault);
    return store_lower(p, text, field);
}

const struct conf_type conf_host = {
    .label = "host",
    .expected = "a host such as `example.org` or `*.example.org`",
    .json = "\"string\"",
    .pattern = "(\\*\\.)?[^*:/]+|\\[.+\\]",
    .read = read_host,
    .write = conf_write_text,
};

/* ---- regular expressions and paths ---- */

static bool compiles(struct conf_parser *p, struct slice pattern, uint32_t options, struct error *e)
{
    int        code = 0;
    PCRE2_SIZE offset = 0;
    char       reason[160] = "";
    if (pattern.len > PATTERN_BYTES_MAX)
        return error_set(e, "a regular expression has at most %d bytes", PATTERN_BYTES_MAX);
    pcre2_code *re = pcre2_compile((PCRE2_SPTR)pattern.data, pattern.len,
                                   options | PCRE2_NEVER_BACKSLASH_C, &code, &offset, NULL);
    pcre2_code_free(re);
    if (re) return true;
    pcre2_get_error_message(code, (PCRE2_UCHAR *)reason, sizeof(reason));
    return error_set(e, "the regular expression %s is wrong at its character %zu: %s",
                     conf_quote(&p->report->arena, pattern), (size_t)offset + 1, reason);
}

static struct slice trimmed(struct slice s)
{
    while (s.len && s.data[0] == ' ') s = slice_from(s, 1);
    return s;
}

/* "~ pattern" and "~* pattern": stored with one space. */
static bool read_pattern(struct conf_parser *p, struct slice text, void *field, struct error *e)
{
    bool         has_no_case = slice_starts_with(text, S("~*"));
    struct slice pattern = trimmed(slice_from(text, has_no_case ? 2 : 1));
    struct slice canonical;
    if (!pattern.len) return error_set(e, "the regular expression is missing");
    if (!compiles(p, pattern, has_no_case ? PCRE2_CASELESS : 0, e)) return false;
    canonical = arena_printf(p->arena, "%s %.*s", has_no_case ? "~*" : "~", SLICE_ARG(pattern));
    memcpy(field, &canonical, sizeof(canonical));
    return true;
}

static bool read_regex(struct conf_parser *p, const struct conf_row *row, struct slice text,
                       void *field, struct error *e)
{
    (void)row;
    if (!text.len) return error_set(e, "the regular expression is missing");
    return compiles(p, text, 0, e) && conf_store_text(p, text, field);
}

const struct conf_type conf_regex = {
    .label = "pattern",
    .expected = "a regular expression",
    .json = "\"string\", \"number\", \"boolean\"",
    .read = read_regex,
    .write = conf_write_text,
};

static const char *path_fault(struct slice path)
{
    if (!path.len || path.data[0] != '/') return "a path begins with `/`";
    for (size_t i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.data[i];
        if (c == '?' || c == '#') return "a path ends before `?` and `#`; conditions go to `query`";
        if (c <= ' ' || c == 0x7f) return "a path has no spaces";
        if (c == '*') return "`*` may only be the last segment; a pattern is written `~ pattern`";
        bool is_segment_end = i + 1 == path.len || path.data[i + 1] == '/';
        bool is_dot = c == '.' && path.data[i ? i - 1 : 0] == '/';
        bool is_dots = c == '.' && i > 1 && path.data[i - 1] == '.' && path.data[i - 2] == '/';
        if (is_segment_end && (is_dot || is_dots)) return "paths are matched without `.` and `..`";
        if (c == '/' && i && path.data[i - 1] == '/') return "paths are matched without `//`";
    }
    return NULL;
}

static bool read_match_path(struct conf_parser *p, const struct conf_row *row, struct slice text,
                            void *field, struct error *e)
{
    if (slice_starts_with(text, S("~"))) return read_pattern(p, text, field, e);
    bool         is_exact = slice_starts_with(text, S("="));
    struct slice path = is_exact ? trimmed(slice_from(text, 1)) : text;
    if (!is_exact && slice_ends_with(path, S("/*"))) path.len--;
    const char *fault = path_fault(path);
    if (fault) return refused(p, e, text, row->type->expected, fault);
    path = arena_printf(p->arena, "%s%.*s", is_exact ? "= " : "", SLICE_ARG(path));
    memcpy(field, &path, sizeof(path));
    return true;
}

const struct conf_type conf_match_path = {
    .label = "path",
    .expected = "a path such as `/api/`, `= /exact`, `~ pattern` or `~* pattern`",
    .json = "\"string\"",
    .pattern = "(= *)?/[^?#]*|~.+",
    .read = read_match_path,
    .write = conf_write_text,
};

static bool read_url_path(struct conf_parser *p, const struct conf_row *row, struct slice text,
                          void *field, struct error *e)
{
    const char *fault = path_fault(text);
    if (fault) return refused(p, e, text, row->type->expected, fault);
    return conf_store_text(p, text, field);
}

const struct conf_type conf_url_path = {
    .label = "path",
    .expected = "a path such as `/metrics`",
    .json = "\"string\"",
    .pattern = "/[^?#]*",
    .read = read_url_path,
    .write = conf_write_text,
};

/* ---- fields ---- */

/* RFC 9110 section 5.6.2. */
static bool is_token(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        bool is_word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_word && (!c || !strchr("!#$%&'*+-.^_`|~", c))) return false;
    }
    return s.len > 0;
}

/* RFC 9110 section 5.5. */
static bool is_field_value(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (((unsigned char)s.data[i] < 0x20 && s.data[i] != '\t') || s.data[i] == 0x7f)
            return false;
    bool has_edge_space = s.len && (strchr(" \t", s.data[0]) || strchr(" \t", s.data[s.len - 1]));
    return !has_edge_space;
}

static bool read_method(struct conf_parser *p, const struct conf_row *row, struct slice text,
                        void *field, struct error *e)
{
    (void)row;
    (void)e;
    bool has_lower = false;
    for (size_t i = 0; i < text.len; i++) has_lower |= text.data[i] >= 'a' && text.data[i] <= 'z';
    if (has_lower && text.len <= 16) {
        char upper[17] = "";
        for (size_t i = 0; i < text.len; i++)
            upper[i] = text.data[i] >= 'a' && text.data[i] <= 'z' ? (char)(text.data[i] - 32)
                                                                  : text.data[i];
        p->hint = arena_printf(&p->report->arena, "did you mean `%s`?", upper);
    }
    return !has_lower && is_token(text) && conf_store_text(p, text, field);
}

const struct conf_type conf_method = {
    .label = "method",
    .expected = "a method in capitals such as `GET`",
    .json = "\"string\"",
    .pattern = "[!#$%&'*+.^_`|~0-9A-Z-]+",
    .read = read_method,
    .write = conf_write_text,
};

/* Words that people write for WebSocket, and slips of the pen, name no protocol. */
static bool is_slip(struct conf_parser *p, struct slice text)
{
    static const struct slice meant[] = { SLICE("true"), SLICE("on"),  SLICE("yes"),
                                          SLICE("ws"),   SLICE("wss"), SLICE("websockets") };
    struct nearest            n;
    if (slice_eq(text, S("websocket"))) return false;
    nearest_init(&n, text);
    nearest_try(&n, S("websocket"));
    for (size_t i = 0; i < sizeof(meant) / sizeof(meant[0]); i++)
        if (slice_eq_nocase(text, meant[i])) n.best = S("websocket");
    if (slice_eq_nocase(text, S("no")) || slice_eq_nocase(text, S("false"))) n.best = S("off");
    p->hint = nearest_hint(&n, &p->report->arena);
    return n.best.len != 0;
}

/* RFC 9110 section 7.8: a name, and a version perhaps. */
static bool read_upgrade(struct conf_parser *p, const struct conf_row *row, struct slice text,
                         void *field, struct error *e)
{
    (void)row;
    size_t slash = slice_find(text, '/');
    bool   is_good = is_token(slice_make(text.data, slash));
    if (slash < text.len) is_good &= is_token(slice_from(text, slash + 1));
    if (slice_eq_nocase(text, S("h2c")))
        return error_set(e, "`h2c` is never passed on; `http2: on` of a listener takes HTTP/2");
    return is_good && text.len <= 64 && !is_slip(p, text) && conf_store_text(p, text, field);
}

const struct conf_type conf_upgrade = {
    .label = "protocol",
    .expected = "a protocol such as `websocket`, `any`, or `off`",
    .json = "\"string\"",
    .pattern = "[!#$%&'*+.^_`|~0-9A-Za-z-]+(/[!#$%&'*+.^_`|~0-9A-Za-z-]+)?",
    .read = read_upgrade,
    .write = conf_write_text,
};

static bool read_coding(struct conf_parser *p, const struct conf_row *row, struct slice text,
                        void *field, struct error *e)
{
    static const struct slice known[] = { SLICE("zstd"), SLICE("br"), SLICE("gzip"), SLICE("off") };
    struct nearest            n;
    (void)row;
    if (slice_eq(text, S("deflate")))
        return error_set(e,
                         "`deflate` is two formats in practice; every client that takes it takes "
                         "`gzip`");
    nearest_init(&n, text);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (slice_eq(text, known[i])) return conf_store_text(p, text, field);
        nearest_try(&n, known[i]);
    }
    if (slice_eq_nocase(text, S("brotli"))) n.best = known[1];
    if (conf_is_no(text)) n.best = known[3];
    p->hint = nearest_hint(&n, &p->report->arena);
    return false;
}

const struct conf_type conf_coding = {
    .label = "`zstd`, `br`, `gzip` or `off`",
    .expected = "`zstd`, `br`, `gzip` or `off`",
    .json = "\"string\"",
    .pattern = "(zstd|br|gzip|off)",
    .read = read_coding,
    .write = conf_write_text,
};

static bool read_media_type(struct conf_parser *p, const struct conf_row *row, struct slice text,
                            void *field, struct error *e)
{
    (void)row;
    (void)e;
    size_t       slash = slice_find(text, '/');
    struct slice kind = slice_make(text.data, slash);
    if (slash == text.len || text.len > 128) return false;
    return is_token(kind) && is_token(slice_from(text, slash + 1)) &&
           (!slice_eq(kind, S("*")) || slice_eq(text, S("*/*"))) && conf_store_text(p, text, field);
}

const struct conf_type conf_media_type = {
    .label = "media type",
    .expected = "a media type such as `application/json`, `text/*` or `*/*`",
    .json = "\"string\"",
    .pattern = "[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+",
    .read = read_media_type,
    .write = conf_write_text,
};

static bool read_field_name(struct conf_parser *p, const struct conf_row *row, struct slice text,
                            void *field, struct error *e)
{
    (void)row;
    (void)e;
    return is_token(text) && text.len <= 256 && conf_store_text(p, text, field);
}

const struct conf_type conf_field_name = {
    .label = "header name",
    .expected = "the name of a header",
    .json = "\"string\"",
    .pattern = "[!#$%&'*+.^_`|~0-9A-Za-z-]+",
    .read = read_field_name,
    .write = conf_write_text,
};

static bool read_field_value(struct conf_parser *p, const struct conf_row *row, struct slice text,
                             void *field, struct error *e)
{
    (void)row;
    (void)e;
    return is_field_value(text) && text.len <= 4096 && conf_store_text(p, text, field);
}

const struct conf_type conf_field_value = {
    .label = "text",
    .expected = "the value of a header, one line without spaces at its ends",
    .json = "\"string\", \"number\", \"boolean\"",
    .read = read_field_value,
    .write = conf_write_text,
};

static bool read_query_name(struct conf_parser *p, const struct conf_row *row, struct slice text,
                            void *field, struct error *e)
{
    (void)row;
    (void)e;
    return text.len > 0 && text.len <= 256 && conf_store_text(p, text, field);
}

const struct conf_type conf_query_name = {
    .label = "parameter name",
    .expected = "the name of a query parameter",
    .json = "\"string\"",
    .read = read_query_name,
    .write = conf_write_text,
};

static bool read_condition(struct conf_parser *p, const struct conf_row *row, struct slice text,
                           void *field, struct error *e)
{
    if (slice_starts_with(text, S("~"))) return read_pattern(p, text, field, e);
    return read_field_value(p, row, text, field, e);
}

const struct conf_type conf_condition = {
    .label = "text or pattern",
    .expected = "a value, `~ pattern` or `~* pattern`",
    .json = "\"string\", \"number\", \"boolean\"",
    .read = read_condition,
    .write = conf_write_text,
};

/* ---- redirects ---- */

/* "$request_uri", as others write it; "$$" is a plain `$`. */
static bool has_bare_name(struct slice text)
{
    for (size_t i = 0; i + 1 < text.len; i++) {
        char next = text.data[i + 1];
        if (text.data[i] != '$') continue;
        if ((next >= 'a' && next <= 'z') || next == '_') return true;
        i += next == '$';
    }
    return false;
}

static const char *target_fault(struct slice text)
{
    struct slice rest = text;
    if (slice_starts_with(text, S("https://"))) rest = slice_from(text, 8);
    if (slice_starts_with(text, S("http://"))) rest = slice_from(text, 7);
    if (rest.data == text.data && (!text.len || (text.data[0] != '/' && text.data[0] != '$')))
        return "it begins with `https://`, `http://` or `/`";
    if (rest.data != text.data && (!rest.len || rest.data[0] == '/')) return "the host is missing";
    if (slice_starts_with(text, S("//"))) return "the scheme is missing";
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.data[i] <= ' ' || (unsigned char)text.data[i] >= 0x7f)
            return "a URL is plain ASCII without spaces";
        if (text.data[i] == '\\') return "a URL has no backslash";
    }
    if (has_bare_name(text))
        return "variables are `${path}`, `${query}` and `${host}`; a plain `$` is `$$`";
    return text.len > 2048 ? "it is longer than 2048 bytes" : NULL;
}

static bool read_target(struct conf_parser *p, const struct conf_row *row, struct slice text,
                        void *field, struct error *e)
{
    const char *fault = target_fault(text);
    if (fault) return refused(p, e, text, row->type->expected, fault);
    return conf_store_text(p, text, field);
}

const struct conf_type conf_target = {
    .label = "URL",
    .expected = "a URL or a path",
    .json = "\"string\"",
    .pattern = "(https?://|/|\\$).*",
    .read = read_target,
    .write = conf_write_text,
    .template_uses = VARIABLE_OF_REQUEST, /* http/target.h says which, and takes it apart */
};
