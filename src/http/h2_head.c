/* SPDX-License-Identifier: Apache-2.0
 *
 * Header blocks of HTTP/2. See h2_head.h; docs/design/http2.md has the decisions.
 */
#include "http/h2_head.h"

#include <stdlib.h>

#include "base/memory.h"
#include "http/names.h"
#include "http/uri.h"

enum {
    /* What the scanning of the last value may read past it. */
    SLACK_BYTES = HTTP_NAME_SLACK_BYTES + 16,
    LINES_MIN = 32,
    /* A text that grew larger than this is not kept from one block to the next. */
    TEXT_KEPT_BYTES = 16 * 1024,
};

static const struct slice pseudo_names[H2_PSEUDO_COUNT] = {
    [H2_METHOD] = SLICE(":method"),       [H2_SCHEME] = SLICE(":scheme"),
    [H2_AUTHORITY] = SLICE(":authority"), [H2_PATH] = SLICE(":path"),
    [H2_PROTOCOL] = SLICE(":protocol"),   [H2_STATUS] = SLICE(":status"),
};

#define BIT(pseudo) (1u << (pseudo))

static const unsigned pseudo_allowed[] = {
    [H2_HEAD_REQUEST] =
        BIT(H2_METHOD) | BIT(H2_SCHEME) | BIT(H2_AUTHORITY) | BIT(H2_PATH) | BIT(H2_PROTOCOL),
    [H2_HEAD_RESPONSE] = BIT(H2_STATUS),
    [H2_HEAD_TRAILERS] = 0,
};

void h2_head_reset(struct h2_head *h)
{
    buffer_reset(&h->text);
    free(h->lines);
    *h = (struct h2_head){ 0 };
}

void h2_head_begin(struct h2_head *h, enum h2_head_kind kind)
{
    if (h->text.capacity > TEXT_KEPT_BYTES) buffer_reset(&h->text);
    h->text.len = 0;
    h->count = 0;
    h->list_bytes = 0;
    h->pseudo_seen = 0;
    h->cookie_count = 0;
    h->kind = kind;
    h->fault.reason = NULL;
}

static void refuse(struct h2_head *h, uint16_t status, const char *reason)
{
    if (!h->fault.reason) http_refuse(&h->fault, status, reason);
}

/* ---- field by field ---- */

/* Appends "name: value CRLF"; returns where, as an offset. */
static char *put_line(struct h2_head *h, struct slice name, struct slice value)
{
    char *to = buffer_reserve(&h->text, name.len + value.len + 4 + SLACK_BYTES);
    char *p = to;
    if (name.len) memcpy(p, name.data, name.len);
    p += name.len;
    *p++ = ':';
    *p++ = ' ';
    if (value.len) memcpy(p, value.data, value.len);
    p += value.len;
    *p++ = '\r';
    *p++ = '\n';
    memset(p, 0, SLACK_BYTES);
    h->text.len += (size_t)(p - to);
    return to;
}

static bool has_blank_end(struct slice value)
{
    return value.len && (value.data[0] == ' ' || value.data[0] == '\t' ||
                         value.data[value.len - 1] == ' ' || value.data[value.len - 1] == '\t');
}

static void add_pseudo(struct h2_head *h, struct slice name, struct slice value)
{
    unsigned i = 0;
    while (i < H2_PSEUDO_COUNT && !slice_eq(name, pseudo_names[i])) i++;
    if (i == H2_PSEUDO_COUNT || !(pseudo_allowed[h->kind] & BIT(i))) {
        refuse(h, 400, "bad_pseudo_header");
    } else if (h->pseudo_seen & BIT(i)) {
        refuse(h, 400, "duplicate_pseudo_header");
    } else if (h->count) {
        refuse(h, 400, "pseudo_header_after_field");
    } else {
        const char *line = put_line(h, name, value);
        const char *at = line + name.len + 2;
        h->pseudo[i] = (struct h2_span){ (uint32_t)(at - h->text.data), (uint32_t)value.len };
        h->pseudo_seen |= BIT(i);
        if (scan_control(at) != at + value.len || has_blank_end(value))
            refuse(h, 400, "bad_field_value");
    }
}

/* RFC 9113 section 8.2.2. */
static bool is_of_connection(enum http_field_id id, struct slice value)
{
    switch (id) {
    case FIELD_CONNECTION:
    case FIELD_KEEP_ALIVE:
    case FIELD_PROXY_CONNECTION:
    case FIELD_TRANSFER_ENCODING:
    case FIELD_UPGRADE: return true;
    case FIELD_TE: return !slice_eq_nocase(value, S("trailers"));
    default: return false;
    }
}

/* Lower case and no "_" are the rule for a name that is not known; *is_kept as in
 * HTTP/1: programs in the manner of CGI cannot tell "_" from "-". */
static bool check_name(struct slice name, bool *is_kept)
{
    bool is_plain = true;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        if (c >= 'A' && c <= 'Z') return false;
        is_plain &= http_char_is(c, CHAR_NAME);
    }
    *is_kept = is_plain;
    return is_plain ? name.len != 0 : http_is_token(name);
}

static bool is_lower(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.data[i] >= 'A' && name.data[i] <= 'Z') return false;
    return true;
}

static void keep_line(struct h2_head *h, const char *line, size_t name_bytes, size_t value_bytes,
                      enum http_field_id id)
{
    if (h->count == h->capacity) {
        h->capacity = h->capacity ? h->capacity * 2 : LINES_MIN;
        h->lines = mem_realloc(h->lines, h->capacity * sizeof(*h->lines));
    }
    uint32_t at = (uint32_t)(line - h->text.data);
    h->lines[h->count++] = (struct h2_line){
        .name = { at, (uint32_t)name_bytes },
        .value = { at + (uint32_t)name_bytes + 2, (uint32_t)value_bytes },
        .id = (uint16_t)id,
    };
    h->cookie_count += id == FIELD_COOKIE;
}

static void add_field(struct h2_head *h, struct slice name, struct slice value)
{
    size_t             before = h->text.len;
    const char        *line = put_line(h, name, value), *at = line + name.len + 2;
    enum http_field_id id = http_name_lookup(line, name.len);
    bool               is_kept = true;
    if (id == FIELD_OTHER ? !check_name(name, &is_kept) : !is_lower(name))
        refuse(h, 400, "bad_field_name");
    else if (scan_control(at) != at + value.len || has_blank_end(value))
        refuse(h, 400, "bad_field_value");
    else if (is_of_connection(id, value))
        refuse(h, 400, "connection_specific_field");
    else if (is_kept)
        keep_line(h, line, name.len, value.len, id);
    if (!is_kept) h->text.len = before;
}

void h2_head_add(struct h2_head *h, struct slice name, struct slice value,
                 const struct http_limits *limits)
{
    h->list_bytes += name.len + value.len + 4;
    if (h->fault.reason) return;
    if (h->list_bytes > limits->header_bytes)
        refuse(h, 431, "head_too_large");
    else if (name.len && name.data[0] == ':')
        add_pseudo(h, name, value);
    else if (h->count == limits->header_count)
        refuse(h, 431, "too_many_fields");
    else
        add_field(h, name, value);
}

/* ---- what they make ---- */

static struct slice slice_at(const char *text, struct h2_span span)
{
    return slice_make(text + span.at, span.len);
}

/* RFC 9113 section 8.2.3: what was split for HPACK's sake is one field again. */
static void join_cookies(struct http_fields *f, struct arena *a)
{
    size_t len = 0;
    for (unsigned i = 0; i < f->count; i++)
        if (f->items[i].id == FIELD_COOKIE) len += f->items[i].value.len + 2;
    char              *to = arena_alloc(a, len), *p = to;
    struct http_field *first = NULL;
    for (unsigned i = 0; i < f->count; i++) {
        struct http_field *field = &f->items[i];
        if (field->id != FIELD_COOKIE) continue;
        if (first) {
            *p++ = ';';
            *p++ = ' ';
            field->is_dropped = true;
        } else {
            first = field;
        }
        memcpy(p, field->value.data, field->value.len);
        p += field->value.len;
    }
    if (first) first->value = slice_make(to, (size_t)(p - to));
}

/* Copies the texts to where the head will live; returns them. */
static const char *copy_fields(const struct h2_head *h, struct arena *a, struct http_fields *f)
{
    size_t len = h->text.len + SLACK_BYTES;
    char  *text = arena_alloc(a, len);
    if (h->text.len) memcpy(text, h->text.data, h->text.len);
    memset(text + h->text.len, 0, SLACK_BYTES);
    f->capacity = (uint16_t)(h->count + 8);
    f->items = arena_alloc(a, f->capacity * sizeof(*f->items));
    f->count = (uint16_t)h->count;
    for (uint32_t i = 0; i < h->count; i++) {
        const struct h2_line *line = &h->lines[i];
        f->items[i] = (struct http_field){ slice_at(text, line->name), slice_at(text, line->value),
                                           line->id, false };
        f->present |= UINT64_C(1) << line->id;
    }
    if (h->cookie_count > 1) join_cookies(f, a);
    return text;
}

static bool take_pseudo(const struct h2_head *h, const char *text, enum h2_pseudo which,
                        struct slice *value)
{
    *value = slice_make("", 0);
    if (!(h->pseudo_seen & BIT(which))) return false;
    *value = slice_at(text, h->pseudo[which]);
    return true;
}

/* RFC 8441 section 4: for those above, a request to switch protocols. */
static bool take_protocol(const struct h2_head *h, const char *text, struct http_head *head,
                          struct http_fault *f)
{
    struct slice protocol;
    bool         is_connect = slice_eq(head->method_name, S("CONNECT"));
    bool         is_extended = take_pseudo(h, text, H2_PROTOCOL, &protocol);
    if (is_connect && !is_extended) return http_refuse(f, 405, "connect_refused");
    if (!is_extended) return true;
    if (!is_connect || !http_is_token(protocol)) return http_refuse(f, 400, "bad_pseudo_header");
    head->method_name = S("GET");
    head->upgrade = protocol;
    head->must_switch = true;
    return true;
}

static bool take_method(const struct h2_head *h, const char *text, struct http_head *head,
                        struct http_fault *f)
{
    if (!take_pseudo(h, text, H2_METHOD, &head->method_name) || !http_is_token(head->method_name))
        return http_refuse(f, 400, "bad_method");
    if (!take_protocol(h, text, head, f)) return false;
    head->method = http_method_lookup(head->method_name);
    if (head->method == HTTP_TRACE) return http_refuse(f, 405, "trace_refused");
    return true;
}

static bool take_target(const struct h2_head *h, const char *text, struct http_head *head,
                        struct arena *a, const struct http_limits *limits, struct http_fault *f)
{
    struct slice scheme;
    if (!take_pseudo(h, text, H2_SCHEME, &scheme)) return http_refuse(f, 400, "missing_scheme");
    if (slice_eq_nocase(scheme, S("https")))
        head->scheme = S("https");
    else if (slice_eq_nocase(scheme, S("http")))
        head->scheme = S("http");
    else
        return http_refuse(f, 400, "bad_scheme");
    if (!take_pseudo(h, text, H2_PATH, &head->target) || !head->target.len)
        return http_refuse(f, 400, "bad_target");
    if (head->target.len + head->method_name.len > limits->request_line_bytes)
        return http_refuse(f, 414, "request_line_too_long");
    const char *end = head->target.data + head->target.len;
    if (scan_not_vchar(head->target.data) != end) return http_refuse(f, 400, "bad_target");
    if (head->target.data[0] == '/') return http_split_target(head, a, limits, f);
    if (head->method != HTTP_OPTIONS || !slice_eq(head->target, S("*")))
        return http_refuse(f, 400, "bad_target");
    head->path = head->target;
    return true;
}

/* :authority, Host, or both alike (RFC 9113 section 8.3.1). */
static bool take_authority(const struct h2_head *h, const char *text, struct http_head *head,
                           const struct http_control *control, bool is_tls, struct http_fault *f)
{
    struct uri_authority authority;
    if (!take_pseudo(h, text, H2_AUTHORITY, &head->authority))
        return http_check_host(head, control, true, is_tls, f);
    if (!uri_authority(head->authority, &authority)) return http_refuse(f, 400, "bad_host");
    head->authority = authority.text;
    return http_check_host(head, control, false, is_tls, f);
}

static bool make_request(const struct h2_head *h, struct arena *a, const struct http_limits *limits,
                         bool has_body, bool is_tls, struct http_head *head, struct http_fault *f)
{
    struct http_control control;
    const char         *text = copy_fields(h, a, &head->fields);
    head->protocol = "HTTP/2.0";
    if (!take_method(h, text, head, f)) return false;
    struct slice protocol = head->upgrade;
    if (!http_control_take(head, &control, true, f)) return false;
    head->upgrade = protocol;
    if (!take_target(h, text, head, a, limits, f) ||
        !take_authority(h, text, head, &control, is_tls, f))
        return false;
    if (protocol.len) {
        if (!has_body) return http_refuse(f, 400, "tunnel_without_body");
    } else if (has_body) {
        head->body_bytes = control.content_length;
    } else if (control.content_length > 0) {
        return http_refuse(f, 400, "body_shorter_than_length");
    }
    if (!head->body_bytes) head->expects_continue = false;
    return true;
}

struct http_head *h2_head_request(const struct h2_head *h, struct arena *a,
                                  const struct http_limits *limits, bool has_body, bool is_tls,
                                  struct http_fault *f)
{
    struct http_head *head = arena_zalloc(a, sizeof(*head));
    if (h->fault.reason) {
        *f = h->fault;
        return NULL;
    }
    return make_request(h, a, limits, has_body, is_tls, head, f) ? head : NULL;
}

bool h2_head_is_of_head(const struct h2_head *h)
{
    return (h->pseudo_seen & BIT(H2_METHOD)) &&
           slice_eq(slice_at(h->text.data, h->pseudo[H2_METHOD]), S("HEAD"));
}

/* Three digits (RFC 9110 section 15); 101 has no place in HTTP/2. */
static bool take_status(const struct h2_head *h, const char *text, struct http_head *head)
{
    struct slice status;
    if (!take_pseudo(h, text, H2_STATUS, &status) || status.len != 3) return false;
    for (size_t i = 0; i < 3; i++) {
        if (status.data[i] < '0' || status.data[i] > '9') return false;
        head->status = (uint16_t)(head->status * 10 + (status.data[i] - '0'));
    }
    return head->status >= 100 && head->status <= 599 && head->status != 101;
}

struct http_head *h2_head_response(const struct h2_head *h, struct arena *a, struct http_fault *f)
{
    struct http_head   *head = arena_zalloc(a, sizeof(*head));
    struct http_control control;
    *f = h->fault;
    if (f->reason) return NULL;
    const char *text = copy_fields(h, a, &head->fields);
    head->protocol = "HTTP/2.0";
    if (!take_status(h, text, head)) {
        http_refuse(f, 502, "bad_status_line");
        return NULL;
    }
    if (!http_control_take(head, &control, false, f)) return NULL;
    head->body_bytes = control.content_length;
    return head;
}

struct http_fields *h2_head_trailers(const struct h2_head *h, struct arena *a, struct http_fault *f)
{
    struct http_fields *trailers = arena_zalloc(a, sizeof(*trailers));
    *f = h->fault;
    if (f->reason) return NULL;
    copy_fields(h, a, trailers);
    http_trailers_clean(trailers);
    return trailers;
}
