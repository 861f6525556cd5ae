/* SPDX-License-Identifier: Apache-2.0
 *
 * What Redis says (RESP2), out of bytes as they come: hiredis' reader, which builds a
 * reply in an arena, so that a small one costs no malloc. hiredis appears nowhere else.
 * Refuses what is no reply, and one that is larger than any that is ever asked for.
 */
#pragma once

#include <stdint.h>

#include "base/block.h"
#include "base/slice.h"

enum { REDIS_REPLY_BYTES_MAX = 16 * 1024 * 1024, REDIS_REPLY_ITEMS_MAX = 256 * 1024 };

enum redis_kind {
    REDIS_KIND_NIL,
    REDIS_KIND_INTEGER,
    REDIS_KIND_TEXT,
    REDIS_KIND_STATUS,
    REDIS_KIND_ERROR,
    REDIS_KIND_ARRAY,
};

struct redis_reply {
    enum redis_kind     kind;
    int64_t             integer;
    struct slice        text; /* also of status and error; NUL follows */
    struct redis_reply *items;
    size_t              count;
};

struct redis_reader;

/* `pool` must outlive it. */
struct redis_reader *redis_reader_new(struct block_pool *pool);
void                 redis_reader_free(struct redis_reader *r); /* accepts NULL */
void                 redis_reader_feed(struct redis_reader *r, const char *data, size_t len);
/* The next reply that is whole, until the next call; NULL when there is none, or the peer is
 * not to be understood: then redis_reader_fault() says why, and always will. */
const struct redis_reply *redis_reader_next(struct redis_reader *r);
const char               *redis_reader_fault(const struct redis_reader *r);

/* An item that is an integer, or -1; an item's text, or an empty one. */
int64_t      redis_integer_at(const struct redis_reply *r, size_t i);
struct slice redis_text_at(const struct redis_reply *r, size_t i);
