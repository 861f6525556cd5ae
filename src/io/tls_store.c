/* SPDX-License-Identifier: Apache-2.0
 *
 * The certificates of a listener: parsed and checked once by control, then kept
 * as DER, immutable, for any number of workers to make their contexts from.
 */
#include <openssl/err.h>
#include <stdatomic.h>

#include "base/memory.h"
#include "io/tls_internal.h"

static void parsed_reset(struct tls_parsed *p)
{
    sk_X509_pop_free(p->chain, X509_free);
    EVP_PKEY_free(p->key);
}

static bool parse(struct tls_parsed *p, const struct tls_certificate_pem *pem, struct error *e)
{
    bool         has_key_file = pem->key.data != NULL;
    struct slice key = has_key_file ? pem->key : pem->cert;
    *p = (struct tls_parsed){ .cert_name = pem->cert_name ? pem->cert_name : "certificate" };
    p->key_name = has_key_file && pem->key_name ? pem->key_name : p->cert_name;
    p->chain = tls_pem_certificates(pem->cert, p->cert_name, e);
    p->key = p->chain ? tls_pem_key(key, p->key_name, e) : NULL;
    return p->key != NULL;
}

/* Would OpenSSL serve it? Its security level may be stricter than we are. */
static bool try_out(SSL_CTX *context, const struct tls_parsed *p, struct error *e)
{
    STACK_OF(X509) *issuers = sk_X509_dup(p->chain);
    if (!issuers) abort();
    X509 *leaf = sk_X509_shift(issuers);
    bool  is_good = SSL_CTX_use_cert_and_key(context, leaf, p->key, issuers, 1) == 1;
    if (!is_good) error_set(e, "%s: OpenSSL refuses it: %s", p->cert_name, tls_openssl_reason());
    sk_X509_free(issuers);
    return is_good;
}

static struct tls_der keep(struct arena *a, unsigned char *der, int len)
{
    if (len <= 0) abort();
    struct slice copy = arena_copy(a, slice_make((const char *)der, (size_t)len));
    OPENSSL_clear_free(der, (size_t)len);
    return (struct tls_der){ (const unsigned char *)copy.data, copy.len };
}

static struct tls_der keep_certificate(struct arena *a, X509 *x)
{
    unsigned char *der = NULL;
    int            len = i2d_X509(x, &der);
    return keep(a, der, len);
}

static void store_certificate(struct tls_store *store, struct tls_certificate *to,
                              const struct tls_parsed *p)
{
    unsigned char *der = NULL;
    to->kind = p->kind;
    to->chain_count = (size_t)sk_X509_num(p->chain);
    to->chain = arena_alloc(&store->arena, to->chain_count * sizeof(to->chain[0]));
    for (size_t i = 0; i < to->chain_count; i++)
        to->chain[i] = keep_certificate(&store->arena, sk_X509_value(p->chain, (int)i));
    int len = i2d_PrivateKey(p->key, &der);
    to->key = keep(&store->arena, der, len);
}

static bool add_ocsp(struct tls_store *store, struct tls_certificate *to,
                     const struct tls_parsed *p, struct slice der, struct buffer *warnings,
                     struct error *e)
{
    if (!der.len) return true;
    if (!tls_ocsp_check(p, der, &to->ocsp_until_s, warnings, e)) return false;
    if (!to->ocsp_until_s) return true;
    struct slice copy = arena_copy(&store->arena, der);
    to->ocsp = (struct tls_der){ (const unsigned char *)copy.data, copy.len };
    return true;
}

static bool add_certificates(struct tls_store *store, const struct tls_server_settings *s,
                             struct buffer *names, struct buffer *warnings, struct error *e)
{
    SSL_CTX *trial = SSL_CTX_new(TLS_server_method());
    if (!trial) return error_set(e, "OpenSSL gives no context: %s", tls_openssl_reason());
    bool is_good = s->certificate_count > 0 || error_set(e, "TLS needs at least one certificate");
    store->certificates =
        arena_zalloc(&store->arena, s->certificate_count * sizeof(store->certificates[0]));
    for (uint32_t i = 0; i < s->certificate_count && is_good; i++) {
        struct tls_parsed       p;
        struct tls_certificate *to = &store->certificates[i];
        is_good = parse(&p, &s->certificates[i], e);
        p.may_be_expired = s->may_be_expired && s->may_be_expired[i];
        is_good = is_good && tls_check(&p, s->profile, warnings, e) && try_out(trial, &p, e) &&
                  add_ocsp(store, to, &p, s->certificates[i].ocsp, warnings, e);
        if (is_good) {
            store_certificate(store, to, &p);
            store->certificate_count++;
            tls_sites_add(&store->sites, &store->arena, &p, i, names, warnings);
        }
        parsed_reset(&p);
    }
    SSL_CTX_free(trial);
    if (is_good) tls_sites_finish(&store->sites, &store->arena);
    return is_good;
}

static bool add_client_cas(struct tls_store *store, struct slice pem, struct error *e)
{
    if (store->client_auth == TLS_CLIENT_NONE) return true;
    if (!pem.len)
        return error_set(e, "client certificates are asked for, but no client_ca is given");
    STACK_OF(X509) *all = tls_pem_certificates(pem, "client_ca", e);
    if (!all) return false;
    store->client_ca_count = (size_t)sk_X509_num(all);
    store->client_cas =
        arena_alloc(&store->arena, store->client_ca_count * sizeof(store->client_cas[0]));
    for (size_t i = 0; i < store->client_ca_count; i++)
        store->client_cas[i] = keep_certificate(&store->arena, sk_X509_value(all, (int)i));
    sk_X509_pop_free(all, X509_free);
    return true;
}

/* A ticket is accepted where the same names ask the same of clients, whatever
 * listener or plan it came from: not where client certificates are judged otherwise. */
static void make_session_context(struct tls_store *store, struct buffer *names)
{
    buffer_printf(names, "profile %d, client auth %d\n", store->profile, store->client_auth);
    for (size_t i = 0; i < store->client_ca_count; i++)
        buffer_put(names, store->client_cas[i].data, store->client_cas[i].len);
    if (EVP_Digest(names->data, names->len, store->session_context, NULL, EVP_sha256(), NULL) != 1)
        abort();
}

/* Keys do not linger in freed memory. */
static void cleanse_keys(void *arg)
{
    struct tls_store *store = arg;
    for (size_t i = 0; i < store->certificate_count; i++)
        OPENSSL_cleanse((void *)(uintptr_t)store->certificates[i].key.data,
                        store->certificates[i].key.len);
}

struct tls_store *tls_store_new(const struct tls_server_settings *s, struct buffer *warnings,
                                struct error *e)
{
    struct tls_store *store = mem_zalloc(sizeof(*store));
    struct buffer     names = BUFFER_INIT;
    atomic_init(&store->references, 1);
    arena_init(&store->arena, NULL);
    arena_on_reset(&store->arena, cleanse_keys, store);
    tls_sites_init(&store->sites);
    store->profile = s->profile;
    store->client_auth = s->client_auth;
    store->has_tickets = s->has_tickets;
    store->offers_h2 = s->offers_h2;
    bool is_good =
        add_certificates(store, s, &names, warnings, e) && add_client_cas(store, s->client_ca, e);
    if (is_good) make_session_context(store, &names);
    buffer_reset(&names);
    if (is_good) return store;
    tls_store_free(store);
    return NULL;
}

struct tls_store *tls_store_ref(struct tls_store *store)
{
    atomic_fetch_add_explicit(&store->references, 1, memory_order_relaxed);
    return store;
}

void tls_store_free(struct tls_store *store)
{
    if (!store || atomic_fetch_sub_explicit(&store->references, 1, memory_order_acq_rel) != 1)
        return;
    tls_sites_reset(&store->sites);
    arena_reset(&store->arena);
    free(store);
}
