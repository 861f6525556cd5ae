/* SPDX-License-Identifier: Apache-2.0
 *
 * What requests are told apart by, and where Redis is. See types.h.
 */
#include "conf/nearest.h"
#include "conf/types.h"
#include "conf/value.h"

enum { REDIS_PORT = 6379, REDIS_DATABASE_MAX = 65535, UNIX_PATH_MAX = 108 };

/* ---- keys ---- */

static const struct {
    const char *word;
    bool        has_name;
    bool        can_balance;
} key_kinds[] = {
    [KEY_CLIENT_IP] = { "client_ip", false, true },
    [KEY_HOST] = { "host", false, true },
    [KEY_PATH] = { "path", false, true },
    [KEY_ROUTE] = { "route", false, false },
    [KEY_CLIENT_CERT] = { "client_cert", false, false },
    [KEY_HEADER] = { "header", true, true },
    [KEY_COOKIE] = { "cookie", true, true },
    [KEY_QUERY] = { "query", true, false },
};

enum { KEY_KIND_COUNT = sizeof(key_kinds) / sizeof(key_kinds[0]) };

bool conf_split_key(struct slice key, enum setting_key *kind, struct slice *name)
{
    size_t       colon = slice_find(key, ':');
    struct slice word = slice_make(key.data, colon);
    *name = colon < key.len ? slice_from(key, colon + 1) : slice_make("", 0);
    for (unsigned i = 0; i < KEY_KIND_COUNT; i++) {
        if (!slice_eq(word, slice_of(key_kinds[i].word))) continue;
        *kind = (enum setting_key)i;
        /* The field is no part of the fields; over HTTP/2 it does not even exist. */
        if (i == KEY_HEADER && slice_eq_nocase(*name, S("host"))) *kind = KEY_HOST;
        return key_kinds[i].has_name ? name->len > 0 : colon == key.len;
    }
    return false;
}

static void hint_at_key(struct conf_parser *p, struct slice text)
{
    struct nearest near;
    nearest_init(&near, text);
    for (unsigned i = 0; i < KEY_KIND_COUNT; i++) nearest_try(&near, slice_of(key_kinds[i].word));
    p->hint = nearest_hint(&near, &p->report->arena);
}

static bool read_limit_key(struct conf_parser *p, const struct conf_row *row, struct slice text,
                           void *field, struct error *e)
{
    enum setting_key kind;
    struct slice     name, stored;
    if (!conf_split_key(text, &kind, &name)) {
        hint_at_key(p, text);
        return false;
    }
    if (name.len && kind != KEY_QUERY && !conf_field_name.read(p, row, name, &stored, e))
        return false;
    return conf_store_text(p, text, field);
}

static bool read_key(struct conf_parser *p, const struct conf_row *row, struct slice text,
                     void *field, struct error *e)
{
    enum setting_key kind;
    struct slice     name;
    if (conf_split_key(text, &kind, &name) && !key_kinds[kind].can_balance) return false;
    return read_limit_key(p, row, text, field, e);
}

const struct conf_type conf_key = {
    .label = "key",
    .expected = "`client_ip`, `host`, `path`, `header:NAME` or `cookie:NAME`",
    .json = "\"string\"",
    .pattern = "client_ip|host|path|(header|cookie):[!#$%&'*+.^_`|~0-9A-Za-z-]+",
    .read = read_key,
    .write = conf_write_text,
};

const struct conf_type conf_limit_key = {
    .label = "key",
    .expected = "`client_ip`, `host`, `path`, `route`, `client_cert`, `header:NAME`, `cookie:NAME` "
                "or `query:NAME`",
    .json = "\"string\"",
    .pattern = "client_ip|host|path|route|client_cert|(header|cookie):[!#$%&'*+.^_`|~0-9A-Za-z-]+|"
               "query:.+",
    .read = read_limit_key,
    .write = conf_write_text,
};

/* ---- Redis ---- */

/* %XX, as URLs have them (RFC 3986 section 2.1), but no NUL, which would end a text in C. */
static bool decode(struct slice text, struct arena *a, struct slice *to)
{
    char  *copy = arena_alloc(a, text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '%') {
            int high = i + 2 < text.len ? hex_value(text.data[i + 1]) : -1;
            int low = i + 2 < text.len ? hex_value(text.data[i + 2]) : -1;
            if (high < 0 || low < 0) return false;
            c = (char)(high << 4 | low);
            if (!c) return false;
            i += 2;
        }
        copy[len++] = c;
    }
    copy[len] = 0;
    *to = slice_make(copy, len);
    return true;
}

static const char *parse_user(struct slice user, struct arena *a, struct conf_redis_url *url)
{
    size_t colon = slice_find(user, ':');
    bool   is_good = decode(slice_make(user.data, colon), a, &url->username);
    if (colon < user.len) is_good &= decode(slice_from(user, colon + 1), a, &url->password);
    return is_good ? NULL : "`%` in a user or password is written `%25`";
}

/* A name or an address; IPv6 in brackets, which it loses. */
static bool take_host(struct slice text, struct slice *host)
{
    bool is_v6 = text.len > 2 && text.data[0] == '[' && text.data[text.len - 1] == ']';
    *host = is_v6 ? slice_make(text.data + 1, text.len - 2) : text;
    if (is_v6) return slice_find(*host, ':') < host->len && value_is_ip(*host);
    return value_is_host_name(text) || (slice_find(text, ':') == text.len && value_is_ip(text));
}

static const char *parse_authority(struct slice text, struct arena *a, struct conf_redis_url *url)
{
    size_t at = text.len;
    while (at && text.data[at - 1] != '@') at--;
    const char  *wrong = at ? parse_user(slice_make(text.data, at - 1), a, url) : NULL;
    struct slice host = slice_from(text, at);
    uint64_t     port = REDIS_PORT;
    size_t       end = host.len && host.data[0] == '[' ? slice_find(host, ']') : 0;
    size_t       colon = end + slice_find(slice_from(host, end), ':');
    if (colon < host.len && !value_number(slice_from(host, colon + 1), &port)) port = 0;
    if (!port || port > UINT16_MAX) return "its port is a number from 1 to 65535";
    url->port = (uint16_t)port;
    if (!take_host(slice_make(host.data, colon), &host)) return "it names no host";
    url->host = arena_copy(a, host);
    return wrong;
}

static const char *parse_host_url(struct slice text, struct arena *a, struct conf_redis_url *url)
{
    size_t   slash = slice_find(text, '/');
    uint64_t database = 0;
    if (slash + 1 < text.len && !value_number(slice_from(text, slash + 1), &database))
        return "after the host comes a database, a number";
    if (database > REDIS_DATABASE_MAX) return "there is no such database";
    url->database = (uint32_t)database;
    return parse_authority(slice_make(text.data, slash), a, url);
}

const char *conf_parse_redis_url(struct slice text, struct arena *a, struct conf_redis_url *url)
{
    memset(url, 0, sizeof(*url));
    if (slice_starts_with(text, S("unix:///"))) {
        url->host = arena_copy(a, slice_from(text, 7));
        if (memchr(url->host.data, 0, url->host.len)) return "its path holds a NUL";
        return url->host.len > 1 && url->host.len < UNIX_PATH_MAX ? NULL
                                                                  : "its path has a wrong length";
    }
    if (slice_starts_with(text, S("redis://"))) return parse_host_url(slice_from(text, 8), a, url);
    url->is_tls = slice_starts_with(text, S("rediss://"));
    if (url->is_tls) return parse_host_url(slice_from(text, 9), a, url);
    return "it begins with `redis://`, `rediss://` or `unix:///`";
}

static bool read_redis_url(struct conf_parser *p, const struct conf_row *row, struct slice text,
                           void *field, struct error *e)
{
    struct conf_redis_url url;
    (void)row;
    const char *wrong = conf_parse_redis_url(text, p->arena, &url);
    if (wrong) return error_set(e, "expected a URL such as `redis://redis:6379`: %s", wrong);
    return conf_store_text(p, text, field);
}

const struct conf_type conf_redis_url = {
    .label = "URL",
    .expected = "a URL such as `redis://redis:6379`",
    .json = "\"string\"",
    .pattern = "rediss?://.+|unix:///.+|file:.+",
    .read = read_redis_url,
    .write = conf_write_text,
};
