/* SPDX-License-Identifier: Apache-2.0
 *
 * What is known of containers: the last list, and what events have said since.
 * See docker_private.h.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "discovery/docker_private.h"
#include "discovery/docker_route.h"

enum { NOTES_MAX = 100000 };

void docker_known_init(struct docker_known *k)
{
    *k = (struct docker_known){ 0 };
    arena_init(&k->arena, NULL);
    map_init(&k->by_id);
    map_init(&k->notes);
}

static void free_notes(struct docker_known *k)
{
    size_t       cursor = 0;
    struct slice id;
    void        *value;
    while (map_next(&k->notes, &cursor, &id, &value)) {
        struct docker_note *n = value;
        free(n->id);
        free(n);
    }
    map_reset(&k->notes);
}

void docker_known_reset(struct docker_known *k)
{
    free_notes(k);
    map_reset(&k->by_id);
    free(k->items);
    arena_reset(&k->arena);
}

/* ---- lists ---- */

bool docker_known_is_gone(const struct docker_container *c)
{
    return c->state == DOCKER_DEAD;
}

/* What an event said holds until the list has caught up with it. */
static bool is_outdated(const struct docker_note *n, const struct docker_container *c)
{
    if (n->is_dead) return !c || (c->state != DOCKER_RUNNING && c->state != DOCKER_PAUSED);
    if (!c || c->state == DOCKER_EXITED || c->state == DOCKER_DEAD) return true;
    return !n->killed_ms;
}

struct docker_container *docker_known_find(const struct docker_known *k, struct slice id)
{
    return map_get(&k->by_id, id);
}

static void free_note(struct docker_note *n)
{
    free(n->id);
    free(n);
}

/* Of those that a list is newer than. */
static void sweep_notes(struct docker_known *k)
{
    struct map   kept;
    size_t       cursor = 0;
    struct slice id;
    void        *value;
    map_init(&kept);
    while (map_next(&k->notes, &cursor, &id, &value)) {
        struct docker_note *n = value;
        n->is_paused = n->has_health = false; /* the list has both */
        if (is_outdated(n, docker_known_find(k, id)))
            free_note(n);
        else
            map_put(&kept, slice_of(n->id), n);
    }
    map_reset(&k->notes);
    k->notes = kept;
}

static void add(struct docker_known *k, struct docker_container *c)
{
    if (k->count == k->room) {
        k->room = k->room ? k->room * 2 : 64;
        k->items = mem_realloc(k->items, k->room * sizeof(k->items[0]));
    }
    k->items[k->count++] = c;
    map_put(&k->by_id, c->id, c);
}

bool docker_known_list(struct docker_known *k, struct slice json, struct error *e)
{
    struct arena             arena;
    struct docker_container *items;
    size_t                   count;
    arena_init(&arena, NULL);
    if (!docker_parse_list(json, &arena, &items, &count, e)) {
        arena_reset(&arena);
        return false;
    }
    map_reset(&k->by_id);
    map_init(&k->by_id);
    arena_reset(&k->arena);
    k->arena = arena;
    k->count = k->gone_count = k->part_count = 0;
    for (size_t i = 0; i < count; i++) {
        docker_route_read(&items[i], &k->arena);
        if (!docker_known_find(k, items[i].id)) add(k, &items[i]);
    }
    k->listed_us = clock_wall_us();
    k->hash = XXH3_64bits(json.data, json.len);
    k->is_from_snapshot = k->has_parts = false;
    sweep_notes(k);
    return true;
}

bool docker_known_is_same(struct docker_known *k, struct slice json)
{
    if (!k->listed_us || k->has_parts || k->notes.count) return false;
    if (k->hash != XXH3_64bits(json.data, json.len)) return false;
    k->listed_us = clock_wall_us();
    k->is_from_snapshot = false;
    return true;
}

/* ---- what is ---- */

bool docker_known_present(const struct docker_known *k, const struct docker_container *listed,
                          struct docker_container *now, bool *is_killed)
{
    const struct docker_note *n = map_get(&k->notes, listed->id);
    *now = *listed;
    *is_killed = n && n->killed_ms;
    if (!n) return true;
    if (n->is_dead) return false;
    if (n->is_paused && now->state == DOCKER_RUNNING) now->state = DOCKER_PAUSED;
    if (n->has_health) now->health = n->health;
    return true;
}

/* ---- parts of the list ---- */

static bool is_network_alike(const struct docker_network *a, const struct docker_network *b)
{
    return slice_eq(a->name, b->name) && slice_eq(a->id, b->id) && address_eq(&a->ipv4, &b->ipv4) &&
           address_eq(&a->ipv6, &b->ipv6);
}

/* Is it the same to everybody? Labels never change. */
static bool is_alike(const struct docker_container *a, const struct docker_container *b)
{
    if (a->state != b->state || a->health != b->health || !slice_eq(a->name, b->name) ||
        a->network_count != b->network_count || a->port_count != b->port_count)
        return false;
    for (size_t i = 0; i < a->network_count; i++)
        if (!is_network_alike(&a->networks[i], &b->networks[i])) return false;
    return !a->port_count || !memcmp(a->ports, b->ports, a->port_count * sizeof(a->ports[0]));
}

struct presence {
    bool                    is_there, is_killed;
    struct docker_container now;
};

static struct presence presence_of(const struct docker_known *k, const struct docker_container *c)
{
    struct presence p = { 0 };
    p.is_there = c && docker_known_present(k, c, &p.now, &p.is_killed) &&
                 p.now.state != DOCKER_EXITED && p.now.state != DOCKER_DEAD;
    return p;
}

static bool has_changed(const struct presence *was, const struct presence *is)
{
    if (was->is_there != is->is_there) return true;
    return is->is_there && (was->is_killed != is->is_killed || !is_alike(&was->now, &is->now));
}

static void sweep_note(struct docker_known *k, struct slice id, const struct docker_container *c)
{
    struct docker_note *n = map_get(&k->notes, id);
    if (!n) return;
    n->is_paused = n->has_health = false;
    if (!is_outdated(n, c)) return;
    map_remove(&k->notes, id);
    free_note(n);
}

/* `known` is as `c` from now on; without `c` it is gone. Its id is another copy then: the map's key
 * lives as long. */
static void replace(struct docker_known *k, struct docker_container *known,
                    const struct docker_container *c)
{
    k->gone_count -= docker_known_is_gone(known);
    if (c)
        *known = *c;
    else
        known->state = DOCKER_DEAD;
    k->gone_count += docker_known_is_gone(known);
}

static void take_part(struct docker_known *k, struct slice id, struct docker_container *c,
                      docker_on_part *tell, void *arg)
{
    struct docker_container *known = docker_known_find(k, id);
    struct presence          was = presence_of(k, known);
    if (c) docker_route_read(c, &k->arena);
    sweep_note(k, id, c);
    if (known) {
        replace(k, known, c);
    } else if (c) {
        add(k, c);
        k->gone_count += docker_known_is_gone(c);
    }
    struct presence is = presence_of(k, known ? known : c);
    if (!known && c)
        tell(arg, c, true);
    else if (has_changed(&was, &is))
        tell(arg, known, false);
}

static struct docker_container *find_among(struct docker_container *items, size_t count,
                                           struct slice id)
{
    for (size_t i = 0; i < count; i++)
        if (slice_eq(items[i].id, id)) return &items[i];
    return NULL;
}

bool docker_known_part(struct docker_known *k, struct slice json, struct docker_ask *ask,
                       docker_on_part *tell, void *arg, struct error *e)
{
    struct docker_container *items;
    size_t                   count;
    if (!docker_parse_list(json, &k->arena, &items, &count, e)) return false;
    k->has_parts = true;
    k->part_count += count;
    for (size_t i = 0; i < ask->asked_count; i++) {
        struct slice id = slice_of(ask->asked[i]);
        take_part(k, id, find_among(items, count, id), tell, arg);
    }
    if (count <= ask->asked_count) return true;
    ask->is_filter_unknown = true;
    for (size_t i = 0; i < count; i++) take_part(k, items[i].id, &items[i], tell, arg);
    return true;
}

/* ---- events ---- */

static struct docker_note *note_of(struct docker_known *k, struct slice id)
{
    struct docker_note *n = map_get(&k->notes, id);
    if (n || k->notes.count >= NOTES_MAX) return n;
    n = mem_zalloc(sizeof(*n));
    n->id = mem_slicedup(id);
    map_put(&k->notes, slice_of(n->id), n);
    return n;
}

/* Signals that programs take for something else than their end. All others may be the stop
 * signal (the list does not tell which it is), and most end it anyway. */
static bool is_to_end(int number)
{
    return number != SIGHUP && number != SIGUSR1 && number != SIGUSR2;
}

static enum docker_effect note_event(struct docker_note *n, const struct docker_event *e,
                                     uint64_t now_ms)
{
    switch (e->action) {
    case DOCKER_ACTION_KILL:
        if (!is_to_end(e->signal) || n->is_dead) return DOCKER_NOTHING;
        if (!n->killed_ms) n->killed_ms = now_ms;
        return DOCKER_OVER;
    case DOCKER_ACTION_DIE:
    case DOCKER_ACTION_DESTROY:
        if (n->is_dead) return DOCKER_NOTHING;
        n->is_dead = true;
        return DOCKER_OVER;
    case DOCKER_ACTION_START:
        n->is_dead = n->is_paused = n->has_health = false;
        n->killed_ms = 0;
        return DOCKER_RELIST;
    case DOCKER_ACTION_PAUSE: n->is_paused = true; return DOCKER_CHANGED;
    case DOCKER_ACTION_HEALTH:
        /* Podman tells what it thought before the check that has just ended. */
        if (e->health == DOCKER_HEALTH_STARTING) return DOCKER_RELIST;
        n->has_health = true;
        n->health = e->health;
        return DOCKER_CHANGED;
    case DOCKER_ACTION_UNPAUSE:
    case DOCKER_ACTION_STOP:
    case DOCKER_ACTION_CHANGE: return DOCKER_RELIST;
    case DOCKER_ACTION_OTHER: break;
    }
    return DOCKER_NOTHING;
}

/* Started again, it is nobody's until the list has its new address. */
static void end(struct docker_known *k, struct slice id)
{
    struct docker_container *c = docker_known_find(k, id);
    if (!c || docker_known_is_gone(c)) return;
    c->state = DOCKER_EXITED;
    k->has_parts = true;
}

enum docker_effect docker_known_event(struct docker_known *k, const struct docker_event *e,
                                      uint64_t now_ms)
{
    if (e->time_nano > k->last_nano) k->last_nano = e->time_nano;
    if (e->action == DOCKER_ACTION_OTHER || !e->id.len) return DOCKER_NOTHING;
    struct docker_note *n = note_of(k, e->id);
    if (e->action == DOCKER_ACTION_DIE || e->action == DOCKER_ACTION_DESTROY) end(k, e->id);
    return n ? note_event(n, e, now_ms) : DOCKER_RELIST;
}

uint64_t docker_known_expire(struct docker_known *k, uint64_t now_ms, uint64_t drain_ms,
                             bool *has_changed)
{
    uint64_t     next_ms = 0;
    size_t       cursor = 0;
    struct slice id;
    void        *value;
    while (map_next(&k->notes, &cursor, &id, &value)) {
        struct docker_note *n = value;
        if (!n->killed_ms || n->is_dead) continue;
        uint64_t due_ms = n->killed_ms + drain_ms;
        if (due_ms <= now_ms) {
            n->killed_ms = 0;
            *has_changed = true;
        } else if (!next_ms || due_ms < next_ms) {
            next_ms = due_ms;
        }
    }
    return next_ms;
}
