/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing of HTTP/1 heads. See h1_write.h.
 */
#include "http/h1_write.h"

#include "base/decimal.h"
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

static inline bool has_bytes(const char *at, const char *two)
{
    return at[0] == two[0] && at[1] == two[1];
}

/* Is the field, where it lies, what would be written? It mostly is when it came
 * from a peer: then lines that follow each other are one copy. The two bytes
 * between name and value are looked at only when they lie between the two. */
static inline bool is_line(const struct http_field *field)
{
    const char *gap = field->name.data + field->name.len;
    return field->value.data == gap + 2 && has_bytes(gap, ": ");
}

static inline bool is_written(const struct http_field *field)
{
    return !field->is_dropped && !http_is_control_field(field->id);
}

static char *put_line(char *to, const struct http_field *field)
{
    to = put(to, field->name);
    *to++ = ':';
    *to++ = ' ';
    to = put(to, field->value);
    *to++ = '\r';
    *to++ = '\n';
    return to;
}

/* How many fields from `field` on are one run of lines; *end is that of the last
 * one's value. */
static unsigned run_of_lines(const struct http_field *field, unsigned left, const char **end)
{
    unsigned n;
    *end = field->value.data + field->value.len;
    for (n = 1; n < left; n++) {
        const struct http_field *next = &field[n];
        if (next->name.data != *end + 2 || !is_written(next) || !is_line(next)) break;
        if (!has_bytes(*end, "\r\n")) break;
        *end = next->value.data + next->value.len;
    }
    return n;
}

static char *put_fields(char *to, const struct http_fields *fields)
{
    unsigned i = 0;
    while (i < fields->count) {
        const struct http_field *field = &fields->items[i];
        if (!is_written(field)) {
            i++;
        } else if (!is_line(field)) {
            to = put_line(to, field);
            i++;
        } else {
            const char *end;
            i += run_of_lines(field, fields->count - i, &end);
            to = put(to, slice_make(field->name.data, (size_t)(end - field->name.data)));
            to = PUT(to, "\r\n");
        }
    }
    return to;
}

static char *put_framing(char *to, const struct http_head *head, const struct h1_framing *framing)
{
    if (framing->content_length >= 0) {
        to = PUT(to, "Content-Length: ");
        to = decimal_put(to, (uint64_t)framing->content_length);
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
