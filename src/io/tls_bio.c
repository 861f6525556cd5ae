/* SPDX-License-Identifier: Apache-2.0
 *
 * Where OpenSSL reads and writes: ciphertext that was received lies in a
 * borrowed span, ciphertext to send gathers in a queue. No system call is made
 * here; OpenSSL makes small reads (header, body of each record), and they cost
 * a memcpy each.
 */
#include <openssl/err.h>

#include "base/memory.h"
#include "io/tls_internal.h"

static int on_read(BIO *bio, char *to, int capacity)
{
    struct tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (capacity <= 0) return 0;
    if (!t->in_bytes) {
        if (t->has_ended) return 0;
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t n = t->in_bytes < (size_t)capacity ? t->in_bytes : (size_t)capacity;
    memcpy(to, t->in, n);
    t->in += n;
    t->in_bytes -= n;
    return (int)n;
}

static int on_write(BIO *bio, const char *data, int len)
{
    struct tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (len > 0) outq_put(&t->out, data, (size_t)len);
    return len;
}

static long on_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    /* The end is not told by BIO_CTRL_EOF: OpenSSL would answer with an alert, and
     * a peer that only half-closed could not be answered any more. */
    return command == BIO_CTRL_FLUSH;
}

BIO_METHOD *tls_bio_method_new(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "span and queue");
    if (!m || !BIO_meth_set_read(m, on_read) || !BIO_meth_set_write(m, on_write) ||
        !BIO_meth_set_ctrl(m, on_control))
        abort();
    return m;
}

struct tls *tls_new(SSL_CTX *context, BIO_METHOD *method, struct loop *l)
{
    SSL *ssl = SSL_new(context);
    BIO *bio = ssl ? BIO_new(method) : NULL;
    if (!bio) {
        SSL_free(ssl);
        return NULL;
    }
    struct tls *t = mem_zalloc(sizeof(*t));
    t->ssl = ssl;
    t->loop = l;
    outq_init(&t->out, &l->large_blocks);
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    return t;
}

struct tls *tls_of(const SSL *ssl)
{
    return BIO_get_data(SSL_get_rbio(ssl));
}

void tls_free(struct tls *t)
{
    if (!t) return;
    /* Not a failed session: it stays good for resumption. */
    if (t->is_open && !t->is_broken)
        SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(t->ssl);
    outq_reset(&t->out);
    tls_server_unref(t->server);
    tls_client_unref(t->client);
    free(t->kept);
    free(t->name);
    free(t->failure);
    free(t);
}

/* `in` becomes a copy of itself and of `more`. */
static void keep_with(struct tls *t, const char *more, size_t more_bytes)
{
    char *all = mem_alloc(t->in_bytes + more_bytes);
    memcpy(all, t->in, t->in_bytes);
    if (more_bytes) memcpy(all + t->in_bytes, more, more_bytes);
    free(t->kept);
    t->in = t->kept = all;
    t->in_bytes += more_bytes;
}

void tls_give(struct tls *t, const char *data, size_t len)
{
    if (!len) {
        t->has_ended = true;
    } else if (t->in_bytes) {
        keep_with(t, data, len);
    } else {
        free(t->kept);
        t->kept = NULL;
        t->in = data;
        t->in_bytes = len;
    }
}

void tls_keep(struct tls *t)
{
    if (t->in_bytes && !t->kept) {
        keep_with(t, NULL, 0);
    } else if (!t->in_bytes) {
        free(t->kept);
        t->kept = NULL;
        t->in = NULL;
    }
}

bool tls_has_input(const struct tls *t)
{
    return t->in_bytes > 0 || SSL_pending(t->ssl) > 0;
}

/* A server's last flight of TLS 1.3 is the ticket; the handshake was complete without
 * it (RFC 8446 section 4.6.1). In TLS 1.2 it is Finished. */
bool tls_out_may_wait(const struct tls *t)
{
    return t->is_open && t->server && SSL_version(t->ssl) == TLS1_3_VERSION;
}

struct outq *tls_out(struct tls *t)
{
    return &t->out;
}
