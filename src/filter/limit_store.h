/* SPDX-License-Identifier: Apache-2.0
 *
 * The Redis that gateways share their rate limits through: a worker's connections to it,
 * its calls, their deadline, and the circuit that opens when they are late. Control finds
 * out where Redis is (control/redis_watch.h) and publishes it in a struct redis_store.
 * What is counted is filter/limit_remote.h's business. docs/design/limits.md is the page.
 */
#pragma once

#include "base/counter.h"
#include "conf/settings.h"
#include "io/redis_map.h"
#include "io/tls.h"
#include "proxy/filter.h"

struct limit_store;

/* Sums over all workers. */
struct limit_store_counts {
    uint64_t calls;    /* sent */
    uint64_t replies;  /* that came in time, or were of no hurry */
    uint64_t late;     /* a request waited for it, and no longer */
    uint64_t lost;     /* the connection ended first */
    uint64_t errors;   /* replies that are errors (out of memory, read-only, loading) */
    uint64_t refused;  /* not sent: no connection, an open circuit, too many under way */
    uint64_t reply_us; /* of all replies together, from the call on */
    uint64_t opened;   /* circuits */
    uint64_t open;     /* connections whose circuit is open now */
    uint64_t ready;    /* connections that can be used */
};

/* What workers keep of a store: adopted and released with plans. */
extern const struct plan_part_ops limit_store_part;

/* Control thread. Keeps no pointer to `s`. NULL and *e: TLS cannot be set up. `tls` NULL: plain. */
struct limit_store *limit_store_new(const struct redis_settings      *s,
                                    const struct tls_client_settings *tls, unsigned worker_count,
                                    struct error *e);
/* Once no worker has a plan with it. */
void limit_store_free(struct limit_store *st);

/* Control thread: where it is found, before a plan with it is published; and who sees to
 * that, for limit_store_keeper(). */
void  limit_store_share(struct limit_store *st, struct redis_store *shared, void *keeper);
void *limit_store_keeper(const struct limit_store *st);
const struct redis_settings *limit_store_settings(const struct limit_store *st);
struct tls_client           *limit_store_tls(const struct limit_store *st); /* control's, or NULL */
struct limit_store_counts    limit_store_count(const struct limit_store *st);
/* For people: why the last connection or call failed, or "". Any thread. */
void limit_store_trouble(const struct limit_store *st, char *text, size_t bytes);

/* On a worker's thread: another map was published. */
void limit_store_sync(struct limit_store *st, unsigned worker);
