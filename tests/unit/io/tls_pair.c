/* SPDX-License-Identifier: Apache-2.0
 *
 * Two TLS connections in memory. See tls_pair.h.
 */
#include "tls_pair.h"

#include <stdlib.h>

#include "base/memory.h"

void pair_init(struct pair *p)
{
    memset(p, 0, sizeof(*p));
    block_pool_init(&p->loop.large_blocks, 16384, 16);
    clock_refresh(&p->loop.clock);
}

static void side_reset(struct side *s)
{
    tls_free(s->tls);
    buffer_reset(&s->got);
    *s = (struct side){ .tls = NULL };
}

void pair_free(struct pair *p)
{
    side_reset(&p->server);
    side_reset(&p->client);
    block_pool_reset(&p->loop.large_blocks);
}

static void drive(struct side *s)
{
    char to[40000];
    if (!s->is_open) {
        s->last = tls_handshake(s->tls);
        s->is_open = s->last == TLS_OK;
    }
    while (s->is_open) {
        size_t n;
        s->last = tls_read(s->tls, to, sizeof(to), &n);
        buffer_put(&s->got, to, n);
        if (s->last != TLS_OK) break;
    }
}

/* Record headers, RFC 8446 section 5.1. */
static void count_records(struct side *from, const char *data, size_t len)
{
    const unsigned char *at = (const unsigned char *)data;
    while (len >= 5) {
        size_t record = (size_t)at[3] << 8 | at[4];
        if (record > from->largest_record) from->largest_record = record;
        from->record_count++;
        if (record + 5 > len) break;
        at += record + 5;
        len -= record + 5;
    }
}

static bool carry(struct pair *p, struct side *from, struct side *to)
{
    struct outq *q = tls_out(from->tls);
    size_t       len = q->bytes;
    if (!len) return false;
    char *data = mem_alloc(len);
    for (size_t at = 0; !outq_is_empty(q);) {
        struct slice piece = outq_front(q);
        memcpy(data + at, piece.data, piece.len);
        at += piece.len;
        outq_consume(q, piece.len);
    }
    if (from->is_open) count_records(from, data, len);
    for (size_t at = 0; at < len;) {
        size_t n = p->step && p->step < len - at ? p->step : len - at;
        /* A copy of its own, so that a use after the call is seen by sanitizers. */
        char *piece = mem_alloc(n);
        memcpy(piece, data + at, n);
        tls_give(to->tls, piece, n);
        drive(to);
        tls_keep(to->tls);
        free(piece);
        at += n;
    }
    free(data);
    return true;
}

void pair_run(struct pair *p)
{
    drive(&p->client);
    drive(&p->server);
    bool has_moved = true;
    while (has_moved) {
        has_moved = carry(p, &p->client, &p->server);
        has_moved |= carry(p, &p->server, &p->client);
    }
}

bool pair_connect(struct pair *p, struct tls_server *s, struct tls_client *c, const char *host)
{
    side_reset(&p->server);
    side_reset(&p->client);
    p->server.tls = tls_accept(s, &p->loop);
    p->client.tls = tls_connect(c, &p->loop, slice_of(host));
    pair_run(p);
    return p->server.is_open && p->client.is_open;
}

void pair_write(struct pair *p, struct side *from, const void *data, size_t len)
{
    struct iovec iov = { (void *)(uintptr_t)data, len };
    if (tls_write(from->tls, &iov, 1) != TLS_OK) abort();
    pair_run(p);
}
