/* SPDX-License-Identifier: Apache-2.0
 *
 * An upstream: a named group of endpoints and how to speak to them. Made by
 * control from the configuration; survives a reload when its fingerprint is
 * the same, and with it every connection. Who its endpoints are is its roster's
 * business (roster.h); workers see the set that was published last.
 *
 * What a worker keeps of it (connections, the balancer's state, the queue) is a
 * struct upstream_local of that worker, found by `slot`.
 */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/log.h"
#include "conf/settings.h"
#include "http/codec.h"
#include "io/tls.h"
#include "upstream/balance/balance.h"
#include "upstream/endpoint.h"

struct roster;

struct upstream_client;

/* A worker, as the others see it: who else has requests that wait? */
struct upstream_peer {
    alignas(64) _Atomic(struct upstream_client *) client; /* NULL: does not know the upstream */
    _Atomic uint64_t waiting_ms; /* since when its first request waits, loop clock; 0: none does */
    _Atomic bool     is_nudged;  /* told that there is room, and has not looked yet */
};

/* Handed on to the upstream that a reload puts in another's place: what runs still counts. */
struct upstream_load {
    alignas(64) _Atomic uint32_t active; /* requests in progress, where a bound or the balancer
                                            asks for it */
    uint32_t ref_count;                  /* control thread only */
};

struct upstream {
    const char                     *name;
    struct arena                    arena;
    const struct upstream_settings *settings; /* its own copy */
    uint32_t                        slot;     /* dense; reused after the upstream is freed */
    uint32_t                        series;   /* for counters (proxy/stats.h) */
    _Atomic(struct endpoint_set *)  set;
    struct balance_config           balance_config;
    const struct balance_ops       *balance;
    enum setting_key                key;      /* of ring_hash and maglev */
    struct slice                    key_name; /* of a header or cookie */
    struct tls_client             **tls;      /* one a worker and, last, control's; NULL: plain */
    unsigned                        worker_count;
    enum setting_proxy_protocol     proxy_protocol;
    enum setting_protocol           protocol;
    uint32_t                        idle_count_max; /* kept per endpoint and worker */
    uint32_t                        retries;
    uint32_t                        retry_on;                /* bits by enum setting_retry */
    uint32_t                        connection_max;          /* a worker's share; 0: no limit */
    uint32_t                        endpoint_connection_max; /* the same, of one endpoint */
    struct slice                    host;                    /* Host to send; unset: the client's */
    uint64_t                        keep_alive_ms;
    struct http_limits              limits; /* of responses */
    /* An endpoint has failed settings->outlier_ejection.consecutive_failures times in a row.
     * Any thread; NULL: nobody listens. */
    void (*on_suspect)(struct upstream *u);
    void          *control;      /* for on_suspect: a mailbox */
    struct roster *roster;       /* control thread only */
    _Atomic bool   is_suspected; /* told, and not yet heard */

    struct upstream_peer *peers; /* by worker; control's is the last */

    struct upstream_load *load;
    alignas(64) _Atomic uint32_t queued; /* requests that wait, all workers */
};

/* What upstream_new() needs beside the settings. */
struct upstream_build {
    const struct tls_client_settings *tls; /* NULL: plain */
    unsigned                          worker_count;
    uint64_t                          keep_alive_ms;
    struct http_limits                limits;
    uint32_t                          slot, series;
};

/* Must requests in progress be counted for it? */
static inline bool upstream_counts(const struct upstream *u)
{
    return u->settings->limits.requests || u->balance->has_key;
}

/* Control thread. Its set is empty. Keeps no pointer to `s`. NULL and *e on failure. */
struct upstream *upstream_new(const struct upstream_settings *s, const struct upstream_build *b,
                              struct error *e);
/* `u` takes the place of `previous`, and is not known to any worker yet. */
void upstream_take_over(struct upstream *u, const struct upstream *previous);
/* Once no worker knows it any more. Its roster is freed before. */
void upstream_free(struct upstream *u);
