/* SPDX-License-Identifier: Apache-2.0
 *
 * A check by a request: over which connection, what is asked, and what the
 * answer's status and body say. gRPC's request goes the same way. See
 * prober_parts.h.
 *
 * Without a regular expression for the body the head decides. What follows is read
 * all the same when it is little, so that the replica can finish in peace.
 */
#include <stdio.h>

#include "conf/types.h"
#include "control/prober_parts.h"
#include "http/codec.h"

/* The check's own timeout is shorter. */
static const uint64_t connect_ms = 2 * 86400000;

/* ---- what is asked ---- */

static void add(struct probed *p, struct slice name, struct slice value)
{
    http_fields_add_named(&p->head.fields, &p->arena, name, value);
}

static struct slice configured_host(const struct probed *p)
{
    return p->settings->host.len ? p->settings->host : p->upstream->host;
}

void probe_http_prepare(struct probed *p)
{
    const struct health_check_settings *s = p->settings;
    struct slice                        target = s->path.len ? s->path : S("/");
    size_t                              end = slice_find(target, '?');
    struct http_head                   *h = &p->head;
    h->method_name = s->method.len ? s->method : S("GET");
    h->method = http_method_lookup(h->method_name);
    h->target = target;
    h->path = slice_make(target.data, end);
    h->has_query = end < target.len;
    h->query = slice_from(target, end + h->has_query);
    h->authority = configured_host(p);
    http_fields_set(&h->fields, &p->arena, FIELD_USER_AGENT, S("wharfgate-health-check"));
    for (size_t i = 0; i < s->header_count; i++) {
        enum http_field_id id = http_field_lookup(s->headers[i].name);
        if (id == FIELD_USER_AGENT)
            http_fields_set(&h->fields, &p->arena, id, s->headers[i].value);
        else
            add(p, s->headers[i].name, s->headers[i].value);
    }
    if (s->body.len) p->regex = body_regex_new(s->body);
}

/* A Unix socket has no name that a Host could say. */
static struct slice authority_of(const struct check *c)
{
    const struct endpoint *e = c->member->endpoint;
    if (c->of->head.authority.len) return c->of->head.authority;
    return e->address.family == ADDRESS_UNIX ? S("localhost") : slice_of(e->text);
}

static void send_request(struct check *c)
{
    struct http_head head = c->of->head;
    head.authority = authority_of(c);
    http_stream_send_head(c->stream, &head);
    if (!head.body_bytes) return;
    http_stream_send_body(c->stream, c->of->body);
    http_stream_send_end(c->stream, NULL);
}

/* ---- what the answer says ---- */

static bool is_grpc(const struct check *c)
{
    return c->of->settings->type == CHECK_GRPC;
}

static bool is_good_status(const struct health_check_settings *s, unsigned status)
{
    for (size_t i = 0; i < s->statuses.count; i++)
        if (conf_status_fits(s->statuses.items[i], status)) return true;
    return !s->statuses.count && status >= 200 && status < 400;
}

/* Is it little that follows the head (or nothing), as far as that is known? */
static bool is_short(const struct http_head *head)
{
    return head->body_bytes <= PROBE_BODY_BYTES;
}

static void judge_status(struct check *c, const struct http_head *head, bool is_good, bool is_over)
{
    char         output[ROSTER_REASON_MAX];
    struct slice reason = http_status_reason(head->status);
    snprintf(output, sizeof(output), "%u%s%.*s", head->status, reason.len ? " " : "",
             SLICE_ARG(reason));
    check_judge(c, is_good, is_over, output);
}

static void judge_body(struct check *c, bool is_cut)
{
    struct slice body = slice_make(c->body, c->body_bytes);
    switch (body_matcher_run(c->prober->matcher, c->of->regex, body, is_cut)) {
    case BODY_MATCHES: judge_status(c, c->head, true, true); break;
    case BODY_DIFFERS: check_fail(c, "the body does not match"); break;
    case BODY_TAKES_TOO_LONG:
        check_fail(c, "`body` takes too long to match what was answered");
        break;
    }
}

/* ---- what the stream tells ---- */

static void on_head(struct http_stream *s, struct http_head *head)
{
    struct check *c = s->owner;
    if (is_grpc(c)) {
        c->head = head;
        return;
    }
    bool is_good = is_good_status(c->of->settings, head->status);
    if (is_good && c->of->regex)
        c->head = head;
    else
        judge_status(c, head, is_good, !is_short(head));
}

/* True when there is as much as is looked at. */
static bool keep(struct check *c, struct slice data)
{
    size_t room = PROBE_BODY_BYTES - c->body_bytes;
    size_t n = data.len < room ? data.len : room;
    if (!c->body) c->body = block_take(&c->prober->bodies);
    memcpy(c->body + c->body_bytes, data.data, n);
    c->body_bytes += n;
    return data.len > room;
}

static void on_body(struct http_stream *s, struct slice data)
{
    struct check *c = s->owner;
    http_stream_consumed(s, data.len);
    if (c->state == CHECK_DRAINS) {
        c->body_bytes += data.len;
        if (c->body_bytes > PROBE_BODY_BYTES) check_drained(c);
        return;
    }
    if (!keep(c, data)) return;
    if (is_grpc(c))
        check_fail(c, "malformed answer: message_too_long");
    else
        judge_body(c, true);
}

static void on_trailers(struct http_stream *s, struct http_fields *trailers)
{
    struct check *c = s->owner;
    c->trailers = trailers;
}

static void on_end(struct http_stream *s)
{
    struct check *c = s->owner;
    if (c->state == CHECK_DRAINS)
        check_drained(c);
    else if (is_grpc(c))
        probe_grpc_judge(c);
    else
        judge_body(c, false);
}

static const char no_http_2[] = "the server does not speak HTTP/2";

static const char *reset_text(const struct http_codec *codec, enum http_reset why)
{
    bool is_known = !codec->is_shared || codec->is_settled;
    switch (why) {
    case HTTP_RESET_CLOSED: return "connection closed before an answer";
    case HTTP_RESET_TRUNCATED: return "connection closed amid the answer";
    case HTTP_RESET_PEER: return is_known ? "the answer was broken off" : no_http_2;
    case HTTP_RESET_MALFORMED: return is_known ? "malformed answer" : no_http_2;
    case HTTP_RESET_UNPROCESSED: return "the request was refused";
    }
    return "the answer was broken off";
}

static void on_reset(struct http_stream *s, enum http_reset why)
{
    struct check *c = s->owner;
    if (c->state == CHECK_DRAINS)
        check_drained(c);
    else
        check_fail(c, "%s", reset_text(s->codec, why));
}

static void on_invalid(struct http_stream *s, const struct http_fault *fault)
{
    struct check *c = s->owner;
    if (c->state == CHECK_DRAINS)
        check_drained(c);
    else
        check_fail(c, "malformed answer: %s", fault->reason);
}

static void on_sent(struct http_stream *s, size_t sent_bytes)
{
    (void)s;
    (void)sent_bytes;
}

static const struct http_stream_ops stream_ops = {
    .on_head = on_head,
    .on_body = on_body,
    .on_trailers = on_trailers,
    .on_end = on_end,
    .on_invalid = on_invalid,
    .on_reset = on_reset,
    .on_sent = on_sent,
};

/* ---- the connection ---- */

static struct check *of_wait(struct upstream_wait *w)
{
    return container_of(w, struct check, wait);
}

static void on_stream(struct upstream_wait *w, struct http_stream *s)
{
    struct check *c = of_wait(w);
    s->ops = &stream_ops;
    s->owner = c;
    s->arena = &c->arena;
    c->stream = s;
    if (is_grpc(c) && !s->codec->is_shared) {
        check_fail(c, "%s", no_http_2);
        return;
    }
    /* Over HTTP/1 the request says that the connection ends with it. */
    if (!s->codec->is_shared) upstream_stream_distrust(s);
    send_request(c);
}

static void on_failed(struct upstream_wait *w, enum conn_fault fault, const char *why)
{
    (void)fault;
    check_unconnected(of_wait(w), why);
}

static const struct upstream_wait_ops wait_ops = { on_stream, on_failed };

static void start(struct check *c)
{
    const struct probed *of = c->of;
    c->wait = (struct upstream_wait){
        .ops = &wait_ops,
        .connect_ms = connect_ms,
        .must_be_own = true,
        .preamble = of->preamble,
    };
    list_init(&c->wait.link);
    /* A connection of its own is never there at once. */
    (void)upstream_client_acquire(&c->prober->client, of->upstream, c->member->endpoint, &c->wait);
}

static void stop(struct check *c)
{
    struct http_stream *s = c->stream;
    c->stream = NULL;
    upstream_client_cancel(&c->wait);
    if (s) http_stream_close(s);
    if (c->body) block_give(&c->prober->bodies, c->body);
    c->body = NULL;
    c->body_bytes = 0;
    c->head = NULL;
    c->trailers = NULL;
    arena_reset(&c->arena);
}

static bool is_connected(const struct check *c)
{
    return c->stream != NULL;
}

const struct check_type probe_http = { start, stop, is_connected };
const struct check_type probe_grpc = { start, stop, is_connected };
