/* SPDX-License-Identifier: Apache-2.0
 *
 * When a certificate ends, for those who watch it.
 */
#include <time.h>

#include "io/tls_internal.h"

bool tls_certificate_expiry(struct slice pem, int64_t *unix_s)
{
    struct error ignored;
    struct tm    end;
    STACK_OF(X509) *chain = tls_pem_certificates(pem, "", &ignored);
    if (!chain) return false;
    bool is_read = ASN1_TIME_to_tm(X509_get0_notAfter(sk_X509_value(chain, 0)), &end);
    if (is_read) *unix_s = timegm(&end);
    sk_X509_pop_free(chain, X509_free);
    return is_read;
}
