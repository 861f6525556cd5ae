/* SPDX-License-Identifier: Apache-2.0
 *
 * Who belongs to an upstream, and the sets that follow from it. See roster.h.
 */
#include "upstream/roster.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "upstream/roster_private.h"

enum {
    PUBLISH_MS = 50,
    HEIRS_MS = 60000, /* so long after a reload what was known before it still counts */
    WEIGHT_SCALE = 100,
};

/* ---- slots ---- */

/* Lives as long as an endpoint that has one of its slots. Control thread only. */
struct slot_map {
    struct mailbox *control;
    bool           *taken;
    uint32_t        count;
    uint32_t        first;     /* none before it is free */
    size_t          ref_count; /* slots taken, and the roster */
};

static uint32_t slot_take(struct slot_map *s)
{
    uint32_t slot = s->first;
    while (slot < s->count && s->taken[slot]) slot++;
    if (slot == s->count) {
        uint32_t more = s->count ? s->count * 2 : 8;
        s->taken = mem_realloc(s->taken, more * sizeof(bool));
        memset(s->taken + s->count, 0, (more - s->count) * sizeof(bool));
        s->count = more;
    }
    s->taken[slot] = true;
    s->first = slot + 1;
    s->ref_count++;
    return slot;
}

static void slots_unref(struct slot_map *s)
{
    if (--s->ref_count) return;
    free(s->taken);
    free(s);
}

/* On the control thread: nobody refers to the endpoint any more. */
static void bury(struct message *m, void *control)
{
    struct endpoint *e = container_of(m, struct endpoint, message);
    struct slot_map *slots = e->unused_arg;
    (void)control;
    slots->taken[e->slot] = false;
    if (e->slot < slots->first) slots->first = e->slot;
    endpoint_free(e);
    slots_unref(slots);
}

static void on_unused(struct endpoint *e, void *arg)
{
    struct slot_map *slots = arg;
    e->message.run = bury;
    if (slots->control)
        mailbox_post(slots->control, &e->message);
    else
        bury(&e->message, NULL);
}

/* ---- heirs ---- */

/* What was known of an endpoint under the configuration before. */
struct heir {
    char                 *identity;
    struct endpoint_live *live; /* a reference */
    struct address        address;
    struct member         last;
};

static struct heir *heir_new(const struct member *m)
{
    struct heir *h = mem_zalloc(sizeof(*h));
    h->identity = mem_strdup(m->endpoint->identity);
    h->live = m->endpoint->live;
    h->last = *m;
    h->address = m->endpoint->address;
    if (h->address.family == ADDRESS_UNIX) h->address.path = mem_strdup(h->address.path);
    endpoint_live_ref(h->live);
    return h;
}

static void heir_free(struct heir *h)
{
    if (!h) return;
    if (h->address.family == ADDRESS_UNIX) free((char *)(uintptr_t)h->address.path);
    endpoint_live_unref(h->live);
    free(h->identity);
    free(h);
}

/* None, where the new configuration has nobody ejected. */
static void inherit_ejection(struct member *m, const struct member *last)
{
    const struct ejection_settings *s = &m->roster->upstream->settings->outlier_ejection;
    m->ejection_count = last->ejection_count;
    if (!s->max_share || (!s->consecutive_failures && !s->error_rate)) return;
    m->ejected_from_ms = last->ejected_from_ms;
    m->ejected_until_ms = last->ejected_until_ms;
    m->ejection_level = last->ejection_level;
    m->ejection_ended_ms = last->ejection_ended_ms;
    memcpy(m->ejection_reason, last->ejection_reason, sizeof(m->ejection_reason));
}

/* Who was at work without checks is not held up by the first one. */
static void inherit(struct member *m, const struct member *last)
{
    bool was_trusted = last->verdict == PROBE_UNKNOWN && last->state == ENDPOINT_READY;
    if (m->roster->upstream->settings->health_check)
        m->verdict = was_trusted ? PROBE_UP : last->verdict;
    m->is_silent &= last->state != ENDPOINT_READY && last->state != ENDPOINT_EJECTED;
    m->since_us = last->since_us;
    m->state = last->state;
    memcpy(m->probe_output, last->probe_output, sizeof(m->probe_output));
    m->probe_us = last->probe_us;
    m->probe_time_us = last->probe_time_us;
    m->is_probe_good = last->is_probe_good;
    inherit_ejection(m, last);
    m->ramp_from_ms = last->ramp_from_ms;
}

/* NULL: nothing is known of it, or what is known is old, or of another address. */
static struct heir *take_heir(struct roster *r, const struct endpoint_spec *spec)
{
    struct heir *h = map_remove(&r->heirs, spec->identity);
    bool         is_old = r->loop->clock.now_ms > r->heirs_until_ms;
    if (!h || (!is_old && address_eq(&h->address, &spec->address))) return h;
    heir_free(h);
    return NULL;
}

static void free_heirs(struct roster *r)
{
    size_t       cursor = 0;
    struct slice identity;
    void        *h;
    while (map_next(&r->heirs, &cursor, &identity, &h)) heir_free(h);
    map_reset(&r->heirs);
}

/* ---- members ---- */

static struct endpoint *make_endpoint(struct roster *r, const struct endpoint_spec *spec,
                                      struct endpoint_live *live)
{
    struct endpoint *e = endpoint_new(spec, live);
    e->slot = slot_take(r->slots);
    e->on_unused = on_unused;
    e->unused_arg = r->slots;
    return e;
}

static struct member *add_member(struct roster *r, const struct endpoint_spec *spec)
{
    struct member *m = mem_zalloc(sizeof(*m));
    struct heir   *h = take_heir(r, spec);
    m->roster = r;
    m->is_silent = spec->must_listen && !r->upstream->settings->health_check;
    m->endpoint = make_endpoint(r, spec, h ? h->live : NULL);
    m->state = ENDPOINT_STATE_COUNT; /* none yet */
    list_init(&m->link);
    r->member_count++;
    if (!h) return m;
    inherit(m, &h->last);
    if (m->state != ENDPOINT_STATE_COUNT) r->counts[m->state]++;
    m->seen_outcomes = atomic_load_explicit(&h->live->outcomes, memory_order_relaxed);
    m->seen_failed = atomic_load_explicit(&h->live->failed, memory_order_relaxed);
    heir_free(h);
    return m;
}

static void free_member(struct member *m)
{
    list_remove(&m->link);
    endpoint_unref(m->endpoint);
    free(m);
}

/* It is not chosen any more from the next set on; its endpoint lives until workers have
 * let go of it. */
static void drop_member(struct member *m)
{
    struct roster *r = m->roster;
    r->ops->on_member(r, m, true);
    r->counts[m->state]--;
    r->member_count--;
    endpoint_set_leaving(m->endpoint, true);
    list_remove(&m->link);
    list_append(&r->gone, &m->link);
    roster_change(r, true);
}

/* The same identity at another address, or under another name: another endpoint. */
static bool is_elsewhere(const struct endpoint *e, const struct endpoint_spec *spec)
{
    if (!address_eq(&e->address, &spec->address)) return true;
    return spec->server_name.len && !slice_eq(slice_of(e->server_name), spec->server_name);
}

static void take_spec(struct member *m, const struct endpoint_spec *spec)
{
    struct endpoint *e = m->endpoint;
    uint32_t         weight = spec->weight ? spec->weight : 1;
    if (e->weight != weight || e->is_backup != spec->is_backup) roster_change(m->roster, false);
    e->weight = weight; /* both are read on this thread only */
    e->is_backup = spec->is_backup;
    m->source = spec->state;
    snprintf(m->source_reason, sizeof(m->source_reason), "%.*s", SLICE_ARG(spec->reason));
}

static void apply_spec(struct roster *r, struct map *known, const struct endpoint_spec *spec)
{
    assert(spec->identity.len); /* by its text alone it would be another each time */
    struct member *m = map_get(known, spec->identity);
    bool           is_new = false;
    if (m && m->is_seen) return; /* told twice */
    if (m && is_elsewhere(m->endpoint, spec)) {
        map_remove(known, spec->identity);
        drop_member(m);
        m = NULL;
    }
    if (!m) {
        m = add_member(r, spec);
        is_new = true;
    }
    m->is_seen = true;
    list_remove(&m->link);
    list_append(&r->members, &m->link);
    map_put(known, slice_of(m->endpoint->identity), m);
    take_spec(m, spec);
    roster_settle(m);
    if (!is_new) return;
    if (!roster_is_awaited(m)) roster_change(r, false);
    r->ops->on_member(r, m, false);
}

static void note_trouble(struct roster *r, const char *trouble)
{
    char text[ROSTER_REASON_MAX];
    snprintf(text, sizeof(text), "%s", trouble);
    if (strcmp(text, r->trouble) == 0) return;
    memcpy(r->trouble, text, sizeof(text));
    if (r->ops->on_trouble) r->ops->on_trouble(r);
}

void roster_update(struct roster *r, const struct endpoint_spec *specs, size_t count,
                   const char *trouble)
{
    struct map known;
    r->has_source = true;
    note_trouble(r, trouble ? trouble : "");
    map_init(&known);
    LIST_EACH (it, &r->members) {
        struct member *m = container_of(it, struct member, link);
        m->is_seen = false;
        map_put(&known, slice_of(m->endpoint->identity), m);
    }
    for (size_t i = 0; i < count; i++) apply_spec(r, &known, &specs[i]);
    map_reset(&known);
    LIST_EACH_SAFE (it, &r->members) {
        struct member *m = container_of(it, struct member, link);
        if (!m->is_seen) drop_member(m);
    }
    roster_tick(r);
}

/* ---- sets ---- */

struct roster_retired {
    struct endpoint_set *set;
    struct list          members; /* that left */
};

void roster_retired_free(struct roster_retired *what)
{
    if (!what) return;
    endpoint_set_free(what->set);
    while (!list_is_empty(&what->members))
        free_member(container_of(what->members.next, struct member, link));
    free(what);
}

static void move_list(struct list *from, struct list *to)
{
    list_init(to);
    while (!list_is_empty(from)) {
        struct list *item = from->next;
        list_remove(item);
        list_append(to, item);
    }
}

/* Ejections are guesses: too many at once, and they count for nothing. */
static bool is_panic(const struct roster *r)
{
    size_t ready = r->counts[ENDPOINT_READY], ejected = r->counts[ENDPOINT_EJECTED];
    return ejected && ready * 100 < r->upstream->settings->outlier_ejection.panic_threshold *
                                        (ready + ejected);
}

/* What goes on at one that is unwell is sent away while others can have it; not when most are
 * unwell: that is rather the fault of something that they share. */
static bool is_leaving(const struct member *m)
{
    const size_t *counts = m->roster->counts;
    if (m->state == ENDPOINT_UNHEALTHY) return counts[ENDPOINT_READY] >= counts[ENDPOINT_UNHEALTHY];
    return m->state == ENDPOINT_DRAINING;
}

static size_t pick(struct roster *r, struct endpoint_pick *picks)
{
    uint32_t scale = roster_has_ramp(r) ? WEIGHT_SCALE : 1;
    size_t   count = 0;
    LIST_EACH (it, &r->members) {
        struct member *m = container_of(it, struct member, link);
        bool           is_ejected = m->state == ENDPOINT_EJECTED;
        endpoint_set_leaving(m->endpoint, is_leaving(m));
        if (m->state != ENDPOINT_READY && !is_ejected) continue;
        picks[count++] = (struct endpoint_pick){ m->endpoint, roster_weight(m, scale),
                                                 is_ejected && !r->is_in_panic };
    }
    return count;
}

static void publish(struct roster *r)
{
    struct upstream       *u = r->upstream;
    struct roster_retired *what = mem_zalloc(sizeof(*what));
    struct endpoint_pick  *picks = mem_alloc((r->member_count + 1) * sizeof(*picks));
    r->is_changed = false;
    r->published_ms = r->loop->clock.now_ms;
    r->is_in_panic = is_panic(r);
    size_t               count = pick(r, picks);
    struct endpoint_set *set = endpoint_set_new(u->balance, &u->balance_config, picks, count);
    set->request_max = u->settings->limits.requests_per_server;
    free(picks);
    what->set = atomic_exchange_explicit(&u->set, set, memory_order_acq_rel);
    move_list(&r->gone, &what->members);
    r->set_count++;
    r->ops->on_published(r, what);
}

void roster_flush(struct roster *r)
{
    job_cancel(&r->publish_job);
    deadline_clear(&r->publish_deadline);
    if (r->is_changed && !r->is_frozen) publish(r);
}

static void run_publish_job(struct job *j)
{
    roster_flush(container_of(j, struct roster, publish_job));
}

static void run_publish_deadline(struct deadline *d)
{
    roster_flush(container_of(d, struct roster, publish_deadline));
}

void roster_change(struct roster *r, bool is_urgent)
{
    uint64_t now_ms = r->loop->clock.now_ms;
    r->is_changed = true;
    if (r->is_frozen) return;
    if (is_urgent || !r->set_count || now_ms - r->published_ms >= PUBLISH_MS)
        job_queue(r->loop, &r->publish_job);
    else if (!r->publish_deadline.at_ms)
        deadline_set(r->loop, &r->publish_deadline, r->published_ms + PUBLISH_MS - now_ms);
}

/* ---- life ---- */

static void run_tick(struct deadline *d)
{
    roster_tick(container_of(d, struct roster, tick));
}

static void take_heritage(struct roster *r, const struct roster *previous)
{
    r->began_ms = previous->began_ms;
    LIST_EACH (it, &previous->members) {
        struct heir *h = heir_new(container_of(it, struct member, link));
        map_put(&r->heirs, slice_of(h->identity), h);
    }
}

struct roster *roster_new(struct upstream *u, struct loop *l, struct mailbox *control,
                          const struct roster_ops *ops, void *arg, const struct roster *previous)
{
    struct roster *r = mem_zalloc(sizeof(*r));
    r->upstream = u;
    r->loop = l;
    r->ops = ops;
    r->arg = arg;
    r->slots = mem_zalloc(sizeof(*r->slots));
    r->slots->control = control;
    r->slots->ref_count = 1;
    r->began_ms = l->clock.now_ms;
    list_init(&r->members);
    map_init(&r->heirs);
    r->heirs_until_ms = l->clock.now_ms + HEIRS_MS;
    list_init(&r->gone);
    job_init(&r->publish_job, run_publish_job);
    deadline_init(&r->publish_deadline, run_publish_deadline);
    deadline_init(&r->tick, run_tick);
    if (previous) take_heritage(r, previous);
    u->roster = r;
    return r;
}

void roster_freeze(struct roster *r, bool is_frozen)
{
    if (r->is_frozen == is_frozen) return;
    r->is_frozen = is_frozen;
    if (is_frozen) {
        job_cancel(&r->publish_job);
        deadline_clear(&r->publish_deadline);
        deadline_clear(&r->tick);
        return;
    }
    roster_tick(r);
    if (r->is_changed) roster_change(r, true);
}

bool roster_abandon(struct roster *r, const struct map *kept)
{
    bool is_any = false;
    LIST_EACH (it, &r->members) {
        struct member *m = container_of(it, struct member, link);
        if (map_get(kept, slice_of(m->endpoint->identity))) continue;
        endpoint_set_leaving(m->endpoint, true);
        is_any = true;
    }
    if (is_any) r->is_changed = true; /* should it come back into service */
    return is_any;
}

void roster_free(struct roster *r)
{
    if (!r) return;
    job_cancel(&r->publish_job);
    deadline_remove(&r->publish_deadline);
    deadline_remove(&r->tick);
    LIST_EACH_SAFE (it, &r->members) {
        struct member *m = container_of(it, struct member, link);
        r->ops->on_member(r, m, true);
        free_member(m);
    }
    while (!list_is_empty(&r->gone)) free_member(container_of(r->gone.next, struct member, link));
    free_heirs(r);
    r->upstream->roster = NULL;
    slots_unref(r->slots);
    free(r);
}
