/* SPDX-License-Identifier: Apache-2.0
 *
 * Rules for heads that all codecs share. See rules.h.
 */
#include "http/rules.h"

#include "http/uri.h"

#define BIT(id) (UINT64_C(1) << (id))

/* Framing, routing, authentication, request modifiers and content format. */
static const uint64_t no_trailer_set =
    HTTP_CONTROL_SET | BIT(FIELD_AUTHORIZATION) | BIT(FIELD_PROXY_AUTHORIZATION) |
    BIT(FIELD_PROXY_AUTHENTICATE) | BIT(FIELD_COOKIE) | BIT(FIELD_SET_COOKIE) |
    BIT(FIELD_CACHE_CONTROL) | BIT(FIELD_CONTENT_ENCODING) | BIT(FIELD_CONTENT_TYPE) |
    BIT(FIELD_RANGE) | BIT(FIELD_IF_MODIFIED_SINCE) | BIT(FIELD_IF_NONE_MATCH) |
    BIT(FIELD_IF_RANGE) | BIT(FIELD_EARLY_DATA) | BIT(FIELD_FORWARDED) | BIT(FIELD_LOCATION) |
    BIT(FIELD_RETRY_AFTER) | BIT(FIELD_VARY) | BIT(FIELD_DATE) | BIT(FIELD_VIA) |
    BIT(FIELD_X_FORWARDED_FOR) | BIT(FIELD_X_FORWARDED_HOST) | BIT(FIELD_X_FORWARDED_PORT) |
    BIT(FIELD_X_FORWARDED_PROTO) | BIT(FIELD_X_REAL_IP) | BIT(FIELD_X_REQUEST_ID) |
    BIT(FIELD_X_CLIENT_CERT);

/* The same of names without an id. */
static const struct slice no_trailer_names[] = {
    SLICE("age"),
    SLICE("content-range"),
    SLICE("expires"),
    SLICE("if-match"),
    SLICE("max-forwards"),
    SLICE("pragma"),
    SLICE("warning"),
    SLICE("www-authenticate"),
    SLICE("if-unmodified-since"),
    SLICE("authentication-info"),
};

bool http_refuse(struct http_fault *f, uint16_t status, const char *reason)
{
    *f = (struct http_fault){ status, reason };
    return false;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

bool http_list_next(struct slice *list, struct slice *element)
{
    while (list->len) {
        size_t comma = slice_find(*list, ',');
        size_t begin = 0;
        size_t end = comma;
        while (begin < end && is_space(list->data[begin])) begin++;
        while (end > begin && is_space(list->data[end - 1])) end--;
        *element = slice_make(list->data + begin, end - begin);
        *list = slice_from(*list, comma < list->len ? comma + 1 : comma);
        if (element->len) return true;
    }
    return false;
}

/* RFC 9110 section 8.6: digits only. Any second one is refused, even an equal
 * one, as RFC 9112 section 6.3 permits. */
static bool take_content_length(struct http_control *ctl, struct slice value)
{
    if (ctl->content_length >= 0 || value.len == 0) return false;
    uint64_t n = 0;
    for (size_t i = 0; i < value.len; i++) {
        unsigned digit = (unsigned)(unsigned char)value.data[i] - '0';
        if (digit > 9 || n > ((uint64_t)INT64_MAX - digit) / 10) return false;
        n = n * 10 + digit;
    }
    ctl->content_length = (int64_t)n;
    return true;
}

/* Only "chunked" alone is understood. Another coding before a final "chunked"
 * earns 501; anything else leaves the length open (RFC 9112 6.1, 6.3). */
static bool take_transfer_encoding(struct http_control *ctl, struct slice value,
                                   struct http_fault *f)
{
    static const char *const malformed = "bad_transfer_encoding";
    if (ctl->is_chunked) return http_refuse(f, 400, malformed);
    if (slice_eq_nocase(value, S("chunked"))) {
        ctl->is_chunked = true;
        return true;
    }
    struct slice coding;
    unsigned     others = 0;
    bool         is_last_chunked = false;
    while (http_list_next(&value, &coding)) {
        if (is_last_chunked || !http_is_token(coding)) return http_refuse(f, 400, malformed);
        is_last_chunked = slice_eq_nocase(coding, S("chunked"));
        others += !is_last_chunked;
    }
    if (!is_last_chunked || !others) return http_refuse(f, 400, malformed);
    return http_refuse(f, 501, "unsupported_transfer_encoding");
}

/* Returns whether other fields are named, which must go too. */
static bool take_connection(struct http_control *ctl, struct slice value)
{
    bool         names_more = false;
    struct slice option;
    if (slice_eq(value, S("keep-alive"))) { /* as nearly everybody spells it */
        ctl->says_keep_alive = true;
        return false;
    }
    while (http_list_next(&value, &option)) {
        if (slice_eq_nocase(option, S("keep-alive")))
            ctl->says_keep_alive = true;
        else if (slice_eq_nocase(option, S("close")))
            ctl->says_close = true;
        else if (slice_eq_nocase(option, S("upgrade")))
            ctl->names_upgrade = true;
        else
            names_more = true;
    }
    return names_more;
}

static void drop_named(struct http_fields *fields, struct slice names)
{
    struct slice name;
    while (http_list_next(&names, &name)) {
        enum http_field_id id = http_field_lookup(name);
        if (id != FIELD_OTHER) {
            http_fields_drop(fields, id);
            continue;
        }
        for (unsigned i = 0; i < fields->count; i++)
            if (fields->items[i].id == FIELD_OTHER && slice_eq_nocase(fields->items[i].name, name))
                fields->items[i].is_dropped = true;
    }
}

/* RFC 9110 section 10.1.1; the only expectation there is. */
static bool take_expect(struct http_head *head, struct slice value, struct http_fault *f)
{
    if (!slice_eq_nocase(value, S("100-continue")))
        return http_refuse(f, 417, "unknown_expectation");
    head->expects_continue = true;
    return true;
}

static bool list_has(struct slice list, struct slice wanted)
{
    struct slice element;
    while (http_list_next(&list, &element))
        if (slice_eq_nocase(element, wanted)) return true;
    return false;
}

/* Cleartext HTTP/2 is never passed through, nor two Upgrade fields. */
static void take_upgrade(struct http_head *head, struct slice value)
{
    bool is_usable = !head->upgrade.data && !list_has(value, S("h2c"));
    head->upgrade = is_usable ? value : slice_make("", 0);
}

static bool take_field(struct http_head *head, struct http_control *ctl, struct http_field *field,
                       bool is_request, struct http_fault *f)
{
    switch (field->id) {
    case FIELD_CONTENT_LENGTH:
        return take_content_length(ctl, field->value) || http_refuse(f, 400, "bad_content_length");
    case FIELD_TRANSFER_ENCODING: return take_transfer_encoding(ctl, field->value, f);
    case FIELD_HOST:
        ctl->host = field->value;
        if (ctl->host_count < 2) ctl->host_count++;
        return true;
    case FIELD_UPGRADE: take_upgrade(head, field->value); return true;
    case FIELD_EXPECT: return !is_request || take_expect(head, field->value, f);
    case FIELD_TE: head->accepts_trailers |= list_has(field->value, S("trailers")); return true;
    default: return true;
    }
}

bool http_control_take(struct http_head *head, struct http_control *ctl, bool is_request,
                       struct http_fault *f)
{
    *ctl = (struct http_control){ .content_length = -1 };
    if (!(head->fields.present & HTTP_CONTROL_SET)) return true;
    struct http_fields *fields = &head->fields;
    bool                names_more = false;
    for (unsigned i = 0; i < fields->count; i++) {
        struct http_field *field = &fields->items[i];
        if (!http_is_control_field(field->id)) continue;
        field->is_dropped = true;
        if (field->id == FIELD_CONNECTION)
            names_more |= take_connection(ctl, field->value);
        else if (!take_field(head, ctl, field, is_request, f))
            return false;
    }
    if (!ctl->names_upgrade) head->upgrade = slice_make("", 0);
    for (unsigned i = 0; names_more && i < fields->count; i++)
        if (fields->items[i].id == FIELD_CONNECTION) drop_named(fields, fields->items[i].value);
    return true;
}

bool http_split_target(struct http_head *head, struct arena *a, const struct http_limits *limits,
                       struct http_fault *f)
{
    struct uri_rules rules = { limits->allows_encoded_slash, limits->merges_slashes };
    size_t           mark = slice_find(head->target, '?');
    head->has_query = mark < head->target.len;
    if (head->has_query) {
        head->query = slice_from(head->target, mark + 1);
        if (slice_find(head->query, '#') < head->query.len)
            return http_refuse(f, 400, "bad_target");
    }
    const char *reason = uri_path(slice_make(head->target.data, mark), &rules, a, &head->path);
    return reason ? http_refuse(f, 400, reason) : true;
}

bool http_check_host(struct http_head *head, const struct http_control *ctl, bool is_required,
                     bool is_tls, struct http_fault *f)
{
    if (ctl->host_count == 0) {
        return is_required ? http_refuse(f, 400, "missing_host") : true;
    }
    if (ctl->host_count > 1) return http_refuse(f, 400, "duplicate_host");
    struct uri_authority host;
    if (!uri_authority(ctl->host, &host)) return http_refuse(f, 400, "bad_host");
    if (head->authority.len == 0) {
        head->authority = host.text;
        return true;
    }
    struct uri_authority target;
    bool     is_https = head->scheme.len ? slice_eq_nocase(head->scheme, S("https")) : is_tls;
    uint16_t default_port = is_https ? 443 : 80;
    if (!uri_authority(head->authority, &target)) return http_refuse(f, 400, "bad_target");
    if (!uri_authority_is_same(&host, &target, default_port))
        return http_refuse(f, 400, "host_mismatch");
    head->authority = target.text;
    return true;
}

/* X-Client-Cert-Anything: ours to say, and replicas may merge trailers into the head. */
static bool is_of_client_cert(struct slice name)
{
    static const struct slice prefix = SLICE("x-client-cert");
    return name.len >= prefix.len && slice_eq_nocase(slice_make(name.data, prefix.len), prefix);
}

static bool may_not_trail(const struct http_field *field)
{
    if (field->id != FIELD_OTHER) return no_trailer_set >> field->id & 1;
    if (is_of_client_cert(field->name)) return true;
    for (size_t i = 0; i < sizeof(no_trailer_names) / sizeof(no_trailer_names[0]); i++)
        if (slice_eq_nocase(field->name, no_trailer_names[i])) return true;
    return false;
}

void http_trailers_clean(struct http_fields *trailers)
{
    for (unsigned i = 0; i < trailers->count; i++)
        if (may_not_trail(&trailers->items[i])) trailers->items[i].is_dropped = true;
}
