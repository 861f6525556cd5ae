/* SPDX-License-Identifier: Apache-2.0
 *
 * What a Redis says: any bytes, whole and in pieces (the first byte says how long), give the
 * same replies; what is made of them keeps to its bounds.
 */
#include <stdlib.h>
#include <string.h>

#include "io/redis_map.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) abort();
}

static void check_redirect(struct slice error)
{
    struct redis_redirect to;
    if (!redis_parse_redirect(error, &to)) return;
    require(to.slot < REDIS_SLOT_COUNT && to.port);
    require(to.host.data >= error.data && to.host.data + to.host.len < error.data + error.len);
}

static void check_map(const struct redis_reply *r)
{
    struct error      e;
    struct redis_map *m = redis_map_of_slots(r, S("10.0.0.1"), &e);
    if (!m) return;
    require(m->count && m->count <= REDIS_NODES_MAX);
    for (size_t i = 0; i < REDIS_SLOT_COUNT; i++)
        require(m->owners[i] < m->count || m->owners[i] == REDIS_NO_NODE);
    struct redis_map *copy = redis_map_copy(m);
    require(redis_map_eq(m, copy));
    redis_map_free(copy);
    redis_map_free(m);
}

/* A number that all that was said goes into. */
static uint64_t digest(const struct redis_reply *r)
{
    uint64_t sum = (uint64_t)r->kind + 31 * (uint64_t)r->integer + r->count;
    for (size_t i = 0; i < r->text.len; i++) sum = sum * 31 + (uint8_t)r->text.data[i];
    for (size_t i = 0; i < r->count; i++) sum = sum * 31 + digest(&r->items[i]);
    return sum;
}

static uint64_t drain(struct redis_reader *reader, uint64_t sum)
{
    const struct redis_reply *r;
    while ((r = redis_reader_next(reader))) {
        check_redirect(r->text);
        check_map(r);
        sum = sum * 31 + digest(r);
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct block_pool pool;
    if (!size) return 0;
    size_t      piece = data[0] ? data[0] : 1, len = size - 1;
    const char *text = (const char *)data + 1;
    block_pool_init(&pool, 4096, 4);
    struct redis_reader *whole = redis_reader_new(&pool), *split = redis_reader_new(&pool);
    redis_reader_feed(whole, text, len);
    uint64_t of_whole = drain(whole, 1), of_split = 1;
    for (size_t at = 0; at < len; at += piece) {
        redis_reader_feed(split, text + at, len - at < piece ? len - at : piece);
        of_split = drain(split, of_split);
    }
    require(of_whole == of_split);
    require(!redis_reader_fault(whole) == !redis_reader_fault(split));
    redis_reader_free(whole);
    redis_reader_free(split);
    block_pool_reset(&pool);
    return 0;
}
