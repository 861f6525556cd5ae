/* SPDX-License-Identifier: Apache-2.0
 *
 * An upstream: a named group of endpoints and how to speak to them. Made by
 * control from the configuration; survives a reload when its fingerprint is
 * the same, and with it every connection.
 *
 * What a worker keeps of it (idle connections, the balancer's state, its TLS
 * context) is a struct upstream_local of that worker, found by `slot`.
 */
#pragma once

#include "base/error.h"
#include "base/log.h"
#include "conf/settings.h"
#include "http/codec.h"
#include "io/tls.h"
#include "upstream/balance/balance.h"
#include "upstream/endpoint.h"

struct upstream {
    char                          *name;
    char                          *fingerprint;
    uint32_t                       slot;   /* dense; reused after the upstream is freed */
    uint32_t                       series; /* for counters (proxy/stats.h) */
    const struct balance_ops      *balance;
    _Atomic(struct endpoint_set *) set;
    struct tls_client            **tls; /* one a worker, or NULL: plain */
    unsigned                       worker_count;
    enum setting_proxy_protocol    proxy_protocol;
    enum setting_protocol          protocol;
    uint32_t                       idle_count_max; /* kept per endpoint and worker */
    uint32_t                       retries;
    struct slice                   host; /* Host to send; unset: the client's */
    uint64_t                       keep_alive_ms;
    struct http_limits             limits;     /* of responses */
    unsigned                       plan_count; /* plans that name it; control thread only */
};

/* What upstream_new() needs beside the settings. */
struct upstream_build {
    const struct tls_client_settings *tls; /* NULL: plain */
    unsigned                          worker_count;
    uint64_t                          keep_alive_ms;
    struct http_limits                limits;
    uint32_t                          slot, series;
};

/* Control thread. Resolves names (blocking). Keeps no pointer to `s`. NULL and *e on failure. */
struct upstream *upstream_new(const struct upstream_settings *s, const struct upstream_build *b,
                              struct error *e);
/* Once no worker knows it any more. */
void upstream_free(struct upstream *u);
