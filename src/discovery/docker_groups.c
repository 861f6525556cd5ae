/* SPDX-License-Identifier: Apache-2.0
 *
 * Groups of containers that make one route. See docker_groups.h.
 */
#include "discovery/docker_groups.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "discovery/docker_private.h"
#include "discovery/docker_route.h"

/* ---- life ---- */

void docker_groups_init(struct docker_groups *g, struct log *log)
{
    *g = (struct docker_groups){ .log = log, .asked = BUFFER_INIT };
    map_init(&g->by_key);
    map_init(&g->by_name);
    map_init(&g->refused);
    arena_init(&g->refused_arena, NULL);
}

static void forget_donors(struct docker_group *group)
{
    for (size_t i = 0; i < group->donor_count; i++) {
        free((char *)(uintptr_t)group->donors[i].route.data);
        free(group->donors[i].container);
    }
    group->donor_count = 0;
}

static void free_group(struct docker_groups *g, struct docker_group *group)
{
    map_remove(&g->by_key, group->key);
    map_remove(&g->by_name, slice_of(group->name));
    forget_donors(group);
    free((char *)(uintptr_t)group->key.data);
    free(group->name);
    free(group->oldest);
    free(group->clash);
    free(group);
}

void docker_groups_reset(struct docker_groups *g)
{
    for (size_t i = 0; i < g->count; i++) free_group(g, g->items[i]);
    free(g->items);
    map_reset(&g->by_key);
    map_reset(&g->by_name);
    map_reset(&g->refused);
    arena_reset(&g->refused_arena);
    buffer_reset(&g->asked);
}

/* ---- containers ---- */

struct found {
    const struct docker_container **items;
    size_t                          count;
};

/* One that was made and not started, or has ended, keeps no route. */
static bool is_there(const struct docker_known *k, const struct docker_container *listed)
{
    struct docker_container now;
    bool                    is_killed;
    if (!docker_known_present(k, listed, &now, &is_killed)) return false;
    return now.state != DOCKER_CREATED && now.state != DOCKER_EXITED &&
           now.state != DOCKER_REMOVING && now.state != DOCKER_DEAD;
}

static int compare_age(int64_t created, struct slice id, int64_t other_created,
                       struct slice other_id)
{
    if (created != other_created) return created < other_created ? -1 : 1;
    return strcmp(id.data, other_id.data);
}

static int by_age(const void *a, const void *b)
{
    const struct docker_container *x = *(const struct docker_container *const *)a;
    const struct docker_container *y = *(const struct docker_container *const *)b;
    return compare_age(x->created, x->id, y->created, y->id);
}

static struct found find_containers(const struct docker_known *k)
{
    struct found f = { mem_alloc((k->count + 1) * sizeof(*f.items)), 0 };
    for (size_t i = 0; i < k->count; i++)
        if (k->items[i]->group.len && is_there(k, k->items[i])) f.items[f.count++] = k->items[i];
    qsort(f.items, f.count, sizeof(*f.items), by_age);
    return f;
}

/* ---- groups ---- */

/* "docker:shop/web#2" where another group has the name. */
static char *new_name(const struct docker_groups *g, struct slice key)
{
    struct arena arena;
    arena_init(&arena, NULL);
    struct slice base = docker_route_name(key, &arena), name = base;
    for (unsigned i = 2; map_get(&g->by_name, name); i++)
        name = arena_printf(&arena, "%.*s#%u", SLICE_ARG(base), i);
    char *copy = mem_slicedup(name);
    arena_reset(&arena);
    return copy;
}

static struct docker_group *new_group(struct docker_groups *g, const struct docker_container *c)
{
    if (g->count == DOCKER_GROUP_MAX) {
        if (!g->is_full)
            log_warn(g->log, "containers' labels make more than %d routes: the rest is left out",
                     DOCKER_GROUP_MAX);
        g->is_full = true;
        return NULL;
    }
    struct docker_group *group = mem_zalloc(sizeof(*group));
    group->key = slice_make(mem_slicedup(c->group), c->group.len);
    group->name = new_name(g, c->group);
    group->created = c->created;
    group->oldest = mem_slicedup(c->id);
    map_put(&g->by_key, group->key, group);
    map_put(&g->by_name, slice_of(group->name), group);
    if (g->count == g->room) {
        g->room = g->room ? g->room * 2 : 16;
        g->items = mem_realloc(g->items, g->room * sizeof(*g->items));
    }
    g->items[g->count++] = group;
    return group;
}

static void add_donor(struct docker_group *group, const struct docker_container *c)
{
    for (size_t i = 0; i < group->donor_count; i++)
        if (slice_eq(group->donors[i].route, c->route)) return;
    if (group->donor_count == DOCKER_DONOR_MAX) return;
    group->donors[group->donor_count++] = (struct docker_donor){
        slice_make(mem_slicedup(c->route), c->route.len),
        mem_slicedup(c->name.len ? c->name : c->id),
    };
}

/* The oldest first. */
static void add_container(struct docker_groups *g, const struct docker_container *c)
{
    struct docker_group *group = map_get(&g->by_key, c->group);
    if (!group) group = new_group(g, c);
    if (!group) return;
    if (!group->is_seen) {
        forget_donors(group);
        group->container_count = 0;
    }
    group->is_seen = true;
    group->container_count++;
    add_donor(group, c);
    if (compare_age(c->created, c->id, group->created, slice_of(group->oldest)) >= 0) return;
    group->created = c->created;
    free(group->oldest);
    group->oldest = mem_slicedup(c->id);
}

static bool is_over(const struct docker_groups *g, const struct docker_group *group,
                    uint64_t now_ms)
{
    return group->gone_ms && now_ms - group->gone_ms >= g->hold_ms;
}

static void sweep(struct docker_groups *g, uint64_t now_ms)
{
    size_t kept = 0;
    for (size_t i = 0; i < g->count; i++) {
        struct docker_group *group = g->items[i];
        if (!group->is_seen) group->container_count = 0;
        if (group->is_seen)
            group->gone_ms = 0;
        else if (!group->gone_ms)
            group->gone_ms = now_ms;
        group->is_seen = false;
        if (!is_over(g, group, now_ms)) {
            g->items[kept++] = group;
            continue;
        }
        log_info(g->log, "route %s goes: it has been without a container for %llu s", group->name,
                 (unsigned long long)(g->hold_ms / 1000));
        free_group(g, group);
    }
    if (kept < g->count) g->is_full = false;
    g->count = kept;
}

static bool yields(const struct docker_group *group, uint64_t now_ms)
{
    return group->gone_ms && now_ms - group->gone_ms >= DOCKER_YIELD_MS;
}

static int by_precedence(const void *a, const void *b, void *now)
{
    const struct docker_group *x = *(const struct docker_group *const *)a;
    const struct docker_group *y = *(const struct docker_group *const *)b;
    uint64_t                   now_ms = *(const uint64_t *)now;
    if (yields(x, now_ms) != yields(y, now_ms)) return yields(y, now_ms) ? -1 : 1;
    return compare_age(x->created, slice_of(x->oldest), y->created, slice_of(y->oldest));
}

/* ---- containers that disagree ---- */

const struct docker_donor *docker_group_donor(const struct docker_groups *g,
                                              const struct docker_group  *group)
{
    for (size_t i = 0; i < group->donor_count; i++)
        if (!map_get(&g->refused, group->donors[i].route)) return &group->donors[i];
    return NULL;
}

static void put_value(struct buffer *to, const struct docker_donor *d, struct slice value)
{
    buffer_puts(to, d->container);
    buffer_puts(to, value.data ? ": " : ": not set");
    if (value.data) buffer_put_json(to, slice_make(value.data, value.len < 64 ? value.len : 64));
}

/* The first other one whose labels are no worse. */
static char *clash_of(const struct docker_groups *g, const struct docker_group *group)
{
    const struct docker_donor *first = docker_group_donor(g, group);
    struct buffer              text = BUFFER_INIT;
    for (size_t i = 0; first && !text.len && i < group->donor_count; i++) {
        const struct docker_donor *other = &group->donors[i];
        struct slice               values[2];
        if (other == first || map_get(&g->refused, other->route)) continue;
        const char *label = docker_route_difference(first->route, other->route, values);
        buffer_printf(&text, "its containers disagree in %s (", label);
        put_value(&text, first, values[0]);
        buffer_puts(&text, ", ");
        put_value(&text, other, values[1]);
        buffer_printf(&text, "): that of %s, the oldest, counts", first->container);
    }
    if (text.len) buffer_put_char(&text, '\0');
    return text.len ? buffer_detach(&text) : NULL;
}

static void note_clashes(struct docker_groups *g)
{
    for (size_t i = 0; i < g->count; i++) {
        struct docker_group *group = g->items[i];
        char                *clash = group->is_taken ? clash_of(g, group) : NULL;
        if (clash && (!group->clash || strcmp(clash, group->clash) != 0))
            log_warn(g->log, "route %s: %s", group->name, clash);
        free(group->clash);
        group->clash = clash;
    }
}

/* ---- the whole ---- */

void docker_groups_look(struct docker_groups *g, const struct docker_known *k, uint64_t now_ms)
{
    struct found f = find_containers(k);
    for (size_t i = 0; i < f.count; i++) add_container(g, f.items[i]);
    free(f.items);
    sweep(g, now_ms);
    if (g->count) qsort_r(g->items, g->count, sizeof(*g->items), by_precedence, &now_ms);
    note_clashes(g);
}

uint64_t docker_groups_due(const struct docker_groups *g, uint64_t now_ms)
{
    uint64_t due_ms = 0;
    for (size_t i = 0; i < g->count; i++) {
        uint64_t gone_ms = g->items[i]->gone_ms;
        if (!gone_ms) continue;
        bool     has_yielded = yields(g->items[i], now_ms) || g->hold_ms <= DOCKER_YIELD_MS;
        uint64_t next_ms = gone_ms + (has_yielded ? g->hold_ms : DOCKER_YIELD_MS);
        if (!due_ms || next_ms < due_ms) due_ms = next_ms;
    }
    return due_ms;
}

/* All that a plan depends on. */
static void put_text(const struct docker_groups *g, struct buffer *to)
{
    for (size_t i = 0; i < g->count; i++) {
        const struct docker_donor *donor = docker_group_donor(g, g->items[i]);
        buffer_puts(to, g->items[i]->name);
        buffer_put_char(to, donor ? '+' : '-');
        buffer_put_slice(to, donor ? donor->route : g->items[i]->key);
        buffer_put_char(to, '\n');
    }
}

bool docker_groups_are_news(struct docker_groups *g)
{
    struct buffer text = BUFFER_INIT;
    put_text(g, &text);
    bool are_news = !slice_eq(buffer_slice(&text), buffer_slice(&g->asked));
    buffer_reset(&g->asked);
    g->asked = text;
    return are_news;
}

size_t docker_groups_offer(const struct docker_groups *g, struct arena *arena,
                           struct conf_part **parts)
{
    size_t count = 0;
    *parts = arena_alloc(arena, g->count * DOCKER_DONOR_MAX * sizeof(**parts));
    for (size_t i = 0; i < g->count; i++) {
        const struct docker_group *group = g->items[i];
        for (size_t k = 0; k < group->donor_count; k++)
            (*parts)[count++] =
                docker_route_part(slice_of(group->name), group->key, group->donors[k].route, arena);
    }
    return count;
}

/* ---- what came of it ---- */

static void take_refusal(struct docker_groups *g, const struct docker_donor *donor,
                         struct slice why, const struct map *before)
{
    const char *old = map_get(before, donor->route);
    char       *text = arena_strdup(&g->refused_arena, why.data);
    map_put(&g->refused, arena_copy(&g->refused_arena, donor->route), text);
    if (old && strcmp(old, text) == 0) return;
    log_warn(g->log, "container %s is in quarantine: its route is refused: %s", donor->container,
             text);
}

static void settle_group(struct docker_groups *g, struct docker_group *group,
                         const struct conf_part *parts, const struct map *before)
{
    bool was_taken = group->is_taken;
    group->is_taken = false;
    for (size_t i = 0; i < group->donor_count; i++) {
        group->is_taken |= parts[i].is_taken;
        if (parts[i].refusal.len) take_refusal(g, &group->donors[i], parts[i].refusal, before);
    }
    const struct docker_donor *donor = docker_group_donor(g, group);
    if (was_taken || !group->is_taken || !donor) return;
    struct slice hosts = docker_route_hosts(group->key), path = docker_route_path(group->key);
    log_info(g->log, "route %s: %.*s %.*s, by the labels of container %s", group->name,
             SLICE_ARG(hosts), SLICE_ARG(path), donor->container);
}

void docker_groups_settle(struct docker_groups *g, const struct conf_part *parts)
{
    struct map   before = g->refused;
    struct arena before_arena = g->refused_arena;
    map_init(&g->refused);
    arena_init(&g->refused_arena, NULL);
    for (size_t i = 0; i < g->count; i++) {
        settle_group(g, g->items[i], parts, &before);
        parts += g->items[i]->donor_count;
    }
    map_reset(&before);
    arena_reset(&before_arena);
    g->asked.len = 0;
    put_text(g, &g->asked);
    note_clashes(g);
}

const struct docker_group *docker_groups_find(const struct docker_groups *g, struct slice key)
{
    return key.len ? map_get(&g->by_key, key) : NULL;
}
