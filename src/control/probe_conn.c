/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks that need no request: a connection, or a TLS handshake over one. See
 * prober_parts.h.
 */
#include <assert.h>
#include <stdio.h>

#include "control/prober_parts.h"
#include "io/tls.h"

static struct check *of_conn(struct conn *c)
{
    return container_of(c, struct check, conn);
}

static void on_open(struct conn *conn)
{
    struct check *c = of_conn(conn);
    char          output[ROSTER_REASON_MAX];
    /* A server that awaits a PROXY header gets one before the end. */
    if (c->of->preamble.len) conn_flush_all(conn->loop);
    if (conn->is_closed) return;
    if (conn->tls)
        snprintf(output, sizeof(output), "handshake done, %s", tls_version(conn->tls));
    else
        snprintf(output, sizeof(output), "connected");
    check_judge(c, true, true, output);
}

static size_t on_input(struct conn *conn, const char *data, size_t len)
{
    (void)conn;
    (void)data;
    return len;
}

static void on_eof(struct conn *conn)
{
    check_fail(of_conn(conn), "connection_closed");
}

static void on_fault(struct conn *conn, enum conn_fault fault)
{
    check_unconnected(of_conn(conn), conn_fault_text(conn, fault));
}

static void on_free(struct conn *conn)
{
    check_conn_gone(of_conn(conn));
}

static const struct conn_ops conn_ops = {
    .on_open = on_open,
    .on_input = on_input,
    .on_eof = on_eof,
    .on_fault = on_fault,
    .on_free = on_free,
};

static void start(struct check *c, struct tls_client *tls)
{
    struct prober     *p = c->prober;
    struct conn_target to = {
        .address = &c->member->endpoint->address,
        .tls = tls,
        .server_name = slice_of(c->member->endpoint->server_name),
        .preamble = c->of->preamble,
        .speaks_first = tls != NULL,
    };
    assert(!c->has_conn);
    c->has_conn = true;
    conn_connect(&c->conn, p->loop, &conn_ops, &p->client.no_output, &to);
}

static void start_tls(struct check *c)
{
    struct upstream *u = c->of->upstream;
    start(c, u->tls ? u->tls[c->prober->client.worker_index] : NULL);
}

static void start_tcp(struct check *c)
{
    start(c, NULL);
}

static void stop(struct check *c)
{
    if (c->has_conn) conn_close(&c->conn, false);
}

static bool is_connected(const struct check *c)
{
    return !c->conn.is_connecting;
}

const struct check_type probe_tls = { start_tls, stop, is_connected };
const struct check_type probe_tcp = { start_tcp, stop, is_connected };
