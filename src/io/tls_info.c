/* SPDX-License-Identifier: Apache-2.0
 *
 * What is known of a TLS connection once it is open: for routing, logs and the
 * headers that tell a replica about the client's certificate.
 */
#include <openssl/pem.h>

#include "io/tls_internal.h"

enum { SHA256_BYTES = 32 };

enum tls_alpn tls_alpn(const struct tls *t)
{
    return t->alpn;
}

const char *tls_version(const struct tls *t)
{
    return SSL_get_version(t->ssl);
}

const char *tls_cipher(const struct tls *t)
{
    return SSL_get_cipher_name(t->ssl);
}

struct slice tls_sni(const struct tls *t)
{
    return t->sni;
}

bool tls_is_resumed(const struct tls *t)
{
    return SSL_session_reused(t->ssl) == 1;
}

bool tls_has_client_cert(const struct tls *t)
{
    return t->server && SSL_get0_peer_certificate(t->ssl) &&
           SSL_get_verify_result(t->ssl) == X509_V_OK;
}

/* NULL when none was verified. */
static X509 *certificate_of(const struct tls *t)
{
    return tls_has_client_cert(t) ? SSL_get0_peer_certificate(t->ssl) : NULL;
}

static struct slice copy_of_bio(BIO *from, struct arena *a)
{
    char *data;
    long  len = BIO_get_mem_data(from, &data);
    return arena_copy(a, slice_make(data, len > 0 ? (size_t)len : 0));
}

struct slice tls_client_subject(const struct tls *t, struct arena *a)
{
    X509 *x = certificate_of(t);
    BIO  *to = BIO_new(BIO_s_mem());
    if (!to) abort();
    /* Control and non-ASCII characters come out escaped (RFC 2253 section 2.4). */
    if (x) X509_NAME_print_ex(to, X509_get_subject_name(x), 0, XN_FLAG_RFC2253);
    struct slice text = copy_of_bio(to, a);
    BIO_free(to);
    return text;
}

static struct slice hex(const unsigned char *data, size_t len, struct arena *a)
{
    static const char digits[] = "0123456789abcdef";
    char             *text = arena_alloc(a, len * 2 + 1);
    for (size_t i = 0; i < len; i++) {
        text[2 * i] = digits[data[i] >> 4];
        text[2 * i + 1] = digits[data[i] & 15];
    }
    text[len * 2] = '\0';
    return slice_make(text, len * 2);
}

struct slice tls_client_fingerprint(const struct tls *t, struct arena *a)
{
    unsigned char digest[SHA256_BYTES];
    X509         *x = certificate_of(t);
    if (!x || X509_digest(x, EVP_sha256(), digest, NULL) != 1) return slice_make("", 0);
    return hex(digest, sizeof(digest), a);
}

struct slice tls_client_serial(const struct tls *t, struct arena *a)
{
    X509 *x = certificate_of(t);
    if (!x) return slice_make("", 0);
    const ASN1_INTEGER *serial = X509_get0_serialNumber(x);
    return hex(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial), a);
}

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

static struct slice percent_encode(struct slice s, struct arena *a)
{
    static const char digits[] = "0123456789ABCDEF";
    char             *text = arena_alloc(a, s.len * 3 + 1);
    size_t            n = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (is_unreserved(s.data[i])) {
            text[n++] = s.data[i];
        } else {
            text[n++] = '%';
            text[n++] = digits[c >> 4];
            text[n++] = digits[c & 15];
        }
    }
    text[n] = '\0';
    return slice_make(text, n);
}

struct slice tls_client_pem(const struct tls *t, struct arena *a)
{
    X509 *x = certificate_of(t);
    char *data;
    if (!x) return slice_make("", 0);
    BIO *to = BIO_new(BIO_s_mem());
    if (!to || PEM_write_bio_X509(to, x) != 1) abort();
    long         len = BIO_get_mem_data(to, &data);
    struct slice text = percent_encode(slice_make(data, len > 0 ? (size_t)len : 0), a);
    BIO_free(to);
    return text;
}
