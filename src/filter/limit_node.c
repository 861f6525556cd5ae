/* SPDX-License-Identifier: Apache-2.0
 *
 * One worker's way to one Redis server. See limit_parts.h.
 *
 *              connects           answers late or not at all: three times, or mostly
 *   CONNECTING --------> CLOSED ----------------------------------------> OPEN
 *       |                  ^                                               |
 *       | fails            '--------- a probe is answered in time ---------|
 *       '------------------> OPEN, connects again each half second <-------'
 *
 * Closed: calls are sent. Open: nobody waits, nothing is sent but the probe and what is given
 * back. What passed meanwhile is charged as soon as it is closed; where other gateways have to
 * do that, too, requests still do without for a moment, or the first one would find buckets
 * that are only full because the others have not come yet.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "filter/limit_parts.h"

enum { MS_NS = 1000000, WINDOW_MS = 1000, SILENT_MS = 1000 };

struct limit_node {
    struct list          link; /* worker->nodes */
    struct limit_worker *worker;
    char                *text; /* which node of a map it is */
    struct address       address;
    char                *path; /* of a Unix socket: what address points to */
    struct redis_conn   *conn;
    struct list          awaited; /* calls that requests wait for; the oldest first */
    struct list          queue;   /* calls that wait for the connection */
    uint32_t             queue_count;
    struct alarm         alarm; /* of the oldest that is awaited */
    struct deadline      retry; /* a connection, or a probe */
    struct redis_call    probe;
    uint64_t             probe_ms;  /* when it was sent; 0: none is under way */
    uint64_t             window_ms; /* since when it counts: */
    uint32_t             window_calls, window_failures;
    uint32_t             failures;  /* in a row */
    uint64_t             down_ms;   /* since when it could not be asked, the last time */
    uint64_t             settle_ms; /* until then requests do without */
    uint64_t             ready_ms;  /* since when the connection can be used */
    bool                 was_ready; /* it can */
    bool                 is_open;
    bool                 is_leaving;
};

static uint64_t now_ms(const struct limit_node *n)
{
    return n->worker->loop->clock.now_ms;
}

static struct limit_call *of_wait(struct list *it)
{
    return container_of(it, struct limit_call, wait_link);
}

/* ---- the circuit ---- */

/* Who waits is told; what may still come counts. */
static void give_up_all(struct limit_node *n)
{
    while (!list_is_empty(&n->awaited)) {
        struct limit_call *call = of_wait(n->awaited.next);
        list_remove(&call->wait_link);
        limit_remote_give_up(call);
    }
    alarm_clear(&n->alarm);
}

/* It was never sent. */
static void unqueue(struct limit_node *n, struct limit_call *call)
{
    list_remove(&call->queue_link);
    list_remove(&call->wait_link);
    n->queue_count--;
    limit_remote_answered(n->worker, call, NULL);
}

static void fail_queue(struct limit_node *n)
{
    while (!list_is_empty(&n->queue))
        unqueue(n, container_of(n->queue.next, struct limit_call, queue_link));
}

static void open_circuit(struct limit_node *n)
{
    struct limit_worker *w = n->worker;
    if (!n->is_open) {
        n->is_open = true;
        n->down_ms = now_ms(n);
        counter_add(&w->counters.opened, 1);
        counter_move(&w->counters.open, 1);
        redis_store_tell_moved(w->store->shared);
    }
    if (!n->is_leaving) deadline_set(w->loop, &n->retry, LIMIT_PROBE_MS);
    fail_queue(n);
    give_up_all(n);
}

static void close_circuit(struct limit_node *n)
{
    if (n->is_open) counter_move(&n->worker->counters.open, -1);
    n->is_open = false;
    n->failures = 0;
    n->window_ms = 0;
    deadline_clear(&n->retry);
}

/* The circuit has closed. */
static void settle(struct limit_node *n)
{
    uint64_t owed_ms = atomic_load_explicit(&n->worker->store->owed_ms, memory_order_relaxed);
    if (owed_ms && owed_ms >= n->down_ms) n->settle_ms = now_ms(n) + LIMIT_SETTLE_MS;
    (void)limit_remote_settle(n->worker);
}

/* Of the present second. */
static void count_call(struct limit_node *n)
{
    if (now_ms(n) - n->window_ms >= WINDOW_MS) {
        n->window_ms = now_ms(n);
        n->window_calls = n->window_failures = 0;
    }
    n->window_calls++;
}

void limit_node_failed(struct limit_node *n)
{
    n->failures++;
    n->window_failures++;
    bool is_mostly =
        n->window_calls >= LIMIT_WINDOW_CALLS && n->window_failures > n->window_calls / 2;
    if (!n->is_open && (n->failures >= LIMIT_FAILURES_MAX || is_mostly)) open_circuit(n);
}

void limit_node_succeeded(struct limit_node *n)
{
    n->failures = 0;
}

/* ---- calls ---- */

static void on_reply(struct redis_call *redis, const struct redis_reply *r)
{
    struct limit_call *call = container_of(redis, struct limit_call, redis);
    list_remove(&call->wait_link);
    limit_remote_answered(call->node->worker, call, r);
}

static void arm(struct limit_node *n)
{
    struct limit_worker *w = n->worker;
    if (list_is_empty(&n->awaited)) return;
    uint64_t wait_ns = w->store->settings->deadline * MS_NS;
    uint64_t at_ns = of_wait(n->awaited.next)->asked_ns + wait_ns;
    uint64_t now_ns = w->loop->clock.now_ns;
    alarm_set(w->loop, &n->alarm, at_ns > now_ns ? (at_ns - now_ns + MS_NS - 1) / MS_NS : 1);
}

/* By when it was asked: one that was sent elsewhere first has waited for longer than others. */
static void await(struct limit_node *n, struct limit_call *call)
{
    struct list *at = &n->awaited;
    while (at->prev != &n->awaited && of_wait(at->prev)->asked_ns > call->asked_ns) at = at->prev;
    list_insert_before(at, &call->wait_link);
    if (n->awaited.next == &call->wait_link) arm(n);
}

static void on_alarm(struct alarm *a)
{
    struct limit_node   *n = container_of(a, struct limit_node, alarm);
    struct limit_worker *w = n->worker;
    uint64_t             wait_ns = w->store->settings->deadline * MS_NS;
    while (!list_is_empty(&n->awaited)) {
        struct limit_call *call = of_wait(n->awaited.next);
        if (call->asked_ns + wait_ns > w->loop->clock.now_ns) break;
        counter_add(&w->counters.late, 1);
        limit_set_trouble(w->store, "no answer in time");
        if (!list_is_empty(&call->queue_link)) {
            unqueue(n, call);
        } else {
            list_remove(&call->wait_link);
            limit_remote_give_up(call);
        }
        limit_node_failed(n);
    }
    arm(n);
}

/* One command; the script itself where the server may not have it. */
static bool send_now(struct limit_node *n, struct limit_call *call)
{
    struct slice args[LIMIT_ARGS], asking = S("ASKING");
    char         text[LIMIT_TEXT_BYTES];
    if (!call->remote) return false; /* its rule went while it waited for the connection */
    if (call->is_asking && !redis_conn_call(n->conn, NULL, &asking, 1)) return false;
    limit_remote_args(call, args, text);
    if (!redis_conn_call(n->conn, &call->redis, args, LIMIT_ARGS)) return false;
    counter_add(&n->worker->counters.calls, 1);
    count_call(n);
    return true;
}

static bool is_ready(const struct limit_node *n)
{
    return n->conn && redis_conn_is_ready(n->conn);
}

static bool send_by(struct limit_node *n, struct limit_call *call)
{
    call->node = n;
    call->redis.on_reply = on_reply;
    /* What came too late is given back all the same, or a slow server would empty buckets. */
    if (n->is_leaving || !n->conn || (n->is_open && call->want > 0)) return false;
    if (call->want > 0 && !call->is_debt && now_ms(n) < n->settle_ms) return false;
    if (!is_ready(n)) {
        if (n->is_open || call->is_debt || n->queue_count >= LIMIT_QUEUE_MAX) return false;
        list_append(&n->queue, &call->queue_link);
        n->queue_count++;
    } else if (!send_now(n, call)) {
        return false;
    }
    if (call->ask) await(n, call);
    return true;
}

static void send_queue(struct limit_node *n)
{
    while (!list_is_empty(&n->queue)) {
        struct limit_call *call = container_of(n->queue.next, struct limit_call, queue_link);
        if (!send_now(n, call)) {
            unqueue(n, call);
            continue;
        }
        list_remove(&call->queue_link);
        n->queue_count--;
    }
}

/* ---- connections ---- */

static const struct redis_conn_ops conn_ops;

static void connect_node(struct limit_node *n)
{
    struct limit_worker *w = n->worker;
    struct limit_store  *st = w->store;
    struct redis_target  to = {
         .address = &n->address,
         .tls = st->tls ? st->tls[w->index] : NULL,
         .server_name = st->server_name,
         .username = st->username,
         .password = st->password,
         .database = st->database,
         .timeout_ms = LIMIT_CONNECT_MS,
    };
    n->conn = redis_conn_new(w->loop, &to, &conn_ops, n);
}

static void on_ready(struct redis_conn *c)
{
    struct limit_node *n = redis_conn_arg(c);
    counter_move(&n->worker->counters.ready, 1);
    n->was_ready = true;
    n->ready_ms = now_ms(n);
    close_circuit(n);
    settle(n);
    send_queue(n);
}

/* One that could be used for a while is made anew at once: a server may close what idles. What
 * ends as soon as it begins is a failure, of a server that is none of Redis' perhaps. */
static void on_dead(struct redis_conn *c, const char *why)
{
    struct limit_node *n = redis_conn_arg(c);
    bool               was_ready = n->was_ready;
    if (was_ready) counter_move(&n->worker->counters.ready, -1);
    limit_set_trouble(n->worker->store, why);
    (void)c;
    n->conn = NULL;
    n->was_ready = false;
    n->probe_ms = 0;
    if (!n->is_open) n->down_ms = now_ms(n);
    fail_queue(n);
    if (n->is_leaving) return;
    if (was_ready && !n->is_open && now_ms(n) - n->ready_ms >= LIMIT_PROBE_MS)
        connect_node(n);
    else
        open_circuit(n);
}

static const struct redis_conn_ops conn_ops = { .on_ready = on_ready, .on_dead = on_dead };

static void drop_conn(struct limit_node *n)
{
    struct redis_conn *c = n->conn;
    if (n->was_ready) counter_move(&n->worker->counters.ready, -1);
    n->was_ready = false;
    redis_call_drop(&n->probe);
    n->probe_ms = 0;
    n->conn = NULL; /* those who are told that their calls are lost may ask again at once */
    redis_conn_close(c);
}

/* An answer that a request would not have waited for is none. */
static void on_probe(struct redis_call *call, const struct redis_reply *r)
{
    struct limit_node *n = container_of(call, struct limit_node, probe);
    uint64_t           took_ms = now_ms(n) - n->probe_ms;
    n->probe_ms = 0;
    if (!r || r->kind == REDIS_KIND_ERROR) return;
    if (took_ms > n->worker->store->settings->deadline) return;
    close_circuit(n);
    settle(n);
}

static void on_retry(struct deadline *d)
{
    struct limit_node *n = container_of(d, struct limit_node, retry);
    struct slice       ping = S("PING");
    /* A peer that is gone without a word is not waited for. */
    if (is_ready(n) && n->probe_ms && now_ms(n) - n->probe_ms >= SILENT_MS) drop_conn(n);
    if (!n->conn) connect_node(n);
    if (is_ready(n) && !n->probe_ms) {
        n->probe.on_reply = on_probe;
        if (redis_conn_call(n->conn, &n->probe, &ping, 1))
            n->probe_ms = now_ms(n);
        else
            drop_conn(n);
    }
    deadline_set(n->worker->loop, &n->retry, LIMIT_PROBE_MS);
    conn_flush_all(n->worker->loop);
}

/* ---- nodes ---- */

static bool is_of(const struct limit_node *n, const struct redis_node *which)
{
    return strcmp(n->text, which->text) == 0 && address_eq(&n->address, &which->address);
}

static struct limit_node *find(struct limit_worker *w, const struct redis_node *which)
{
    LIST_EACH (it, &w->nodes) {
        struct limit_node *n = container_of(it, struct limit_node, link);
        if (is_of(n, which)) return n;
    }
    return NULL;
}

static struct limit_node *add(struct limit_worker *w, const struct redis_node *which)
{
    struct limit_node *n = mem_zalloc(sizeof(*n));
    n->worker = w;
    n->text = mem_strdup(which->text);
    n->down_ms = now_ms(n);
    n->address = which->address;
    if (which->address.path) n->address.path = n->path = mem_strdup(which->address.path);
    list_init(&n->awaited);
    list_init(&n->queue);
    alarm_init(&n->alarm, on_alarm);
    deadline_init(&n->retry, on_retry);
    list_append(&w->nodes, &n->link);
    connect_node(n);
    return n;
}

/* Its calls are answered with nothing. */
static void remove_node(struct limit_node *n)
{
    n->is_leaving = true;
    give_up_all(n);
    fail_queue(n);
    drop_conn(n);
    close_circuit(n);
    alarm_clear(&n->alarm);
    deadline_remove(&n->retry);
    list_remove(&n->link);
    free(n->path);
    free(n->text);
    free(n);
}

bool limit_send_to(struct limit_worker *w, struct limit_call *call, const struct redis_node *to)
{
    struct limit_node *n = to && to->address.family != ADDRESS_NONE ? find(w, to) : NULL;
    if (!n && to && to->address.family != ADDRESS_NONE) n = add(w, to);
    return n && send_by(n, call);
}

const struct redis_node *limit_node_place(const struct limit_node *n)
{
    const struct redis_map *map = redis_store_map(n->worker->store->shared);
    for (size_t i = 0; i < map->count; i++)
        if (is_of(n, &map->nodes[i])) return &map->nodes[i];
    return NULL;
}

void limit_nodes_sync(struct limit_worker *w)
{
    const struct redis_map *map = redis_store_map(w->store->shared);
    LIST_EACH_SAFE (it, &w->nodes) {
        struct limit_node *n = container_of(it, struct limit_node, link);
        if (!limit_node_place(n)) remove_node(n);
    }
    for (size_t i = 0; !map->owners && i < map->count; i++)
        if (map->nodes[i].address.family != ADDRESS_NONE && !find(w, &map->nodes[i]))
            add(w, &map->nodes[i]);
}

void limit_nodes_close(struct limit_worker *w)
{
    while (!list_is_empty(&w->nodes))
        remove_node(container_of(w->nodes.next, struct limit_node, link));
}
