/* SPDX-License-Identifier: Apache-2.0
 *
 * Somebody who talks to Redis. See redis_talker.h.
 */
#include "redis_talker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

enum { WORDS_MAX = 8, TIMEOUT_MS = 20000 };

static void on_reply(struct redis_call *call, const struct redis_reply *r)
{
    struct asked  *a = container_of(call, struct asked, call);
    struct talker *t = a->of;
    assert_null(call->conn);
    a->count++;
    t->reply_count++;
    a->is_lost = !r;
    if (r) {
        a->kind = r->kind;
        a->integer = r->kind == REDIS_KIND_ARRAY ? (int64_t)r->count : r->integer;
        snprintf(a->text, sizeof(a->text), "%.*s", SLICE_ARG(r->text));
    }
    if (t->closes) {
        t->closes = false;
        redis_conn_close(t->conn);
        t->conn = NULL;
    }
}

static void on_ready(struct redis_conn *c)
{
    struct talker *t = redis_conn_arg(c);
    assert_true(redis_conn_is_ready(c));
    t->ready_count++;
}

static void on_dead(struct redis_conn *c, const char *why)
{
    struct talker *t = redis_conn_arg(c);
    assert_int_equal(redis_conn_pending(c), 0);
    t->dead_count++;
    t->conn = NULL;
    snprintf(t->why, sizeof(t->why), "%s", why);
}

static void on_message(struct redis_conn *c, const struct redis_reply *r)
{
    struct talker *t = redis_conn_arg(c);
    t->message_count++;
    snprintf(t->message, sizeof(t->message), "%.*s: %.*s", SLICE_ARG(redis_text_at(r, 1)),
             SLICE_ARG(redis_text_at(r, 2)));
}

static const struct redis_conn_ops ops = { on_ready, on_dead, on_message };

void talker_init(struct talker *t, const struct address *to)
{
    memset(t, 0, sizeof(*t));
    t->loop = make_loop();
    t->to = (struct redis_target){ .address = to, .timeout_ms = TIMEOUT_MS };
}

void talker_reset(struct talker *t)
{
    redis_conn_close(t->conn);
    loop_turn(t->loop, 0);
    loop_free(t->loop);
}

void talker_connect(struct talker *t)
{
    t->ready_count = t->dead_count = 0;
    t->why[0] = 0;
    t->conn = redis_conn_new(t->loop, &t->to, &ops, t);
}

const char *talker_open(struct talker *t)
{
    talker_connect(t);
    while (!t->ready_count && !t->dead_count) loop_turn(t->loop, 1000);
    return t->why;
}

struct asked *talker_ask(struct talker *t, const char *words)
{
    struct slice  args[WORDS_MAX];
    size_t        n = 0;
    struct slice  rest = slice_of(words);
    struct asked *a = &t->asked[t->asked_count++ % ASKED_MAX];
    *a = (struct asked){ .of = t, .call.on_reply = on_reply };
    while (rest.len) {
        size_t end = slice_find(rest, ' ');
        args[n++] = slice_make(rest.data, end);
        rest = slice_from(rest, end + (end < rest.len));
    }
    return redis_conn_call(t->conn, &a->call, args, n) ? a : NULL;
}

const char *talker_get(struct talker *t, const char *words)
{
    struct asked *a = talker_ask(t, words);
    assert_non_null(a);
    turn_until(t->loop, &a->count, 1);
    if (a->is_lost) return "(lost)";
    if (a->kind == REDIS_KIND_NIL) return "(nil)";
    if (a->kind == REDIS_KIND_INTEGER) snprintf(a->text, TEXT_MAX, "(%lld)", (long long)a->integer);
    if (a->kind == REDIS_KIND_ARRAY) snprintf(a->text, TEXT_MAX, "[%lld]", (long long)a->integer);
    return a->text;
}
