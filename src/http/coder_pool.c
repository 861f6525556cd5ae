/* SPDX-License-Identifier: Apache-2.0
 *
 * Encoders of a worker. See coder_pool.h.
 */
#include "http/coder_pool.h"

#include <stdlib.h>

#include "base/memory.h"

enum { IDLE_MAX = 8 };

void coder_pool_init(struct coder_pool *p)
{
    *p = (struct coder_pool){ 0 };
    list_init(&p->idle);
}

static void drop(struct coder_pool *p, struct coder *c)
{
    p->used_bytes -= coder_memory(c->coding, c->level);
    coder_free(c);
}

/* The one that has lain longest, or of this kind. */
static struct coder *take_idle(struct coder_pool *p, struct list *link)
{
    list_remove(link);
    p->idle_count--;
    return container_of(link, struct coder, link);
}

void coder_pool_reset(struct coder_pool *p)
{
    while (!list_is_empty(&p->idle)) drop(p, take_idle(p, p->idle.next));
    free(p->out);
    p->out = NULL;
}

static struct coder *find_idle(struct coder_pool *p, enum http_coding coding, int level)
{
    LIST_EACH (it, &p->idle) {
        struct coder *c = container_of(it, struct coder, link);
        if (c->coding == coding && c->level == level) return take_idle(p, it);
    }
    return NULL;
}

struct coder *coder_pool_take(struct coder_pool *p, enum http_coding coding, int level,
                              int64_t body_bytes)
{
    struct coder *c = find_idle(p, coding, level);
    size_t        bytes = coder_memory(coding, level);
    if (!c) {
        while (p->used_bytes + bytes > p->max_bytes && !list_is_empty(&p->idle))
            drop(p, take_idle(p, p->idle.prev));
        if (p->used_bytes + bytes > p->max_bytes) return NULL;
        p->used_bytes += bytes;
        c = coder_new(coding, level);
    }
    if (!p->out) p->out = mem_alloc(CODER_OUT_BYTES);
    coder_begin(c, body_bytes);
    return c;
}

void coder_pool_give(struct coder_pool *p, struct coder *c)
{
    list_prepend(&p->idle, &c->link);
    p->idle_count++;
    if (p->idle_count > IDLE_MAX || p->used_bytes > p->max_bytes)
        drop(p, take_idle(p, p->idle.prev));
}
