/* SPDX-License-Identifier: Apache-2.0
 *
 * Certificates for the TLS tests, made at run time, good and bad ones.
 */
#pragma once

#include <openssl/x509.h>

#include "base/buffer.h"

struct pki {
    X509     *x;
    EVP_PKEY *key;
};

struct pki_request {
    const char       *subject; /* common name; NULL: none */
    const char       *san;     /* as in openssl.cnf: "DNS:a.example, IP:127.0.0.1"; NULL: none */
    const char       *key;     /* "P-256" (the default), "RSA", "RSA-1024", "ED25519", "K-256" */
    const struct pki *issuer;  /* NULL: signed by itself */
    long              from_s;  /* from now; 0: an hour ago */
    long              until_s; /* from now; 0: in 90 days */
    bool              is_ca;
    bool              is_sha1;
};

struct pki pki_make(const struct pki_request *r);
void       pki_free(struct pki *p);
/* PEM, appended. */
void pki_put_cert(struct buffer *to, const struct pki *p);
void pki_put_key(struct buffer *to, const struct pki *p);
void pki_put_encrypted_key(struct buffer *to, const struct pki *p);
struct pki_ocsp {
    const struct pki *about, *issuer, *signer;
    bool              is_revoked;
    long              until_s; /* from now */
};

/* A response in DER. */
void pki_put_ocsp(struct buffer *to, const struct pki_ocsp *o);
