/* SPDX-License-Identifier: Apache-2.0
 *
 * The store that gateways share: it is followed from the first plan with it until the
 * last one is gone, and workers are told when it is elsewhere.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "control/gate_parts.h"

struct gate_store {
    struct gate        *gate;
    struct limit_store *store;
    struct redis_watch *watch;
};

/* ---- maps ---- */

struct retirement {
    struct limit_store *store; /* lives as long as workers that have it */
    struct redis_map   *old;
};

static void sync_worker(struct worker *w, void *arg)
{
    const struct retirement *r = arg;
    limit_store_sync(r->store, w->index);
}

static void on_synced(void *arg)
{
    struct retirement *r = arg;
    redis_map_free(r->old);
    free(r);
}

static void retire(void *arg, struct redis_map *old)
{
    const struct gate_store *s = arg;
    struct crew             *c = &s->gate->crew;
    if (!c->is_running) {
        redis_map_free(old);
        return;
    }
    struct retirement *r = mem_alloc(sizeof(*r));
    *r = (struct retirement){ s->store, old };
    for (unsigned i = 0; i < c->count; i++) crew_do(c, i, sync_worker, r);
    crew_barrier(c, on_synced, r);
}

/* ---- life ---- */

void gate_begin_store(void *gate, struct limit_store *st)
{
    struct gate       *g = gate;
    struct gate_store *s = mem_zalloc(sizeof(*s));
    s->gate = g;
    s->store = st;
    struct redis_watch_options o = {
        .loop = g->loop,
        .dns = g->dns,
        .mailbox = &g->mailbox,
        .settings = limit_store_settings(st),
        .tls = limit_store_tls(st),
        .retire = retire,
        .arg = s,
    };
    s->watch = redis_watch_new(&o);
    limit_store_share(st, redis_watch_store(s->watch), s);
}

void gate_end_store(void *gate, struct limit_store *st)
{
    struct gate_store *s = limit_store_keeper(st);
    (void)gate;
    redis_watch_free(s->watch);
    free(s);
}

bool gate_store_status(const struct limit_store *st, struct redis_watch_status *status)
{
    const struct gate_store *s = limit_store_keeper(st);
    if (!s) return false;
    redis_watch_status(s->watch, status);
    return true;
}
