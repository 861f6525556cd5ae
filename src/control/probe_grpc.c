/* SPDX-License-Identifier: Apache-2.0
 *
 * gRPC's health service (grpc.health.v1.Health/Check): the two messages, by hand,
 * and what the answer says. What a replica sends is trusted in nothing.
 *
 *     HealthCheckRequest  { string service = 1; }
 *     HealthCheckResponse { enum status = 1; }       1 SERVING
 */
#include "control/prober_parts.h"

enum {
    PREFIX_BYTES = 5,         /* is compressed, length */
    SERVICE_TAG = 1 << 3 | 2, /* field 1, a length and bytes */
    STATUS_FIELD = 1,
    SERVICE_BYTES_MAX = 256, /* conf/tables_health.c */
    SERVING = 1,
};

/* ---- the request ---- */

static char *put_varint(char *to, uint64_t n)
{
    for (; n >= 0x80; n >>= 7) *to++ = (char)(n | 0x80);
    *to++ = (char)n;
    return to;
}

static struct slice write_request(struct arena *a, struct slice service)
{
    char *text = arena_alloc(a, PREFIX_BYTES + SERVICE_BYTES_MAX + 4);
    char *to = text + PREFIX_BYTES;
    if (service.len) {
        *to++ = SERVICE_TAG;
        to = put_varint(to, service.len);
        memcpy(to, service.data, service.len);
        to += service.len;
    }
    size_t len = (size_t)(to - text) - PREFIX_BYTES;
    memcpy(text, (char[]){ 0, 0, 0, (char)(len >> 8), (char)len }, PREFIX_BYTES);
    return slice_make(text, PREFIX_BYTES + len);
}

void probe_grpc_prepare(struct probed *p)
{
    const struct health_check_settings *s = p->settings;
    struct slice                        service = s->service;
    struct http_head                   *h = &p->head;
    if (service.len > SERVICE_BYTES_MAX) service.len = SERVICE_BYTES_MAX;
    p->body = write_request(&p->arena, service);
    h->method = HTTP_POST;
    h->method_name = http_method_name(HTTP_POST);
    h->target = h->path = S("/grpc.health.v1.Health/Check");
    h->authority = s->host.len ? s->host : p->upstream->host;
    h->accepts_trailers = true;
    h->body_bytes = (int64_t)p->body.len;
    http_fields_set(&h->fields, &p->arena, FIELD_CONTENT_TYPE, S("application/grpc"));
    http_fields_set(&h->fields, &p->arena, FIELD_USER_AGENT, S("wharfgate-health-check"));
}

/* ---- the answer ---- */

static bool take_varint(struct slice *from, uint64_t *n)
{
    *n = 0;
    for (unsigned shift = 0; shift < 64 && from->len; shift += 7) {
        unsigned char byte = (unsigned char)from->data[0];
        *from = slice_from(*from, 1);
        *n |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return true;
    }
    return false;
}

static bool skip(struct slice *from, uint64_t len)
{
    if (len > from->len) return false;
    *from = slice_from(*from, (size_t)len);
    return true;
}

/* The value of a field of the wire type; *n only of a varint. */
static bool take_value(struct slice *from, unsigned wire_type, uint64_t *n)
{
    switch (wire_type) {
    case 0: return take_varint(from, n);
    case 1: return skip(from, 8);
    case 2: return take_varint(from, n) && skip(from, *n);
    case 5: return skip(from, 4);
    default: return false; /* groups: nobody writes them any more */
    }
}

/* The last of several holds, fields that are not known are passed over. */
static bool read_message(struct slice message, uint64_t *status)
{
    uint64_t tag, value = 0;
    *status = 0;
    while (message.len) {
        if (!take_varint(&message, &tag) || !take_value(&message, tag & 7, &value)) return false;
        if (tag == STATUS_FIELD << 3) *status = value;
    }
    return true;
}

/* One message, not compressed, and nothing behind it. */
static bool read_body(struct slice body, uint64_t *status)
{
    const unsigned char *p = (const unsigned char *)body.data;
    if (body.len < PREFIX_BYTES || p[0] != 0) return false;
    size_t len = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
    return len == body.len - PREFIX_BYTES && read_message(slice_from(body, PREFIX_BYTES), status);
}

static const char *const health_names[] = { "UNKNOWN", "SERVING", "NOT_SERVING",
                                            "SERVICE_UNKNOWN" };

/* github.com/grpc/grpc, doc/statuscodes.md */
static const char *const code_names[] = {
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
};

enum { CODE_COUNT = sizeof(code_names) / sizeof(code_names[0]), CODE_UNREADABLE = CODE_COUNT };

/* Decimal, at most two digits. */
static unsigned read_code(struct slice text)
{
    unsigned n = 0;
    if (!text.len || text.len > 2) return CODE_UNREADABLE;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return CODE_UNREADABLE;
        n = n * 10 + (unsigned)(text.data[i] - '0');
    }
    return n < CODE_COUNT ? n : CODE_UNREADABLE;
}

/* In the trailers or, when there is no message, in the head. */
static const struct http_field *find_code(const struct check *c)
{
    const struct http_field *f = NULL;
    if (c->trailers) f = http_fields_find_named(c->trailers, S("grpc-status"));
    return f ? f : http_fields_find_named(&c->head->fields, S("grpc-status"));
}

static void judge_message(struct check *c)
{
    uint64_t status;
    if (!read_body(slice_make(c->body ? c->body : "", c->body_bytes), &status))
        check_fail(c, "malformed answer: bad_message");
    else if (status == SERVING)
        check_judge(c, true, true, health_names[SERVING]);
    else if (status < sizeof(health_names) / sizeof(health_names[0]))
        check_fail(c, "%s", health_names[status]);
    else
        check_fail(c, "malformed answer: unknown_status");
}

void probe_grpc_judge(struct check *c)
{
    const struct http_head  *head = c->head;
    const struct http_field *field = find_code(c);
    struct slice             reason = http_status_reason(head->status);
    if (head->status != 200) {
        check_fail(c, "%u%s%.*s", head->status, reason.len ? " " : "", SLICE_ARG(reason));
        return;
    }
    if (!slice_starts_with(http_fields_value(&head->fields, FIELD_CONTENT_TYPE),
                           S("application/grpc"))) {
        check_fail(c, "malformed answer: not_grpc");
        return;
    }
    unsigned code = field ? read_code(field->value) : CODE_UNREADABLE;
    if (code == CODE_UNREADABLE)
        check_fail(c, "malformed answer: %s", field ? "bad_grpc_status" : "no_grpc_status");
    else if (code)
        check_fail(c, "grpc-status %u: %s", code, code_names[code]);
    else
        judge_message(c);
}
