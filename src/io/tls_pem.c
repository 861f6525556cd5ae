/* SPDX-License-Identifier: Apache-2.0
 *
 * PEM to certificates and keys. Every refusal names the file. Keys under a
 * passphrase are refused: a server that starts by itself cannot ask for it.
 */
#include <openssl/err.h>
#include <openssl/pem.h>

#include "io/tls_internal.h"

const char *tls_openssl_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return reason ? reason : "no reason given";
}

static BIO *reader(struct slice pem)
{
    return BIO_new_mem_buf(pem.len ? pem.data : "", (int)pem.len);
}

static bool is_certificate(const char *label)
{
    return strcmp(label, PEM_STRING_X509) == 0 || strcmp(label, PEM_STRING_X509_OLD) == 0;
}

/* One PEM block; a certificate is added to `all`. */
static bool take_block(STACK_OF(X509) * all, const char *label, const unsigned char *der, long len,
                       const char *file, struct error *e)
{
    if (!is_certificate(label)) return true;
    X509 *one = d2i_X509(NULL, &der, len);
    if (!one)
        return error_set(e, "%s: certificate %d cannot be parsed: %s", file, sk_X509_num(all) + 1,
                         tls_openssl_reason());
    if (!sk_X509_push(all, one)) abort();
    return true;
}

STACK_OF(X509) * tls_pem_certificates(struct slice pem, const char *file, struct error *e)
{
    STACK_OF(X509) *all = sk_X509_new_null();
    BIO *from = reader(pem);
    bool is_good = true;
    if (!all || !from) abort();
    while (is_good) {
        char          *label = NULL;
        char          *header = NULL;
        unsigned char *der = NULL;
        long           len = 0;
        if (!PEM_read_bio(from, &label, &header, &der, &len)) break;
        is_good = take_block(all, label, der, len, file, e);
        OPENSSL_free(label);
        OPENSSL_free(header);
        OPENSSL_clear_free(der, (size_t)len);
    }
    unsigned long end = ERR_peek_last_error();
    if (is_good && ERR_GET_REASON(end) != PEM_R_NO_START_LINE)
        is_good = error_set(e, "%s: broken PEM after certificate %d: %s", file, sk_X509_num(all),
                            tls_openssl_reason());
    else if (is_good && sk_X509_num(all) == 0)
        is_good = error_set(e, "%s: holds no certificate in PEM form (BEGIN CERTIFICATE)", file);
    ERR_clear_error();
    BIO_free(from);
    if (is_good) return all;
    sk_X509_pop_free(all, X509_free);
    return NULL;
}

/* Asked for when a key turns out to be encrypted. */
static int note_passphrase(char *to, int size, int is_writing, void *was_asked)
{
    (void)to, (void)size, (void)is_writing;
    *(bool *)was_asked = true;
    return -1;
}

EVP_PKEY *tls_pem_key(struct slice pem, const char *file, struct error *e)
{
    bool is_encrypted = false;
    BIO *from = reader(pem);
    if (!from) abort();
    EVP_PKEY *key = PEM_read_bio_PrivateKey(from, NULL, note_passphrase, &is_encrypted);
    if (!key && is_encrypted)
        error_set(e,
                  "%s: the private key is encrypted; decrypt it first: "
                  "openssl pkey -in %s -out plain.key",
                  file, file);
    else if (!key && !memmem(pem.data, pem.len, "PRIVATE KEY-----", 16))
        error_set(e, "%s: holds no private key in PEM form (BEGIN PRIVATE KEY)", file);
    else if (!key)
        error_set(e, "%s: the private key cannot be parsed: %s", file, tls_openssl_reason());
    ERR_clear_error();
    BIO_free(from);
    return key;
}
