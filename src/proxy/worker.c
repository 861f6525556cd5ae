/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker: its plans, listeners and the messages from control. See worker.h.
 */
#include "proxy/worker.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "proxy/downstream.h"
#include "proxy/exchange.h"
#include "proxy/farewell.h"

enum { BLOCKS_KEPT = 1024 };

/* ---- plans ---- */

void plan_use_ref(struct plan_use *u)
{
    u->use_count++;
}

void plan_use_unref(struct worker *w, struct plan_use *u)
{
    if (!u || --u->use_count) return;
    const struct plan *p = u->plan;
    for (size_t i = p->part_count; i-- > 0;)
        p->parts[i].ops->release(p->parts[i].part, w->index, w->loop);
    for (size_t i = 0; i < p->upstream_count; i++)
        upstream_client_release(&w->upstreams, p->upstreams[i]);
    list_remove(&u->link);
    plan_release(u->plan);
    free(u);
}

static struct plan_use *plan_use_new(struct worker *w, struct plan *p)
{
    struct plan_use *u = mem_zalloc(sizeof(*u));
    u->plan = p;
    u->use_count = 1;
    list_append(&w->plan_uses, &u->link);
    for (size_t i = 0; i < p->upstream_count; i++)
        upstream_client_adopt(&w->upstreams, p->upstreams[i]);
    for (size_t i = 0; i < p->part_count; i++)
        p->parts[i].ops->adopt(p->parts[i].part, w->index, w->loop);
    return u;
}

/* ---- listeners ---- */

static void on_accept(struct listener *l, int fd, const struct address *peer)
{
    downstream_accept(container_of(l, struct worker_listener, listener), fd, peer);
}

/* No descriptor is left: give up the connection that is least needed. */
static void on_exhausted(struct listener *l)
{
    struct worker *w = container_of(l, struct worker_listener, listener)->worker;
    counter_add(&w->stats->accept_failures, 1);
    log_bounded(w->log, &w->log_budget, w->loop->clock.now_ms, LOG_LEVEL_ERROR,
                "cannot accept: out of file descriptors; raise the limit (ulimit -n, LimitNOFILE) "
                "or lower limits.max_connections");
    if (list_is_empty(&w->idle)) return;
    struct downstream *d = container_of(w->idle.next, struct downstream, idle_link);
    counter_add(&w->stats->connections_shed, 1);
    downstream_drop(d, false);
}

static void set_config(struct worker_listener *wl, struct plan_use *use,
                       const struct plan_listener *config)
{
    plan_use_ref(use);
    plan_use_unref(wl->worker, wl->use);
    wl->use = use;
    wl->config = config;
}

static void start_listener(struct worker *w, const struct plan_listener *config,
                           struct listen_socket *socket)
{
    if (w->index >= socket->count) return; /* fewer sockets than workers: admin, Unix */
    struct worker_listener *wl = mem_zalloc(sizeof(*wl));
    wl->worker = w;
    wl->socket = socket;
    list_append(&w->listeners, &wl->link);
    set_config(wl, w->current, config);
    wl->listener.on_exhausted = on_exhausted;
    if (!listener_start(&wl->listener, w->loop, socket->fds[w->index], on_accept))
        log_error(w->log, "worker %u: cannot listen on %s", w->index, socket->text);
}

static void free_listener(struct worker_listener *wl)
{
    list_remove(&wl->link);
    plan_use_unref(wl->worker, wl->use);
    free(wl);
}

void worker_listener_unref(struct worker_listener *wl)
{
    if (--wl->connection_count == 0 && wl->is_stopped) free_listener(wl);
}

static void stop_listener(struct worker_listener *wl)
{
    if (wl->is_stopped) return;
    listener_take_pending(&wl->listener);
    listener_stop(&wl->listener);
    wl->is_stopped = true;
    wl->socket = NULL;
    LIST_EACH_SAFE (it, &wl->worker->downstreams) {
        struct downstream *d = container_of(it, struct downstream, link);
        if (d->listener == wl) downstream_drain(d);
    }
    if (wl->connection_count == 0) free_listener(wl);
}

static struct worker_listener *find_listener(struct worker *w, const struct listen_socket *s)
{
    LIST_EACH (it, &w->listeners) {
        struct worker_listener *wl = container_of(it, struct worker_listener, link);
        if (!wl->is_stopped && wl->socket == s) return wl;
    }
    return NULL;
}

static bool plan_has_socket(const struct plan *p, const struct listen_socket *s)
{
    for (size_t i = 0; i < p->listener_count; i++)
        for (size_t k = 0; k < p->listeners[i].socket_count; k++)
            if (p->listeners[i].sockets[k] == s) return true;
    return false;
}

static void sync_listeners(struct worker *w, const struct plan *p)
{
    LIST_EACH_SAFE (it, &w->listeners) {
        struct worker_listener *wl = container_of(it, struct worker_listener, link);
        if (!plan_has_socket(p, wl->socket)) stop_listener(wl);
    }
    for (size_t i = 0; i < p->listener_count; i++) {
        const struct plan_listener *config = &p->listeners[i];
        for (size_t k = 0; k < config->socket_count; k++) {
            struct worker_listener *wl = find_listener(w, config->sockets[k]);
            if (wl)
                set_config(wl, w->current, config);
            else
                start_listener(w, config, config->sockets[k]);
        }
    }
}

/* ---- messages ---- */

struct plan_message {
    struct message message;
    struct plan   *plan;
};

static void adopt_plan(struct message *m, void *receiver)
{
    struct worker   *w = receiver;
    struct plan     *p = container_of(m, struct plan_message, message)->plan;
    struct plan_use *old = w->current;
    free(container_of(m, struct plan_message, message));
    w->current = plan_use_new(w, p);
    w->limits = p->limits;
    uint64_t most = p->settings->limits.max_connections;
    w->connection_max = (most + p->worker_count - 1) / p->worker_count;
    w->coders.max_bytes = p->settings->limits.compression_memory / p->worker_count;
    if (!w->is_draining) sync_listeners(w, p);
    if (old) plan_use_unref(w, old);
}

void worker_post_plan(struct worker *w, struct plan *p)
{
    struct plan_message *m = mem_alloc(sizeof(*m));
    m->message.run = adopt_plan;
    m->plan = p;
    mailbox_post(&w->mailbox, &m->message);
}

void worker_check_drained(struct worker *w)
{
    if (!w->is_draining || w->connection_count) return;
    void (*tell)(struct worker *) = w->on_drained;
    w->on_drained = NULL;
    if (tell) tell(w);
}

static void drain(struct message *m, void *receiver)
{
    struct worker *w = receiver;
    free(m);
    if (w->is_draining) return;
    w->is_draining = true;
    LIST_EACH_SAFE (it, &w->listeners)
        stop_listener(container_of(it, struct worker_listener, link));
    LIST_EACH_SAFE (it, &w->downstreams)
        downstream_drain(container_of(it, struct downstream, link));
    farewell_all(w);
    worker_check_drained(w);
}

static void stop(struct message *m, void *receiver)
{
    struct worker *w = receiver;
    free(m);
    loop_stop(w->loop);
}

static void post(struct worker *w, void (*run)(struct message *, void *))
{
    struct message *m = mem_alloc(sizeof(*m));
    m->run = run;
    mailbox_post(&w->mailbox, m);
}

void worker_post_drain(struct worker *w)
{
    post(w, drain);
}

void worker_post_stop(struct worker *w)
{
    post(w, stop);
}

/* ---- life ---- */

static void free_ended(struct job *j)
{
    exchange_free_ended(container_of(j, struct worker, free_ended));
}

struct worker *worker_new(const struct worker_params *p, struct error *e)
{
    struct worker *w = mem_zalloc(sizeof(*w));
    w->index = p->index;
    w->log = p->log;
    w->ring = p->ring;
    w->log_format = p->log_format;
    w->on_drained = p->on_drained;
    w->on_drained_arg = p->on_drained_arg;
    list_init(&w->plan_uses);
    list_init(&w->listeners);
    list_init(&w->downstreams);
    list_init(&w->websockets);
    list_init(&w->idle);
    list_init(&w->ended);
    job_init(&w->free_ended, free_ended);
    block_pool_init(&w->downstream_blocks, sizeof(struct downstream), BLOCKS_KEPT);
    block_pool_init(&w->exchange_blocks, sizeof(struct exchange), BLOCKS_KEPT);
    random_secret(&w->id_prefix, sizeof(w->id_prefix));
    w->stats = worker_stats_new();
    coder_pool_init(&w->coders);
    w->coders.counters = &w->stats->coders;
    w->router_scratch = router_scratch_new(&w->stats->regex_limits);
    w->loop = loop_new(p->log);
    if (!w->loop || !mailbox_init(&w->mailbox, w->loop, w)) {
        error_set(e, "cannot make an event loop: out of descriptors?");
        worker_free(w);
        return NULL;
    }
    outq_init(&w->no_output, &w->loop->large_blocks);
    upstream_client_init(&w->upstreams, w->loop, w->index, &w->stats->upstream);
    w->upstreams.mailbox = &w->mailbox;
    return w;
}

void worker_run(struct worker *w)
{
    loop_run(w->loop);
    /* What is left is dropped; control has given the grace there was. */
    LIST_EACH_SAFE (it, &w->listeners)
        stop_listener(container_of(it, struct worker_listener, link));
    while (!list_is_empty(&w->downstreams)) {
        downstream_drop(container_of(w->downstreams.next, struct downstream, link), true);
        loop_turn(w->loop, 0);
    }
    mailbox_run(&w->mailbox);
    if (w->current) plan_use_unref(w, w->current);
    w->current = NULL;
    upstream_client_reset(&w->upstreams);
    loop_turn(w->loop, 0);
}

void worker_free(struct worker *w)
{
    if (!w) return;
    /* Until now other workers may have told it of places in queues. */
    if (w->loop) mailbox_reset(&w->mailbox);
    if (w->loop) loop_free(w->loop);
    block_pool_reset(&w->downstream_blocks);
    block_pool_reset(&w->exchange_blocks);
    block_pool_reset(&w->upstreams.conn_blocks);
    coder_pool_reset(&w->coders);
    router_scratch_free(w->router_scratch);
    worker_stats_free(w->stats);
    free(w);
}
