/* SPDX-License-Identifier: Apache-2.0
 *
 * Mailboxes: order, threads, what is left at the end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>

#include "base/memory.h"
#include "conn_probe.h"
#include "io/mailbox.h"

enum { SENDERS = 4, EACH = 20000 };

struct note {
    struct message message;
    unsigned       sender;
    unsigned       number;
};

struct receiver {
    struct mailbox box;
    unsigned       next[SENDERS];
    unsigned       count;
};

static void take(struct message *m, void *to)
{
    struct note     *n = container_of(m, struct note, message);
    struct receiver *r = to;
    assert_int_equal(n->number, r->next[n->sender]);
    r->next[n->sender]++;
    r->count++;
    free(n);
}

static void post(struct receiver *r, unsigned sender, unsigned number)
{
    struct note *n = mem_zalloc(sizeof(*n));
    *n = (struct note){ { NULL, take }, sender, number };
    mailbox_post(&r->box, &n->message);
}

static void keeps_the_order(void **state)
{
    (void)state;
    struct loop    *l = make_loop();
    struct receiver r = { .count = 0 };
    assert_true(mailbox_init(&r.box, l, &r));
    for (unsigned i = 0; i < 100; i++) post(&r, 0, i);
    assert_int_equal(r.count, 0);
    loop_turn(l, -1);
    assert_int_equal(r.count, 100);
    mailbox_reset(&r.box);
    loop_free(l);
}

struct sender {
    struct receiver *receiver;
    unsigned         id;
};

static void *send_all(void *arg)
{
    struct sender *s = arg;
    for (unsigned i = 0; i < EACH; i++) post(s->receiver, s->id, i);
    return NULL;
}

static void takes_from_many_threads(void **state)
{
    (void)state;
    struct loop    *l = make_loop();
    struct receiver r = { .count = 0 };
    pthread_t       threads[SENDERS];
    struct sender   senders[SENDERS];
    assert_true(mailbox_init(&r.box, l, &r));
    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){ &r, i };
        assert_int_equal(pthread_create(&threads[i], NULL, send_all, &senders[i]), 0);
    }
    while (r.count < SENDERS * EACH) loop_turn(l, -1);
    for (unsigned i = 0; i < SENDERS; i++) pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < SENDERS; i++) assert_int_equal(r.next[i], EACH);
    mailbox_reset(&r.box);
    assert_int_equal(r.count, SENDERS * EACH);
    loop_free(l);
}

static void post_another(struct message *m, void *to)
{
    struct note     *n = container_of(m, struct note, message);
    struct receiver *r = to;
    r->count++;
    post(r, 0, 0);
    free(n);
}

static void what_comes_after_a_run_is_not_lost(void **state)
{
    (void)state;
    struct loop    *l = make_loop();
    struct receiver r = { .count = 0 };
    assert_true(mailbox_init(&r.box, l, &r));
    post(&r, 0, 0);
    mailbox_run(&r.box);
    assert_int_equal(r.count, 1);
    post(&r, 0, 1);
    mailbox_reset(&r.box);
    assert_int_equal(r.count, 2);
    loop_free(l);
}

static void reset_runs_what_is_left(void **state)
{
    (void)state;
    struct loop    *l = make_loop();
    struct receiver r = { .count = 0 };
    assert_true(mailbox_init(&r.box, l, &r));
    struct note *n = mem_zalloc(sizeof(*n));
    n->message.run = post_another;
    mailbox_post(&r.box, &n->message);
    mailbox_reset(&r.box);
    assert_int_equal(r.count, 2);
    mailbox_reset(&r.box);
    loop_free(l);
}

static void may_be_posted_to_while_it_runs(void **state)
{
    (void)state;
    struct loop    *l = make_loop();
    struct receiver r = { .count = 0 };
    assert_true(mailbox_init(&r.box, l, &r));
    struct note *n = mem_zalloc(sizeof(*n));
    n->message.run = post_another;
    mailbox_post(&r.box, &n->message);
    turn_until(l, &r.count, 2);
    mailbox_reset(&r.box);
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_order),
        cmocka_unit_test(takes_from_many_threads),
        cmocka_unit_test(reset_runs_what_is_left),
        cmocka_unit_test(what_comes_after_a_run_is_not_lost),
        cmocka_unit_test(may_be_posted_to_while_it_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
