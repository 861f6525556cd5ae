/* SPDX-License-Identifier: Apache-2.0
 *
 * Control's connections to Redis. See redis_link.h.
 */
#include "control/redis_link.h"

#include <stdio.h>

enum { CONNECT_MS = 2000, SILENCE_MS = 2000, RETRY_MS = 500 };

static const char *whom(const struct redis_link *l)
{
    return l->at ? l->at->nodes[0].text : "nobody";
}

static void tell(const struct redis_link *l, enum log_level level, const char *words)
{
    if (l->what) log_line(l->loop->log, level, "%s: %s", l->what, words);
}

static void enter(struct redis_link *l, bool is_up)
{
    if (l->is_up == is_up && l->since_ms) return;
    l->is_up = is_up;
    l->since_ms = l->loop->clock.now_ms;
}

static void go_down(struct redis_link *l, const char *why)
{
    snprintf(l->trouble, sizeof(l->trouble), "%s: %s", whom(l), why);
    enter(l, false);
    if (!l->is_logged) tell(l, LOG_LEVEL_WARN, l->trouble);
    l->is_logged = true;
    deadline_set(l->loop, &l->deadline, RETRY_MS);
    l->ops->on_down(l);
}

void redis_link_be_well(struct redis_link *l)
{
    char words[REDIS_TROUBLE_MAX];
    l->trouble[0] = 0;
    snprintf(words, sizeof(words), "%s answers", whom(l));
    if (l->is_logged) tell(l, LOG_LEVEL_INFO, words);
    l->is_logged = false;
}

static void on_reply(struct redis_call *call, const struct redis_reply *r)
{
    struct redis_link *l = container_of(call, struct redis_link, call);
    if (!r) return; /* whoever ended it knows */
    deadline_clear(&l->deadline);
    l->ops->on_reply(l, r);
}

static void on_ready(struct redis_conn *c)
{
    struct redis_link *l = redis_conn_arg(c);
    deadline_clear(&l->deadline);
    enter(l, true);
    redis_link_be_well(l);
    l->ops->on_ready(l);
}

static void on_dead(struct redis_conn *c, const char *why)
{
    struct redis_link *l = redis_conn_arg(c);
    l->conn = NULL;
    go_down(l, why);
}

static void on_message(struct redis_conn *c, const struct redis_reply *r)
{
    struct redis_link *l = redis_conn_arg(c);
    if (l->ops->on_message) l->ops->on_message(l, r);
}

static const struct redis_conn_ops conn_ops = { on_ready, on_dead, on_message };

static void close_conn(struct redis_link *l)
{
    struct redis_conn *c = l->conn;
    l->conn = NULL;
    redis_conn_close(c);
}

void redis_link_move(struct redis_link *l)
{
    struct redis_target      to = { .timeout_ms = CONNECT_MS };
    const struct redis_node *n = l->ops->aim(l, &to);
    close_conn(l);
    enter(l, false);
    if (!n) {
        deadline_set(l->loop, &l->deadline, RETRY_MS);
        return;
    }
    deadline_clear(&l->deadline); /* the connection has one of its own */
    redis_map_free(l->at);
    l->at = redis_map_of_one(n->host, n->port);
    l->at->nodes[0].address = n->address;
    to.address = &n->address;
    to.server_name = n->host;
    l->conn = redis_conn_new(l->loop, &to, &conn_ops, l);
}

static void run_deadline(struct deadline *d)
{
    struct redis_link *l = container_of(d, struct redis_link, deadline);
    if (redis_link_is_asking(l))
        redis_link_fail(l, "the server does not answer");
    else if (!l->conn)
        redis_link_move(l);
}

void redis_link_init(struct redis_link *l, struct loop *loop, const char *what,
                     const struct redis_link_ops *ops)
{
    *l = (struct redis_link){ .ops = ops, .what = what, .loop = loop };
    l->call.on_reply = on_reply;
    deadline_init(&l->deadline, run_deadline);
}

bool redis_link_ask(struct redis_link *l, const struct slice *args, size_t count)
{
    if (!l->is_up || redis_link_is_asking(l)) return false;
    if (!redis_conn_call(l->conn, &l->call, args, count)) return false;
    deadline_set(l->loop, &l->deadline, SILENCE_MS);
    return true;
}

bool redis_link_is_asking(const struct redis_link *l)
{
    return l->call.conn != NULL;
}

void redis_link_fail(struct redis_link *l, const char *why)
{
    close_conn(l);
    go_down(l, why);
}

void redis_link_complain(struct redis_link *l, const char *why)
{
    char before[REDIS_TROUBLE_MAX];
    memcpy(before, l->trouble, sizeof(before));
    snprintf(l->trouble, sizeof(l->trouble), "%s: %s", whom(l), why);
    if (strcmp(before, l->trouble) != 0) tell(l, LOG_LEVEL_WARN, l->trouble);
    l->is_logged = true;
}

bool redis_link_is_at(const struct redis_link *l, const struct redis_node *n)
{
    const struct redis_node *at = l->at ? &l->at->nodes[0] : NULL;
    if (!n || !at || !slice_eq(at->host, n->host) || at->port != n->port) return false;
    return !n->port || address_eq(&at->address, &n->address);
}

void redis_link_reset(struct redis_link *l)
{
    close_conn(l);
    deadline_remove(&l->deadline);
    redis_map_free(l->at);
    l->at = NULL;
}
