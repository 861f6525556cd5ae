/* SPDX-License-Identifier: Apache-2.0
 *
 * Which endpoint a request gets, whose turn it is when there is no room, and
 * what retries may cost. See client.h.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "upstream/client_private.h"

/* ---- choosing ---- */

static struct upstream_local *local_of(const struct upstream_client *c, const struct upstream *u)
{
    return c->locals[u->slot];
}

/* Strict: who comes in between two workers' looks is turned away again. */
static bool enter_endpoint(struct endpoint *e, uint32_t most)
{
    uint32_t before = atomic_fetch_add_explicit(&e->live->active, 1, memory_order_relaxed);
    if (!most || before < most) return true;
    atomic_fetch_sub_explicit(&e->live->active, 1, memory_order_relaxed);
    return false;
}

/* `load`: how many there were before. */
static bool enter_upstream(struct upstream *u, uint32_t *load)
{
    *load = 0;
    if (!upstream_counts(u)) return true;
    uint32_t most = u->settings->limits.requests;
    *load = atomic_fetch_add_explicit(&u->active, 1, memory_order_relaxed);
    if (!most || *load < most) return true;
    atomic_fetch_sub_explicit(&u->active, 1, memory_order_relaxed);
    return false;
}

static void leave_upstream(struct upstream *u)
{
    if (upstream_counts(u)) atomic_fetch_sub(&u->active, 1);
}

static bool is_empty(const struct endpoint_set *set)
{
    return !set->tiers[TIER_PRIMARY].count && !set->tiers[TIER_BACKUP].count;
}

/* Were all of the set tried by this request? */
static bool has_tried_all(const struct endpoint_set *set, const struct balance_ask *ask)
{
    for (unsigned t = 0; t < TIER_COUNT; t++) {
        const struct endpoint_tier *tier = &set->tiers[t];
        if (t == TIER_EJECTED && !ask->is_retry) break;
        if (tier->count > ask->tried_count) return false;
        for (size_t i = 0; i < tier->count; i++)
            if (!balance_was_tried(tier->items[i], ask)) return false;
    }
    return true;
}

/* It is the request's, if there is room for it. */
static bool take(struct upstream_local *l, const struct endpoint_set *set, struct endpoint *e)
{
    struct pool *pool = upstream_pool_of(l, e);
    if (!upstream_pool_has_room(pool) || !enter_endpoint(e, set->request_max)) return false;
    pool->user_count++;
    return true;
}

/* More than can be passed over lack room for a connection: any that does not, from a random
 * one on. */
static struct endpoint *find_any(struct upstream_local *l, const struct endpoint_set *set,
                                 const struct balance_ask *ask)
{
    unsigned tier_count = ask->is_retry ? TIER_COUNT : TIER_EJECTED;
    for (unsigned t = 0; t < tier_count; t++) {
        const struct endpoint_tier *tier = &set->tiers[t];
        size_t at = tier->count ? random_below(ask->random, (uint32_t)tier->count) : 0;
        for (size_t i = 0; i < tier->count; i++, at = at + 1 < tier->count ? at + 1 : 0) {
            struct endpoint *e = tier->items[at];
            if (balance_may_choose(set, e, ask) && take(l, set, e)) return e;
        }
    }
    return NULL;
}

/* The balancer's first choice was taken meanwhile, or has no connection left: the next ones. */
static struct endpoint *find_other(struct upstream_local *l, const struct endpoint_set *set,
                                   const struct balance_ask *ask, struct endpoint *first)
{
    struct balance_ask now = *ask;
    struct endpoint   *e = first;
    while (now.tried_count < BALANCE_TRIED_MAX) {
        balance_tried(&now, e);
        e = balance_choose(&l->balance, set, &now);
        if (!e || take(l, set, e)) return e;
    }
    return find_any(l, set, ask);
}

static struct endpoint *find_endpoint(struct upstream_local *l, const struct endpoint_set *set,
                                      const struct balance_ask *ask)
{
    struct endpoint *e = balance_choose(&l->balance, set, ask);
    if (!e || take(l, set, e)) return e;
    return find_other(l, set, ask, e);
}

enum upstream_choice upstream_client_choose(struct upstream_client *c, struct upstream *u,
                                            struct balance_ask *ask, struct endpoint **chosen)
{
    struct upstream_local     *l = local_of(c, u);
    const struct endpoint_set *set = atomic_load_explicit(&u->set, memory_order_acquire);
    if (is_empty(set)) return UPSTREAM_EMPTY;
    if (!enter_upstream(u, &ask->load)) return UPSTREAM_BUSY;
    *chosen = find_endpoint(l, set, ask);
    if (*chosen) return UPSTREAM_CHOSEN;
    leave_upstream(u);
    return has_tried_all(set, ask) ? UPSTREAM_TRIED : UPSTREAM_BUSY;
}

void upstream_client_enter(struct upstream *u, struct endpoint *e)
{
    atomic_fetch_add_explicit(&e->live->active, 1, memory_order_relaxed);
    if (upstream_counts(u)) atomic_fetch_add_explicit(&u->active, 1, memory_order_relaxed);
}

void upstream_client_forget(struct upstream_client *c, struct upstream *u, struct endpoint *e)
{
    upstream_pool_unuse(upstream_pool_of(local_of(c, u), e));
}

/* ---- turns ---- */

static struct upstream_peer *peer_of(const struct upstream_local *l)
{
    return &l->upstream->peers[l->client->worker_index];
}

static void take_out(struct upstream_turn *t)
{
    struct upstream_local *l = t->local;
    list_remove(&t->link);
    t->local = NULL;
    atomic_fetch_sub_explicit(&l->upstream->queued, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&peer_of(l)->queued, 1, memory_order_relaxed);
}

static void splice(struct list *from, struct list *to)
{
    if (list_is_empty(from)) return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

/* Each in its order, until one finds nothing that another could have. Those that found nothing
 * are in the queue again, in the same order. */
static void run_wake(struct job *j)
{
    struct upstream_local *l = container_of(j, struct upstream_local, wake_job);
    struct list            waiting;
    bool                   goes_on = true;
    list_init(&waiting);
    splice(&l->queue, &waiting);
    while (goes_on && !list_is_empty(&waiting)) {
        struct upstream_turn *t = container_of(waiting.next, struct upstream_turn, link);
        take_out(t);
        goes_on = t->run(t);
    }
    splice(&waiting, &l->queue);
    conn_flush_all(l->client->loop);
}

void upstream_local_init_queue(struct upstream_local *l)
{
    list_init(&l->queue);
    job_init(&l->wake_job, run_wake);
}

void upstream_local_reset_queue(struct upstream_local *l)
{
    job_cancel(&l->wake_job);
    while (!list_is_empty(&l->queue))
        take_out(container_of(l->queue.next, struct upstream_turn, link));
}

void upstream_local_wake(struct upstream_local *l)
{
    if (!list_is_empty(&l->queue)) job_queue(l->client->loop, &l->wake_job);
}

struct nudge {
    struct message          message;
    struct upstream_client *client;
    uint32_t                slot;
    const struct upstream  *upstream;
};

/* On the worker that has requests waiting. */
static void hear_nudge(struct message *m, void *receiver)
{
    struct nudge           n = *container_of(m, struct nudge, message);
    struct upstream_local *l = upstream_local_find(n.client, n.slot, n.upstream);
    (void)receiver;
    free(container_of(m, struct nudge, message));
    if (!l) return;
    atomic_store_explicit(&peer_of(l)->is_nudged, false, memory_order_relaxed);
    upstream_local_wake(l);
}

/* There is room that nobody here waits for: the worker with most that wait is told. */
static void nudge(const struct upstream_local *l)
{
    struct upstream      *u = l->upstream;
    struct upstream_peer *most = NULL;
    uint32_t              count = 0;
    for (unsigned i = 0; i < u->worker_count; i++) {
        struct upstream_peer *p = &u->peers[i];
        uint32_t              queued = atomic_load_explicit(&p->queued, memory_order_relaxed);
        if (queued <= count) continue;
        count = queued;
        most = p;
    }
    struct upstream_client *client = most ? atomic_load(&most->client) : NULL;
    if (!client || client == l->client || atomic_exchange(&most->is_nudged, true)) return;
    struct nudge *n = mem_alloc(sizeof(*n));
    *n = (struct nudge){ .message.run = hear_nudge, client, u->slot, u };
    mailbox_post(client->mailbox, &n->message);
}

void upstream_client_leave(struct upstream_client *c, struct upstream *u, struct endpoint *e)
{
    struct upstream_local *l = local_of(c, u);
    atomic_fetch_sub(&e->live->active, 1);
    leave_upstream(u);
    if (!atomic_load(&u->queued)) return;
    if (list_is_empty(&l->queue))
        nudge(l);
    else
        upstream_local_wake(l);
}

bool upstream_client_queue(struct upstream_client *c, struct upstream *u, struct upstream_turn *t,
                           bool is_again)
{
    struct upstream_local *l = local_of(c, u);
    uint32_t               before = atomic_fetch_add(&u->queued, 1);
    if (before >= u->settings->limits.queue && !is_again) {
        atomic_fetch_sub_explicit(&u->queued, 1, memory_order_relaxed);
        counter_add(&c->counters->queue_full, 1);
        return false;
    }
    atomic_fetch_add_explicit(&peer_of(l)->queued, 1, memory_order_relaxed);
    t->local = l;
    list_append(&l->queue, &t->link);
    if (is_again) return true;
    counter_add(&c->counters->queued, 1);
    /* Another worker may have left between our look and now, and seen nobody wait: one more
     * look. Who leaves from here on sees that we do (both sequentially consistent). */
    upstream_local_wake(l);
    return true;
}

void upstream_client_unqueue(struct upstream_turn *t)
{
    if (t->local) take_out(t);
}

/* ---- the retry budget ---- */

enum {
    RETRY_COST = 100,         /* hundredths of a retry */
    RETRIES_MIN_A_SECOND = 3, /* all workers together */
    BUDGET_STEP_MS = 1000,
    BUDGET_STEPS_MAX = 100, /* after them nothing is left of what was put by */
};

/* What was put by decays by a tenth a second: the budget is a share of the requests of the
 * last ten seconds or so. */
static void age_budget(struct upstream_local *l)
{
    uint64_t steps = (l->client->loop->clock.now_ms - l->budget_ms) / BUDGET_STEP_MS;
    if (!steps) return;
    uint64_t min = RETRIES_MIN_A_SECOND * RETRY_COST / l->upstream->worker_count;
    l->budget_ms += steps * BUDGET_STEP_MS;
    if (steps > BUDGET_STEPS_MAX) steps = BUDGET_STEPS_MAX;
    while (steps--) l->budget = l->budget * 9 / 10 + min;
}

void upstream_client_earn(struct upstream_client *c, struct upstream *u)
{
    struct upstream_local *l = local_of(c, u);
    age_budget(l); /* first: what comes now is not of the time before */
    l->budget += u->settings->retry_budget;
}

bool upstream_client_spend(struct upstream_client *c, struct upstream *u)
{
    struct upstream_local *l = local_of(c, u);
    if (!u->settings->retry_budget) return true;
    age_budget(l);
    if (l->budget < RETRY_COST) return false;
    l->budget -= RETRY_COST;
    return true;
}
