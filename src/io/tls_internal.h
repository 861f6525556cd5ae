/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the TLS layer (io/tls*.c) share; nobody else includes it.
 *
 *   tls_pem.c, tls_check.c, tls_ocsp.c    PEM to checked certificates
 *   tls_sites.c, tls_store.c              names to certificates; the store
 *   tls_server.c, tls_client.c            SSL_CTX of one worker
 *   tls_bio.c, tls_stream.c, tls_info.c   one connection
 *   tls_ticket.c, tls_selfsigned.c        ticket keys; certificates on the spot
 */
#pragma once

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/map.h"
#include "io/tls.h"

/* Two certificates of one name may stand side by side if their keys differ in kind. */
enum tls_kind { TLS_KIND_RSA, TLS_KIND_RSA_PSS, TLS_KIND_EC, TLS_KIND_ED25519, TLS_KIND_ED448 };
enum { TLS_KIND_COUNT = TLS_KIND_ED448 + 1 };

/* One certificate of the configuration while it is being checked. */
struct tls_parsed {
    const char *cert_name; /* for messages */
    const char *key_name;
    STACK_OF(X509) * chain; /* leaf first */
    EVP_PKEY     *key;
    enum tls_kind kind;
    bool          may_be_expired;
};

struct tls_der {
    const unsigned char *data;
    size_t               len;
};

/* A chain and its key as DER: every worker parses its own, so that no reference
 * count is shared. */
struct tls_certificate {
    struct tls_der *chain;
    size_t          chain_count;
    struct tls_der  key;
    struct tls_der  ocsp;         /* empty: nothing to staple */
    int64_t         ocsp_until_s; /* nextUpdate, Unix time */
    enum tls_kind   kind;
};

/* What a name selects: at most one certificate a kind. Equal selections are one site. */
struct tls_site {
    uint32_t certificates[TLS_KIND_COUNT]; /* index + 1; 0: none */
    uint32_t index;
};

struct tls_sites {
    struct map        exact;    /* "a.example" -> struct tls_name */
    struct map        wildcard; /* "example" of "*.example" -> struct tls_name */
    struct tls_site **items;    /* [0] is the default */
    size_t            count;
};

struct tls_store {
    _Atomic uint32_t        references;
    struct arena            arena;
    struct tls_certificate *certificates;
    size_t                  certificate_count;
    struct tls_sites        sites;
    struct tls_der         *client_cas;
    size_t                  client_ca_count;
    enum tls_profile        profile;
    enum tls_client_auth    client_auth;
    bool                    has_tickets;
    bool                    offers_h2;
    unsigned char           session_context[32]; /* tickets are good where it is the same */
};

struct tls_server {
    struct tls_store       *store;
    struct tls_ticket_keys *keys; /* NULL: no tickets */
    BIO_METHOD             *bio_method;
    EVP_CIPHER             *ticket_cipher;
    X509_STORE             *client_cas;
    SSL_CTX               **contexts;   /* one a site, made when it is first asked for */
    _Atomic uint32_t        references; /* control's, and of connections */
};

struct tls_client {
    SSL_CTX         *context;
    BIO_METHOD      *bio_method;
    SSL_SESSION     *session;      /* the latest, to be resumed */
    char            *session_name; /* the name that was verified when it was made */
    char            *sni;          /* of the settings, or NULL */
    bool             verifies;
    _Atomic uint32_t references; /* control's, and of connections */
};

struct tls {
    SSL                   *ssl;
    struct tls_server     *server; /* or */
    struct tls_client     *client;
    struct loop           *loop;
    const struct tls_site *site;
    const char            *in; /* ciphertext not yet read, borrowed unless `kept` */
    size_t                 in_bytes;
    char                  *kept; /* the memory of `in` when it is our own */
    struct outq            out;
    char                  *name;       /* client: what is verified; server: memory of `sni` */
    struct slice           sni;        /* server: OpenSSL's memory where it is in lower case */
    char                  *failure;    /* NULL: none yet */
    uint64_t               ramp_bytes; /* sent since the records were last small */
    uint64_t               written_at_ms;
    uint8_t                alpn;
    bool                   has_ended; /* the peer has finished sending */
    bool                   is_open;   /* the handshake is done */
    bool                   is_broken;
};

/* ---- tls_pem.c ---- */
/* All certificates of `pem`, in order; NULL and *e when there is none or one is broken. */
STACK_OF(X509) * tls_pem_certificates(struct slice pem, const char *file, struct error *e);
EVP_PKEY *tls_pem_key(struct slice pem, const char *file, struct error *e);
/* The reason of OpenSSL's last error; empties its queue. */
const char *tls_openssl_reason(void);

/* ---- tls_check.c ---- */
/* Sets p->kind. */
bool tls_check(struct tls_parsed *p, enum tls_profile profile, struct buffer *warnings,
               struct error *e);

/* ---- tls_ocsp.c ---- */
/* *until_s 0: not to be stapled (a warning says why). */
bool tls_ocsp_check(const struct tls_parsed *p, struct slice der, int64_t *until_s,
                    struct buffer *warnings, struct error *e);

/* ---- tls_sites.c ---- */
void tls_sites_init(struct tls_sites *s);
void tls_sites_reset(struct tls_sites *s);
/* Certificates are added in order, the default first. The names are also appended
 * to `names`, each followed by a newline. */
void tls_sites_add(struct tls_sites *s, struct arena *a, const struct tls_parsed *p,
                   uint32_t certificate, struct buffer *names, struct buffer *warnings);
/* After the last certificate: equal selections become one site. */
void tls_sites_finish(struct tls_sites *s, struct arena *a);
/* Exact, then wildcard, then the default. */
const struct tls_site *tls_sites_find(const struct tls_sites *s, struct slice host);

/* ---- tls_store.c ---- */
struct tls_store *tls_store_ref(struct tls_store *store);

/* ---- tls_ticket.c ---- */
struct tls_ticket_keys *tls_ticket_keys_ref(struct tls_ticket_keys *k);
/* Lets `context` encrypt and accept tickets with the keys of the tls_server. */
void tls_ticket_enable(SSL_CTX *context);

/* ---- tls_server.c, tls_client.c ---- */
/* Common to both sides: memory, renegotiation, ciphers, groups. False when OpenSSL refuses. */
bool tls_context_prepare(SSL_CTX *context, bool is_client);

/* ---- tls_bio.c ---- */
BIO_METHOD *tls_bio_method_new(void);
/* A connection with its BIO; NULL when OpenSSL refuses. */
struct tls *tls_new(SSL_CTX *context, BIO_METHOD *method, struct loop *l);
/* The connection that a callback of OpenSSL is about. */
struct tls *tls_of(const SSL *ssl);

/* ---- tls_stream.c ---- */
void tls_fail(struct tls *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
