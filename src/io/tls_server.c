/* SPDX-License-Identifier: Apache-2.0
 *
 * The server side: SSL_CTX of one worker, by the profiles of Mozilla's server
 * side TLS guidelines 6.0, and the choice of the certificate by server name.
 * One SSL_CTX a distinct set of certificates, made when a client first asks for
 * it. No renegotiation, no compression, no early data, no session cache.
 */
#include <openssl/err.h>

#include "base/memory.h"
#include "io/tls_internal.h"

enum { TICKET_LIFETIME_S = 2 * 3600, TICKETS_PER_HANDSHAKE = 1, SECURITY_LEVEL = 2 };

static const char ciphers_12[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                                 "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                 "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
static const char ciphers_13[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

static const unsigned char alpn_h2[] = "h2";
static const unsigned char alpn_http_1_1[] = "http/1.1";

/* ---- certificates ---- */

static X509 *parse_certificate(const struct tls_der *der)
{
    const unsigned char *at = der->data;
    X509                *x = d2i_X509(NULL, &at, (long)der->len);
    if (!x) abort(); /* it was written by i2d_X509 */
    return x;
}

static bool use_certificate(SSL_CTX *context, const struct tls_certificate *c)
{
    const unsigned char *at = c->key.data;
    EVP_PKEY            *key = d2i_AutoPrivateKey(NULL, &at, (long)c->key.len);
    X509                *leaf = parse_certificate(&c->chain[0]);
    STACK_OF(X509) *issuers = sk_X509_new_null();
    if (!issuers) abort();
    for (size_t i = 1; i < c->chain_count; i++)
        if (!sk_X509_push(issuers, parse_certificate(&c->chain[i]))) abort();
    bool is_good = key && SSL_CTX_use_cert_and_key(context, leaf, key, issuers, 1) == 1;
    sk_X509_pop_free(issuers, X509_free);
    X509_free(leaf);
    EVP_PKEY_free(key);
    return is_good;
}

static void ask_for_client_certificate(const struct tls_server *s, SSL_CTX *context)
{
    int mode = SSL_VERIFY_PEER;
    if (s->store->client_auth == TLS_CLIENT_NONE) return;
    if (s->store->client_auth == TLS_CLIENT_REQUIRED) mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(context, mode, NULL);
    SSL_CTX_set1_cert_store(context, s->client_cas);
    for (size_t i = 0; i < s->store->client_ca_count; i++) {
        X509 *ca = parse_certificate(&s->store->client_cas[i]);
        SSL_CTX_add_client_CA(context, ca);
        X509_free(ca);
    }
}

static X509_STORE *client_cas_new(const struct tls_store *store)
{
    if (store->client_auth == TLS_CLIENT_NONE) return NULL;
    X509_STORE *cas = X509_STORE_new();
    if (!cas) abort();
    for (size_t i = 0; i < store->client_ca_count; i++) {
        X509 *ca = parse_certificate(&store->client_cas[i]);
        X509_STORE_add_cert(cas, ca);
        X509_free(ca);
    }
    /* An intermediate that is configured is trusted by itself. */
    X509_STORE_set_flags(cas, X509_V_FLAG_PARTIAL_CHAIN);
    return cas;
}

/* ---- callbacks ---- */

static SSL_CTX *context_of(struct tls_server *s, const struct tls_site *site);

static int on_server_name(SSL *ssl, int *alert, void *server)
{
    struct tls_server *s = server;
    struct tls        *t = tls_of(ssl);
    const char        *host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (!host) return SSL_TLSEXT_ERR_NOACK;
    t->site = tls_sites_find(&s->store->sites, slice_of(host));
    if (t->site == s->store->sites.items[0]) return SSL_TLSEXT_ERR_OK;
    SSL_CTX *context = context_of(s, t->site);
    if (context && SSL_set_SSL_CTX(ssl, context) == context) return SSL_TLSEXT_ERR_OK;
    *alert = SSL_AD_INTERNAL_ERROR;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Is `name` in the client's list (RFC 7301: one byte of length before each)? */
static bool is_offered(const unsigned char *list, unsigned len, struct slice name)
{
    for (unsigned at = 0; at < len && at + list[at] < len; at += list[at] + 1u)
        if (slice_eq(slice_make((const char *)list + at + 1, list[at]), name)) return true;
    return false;
}

static int on_alpn(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_bytes,
                   const unsigned char *list, unsigned len, void *server)
{
    const struct tls_server *s = server;
    (void)ssl;
    if (s->store->offers_h2 && is_offered(list, len, S("h2"))) {
        *chosen = alpn_h2;
        *chosen_bytes = sizeof(alpn_h2) - 1;
    } else if (is_offered(list, len, S("http/1.1"))) {
        *chosen = alpn_http_1_1;
        *chosen_bytes = sizeof(alpn_http_1_1) - 1;
    } else {
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* no_application_protocol, RFC 7301 section 3.2 */
    }
    return SSL_TLSEXT_ERR_OK;
}

/* The certificate that the handshake has chosen among those of its site. */
static const struct tls_certificate *chosen(const struct tls *t)
{
    const struct tls_store  *store = t->server->store;
    EVP_PKEY                *key = X509_get0_pubkey(SSL_get_certificate(t->ssl));
    static const char *const names[TLS_KIND_COUNT] = {
        [TLS_KIND_RSA] = "RSA",         [TLS_KIND_RSA_PSS] = "RSA-PSS", [TLS_KIND_EC] = "EC",
        [TLS_KIND_ED25519] = "ED25519", [TLS_KIND_ED448] = "ED448",
    };
    for (int kind = 0; key && kind < TLS_KIND_COUNT; kind++)
        if (t->site->certificates[kind] && EVP_PKEY_is_a(key, names[kind]))
            return &store->certificates[t->site->certificates[kind] - 1];
    return NULL;
}

static int on_status(SSL *ssl, void *server)
{
    const struct tls             *t = tls_of(ssl);
    const struct tls_certificate *c = chosen(t);
    (void)server;
    if (!c || !c->ocsp.len || c->ocsp_until_s <= t->loop->clock.wall_us / 1000000)
        return SSL_TLSEXT_ERR_NOACK;
    unsigned char *copy = OPENSSL_memdup(c->ocsp.data, c->ocsp.len);
    if (!copy) abort();
    SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)c->ocsp.len);
    return SSL_TLSEXT_ERR_OK;
}

/* ---- contexts ---- */

/* The hybrid group exists from OpenSSL 3.5 on; a star makes a client send its share
 * at once, so that neither kind of peer has to ask for it in another round. */
static bool set_groups(SSL_CTX *context, bool is_client)
{
    if (is_client &&
        SSL_CTX_set1_groups_list(context, "*X25519MLKEM768:*X25519:prime256v1:secp384r1"))
        return true;
    return SSL_CTX_set1_groups_list(context, "X25519MLKEM768:X25519:prime256v1:secp384r1") ||
           SSL_CTX_set1_groups_list(context, "X25519:prime256v1:secp384r1");
}

bool tls_context_prepare(SSL_CTX *context, bool is_client)
{
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    /* An idle connection holds no record buffer; chains are as the files have them. */
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_security_level(context, SECURITY_LEVEL);
    bool is_good = set_groups(context, is_client) &&
                   SSL_CTX_set_ciphersuites(context, ciphers_13) == 1 &&
                   SSL_CTX_set_cipher_list(context, ciphers_12) == 1;
    if (is_good) ERR_clear_error(); /* of the groups that were refused */
    return is_good;
}

static void set_tickets(const struct tls_server *s, SSL_CTX *context)
{
    bool has_tickets = s->keys && s->store->has_tickets;
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_id_context(context, s->store->session_context,
                                   sizeof(s->store->session_context));
    SSL_CTX_set_timeout(context, TICKET_LIFETIME_S);
    SSL_CTX_set_num_tickets(context, has_tickets ? TICKETS_PER_HANDSHAKE : 0);
    if (has_tickets)
        tls_ticket_enable(context);
    else
        SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
}

static void set_callbacks(struct tls_server *s, SSL_CTX *context, const struct tls_site *site)
{
    SSL_CTX_set_tlsext_servername_callback(context, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(context, s);
    SSL_CTX_set_alpn_select_cb(context, on_alpn, s);
    for (int kind = 0; kind < TLS_KIND_COUNT; kind++) {
        uint32_t at = site->certificates[kind];
        if (at && s->store->certificates[at - 1].ocsp.len)
            SSL_CTX_set_tlsext_status_cb(context, on_status);
    }
}

/* NULL leaves OpenSSL's error queue for the caller. */
static SSL_CTX *context_new(struct tls_server *s, const struct tls_site *site)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (!context) return NULL;
    bool is_modern = s->store->profile == TLS_MODERN;
    bool is_good = tls_context_prepare(context, false);
    SSL_CTX_set_min_proto_version(context, is_modern ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_max_proto_version(context, 0);
    SSL_CTX_set_max_early_data(context, 0);
    /* Clients know best what their hardware does well (guidelines: no server order). */
    SSL_CTX_clear_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE);
    for (int kind = 0; kind < TLS_KIND_COUNT && is_good; kind++)
        if (site->certificates[kind])
            is_good =
                use_certificate(context, &s->store->certificates[site->certificates[kind] - 1]);
    ask_for_client_certificate(s, context);
    set_tickets(s, context);
    set_callbacks(s, context, site);
    if (is_good) return context;
    SSL_CTX_free(context);
    return NULL;
}

static SSL_CTX *context_of(struct tls_server *s, const struct tls_site *site)
{
    if (!s->contexts[site->index]) s->contexts[site->index] = context_new(s, site);
    return s->contexts[site->index];
}

struct tls_server *tls_server_new(struct tls_store *store, struct tls_ticket_keys *keys,
                                  struct error *e)
{
    struct tls_server *s = mem_zalloc(sizeof(*s));
    atomic_init(&s->references, 1);
    s->store = tls_store_ref(store);
    s->keys = keys && store->has_tickets ? tls_ticket_keys_ref(keys) : NULL;
    s->bio_method = tls_bio_method_new();
    s->ticket_cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    s->client_cas = client_cas_new(store);
    s->contexts = mem_zalloc(store->sites.count * sizeof(s->contexts[0]));
    if (s->ticket_cipher && context_of(s, store->sites.items[0])) return s;
    error_set(e, "OpenSSL gives no context for the server side: %s", tls_openssl_reason());
    tls_server_unref(s);
    return NULL;
}

void tls_server_unref(struct tls_server *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->references, 1, memory_order_acq_rel) != 1) return;
    for (size_t i = 0; i < s->store->sites.count; i++) SSL_CTX_free(s->contexts[i]);
    free(s->contexts);
    X509_STORE_free(s->client_cas);
    EVP_CIPHER_free(s->ticket_cipher);
    BIO_meth_free(s->bio_method);
    tls_ticket_keys_free(s->keys);
    tls_store_free(s->store);
    free(s);
}

struct tls *tls_accept(struct tls_server *s, struct loop *l)
{
    struct tls *t = tls_new(s->contexts[0], s->bio_method, l);
    if (!t) abort(); /* out of memory: nothing else fails here */
    t->server = s;
    atomic_fetch_add_explicit(&s->references, 1, memory_order_relaxed);
    t->site = s->store->sites.items[0];
    SSL_set_accept_state(t->ssl);
    return t;
}

bool tls_server_covers(const struct tls_server *s, const struct tls *t, struct slice host)
{
    /* After a reload `s` may be a newer one: the connection goes by its own. */
    const struct tls_store *store = t->server ? t->server->store : s->store;
    return tls_sites_find(&store->sites, host) == t->site;
}
