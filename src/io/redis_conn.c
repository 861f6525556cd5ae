/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection to Redis. See redis_conn.h. Calls under way stand in a ring by their
 * number, so that one may be dropped and its reply is still known for what it is.
 */
#include "io/redis_conn.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "io/tls.h"

enum {
    RING_FIRST = 64,
    /* The reader moves what is left of its input after each kilobyte that it has read. */
    PIECE_BYTES = 4096,
    WHY_MAX = 256,
};

/* The greeting, then what calls wait for. */
enum redis_state { REDIS_CONNECTING, REDIS_READY, REDIS_DEAD };

struct redis_conn {
    struct conn                  conn;
    struct outq                  out;
    struct redis_reader         *reader;
    const struct redis_conn_ops *ops;
    void                        *arg;
    struct redis_call          **ring; /* by number; NULL: dropped */
    uint32_t                     capacity;
    uint32_t                     first, next; /* numbers: the oldest under way, the next one */
    enum redis_state             state;
    struct slice                 username, password;
    uint32_t                     database;
    struct redis_call            login, hello;
    char                         texts[];
};

static struct redis_conn *of_conn(struct conn *c)
{
    return container_of(c, struct redis_conn, conn);
}

void *redis_conn_arg(const struct redis_conn *c)
{
    return c->arg;
}

bool redis_conn_is_ready(const struct redis_conn *c)
{
    return c->state == REDIS_READY;
}

uint32_t redis_conn_pending(const struct redis_conn *c)
{
    return c->next - c->first;
}

/* ---- the end ---- */

static void answer(struct redis_conn *c, const struct redis_reply *r)
{
    struct redis_call *call = c->ring[c->first++ & (c->capacity - 1)];
    if (!call) return;
    call->conn = NULL;
    call->on_reply(call, r);
}

void redis_conn_close(struct redis_conn *c)
{
    if (!c || c->state == REDIS_DEAD) return;
    c->state = REDIS_DEAD;
    conn_close(&c->conn, false);
    while (c->first != c->next) answer(c, NULL);
}

static void die(struct redis_conn *c, const char *why)
{
    if (c->state == REDIS_DEAD) return;
    redis_conn_close(c);
    c->ops->on_dead(c, why);
}

static void on_free(struct conn *conn)
{
    struct redis_conn *c = of_conn(conn);
    outq_reset(&c->out);
    redis_reader_free(c->reader);
    free(c->ring);
    free(c);
}

/* ---- calls ---- */

static void grow(struct redis_conn *c)
{
    uint32_t            capacity = c->capacity ? 2 * c->capacity : RING_FIRST;
    struct redis_call **ring = mem_alloc(capacity * sizeof(struct redis_call *));
    for (uint32_t n = c->first; n != c->next; n++)
        ring[n & (capacity - 1)] = c->ring[n & (c->capacity - 1)];
    free(c->ring);
    c->ring = ring;
    c->capacity = capacity;
}

static void put_length(struct outq *q, char mark, size_t length)
{
    char *to = outq_reserve(q, 32);
    outq_commit(q, (size_t)snprintf(to, 32, "%c%zu\r\n", mark, length));
}

static void send_call(struct redis_conn *c, struct redis_call *call, const struct slice *args,
                      size_t count)
{
    if (redis_conn_pending(c) == c->capacity) grow(c);
    if (call) {
        assert(!call->conn);
        call->conn = c;
        call->number = c->next;
    }
    c->ring[c->next++ & (c->capacity - 1)] = call;
    put_length(&c->out, '*', count);
    for (size_t i = 0; i < count; i++) {
        put_length(&c->out, '$', args[i].len);
        outq_put(&c->out, args[i].data, args[i].len);
        outq_put(&c->out, "\r\n", 2);
    }
    conn_want_flush(&c->conn);
}

bool redis_conn_call(struct redis_conn *c, struct redis_call *call, const struct slice *args,
                     size_t count)
{
    if (c->state != REDIS_READY || redis_conn_pending(c) == REDIS_CALLS_MAX) return false;
    send_call(c, call, args, count);
    return true;
}

void redis_call_drop(struct redis_call *call)
{
    struct redis_conn *c = call->conn;
    if (!c) return;
    c->ring[call->number & (c->capacity - 1)] = NULL;
    call->conn = NULL;
}

/* ---- replies ---- */

static bool is_message(const struct redis_conn *c, const struct redis_reply *r)
{
    if (!c->ops->on_message) return false;
    struct slice kind = redis_text_at(r, 0);
    return slice_eq(kind, S("message")) || slice_eq(kind, S("pmessage"));
}

/* What nobody asked for: said once, before the server closes ("max number of clients"). */
static void hear_unasked(struct redis_conn *c, const struct redis_reply *r)
{
    char why[WHY_MAX] = "a reply came that nobody asked for";
    if (r->kind == REDIS_KIND_ERROR) snprintf(why, sizeof(why), "%.*s", SLICE_ARG(r->text));
    die(c, why);
}

static void hear(struct redis_conn *c, const struct redis_reply *r)
{
    if (is_message(c, r))
        c->ops->on_message(c, r);
    else if (c->first != c->next)
        answer(c, r);
    else
        hear_unasked(c, r);
}

static size_t on_input(struct conn *conn, const char *data, size_t len)
{
    struct redis_conn        *c = of_conn(conn);
    const struct redis_reply *r;
    for (size_t at = 0; at < len && c->state != REDIS_DEAD; at += PIECE_BYTES) {
        size_t rest = len - at;
        redis_reader_feed(c->reader, data + at, rest < PIECE_BYTES ? rest : PIECE_BYTES);
        while (c->state != REDIS_DEAD && (r = redis_reader_next(c->reader))) hear(c, r);
    }
    const char *fault = redis_reader_fault(c->reader);
    if (fault) die(c, fault);
    return len;
}

static void on_eof(struct conn *conn)
{
    die(of_conn(conn), "the server has closed the connection");
}

static void on_fault(struct conn *conn, enum conn_fault fault)
{
    char        why[WHY_MAX];
    const char *text = conn_fault_text(conn, fault);
    if (fault == CONN_CONNECT_REFUSED || fault == CONN_CONNECT_FAILED)
        snprintf(why, sizeof(why), "connect: %s", strerror(conn->connect_errno));
    else if (fault == CONN_TLS_FAILED)
        snprintf(why, sizeof(why), "TLS: %s", text);
    else
        snprintf(why, sizeof(why), "%s", "the connection was reset");
    die(of_conn(conn), why);
}

/* ---- the greeting ---- */

static void on_login(struct redis_call *call, const struct redis_reply *r)
{
    struct redis_conn *c = container_of(call, struct redis_conn, login);
    char               why[WHY_MAX];
    if (!r || r->kind != REDIS_KIND_ERROR) return;
    snprintf(why, sizeof(why), "%.*s", SLICE_ARG(r->text));
    die(c, why);
}

/* A user who may not ask PING is one who was let in. */
static void on_hello(struct redis_call *call, const struct redis_reply *r)
{
    struct redis_conn *c = container_of(call, struct redis_conn, hello);
    bool               is_denied = r && !c->database && slice_starts_with(r->text, S("NOPERM"));
    if (!r) return;
    if (r->kind == REDIS_KIND_STATUS || is_denied) {
        c->state = REDIS_READY;
        deadline_clear(&c->conn.deadline);
        c->ops->on_ready(c);
    } else {
        hear_unasked(c, r);
    }
}

static void on_open(struct conn *conn)
{
    struct redis_conn *c = of_conn(conn);
    char               database[16];
    struct slice       auth[3] = { S("AUTH"), c->username, c->password };
    struct slice       name_only[2] = { S("AUTH"), c->password };
    if (c->password.len && c->username.len)
        send_call(c, &c->login, auth, 3);
    else if (c->password.len)
        send_call(c, &c->login, name_only, 2);
    snprintf(database, sizeof(database), "%u", c->database);
    struct slice select[2] = { S("SELECT"), slice_of(database) };
    if (c->database)
        send_call(c, &c->hello, select, 2);
    else
        send_call(c, &c->hello, &S("PING"), 1);
}

static void on_deadline(struct conn *conn)
{
    struct redis_conn *c = of_conn(conn);
    bool               is_open = !conn->is_connecting && !conn->is_handshaking;
    die(c, is_open ? "the server does not answer" : "connect: no answer in time");
}

static const struct conn_ops conn_ops = {
    .on_open = on_open,
    .on_input = on_input,
    .on_eof = on_eof,
    .on_fault = on_fault,
    .on_deadline = on_deadline,
    .on_free = on_free,
};

struct redis_conn *redis_conn_new(struct loop *l, const struct redis_target *to,
                                  const struct redis_conn_ops *ops, void *arg)
{
    size_t             name_len = to->username.len, password_len = to->password.len;
    struct redis_conn *c = mem_zalloc(sizeof(*c) + name_len + password_len);
    if (name_len) memcpy(c->texts, to->username.data, name_len);
    if (password_len) memcpy(c->texts + name_len, to->password.data, password_len);
    c->username = slice_make(c->texts, name_len);
    c->password = slice_make(c->texts + name_len, password_len);
    c->database = to->database;
    c->ops = ops;
    c->arg = arg;
    c->login.on_reply = on_login;
    c->hello.on_reply = on_hello;
    c->reader = redis_reader_new(&l->small_blocks);
    outq_init(&c->out, &l->large_blocks);
    struct conn_target target = {
        .address = to->address,
        .tls = to->tls,
        .server_name = to->server_name,
        .speaks_first = true,
    };
    conn_connect(&c->conn, l, &conn_ops, &c->out, &target);
    c->conn.is_gathering = 1;
    deadline_set(l, &c->conn.deadline, to->timeout_ms);
    return c;
}
