/* SPDX-License-Identifier: Apache-2.0
 *
 * A relay that only moves bytes, on the program's own loop and connections: the
 * floor below which a proxied request cannot fall here. One connection to the
 * origin for each client, kept as long as his.
 *
 *     relay 127.0.0.1:8080 127.0.0.1:9000
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "io/conn.h"
#include "io/listener.h"

enum { BACKLOG = 1024, IDLE_MS = 60000 };

struct relay {
    struct listener listener;
    struct loop    *loop;
    struct address  origin;
};

/* Two ends that pass on what they get; freed with the second one. */
struct end {
    struct conn conn;
    struct outq out;
    struct end *other; /* NULL once it is gone */
};

static struct end *end_of(struct conn *c)
{
    return container_of(c, struct end, conn);
}

static void close_both(struct end *e)
{
    if (e->other) conn_close(&e->other->conn, false);
    conn_close(&e->conn, false);
}

static size_t on_input(struct conn *c, const char *data, size_t len)
{
    struct end *to = end_of(c)->other;
    outq_borrow(&to->out, data, len);
    conn_want_flush(&to->conn);
    deadline_set(c->loop, &c->deadline, IDLE_MS);
    return len;
}

/* Not all of it could be written: no more until it is. */
static void on_sent(struct conn *c)
{
    struct end *e = end_of(c);
    if (outq_is_empty(&e->out))
        conn_resume(&e->other->conn);
    else
        conn_pause(&e->other->conn);
}

static void on_eof(struct conn *c)
{
    conn_shutdown_write(&end_of(c)->other->conn);
    if (end_of(c)->other->conn.has_eof) close_both(end_of(c));
}

static void on_fault(struct conn *c, enum conn_fault fault)
{
    (void)fault;
    close_both(end_of(c));
}

static void on_deadline(struct conn *c)
{
    close_both(end_of(c));
}

static void on_free(struct conn *c)
{
    struct end *e = end_of(c);
    if (e->other) e->other->other = NULL;
    outq_reset(&e->out);
    free(e);
}

static const struct conn_ops ops = {
    NULL, on_input, on_eof, on_sent, on_fault, on_deadline, on_free
};

static struct end *end_new(struct loop *l)
{
    struct end *e = mem_zalloc(sizeof(*e));
    outq_init(&e->out, &l->large_blocks);
    return e;
}

static void on_accept(struct listener *l, int fd, const struct address *peer)
{
    (void)peer;
    struct relay      *r = container_of(l, struct relay, listener);
    struct end        *client = end_new(r->loop), *server = end_new(r->loop);
    struct conn_target to = { .address = &r->origin };
    client->other = server;
    server->other = client;
    conn_accept(&client->conn, r->loop, &ops, &client->out, fd, NULL);
    conn_connect(&server->conn, r->loop, &ops, &server->out, &to);
}

int main(int argc, char **argv)
{
    struct relay   r = { .loop = NULL };
    struct address here;
    struct arena   arena;
    struct error   e;
    int            fd;
    arena_init(&arena, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (argc != 3) {
        fprintf(stderr, "usage: relay ADDRESS ORIGIN\n");
        return 2;
    }
    if (!address_parse(&here, slice_of(argv[1]), &arena, &e) ||
        !address_parse(&r.origin, slice_of(argv[2]), &arena, &e) ||
        (fd = listener_bind(&here, BACKLOG, false, &e)) < 0) {
        fprintf(stderr, "relay: %s\n", e.text);
        return 1;
    }
    r.loop = loop_new(NULL);
    if (!r.loop || !listener_start(&r.listener, r.loop, fd, on_accept)) return 1;
    loop_run(r.loop);
    return 0;
}
