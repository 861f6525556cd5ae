/* SPDX-License-Identifier: Apache-2.0
 *
 * The event loop over libevent's epoll. See loop.h. In the steady state a turn
 * costs one epoll_wait and no other system call.
 */
#include "io/loop.h"

#include <assert.h>
#include <event2/event.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "io/alarm.h"
#include "io/conn_pump.h"
#include "io/deadline.h"

enum {
    SMALL_BLOCK_BYTES = 4096,
    LARGE_BLOCK_BYTES = 16384,
    SMALL_BLOCKS_KEPT = 1024,
    LARGE_BLOCKS_KEPT = 256,
    /* Jobs that queue jobs: after so many rounds the kernel is asked again first. */
    JOB_ROUNDS_MAX = 8,
};

struct loop_fd {
    int      fd;
    uint64_t turn;
};

static void on_wait_over(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    loop_refresh(arg);
}

/* With the list the kernel is asked to forget a closed socket after its number may
 * have gone to another thread's. It then finds nothing to forget, which does no harm,
 * but ThreadSanitizer sees numbers only. */
#ifndef __has_feature
#define __has_feature(name) 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
enum { CHANGE_LIST_FLAG = 0 };
#else
enum { CHANGE_LIST_FLAG = EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST };
#endif

/* No locks (one thread), no epoll_ctl before the wait, time not cached: what
 * needs a time has l->clock. */
static struct event_base *make_base(void)
{
    struct event_config *config = event_config_new();
    if (!config) return NULL;
    struct event_base *base = NULL;
    if (event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0 &&
        event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV) == 0 &&
        event_config_set_flag(config, CHANGE_LIST_FLAG) == 0 &&
        event_config_set_flag(config, EVENT_BASE_FLAG_NO_CACHE_TIME) == 0 &&
        event_config_require_features(config, EV_FEATURE_ET | EV_FEATURE_EARLY_CLOSE) == 0)
        base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

struct loop *loop_new(struct log *log)
{
    struct event_base *base = make_base();
    if (!base) return NULL;
    struct loop *l = mem_zalloc(sizeof(*l));
    l->base = base;
    l->log = log;
    clock_refresh(&l->clock);
    random_init(&l->random);
    block_pool_init(&l->small_blocks, SMALL_BLOCK_BYTES, SMALL_BLOCKS_KEPT);
    block_pool_init(&l->large_blocks, LARGE_BLOCK_BYTES, LARGE_BLOCKS_KEPT);
    list_init(&l->jobs);
    list_init(&l->flushes);
    list_init(&l->gathered);
    list_init(&l->closed);
    list_init(&l->doubts);
    l->scratch = mem_alloc(LOOP_SCRATCH_BYTES);
    l->cipher = mem_alloc(LOOP_SCRATCH_BYTES);
    l->wheel = deadline_wheel_new(l);
    deadline_init(&l->doubt_deadline, conn_check_doubts);
    event_assign(&l->wait_timer, base, -1, 0, on_wait_over, l);
    if ((l->alarms = alarms_new(l))) return l;
    loop_free(l);
    return NULL;
}

void loop_free(struct loop *l)
{
    if (!l) return;
    conn_free_closed(l);
    for (size_t i = 0; i < l->stale_fd_count; i++) close(l->stale_fds[i].fd);
    free(l->stale_fds);
    event_del(&l->wait_timer);
    alarms_free(l->alarms);
    deadline_wheel_free(l->wheel);
    event_base_free(l->base);
    free(l->scratch);
    free(l->cipher);
    free(l->staging);
    block_pool_reset(&l->small_blocks);
    block_pool_reset(&l->large_blocks);
    free(l);
}

void loop_refresh(struct loop *l)
{
    if (l->seen_turn == l->turn_count) return;
    l->seen_turn = l->turn_count;
    clock_refresh(&l->clock);
}

static bool has_work(const struct loop *l)
{
    return !list_is_empty(&l->jobs) || !list_is_empty(&l->flushes) ||
           !list_is_empty(&l->gathered) || !list_is_empty(&l->closed);
}

static void run_jobs(struct loop *l)
{
    struct list batch;
    list_init(&batch);
    /* Those that are queued meanwhile come in the next round. */
    while (!list_is_empty(&l->jobs)) {
        struct list *link = l->jobs.next;
        list_remove(link);
        list_append(&batch, link);
    }
    while (!list_is_empty(&batch)) {
        struct job *j = container_of(batch.next, struct job, link);
        list_remove(&j->link);
        j->run(j);
    }
}

/* What the events of a turn have left to do. */
static void finish_turn(struct loop *l)
{
    for (int round = 0; round < JOB_ROUNDS_MAX; round++) {
        conn_flush_all(l);
        if (list_is_empty(&l->jobs) && list_is_empty(&l->gathered)) break;
        run_jobs(l);
        conn_flush_gathered(l);
    }
    conn_flush_all(l);
    conn_free_closed(l);
}

void loop_close_fd(struct loop *l, int fd)
{
    if (fd < 0) return;
    l->stale_fds = mem_realloc(l->stale_fds, (l->stale_fd_count + 1) * sizeof(*l->stale_fds));
    l->stale_fds[l->stale_fd_count++] = (struct loop_fd){ fd, l->turn_count };
}

/* libevent tells the kernel of a watch that is gone when it waits next. */
static void close_stale_fds(struct loop *l)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->stale_fd_count; i++) {
        if (l->stale_fds[i].turn == l->turn_count)
            l->stale_fds[kept++] = l->stale_fds[i];
        else
            close(l->stale_fds[i].fd);
    }
    l->stale_fd_count = kept;
}

static void wait_for_events(struct loop *l, int wait_ms)
{
    int flags = EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY;
    deadline_wheel_arm(l);
    if (wait_ms == 0) flags |= EVLOOP_NONBLOCK;
    if (wait_ms > 0) {
        struct timeval tv = { wait_ms / 1000, wait_ms % 1000 * 1000 };
        event_add(&l->wait_timer, &tv);
    }
    l->turn_count++;
    event_base_loop(l->base, flags);
    loop_refresh(l);
    if (wait_ms > 0) event_del(&l->wait_timer);
}

void loop_turn(struct loop *l, int wait_ms)
{
    if (has_work(l)) {
        finish_turn(l);
        wait_ms = 0;
    }
    if (l->stale_fd_count) wait_ms = 0;
    wait_for_events(l, wait_ms);
    finish_turn(l);
    if (l->stale_fd_count) close_stale_fds(l);
}

void loop_run(struct loop *l)
{
    clock_refresh(&l->clock);
    while (!l->must_stop) loop_turn(l, -1);
}

void loop_stop(struct loop *l)
{
    l->must_stop = true;
}

void job_init(struct job *j, void (*run)(struct job *))
{
    list_init(&j->link);
    j->run = run;
}

void job_queue(struct loop *l, struct job *j)
{
    if (list_is_empty(&j->link)) list_append(&l->jobs, &j->link);
}

void job_cancel(struct job *j)
{
    list_remove(&j->link);
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    struct watch *w = arg;
    unsigned      ready = 0;
    if (what & EV_READ) ready |= LOOP_READABLE;
    if (what & EV_WRITE) ready |= LOOP_WRITABLE;
    if (what & EV_CLOSED) ready |= LOOP_PEER_CLOSED;
    loop_refresh(w->loop);
    w->run(w, fd, ready);
}

bool watch_add(struct loop *l, struct watch *w, int fd, bool is_edge,
               void (*run)(struct watch *, int, unsigned))
{
    short edge = EV_READ | EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST;
    short level = EV_READ | EV_PERSIST;
    w->loop = l;
    w->run = run;
    return event_assign(&w->event, l->base, fd, is_edge ? edge : level, on_ready, w) == 0 &&
           event_add(&w->event, NULL) == 0;
}

bool watch_select(struct watch *w, unsigned what)
{
    int   fd = event_get_fd(&w->event);
    short level = EV_PERSIST;
    if (what & LOOP_READABLE) level |= EV_READ;
    if (what & LOOP_WRITABLE) level |= EV_WRITE;
    assert(level != EV_PERSIST && !(event_get_events(&w->event) & EV_ET));
    if (event_get_events(&w->event) == level) return true;
    event_del(&w->event);
    return event_assign(&w->event, w->loop->base, fd, level, on_ready, w) == 0 &&
           event_add(&w->event, NULL) == 0;
}

void watch_remove(struct watch *w)
{
    event_del(&w->event);
}
