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

/* Strict, and never counted in vain: another worker would be turned away for it. */
static bool enter(_Atomic uint32_t *active, uint32_t most)
{
    if (!most) {
        atomic_fetch_add_explicit(active, 1, memory_order_relaxed);
        return true;
    }
    uint32_t now = atomic_load_explicit(active, memory_order_relaxed);
    do
        if (now >= most) return false;
    while (!atomic_compare_exchange_weak(active, &now, now + 1));
    return true;
}

static bool enter_upstream(struct upstream *u)
{
    return !upstream_counts(u) || enter(&u->load->active, u->settings->limits.requests);
}

/* Requests in progress, less the one that has just entered. */
static uint32_t load_without_it(const struct upstream *u)
{
    uint32_t active = atomic_load_explicit(&u->load->active, memory_order_relaxed);
    return active ? active - 1 : 0;
}

static void leave_upstream(struct upstream *u)
{
    if (upstream_counts(u)) atomic_fetch_sub(&u->load->active, 1);
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
    if (!upstream_pool_has_room(pool) || !enter(&e->live->active, set->request_max)) return false;
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

static struct upstream_turn *first_of(const struct upstream_local *l)
{
    if (list_is_empty(&l->queue)) return NULL;
    return container_of(l->queue.next, struct upstream_turn, link);
}

/* First come, first served: a new request goes behind those that wait. Not a retry, which
 * came before them, nor when the first one waits for some of the endpoints only. */
static bool must_line_up(const struct upstream_local *l, const struct balance_ask *ask)
{
    const struct upstream_turn *first = first_of(l);
    return first && !first->is_picky && !l->trying && !ask->tried_count;
}

enum upstream_choice upstream_client_choose(struct upstream_client *c, struct upstream *u,
                                            struct balance_ask *ask, struct endpoint **chosen)
{
    struct upstream_local     *l = local_of(c, u);
    const struct endpoint_set *set = atomic_load_explicit(&u->set, memory_order_acquire);
    if (is_empty(set)) return UPSTREAM_EMPTY;
    if (must_line_up(l, ask) || !enter_upstream(u)) return UPSTREAM_BUSY;
    ask->load = load_without_it(u);
    *chosen = find_endpoint(l, set, ask);
    if (*chosen) return UPSTREAM_CHOSEN;
    leave_upstream(u);
    return has_tried_all(set, ask) ? UPSTREAM_TRIED : UPSTREAM_BUSY;
}

void upstream_client_enter(struct upstream *u, struct endpoint *e)
{
    atomic_fetch_add_explicit(&e->live->active, 1, memory_order_relaxed);
    if (upstream_counts(u)) atomic_fetch_add_explicit(&u->load->active, 1, memory_order_relaxed);
}

void upstream_client_forget(struct upstream_client *c, struct upstream *u, struct endpoint *e)
{
    upstream_pool_unuse(upstream_pool_of(local_of(c, u), e));
}

/* ---- turns ----
 *
 * That nobody waits beside a free place: who waits is counted first and looks for a place then;
 * who leaves gives the place back first and looks for who waits then. Both are in one order
 * for all threads. A worker that has served all of its own passes the word on. What is left
 * (a place that only another upstream's request knew of, as after a reload; one that this
 * worker may not use, and another may) is found by looking every LOOK_MS.
 */

enum {
    LOOK_MS = 100,
    PATIENCE_MS = 20, /* so much longer another worker's first has to wait to be the first */
};

static struct upstream_peer *peer_of(const struct upstream_local *l)
{
    return &l->upstream->peers[l->client->worker_index];
}

static void note_first(struct upstream_local *l)
{
    const struct upstream_turn *first = first_of(l);
    atomic_store(&peer_of(l)->waiting_ms, first ? first->queued_ms : 0);
}

/* Others' first that waits longest, or NULL. */
static struct upstream_peer *longest_waiting(const struct upstream_local *l, uint64_t *since_ms)
{
    struct upstream      *u = l->upstream;
    struct upstream_peer *found = NULL;
    for (unsigned i = 0; i < u->worker_count; i++) {
        uint64_t ms = i == l->client->worker_index ? 0 : atomic_load(&u->peers[i].waiting_ms);
        if (!ms || (found && ms >= *since_ms)) continue;
        found = &u->peers[i];
        *since_ms = ms;
    }
    return found;
}

struct nudge {
    struct message          message;
    struct upstream_client *client;
    uint32_t                slot;
    const struct upstream  *upstream;
};

static void pass_on(struct upstream_local *l);

/* On the worker that has requests waiting, or had. */
static void hear_nudge(struct message *m, void *receiver)
{
    struct nudge           n = *container_of(m, struct nudge, message);
    struct upstream_local *l = upstream_local_find(n.client, n.slot, n.upstream);
    (void)receiver;
    free(container_of(m, struct nudge, message));
    if (!l) return;
    atomic_store(&peer_of(l)->is_nudged, false);
    if (list_is_empty(&l->queue))
        pass_on(l);
    else
        upstream_local_wake(l);
}

/* False: it was told already, or is about to go. */
static bool nudge(const struct upstream_local *l, struct upstream_peer *whom)
{
    struct upstream_client *client = atomic_load(&whom->client);
    if (!client || atomic_exchange(&whom->is_nudged, true)) return false;
    struct nudge *n = mem_alloc(sizeof(*n));
    *n = (struct nudge){ .message.run = hear_nudge, client, l->upstream->slot, l->upstream };
    mailbox_post(client->mailbox, &n->message);
    return true;
}

/* There may be room that nobody here waits for. */
static void pass_on(struct upstream_local *l)
{
    uint64_t              since_ms = 0;
    struct upstream_peer *whom = longest_waiting(l, &since_ms);
    if (whom) (void)nudge(l, whom);
}

/* True: it found no room, and is at the queue's head again. It is counted all the while, lest
 * whoever leaves now sees nobody. */
static bool run_turn(struct upstream_local *l, struct upstream_turn *t)
{
    list_remove(&t->link);
    t->local = NULL;
    l->trying = t;
    t->run(t);
    bool is_again = !l->trying;
    l->trying = NULL;
    if (!is_again) atomic_fetch_sub(&l->upstream->queued, 1);
    return is_again;
}

/* Each in its order, until one finds no room that would be good for all. */
static void run_turns(struct upstream_local *l)
{
    struct list passed;
    list_init(&passed);
    while (!list_is_empty(&l->queue)) {
        struct upstream_turn *t = first_of(l);
        if (!run_turn(l, t)) continue;
        if (!t->is_picky) break;
        list_remove(&t->link);
        list_append(&passed, &t->link);
    }
    while (!list_is_empty(&passed)) {
        struct list *last = passed.prev;
        list_remove(last);
        list_prepend(&l->queue, last);
    }
}

static void run_wake(struct job *j)
{
    struct upstream_local *l = container_of(j, struct upstream_local, wake_job);
    atomic_thread_fence(memory_order_seq_cst);
    run_turns(l);
    note_first(l);
    if (!list_is_empty(&l->queue))
        deadline_set(l->client->loop, &l->look, LOOK_MS);
    else
        pass_on(l); /* those whom it was for may have left meanwhile */
    conn_flush_all(l->client->loop);
}

static void run_look(struct deadline *d)
{
    upstream_local_wake(container_of(d, struct upstream_local, look));
}

void upstream_local_init_queue(struct upstream_local *l)
{
    list_init(&l->queue);
    job_init(&l->wake_job, run_wake);
    deadline_init(&l->look, run_look);
}

void upstream_local_reset_queue(struct upstream_local *l)
{
    job_cancel(&l->wake_job);
    deadline_remove(&l->look);
    while (!list_is_empty(&l->queue)) upstream_client_unqueue(first_of(l));
}

void upstream_local_wake(struct upstream_local *l)
{
    if (!list_is_empty(&l->queue)) job_queue(l->client->loop, &l->wake_job);
}

void upstream_client_leave(struct upstream_client *c, struct upstream *u, struct endpoint *e)
{
    struct upstream_local      *l = local_of(c, u);
    const struct upstream_turn *first = first_of(l);
    uint64_t                    since_ms = 0;
    atomic_fetch_sub(&e->live->active, 1);
    leave_upstream(u);
    if (!atomic_load(&u->queued)) return;
    struct upstream_peer *other = longest_waiting(l, &since_ms);
    bool is_others = other && (!first || since_ms + PATIENCE_MS < first->queued_ms);
    if (!is_others || !nudge(l, other)) upstream_local_wake(l);
}

/* A new one is to look for a place once it is counted. */
static bool join(struct upstream_local *l, struct upstream_turn *t)
{
    struct upstream          *u = l->upstream;
    struct upstream_counters *counters = l->client->counters;
    uint32_t                  before = atomic_fetch_add(&u->queued, 1);
    if (before >= u->settings->limits.queue) {
        atomic_fetch_sub(&u->queued, 1);
        counter_add(&counters->queue_full, 1);
        return false;
    }
    t->queued_ms = l->client->loop->clock.now_ms;
    list_append(&l->queue, &t->link);
    counter_add(&counters->queued, 1);
    upstream_local_wake(l);
    return true;
}

bool upstream_client_queue(struct upstream_client *c, struct upstream *u, struct upstream_turn *t)
{
    struct upstream_local *l = local_of(c, u);
    if (l->trying == t) {
        l->trying = NULL;
        list_prepend(&l->queue, &t->link);
    } else if (!join(l, t)) {
        return false;
    }
    t->local = l;
    note_first(l);
    return true;
}

void upstream_client_unqueue(struct upstream_turn *t)
{
    struct upstream_local *l = t->local;
    if (!l) return;
    list_remove(&t->link);
    t->local = NULL;
    atomic_fetch_sub(&l->upstream->queued, 1);
    note_first(l);
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
