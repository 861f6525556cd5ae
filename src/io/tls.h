/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS by OpenSSL (>= 3.0), behind a BIO of our own that gathers: one recv feeds
 * all records it brought, and all records of one flush leave in one write.
 * OpenSSL appears nowhere outside io/tls*.c.
 *
 * tls_store: built by control from the configuration, checked, immutable, with
 *            parsed certificates and keys, shared by all workers.
 * tls_server, tls_client: one worker's SSL_CTX made from a store, so that no
 *            reference count is fought over.
 */
#pragma once

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/outq.h"
#include "base/slice.h"
#include "io/loop.h"

struct conn;
struct tls;
struct tls_server;
struct tls_client;
struct tls_store;
struct tls_ticket_keys; /* shared by all workers, rotated by control */

enum tls_profile { TLS_INTERMEDIATE, TLS_MODERN };
enum tls_client_auth { TLS_CLIENT_NONE, TLS_CLIENT_OPTIONAL, TLS_CLIENT_REQUIRED };
enum tls_alpn { TLS_ALPN_NONE, TLS_ALPN_HTTP_1_1, TLS_ALPN_H2 };

/* A file's content, read by whoever may read it (the supervisor). PEM. */
struct tls_certificate_pem {
    const char  *cert_name; /* for messages */
    struct slice cert;      /* the chain, leaf first; may contain the key as well */
    const char  *key_name;
    struct slice key;  /* data NULL: the key is in `cert`; an empty file is not that */
    struct slice ocsp; /* DER response to staple, or empty */
};

struct tls_server_settings {
    const struct tls_certificate_pem *certificates; /* the first is the default */
    size_t                            certificate_count;
    const bool                       *may_be_expired; /* each: a warning then; NULL: none may */
    enum tls_profile                  profile;
    enum tls_client_auth              client_auth;
    struct slice                      client_ca; /* PEM */
    bool                              has_tickets;
    bool                              offers_h2; /* before http/1.1 in ALPN */
};

/* Parses and checks everything: key fits certificate, not expired (unless it
 * may be), strong enough for the profile. NULL and *e names the file and the fault. `warnings` (may
 * be NULL) gets lines such as "expires in 5 days". Keeps no pointer to `s`. */
struct tls_store *tls_store_new(const struct tls_server_settings *s, struct buffer *warnings,
                                struct error *e);
void              tls_store_free(struct tls_store *store);
/* NULL and *e when OpenSSL refuses. `keys` NULL: no tickets. Holds a reference of
 * its own to both: they may be freed before it. */
struct tls_server *tls_server_new(struct tls_store *store, struct tls_ticket_keys *keys,
                                  struct error *e);
/* References are counted: connections hold one. Any thread; all else is one thread's. */
void tls_server_unref(struct tls_server *s);
/* Would `host` be served by the same certificate as this connection's? (421 if not) */
bool tls_server_covers(const struct tls_server *s, const struct tls *t, struct slice host);

/* When the leaf of a chain in PEM ends, Unix time. False: it holds no certificate. */
bool tls_certificate_expiry(struct slice pem, int64_t *unix_s);

struct tls_ticket_keys *tls_ticket_keys_new(void);
/* The newest encrypts, the two before still decrypt. Any thread, beside connections
 * that use them. */
void tls_ticket_keys_rotate(struct tls_ticket_keys *k);
void tls_ticket_keys_free(struct tls_ticket_keys *k);

/* A certificate for trying things out: ECDSA P-256, 90 days, signed by itself, for
 * these DNS names and IP addresses (the first is the subject). PEM is appended. */
bool tls_make_self_signed(const char *const *names, size_t count, struct buffer *cert_pem,
                          struct buffer *key_pem, struct error *e);

struct tls_client_settings {
    bool         verifies;  /* default true */
    struct slice ca;        /* PEM; empty: the system's */
    struct slice sni;       /* server name to send and to verify; empty: the endpoint's host */
    struct slice cert, key; /* PEM client certificate, or empty */
    bool         may_be_expired;
    bool         offers_h2;
};

struct tls_client *tls_client_new(const struct tls_client_settings *s, struct error *e);
void               tls_client_unref(struct tls_client *c);

/* ---- of one connection, after on_open ---- */
enum tls_alpn tls_alpn(const struct tls *t);
const char   *tls_version(const struct tls *t); /* "TLSv1.3" */
const char   *tls_cipher(const struct tls *t);
struct slice  tls_sni(const struct tls *t); /* lower case; empty when none was sent */
bool          tls_is_resumed(const struct tls *t);
/* Client certificate: was one verified? subject DN (RFC 2253), fingerprint SHA-256 in hex,
 * serial in hex, and the PEM, URL-encoded as nginx's $ssl_client_escaped_cert. Written into
 * the arena. */
bool         tls_has_client_cert(const struct tls *t);
struct slice tls_client_subject(const struct tls *t, struct arena *a);
struct slice tls_client_fingerprint(const struct tls *t, struct arena *a);
struct slice tls_client_serial(const struct tls *t, struct arena *a);
struct slice tls_client_pem(const struct tls *t, struct arena *a);
/* Why the handshake failed, for the log: "no shared cipher", "certificate expired". */
const char *tls_failure(const struct tls *t);

/* ---- used by io/conn.c only ---- */
enum tls_result { TLS_OK, TLS_AGAIN, TLS_EOF, TLS_TRUNCATED, TLS_BROKEN };

struct tls *tls_accept(struct tls_server *s, struct loop *l);
struct tls *tls_connect(struct tls_client *c, struct loop *l, struct slice host);
/* Before the handshake: HTTP/1.1 alone, whatever the client's settings say. */
void tls_offer_http_1(struct tls *t);
void tls_free(struct tls *t);
/* Received ciphertext, borrowed for the calls that follow until all is used: once
 * tls_handshake or tls_read has said TLS_AGAIN. len 0: the peer has finished, and
 * reading ends in TLS_EOF or TLS_TRUNCATED. */
void tls_give(struct tls *t, const char *data, size_t len);
/* What was given is about to go away before TLS_AGAIN was said (reading is paused):
 * keeps a copy of what is left of it. Costs nothing when all was used. */
void tls_keep(struct tls *t);
/* Might tls_read have something without being given more? */
bool tls_has_input(const struct tls *t);
/* Continues the handshake. TLS_OK: done. */
enum tls_result tls_handshake(struct tls *t);
enum tls_result tls_read(struct tls *t, char *to, size_t capacity, size_t *got);
/* Encrypts into the cipher queue; always takes everything. */
enum tls_result tls_write(struct tls *t, const struct iovec *iov, int count);
void            tls_send_close_notify(struct tls *t);
/* Is all of it for the peer's later use (a session ticket), so that it may leave with
 * the first response instead of in a packet of its own? */
bool tls_out_may_wait(const struct tls *t);
/* Ciphertext to write; the pump consumes it. */
struct outq *tls_out(struct tls *t);
