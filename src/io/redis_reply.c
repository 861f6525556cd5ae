/* SPDX-License-Identifier: Apache-2.0
 *
 * hiredis' reader with objects of our own. See redis_reply.h.
 */
#include "io/redis_reply.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/memory.h"

enum { DEPTH_MAX = 6 }; /* of arrays; hiredis has another bound in each version */

struct redis_reader {
    redisReader *reader;
    struct arena arena; /* of the reply that is being read, or was read last */
    size_t       bytes; /* of texts in it */
    size_t       count; /* of items in it */
    bool         is_whole;
    const char  *fault;
};

/* Where the object of a task belongs: a place in its array, or a new root. */
static struct redis_reply *make(const redisReadTask *t, enum redis_kind kind)
{
    struct redis_reader *r = t->privdata;
    struct redis_reply  *of;
    if (t->parent)
        of = &((struct redis_reply *)t->parent->obj)->items[t->idx];
    else
        of = arena_alloc(&r->arena, sizeof(*of));
    *of = (struct redis_reply){ .kind = kind };
    return of;
}

static void *on_string(const redisReadTask *t, char *text, size_t len)
{
    struct redis_reader *r = t->privdata;
    enum redis_kind      kind = REDIS_KIND_TEXT;
    if ((r->bytes += len) > REDIS_REPLY_BYTES_MAX) return NULL;
    if (t->type == REDIS_REPLY_STATUS) kind = REDIS_KIND_STATUS;
    if (t->type == REDIS_REPLY_ERROR) kind = REDIS_KIND_ERROR;
    struct redis_reply *of = make(t, kind);
    of->text = arena_copy(&r->arena, slice_make(text, len));
    return of;
}

/* hiredis 1 counts items with another type. */
#if HIREDIS_MAJOR >= 1
typedef size_t item_count;
#else
typedef int item_count;
#endif

static unsigned depth(const redisReadTask *t)
{
    unsigned n = 1;
    while ((t = t->parent)) n++;
    return n;
}

/* NULL is out of memory to hiredis, and the end: so much is never asked for. */
static void *on_array(const redisReadTask *t, item_count count)
{
    struct redis_reader *r = t->privdata;
    if ((uint64_t)count > REDIS_REPLY_ITEMS_MAX - r->count) return NULL;
    if (depth(t) > DEPTH_MAX) return NULL;
    r->count += (size_t)count;
    struct redis_reply *of = make(t, REDIS_KIND_ARRAY);
    of->items = arena_zalloc(&r->arena, (size_t)count * sizeof(*of->items));
    of->count = (size_t)count;
    return of;
}

static void *on_integer(const redisReadTask *t, long long value)
{
    struct redis_reply *of = make(t, REDIS_KIND_INTEGER);
    of->integer = value;
    return of;
}

static void *on_nil(const redisReadTask *t)
{
    return make(t, REDIS_KIND_NIL);
}

#if HIREDIS_MAJOR >= 1
/* Of RESP3, which nobody has asked for. */
static void *on_double(const redisReadTask *t, double value, char *text, size_t len)
{
    (void)value;
    return on_string(t, text, len);
}

static void *on_bool(const redisReadTask *t, int value)
{
    return on_integer(t, value);
}
#endif

/* It goes with the arena. */
static void on_free(void *object)
{
    (void)object;
}

static const redisReplyObjectFunctions functions = {
    .createString = on_string,
    .createArray = on_array,
    .createInteger = on_integer,
#if HIREDIS_MAJOR >= 1
    .createDouble = on_double,
    .createBool = on_bool,
#endif
    .createNil = on_nil,
    .freeObject = on_free,
};

struct redis_reader *redis_reader_new(struct block_pool *pool)
{
    struct redis_reader *r = mem_zalloc(sizeof(*r));
    r->reader = redisReaderCreateWithFunctions((redisReplyObjectFunctions *)(uintptr_t)&functions);
    if (!r->reader) abort();
    r->reader->privdata = r;
    arena_init(&r->arena, pool);
    return r;
}

void redis_reader_free(struct redis_reader *r)
{
    if (!r) return;
    redisReaderFree(r->reader);
    arena_reset(&r->arena);
    free(r);
}

void redis_reader_feed(struct redis_reader *r, const char *data, size_t len)
{
    if (!r->fault) redisReaderFeed(r->reader, data, len);
}

static void begin_reply(struct redis_reader *r)
{
    arena_reset(&r->arena);
    r->bytes = r->count = 0;
    r->is_whole = false;
}

const struct redis_reply *redis_reader_next(struct redis_reader *r)
{
    void *got = NULL;
    if (r->is_whole) begin_reply(r);
    if (r->fault) return NULL;
    if (redisReaderGetReply(r->reader, &got) != REDIS_OK) {
        bool is_large = r->reader->err == REDIS_ERR_OOM;
        r->fault = is_large ? "a reply is larger than any may be" : "what comes is no reply";
        return NULL;
    }
    /* A text is taken only when it is whole; what announces itself longer than that is waited
     * for in vain. */
    if (!got && r->reader->len - r->reader->pos > REDIS_REPLY_BYTES_MAX)
        r->fault = "a reply is larger than any may be";
    r->is_whole = got != NULL;
    return got;
}

const char *redis_reader_fault(const struct redis_reader *r)
{
    return r->fault;
}

static const struct redis_reply *item(const struct redis_reply *r, size_t i, enum redis_kind kind)
{
    bool is_there = r->kind == REDIS_KIND_ARRAY && i < r->count && r->items[i].kind == kind;
    return is_there ? &r->items[i] : NULL;
}

int64_t redis_integer_at(const struct redis_reply *r, size_t i)
{
    const struct redis_reply *of = item(r, i, REDIS_KIND_INTEGER);
    return of ? of->integer : -1;
}

struct slice redis_text_at(const struct redis_reply *r, size_t i)
{
    const struct redis_reply *of = item(r, i, REDIS_KIND_TEXT);
    return of ? of->text : S("");
}
