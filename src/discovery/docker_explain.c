/* SPDX-License-Identifier: Apache-2.0
 *
 * One container and what upstreams make of it. See docker_explain.h.
 */
#include "discovery/docker_explain.h"

#include "discovery/docker_private.h"

static const struct docker_container *find_named(const struct docker_known *k, struct slice word)
{
    for (size_t i = 0; i < k->count; i++) {
        const struct docker_container *c = k->items[i];
        if (docker_known_is_gone(c)) continue;
        if (slice_eq(c->name, word) || slice_eq(c->id, word)) return c;
    }
    return NULL;
}

/* How many ids begin so; *last is one of them. */
static size_t count_ids(const struct docker_known *k, struct slice word,
                        const struct docker_container **last)
{
    size_t count = 0;
    for (size_t i = 0; i < k->count; i++) {
        if (docker_known_is_gone(k->items[i]) || !slice_starts_with(k->items[i]->id, word))
            continue;
        *last = k->items[i];
        count++;
    }
    return count;
}

size_t docker_find(const struct docker *d, struct slice word, struct docker_found *found)
{
    const struct docker_container *c = find_named(&d->known, word);
    size_t                         count = c ? 1 : count_ids(&d->known, word, &c);
    if (count == 1)
        found->is_gone = !docker_known_present(&d->known, c, &found->container, &found->is_killed);
    return count;
}

void docker_choose_found(const struct docker *d, const struct docker_found *found,
                         const struct docker_settings *upstream, struct arena *arena,
                         struct docker_choice *choice)
{
    struct docker_surroundings around = { d->self, d->settings.network, &d->routes.refused };
    docker_choose(&found->container, found->is_killed, upstream, &around, arena, choice);
}

/* "its compose service is X, not Y". */
static struct slice differs(const struct docker_container *c, struct slice label, const char *what,
                            struct slice wanted, struct arena *arena)
{
    struct slice value = docker_label_value(c, label);
    if (!wanted.len || slice_eq(value, wanted)) return S("");
    if (!value.len)
        return arena_printf(arena, "it has no %s, and %.*s is asked for", what, SLICE_ARG(wanted));
    return arena_printf(arena, "its %s is %.*s, not %.*s", what, SLICE_ARG(value),
                        SLICE_ARG(wanted));
}

struct slice docker_why_no_member(const struct docker_container *c,
                                  const struct docker_settings *upstream, struct arena *arena)
{
    struct docker_surroundings none = { 0 };
    struct docker_choice       choice;
    docker_choose(c, false, upstream, &none, arena, &choice);
    if (choice.is_member) return S("");
    struct slice why =
        differs(c, S("com.docker.compose.service"), "compose service", upstream->service, arena);
    if (!why.len)
        why = differs(c, S("com.docker.compose.project"), "compose project", upstream->project,
                      arena);
    if (why.len) return why;
    if (docker_is_oneoff(c)) return S("it is a one-off container (docker compose run)");
    return arena_printf(arena, "it does not have the label %.*s", SLICE_ARG(upstream->label));
}

const char *docker_state_name(enum docker_state s)
{
    static const char *const names[] = {
        [DOCKER_STATE_UNKNOWN] = "not known", [DOCKER_CREATED] = "created",
        [DOCKER_RUNNING] = "running",         [DOCKER_PAUSED] = "paused",
        [DOCKER_RESTARTING] = "restarting",   [DOCKER_REMOVING] = "being removed",
        [DOCKER_EXITED] = "exited",           [DOCKER_DEAD] = "dead",
        [DOCKER_STOPPING] = "stopping",
    };
    return names[s];
}

const char *docker_health_name(enum docker_health h)
{
    static const char *const names[] = {
        [DOCKER_HEALTH_NONE] = "no HEALTHCHECK",
        [DOCKER_HEALTH_STARTING] = "starting",
        [DOCKER_HEALTHY] = "healthy",
        [DOCKER_UNHEALTHY] = "unhealthy",
    };
    return names[h];
}
