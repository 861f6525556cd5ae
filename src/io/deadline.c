/* SPDX-License-Identifier: Apache-2.0
 *
 * Deadlines in a wheel of slots. See deadline.h.
 *
 *     tick      tick+1              tick+511
 *      |  ran    | next to run ...   | parked: what lies further ahead
 *
 * A slot covers 32 ms and runs at its end, so nothing is early. Moving a
 * deadline ahead, and clearing it, changes a number; only one that comes to lie
 * before its slot is linked anew.
 */
#include "io/deadline.h"

#include <event2/event.h>
#include <stdlib.h>

#include "base/memory.h"

enum { SLOT_MS = 32, SLOT_COUNT = 512, WORD_BITS = 64 };

/* libevent counts with the coarse clock, which lags by up to a tick of the kernel. */
enum { COARSE_MS = 4 };

static const uint64_t farthest_ms = UINT64_MAX / 4;

struct deadline_wheel {
    struct list  slots[SLOT_COUNT];
    uint64_t     occupied[SLOT_COUNT / WORD_BITS]; /* may be set for an empty slot */
    uint64_t     tick;                             /* the last slot that ran */
    uint64_t     armed_ms;                         /* what the timer is set for; 0: not */
    bool         must_arm;
    struct event timer;
};

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct loop *l = arg;
    l->wheel->armed_ms = 0;
    loop_refresh(l);
    deadline_wheel_advance(l);
}

struct deadline_wheel *deadline_wheel_new(struct loop *l)
{
    struct deadline_wheel *w = mem_zalloc(sizeof(*w));
    for (size_t i = 0; i < SLOT_COUNT; i++) list_init(&w->slots[i]);
    event_assign(&w->timer, l->base, -1, 0, on_timer, l);
    return w;
}

void deadline_wheel_free(struct deadline_wheel *w)
{
    if (!w) return;
    for (size_t i = 0; i < SLOT_COUNT; i++)
        while (!list_is_empty(&w->slots[i])) list_remove(w->slots[i].next);
    event_del(&w->timer);
    free(w);
}

static bool is_occupied(const struct deadline_wheel *w, uint64_t tick)
{
    size_t i = tick % SLOT_COUNT;
    return w->occupied[i / WORD_BITS] >> (i % WORD_BITS) & 1;
}

/* The first tick after w->tick whose slot is not empty, or 0. The word that the
 * search begins in the midst of is its last one again. */
static uint64_t next_tick(const struct deadline_wheel *w)
{
    uint64_t tick = w->tick + 1, end = w->tick + SLOT_COUNT;
    while (tick < end) {
        size_t   i = tick % SLOT_COUNT;
        uint64_t rest = w->occupied[i / WORD_BITS] >> (i % WORD_BITS);
        if (rest) return tick + (uint64_t)__builtin_ctzll(rest);
        tick += WORD_BITS - i % WORD_BITS;
    }
    return 0;
}

static void link_in(struct deadline_wheel *w, struct deadline *d)
{
    uint64_t tick = (d->at_ms + SLOT_MS - 1) / SLOT_MS;
    if (tick <= w->tick) tick = w->tick + 1;
    if (tick >= w->tick + SLOT_COUNT) tick = w->tick + SLOT_COUNT - 1;
    size_t i = tick % SLOT_COUNT;
    d->slot_ms = tick * SLOT_MS;
    list_append(&w->slots[i], &d->link);
    w->occupied[i / WORD_BITS] |= (uint64_t)1 << (i % WORD_BITS);
    if (!w->armed_ms || d->slot_ms < w->armed_ms) w->must_arm = true;
}

static void run_slot(struct loop *l)
{
    struct deadline_wheel *w = l->wheel;
    size_t                 i = w->tick % SLOT_COUNT;
    w->occupied[i / WORD_BITS] &= ~((uint64_t)1 << (i % WORD_BITS));
    /* Nothing can be linked into the slot that runs, so this ends. */
    while (!list_is_empty(&w->slots[i])) {
        struct deadline *d = container_of(w->slots[i].next, struct deadline, link);
        list_remove(&d->link);
        d->slot_ms = 0;
        if (!d->at_ms) continue;
        if (d->at_ms > l->clock.now_ms) {
            link_in(w, d);
            continue;
        }
        d->at_ms = 0;
        d->run(d);
    }
}

void deadline_wheel_advance(struct loop *l)
{
    struct deadline_wheel *w = l->wheel;
    uint64_t               target = l->clock.now_ms / SLOT_MS;
    w->must_arm = true;
    if (target > w->tick + SLOT_COUNT) w->tick = target - SLOT_COUNT;
    while (w->tick < target) {
        w->tick++;
        if (is_occupied(w, w->tick)) run_slot(l);
    }
}

uint64_t deadline_wheel_next_ms(const struct loop *l)
{
    return next_tick(l->wheel) * SLOT_MS;
}

void deadline_wheel_arm(struct loop *l)
{
    struct deadline_wheel *w = l->wheel;
    if (!w->must_arm) return;
    w->must_arm = false;
    uint64_t next_ms = deadline_wheel_next_ms(l);
    if (next_ms == w->armed_ms) return;
    w->armed_ms = next_ms;
    if (!next_ms) {
        event_del(&w->timer);
        return;
    }
    uint64_t now_ms = l->clock.now_ms;
    uint64_t wait_ms = (next_ms > now_ms ? next_ms - now_ms : 0) + COARSE_MS;

    struct timeval tv = { .tv_sec = (time_t)(wait_ms / 1000),
                          .tv_usec = (suseconds_t)(wait_ms % 1000 * 1000) };
    event_add(&w->timer, &tv);
}

void deadline_init(struct deadline *d, void (*run)(struct deadline *))
{
    *d = (struct deadline){ .run = run };
    list_init(&d->link);
}

void deadline_set(struct loop *l, struct deadline *d, uint64_t after_ms)
{
    struct deadline_wheel *w = l->wheel;
    d->at_ms = l->clock.now_ms + (after_ms < farthest_ms ? after_ms : farthest_ms);
    if (!list_is_empty(&d->link)) {
        if (d->at_ms + SLOT_MS > d->slot_ms) return;
        list_remove(&d->link);
    }
    /* A wheel that was empty has not been turned. */
    if (!w->armed_ms && !w->must_arm) w->tick = l->clock.now_ms / SLOT_MS;
    link_in(w, d);
}

void deadline_clear(struct deadline *d)
{
    d->at_ms = 0;
}

void deadline_remove(struct deadline *d)
{
    d->at_ms = d->slot_ms = 0;
    list_remove(&d->link);
}
