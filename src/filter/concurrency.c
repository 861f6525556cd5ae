/* SPDX-License-Identifier: Apache-2.0
 *
 * Concurrency limits. See concurrency.h.
 */
#include "filter/concurrency.h"

#include <stdalign.h>
#include <stdlib.h>

#include "base/counter.h"
#include "base/memory.h"
#include "base/tally.h"

/* Room for eight times the connections of limits.max_connections' preset; touched as it
 * is used. */
enum { TABLE_BYTES = 4 * 1024 * 1024 };

/* Written by one worker each. */
struct limit_counters {
    alignas(64) struct counter admitted;
    struct counter refused;
    struct counter untracked;
    struct counter active;
};

struct concurrency_limit {
    struct arena           arena;
    struct slice           name;
    struct request_key     key;
    struct tally          *tally;
    uint32_t               max;
    unsigned               worker_count;
    struct limit_counters *counters;
    uint16_t               status;
    bool                   is_dry_run;
};

/* One request's. */
struct concurrency_state {
    bool     is_refused;
    uint32_t places[]; /* in the limits' tallies, 0: in none */
};

struct concurrency_limit *concurrency_limit_new(const struct concurrency_limit_settings *s,
                                                unsigned worker_count)
{
    struct concurrency_limit *l = mem_zalloc(sizeof(*l));
    arena_init(&l->arena, NULL);
    l->name = arena_copy(&l->arena, s->name);
    request_key_build(&l->key, &s->key, &l->arena);
    l->tally = tally_new(TABLE_BYTES);
    l->max = s->max;
    l->worker_count = worker_count;
    l->counters =
        mem_zalloc_aligned(alignof(struct limit_counters), worker_count * sizeof(*l->counters));
    l->status = s->status;
    l->is_dry_run = s->dry_run;
    return l;
}

void concurrency_limit_free(struct concurrency_limit *l)
{
    if (!l) return;
    tally_free(l->tally);
    free(l->counters);
    arena_reset(&l->arena);
    free(l);
}

/* ---- requests ---- */

/* False: it is refused. What is not counted passes. */
static bool enter(const struct concurrency_limit *l, struct exchange *x, uint32_t *place)
{
    struct limit_counters *counters = &l->counters[exchange_worker_index(x)];
    struct slice           key = exchange_key(x, &l->key);
    if (!key.len) return true;
    switch (tally_enter(l->tally, key, l->max, place)) {
    case TALLY_ENTERED:
        counter_add(&counters->admitted, 1);
        counter_move(&counters->active, 1);
        return true;
    case TALLY_UNTRACKED: counter_add(&counters->untracked, 1); return true;
    case TALLY_FULL: break;
    }
    counter_add(&counters->refused, 1);
    exchange_note_limit(x, l->name, l->is_dry_run);
    return l->is_dry_run;
}

static void leave_all(const struct concurrency_chain *chain, struct exchange *x,
                      struct concurrency_state *s)
{
    for (size_t i = 0; i < chain->count; i++) {
        const struct concurrency_limit *l = chain->limits[i];
        if (!s->places[i]) continue;
        tally_leave(l->tally, s->places[i]);
        counter_move(&l->counters[exchange_worker_index(x)].active, -1);
        s->places[i] = 0;
    }
}

static enum filter_result on_request(struct exchange *x, const void *config, void **state)
{
    const struct concurrency_chain *chain = config;
    struct concurrency_state       *s =
        arena_zalloc(exchange_arena(x), sizeof(*s) + chain->count * sizeof(s->places[0]));
    *state = s;
    for (size_t i = 0; i < chain->count; i++) {
        if (enter(chain->limits[i], x, &s->places[i])) continue;
        /* A client that is slow to take its refusal keeps nobody out. */
        leave_all(chain, x, s);
        s->is_refused = true;
        exchange_reply_status(x, chain->limits[i]->status, "too_many_at_once");
        return FILTER_REPLY;
    }
    return FILTER_CONTINUE;
}

static void on_response(struct exchange *x, const void *config, void *state, struct http_head *head)
{
    const struct concurrency_state *s = state;
    (void)config;
    /* Nobody knows when one will end; so as not to be asked at once. */
    if (s->is_refused) http_fields_set(&head->fields, exchange_arena(x), FIELD_RETRY_AFTER, S("1"));
}

static void on_end(struct exchange *x, const void *config, void *state)
{
    leave_all(config, x, state);
}

const struct filter_ops filter_concurrency = {
    .name = "concurrency_limit",
    .on_request = on_request,
    .on_response = on_response,
    .on_end = on_end,
};

/* ---- for control ---- */

struct slice concurrency_limit_name(const struct concurrency_limit *l)
{
    return l->name;
}

struct concurrency_counts concurrency_limit_count(const struct concurrency_limit *l)
{
    struct concurrency_counts sum = { 0 };
    for (unsigned i = 0; i < l->worker_count; i++) {
        sum.admitted += counter_get(&l->counters[i].admitted);
        sum.refused += counter_get(&l->counters[i].refused);
        sum.untracked += counter_get(&l->counters[i].untracked);
        sum.active += counter_get(&l->counters[i].active);
    }
    return sum;
}
