/* SPDX-License-Identifier: Apache-2.0
 *
 * SHA-1, HMAC-SHA256 and Base64 by OpenSSL. See digest.h.
 */
#include "io/digest.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

struct slice digest_base64(struct arena *a, struct slice bytes)
{
    unsigned char *to = arena_alloc(a, (bytes.len + 2) / 3 * 4 + 1);
    int            n = EVP_EncodeBlock(to, (const unsigned char *)bytes.data, (int)bytes.len);
    return slice_make((const char *)to, (size_t)n);
}

struct slice digest_sha1_base64(struct arena *a, struct slice first, struct slice second)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned      len;
    char         *text = arena_alloc(a, first.len + second.len);
    memcpy(text, first.data, first.len);
    memcpy(text + first.len, second.data, second.len);
    if (EVP_Digest(text, first.len + second.len, sum, &len, EVP_sha1(), NULL) != 1) abort();
    return digest_base64(a, slice_make((const char *)sum, len));
}

void digest_hmac_sha256(uint8_t to[DIGEST_SHA256_BYTES], struct slice key, struct slice message)
{
    unsigned len;
    if (!HMAC(EVP_sha256(), key.data, (int)key.len, (const unsigned char *)message.data,
              message.len, to, &len))
        abort();
}
