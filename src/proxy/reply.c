/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers of the gateway's own: a short page, as HTML or as JSON, or the one
 * that the route names for the status. And what filters and origins may ask
 * of an exchange (filter.h).
 */
#include "proxy/downstream.h"
#include "proxy/exchange.h"
#include "proxy/forward.h"

static const char retry_after_seconds[] = "1";

static bool prefers_json(const struct exchange *x)
{
    if (!x->request) return false;
    struct slice accept = http_fields_value(&x->request->fields, FIELD_ACCEPT);
    if (!accept.len || memmem(accept.data, accept.len, "text/html", 9)) return false;
    return memmem(accept.data, accept.len, "application/json", 16) ||
           memmem(accept.data, accept.len, "+json", 5);
}

static const struct plan_page *find_page(const struct plan_route *route, unsigned status)
{
    const struct plan_page *any = NULL;
    for (size_t i = 0; i < route->page_count; i++) {
        if (route->pages[i].status == status) return &route->pages[i];
        if (route->pages[i].status == 0) any = &route->pages[i];
    }
    return any;
}

static struct slice make_page(struct exchange *x, unsigned status, const char *reason,
                              struct slice *type)
{
    const struct plan_page *page = find_page(x->route, status);
    if (page) {
        *type = page->content_type;
        return page->body;
    }
    struct slice phrase = http_status_reason(status), id = exchange_request_id(x);
    if (prefers_json(x)) {
        *type = S("application/json");
        return arena_printf(&x->arena,
                            "{\"status\":%u,\"error\":\"%.*s\",\"reason\":\"%s\","
                            "\"request_id\":\"%.*s\"}\n",
                            status, SLICE_ARG(phrase), reason, SLICE_ARG(id));
    }
    *type = S("text/html; charset=utf-8");
    return arena_printf(&x->arena,
                        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">"
                        "<title>%u %.*s</title>\n<h1>%u %.*s</h1>\n"
                        "<p>Request <code>%.*s</code></p>\n</html>\n",
                        status, SLICE_ARG(phrase), status, SLICE_ARG(phrase), SLICE_ARG(id));
}

void exchange_reply(struct exchange *x, struct http_head *head, struct slice body,
                    const char *reason)
{
    x->reason = reason;
    head->body_bytes = (int64_t)body.len;
    exchange_send_local(x, head, body);
}

/* ---- gRPC ---- */

/* Not application/grpc-web, whose clients look at the HTTP status. */
bool exchange_is_grpc(const struct exchange *x)
{
    if (!x->request) return false;
    struct slice type = http_fields_value(&x->request->fields, FIELD_CONTENT_TYPE);
    struct slice grpc = S("application/grpc");
    return slice_starts_with(type, grpc) &&
           (type.len == grpc.len || strchr("+; ", type.data[grpc.len]));
}

/* "HTTP to gRPC Status Code Mapping", with what a gateway knows better: what is too
 * much or too late is not just unavailable. */
static unsigned grpc_status(unsigned status)
{
    enum {
        UNKNOWN = 2,
        DEADLINE_EXCEEDED = 4,
        PERMISSION_DENIED = 7,
        RESOURCE_EXHAUSTED = 8,
        UNIMPLEMENTED = 12,
        INTERNAL = 13,
        UNAVAILABLE = 14,
        UNAUTHENTICATED = 16,
    };
    switch (status) {
    case 400: return INTERNAL;
    case 401: return UNAUTHENTICATED;
    case 403: return PERMISSION_DENIED;
    case 404: return UNIMPLEMENTED;
    case 413:
    case 429:
    case 431: return RESOURCE_EXHAUSTED;
    case 502:
    case 503: return UNAVAILABLE;
    case 408:
    case 504: return DEADLINE_EXCEEDED;
    default: return UNKNOWN;
    }
}

/* A client of gRPC looks at nothing else: "Trailers-Only", in the head of a 200. */
static void reply_grpc(struct exchange *x, unsigned status, const char *reason)
{
    struct http_head *head = arena_zalloc(&x->arena, sizeof(*head));
    struct slice      phrase = http_status_reason(status), id = exchange_request_id(x);
    struct arena     *a = &x->arena;
    head->status = 200;
    http_fields_set(&head->fields, a, FIELD_CONTENT_TYPE, S("application/grpc"));
    http_fields_add_named(&head->fields, a, S("grpc-status"),
                          arena_printf(a, "%u", grpc_status(status)));
    http_fields_add_named(&head->fields, a, S("grpc-message"),
                          arena_printf(a, "%u %.*s: %s, request %.*s", status, SLICE_ARG(phrase),
                                       reason, SLICE_ARG(id)));
    exchange_reply(x, head, slice_make("", 0), reason);
}

void exchange_reply_status(struct exchange *x, unsigned status, const char *reason)
{
    exchange_reply_status_with(x, status, reason, &(struct http_fields){ 0 });
}

void exchange_reply_status_with(struct exchange *x, unsigned status, const char *reason,
                                const struct http_fields *more)
{
    if (exchange_is_grpc(x)) {
        reply_grpc(x, status, reason);
        return;
    }
    struct http_head *head = arena_zalloc(&x->arena, sizeof(*head));
    struct slice      type;
    head->status = (uint16_t)status;
    struct slice body = make_page(x, status, reason, &type);
    http_fields_set(&head->fields, &x->arena, FIELD_CONTENT_TYPE, type);
    http_fields_set(&head->fields, &x->arena, FIELD_CACHE_CONTROL, S("no-store"));
    if (status == 503)
        http_fields_set(&head->fields, &x->arena, FIELD_RETRY_AFTER, slice_of(retry_after_seconds));
    for (unsigned i = 0; i < more->count; i++)
        http_fields_add_named(&head->fields, &x->arena, more->items[i].name, more->items[i].value);
    exchange_reply(x, head, body, reason);
}

/* ---- filter.h ---- */

struct http_head *exchange_request(struct exchange *x)
{
    return x->request;
}

struct arena *exchange_arena(struct exchange *x)
{
    return &x->arena;
}

const struct clock *exchange_clock(const struct exchange *x)
{
    return &x->worker->loop->clock;
}

const struct address *exchange_client(const struct exchange *x)
{
    return &x->client;
}

struct slice exchange_client_text(struct exchange *x)
{
    if (!x->client_text.len) {
        if (x->client.family == ADDRESS_NONE) x->client = x->downstream->peer;
        char *text = arena_alloc(&x->arena, ADDRESS_TEXT_MAX);
        x->client_text = slice_make(text, address_format_ip(&x->client, text));
    }
    return x->client_text;
}

struct slice exchange_host(const struct exchange *x)
{
    return x->host;
}

bool exchange_is_tls(const struct exchange *x)
{
    return x->downstream->conn.tls != NULL;
}

struct slice exchange_request_id(struct exchange *x)
{
    if (!x->request_id.len) forward_make_id(x);
    return x->request_id;
}

unsigned exchange_worker_index(const struct exchange *x)
{
    return x->worker->index;
}

struct loop *exchange_loop(const struct exchange *x)
{
    return x->worker->loop;
}

struct coder_pool *exchange_coders(struct exchange *x)
{
    return &x->worker->coders;
}

struct pattern_matcher *exchange_matcher(struct exchange *x)
{
    return router_scratch_matcher(x->worker->router_scratch);
}

void exchange_note_prefix(struct exchange *x, struct slice prefix)
{
    x->prefix = prefix;
}

void exchange_note_limit(struct exchange *x, struct slice name, bool is_dry_run)
{
    *(is_dry_run ? &x->limit_dry_run : &x->limit) = name;
}

struct mailbox *exchange_mailbox(const struct exchange *x)
{
    return &x->worker->mailbox;
}

struct slice exchange_listener(const struct exchange *x)
{
    return x->downstream->listener->config->name;
}

void **exchange_origin_state(struct exchange *x)
{
    return &x->origin_state;
}
