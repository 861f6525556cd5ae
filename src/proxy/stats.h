/* SPDX-License-Identifier: Apache-2.0
 *
 * What workers count and how control shows it. Each worker has one struct
 * worker_stats that it alone writes, without locked instructions; control reads
 * all of them and prints sums as Prometheus text.
 *
 * Requests are counted by route and by upstream. A series is found by a dense
 * id that control gives to a name of the configuration (never to anything that
 * a client sends); id 0 is "_other": whatever is past metrics.max_series.
 */
#pragma once

#include "base/buffer.h"
#include "base/counter.h"
#include "base/slice.h"
#include "http/coder_pool.h"
#include "upstream/client.h"

enum {
    STATS_SERIES_OTHER = 0,
    STATS_SERIES_MAX = 65536, /* ids at or past it are counted as _other */
    /* Bounds 1, 2, 4, ... 65,536 ms, and what is slower. */
    HISTOGRAM_BOUND_COUNT = 17,
};

struct histogram {
    struct counter buckets[HISTOGRAM_BOUND_COUNT + 1]; /* each on its own, not cumulated */
    struct counter sum_us;
};

/* Of a route, or of an upstream. */
struct series {
    struct counter   by_class[6]; /* status / 100; 0: ended without an answer */
    struct counter   request_bytes;
    struct counter   response_bytes;
    struct histogram duration;   /* of the whole request; for an upstream, of the attempt */
    struct histogram first_byte; /* upstreams only */
};

/* Why a request was refused before routing. */
enum stats_invalid {
    STATS_INVALID_SYNTAX,      /* 400 */
    STATS_INVALID_TIMEOUT,     /* 408 */
    STATS_INVALID_TOO_LARGE,   /* 413, 414, 431 */
    STATS_INVALID_MISDIRECTED, /* 421 */
    STATS_INVALID_UNSUPPORTED, /* 417, 501, 505 */
    STATS_INVALID_COUNT
};

struct series_table; /* stats.c */

/* Fields named active or idle are gauges: counter_move(). Each has a row in the
 * table of stats.c. */
struct worker_stats {
    struct counter           connections_accepted;
    struct counter           connections_active;
    struct counter           connections_idle;        /* of the active, between requests */
    struct counter           connections_closed_idle; /* by us, after keep_alive */
    struct counter           connections_shed; /* closed to make room, or refused for lack of it */
    struct counter           tunnels_active, tunnels;
    struct counter           websockets_told;     /* to go */
    struct counter           connections_abusive; /* given up because of what the client did */
    struct counter           connections_reset;   /* by the client, within a request */
    struct counter           accept_failures;
    struct counter           requests_active;
    struct counter           requests_invalid[STATS_INVALID_COUNT];
    struct counter           requests_unrouted; /* 404: no route */
    struct counter           tls_full;
    struct counter           tls_resumed;
    struct counter           tls_failed;
    struct counter           received_bytes; /* from clients, of plaintext */
    struct counter           sent_bytes;
    struct upstream_counters upstream; /* counted by upstream/client.c */
    struct counter           upstream_retries;
    struct counter           upstream_retries_denied; /* by the budget */
    struct counter           upstream_queue_timeouts; /* no turn in time */
    struct counter           upstream_no_endpoint;    /* none was ready in time */
    struct coder_counters    coders;                  /* counted by filter/compress.c */
    struct counter           regex_limits;            /* matches that gave up */
    struct counter           log_lines_dropped;
    struct counter           loop_turns;

    struct series_table *routes;
    struct series_table *upstreams;
};

struct worker_stats *worker_stats_new(void);
void                 worker_stats_free(struct worker_stats *w);

/* The worker's own thread only. Made at first use, never moved. */
struct series *stats_route(struct worker_stats *w, uint32_t id);
struct series *stats_upstream(struct worker_stats *w, uint32_t id);

void histogram_add(struct histogram *h, uint64_t us);
/* One request's end. `status` 0: none was sent. */
void series_add(struct series *s, unsigned status, uint64_t request_bytes, uint64_t response_bytes,
                uint64_t duration_us);
/* The class's index that a code belongs to. */
enum stats_invalid stats_invalid_class(unsigned status);

/* ---- control ---- */
/* By series id; an entry without text is an id that is not in use. Entry 0 is "_other". */
struct series_names {
    const struct slice *routes;
    size_t              route_count;
    const struct slice *upstreams;
    size_t              upstream_count;
};

/* Appends Prometheus text format 0.0.4, always in the same order. */
void stats_prometheus(const struct worker_stats *const *workers, size_t worker_count,
                      const struct series_names *names, struct buffer *to);

/* For what others count, in the same form. `type` is "counter", "gauge", "histogram". */
void stats_put_family(struct buffer *to, const char *name, const char *type, const char *help);
/* A sample: `labels` is ready text such as `result="ok"`, or NULL. */
void stats_put_sample(struct buffer *to, const char *name, const char *labels, uint64_t value);
/* label="value", with the value escaped. */
void stats_put_label(struct buffer *to, const char *label, struct slice value);
