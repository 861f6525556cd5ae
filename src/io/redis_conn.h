/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection to one Redis server (or Sentinel), plain, over TLS or a Unix socket.
 * Calls of a loop's turn leave in one write; replies come in the order of the calls.
 *
 *   CONNECTING --connect, TLS, AUTH, SELECT or PING--> READY --> DEAD
 *
 * Calls are taken while READY only. Nothing is repeated and no call has a deadline:
 * whoever calls knows how long he waits, and lets go of the call then. One thread.
 */
#pragma once

#include "io/conn.h"
#include "io/redis_reply.h"

enum { REDIS_CALLS_MAX = 16384 }; /* under way on a connection */

struct redis_conn;

/* Embedded in the caller's record of what he waits for; set on_reply before the call. */
struct redis_call {
    /* Once for each call, from the loop or within redis_conn_close(): its reply, of which
     * nothing stays afterwards, or NULL: the connection has ended, and nobody knows whether
     * it was done. The record is the caller's own again; it may call anew. */
    void (*on_reply)(struct redis_call *call, const struct redis_reply *r);
    struct redis_conn *conn; /* NULL: not under way */
    uint32_t           number;
};

struct redis_target {
    const struct address *address;
    struct tls_client    *tls;         /* NULL: plain */
    struct slice          server_name; /* for SNI and verification */
    struct slice          username;    /* empty: the default user */
    struct slice          password;    /* empty: no AUTH */
    uint32_t              database;
    uint64_t              timeout_ms; /* until READY; the loop's deadlines, so 50 ms more */
};

/* From the loop only. */
struct redis_conn_ops {
    void (*on_ready)(struct redis_conn *c);
    /* The last one, after all calls under way have been told; the memory goes by itself.
     * `why` for people: "connect: Connection refused", "WRONGPASS invalid username...". */
    void (*on_dead)(struct redis_conn *c, const char *why);
    /* A message of a channel that was subscribed to: redis_text_at() 0 to 2 are its kind, the
     * channel and the text. NULL: nothing is subscribed to. */
    void (*on_message)(struct redis_conn *c, const struct redis_reply *r);
};

/* Starts connecting. Nothing of `to` is kept but what its pointers' owners keep: texts are
 * copied, a Unix path and `tls` must stay while it connects. */
struct redis_conn *redis_conn_new(struct loop *l, const struct redis_target *to,
                                  const struct redis_conn_ops *ops, void *arg);
void              *redis_conn_arg(const struct redis_conn *c);
bool               redis_conn_is_ready(const struct redis_conn *c);
/* Calls that are under way, dropped ones as well. */
uint32_t redis_conn_pending(const struct redis_conn *c);

/* `call` NULL: nobody wants the reply. False, and nothing has been sent: not READY, or
 * REDIS_CALLS_MAX are under way. Arguments are copied. */
bool redis_conn_call(struct redis_conn *c, struct redis_call *call, const struct slice *args,
                     size_t count) __attribute__((warn_unused_result));
/* Lets go of a call: on_reply does not come any more. One that is not under way may be
 * dropped as well. */
void redis_call_drop(struct redis_call *call);

/* Ends it: on_reply(NULL) for what is under way, no on_dead. Accepts NULL. */
void redis_conn_close(struct redis_conn *c);
