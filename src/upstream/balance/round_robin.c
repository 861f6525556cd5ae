/* SPDX-License-Identifier: Apache-2.0
 *
 * Round robin: each worker takes turns on its own, from a random place, so that
 * workers do not march in step.
 *
 * Equal weights rotate. Others go by earliest deadline (as in virtual clock
 * scheduling, Zhang 1990): an endpoint's turn comes every total / weight
 * choices, in a heap of four children a node. Where in its first interval each
 * starts is spread by the golden ratio, so that those of the same weight do not
 * come in a block: 5,1,1 gives a b a a a c a, never five of one in a row.
 *
 * Who was passed over because it is full keeps its turn: it is next once it may be.
 * Turns that it missed beyond that one are not made up for. A retry takes no turn
 * but any of the others: of two, else, all requests would begin with the same one.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "upstream/balance/balance.h"

enum { CHILDREN = 4 };

/* One choice in virtual time. Deadlines wrap around; they lie less than half the range apart. */
#define CHOICE ((uint64_t)1 << 20)

struct turn {
    uint64_t deadline;
    uint32_t index;
};

struct rotation {
    size_t       count;
    size_t       next;  /* even weights: a place in turns[] */
    uint64_t     now;   /* uneven ones: the last deadline that was met */
    struct turn *turns; /* even: in order; uneven: a heap */
};

static bool is_before(uint64_t a, uint64_t b)
{
    return (int64_t)(a - b) < 0;
}

static uint64_t interval_of(const struct endpoint_tier *tier, size_t index)
{
    return tier->total_weight * CHOICE / tier->weights[index];
}

/* A deadline was put off: the turn moves away from the root. */
static void sink(struct rotation *r, size_t at)
{
    struct turn moving = r->turns[at];
    for (;;) {
        size_t least = at * CHILDREN + 1, end = least + CHILDREN;
        if (least >= r->count) break;
        if (end > r->count) end = r->count;
        for (size_t i = least + 1; i < end; i++)
            if (is_before(r->turns[i].deadline, r->turns[least].deadline)) least = i;
        if (!is_before(r->turns[least].deadline, moving.deadline)) break;
        r->turns[at] = r->turns[least];
        at = least;
    }
    r->turns[at] = moving;
}

/* `part` of the interval, in 2^32nds. */
static uint64_t start_of(uint64_t interval, uint32_t part)
{
    return (uint64_t)((unsigned __int128)interval * part >> 32);
}

static void *state_new(const struct endpoint_tier *tier, struct random *random)
{
    static const uint32_t golden = 0x9e3779b9; /* (sqrt(5) - 1) / 2 in 2^32nds */
    struct rotation      *r = mem_zalloc(sizeof(*r));
    r->count = tier->count;
    r->next = random_below(random, (uint32_t)tier->count);
    r->turns = mem_alloc(tier->count * sizeof(*r->turns));
    uint32_t part = (uint32_t)random_next(random);
    for (size_t i = 0; i < tier->count; i++, part += golden) {
        r->turns[i].index = (uint32_t)i;
        r->turns[i].deadline = start_of(interval_of(tier, i), part);
    }
    if (!tier->is_even)
        for (size_t i = tier->count / CHILDREN + 1; i-- > 0;) sink(r, i);
    return r;
}

static void state_free(void *state)
{
    struct rotation *r = state;
    free(r->turns);
    free(r);
}

/* Whose turn it is changes places with the first that may be chosen. Where more were passed over
 * than a request can have tried, the most are full: they lose their turns, lest each request
 * looks at all of them again. */
static size_t rotate(struct rotation *r, const struct endpoint_set *set,
                     const struct endpoint_tier *tier, const struct balance_ask *ask)
{
    size_t at = r->next;
    for (size_t i = 0; i < r->count; i++, at = at + 1 < r->count ? at + 1 : 0) {
        uint32_t index = r->turns[at].index;
        if (!balance_may_choose(set, tier->items[index], ask)) continue;
        size_t turn = i <= BALANCE_TRIED_MAX ? r->next : at;
        r->turns[at].index = r->turns[turn].index;
        r->turns[turn].index = index;
        r->next = turn + 1 < r->count ? turn + 1 : 0;
        return index;
    }
    return BALANCE_NONE;
}

struct heap_search {
    const struct rotation      *rotation;
    const struct endpoint_set  *set;
    const struct endpoint_tier *tier;
    const struct balance_ask   *ask;
    size_t                      best; /* place in the heap, or BALANCE_NONE */
};

/* The earliest that may be chosen. Looks no further than there: below it all is later. */
static void search(struct heap_search *s, size_t at)
{
    const struct turn *turns = s->rotation->turns;
    if (s->best != BALANCE_NONE && !is_before(turns[at].deadline, turns[s->best].deadline)) return;
    if (balance_may_choose(s->set, s->tier->items[turns[at].index], s->ask)) {
        s->best = at;
        return;
    }
    for (size_t i = at * CHILDREN + 1; i <= at * CHILDREN + CHILDREN; i++)
        if (i < s->rotation->count) search(s, i);
}

static size_t take_earliest(struct rotation *r, const struct endpoint_set *set,
                            const struct endpoint_tier *tier, const struct balance_ask *ask)
{
    struct heap_search s = { r, set, tier, ask, BALANCE_NONE };
    search(&s, 0);
    if (s.best == BALANCE_NONE) return BALANCE_NONE;
    struct turn *t = &r->turns[s.best];
    size_t       index = t->index;
    uint64_t     interval = interval_of(tier, index);
    if (is_before(r->now, t->deadline)) r->now = t->deadline;
    /* More than one turn late: the next one is a whole interval from here. */
    if (is_before(t->deadline + interval, r->now)) t->deadline = r->now;
    t->deadline += interval;
    sink(r, s.best);
    return index;
}

static struct endpoint *choose(void *state, const struct endpoint_set *set,
                               const struct endpoint_tier *tier, const struct balance_ask *ask)
{
    struct rotation *r = state;
    size_t           at;
    if (ask->tried_count)
        at = balance_draw(set, tier, ask, BALANCE_NONE);
    else
        at = tier->is_even ? rotate(r, set, tier, ask) : take_earliest(r, set, tier, ask);
    return at == BALANCE_NONE ? NULL : tier->items[at];
}

extern const struct balance_ops balance_round_robin;
const struct balance_ops        balance_round_robin = {
           .name = "round_robin", .state_new = state_new, .state_free = state_free, .choose = choose
};
