/* SPDX-License-Identifier: Apache-2.0
 *
 * What keeps an upstream's endpoints up to date: its roster, where they are
 * found, and who checks them. Begins with the upstream, rests while no plan in
 * service names it, ends with it.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "control/gate_parts.h"
#include "discovery/servers.h"

/* The roster's `arg`. */
struct keeper {
    struct gate          *gate;
    struct servers       *servers; /* of these, the one that it has; both NULL: at rest */
    struct docker_follow *follow;
    bool                  was_in_panic;
};

static struct keeper *keeper_of(const struct roster *r)
{
    return r->arg;
}

/* ---- sets ---- */

struct sync {
    struct roster_retired *what;
    const struct upstream *upstream; /* may be gone by the time that a worker looks */
    uint32_t               slot;
};

static void sync_worker(struct worker *w, void *arg)
{
    const struct sync *s = arg;
    upstream_client_sync(&w->upstreams, s->slot, s->upstream);
}

static void on_synced(void *arg)
{
    struct sync *s = arg;
    roster_retired_free(s->what);
    free(s);
}

static void sync_workers(struct gate *g, const struct upstream *u, struct roster_retired *what)
{
    struct sync *s = mem_alloc(sizeof(*s));
    *s = (struct sync){ what, u, u->slot };
    for (unsigned i = 0; i < g->crew.count; i++) crew_do(&g->crew, i, sync_worker, s);
    crew_barrier(&g->crew, on_synced, s);
}

static void tell_panic(const struct roster *r)
{
    struct keeper *k = keeper_of(r);
    if (k->was_in_panic == r->is_in_panic) return;
    k->was_in_panic = r->is_in_panic;
    if (r->is_in_panic)
        log_warn(&k->gate->log,
                 "upstream %s: panic: of %zu endpoints %zu are ejected, so all are used",
                 r->upstream->name, r->member_count, r->counts[ENDPOINT_EJECTED]);
    else
        log_info(&k->gate->log, "upstream %s: the panic is over", r->upstream->name);
}

static void on_published(struct roster *r, struct roster_retired *what)
{
    struct gate *g = keeper_of(r)->gate;
    tell_panic(r);
    upstream_client_sync(&g->prober.client, r->upstream->slot, r->upstream);
    if (g->crew.is_running)
        sync_workers(g, r->upstream, what);
    else
        roster_retired_free(what);
}

/* ---- what a roster tells ---- */

static void on_member(struct roster *r, struct member *m, bool is_leaving)
{
    struct prober *p = &keeper_of(r)->gate->prober;
    if (is_leaving)
        prober_stop(p, m);
    else
        prober_start(p, m);
}

static void on_state(struct roster *r, struct member *m, enum endpoint_state before)
{
    enum log_level level = LOG_LEVEL_WARN;
    bool           is_first = before == ENDPOINT_STATE_COUNT || before == ENDPOINT_UNCHECKED ||
                    before == ENDPOINT_STARTING;
    if (m->state == ENDPOINT_READY || m->state == ENDPOINT_UNCHECKED ||
        m->state == ENDPOINT_STARTING)
        level = is_first ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
    log_line(&keeper_of(r)->gate->log, level, "upstream %s: %s is %s%s%s", r->upstream->name,
             m->endpoint->text, endpoint_state_name(m->state), m->reason[0] ? ": " : "", m->reason);
}

static void on_trouble(struct roster *r)
{
    struct log *log = &keeper_of(r)->gate->log;
    if (r->trouble[0] && !r->member_count)
        log_warn(log, "upstream %s: %s; no endpoint is known", r->upstream->name, r->trouble);
    else if (r->trouble[0])
        log_warn(log, "upstream %s: %s; the endpoints known so far stay: %zu", r->upstream->name,
                 r->trouble, r->member_count);
    else
        log_info(log, "upstream %s: all names are known again", r->upstream->name);
}

static const struct roster_ops roster_ops = { on_published, on_member, on_state, on_trouble };

/* ---- what workers tell ---- */

struct suspicion {
    struct message   message;
    struct upstream *upstream;
};

/* Before the message that frees the upstream: that one follows when all workers have let
 * go of it, and the one that posted this has done so later. */
static void hear_suspicion(struct message *m, void *control)
{
    struct upstream *u = container_of(m, struct suspicion, message)->upstream;
    (void)control;
    free(container_of(m, struct suspicion, message));
    roster_suspect(u->roster);
}

static void on_suspect(struct upstream *u)
{
    if (atomic_exchange(&u->is_suspected, true)) return;
    struct suspicion *s = mem_alloc(sizeof(*s));
    s->message.run = hear_suspicion;
    s->upstream = u;
    mailbox_post(u->control, &s->message);
}

/* ---- life ---- */

static bool is_at_rest(const struct keeper *k)
{
    return !k->servers && !k->follow;
}

static void begin_source(struct keeper *k, struct roster *r)
{
    if (r->upstream->settings->docker)
        k->follow = docker_follow(k->gate->docker, r);
    else
        k->servers = servers_new(r, k->gate->dns);
}

static void end_source(struct keeper *k)
{
    servers_free(k->servers);
    docker_unfollow(k->follow);
    k->servers = NULL;
    k->follow = NULL;
}

static const struct roster *find_roster(const struct gate *g, const char *name)
{
    for (size_t i = 0; g->current && i < g->current->upstream_count; i++)
        if (strcmp(g->current->upstreams[i]->name, name) == 0)
            return g->current->upstreams[i]->roster;
    return NULL;
}

/* Endpoints that the present plan has in no upstream are leaving. What was put in this one's
 * place and knows of none yet may still find them. */
static void abandon(struct gate *g, struct upstream *u)
{
    const struct roster *next = find_roster(g, u->name);
    struct map           kept;
    if (next && !next->member_count) return;
    map_init(&kept);
    for (size_t i = 0; i < g->current->upstream_count; i++)
        LIST_EACH (it, &g->current->upstreams[i]->roster->members) {
            struct member *m = container_of(it, struct member, link);
            map_put(&kept, slice_of(m->endpoint->identity), m);
        }
    if (roster_abandon(u->roster, &kept)) sync_workers(g, u, NULL);
    map_reset(&kept);
}

static void rest(struct upstream *u)
{
    struct keeper *k = keeper_of(u->roster);
    end_source(k);
    roster_freeze(u->roster, true);
    LIST_EACH (it, &u->roster->members)
        prober_stop(&k->gate->prober, container_of(it, struct member, link));
    abandon(k->gate, u);
}

static void resume(struct upstream *u)
{
    struct keeper *k = keeper_of(u->roster);
    roster_freeze(u->roster, false);
    LIST_EACH (it, &u->roster->members)
        prober_start(&k->gate->prober, container_of(it, struct member, link));
    begin_source(k, u->roster);
}

void gate_begin_upstream(void *gate, struct upstream *u)
{
    struct gate   *g = gate;
    struct keeper *k = mem_zalloc(sizeof(*k));
    k->gate = g;
    u->control = &g->mailbox;
    u->on_suspect = on_suspect;
    const struct roster *previous = find_roster(g, u->name);
    if (previous) upstream_take_over(u, previous->upstream);
    prober_adopt(&g->prober, u);
    roster_new(u, g->loop, &g->mailbox, &roster_ops, k, previous);
    begin_source(k, u->roster);
    roster_flush(u->roster);
}

void gate_end_upstream(void *gate, struct upstream *u)
{
    struct gate   *g = gate;
    struct keeper *k = keeper_of(u->roster);
    end_source(k);
    roster_free(u->roster);
    prober_release(&g->prober, u);
    free(k);
}

static bool plan_has(const struct plan *p, const struct upstream *u)
{
    for (size_t i = 0; i < p->upstream_count; i++)
        if (p->upstreams[i] == u) return true;
    return false;
}

static void settle(void *arg, struct registry_item *item)
{
    struct gate     *g = arg;
    struct upstream *u = item->object;
    bool             rests = is_at_rest(keeper_of(u->roster));
    bool             is_current = plan_has(g->current, u);
    if (is_current && rests) resume(u);
    /* Requests of an earlier plan may still wait for one of its endpoints. */
    if (!is_current && !rests && !atomic_load(&u->queued)) rest(u);
}

void gate_settle_upstreams(struct gate *g)
{
    registry_each(g->maker.registry, REGISTRY_UPSTREAM, settle, g);
}

/* ---- containers ---- */

void gate_prepare_docker(struct gate *g, const struct settings *s)
{
    if (!s->discovery.docker || g->docker) return;
    if (!g->http) g->http = http_client_new(g->loop);
    g->docker = docker_new(g->loop, g->http, s->discovery.docker, gate_take_labels, g);
}

void gate_configure_docker(struct gate *g, const struct settings *s)
{
    if (s->discovery.docker && !docker_is_as(g->docker, s->discovery.docker))
        docker_configure(g->docker, s->discovery.docker);
}

/* ---- names ---- */

enum { DNS_RETRY_MS = 1000 };

static char *join(const struct text_list *list)
{
    struct buffer text = BUFFER_INIT;
    for (size_t i = 0; i < list->count; i++) {
        if (i) buffer_put_char(&text, ',');
        buffer_put_slice(&text, list->items[i]);
    }
    if (text.len) buffer_put_char(&text, 0);
    return text.len ? buffer_detach(&text) : NULL;
}

bool gate_configure_dns(struct gate *g, const struct dns_settings *s, struct error *e)
{
    char              *servers = join(&s->servers);
    struct dns_options o = { servers, s->min_ttl, s->max_ttl, s->timeout, DNS_RETRY_MS };
    bool               is_good = true;
    if (g->dns)
        is_good = dns_configure(g->dns, &o, e);
    else
        is_good = (g->dns = dns_new(g->loop, &o, e)) != NULL;
    free(servers);
    return is_good;
}
