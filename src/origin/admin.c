/* SPDX-License-Identifier: Apache-2.0
 *
 * The admin listeners' calls. See admin.h.
 */
#include "origin/admin.h"

#include <stdlib.h>

#include "base/memory.h"
#include "origin/page.h"

struct admin_row {
    struct slice     path;
    enum http_method method;
    enum admin_call  call;
    bool             changes; /* over the Unix socket only */
    const char      *help;
};

/* The metrics' path is the configuration's. */
static const struct admin_row admin_table[] = {
    { SLICE("/metrics"), HTTP_GET, ADMIN_METRICS, false, "counters, as Prometheus reads them" },
    { SLICE("/v1/status"), HTTP_GET, ADMIN_STATUS, false, "what runs, as JSON" },
    { SLICE("/v1/explain"), HTTP_GET, ADMIN_EXPLAIN, false,
      "?url=URL or ?container=NAME: who would serve it and why, as JSON" },
    { SLICE("/v1/limits"), HTTP_GET, ADMIN_LIMITS, false,
      "limits, who meets them most, and the store that is shared, as JSON" },
    { SLICE("/v1/reload"), HTTP_POST, ADMIN_RELOAD, true,
      "reads the configuration anew; over the Unix socket only" },
    { SLICE("/v1/maintenance"), HTTP_POST, ADMIN_MAINTENANCE, true,
      "?on or ?off: the maintenance page; over the Unix socket only" },
};

enum { ADMIN_ROW_COUNT = sizeof(admin_table) / sizeof(admin_table[0]) };

static struct slice row_path(const struct admin_row *row, const struct admin_config *c)
{
    return row->call == ADMIN_METRICS ? c->metrics_path : row->path;
}

/* ---- a question's way ---- */

void admin_ask_free(struct admin_ask *ask)
{
    buffer_reset(&ask->body);
    free(ask->query);
    free(ask);
}

/* Back on the worker's thread. */
static void deliver(struct message *m, void *receiver)
{
    struct admin_ask *ask = container_of(m, struct admin_ask, message);
    (void)receiver;
    if (!ask->exchange) {
        admin_ask_free(ask);
        return;
    }
    struct arena     *a = exchange_arena(ask->exchange);
    struct http_head *head = arena_zalloc(a, sizeof(*head));
    struct slice      body = slice_make("", 0);
    head->status = (uint16_t)ask->status;
    http_fields_add(&head->fields, a, FIELD_CONTENT_TYPE, S("Content-Type"),
                    slice_of(ask->content_type));
    http_fields_add(&head->fields, a, FIELD_CACHE_CONTROL, S("Cache-Control"), S("no-store"));
    if (ask->body.data) {
        body = buffer_slice(&ask->body);
        arena_on_reset(a, free, ask->body.data);
        ask->body = (struct buffer)BUFFER_INIT;
    }
    struct exchange *x = ask->exchange;
    *exchange_origin_state(x) = NULL;
    admin_ask_free(ask);
    exchange_reply(x, head, body, "admin");
}

void admin_answer(struct admin_ask *ask)
{
    ask->message.run = deliver;
    mailbox_post(ask->reply_to, &ask->message);
}

static void arrive(struct message *m, void *control)
{
    struct admin_ask *ask = container_of(m, struct admin_ask, message);
    ask->ask(ask, control);
}

static bool wants(const struct http_head *request, struct slice type)
{
    return slice_eq(http_fields_value(&request->fields, FIELD_ACCEPT), type);
}

static void ask_control(struct exchange *x, const struct admin_config *c, enum admin_call call)
{
    const struct http_head *request = exchange_request(x);
    struct admin_ask       *ask = mem_zalloc(sizeof(*ask));
    ask->message.run = arrive;
    ask->reply_to = c->workers[exchange_worker_index(x)];
    ask->exchange = x;
    ask->ask = c->ask;
    ask->call = call;
    if (call == ADMIN_EXPLAIN || call == ADMIN_MAINTENANCE)
        ask->query = mem_slicedup(request->query);
    ask->wants_text = wants(request, S("text/plain"));
    ask->wants_color = ask->wants_text && slice_eq(request->query, S("color"));
    *exchange_origin_state(x) = ask;
    mailbox_post(c->control, &ask->message);
}

/* `ask` is with control or on its way back: it frees itself on arrival. */
static void cancel(struct exchange *x, const void *config)
{
    struct admin_ask *ask = *exchange_origin_state(x);
    (void)config;
    if (ask) ask->exchange = NULL;
    *exchange_origin_state(x) = NULL;
}

/* ---- what is asked ---- */

static void reply_index(struct exchange *x, const struct admin_config *c)
{
    struct page page;
    page_begin(&page, x, "wharfgate admin");
    for (size_t i = 0; i < ADMIN_ROW_COUNT; i++) {
        struct slice path = row_path(&admin_table[i], c);
        if (!path.len) continue;
        page_row(&page,
                 arena_printf(exchange_arena(x), "%.*s %.*s",
                              SLICE_ARG(http_method_name(admin_table[i].method)), SLICE_ARG(path)),
                 slice_of(admin_table[i].help));
    }
    page_reply(&page, 200, "admin");
}

/* RFC 9110 section 15.5.6: a 405 names the methods that are allowed. */
static void reply_405(struct exchange *x, const struct admin_row *row)
{
    struct arena     *a = exchange_arena(x);
    struct http_head *head = arena_zalloc(a, sizeof(*head));
    head->status = 405;
    http_fields_add_named(&head->fields, a, S("Allow"),
                          row->method == HTTP_GET ? S("GET, HEAD") : http_method_name(row->method));
    exchange_reply(x, head, slice_make("", 0), "admin_method");
}

static void start(struct exchange *x, const void *config)
{
    const struct admin_config *c = config;
    const struct http_head    *request = exchange_request(x);
    enum http_method           method = request->method == HTTP_HEAD ? HTTP_GET : request->method;
    if (slice_eq(request->path, S("/")) && method == HTTP_GET) {
        reply_index(x, c);
        return;
    }
    for (size_t i = 0; i < ADMIN_ROW_COUNT; i++) {
        const struct admin_row *row = &admin_table[i];
        struct slice            path = row_path(row, c);
        if (!path.len || !slice_eq(request->path, path)) continue;
        if (method != row->method)
            reply_405(x, row);
        else if (row->changes && !c->may_change)
            exchange_reply_status(x, 403, "admin_not_local");
        else
            ask_control(x, c, row->call);
        return;
    }
    exchange_reply_status(x, 404, "admin_unknown");
}

const struct origin_ops origin_admin = { .name = "admin", .start = start, .cancel = cancel };
