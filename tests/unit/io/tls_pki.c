/* SPDX-License-Identifier: Apache-2.0
 *
 * Certificates for tests. See tls_pki.h.
 */
#include "tls_pki.h"

#include <assert.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <time.h>

static EVP_PKEY *make_key(const char *kind)
{
    EVP_PKEY *key;
    if (!kind || strcmp(kind, "P-256") == 0)
        key = EVP_EC_gen("P-256");
    else if (strcmp(kind, "K-256") == 0)
        key = EVP_EC_gen("secp256k1");
    else if (strcmp(kind, "ED25519") == 0)
        key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    else
        key = EVP_RSA_gen(strcmp(kind, "RSA-1024") == 0 ? 1024 : 2048);
    assert(key);
    return key;
}

static void extend(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX with;
    X509V3_set_ctx_nodb(&with);
    X509V3_set_ctx(&with, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *one = X509V3_EXT_conf_nid(NULL, &with, nid, value);
    assert(one);
    X509_add_ext(x, one, -1);
    X509_EXTENSION_free(one);
}

struct pki pki_make(const struct pki_request *r)
{
    struct pki    p = { X509_new(), make_key(r->key) };
    struct pki    by = r->issuer ? *r->issuer : p;
    unsigned char serial[8];
    assert(p.x && RAND_bytes(serial, sizeof(serial)) == 1);
    serial[0] = 0x4a;
    X509_set_version(p.x, X509_VERSION_3);
    ASN1_STRING_set(X509_get_serialNumber(p.x), serial, sizeof(serial));
    X509_gmtime_adj(X509_getm_notBefore(p.x), r->from_s ? r->from_s : -3600);
    X509_gmtime_adj(X509_getm_notAfter(p.x), r->until_s ? r->until_s : 90L * 24 * 3600);
    if (r->subject)
        X509_NAME_add_entry_by_txt(X509_get_subject_name(p.x), "CN", MBSTRING_UTF8,
                                   (const unsigned char *)r->subject, -1, -1, 0);
    X509_set_issuer_name(p.x, X509_get_subject_name(by.x));
    X509_set_pubkey(p.x, p.key);
    extend(p.x, by.x, NID_basic_constraints, r->is_ca ? "critical,CA:TRUE" : "CA:FALSE");
    extend(p.x, by.x, NID_subject_key_identifier, "hash");
    if (r->issuer) extend(p.x, by.x, NID_authority_key_identifier, "keyid");
    if (r->san) extend(p.x, by.x, NID_subject_alt_name, r->san);
    const EVP_MD *md = EVP_PKEY_is_a(by.key, "ED25519") ? NULL
                       : r->is_sha1                     ? EVP_sha1()
                                                        : EVP_sha256();
    int           is_signed = X509_sign(p.x, by.key, md);
    assert(is_signed);
    (void)is_signed;
    return p;
}

void pki_free(struct pki *p)
{
    X509_free(p->x);
    EVP_PKEY_free(p->key);
    *p = (struct pki){ NULL, NULL };
}

static void drain(BIO *from, struct buffer *to)
{
    char *data;
    long  len = BIO_get_mem_data(from, &data);
    buffer_put(to, data, (size_t)len);
    BIO_free(from);
}

void pki_put_cert(struct buffer *to, const struct pki *p)
{
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, p->x);
    drain(bio, to);
}

void pki_put_key(struct buffer *to, const struct pki *p)
{
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, p->key, NULL, NULL, 0, NULL, NULL);
    drain(bio, to);
}

void pki_put_encrypted_key(struct buffer *to, const struct pki *p)
{
    char phrase[] = "swordfish";
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PKCS8PrivateKey(bio, p->key, EVP_aes_128_cbc(), phrase, (int)strlen(phrase), NULL,
                                  NULL);
    drain(bio, to);
}

void pki_put_ocsp(struct buffer *to, const struct pki_ocsp *o)
{
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    OCSP_CERTID    *id = OCSP_cert_to_id(EVP_sha1(), o->about->x, o->issuer->x);
    time_t          now = time(NULL);
    ASN1_TIME      *from = ASN1_TIME_set(NULL, now - 7 * 24 * 3600);
    ASN1_TIME      *until = ASN1_TIME_set(NULL, now + o->until_s);
    OCSP_basic_add1_status(basic, id,
                           o->is_revoked ? V_OCSP_CERTSTATUS_REVOKED : V_OCSP_CERTSTATUS_GOOD, 0,
                           o->is_revoked ? from : NULL, from, until);
    int is_signed = OCSP_basic_sign(basic, o->signer->x, o->signer->key, EVP_sha256(), NULL, 0);
    assert(is_signed);
    (void)is_signed;
    OCSP_RESPONSE *response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    unsigned char *der = NULL;
    int            len = i2d_OCSP_RESPONSE(response, &der);
    buffer_put(to, der, (size_t)len);
    OPENSSL_free(der);
    OCSP_RESPONSE_free(response);
    OCSP_BASICRESP_free(basic);
    OCSP_CERTID_free(id);
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
}
