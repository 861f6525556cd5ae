/* SPDX-License-Identifier: Apache-2.0
 *
 * Workers and their threads. See crew.h.
 */
#include "control/crew.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

void crew_init(struct crew *c, unsigned count, struct mailbox *control)
{
    *c = (struct crew){ .count = count, .control = control };
    c->members = mem_zalloc(count * sizeof(*c->members));
    c->mailboxes = mem_zalloc(count * sizeof(*c->mailboxes));
}

/* ---- messages ---- */

struct drained_message {
    struct message message;
    struct crew   *crew;
};

static void hear_drained(struct message *m, void *control)
{
    struct crew *c = container_of(m, struct drained_message, message)->crew;
    (void)control;
    free(container_of(m, struct drained_message, message));
    if (++c->drained_count == c->count && c->on_drained) c->on_drained(c);
}

static void on_drained(struct worker *w)
{
    struct drained_message *m = mem_alloc(sizeof(*m));
    m->crew = w->on_drained_arg;
    m->message.run = hear_drained;
    mailbox_post(m->crew->control, &m->message);
}

struct do_message {
    struct message message;
    void (*run)(struct worker *w, void *arg);
    void *arg;
};

static void do_it(struct message *m, void *receiver)
{
    struct do_message d = *container_of(m, struct do_message, message);
    free(container_of(m, struct do_message, message));
    d.run(receiver, d.arg);
}

void crew_do(struct crew *c, unsigned index, void (*run)(struct worker *, void *), void *arg)
{
    if (!c->is_running) {
        run(c->members[index].worker, arg);
        return;
    }
    struct do_message *m = mem_alloc(sizeof(*m));
    *m = (struct do_message){ .message.run = do_it, .run = run, .arg = arg };
    mailbox_post(&c->members[index].worker->mailbox, &m->message);
}

struct barrier {
    struct message   message; /* back to control */
    struct crew     *crew;
    _Atomic unsigned left;
    void (*done)(void *arg);
    void *arg;
};

static void barrier_done(struct message *m, void *control)
{
    struct barrier *b = container_of(m, struct barrier, message);
    (void)control;
    b->done(b->arg);
    free(b);
}

static void barrier_pass(struct worker *w, void *arg)
{
    struct barrier *b = arg;
    (void)w;
    if (atomic_fetch_sub(&b->left, 1) == 1) mailbox_post(b->crew->control, &b->message);
}

void crew_barrier(struct crew *c, void (*done)(void *), void *arg)
{
    struct barrier *b = mem_zalloc(sizeof(*b));
    b->message.run = barrier_done;
    b->crew = c;
    atomic_init(&b->left, c->count);
    b->done = done;
    b->arg = arg;
    for (unsigned i = 0; i < c->count; i++) crew_do(c, i, barrier_pass, b);
}

void crew_publish(struct crew *c, struct plan *p)
{
    for (unsigned i = 0; i < c->count; i++) worker_post_plan(c->members[i].worker, p);
}

void crew_drain(struct crew *c)
{
    for (unsigned i = 0; i < c->count; i++) worker_post_drain(c->members[i].worker);
}

/* ---- threads ---- */

static void *thread_main(void *arg)
{
    struct worker *w = arg;
    char           name[16];
    snprintf(name, sizeof(name), "worker %u", w->index);
    pthread_setname_np(pthread_self(), name);
    worker_run(w);
    return NULL;
}

static bool start_threads(struct crew *c, struct error *e)
{
    for (unsigned i = 0; i < c->count; i++) {
        struct crew_member *member = &c->members[i];
        int failure = pthread_create(&member->thread, NULL, thread_main, member->worker);
        if (!failure) continue;
        for (unsigned k = 0; k < i; k++) {
            worker_post_stop(c->members[k].worker);
            pthread_join(c->members[k].thread, NULL);
        }
        return error_set(e, "cannot start worker %u: %s", i, strerror(failure));
    }
    c->is_running = true;
    return true;
}

bool crew_start(struct crew *c, struct log *log, struct access_log *access, enum log_format format,
                struct error *e)
{
    for (unsigned i = 0; i < c->count; i++) {
        struct worker_params params = {
            .index = i,
            .log = log,
            .ring = access ? access_log_ring(access, i) : NULL,
            .log_format = format,
            .on_drained = on_drained,
            .on_drained_arg = c,
        };
        struct worker *w = worker_new(&params, e);
        if (!w) return false;
        c->members[i].worker = w;
        c->mailboxes[i] = &w->mailbox;
    }
    return start_threads(c, e);
}

void crew_stop(struct crew *c)
{
    if (!c->is_running) return;
    for (unsigned i = 0; i < c->count; i++) worker_post_stop(c->members[i].worker);
    for (unsigned i = 0; i < c->count; i++) pthread_join(c->members[i].thread, NULL);
    c->is_running = false;
}

void crew_reset(struct crew *c)
{
    for (unsigned i = 0; i < c->count; i++) worker_free(c->members[i].worker);
    free(c->members);
    free(c->mailboxes);
    c->members = NULL;
    c->count = 0;
}
