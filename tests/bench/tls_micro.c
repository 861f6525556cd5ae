/* SPDX-License-Identifier: Apache-2.0
 *
 * What TLS costs the server side alone, without sockets: handshakes with one
 * small request and response each, and the memory of an idle connection.
 *     tls_micro ecdsa|rsa|resumed|bulk COUNT     microseconds of the server a handshake (a MiB)
 *     tls_micro requests COUNT                   the same a request on one connection
 *     tls_micro idle COUNT                       bytes an idle server connection
 * Profile with: valgrind --tool=callgrind --toggle-collect=serve tls_micro ecdsa 200
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/tls.h"

#include "../unit/io/tls_pki.h"

enum { PIECE_BYTES = 128 * 1024, REQUEST_BYTES = 200, RESPONSE_BYTES = 1200 };

struct bench {
    struct loop        loop;
    struct tls_server *server;
    struct tls_client *client;
    char               cipher[PIECE_BYTES];
    char               plain[PIECE_BYTES];
    uint64_t           server_ns;
};

struct ends {
    struct tls *server;
    struct tls *client;
};

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "tls_micro: %s: %s\n", what, why);
    exit(1);
}

static void set_up(struct bench *b, bool is_rsa)
{
    struct error  e = { "" };
    struct buffer cert = BUFFER_INIT, key = BUFFER_INIT, ca = BUFFER_INIT;
    struct pki    root = pki_make(&(struct pki_request){ .subject = "root", .is_ca = true });
    struct pki    leaf = pki_make(&(struct pki_request){ .subject = "leaf",
                                                         .san = "DNS:a.example",
                                                         .key = is_rsa ? "RSA" : "P-256",
                                                         .issuer = &root });
    pki_put_cert(&cert, &leaf);
    pki_put_key(&key, &leaf);
    pki_put_cert(&ca, &root);
    struct tls_certificate_pem pem = { "cert", buffer_slice(&cert), "key", buffer_slice(&key),
                                       S("") };
    struct tls_server_settings ss = { .certificates = &pem,
                                      .certificate_count = 1,
                                      .has_tickets = true };
    struct tls_client_settings cs = { .verifies = false };
    struct tls_store          *store = tls_store_new(&ss, NULL, &e);
    if (!store) fail("store", e.text);
    struct tls_ticket_keys *keys = tls_ticket_keys_new();
    b->server = tls_server_new(store, keys, &e);
    b->client = tls_client_new(&cs, &e);
    if (!b->server || !b->client) fail("contexts", e.text);
    block_pool_init(&b->loop.large_blocks, 16384, 64);
    clock_refresh(&b->loop.clock);
    tls_store_free(store);
    tls_ticket_keys_free(keys);
    buffer_reset(&cert);
    buffer_reset(&key);
    buffer_reset(&ca);
    pki_free(&root);
    pki_free(&leaf);
}

static size_t drain(struct bench *b, struct tls *from)
{
    struct outq *q = tls_out(from);
    size_t       len = 0;
    while (!outq_is_empty(q)) {
        struct slice piece = outq_front(q);
        memcpy(b->cipher + len, piece.data, piece.len);
        len += piece.len;
        outq_consume(q, piece.len);
    }
    return len;
}

/* What a worker does for one wake-up of a connection. */
__attribute__((noinline, noclone)) static bool serve(struct bench *b, struct tls *t, size_t len)
{
    size_t got;
    bool   has_answered = false;
    if (len) tls_give(t, b->cipher, len);
    enum tls_result r = tls_handshake(t);
    while (r == TLS_OK) {
        r = tls_read(t, b->plain, sizeof(b->plain), &got);
        if (r != TLS_OK) break;
        struct iovec iov[] = { { b->plain, 200 }, { b->plain + 4096, RESPONSE_BYTES - 200 } };
        if (tls_write(t, iov, 2) != TLS_OK) fail("write", tls_failure(t));
        has_answered = true;
    }
    if (r != TLS_AGAIN) fail("server", tls_failure(t));
    return has_answered;
}

/* Of this thread, so that neighbours on a busy machine do not count. */
static uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool serve_timed(struct bench *b, struct tls *t, size_t len)
{
    uint64_t before = cpu_ns();
    bool     has_answered = serve(b, t, len);
    b->server_ns += cpu_ns() - before;
    return has_answered;
}

/* Asks once it is open; true when it has. */
static bool ask(struct bench *b, struct tls *t, size_t len)
{
    struct iovec request = { b->plain, REQUEST_BYTES };
    if (len) tls_give(t, b->cipher, len);
    enum tls_result r = tls_handshake(t);
    if (r == TLS_AGAIN) return false;
    if (r != TLS_OK || tls_write(t, &request, 1) != TLS_OK) fail("client", tls_failure(t));
    return true;
}

static struct ends connect_and_ask(struct bench *b)
{
    uint64_t    before = cpu_ns();
    struct ends e = { .server = tls_accept(b->server, &b->loop) };
    b->server_ns += cpu_ns() - before;
    e.client = tls_connect(b->client, &b->loop, S("a.example"));
    size_t got, len = 0;
    while (!ask(b, e.client, len)) {
        serve_timed(b, e.server, drain(b, e.client));
        len = drain(b, e.server);
    }
    if (!serve_timed(b, e.server, drain(b, e.client))) fail("server", "no answer");
    tls_give(e.client, b->cipher, drain(b, e.server));
    if (tls_read(e.client, b->plain, sizeof(b->plain), &got) != TLS_OK || got != RESPONSE_BYTES)
        fail("client", "no answer");
    if (tls_read(e.client, b->plain, sizeof(b->plain), &got) != TLS_AGAIN) fail("client", "more");
    return e;
}

static void handshakes(struct bench *b, int count, bool is_resumed)
{
    struct error               e;
    struct tls_client_settings cs = { .verifies = false };
    for (int i = 0; i < count; i++) {
        if (!is_resumed) {
            tls_client_unref(b->client);
            b->client = tls_client_new(&cs, &e);
        }
        struct ends ends = connect_and_ask(b);
        if (i && tls_is_resumed(ends.server) != is_resumed) fail("resumption", "not as wanted");
        if (i == 0) b->server_ns = 0;
        uint64_t before = cpu_ns();
        tls_free(ends.server);
        b->server_ns += cpu_ns() - before;
        tls_free(ends.client);
    }
    printf("%.1f us\n", (double)b->server_ns / 1000 / (count > 1 ? count - 1 : 1));
}

static void requests(struct bench *b, int count)
{
    struct ends  e = connect_and_ask(b);
    struct iovec request = { b->plain, REQUEST_BYTES };
    b->server_ns = 0;
    for (int i = 0; i < count; i++) {
        size_t got;
        if (tls_write(e.client, &request, 1) != TLS_OK) fail("client", tls_failure(e.client));
        if (!serve_timed(b, e.server, drain(b, e.client))) fail("server", "no answer");
        tls_give(e.client, b->cipher, drain(b, e.server));
        if (tls_read(e.client, b->plain, sizeof(b->plain), &got) != TLS_OK) fail("client", "EOF");
    }
    printf("%.2f us\n", (double)b->server_ns / 1000 / count);
    tls_free(e.server);
    tls_free(e.client);
}

static void bulk(struct bench *b, int count)
{
    struct ends  e = connect_and_ask(b);
    struct iovec iov[] = { { b->plain, 200 }, { b->plain + 200, 100 * 1024 - 200 } };
    uint64_t     before = cpu_ns();
    for (int i = 0; i < count * 10; i++) {
        if (tls_write(e.server, iov, 2) != TLS_OK) fail("write", tls_failure(e.server));
        outq_reset(tls_out(e.server));
    }
    printf("%.1f us a 100 KiB\n", (double)(cpu_ns() - before) / 1000 / count / 10);
    tls_free(e.server);
    tls_free(e.client);
}

static void idle(struct bench *b, int count)
{
    struct ends *all = mem_alloc((size_t)count * sizeof(*all));
    struct ends  first = connect_and_ask(b); /* what is allocated once */
    tls_free(first.client);
    size_t before = mallinfo2().uordblks, clients = 0;
    for (int i = 0; i < count; i++) {
        all[i] = connect_and_ask(b);
        size_t with = mallinfo2().uordblks;
        tls_free(all[i].client);
        clients += with - mallinfo2().uordblks;
    }
    printf("%zu bytes a server connection, %zu a client\n",
           (mallinfo2().uordblks - before) / (size_t)count, clients / (size_t)count);
    for (int i = 0; i < count; i++) tls_free(all[i].server);
    tls_free(first.server);
    free(all);
}

int main(int argc, char **argv)
{
    static struct bench b;
    int                 count = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 1000;
    const char         *what = argc > 1 ? argv[1] : "ecdsa";
    set_up(&b, strcmp(what, "rsa") == 0);
    if (strcmp(what, "idle") == 0)
        idle(&b, count);
    else if (strcmp(what, "requests") == 0)
        requests(&b, count);
    else if (strcmp(what, "bulk") == 0)
        bulk(&b, count);
    else
        handshakes(&b, count, strcmp(what, "resumed") == 0);
    tls_client_unref(b.client);
    tls_server_unref(b.server);
    block_pool_reset(&b.loop.large_blocks);
    return 0;
}
