/* SPDX-License-Identifier: Apache-2.0
 *
 * Choosing what is shown. See status_lines.h.
 */
#include "cli/status_lines.h"

#include <stdlib.h>

#include "base/memory.h"

/* What is shown first. Headings of sound upstreams come before their endpoints: many of
 * them say more than one of them whole. */
enum rank { RANK_BAD, RANK_UNUSUAL, RANK_HEADING, RANK_FINE, RANK_COUNT };

static bool is_wanted(const json_t *upstream, char *const *names, size_t name_count)
{
    struct slice name = status_text(upstream, "name");
    for (size_t i = 0; i < name_count; i++)
        if (slice_eq(name, slice_of(names[i]))) return true;
    return name_count == 0;
}

static enum rank rank_of_upstream(const json_t *upstream)
{
    bool has_trouble = status_text(upstream, "trouble").len > 0 || status_is(upstream, "panic") ||
                       json_array_size(json_object_get(upstream, "endpoints")) == 0;
    return has_trouble ? RANK_BAD : RANK_HEADING;
}

static enum rank rank_of_endpoint(const json_t *endpoint)
{
    if (status_is_bad(endpoint)) return RANK_BAD;
    return status_is_fine(endpoint) ? RANK_FINE : RANK_UNUSUAL;
}

static size_t count_lines(const json_t *upstreams)
{
    size_t  i, count = json_array_size(upstreams);
    json_t *upstream;
    json_array_foreach (upstreams, i, upstream)
        count += json_array_size(json_object_get(upstream, "endpoints"));
    return count;
}

static void add_upstream(struct status_lines *l, const json_t *upstream)
{
    size_t  i, heading = l->count;
    json_t *endpoint;
    l->items[l->count++] = (struct status_line){ .upstream = upstream,
                                                 .heading = heading,
                                                 .rank = rank_of_upstream(upstream),
                                                 .is_shown = true };
    json_array_foreach (json_object_get(upstream, "endpoints"), i, endpoint)
        l->items[l->count++] = (struct status_line){ .upstream = upstream,
                                                     .endpoint = endpoint,
                                                     .heading = heading,
                                                     .rank = rank_of_endpoint(endpoint),
                                                     .is_shown = true };
}

void status_lines_init(struct status_lines *l, const json_t *root, char *const *names,
                       size_t name_count)
{
    const json_t *upstreams = status_upstreams(root);
    size_t        i;
    json_t       *upstream;
    *l = (struct status_lines){ 0 };
    l->items = mem_alloc((count_lines(upstreams) + 1) * sizeof(*l->items));
    json_array_foreach (upstreams, i, upstream)
        if (is_wanted(upstream, names, name_count)) add_upstream(l, upstream);
}

void status_lines_reset(struct status_lines *l)
{
    free(l->items);
    *l = (struct status_lines){ 0 };
}

/* Shows the line and its heading if there is room. */
static void try_to_show(struct status_lines *l, struct status_line *line, size_t *room)
{
    struct status_line *heading = &l->items[line->heading];
    size_t              cost = line == heading || heading->is_shown ? 1 : 2;
    if (line->is_shown || cost > *room) return;
    line->is_shown = heading->is_shown = true;
    *room -= cost;
}

void status_lines_fit(struct status_lines *l, size_t room)
{
    if (l->count <= room) return;
    for (size_t i = 0; i < l->count; i++) l->items[i].is_shown = false;
    for (int rank = 0; rank < RANK_COUNT; rank++)
        for (size_t i = 0; i < l->count && room; i++)
            if (l->items[i].rank == rank) try_to_show(l, &l->items[i], &room);
    for (size_t i = 0; i < l->count; i++) {
        if (l->items[i].is_shown) continue;
        l->hidden_upstreams += !l->items[i].endpoint;
        l->hidden_endpoints += l->items[i].endpoint != NULL;
        l->hidden_problems += l->items[i].endpoint && l->items[i].rank < RANK_HEADING;
    }
}
