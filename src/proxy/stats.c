/* SPDX-License-Identifier: Apache-2.0
 *
 * Counters of workers and their text for Prometheus. See stats.h.
 *
 * A metric is one row of a table below: what it is called, what it means, where
 * it lies. Rows of one family stand together.
 */
#include "proxy/stats.h"

#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/memory.h"

enum { CHUNK_SERIES = 256, CHUNK_COUNT = STATS_SERIES_MAX / CHUNK_SERIES };

struct series_chunk {
    _Atomic(struct series *) items[CHUNK_SERIES];
};

struct series_table {
    _Atomic(struct series_chunk *) chunks[CHUNK_COUNT];
};

/* ---- the worker's side ---- */

enum { CACHE_LINE_BYTES = 64 }; /* which counters of different workers never share */

struct worker_stats *worker_stats_new(void)
{
    struct worker_stats *w = mem_zalloc_aligned(CACHE_LINE_BYTES, sizeof(*w));
    w->routes = mem_zalloc(sizeof(*w->routes));
    w->upstreams = mem_zalloc(sizeof(*w->upstreams));
    return w;
}

static struct series *series_get(const struct series_table *t, uint32_t id)
{
    struct series_chunk *c =
        atomic_load_explicit(&t->chunks[id / CHUNK_SERIES], memory_order_acquire);
    return c ? atomic_load_explicit(&c->items[id % CHUNK_SERIES], memory_order_acquire) : NULL;
}

static void series_table_free(struct series_table *t)
{
    for (uint32_t id = 0; t && id < STATS_SERIES_MAX; id++) free(series_get(t, id));
    for (size_t i = 0; t && i < CHUNK_COUNT; i++) free(atomic_load(&t->chunks[i]));
    free(t);
}

void worker_stats_free(struct worker_stats *w)
{
    if (!w) return;
    series_table_free(w->routes);
    series_table_free(w->upstreams);
    free(w);
}

/* Control may be reading: what it finds is whole. */
static struct series *series_make(struct series_table *t, uint32_t id)
{
    _Atomic(struct series_chunk *) *chunk = &t->chunks[id / CHUNK_SERIES];
    if (!atomic_load_explicit(chunk, memory_order_relaxed))
        atomic_store_explicit(chunk, mem_zalloc(sizeof(struct series_chunk)), memory_order_release);
    struct series *s = mem_zalloc_aligned(CACHE_LINE_BYTES, sizeof(*s));
    atomic_store_explicit(
        &atomic_load_explicit(chunk, memory_order_relaxed)->items[id % CHUNK_SERIES], s,
        memory_order_release);
    return s;
}

static struct series *series_of(struct series_table *t, uint32_t id)
{
    if (id >= STATS_SERIES_MAX) id = STATS_SERIES_OTHER;
    struct series *s = series_get(t, id);
    return s ? s : series_make(t, id);
}

struct series *stats_route(struct worker_stats *w, uint32_t id)
{
    return series_of(w->routes, id);
}

struct series *stats_upstream(struct worker_stats *w, uint32_t id)
{
    return series_of(w->upstreams, id);
}

/* Bucket i holds what took at most 2^i ms. */
void histogram_add(struct histogram *h, uint64_t us)
{
    uint64_t ms = us ? (us - 1) / 1000 : 0; /* whole milliseconds below it */
    unsigned bucket = ms ? 64 - (unsigned)__builtin_clzll(ms) : 0;
    if (bucket > HISTOGRAM_BOUND_COUNT) bucket = HISTOGRAM_BOUND_COUNT;
    counter_add(&h->buckets[bucket], 1);
    counter_add(&h->sum_us, us);
}

void series_add(struct series *s, unsigned status, uint64_t request_bytes, uint64_t response_bytes,
                uint64_t duration_us)
{
    unsigned class = status / 100;
    counter_add(&s->by_class[class < 6 ? class : 0], 1);
    counter_add(&s->request_bytes, request_bytes);
    counter_add(&s->response_bytes, response_bytes);
    histogram_add(&s->duration, duration_us);
}

enum stats_invalid stats_invalid_class(unsigned status)
{
    switch (status) {
    case 408: return STATS_INVALID_TIMEOUT;
    case 413:
    case 414:
    case 431: return STATS_INVALID_TOO_LARGE;
    case 421: return STATS_INVALID_MISDIRECTED;
    case 417:
    case 501:
    case 505: return STATS_INVALID_UNSUPPORTED;
    default: return STATS_INVALID_SYNTAX;
    }
}

/* ---- text ---- */

void stats_put_family(struct buffer *to, const char *name, const char *type, const char *help)
{
    buffer_printf(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void stats_put_sample(struct buffer *to, const char *name, const char *labels, uint64_t value)
{
    buffer_puts(to, name);
    if (labels) buffer_printf(to, "{%s}", labels);
    buffer_printf(to, " %llu\n", (unsigned long long)value);
}

void stats_put_label(struct buffer *to, const char *label, struct slice value)
{
    buffer_printf(to, "%s=\"", label);
    for (size_t i = 0; i < value.len; i++) {
        char c = value.data[i];
        if (c == '\n') {
            buffer_puts(to, "\\n");
            continue;
        }
        if (c == '"' || c == '\\') buffer_put_char(to, '\\');
        buffer_put_char(to, c);
    }
    buffer_put_char(to, '"');
}

/* ---- of a worker ---- */

struct metric {
    const char *name;
    const char *type;
    const char *labels; /* or NULL */
    const char *help;
    size_t      offset; /* in struct worker_stats */
};

#define COUNTER(name, labels, field, help)                                                         \
    {                                                                                              \
        "wharfgate_" name, "counter", labels, help, offsetof(struct worker_stats, field)           \
    }
#define GAUGE(name, labels, field, help)                                                           \
    {                                                                                              \
        "wharfgate_" name, "gauge", labels, help, offsetof(struct worker_stats, field)             \
    }

static const struct metric metrics[] = {
    COUNTER("connections_accepted_total", NULL, connections_accepted,
            "Connections accepted from clients."),
    GAUGE("connections_active", NULL, connections_active, "Connections from clients now open."),
    GAUGE("connections_idle", NULL, connections_idle,
          "Of the open connections from clients, those between two requests."),
    COUNTER("connections_closed_idle_total", NULL, connections_closed_idle,
            "Connections from clients closed after keep_alive without a request."),
    COUNTER("connections_shed_total", NULL, connections_shed,
            "Connections from clients closed or refused because of max_connections."),
    COUNTER("connections_abusive_total", NULL, connections_abusive,
            "Connections from clients closed because of floods or half a head."),
    COUNTER("connections_reset_total", NULL, connections_reset,
            "Connections that clients broke off within a request."),
    COUNTER("accept_failures_total", NULL, accept_failures,
            "Connections that the kernel could not hand over."),
    GAUGE("requests_active", NULL, requests_active, "Requests being served now."),
    GAUGE("tunnels_active", NULL, tunnels_active,
          "Upgraded connections, such as WebSockets, now open."),
    COUNTER("tunnels_total", NULL, tunnels, "Upgraded connections so far."),
    COUNTER("websockets_told_to_go_total", NULL, websockets_told,
            "WebSockets that got a Close of the gateway's (1001, going away)."),
    COUNTER("requests_invalid_total", "reason=\"syntax\"", requests_invalid[STATS_INVALID_SYNTAX],
            "Requests refused before routing, by reason."),
    COUNTER("requests_invalid_total", "reason=\"timeout\"", requests_invalid[STATS_INVALID_TIMEOUT],
            ""),
    COUNTER("requests_invalid_total", "reason=\"too_large\"",
            requests_invalid[STATS_INVALID_TOO_LARGE], ""),
    COUNTER("requests_invalid_total", "reason=\"misdirected\"",
            requests_invalid[STATS_INVALID_MISDIRECTED], ""),
    COUNTER("requests_invalid_total", "reason=\"unsupported\"",
            requests_invalid[STATS_INVALID_UNSUPPORTED], ""),
    COUNTER("requests_unrouted_total", NULL, requests_unrouted, "Requests that no route matches."),
    COUNTER("tls_handshakes_total", "result=\"full\"", tls_full,
            "TLS handshakes with clients, by result."),
    COUNTER("tls_handshakes_total", "result=\"resumed\"", tls_resumed, ""),
    COUNTER("tls_handshakes_total", "result=\"failed\"", tls_failed, ""),
    COUNTER("received_bytes_total", NULL, received_bytes, "Bytes received from clients."),
    COUNTER("sent_bytes_total", NULL, sent_bytes, "Bytes sent to clients."),
    COUNTER("upstream_connections_opened_total", NULL, upstream.opened,
            "Connections to upstreams begun, those that failed included."),
    COUNTER("upstream_connections_reused_total", NULL, upstream.reused,
            "Requests that went over a kept connection to an upstream."),
    COUNTER("upstream_connections_failed_total", NULL, upstream.failed,
            "Connections to upstreams that could not be made."),
    GAUGE("upstream_connections_active", NULL, upstream.active,
          "Connections to upstreams now open."),
    GAUGE("upstream_connections_idle", NULL, upstream.idle,
          "Of the open connections to upstreams, those kept for reuse."),
    COUNTER("upstream_received_bytes_total", NULL, upstream.received_bytes,
            "Bytes received from upstreams."),
    COUNTER("upstream_sent_bytes_total", NULL, upstream.sent_bytes, "Bytes sent to upstreams."),
    COUNTER("upstream_queued_total", NULL, upstream.queued,
            "Requests that waited for a limit or for an endpoint to be ready."),
    COUNTER("upstream_queue_full_total", NULL, upstream.queue_full,
            "Requests answered 503 because the queue was full."),
    COUNTER("upstream_queue_timeouts_total", NULL, upstream_queue_timeouts,
            "Requests answered 503 because no limit had room for them in time."),
    COUNTER("upstream_no_endpoint_total", NULL, upstream_no_endpoint,
            "Requests answered 503 because no endpoint was ready in time."),
    COUNTER("upstream_retries_denied_total", NULL, upstream_retries_denied,
            "Retries that the budget did not allow."),
    COUNTER("upstream_retries_total", NULL, upstream_retries,
            "Attempts after the first one of a request."),
    COUNTER("compressed_responses_total", "coding=\"zstd\"", coders.responses[CODING_ZSTD],
            "Responses compressed, by coding."),
    COUNTER("compressed_responses_total", "coding=\"br\"", coders.responses[CODING_BR], ""),
    COUNTER("compressed_responses_total", "coding=\"gzip\"", coders.responses[CODING_GZIP], ""),
    COUNTER("compress_in_bytes_total", "coding=\"zstd\"", coders.in_bytes[CODING_ZSTD],
            "Bytes of bodies that were compressed, by coding."),
    COUNTER("compress_in_bytes_total", "coding=\"br\"", coders.in_bytes[CODING_BR], ""),
    COUNTER("compress_in_bytes_total", "coding=\"gzip\"", coders.in_bytes[CODING_GZIP], ""),
    COUNTER("compress_out_bytes_total", "coding=\"zstd\"", coders.out_bytes[CODING_ZSTD],
            "Bytes that they became, by coding."),
    COUNTER("compress_out_bytes_total", "coding=\"br\"", coders.out_bytes[CODING_BR], ""),
    COUNTER("compress_out_bytes_total", "coding=\"gzip\"", coders.out_bytes[CODING_GZIP], ""),
    COUNTER("compress_refused_total", NULL, coders.refused,
            "Responses not compressed because encoders had all of compression_memory."),
    COUNTER("regex_limits_total", NULL, regex_limits,
            "Matches of regular expressions that gave up at their limits."),
    COUNTER("log_lines_dropped_total", NULL, log_lines_dropped,
            "Lines of the access log dropped because the writer lagged behind."),
    COUNTER("loop_turns_total", NULL, loop_turns, "Turns of the workers' event loops."),
};

static const struct counter *counter_at(const void *base, size_t offset)
{
    return (const struct counter *)(const void *)((const char *)base + offset);
}

static void put_worker_metrics(const struct worker_stats *const *workers, size_t count,
                               struct buffer *to)
{
    const char *family = "";
    for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++) {
        const struct metric *m = &metrics[i];
        uint64_t             sum = 0;
        for (size_t w = 0; w < count; w++) sum += counter_get(counter_at(workers[w], m->offset));
        if (strcmp(family, m->name) != 0) stats_put_family(to, m->name, m->type, m->help);
        family = m->name;
        stats_put_sample(to, m->name, m->labels, sum);
    }
}

/* ---- of routes and upstreams ---- */

struct histogram_sum {
    uint64_t buckets[HISTOGRAM_BOUND_COUNT + 1];
    uint64_t us;
};

/* The sums of one id over all workers. */
struct series_sum {
    struct slice         name;
    uint64_t             by_class[6];
    uint64_t             request_bytes;
    uint64_t             response_bytes;
    struct histogram_sum duration;
    struct histogram_sum first_byte;
};

struct series_sums {
    const char        *label; /* "route", "upstream" */
    struct series_sum *items;
    size_t             count;
};

static void add_histogram(struct histogram_sum *sum, const struct histogram *h)
{
    for (size_t i = 0; i <= HISTOGRAM_BOUND_COUNT; i++)
        sum->buckets[i] += counter_get(&h->buckets[i]);
    sum->us += counter_get(&h->sum_us);
}

static void add_series(struct series_sum *sum, const struct series *s)
{
    for (size_t i = 0; i < 6; i++) sum->by_class[i] += counter_get(&s->by_class[i]);
    sum->request_bytes += counter_get(&s->request_bytes);
    sum->response_bytes += counter_get(&s->response_bytes);
    add_histogram(&sum->duration, &s->duration);
    add_histogram(&sum->first_byte, &s->first_byte);
}

/* An id in use shows up when its first request has ended, wherever that was. */
static struct series_sums sum_series(const struct worker_stats *const *workers, size_t count,
                                     size_t table_offset, const char *label,
                                     const struct slice *names, size_t name_count)
{
    struct series_sums sums = { .label = label };
    sums.items = mem_zalloc((name_count + 1) * sizeof(*sums.items));
    for (uint32_t id = 0; id < name_count && id < STATS_SERIES_MAX; id++) {
        struct series_sum *sum = &sums.items[sums.count];
        for (size_t w = 0; w < count; w++) {
            const struct series_table *t =
                *(struct series_table *const *)(const void *)((const char *)workers[w] +
                                                              table_offset);
            const struct series *s = series_get(t, id);
            if (!s) continue;
            add_series(sum, s);
            sum->name = names[id];
        }
        if (sum->name.len) sums.count++;
    }
    return sums;
}

/* `name{label="..."`; the caller goes on behind it. */
static void open_sample(struct buffer *to, const struct series_sums *sums, size_t i,
                        const char *name, const char *suffix)
{
    buffer_printf(to, "%s%s{", name, suffix);
    stats_put_label(to, sums->label, sums->items[i].name);
}

static void put_classes(const struct series_sums *sums, const char *name, const char *help,
                        struct buffer *to)
{
    static const char *const classes[] = { "none", "1xx", "2xx", "3xx", "4xx", "5xx" };
    stats_put_family(to, name, "counter", help);
    for (size_t i = 0; i < sums->count; i++)
        for (size_t class = 0; class < 6; class ++) {
            open_sample(to, sums, i, name, "");
            buffer_printf(to, ",code=\"%s\"} %llu\n", classes[class],
                          (unsigned long long)sums->items[i].by_class[class]);
        }
}

/* `offset`: of a number in struct series_sum. */
static void put_bytes(const struct series_sums *sums, size_t offset, const char *name,
                      const char *help, struct buffer *to)
{
    stats_put_family(to, name, "counter", help);
    for (size_t i = 0; i < sums->count; i++) {
        uint64_t value;
        memcpy(&value, (const char *)&sums->items[i] + offset, sizeof(value));
        open_sample(to, sums, i, name, "");
        buffer_printf(to, "} %llu\n", (unsigned long long)value);
    }
}

static void put_histogram(const struct series_sums *sums, size_t i, const char *name,
                          const struct histogram_sum *h, struct buffer *to)
{
    uint64_t count = 0;
    for (unsigned b = 0; b <= HISTOGRAM_BOUND_COUNT; b++) {
        count += h->buckets[b];
        open_sample(to, sums, i, name, "_bucket");
        if (b < HISTOGRAM_BOUND_COUNT)
            buffer_printf(to, ",le=\"%u.%03u\"", (1u << b) / 1000, (1u << b) % 1000);
        else
            buffer_puts(to, ",le=\"+Inf\"");
        buffer_printf(to, "} %llu\n", (unsigned long long)count);
    }
    open_sample(to, sums, i, name, "_sum");
    buffer_printf(to, "} %llu.%06u\n", (unsigned long long)(h->us / 1000000),
                  (unsigned)(h->us % 1000000));
    open_sample(to, sums, i, name, "_count");
    buffer_printf(to, "} %llu\n", (unsigned long long)count);
}

/* `offset`: of a histogram in struct series_sum. */
static void put_histograms(const struct series_sums *sums, size_t offset, const char *name,
                           const char *help, struct buffer *to)
{
    stats_put_family(to, name, "histogram", help);
    for (size_t i = 0; i < sums->count; i++) {
        struct histogram_sum h;
        memcpy(&h, (const char *)&sums->items[i] + offset, sizeof(h));
        put_histogram(sums, i, name, &h, to);
    }
}

static void put_routes(const struct series_sums *sums, struct buffer *to)
{
    put_classes(sums, "wharfgate_requests_total",
                "Requests ended, by route and class of status; none: without an answer.", to);
    put_bytes(sums, offsetof(struct series_sum, request_bytes),
              "wharfgate_request_body_bytes_total", "Bytes of request bodies, by route.", to);
    put_bytes(sums, offsetof(struct series_sum, response_bytes),
              "wharfgate_response_body_bytes_total", "Bytes of response bodies, by route.", to);
    put_histograms(sums, offsetof(struct series_sum, duration),
                   "wharfgate_request_duration_seconds",
                   "From a request's head to the last byte of its response, by route.", to);
}

static void put_upstreams(const struct series_sums *sums, struct buffer *to)
{
    put_classes(sums, "wharfgate_upstream_requests_total",
                "Attempts ended, by upstream and class of status; none: without an answer.", to);
    put_bytes(sums, offsetof(struct series_sum, request_bytes),
              "wharfgate_upstream_request_body_bytes_total",
              "Bytes of request bodies, by upstream.", to);
    put_bytes(sums, offsetof(struct series_sum, response_bytes),
              "wharfgate_upstream_response_body_bytes_total",
              "Bytes of response bodies, by upstream.", to);
    put_histograms(sums, offsetof(struct series_sum, duration),
                   "wharfgate_upstream_duration_seconds",
                   "From an attempt's begin to the end of its response, by upstream.", to);
    put_histograms(sums, offsetof(struct series_sum, first_byte),
                   "wharfgate_upstream_first_byte_seconds",
                   "From an attempt's begin to the head of its response, by upstream.", to);
}

void stats_prometheus(const struct worker_stats *const *workers, size_t worker_count,
                      const struct series_names *names, struct buffer *to)
{
    put_worker_metrics(workers, worker_count, to);
    struct series_sums sums =
        sum_series(workers, worker_count, offsetof(struct worker_stats, routes), "route",
                   names->routes, names->route_count);
    put_routes(&sums, to);
    free(sums.items);
    sums = sum_series(workers, worker_count, offsetof(struct worker_stats, upstreams), "upstream",
                      names->upstreams, names->upstream_count);
    put_upstreams(&sums, to);
    free(sums.items);
}
