/* SPDX-License-Identifier: Apache-2.0
 *
 * What real engines answered. See recorded.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "recorded.h"

static struct arena made;

struct slice recorded_text(const char *name, struct arena *arena)
{
    const char   *source = getenv("srcdir"), *top = getenv("top_srcdir");
    char          path[1024], piece[4096];
    struct buffer b = BUFFER_INIT;
    snprintf(path, sizeof(path), "%s/tests/unit/discovery/recorded/%s",
             source ? source
             : top  ? top
                    : ".",
             name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    for (size_t got; (got = fread(piece, 1, sizeof(piece), file)) > 0;) buffer_put(&b, piece, got);
    fclose(file);
    struct slice text = arena_copy(arena, buffer_slice(&b));
    buffer_reset(&b);
    return text;
}

struct recorded_list recorded_list(const char *name, struct arena *arena)
{
    struct recorded_list list;
    struct error         e = { "" };
    if (!docker_parse_list(recorded_text(name, arena), arena, &list.items, &list.count, &e))
        fail_msg("%s: %s", name, e.text);
    return list;
}

const struct docker_container *recorded_find(const struct recorded_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (slice_eq(list->items[i].name, slice_of(name))) return &list->items[i];
    fail_msg("no container %s", name);
    return NULL;
}

struct docker_container made_container(const char *labels, const char *networks, const char *more)
{
    struct docker_container *items;
    size_t                   count;
    struct error             e = { "" };
    struct slice             json = arena_printf(&made,
                                                 "[{'Id':'c1','Names':['/web'],'Labels':{'app':'x'%s%s},"
                                                             "'NetworkSettings':{'Networks':{%s}},%s}]",
                                     *labels ? "," : "", labels, networks, more);
    for (char *c = (char *)(uintptr_t)json.data; *c; c++)
        if (*c == '\'') *c = '"';
    if (!docker_parse_list(json, &made, &items, &count, &e)) fail_msg("%s: %s", json.data, e.text);
    return items[0];
}

void made_forget(void)
{
    arena_reset(&made);
}
