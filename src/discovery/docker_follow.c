/* SPDX-License-Identifier: Apache-2.0
 *
 * Which roster has which containers, and is told when: only those whose containers are
 * otherwise, once a turn. See docker_private.h.
 *
 * Labels of a container never change: whose it is holds until the next whole list.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "discovery/docker_private.h"

/* ---- whose containers ---- */

static const struct docker_settings *settings_of(const struct docker_follow *f)
{
    return f->roster->upstream->settings->docker;
}

static void add(struct docker_follow *f, const struct docker_container *c)
{
    if (f->count == f->room) {
        f->room = f->room ? f->room * 2 : 16;
        f->members = mem_realloc(f->members, f->room * sizeof(f->members[0]));
    }
    f->members[f->count++] = (struct docker_member){ .container = c };
}

/* All is to be chosen anew. */
static void forget_choices(struct docker_follow *f)
{
    for (size_t i = 0; i < f->count; i++) f->members[i].is_chosen = false;
    arena_reset(&f->arena);
}

static void look_at_all(struct docker_follow *f)
{
    const struct docker_known *k = &f->docker->known;
    f->count = 0;
    for (size_t i = 0; i < k->count; i++)
        if (docker_is_member(k->items[i], settings_of(f))) add(f, k->items[i]);
    forget_choices(f);
}

static void look_again(struct docker_follow *f, const struct docker_container *c)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->members[i].container == c) f->members[i].is_chosen = false;
}

/* ---- choices ---- */

/* In a container the host's name is its short id, unless it was given another. */
static const struct docker_container *find_self(struct docker_container *const *items, size_t count)
{
    char name[65] = "";
    gethostname(name, sizeof(name) - 1);
    struct slice self = slice_of(name);
    for (size_t i = 0; self.len >= 12 && i < count; i++)
        if (slice_starts_with(items[i]->id, self)) return items[i];
    return NULL;
}

static void choose(struct docker_follow *f, struct docker_member *m)
{
    const struct docker             *d = f->docker;
    const struct docker_surroundings around = { d->self, d->settings.network, &d->routes.refused };
    struct docker_container          c;
    bool                             is_killed;
    m->is_chosen = true;
    m->choice = (struct docker_choice){ 0 };
    if (docker_known_present(&d->known, m->container, &c, &is_killed))
        docker_choose(&c, is_killed, settings_of(f), &around, &f->arena, &m->choice);
}

static const struct docker_choice *choice_of(struct docker_follow *f, size_t i)
{
    if (!f->members[i].is_chosen) choose(f, &f->members[i]);
    return &f->members[i].choice;
}

/* Those that are in quarantine by now; what of it is news goes to the log. */
static void log_quarantine(struct docker_follow *f)
{
    struct arena arena;
    struct map   logged;
    arena_init(&arena, NULL);
    map_init(&logged);
    for (size_t i = 0; i < f->count; i++) {
        const struct docker_choice *choice = choice_of(f, i);
        struct slice                name = f->members[i].container->name;
        if (!choice->is_in_quarantine) continue;
        const char *before = map_get(&f->logged, name);
        char       *why = mem_slicedup(choice->why);
        arena_on_reset(&arena, free, why);
        map_put(&logged, arena_copy(&arena, name), why);
        if (before && strcmp(before, why) == 0) continue;
        log_warn(f->docker->loop->log, "upstream %s: container %.*s is in quarantine: %s",
                 f->roster->upstream->name, SLICE_ARG(name), why);
    }
    map_reset(&f->logged);
    arena_reset(&f->logged_arena);
    f->logged = logged;
    f->logged_arena = arena;
}

static void tell(struct docker_follow *f)
{
    struct endpoint_spec *specs = mem_alloc((f->count + 1) * sizeof(*specs));
    size_t                count = 0;
    for (size_t i = 0; i < f->count; i++) {
        const struct docker_choice *choice = choice_of(f, i);
        if (!choice->is_usable) continue;
        specs[count++] = (struct endpoint_spec){
            .identity = choice->identity,
            .address = choice->address,
            .text = choice->text,
            .weight = choice->weight,
            .is_backup = choice->is_backup,
            .must_listen = choice->must_listen,
            .state = choice->state,
            .reason = choice->state_reason,
        };
    }
    f->is_stale = false;
    roster_update(f->roster, specs, count, docker_trouble(f->docker));
    free(specs);
    log_quarantine(f);
}

/* ---- when ---- */

void docker_run_tell(struct job *j)
{
    struct docker *d = container_of(j, struct docker, tell);
    LIST_EACH (it, &d->follows) {
        struct docker_follow *f = container_of(it, struct docker_follow, link);
        if (f->is_stale) tell(f);
    }
}

void docker_tell_again(struct docker *d)
{
    LIST_EACH (it, &d->follows) {
        struct docker_follow *f = container_of(it, struct docker_follow, link);
        forget_choices(f);
        f->is_stale = true;
    }
    job_queue(d->loop, &d->tell);
}

void docker_tell_all(struct docker *d)
{
    d->self = find_self(d->known.items, d->known.count);
    LIST_EACH (it, &d->follows) look_at_all(container_of(it, struct docker_follow, link));
    docker_tell_again(d);
    docker_look_at_routes(d);
}

void docker_tell_of(struct docker *d, const struct docker_container *c, bool is_new)
{
    if (is_new && !d->self) d->self = find_self(&d->known.items[d->known.count - 1], 1);
    if (c == d->self) docker_tell_again(d); /* whom it shares a network with */
    if (c->group.len || docker_label_text(c, DOCKER_LABEL_HOST).data) docker_look_at_routes(d);
    LIST_EACH (it, &d->follows) {
        struct docker_follow *f = container_of(it, struct docker_follow, link);
        if (!docker_is_member(c, settings_of(f))) continue;
        if (is_new)
            add(f, c);
        else
            look_again(f, c);
        f->is_stale = true;
        job_queue(d->loop, &d->tell);
    }
}

/* ---- who ---- */

struct docker_follow *docker_follow(struct docker *d, struct roster *r)
{
    struct docker_follow *f = mem_zalloc(sizeof(*f));
    f->docker = d;
    f->roster = r;
    arena_init(&f->arena, NULL);
    arena_init(&f->logged_arena, NULL);
    map_init(&f->logged);
    list_append(&d->follows, &f->link);
    look_at_all(f);
    if (d->known.listed_us || docker_trouble(d)) tell(f);
    return f;
}

void docker_unfollow(struct docker_follow *f)
{
    if (!f) return;
    list_remove(&f->link);
    free(f->members);
    arena_reset(&f->arena);
    map_reset(&f->logged);
    arena_reset(&f->logged_arena);
    free(f);
}

void docker_each_quarantined(const struct docker *d, const struct roster *r,
                             void (*found)(void *arg, struct slice name, struct slice why),
                             void *arg)
{
    LIST_EACH (it, &d->follows) {
        struct docker_follow *f = container_of(it, struct docker_follow, link);
        for (size_t i = 0; f->roster == r && i < f->count; i++) {
            const struct docker_choice *choice = choice_of(f, i);
            if (choice->is_in_quarantine) found(arg, f->members[i].container->name, choice->why);
        }
    }
}
