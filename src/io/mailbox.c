/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages between threads: many senders, one receiver. See mailbox.h.
 */
#include "io/mailbox.h"

#include <sys/eventfd.h>
#include <unistd.h>

/* The stack, taken whole, in order of posting. */
static struct message *take_all(struct mailbox *m)
{
    struct message *stack = atomic_exchange_explicit(&m->top, NULL, memory_order_acquire);
    struct message *queue = NULL;
    while (stack) {
        struct message *next = stack->next;
        stack->next = queue;
        queue = stack;
        stack = next;
    }
    return queue;
}

static void run_all(struct mailbox *m, struct message *queue)
{
    while (queue) {
        struct message *msg = queue;
        queue = msg->next;
        msg->run(msg, m->receiver);
    }
}

static void on_wake(struct watch *w, int fd, unsigned what)
{
    (void)what;
    struct mailbox *m = container_of(w, struct mailbox, watch);
    uint64_t        count;
    /* First the bell, then the box: what is posted in between rings again. */
    if (read(fd, &count, sizeof(count)) < 0) return;
    run_all(m, take_all(m));
}

bool mailbox_init(struct mailbox *m, struct loop *l, void *receiver)
{
    *m = (struct mailbox){ .receiver = receiver, .loop = l };
    m->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (m->wake_fd < 0) return false;
    if (watch_add(l, &m->watch, m->wake_fd, false, on_wake)) return true;
    close(m->wake_fd);
    m->wake_fd = -1;
    return false;
}

void mailbox_post(struct mailbox *m, struct message *msg)
{
    struct message *top = atomic_load_explicit(&m->top, memory_order_relaxed);
    do msg->next = top;
    while (!atomic_compare_exchange_weak_explicit(&m->top, &top, msg, memory_order_release,
                                                  memory_order_relaxed));
    /* From here on msg is the receiver's. The counter cannot overflow: it is
     * raised once for each time that the box was found empty. */
    static const uint64_t one = 1;
    if (!top && write(m->wake_fd, &one, sizeof(one)) < 0) return;
}

void mailbox_run(struct mailbox *m)
{
    for (struct message *queue = take_all(m); queue; queue = take_all(m)) run_all(m, queue);
}

void mailbox_reset(struct mailbox *m)
{
    if (m->wake_fd < 0) return;
    watch_remove(&m->watch);
    mailbox_run(m);
    close(m->wake_fd);
    m->wake_fd = -1;
}
