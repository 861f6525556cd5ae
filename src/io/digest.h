/* SPDX-License-Identifier: Apache-2.0
 *
 * What other folders need of cryptography: for the handshake of WebSocket (RFC 6455
 * section 4), where it is no secret, only a proof that the other side speaks it; and
 * names that nobody else can make (HMAC, RFC 2104).
 */
#pragma once

#include <stdint.h>

#include "base/arena.h"

enum { DIGEST_SHA256_BYTES = 32 };

/* Base64 of the bytes (RFC 4648 section 4), in the arena. */
struct slice digest_base64(struct arena *a, struct slice bytes);
/* Base64 of SHA-1 of the two texts, one after the other. */
struct slice digest_sha1_base64(struct arena *a, struct slice first, struct slice second);
void digest_hmac_sha256(uint8_t to[DIGEST_SHA256_BYTES], struct slice key, struct slice message);
