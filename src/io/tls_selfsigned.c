/* SPDX-License-Identifier: Apache-2.0
 *
 * A certificate made on the spot, so that TLS can be tried before there is a
 * real one.
 */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/random.h"
#include "io/tls_internal.h"

enum { DAYS = 90, SKEW_S = 3600, SERIAL_BYTES = 16 };

/* As RFC 5280 section 4.2.1.6 has it: an address as its bytes, else a DNS name. */
static bool add_name(GENERAL_NAMES *names, const char *text)
{
    unsigned char ip[16];
    int           ip_bytes = inet_pton(AF_INET, text, ip) == 1    ? 4
                             : inet_pton(AF_INET6, text, ip) == 1 ? 16
                                                                  : 0;
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING  *value = ip_bytes ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    if (!name || !value) abort();
    int is_set = ip_bytes ? ASN1_STRING_set(value, ip, ip_bytes) : ASN1_STRING_set(value, text, -1);
    GENERAL_NAME_set0_value(name, ip_bytes ? GEN_IPADD : GEN_DNS, value);
    if (!is_set || !sk_GENERAL_NAME_push(names, name)) abort();
    return true;
}

static bool set_names(X509 *x, const char *const *names, size_t count)
{
    GENERAL_NAMES *all = sk_GENERAL_NAME_new_null();
    X509_NAME     *subject = X509_get_subject_name(x);
    bool           is_good = all != NULL;
    for (size_t i = 0; i < count && is_good; i++) is_good = add_name(all, names[i]);
    /* A common name is at most 64 bytes (RFC 5280 appendix A.1) and nothing reads it. */
    const char *common = strlen(names[0]) <= 64 ? names[0] : "wharfgate";
    is_good = is_good &&
              X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                         (const unsigned char *)common, -1, -1, 0) &&
              X509_set_issuer_name(x, subject) &&
              X509_add1_ext_i2d(x, NID_subject_alt_name, all, 0, X509V3_ADD_DEFAULT) == 1;
    GENERAL_NAMES_free(all);
    return is_good;
}

static bool add_extension(X509 *x, int nid, const char *value)
{
    X509V3_CTX with;
    X509V3_set_ctx_nodb(&with);
    X509V3_set_ctx(&with, x, x, NULL, NULL, 0);
    X509_EXTENSION *one = X509V3_EXT_conf_nid(NULL, &with, nid, value);
    bool            is_good = one && X509_add_ext(x, one, -1);
    X509_EXTENSION_free(one);
    return is_good;
}

static bool set_serial(X509 *x)
{
    unsigned char bytes[SERIAL_BYTES];
    random_secret(bytes, sizeof(bytes));
    bytes[0] = (bytes[0] & 0x7f) | 0x40; /* positive and of full length */
    return ASN1_STRING_set(X509_get_serialNumber(x), bytes, sizeof(bytes)) == 1;
}

static bool fill(X509 *x, EVP_PKEY *key, const char *const *names, size_t count)
{
    return X509_set_version(x, X509_VERSION_3) && set_serial(x) &&
           X509_gmtime_adj(X509_getm_notBefore(x), -SKEW_S) &&
           X509_gmtime_adj(X509_getm_notAfter(x), (long)DAYS * 24 * 3600) &&
           X509_set_pubkey(x, key) && set_names(x, names, count) &&
           add_extension(x, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(x, NID_key_usage, "critical,digitalSignature") &&
           add_extension(x, NID_ext_key_usage, "serverAuth") && X509_sign(x, key, EVP_sha256());
}

static void put(BIO *from, struct buffer *to)
{
    char *data;
    long  len = BIO_get_mem_data(from, &data);
    buffer_put(to, data, len > 0 ? (size_t)len : 0);
}

bool tls_make_self_signed(const char *const *names, size_t count, struct buffer *cert_pem,
                          struct buffer *key_pem, struct error *e)
{
    if (!count) return error_set(e, "a certificate needs a name");
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509     *x = X509_new();
    BIO      *cert_to = BIO_new(BIO_s_mem());
    BIO      *key_to = BIO_new(BIO_s_secmem());
    bool      is_good = key && x && cert_to && key_to && fill(x, key, names, count) &&
                   PEM_write_bio_X509(cert_to, x) == 1 &&
                   PEM_write_bio_PrivateKey(key_to, key, NULL, NULL, 0, NULL, NULL) == 1;
    if (is_good) {
        put(cert_to, cert_pem);
        put(key_to, key_pem);
    } else {
        error_set(e, "cannot make a certificate for %.200s: %s", names[0], tls_openssl_reason());
    }
    BIO_free(cert_to);
    BIO_free(key_to);
    X509_free(x);
    EVP_PKEY_free(key);
    return is_good;
}
