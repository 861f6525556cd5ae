/* SPDX-License-Identifier: Apache-2.0
 *
 * libcurl on a loop. See http_channel.h.
 *
 * libcurl says which sockets it has, what it waits for on each (on_socket_state)
 * and when it wants to be called in any case (on_timer); it reads and writes when
 * told that they are ready. It says that it is done with a socket before it closes
 * it, and the number may come back at once: the watch is gone by then.
 */
#include "io/http_channel.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/memory.h"

struct http_channel {
    struct loop    *loop;
    CURLM          *multi;
    struct job      now; /* libcurl wants to be called at once, but not from within its callback */
    struct deadline timeout;
    struct list     sockets; /* watched */
    struct list     spare;   /* to be used again: none is freed within its own event */
    void (*on_step)(void *arg);
    void *arg;
};

struct http_socket {
    struct watch         watch;
    struct list          link;
    struct http_channel *channel;
};

CURLM *http_channel_multi(const struct http_channel *c)
{
    return c->multi;
}

/* ---- what happens ---- */

static void act(struct http_channel *c, curl_socket_t fd, int what)
{
    int running;
    (void)curl_multi_socket_action(c->multi, fd, what, &running);
    c->on_step(c->arg);
}

static void on_now(struct job *j)
{
    act(container_of(j, struct http_channel, now), CURL_SOCKET_TIMEOUT, 0);
}

static void on_timeout(struct deadline *d)
{
    act(container_of(d, struct http_channel, timeout), CURL_SOCKET_TIMEOUT, 0);
}

static void on_socket_ready(struct watch *w, int fd, unsigned what)
{
    struct http_socket *s = container_of(w, struct http_socket, watch);
    act(s->channel, fd,
        (what & LOOP_READABLE ? CURL_CSELECT_IN : 0) |
            (what & LOOP_WRITABLE ? CURL_CSELECT_OUT : 0));
}

/* ---- what libcurl asks for ---- */

/* A deadline that comes too early by this loop's clock is no harm: libcurl asks again. */
static int on_timer(CURLM *multi, long wait_ms, void *arg)
{
    struct http_channel *c = arg;
    (void)multi;
    job_cancel(&c->now);
    deadline_clear(&c->timeout);
    if (wait_ms == 0)
        job_queue(c->loop, &c->now);
    else if (wait_ms > 0)
        deadline_set(c->loop, &c->timeout, (uint64_t)wait_ms);
    return 0;
}

static void forget_socket(struct http_socket *s)
{
    watch_remove(&s->watch);
    list_remove(&s->link);
    list_append(&s->channel->spare, &s->link);
}

static struct http_socket *new_socket(struct http_channel *c, int fd)
{
    struct http_socket *s;
    if (list_is_empty(&c->spare)) {
        s = mem_zalloc(sizeof(*s));
        list_init(&s->link);
        s->channel = c;
    } else {
        s = container_of(c->spare.next, struct http_socket, link);
        list_remove(&s->link);
    }
    list_append(&c->sockets, &s->link);
    if (watch_add(c->loop, &s->watch, fd, false, on_socket_ready)) return s;
    /* Unwatched, its transfer times out, which is told then. */
    forget_socket(s);
    return NULL;
}

static int on_socket_state(CURL *easy, curl_socket_t fd, int asked, void *arg, void *known)
{
    struct http_channel *c = arg;
    struct http_socket  *s = known;
    unsigned             what = 0;
    (void)easy;
    if (asked == CURL_POLL_IN || asked == CURL_POLL_INOUT) what |= LOOP_READABLE;
    if (asked == CURL_POLL_OUT || asked == CURL_POLL_INOUT) what |= LOOP_WRITABLE;
    if (what && !s) s = new_socket(c, fd);
    if (s && (!what || !watch_select(&s->watch, what))) {
        forget_socket(s);
        s = NULL;
    }
    if (asked != CURL_POLL_REMOVE) (void)curl_multi_assign(c->multi, fd, s);
    return 0;
}

/* ---- life ---- */

static void start_library(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) abort();
}

struct http_channel *http_channel_new(struct loop *l, void (*on_step)(void *arg), void *arg)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_library);
    struct http_channel *c = mem_zalloc(sizeof(*c));
    c->loop = l;
    c->on_step = on_step;
    c->arg = arg;
    list_init(&c->sockets);
    list_init(&c->spare);
    job_init(&c->now, on_now);
    deadline_init(&c->timeout, on_timeout);
    c->multi = curl_multi_init();
    if (!c->multi) abort();
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket_state);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
    return c;
}

void http_channel_free(struct http_channel *c)
{
    if (!c) return;
    /* Closes what was kept for the next call, and says so. */
    curl_multi_cleanup(c->multi);
    job_cancel(&c->now);
    deadline_remove(&c->timeout);
    while (!list_is_empty(&c->sockets))
        forget_socket(container_of(c->sockets.next, struct http_socket, link));
    LIST_EACH_SAFE (it, &c->spare) free(container_of(it, struct http_socket, link));
    free(c);
}
