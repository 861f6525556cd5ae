/* SPDX-License-Identifier: Apache-2.0
 *
 * WebSockets are told to go. See farewell.h.
 */
#include "proxy/farewell.h"

#include "http/websocket.h"
#include "proxy/attempt.h"

enum {
    DUE_MS = 30000,   /* for what is on its way to the client, that frame's rest included */
    ANSWER_MS = 2000, /* for the client's Close */
    LAST_MS = 3000,   /* for the replica's end */
    KEY_BYTES = 4,
};

enum farewell_state {
    FAREWELL_NONE,   /* nobody was told; no time of its own */
    FAREWELL_DUE,    /* until the Close has gone to the client: DUE_MS */
    FAREWELL_ANSWER, /* until the client's: ANSWER_MS */
    FAREWELL_LAST,   /* until the replica ends: LAST_MS */
};

struct farewell {
    struct exchange      *x;
    struct list           link; /* worker.websockets */
    struct upstream_watch watch;
    struct websocket_scan from_client, from_replica;
    enum farewell_state   state;
    uint64_t              until_ms;    /* loop clock */
    uint64_t              taken_bytes; /* of the replica's, by the client */
    bool                  has_closed;  /* the client had our Close: nothing more comes after it */
    bool                  has_told_other; /* the same of the replica */
    bool                  has_ended;      /* the client had the end as well */
    char                  close[WEBSOCKET_CLOSE_MAX];
};

static void enter(struct farewell *f, enum farewell_state state, uint64_t most_ms)
{
    f->state = state;
    f->until_ms = f->x->worker->loop->clock.now_ms + most_ms;
    exchange_progress(f->x);
}

static void close_client(struct farewell *f)
{
    size_t len = websocket_write_close(f->close, WEBSOCKET_GOING_AWAY, NULL);
    f->has_closed = true;
    http_stream_send_body(f->x->stream, slice_make(f->close, len));
}

/* In the client's name, which does not answer. */
static void close_replica(struct farewell *f)
{
    char key[KEY_BYTES];
    random_secret(key, sizeof(key));
    size_t len = websocket_write_close(f->close, WEBSOCKET_GOING_AWAY, key);
    f->has_told_other = true;
    attempt_body(f->x->attempt, slice_make(f->close, len));
}

static bool is_broken(const struct farewell *f)
{
    return f->from_client.part == WEBSOCKET_BROKEN || f->from_replica.part == WEBSOCKET_BROKEN;
}

static bool is_closing(const struct farewell *f)
{
    return websocket_is_closing(&f->from_client) || websocket_is_closing(&f->from_replica);
}

static void tell(struct farewell *f)
{
    if (f->state != FAREWELL_NONE || is_broken(f)) return;
    counter_add(&f->x->worker->stats->websockets_told, 1);
    f->x->reason = "going_away";
    if (is_closing(f)) { /* they are about it by themselves */
        enter(f, FAREWELL_ANSWER, ANSWER_MS);
        return;
    }
    enter(f, FAREWELL_DUE, DUE_MS);
    if (f->from_replica.part == WEBSOCKET_BOUNDARY) close_client(f);
}

/* ---- bytes ---- */

/* The frame that the Close waited for is whole, or there will be no Close. */
static void end_frame(struct farewell *f)
{
    if (f->from_replica.part == WEBSOCKET_BROKEN)
        f->state = FAREWELL_NONE;
    else if (f->from_replica.has_closed)
        enter(f, FAREWELL_ANSWER, ANSWER_MS);
    else
        close_client(f);
}

void farewell_relay(struct exchange *x, struct slice data)
{
    struct farewell *f = x->farewell;
    size_t           used = 0;
    bool             is_due = f->state == FAREWELL_DUE;
    if (!f->has_closed) {
        used = websocket_scan(&f->from_replica, data, is_due);
        exchange_respond_body(x, slice_make(data.data, used));
        if (is_due && (used < data.len || f->from_replica.part == WEBSOCKET_BOUNDARY ||
                       f->from_replica.part == WEBSOCKET_BROKEN))
            end_frame(f);
    }
    if (used == data.len) return;
    if (f->has_closed)
        attempt_consumed(x->attempt, data.len - used);
    else
        exchange_respond_body(x, slice_from(data, used));
}

void farewell_end_client(struct exchange *x)
{
    if (!x->farewell->has_ended) http_stream_send_end(x->stream, NULL);
    x->farewell->has_ended = true;
}

bool farewell_lets_pass(struct exchange *x, struct slice data)
{
    struct farewell *f = x->farewell;
    websocket_scan(&f->from_client, data, false);
    /* It has both: a server ends the connection first (section 7.1.1). */
    if (f->has_closed && f->from_client.has_closed) farewell_end_client(x);
    return !f->has_told_other;
}

size_t farewell_sent(struct exchange *x, size_t bytes)
{
    struct farewell *f = x->farewell;
    uint64_t         left_bytes = x->response_bytes - f->taken_bytes;
    size_t           count = bytes < left_bytes ? bytes : (size_t)left_bytes;
    f->taken_bytes += count;
    if (f->state == FAREWELL_DUE && f->has_closed && !x->stream->unsent_bytes)
        enter(f, FAREWELL_ANSWER, ANSWER_MS);
    return count;
}

/* ---- time ---- */

uint64_t farewell_ms(const struct exchange *x)
{
    const struct farewell *f = x->farewell;
    uint64_t               now_ms = x->worker->loop->clock.now_ms;
    if (f->state == FAREWELL_NONE) return 0;
    return f->until_ms > now_ms ? f->until_ms - now_ms : 1;
}

bool farewell_goes_on(struct exchange *x)
{
    struct farewell *f = x->farewell;
    if (f->state == FAREWELL_NONE || f->state == FAREWELL_LAST) return false;
    if (f->from_client.part == WEBSOCKET_BOUNDARY && !f->from_client.has_closed &&
        !x->request_ended)
        close_replica(f);
    enter(f, FAREWELL_LAST, LAST_MS);
    return true;
}

/* ---- life ---- */

static void on_leaving(struct upstream_watch *w)
{
    tell(container_of(w, struct farewell, watch));
}

void farewell_begin(struct exchange *x)
{
    struct worker   *w = x->worker;
    struct farewell *f = arena_zalloc(&x->arena, sizeof(*f));
    f->x = x;
    f->from_client.is_masked = true;
    f->watch.on_leaving = on_leaving;
    list_init(&f->watch.link);
    list_append(&w->websockets, &f->link);
    x->farewell = f;
    bool is_leaving =
        !upstream_client_watch(&w->upstreams, x->route->upstream, x->attempt->endpoint, &f->watch);
    if (is_leaving || w->is_draining) tell(f);
}

void farewell_end(struct exchange *x)
{
    struct farewell *f = x->farewell;
    if (!f) return;
    list_remove(&f->link);
    list_remove(&f->watch.link);
    x->farewell = NULL;
}

void farewell_all(struct worker *w)
{
    LIST_EACH (it, &w->websockets) tell(container_of(it, struct farewell, link));
}
