/* SPDX-License-Identifier: Apache-2.0
 *
 * Is a certificate fit to be served? Refuses what clients would refuse (expired,
 * weak, in the wrong order, not belonging to the key), so that it is found when
 * the configuration is checked and not by visitors. One that may be expired is
 * warned of.
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "io/tls_internal.h"

enum { WARN_DAYS = 14, RSA_BITS_MIN = 2048, NAME_BYTES = 160 };

static const struct {
    const char   *name;
    enum tls_kind kind;
} kinds[] = {
    { "RSA", TLS_KIND_RSA },         { "RSA-PSS", TLS_KIND_RSA_PSS }, { "EC", TLS_KIND_EC },
    { "ED25519", TLS_KIND_ED25519 }, { "ED448", TLS_KIND_ED448 },
};

static const char *const curves[] = { "prime256v1", "secp384r1", "secp521r1",
                                      "P-256",      "P-384",     "P-521" };

static const char *subject(X509 *x, char text[NAME_BYTES])
{
    BIO *to = BIO_new(BIO_s_mem());
    if (!to) abort();
    X509_NAME_print_ex(to, X509_get_subject_name(x), 0, XN_FLAG_RFC2253);
    int n = BIO_read(to, text, NAME_BYTES - 1);
    text[n > 0 ? n : 0] = '\0';
    BIO_free(to);
    return text[0] ? text : "(no subject)";
}

static void date(const ASN1_TIME *at, char text[32])
{
    struct tm tm;
    text[0] = '\0';
    if (ASN1_TIME_to_tm(at, &tm)) strftime(text, 32, "%Y-%m-%d %H:%M UTC", &tm);
}

static bool check_key(const struct tls_parsed *p, struct error *e)
{
    X509 *leaf = sk_X509_value(p->chain, 0);
    if (X509_check_private_key(leaf, p->key)) return true;
    ERR_clear_error();
    for (int i = 1; i < sk_X509_num(p->chain); i++) {
        bool fits = X509_check_private_key(sk_X509_value(p->chain, i), p->key);
        ERR_clear_error();
        if (fits)
            return error_set(e,
                             "%s: the key in %s belongs to certificate %d of the file; put that "
                             "one first and its issuers after it",
                             p->cert_name, p->key_name, i + 1);
    }
    return error_set(e, "%s: the key in %s does not belong to this certificate", p->cert_name,
                     p->key_name);
}

static bool check_order(const struct tls_parsed *p, struct error *e)
{
    for (int i = 0; i + 1 < sk_X509_num(p->chain); i++) {
        char  below[NAME_BYTES], above[NAME_BYTES];
        X509 *issued = sk_X509_value(p->chain, i);
        X509 *issuer = sk_X509_value(p->chain, i + 1);
        if (X509_check_issued(issuer, issued) == X509_V_OK) continue;
        ERR_clear_error();
        return error_set(e,
                         "%s: wrong order: certificate %d (%.120s) did not issue certificate %d "
                         "(%.120s); put the server's certificate first, then the one that issued "
                         "it, and so on",
                         p->cert_name, i + 2, subject(issuer, above), i + 1,
                         subject(issued, below));
    }
    return true;
}

/* Where it may be: worth a warning each time, not the other hosts' end. */
static bool report_expired(const struct tls_parsed *p, int at, struct buffer *warnings,
                           struct error *e)
{
    X509 *x = sk_X509_value(p->chain, at);
    char  name[NAME_BYTES], when[32];
    date(X509_get0_notAfter(x), when);
    subject(x, name);
    if (!p->may_be_expired)
        return error_set(e, "%s: certificate %d (%s) has expired on %s", p->cert_name, at + 1, name,
                         when);
    if (warnings)
        buffer_printf(warnings, "%s: certificate %d (%s) has expired on %s; clients refuse it\n",
                      p->cert_name, at + 1, name, when);
    return true;
}

static bool check_time(const struct tls_parsed *p, int at, struct buffer *warnings, struct error *e)
{
    X509 *x = sk_X509_value(p->chain, at);
    char  name[NAME_BYTES], when[32];
    int   days = 0, seconds = 0;
    if (X509_cmp_current_time(X509_get0_notBefore(x)) >= 0) {
        date(X509_get0_notBefore(x), when);
        return error_set(e, "%s: certificate %d (%s) is not valid before %s", p->cert_name, at + 1,
                         subject(x, name), when);
    }
    if (X509_cmp_current_time(X509_get0_notAfter(x)) <= 0)
        return report_expired(p, at, warnings, e);
    date(X509_get0_notAfter(x), when);
    if (warnings && ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(x)) &&
        days < WARN_DAYS)
        buffer_printf(warnings, "%s: certificate %d (%s) expires in %d days, on %s\n", p->cert_name,
                      at + 1, subject(x, name), days, when);
    return true;
}

static bool is_curve_known(EVP_PKEY *key)
{
    char group[64] = "";
    if (!EVP_PKEY_get_group_name(key, group, sizeof(group), NULL)) return false;
    for (size_t i = 0; i < sizeof(curves) / sizeof(curves[0]); i++)
        if (strcmp(group, curves[i]) == 0) return true;
    return false;
}

static bool check_strength(const struct tls_parsed *p, int at, struct error *e)
{
    X509     *x = sk_X509_value(p->chain, at);
    char      name[NAME_BYTES];
    int       digest = NID_undef;
    EVP_PKEY *key = X509_get0_pubkey(x);
    if (!key)
        return error_set(e, "%s: certificate %d (%s): its key is of an unknown type", p->cert_name,
                         at + 1, subject(x, name));
    if ((EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS")) &&
        EVP_PKEY_get_bits(key) < RSA_BITS_MIN)
        return error_set(e, "%s: certificate %d (%s): an RSA key of %d bits is too weak; use %d",
                         p->cert_name, at + 1, subject(x, name), EVP_PKEY_get_bits(key),
                         RSA_BITS_MIN);
    if (EVP_PKEY_is_a(key, "EC") && !is_curve_known(key))
        return error_set(e, "%s: certificate %d (%s): its curve is not P-256, P-384 or P-521",
                         p->cert_name, at + 1, subject(x, name));
    /* Nobody relies on the signature of a root. */
    if (X509_get_extension_flags(x) & EXFLAG_SS) return true;
    X509_get_signature_info(x, &digest, NULL, NULL, NULL);
    if (digest == NID_sha1 || digest == NID_md5 || digest == NID_md5_sha1)
        return error_set(e, "%s: certificate %d (%s) is signed with %s, which clients refuse",
                         p->cert_name, at + 1, subject(x, name), OBJ_nid2sn(digest));
    return true;
}

static bool find_kind(struct tls_parsed *p, struct error *e)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (!EVP_PKEY_is_a(p->key, kinds[i].name)) continue;
        p->kind = kinds[i].kind;
        return true;
    }
    return error_set(e, "%s: keys of type %s are not supported", p->key_name,
                     EVP_PKEY_get0_type_name(p->key));
}

static void warn(const struct tls_parsed *p, enum tls_profile profile, struct buffer *warnings)
{
    X509 *leaf = sk_X509_value(p->chain, 0);
    if (X509_check_purpose(leaf, X509_PURPOSE_SSL_SERVER, 0) != 1)
        buffer_printf(warnings, "%s: the certificate is not meant for servers (key usage)\n",
                      p->cert_name);
    if (profile == TLS_MODERN && p->kind != TLS_KIND_EC)
        buffer_printf(warnings, "%s: the profile modern asks for an ECDSA key\n", p->cert_name);
    ERR_clear_error();
}

bool tls_check(struct tls_parsed *p, enum tls_profile profile, struct buffer *warnings,
               struct error *e)
{
    if (!find_kind(p, e) || !check_key(p, e) || !check_order(p, e)) return false;
    for (int i = 0; i < sk_X509_num(p->chain); i++)
        if (!check_time(p, i, warnings, e) || !check_strength(p, i, e)) return false;
    if (warnings) warn(p, profile, warnings);
    return true;
}
