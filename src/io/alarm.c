/* SPDX-License-Identifier: Apache-2.0
 *
 * Alarms in a heap. See alarm.h. libevent's own timers go by the coarse clock and are
 * some 4 ms off; its precise ones cost a system call each turn of the loop.
 */
#include "io/alarm.h"

#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/memory.h"

struct alarms {
    struct loop   *loop;
    struct alarm **heap; /* the earliest first */
    uint32_t       count, capacity;
    uint64_t       armed_ns; /* what the timer is set for; 0: it has run */
    int            fd;
    struct watch   watch;
    struct job     job;
};

/* Edges tell of each expiry, so nothing needs to be read. */
static void on_timer(struct watch *w, int fd, unsigned what)
{
    struct alarms *s = container_of(w, struct alarms, watch);
    (void)fd;
    (void)what;
    s->armed_ns = 0;
    job_queue(s->loop, &s->job);
}

static void arm(struct alarms *s)
{
    uint64_t at_ns = s->count ? s->heap[0]->at_ns : 0;
    /* That the timer runs for one that was cleared does no harm. */
    if (!at_ns || (s->armed_ns && s->armed_ns <= at_ns)) return;
    struct itimerspec t = { .it_value = { (time_t)(at_ns / 1000000000u),
                                          (long)(at_ns % 1000000000u) } };
    s->armed_ns = at_ns;
    timerfd_settime(s->fd, TFD_TIMER_ABSTIME, &t, NULL);
}

static void put(struct alarms *s, uint32_t place, struct alarm *a)
{
    s->heap[place] = a;
    a->place = place;
}

static void sift_up(struct alarms *s, struct alarm *a, uint32_t place)
{
    while (place && s->heap[(place - 1) / 2]->at_ns > a->at_ns) {
        put(s, place, s->heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    put(s, place, a);
}

static void sift_down(struct alarms *s, struct alarm *a, uint32_t place)
{
    for (uint32_t child; (child = 2 * place + 1) < s->count; place = child) {
        if (child + 1 < s->count && s->heap[child + 1]->at_ns < s->heap[child]->at_ns) child++;
        if (s->heap[child]->at_ns >= a->at_ns) break;
        put(s, place, s->heap[child]);
    }
    put(s, place, a);
}

static void run_due(struct job *j)
{
    struct alarms *s = container_of(j, struct alarms, job);
    uint64_t       now_ns = s->loop->clock.now_ns;
    /* What is set meanwhile lies ahead, so this ends. */
    while (s->count && s->heap[0]->at_ns <= now_ns) {
        struct alarm *a = s->heap[0];
        alarm_clear(a);
        a->run(a);
    }
    arm(s);
}

struct alarms *alarms_new(struct loop *l)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (fd < 0) return NULL;
    struct alarms *s = mem_zalloc(sizeof(*s));
    s->loop = l;
    s->fd = fd;
    job_init(&s->job, run_due);
    if (watch_add(l, &s->watch, fd, true, on_timer)) return s;
    close(fd);
    free(s);
    return NULL;
}

void alarms_free(struct alarms *s)
{
    if (!s) return;
    for (uint32_t i = 0; i < s->count; i++) s->heap[i]->loop = NULL;
    watch_remove(&s->watch);
    job_cancel(&s->job);
    close(s->fd);
    free(s->heap);
    free(s);
}

void alarm_init(struct alarm *a, void (*run)(struct alarm *))
{
    *a = (struct alarm){ .run = run };
}

void alarm_set(struct loop *l, struct alarm *a, uint64_t after_ms)
{
    struct alarms *s = l->alarms;
    alarm_clear(a);
    if (s->count == s->capacity) {
        s->capacity = s->capacity ? 2 * s->capacity : 16;
        s->heap = mem_realloc(s->heap, s->capacity * sizeof(struct alarm *));
    }
    a->loop = l;
    a->at_ns = l->clock.now_ns + (after_ms ? after_ms : 1) * 1000000u;
    sift_up(s, a, s->count++);
    arm(s);
}

void alarm_clear(struct alarm *a)
{
    if (!a->loop) return;
    struct alarms *s = a->loop->alarms;
    struct alarm  *last = s->heap[--s->count];
    a->loop = NULL;
    if (last == a) return;
    if (a->place && s->heap[(a->place - 1) / 2]->at_ns > last->at_ns)
        sift_up(s, last, a->place);
    else
        sift_down(s, last, a->place);
}
