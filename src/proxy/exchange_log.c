/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of an exchange, told. See exchange_log.h.
 */
#include "proxy/exchange_log.h"

#include "proxy/downstream.h"
#include "proxy/exchange.h"

static uint64_t us_since(const struct exchange *x, uint64_t from_ns)
{
    return from_ns > x->started_ns ? (from_ns - x->started_ns) / 1000 : 0;
}

static void describe_request(const struct exchange *x, struct access_record *r)
{
    const struct http_head *head = x->request;
    if (!head) return;
    r->method = head->method_name;
    r->target = head->target;
    r->protocol = slice_of(head->protocol);
    r->user_agent = http_fields_value(&head->fields, FIELD_USER_AGENT);
    r->referer = http_fields_value(&head->fields, FIELD_REFERER);
}

static void write_line(struct exchange *x, uint64_t total_us)
{
    struct worker       *w = x->worker;
    const struct conn   *c = &x->downstream->conn;
    struct access_record r = {
        .client = exchange_client_text(x),
        .host = x->host,
        .status = x->status,
        .retries = x->retries,
        .request_bytes = x->received_bytes,
        .response_bytes = x->response_bytes,
        .queue_us = x->attempt_ns ? us_since(x, x->attempt_ns) : ACCESS_TIME_NONE,
        .connect_us = x->attempt_ns ? x->connect_us : ACCESS_TIME_NONE,
        .first_byte_us = x->first_byte_ns ? us_since(x, x->first_byte_ns) : ACCESS_TIME_NONE,
        .total_us = total_us,
        .request_id = x->request_id,
        .reason = slice_of(x->reason),
        .limit = x->limit,
        .limit_dry_run = x->limit_dry_run,
        .route = x->route->name,
        .listener = x->downstream->listener->config->name,
    };
    describe_request(x, &r);
    if (x->route->upstream) r.upstream = slice_of(x->route->upstream->name);
    if (x->endpoint) r.endpoint = slice_of(x->endpoint->text);
    if (c->tls) r.tls = slice_of(tls_version(c->tls));
    if (!access_log_write(w->ring, &w->loop->clock, &r))
        counter_add(&w->stats->log_lines_dropped, 1);
}

void exchange_log(struct exchange *x)
{
    struct worker *w = x->worker;
    uint64_t       total_us = us_since(x, w->loop->clock.now_ns);
    struct series *s = stats_route(w->stats, x->route->series);
    series_add(s, x->status, x->received_bytes, x->response_bytes, total_us);
    if (w->ring && x->use->plan->logs_access && x->route->policy->access_log)
        write_line(x, total_us);
}
