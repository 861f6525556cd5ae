/* SPDX-License-Identifier: Apache-2.0
 *
 * A question about a request becomes the head that the router would see: what a
 * codec refuses is refused here too.
 */
#include "control/explain_parts.h"
#include "http/rules.h"

/* ---- the question ---- */

/* %XX; what is none stays as it is. */
static struct slice decode(struct slice text, struct arena *a)
{
    char  *out = arena_alloc(a, text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        int high = -1, low = -1;
        if (text.data[i] == '%' && text.len - i > 2) {
            high = hex_value(text.data[i + 1]);
            low = hex_value(text.data[i + 2]);
        }
        bool is_encoded = high >= 0 && low >= 0;
        out[len++] = is_encoded ? (char)(high << 4 | low) : text.data[i];
        if (is_encoded) i += 2;
    }
    out[len] = '\0';
    return slice_make(out, len);
}

/* Where a parameter goes that is there once; NULL: it is none of them. */
static struct slice *field_of(struct explain_request *r, struct slice name)
{
    if (slice_eq(name, S("url"))) return &r->url;
    if (slice_eq(name, S("container"))) return &r->container;
    if (slice_eq(name, S("method"))) return &r->method;
    return slice_eq(name, S("client")) ? &r->client : NULL;
}

static bool take(struct explain_request *r, struct slice name, struct slice value, struct error *e)
{
    struct slice *field = field_of(r, name);
    if (!field && r->header_count == EXPLAIN_HEADER_MAX)
        error_set(e, "more than %d headers", EXPLAIN_HEADER_MAX);
    else if (!field && !slice_eq(name, S("header")))
        error_set(e, "there is no parameter %.*s", SLICE_ARG(name));
    else
        field = field ? field : &r->headers[r->header_count++];
    if (field) *field = value;
    return field != NULL;
}

bool explain_read(struct slice query, struct explain_request *r, struct error *e)
{
    while (query.len) {
        size_t       end = slice_find(query, '&');
        struct slice pair = slice_make(query.data, end);
        size_t       equals = slice_find(pair, '=');
        struct slice value = slice_from(pair, equals + (equals < pair.len));
        if (!take(r, slice_make(pair.data, equals), decode(value, r->arena), e)) return false;
        query = slice_from(query, end + (end < query.len));
    }
    if ((r->url.len > 0) != (r->container.len > 0)) return true;
    error_set(e, "either url=... or container=... is asked for");
    return false;
}

/* ---- the URL ---- */

static bool wrong(struct error *e, const char *why, struct slice what)
{
    error_set(e, "%s: %.*s", why, SLICE_ARG(what));
    return false;
}

static bool take_scheme(struct explain_request *r, struct slice *rest, struct error *e)
{
    const char *mark = memmem(rest->data, rest->len, "://", 3);
    size_t      end = mark ? (size_t)(mark - rest->data) : 0;
    if (!mark || slice_find(*rest, '/') < end || slice_find(*rest, '?') < end) return true;
    struct slice scheme = slice_make(rest->data, end);
    if (slice_eq_nocase(scheme, S("http")))
        r->scheme = S("http");
    else if (slice_eq_nocase(scheme, S("https")))
        r->scheme = S("https");
    else
        return wrong(e, "a URL begins with http:// or https://", r->url);
    *rest = slice_from(*rest, end + 3);
    return true;
}

static bool is_clean(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] <= ' ' || text.data[i] == 0x7f) return false;
    return true;
}

static bool take_url(struct explain_request *r, const struct http_limits *limits, struct error *e)
{
    struct slice      rest = slice_make(r->url.data, slice_find(r->url, '#'));
    struct http_fault fault;
    if (!is_clean(rest))
        return wrong(e, "blanks and control characters are no part of a URL", rest);
    if (!take_scheme(r, &rest, e)) return false;
    size_t end = 0;
    while (end < rest.len && rest.data[end] != '/' && rest.data[end] != '?') end++;
    struct slice host = slice_make(rest.data, end);
    if (!uri_authority(host, &r->authority)) return wrong(e, "that is no host", host);
    r->port = r->authority.port;
    rest = slice_from(rest, end);
    if (!rest.len || rest.data[0] != '/') rest = arena_printf(r->arena, "/%.*s", SLICE_ARG(rest));
    r->head.target = rest;
    if (http_split_target(&r->head, r->arena, limits, &fault)) return true;
    error_set(e, "the gateway answers %u to such a target: %s", fault.status, fault.reason);
    return false;
}

/* ---- what else is said ---- */

static struct slice trim(struct slice s)
{
    while (s.len && (s.data[0] == ' ' || s.data[0] == '\t')) s = slice_from(s, 1);
    while (s.len && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t')) s.len--;
    return s;
}

/* Host and Upgrade are what codecs make of them; other fields of the connection are not seen
 * by routes. */
static bool take_header(struct explain_request *r, struct slice line, struct error *e)
{
    size_t              colon = slice_find(line, ':');
    struct slice        name = slice_make(line.data, colon);
    struct slice        value = trim(slice_from(line, colon + (colon < line.len)));
    enum http_field_id  id = http_field_lookup(name);
    struct http_fields *fields = &r->head.fields;
    if (colon == line.len || !http_is_token(name) || !http_is_field_value(value))
        return wrong(e, "a header is written 'Name: value'", line);
    if (id == FIELD_HOST)
        return uri_authority(value, &r->authority) || wrong(e, "that is no host", value);
    if (id == FIELD_UPGRADE)
        r->head.upgrade = value;
    else if (!http_is_control_field(id))
        http_fields_add_named(fields, r->arena, name, value);
    return true;
}

static bool take_client(struct explain_request *r, struct error *e)
{
    struct cidr  c;
    struct error ignored;
    char        *text = arena_alloc(r->arena, ADDRESS_TEXT_MAX);
    if (!r->client.len) return true;
    if (!cidr_parse(&c, r->client, &ignored) || c.family == ADDRESS_UNIX ||
        slice_find(r->client, '/') < r->client.len)
        return wrong(e, "a client is an IP address", r->client);
    r->address.family = c.family;
    memcpy(r->address.ip, c.ip, sizeof(r->address.ip));
    r->client = slice_make(text, address_format_ip(&r->address, text));
    return true;
}

bool explain_read_url(struct explain_request *r, const struct http_limits *limits, struct error *e)
{
    if (!r->method.len) r->method = S("GET");
    if (!http_is_token(r->method)) return wrong(e, "that is no method", r->method);
    r->head.method_name = r->method;
    r->head.method = http_method_lookup(r->method);
    if (!take_url(r, limits, e) || !take_client(r, e)) return false;
    for (size_t i = 0; i < r->header_count; i++)
        if (!take_header(r, r->headers[i], e)) return false;
    r->head.authority = r->authority.text;
    return true;
}
