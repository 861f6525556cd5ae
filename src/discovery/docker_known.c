/* SPDX-License-Identifier: Apache-2.0
 *
 * What is known of containers: the last list, and what events have said since.
 * See docker_private.h.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "discovery/docker_private.h"

enum { NOTES_MAX = 100000 };

void docker_known_init(struct docker_known *k)
{
    *k = (struct docker_known){ 0 };
    arena_init(&k->arena, NULL);
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
    arena_reset(&k->arena);
}

/* ---- lists ---- */

/* What an event said holds until the list has caught up with it. */
static bool is_outdated(const struct docker_note *n, const struct docker_container *c)
{
    if (n->is_dead) return !c || (c->state != DOCKER_RUNNING && c->state != DOCKER_PAUSED);
    if (!c || c->state == DOCKER_EXITED || c->state == DOCKER_DEAD) return true;
    return !n->killed_ms;
}

static const struct docker_container *find(const struct docker_known *k, struct slice id)
{
    for (size_t i = 0; i < k->count; i++)
        if (slice_eq(k->items[i].id, id)) return &k->items[i];
    return NULL;
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
        if (is_outdated(n, find(k, id))) {
            free(n->id);
            free(n);
        } else {
            map_put(&kept, slice_of(n->id), n);
        }
    }
    map_reset(&k->notes);
    k->notes = kept;
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
    arena_reset(&k->arena);
    k->arena = arena;
    k->items = items;
    k->count = count;
    k->listed_us = clock_wall_us();
    k->hash = XXH3_64bits(json.data, json.len);
    k->is_from_snapshot = false;
    sweep_notes(k);
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
        return DOCKER_CHANGED;
    case DOCKER_ACTION_DIE:
    case DOCKER_ACTION_DESTROY:
        if (n->is_dead) return DOCKER_NOTHING;
        n->is_dead = true;
        return DOCKER_CHANGED;
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

enum docker_effect docker_known_event(struct docker_known *k, const struct docker_event *e,
                                      uint64_t now_ms)
{
    if (e->time_nano > k->last_nano) k->last_nano = e->time_nano;
    if (e->action == DOCKER_ACTION_OTHER || !e->id.len) return DOCKER_NOTHING;
    struct docker_note *n = note_of(k, e->id);
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

/* ---- what rosters get ---- */

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

static bool is_id_of(struct slice id, struct slice self)
{
    return self.len >= 12 && slice_starts_with(id, self);
}

static const struct docker_container *find_self(const struct docker_known *k, struct slice self)
{
    for (size_t i = 0; i < k->count; i++)
        if (is_id_of(k->items[i].id, self)) return &k->items[i];
    return NULL;
}

struct docker_surroundings docker_known_around(const struct docker_known *k, const struct docker *d)
{
    char name[64] = "";
    gethostname(name,
                sizeof(name) - 1); /* in a container: its short id, unless it was given another */
    return (struct docker_surroundings){ find_self(k, slice_of(name)), d->settings.network };
}

struct visit {
    const struct docker_known    *known;
    struct docker_surroundings    around;
    const struct docker_settings *settings;
    struct arena                  arena;
};

static void visit_init(struct visit *v, const struct docker_known *k, const struct docker *d,
                       const struct roster *r)
{
    v->known = k;
    v->around = docker_known_around(k, d);
    v->settings = r->upstream->settings->docker;
    arena_init(&v->arena, NULL);
}

static bool choose(struct visit *v, size_t index, struct docker_choice *choice)
{
    struct docker_container c;
    bool                    is_killed;
    if (!docker_known_present(v->known, &v->known->items[index], &c, &is_killed)) return false;
    docker_choose(&c, is_killed, v->settings, &v->around, &v->arena, choice);
    return choice->is_member;
}

void docker_known_tell(const struct docker_known *k, const struct docker *d, struct roster *r,
                       const char *trouble)
{
    struct visit          v;
    struct docker_choice  choice;
    struct endpoint_spec *specs = mem_alloc((k->count + 1) * sizeof(*specs));
    size_t                count = 0;
    visit_init(&v, k, d, r);
    for (size_t i = 0; i < k->count; i++) {
        if (!choose(&v, i, &choice) || !choice.is_usable) continue;
        specs[count++] = (struct endpoint_spec){
            .identity = choice.identity,
            .address = choice.address,
            .text = choice.text,
            .weight = choice.weight,
            .is_backup = choice.is_backup,
            .state = choice.state,
            .reason = choice.state_reason,
        };
    }
    roster_update(r, specs, count, trouble);
    free(specs);
    arena_reset(&v.arena);
}

void docker_each_quarantined(const struct docker *d, const struct roster *r,
                             void (*tell)(void *arg, struct slice name, struct slice why),
                             void *arg)
{
    struct visit         v;
    struct docker_choice choice;
    visit_init(&v, &d->known, d, r);
    for (size_t i = 0; i < d->known.count; i++)
        if (choose(&v, i, &choice) && choice.is_in_quarantine)
            tell(arg, d->known.items[i].name, choice.why);
    arena_reset(&v.arena);
}
