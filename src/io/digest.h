/* SPDX-License-Identifier: Apache-2.0
 *
 * What the handshake of WebSocket needs of cryptography (RFC 6455 section 4): there it
 * is no secret, only a proof that the other side speaks it.
 */
#pragma once

#include "base/arena.h"

/* Base64 of the bytes (RFC 4648 section 4), in the arena. */
struct slice digest_base64(struct arena *a, struct slice bytes);
/* Base64 of SHA-1 of the two texts, one after the other. */
struct slice digest_sha1_base64(struct arena *a, struct slice first, struct slice second);
