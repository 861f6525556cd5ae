/* SPDX-License-Identifier: Apache-2.0
 *
 * The client side, towards upstreams: verified by default, with the newest
 * session kept for resumption by later connections to the same name.
 */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/memory.h"
#include "io/tls_internal.h"

enum { LINE_BYTES = 200 };

static const unsigned char alpn_http[] = "\x08http/1.1";
static const unsigned char alpn_both[] = "\x02h2\x08http/1.1";

/* Keeps the newest session; OpenSSL does not verify again when one is resumed, so it
 * goes only to connections that would verify the same name. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    const struct tls  *t = tls_of(ssl);
    struct tls_client *c = t->client;
    SSL_SESSION_free(c->session);
    c->session = session;
    if (!c->session_name || !t->name || strcmp(c->session_name, t->name) != 0) {
        free(c->session_name);
        c->session_name = t->name ? mem_strdup(t->name) : NULL;
    }
    return 1; /* the reference is ours */
}

/* The DNS names of a certificate, as many as fit in a line. */
static void put_names(X509 *x, struct buffer *to)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    int            count = sk_GENERAL_NAME_num(names);
    for (int i = 0; i < count && to->len < LINE_BYTES; i++) {
        const GENERAL_NAME *one = sk_GENERAL_NAME_value(names, i);
        if (one->type != GEN_DNS) continue;
        buffer_printf(to, "%s%.*s", to->len ? ", " : "", ASN1_STRING_length(one->d.dNSName),
                      (const char *)ASN1_STRING_get0_data(one->d.dNSName));
    }
    GENERAL_NAMES_free(names);
    if (!to->len) buffer_puts(to, "no name");
}

/* Changes no verdict; but only here the refused certificate can still be seen. */
static int on_verify(int is_good, X509_STORE_CTX *with)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(with, SSL_get_ex_data_X509_STORE_CTX_idx());
    int  why = X509_STORE_CTX_get_error(with);
    if (is_good || (why != X509_V_ERR_HOSTNAME_MISMATCH && why != X509_V_ERR_IP_ADDRESS_MISMATCH))
        return is_good;
    struct tls   *t = tls_of(ssl);
    struct buffer names = BUFFER_INIT;
    put_names(X509_STORE_CTX_get0_cert(with), &names);
    tls_fail(t, "hostname mismatch: the certificate is for %s, not for %s", names.data, t->name);
    buffer_reset(&names);
    return is_good;
}

static bool use_cas(SSL_CTX *context, struct slice pem, struct error *e)
{
    if (!pem.len) return SSL_CTX_set_default_verify_paths(context) == 1;
    STACK_OF(X509) *all = tls_pem_certificates(pem, "ca", e);
    if (!all) return false;
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    for (int i = 0; i < sk_X509_num(all); i++) X509_STORE_add_cert(store, sk_X509_value(all, i));
    /* One who names a certificate trusts it, be it a root, an issuer or the peer's own. */
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    sk_X509_pop_free(all, X509_free);
    ERR_clear_error();
    return true;
}

static bool use_certificate(SSL_CTX *context, const struct tls_client_settings *s, struct error *e)
{
    struct tls_parsed p = { .cert_name = "client certificate",
                            .key_name = "client key",
                            .may_be_expired = s->may_be_expired };
    if (!s->cert.len) return true;
    p.chain = tls_pem_certificates(s->cert, p.cert_name, e);
    p.key = p.chain ? tls_pem_key(s->key.len ? s->key : s->cert, p.key_name, e) : NULL;
    bool is_good = p.key && tls_check(&p, TLS_INTERMEDIATE, NULL, e);
    if (is_good) {
        X509 *leaf = sk_X509_shift(p.chain);
        is_good = SSL_CTX_use_cert_and_key(context, leaf, p.key, p.chain, 1) == 1 ||
                  error_set(e, "client certificate: OpenSSL refuses it: %s", tls_openssl_reason());
        X509_free(leaf);
    }
    sk_X509_pop_free(p.chain, X509_free);
    EVP_PKEY_free(p.key);
    return is_good;
}

static bool prepare(SSL_CTX *context, const struct tls_client_settings *s, struct error *e)
{
    if (!tls_context_prepare(context, true))
        return error_set(e, "OpenSSL gives no context for the client side: %s",
                         tls_openssl_reason());
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_max_proto_version(context, 0);
    SSL_CTX_set_verify(context, s->verifies ? SSL_VERIFY_PEER : SSL_VERIFY_NONE,
                       s->verifies ? on_verify : NULL);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, on_session);
    const unsigned char *alpn = s->offers_h2 ? alpn_both : alpn_http;
    unsigned             alpn_bytes = (s->offers_h2 ? sizeof(alpn_both) : sizeof(alpn_http)) - 1;
    if (SSL_CTX_set_alpn_protos(context, alpn, alpn_bytes) != 0) abort();
    return (!s->verifies || use_cas(context, s->ca, e)) && use_certificate(context, s, e);
}

struct tls_client *tls_client_new(const struct tls_client_settings *s, struct error *e)
{
    struct tls_client *c = mem_zalloc(sizeof(*c));
    atomic_init(&c->references, 1);
    c->verifies = s->verifies;
    c->sni = s->sni.len ? mem_slicedup(s->sni) : NULL;
    c->bio_method = tls_bio_method_new();
    c->context = SSL_CTX_new(TLS_client_method());
    if (!c->context) abort();
    if (prepare(c->context, s, e)) return c;
    tls_client_unref(c);
    return NULL;
}

void tls_client_unref(struct tls_client *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->references, 1, memory_order_acq_rel) != 1) return;
    SSL_SESSION_free(c->session);
    SSL_CTX_free(c->context);
    BIO_meth_free(c->bio_method);
    free(c->session_name);
    free(c->sni);
    free(c);
}

/* ---- one connection ---- */

static bool is_ip(const char *name)
{
    unsigned char ip[16];
    return inet_pton(AF_INET, name, ip) == 1 || inet_pton(AF_INET6, name, ip) == 1;
}

/* Without brackets and final dot; NULL when there is no name. */
static char *name_of(const struct tls_client *c, struct slice host)
{
    if (c->sni) return mem_strdup(c->sni);
    if (host.len > 2 && host.data[0] == '[' && host.data[host.len - 1] == ']')
        host = slice_make(host.data + 1, host.len - 2);
    if (host.len && host.data[host.len - 1] == '.') host.len--;
    return host.len ? mem_slicedup(host) : NULL;
}

/* Sends the name (RFC 6066 section 3: not an address) and has it verified. */
static bool set_name(struct tls *t)
{
    X509_VERIFY_PARAM *verify = SSL_get0_param(t->ssl);
    if (!t->name) return !t->client->verifies;
    if (is_ip(t->name))
        return !t->client->verifies || X509_VERIFY_PARAM_set1_ip_asc(verify, t->name) == 1;
    if (SSL_set_tlsext_host_name(t->ssl, t->name) != 1) return false;
    X509_VERIFY_PARAM_set_hostflags(verify, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return !t->client->verifies || SSL_set1_host(t->ssl, t->name) == 1;
}

static void offer_session(struct tls *t)
{
    const struct tls_client *c = t->client;
    if (!c->session) return;
    bool is_same = t->name && c->session_name ? strcmp(t->name, c->session_name) == 0
                                              : !t->name && !c->session_name;
    if (is_same) SSL_set_session(t->ssl, c->session);
}

struct tls *tls_connect(struct tls_client *c, struct loop *l, struct slice host)
{
    struct tls *t = tls_new(c->context, c->bio_method, l);
    if (!t) abort(); /* out of memory: nothing else fails here */
    t->client = c;
    atomic_fetch_add_explicit(&c->references, 1, memory_order_relaxed);
    t->name = name_of(c, host);
    SSL_set_connect_state(t->ssl);
    if (set_name(t))
        offer_session(t);
    else if (!t->name)
        tls_fail(t, "there is no name to verify the peer by: set sni");
    else
        tls_fail(t, "the name \"%s\" cannot be verified", t->name);
    ERR_clear_error();
    return t;
}

void tls_offer_http_1(struct tls *t)
{
    if (SSL_set_alpn_protos(t->ssl, alpn_http, sizeof(alpn_http) - 1) != 0) abort();
}
