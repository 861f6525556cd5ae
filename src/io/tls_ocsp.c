/* SPDX-License-Identifier: Apache-2.0
 *
 * An OCSP response that is to be stapled (RFC 6066 section 8): is it about this
 * certificate, signed by its issuer, good and current? A stale one is left out
 * with a warning; one that belongs elsewhere is an error.
 */
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "io/tls_internal.h"

enum { CLOCK_SKEW_S = 300 };

static X509 *issuer_of(const struct tls_parsed *p)
{
    return sk_X509_value(p->chain, sk_X509_num(p->chain) > 1 ? 1 : 0);
}

/* The response's entry for the leaf, whatever digest the responder identifies it by. */
static OCSP_SINGLERESP *find_entry(OCSP_BASICRESP *basic, X509 *leaf, X509 *issuer)
{
    for (int i = 0; i < OCSP_resp_count(basic); i++) {
        OCSP_SINGLERESP   *single = OCSP_resp_get0(basic, i);
        const OCSP_CERTID *id = OCSP_SINGLERESP_get0_id(single);
        ASN1_OBJECT       *digest = NULL;
        OCSP_id_get0_info(NULL, &digest, NULL, NULL, (OCSP_CERTID *)(uintptr_t)id);
        const EVP_MD *md = EVP_get_digestbyobj(digest);
        OCSP_CERTID  *own = md ? OCSP_cert_to_id(md, leaf, issuer) : NULL;
        bool          is_same = own && OCSP_id_cmp(own, id) == 0;
        OCSP_CERTID_free(own);
        if (is_same) return single;
    }
    return NULL;
}

static bool is_signed(OCSP_BASICRESP *basic, X509 *issuer)
{
    X509_STORE *trusted = X509_STORE_new();
    STACK_OF(X509) *signers = sk_X509_new_null();
    if (!trusted || !signers || !sk_X509_push(signers, issuer)) abort();
    X509_STORE_add_cert(trusted, issuer);
    X509_STORE_set_flags(trusted, X509_V_FLAG_PARTIAL_CHAIN);
    bool is_good = OCSP_basic_verify(basic, signers, trusted, 0) == 1;
    sk_X509_free(signers);
    X509_STORE_free(trusted);
    ERR_clear_error();
    return is_good;
}

static int64_t unix_time(const ASN1_GENERALIZEDTIME *at)
{
    struct tm tm;
    if (!at || !ASN1_TIME_to_tm(at, &tm)) return INT64_MAX;
    return timegm(&tm);
}

/* Is the entry good and current? *until_s stays 0 and a warning tells when it is not. */
static void judge(const struct tls_parsed *p, OCSP_SINGLERESP *single, int64_t *until_s,
                  struct buffer *warnings)
{
    ASN1_GENERALIZEDTIME *from = NULL, *until = NULL;
    int                   status = OCSP_single_get0_status(single, NULL, NULL, &from, &until);
    const char           *fault = NULL;
    if (status != V_OCSP_CERTSTATUS_GOOD)
        fault = status == V_OCSP_CERTSTATUS_REVOKED ? "says that the certificate is revoked"
                                                    : "does not know the certificate";
    else if (!OCSP_check_validity(from, until, CLOCK_SKEW_S, -1))
        fault = "is out of date";
    ERR_clear_error();
    if (!fault)
        *until_s = unix_time(until);
    else if (warnings)
        buffer_printf(warnings, "%s: the OCSP response %s; it is not stapled\n", p->cert_name,
                      fault);
}

static bool check_basic(const struct tls_parsed *p, OCSP_BASICRESP *basic, int64_t *until_s,
                        struct buffer *warnings, struct error *e)
{
    X509            *issuer = issuer_of(p);
    OCSP_SINGLERESP *single = find_entry(basic, sk_X509_value(p->chain, 0), issuer);
    ERR_clear_error();
    if (!single)
        return error_set(e, "%s: the OCSP response is about another certificate", p->cert_name);
    if (!is_signed(basic, issuer))
        return error_set(e, "%s: the OCSP response is not signed by the certificate's issuer",
                         p->cert_name);
    judge(p, single, until_s, warnings);
    return true;
}

bool tls_ocsp_check(const struct tls_parsed *p, struct slice der, int64_t *until_s,
                    struct buffer *warnings, struct error *e)
{
    const unsigned char *at = (const unsigned char *)der.data;
    *until_s = 0;
    OCSP_RESPONSE  *response = d2i_OCSP_RESPONSE(NULL, &at, (long)der.len);
    OCSP_BASICRESP *basic =
        response && OCSP_response_status(response) == 0 ? OCSP_response_get1_basic(response) : NULL;
    bool is_good = basic ? check_basic(p, basic, until_s, warnings, e)
                         : error_set(e, "%s: the OCSP response is not a successful one in DER form",
                                     p->cert_name);
    ERR_clear_error();
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    return is_good;
}
