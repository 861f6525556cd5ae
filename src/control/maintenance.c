/* SPDX-License-Identifier: Apache-2.0
 *
 * Maintenance of a plan. See maintenance.h.
 */
#include "control/maintenance.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"

void maintenance_file_look(struct maintenance_file *f)
{
    atomic_store_explicit(&f->is_there, access(f->path, F_OK) == 0, memory_order_relaxed);
}

static void free_file(struct registry_item *item, void *arg)
{
    struct maintenance_file *f = item->object;
    (void)arg;
    free(f->path);
    free(f);
}

static const atomic_bool *hold_file(struct build *b, struct slice path)
{
    struct registry      *r = b->maker->registry;
    struct registry_item *item;
    if (!path.len) return NULL;
    item = registry_find(r, REGISTRY_MAINTENANCE, path);
    if (!item) {
        struct maintenance_file *f = mem_zalloc(sizeof(*f));
        f->path = mem_slicedup(path);
        maintenance_file_look(f);
        item = registry_add(r, REGISTRY_MAINTENANCE, path, f, free_file, NULL);
    }
    registry_hold(r, item, &b->plan->arena);
    return &((struct maintenance_file *)item->object)->is_there;
}

const void *build_maintenance(struct build *b, const struct route_settings *route)
{
    const struct maintenance_settings *s = route->policy.maintenance;
    struct maintenance                *m;
    if (!s) return NULL;
    m = arena_zalloc(&b->plan->arena, sizeof(*m));
    m->is_asked = &b->maker->is_maintenance_asked;
    m->has_file = hold_file(b, s->file);
    m->status = s->status;
    m->retry_after_s = (s->retry_after + 999) / 1000;
    build_cidrs(b, &s->at, &s->allow, &m->allowed);
    if (s->page.len && build_read(b, &s->at, s->page, &m->page))
        m->content_type = build_page_type(s->page);
    return m;
}
