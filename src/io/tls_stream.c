/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of one TLS connection: handshake, reading, writing in records of a
 * fitting size, the end, and why it failed.
 *
 * Records are small at first, so that a browser can decrypt before its first
 * flight of packets is complete, and full once the congestion window has grown.
 * Pieces of one flush share a record as far as it goes.
 */
#include <openssl/err.h>

#include "base/memory.h"
#include "io/tls_internal.h"

enum {
    RECORD_SMALL = 4 * 1024,
    RECORD_FULL = 16 * 1024,
    RAMP_BYTES = 64 * 1024, /* sent in small records before full ones */
    RAMP_IDLE_MS = 1000,    /* the congestion window is small again after such a pause */
};

/* ---- failure ---- */

void tls_fail(struct tls *t, const char *format, ...)
{
    struct buffer text = BUFFER_INIT;
    va_list       args;
    t->is_broken = true;
    if (t->failure) return; /* the first reason is the cause */
    va_start(args, format);
    buffer_vprintf(&text, format, args);
    va_end(args);
    t->failure = buffer_detach(&text);
}

const char *tls_failure(const struct tls *t)
{
    return t->failure ? t->failure : "";
}

static void fail_by_queue(struct tls *t)
{
    unsigned long error = ERR_peek_error();
    int           reason = ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : 0;
    const char   *text = ERR_reason_error_string(error);
    if (reason > SSL_AD_REASON_OFFSET)
        tls_fail(t, "the peer sent the alert \"%s\"",
                 SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET));
    else if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
        tls_fail(t, "the peer's certificate is not accepted: %s",
                 X509_verify_cert_error_string(SSL_get_verify_result(t->ssl)));
    else if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
        tls_fail(t, "the client sent no certificate, and one is required");
    else if (reason == SSL_R_HTTP_REQUEST)
        tls_fail(t, "plain HTTP was sent to a TLS port");
    else if (reason == SSL_R_WRONG_VERSION_NUMBER)
        tls_fail(t, "the peer does not speak TLS (wrong version number)");
    else
        tls_fail(t, "%s", text ? text : "the TLS layer failed without a reason");
}

/* What a failed call of OpenSSL means; TLS_AGAIN or an end. */
static enum tls_result outcome(struct tls *t, int result)
{
    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_WANT_READ: return TLS_AGAIN;
    case SSL_ERROR_ZERO_RETURN: return TLS_EOF;
    case SSL_ERROR_SYSCALL:
        if (t->has_ended && t->is_open) return TLS_TRUNCATED;
        tls_fail(t, "the peer closed the connection during the handshake");
        return TLS_BROKEN;
    default:
        fail_by_queue(t);
        ERR_clear_error();
        return TLS_BROKEN;
    }
}

/* SSL_get_error() looks at the thread's queue: what others left there must go. */
static void forget_old_errors(void)
{
    if (ERR_peek_error()) ERR_clear_error();
}

/* ---- handshake ---- */

static enum tls_alpn chosen_alpn(const struct tls *t)
{
    const unsigned char *data;
    unsigned             len;
    SSL_get0_alpn_selected(t->ssl, &data, &len);
    struct slice name = slice_make((const char *)data, len);
    if (slice_eq(name, S("h2"))) return TLS_ALPN_H2;
    if (slice_eq(name, S("http/1.1"))) return TLS_ALPN_HTTP_1_1;
    return TLS_ALPN_NONE;
}

static void note_sni(struct tls *t)
{
    struct slice sni = slice_of(SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name));
    for (size_t i = 0; i < sni.len; i++) {
        if (sni.data[i] < 'A' || sni.data[i] > 'Z') continue;
        if (!t->name) t->name = mem_slicedup(sni);
        t->name[i] = (char)(t->name[i] | 0x20);
    }
    t->sni = t->name ? slice_make(t->name, sni.len) : sni;
}

/* OpenSSL keeps the keys of the key exchange until the connection ends: secrets of no
 * further use, and with ML-KEM some 6 KB. A new type drops what a key holds. */
static void forget_exchange_keys(const struct tls *t)
{
    EVP_PKEY *own = NULL, *peers = NULL;
    if (SSL_get_tmp_key(t->ssl, &own)) EVP_PKEY_set_type(own, EVP_PKEY_RSA);
    if (SSL_get_peer_tmp_key(t->ssl, &peers)) EVP_PKEY_set_type(peers, EVP_PKEY_RSA);
    EVP_PKEY_free(own);
    EVP_PKEY_free(peers);
}

enum tls_result tls_handshake(struct tls *t)
{
    if (t->is_broken) return TLS_BROKEN;
    if (t->is_open) return TLS_OK;
    forget_old_errors();
    int result = SSL_do_handshake(t->ssl);
    if (result != 1) {
        enum tls_result r = outcome(t, result);
        if (r != TLS_EOF) return r;
        tls_fail(t, "the peer closed the connection during the handshake");
        return TLS_BROKEN;
    }
    t->is_open = true;
    t->alpn = chosen_alpn(t);
    if (t->server) note_sni(t);
    forget_exchange_keys(t);
    return TLS_OK;
}

/* ---- reading ---- */

/* Without a call to OpenSSL where it could only say that it wants more. */
static bool is_dry(const struct tls *t)
{
    return !t->in_bytes && !t->has_ended && !SSL_has_pending(t->ssl) &&
           !(SSL_get_shutdown(t->ssl) & SSL_RECEIVED_SHUTDOWN);
}

enum tls_result tls_read(struct tls *t, char *to, size_t capacity, size_t *got)
{
    *got = 0;
    if (t->is_broken) return TLS_BROKEN;
    forget_old_errors();
    while (*got < capacity) {
        size_t n = 0;
        if (is_dry(t)) return *got ? TLS_OK : TLS_AGAIN;
        int result = SSL_read_ex(t->ssl, to + *got, capacity - *got, &n);
        if (result == 1) {
            *got += n;
            continue;
        }
        enum tls_result r = outcome(t, result);
        /* An end that comes behind data is told by the next call. */
        return *got ? TLS_OK : r;
    }
    return TLS_OK;
}

/* ---- writing ---- */

static size_t record_bytes(struct tls *t)
{
    uint64_t now = t->loop->clock.now_ms;
    if (now - t->written_at_ms > RAMP_IDLE_MS) t->ramp_bytes = 0;
    t->written_at_ms = now;
    return t->ramp_bytes < RAMP_BYTES ? RECORD_SMALL : RECORD_FULL;
}

static enum tls_result write_record(struct tls *t, const char *data, size_t len)
{
    size_t done;
    t->ramp_bytes += len;
    int result = SSL_write_ex(t->ssl, data, len, &done);
    if (result == 1) return TLS_OK;
    enum tls_result r = outcome(t, result);
    /* The queue takes everything: OpenSSL has no reason to wait. */
    if (r == TLS_AGAIN) tls_fail(t, "the TLS layer waits for input before it can write");
    t->is_broken = true;
    return TLS_BROKEN;
}

struct source {
    const struct iovec *iov;
    int                 count;
    size_t              used; /* of iov[0] */
};

static void advance(struct source *s, size_t len)
{
    s->used += len;
    while (s->count && s->used == s->iov->iov_len) {
        s->used = 0;
        s->iov++;
        s->count--;
    }
}

static struct slice front(const struct source *s)
{
    return slice_make((const char *)s->iov->iov_base + s->used, s->iov->iov_len - s->used);
}

/* Pieces up to `capacity` in one run of bytes. */
static size_t gather(struct source *s, char *to, size_t capacity)
{
    size_t n = 0;
    while (s->count && n < capacity) {
        struct slice piece = front(s);
        if (piece.len > capacity - n) piece.len = capacity - n;
        memcpy(to + n, piece.data, piece.len);
        n += piece.len;
        advance(s, piece.len);
    }
    return n;
}

enum tls_result tls_write(struct tls *t, const struct iovec *iov, int count)
{
    struct source   from = { iov, count, 0 };
    enum tls_result r = TLS_OK;
    char           *joined = NULL;
    if (t->is_broken) return TLS_BROKEN;
    forget_old_errors();
    advance(&from, 0);
    while (from.count && r == TLS_OK) {
        size_t       limit = record_bytes(t);
        struct slice piece = front(&from);
        if (piece.len >= limit || from.count == 1) {
            if (piece.len > limit) piece.len = limit;
            r = write_record(t, piece.data, piece.len);
            advance(&from, piece.len);
        } else {
            if (!joined) joined = block_take(&t->loop->large_blocks);
            r = write_record(t, joined, gather(&from, joined, limit));
        }
    }
    block_give(&t->loop->large_blocks, joined);
    return r;
}

void tls_send_close_notify(struct tls *t)
{
    if (!t->is_open || t->is_broken) return;
    forget_old_errors();
    SSL_shutdown(t->ssl);
    forget_old_errors();
}
