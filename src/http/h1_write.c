/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing of HTTP/1 heads. See h1_write.h.
 */
#include "http/h1_write.h"

#include "http/rules.h"

enum {
    /* Start line without the texts of variable length, and every field that
     * struct h1_framing can ask for. */
    FIXED_BYTES_MAX = 320,
    DATE_BYTES = 29,
};

#define PUT(to, literal) put(to, S(literal))

static inline char *put(char *to, struct slice s)
{
    if (s.len) memcpy(to, s.data, s.len);
    return to + s.len;
}

static char *put_number(char *to, uint64_t n)
{
    char   digits[20];
    size_t i = sizeof(digits);
    do digits[--i] = (char)('0' + n % 10);
    while (n /= 10);
    return put(to, slice_make(digits + i, sizeof(digits) - i));
}

static size_t fields_bytes(const struct http_fields *fields)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < fields->count; i++)
        bytes += fields->items[i].name.len + fields->items[i].value.len + 4;
    return bytes;
}

size_t h1_head_bytes_max(const struct http_head *head)
{
    return FIXED_BYTES_MAX + head->method_name.len + head->path.len + head->query.len +
           head->authority.len + head->reason.len + head->upgrade.len + fields_bytes(&head->fields);
}

size_t h1_trailers_bytes_max(const struct http_fields *trailers)
{
    return 2 + fields_bytes(trailers);
}

static char *put_fields(char *to, const struct http_fields *fields)
{
    for (unsigned i = 0; i < fields->count; i++) {
        const struct http_field *field = &fields->items[i];
        if (field->is_dropped || http_is_control_field(field->id)) continue;
        to = put(to, field->name);
        *to++ = ':';
        *to++ = ' ';
        to = put(to, field->value);
        *to++ = '\r';
        *to++ = '\n';
    }
    return to;
}

static char *put_framing(char *to, const struct http_head *head, const struct h1_framing *framing)
{
    if (framing->content_length >= 0) {
        to = PUT(to, "Content-Length: ");
        to = put_number(to, (uint64_t)framing->content_length);
        to = PUT(to, "\r\n");
    }
    if (framing->is_chunked) to = PUT(to, "Transfer-Encoding: chunked\r\n");
    switch (framing->connection) {
    case H1_CONNECTION_NONE:
        if (framing->accepts_trailers) to = PUT(to, "Connection: te\r\nTE: trailers\r\n");
        break;
    case H1_CONNECTION_CLOSE: to = PUT(to, "Connection: close\r\n"); break;
    case H1_CONNECTION_KEEP_ALIVE: to = PUT(to, "Connection: keep-alive\r\n"); break;
    case H1_CONNECTION_UPGRADE:
        to = PUT(to, "Connection: upgrade\r\nUpgrade: ");
        to = put(to, head->upgrade);
        to = PUT(to, "\r\n");
        break;
    }
    return to;
}

char *h1_write_request(char *to, const struct http_head *head, const struct h1_framing *framing)
{
    to = put(to, head->method_name);
    *to++ = ' ';
    to = put(to, head->path);
    if (head->has_query) {
        *to++ = '?';
        to = put(to, head->query);
    }
    to = PUT(to, " HTTP/1.1\r\nHost: ");
    to = put(to, head->authority);
    to = PUT(to, "\r\n");
    to = put_fields(to, &head->fields);
    if (framing->expects_continue) to = PUT(to, "Expect: 100-continue\r\n");
    to = put_framing(to, head, framing);
    return PUT(to, "\r\n");
}

char *h1_write_response(char *to, const struct http_head *head, const struct h1_framing *framing)
{
    struct slice reason = head->reason.len ? head->reason : http_status_reason(head->status);
    to = PUT(to, "HTTP/1.1 ");
    *to++ = (char)('0' + head->status / 100);
    *to++ = (char)('0' + head->status / 10 % 10);
    *to++ = (char)('0' + head->status % 10);
    *to++ = ' ';
    to = put(to, reason);
    to = PUT(to, "\r\n");
    if (framing->date) {
        to = PUT(to, "Date: ");
        to = put(to, slice_make(framing->date, DATE_BYTES));
        to = PUT(to, "\r\n");
    }
    to = put_fields(to, &head->fields);
    to = put_framing(to, head, framing);
    return PUT(to, "\r\n");
}

char *h1_write_trailers(char *to, const struct http_fields *trailers)
{
    to = put_fields(to, trailers);
    return PUT(to, "\r\n");
}
