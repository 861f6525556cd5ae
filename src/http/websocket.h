/* SPDX-License-Identifier: Apache-2.0
 *
 * WebSocket's frames (RFC 6455 section 5), as far as one must know them to put a Close
 * between two of them: follows the heads of one direction, byte by byte if need be, and
 * never looks at a payload. Refuses what is no frame; is lenient about what extensions
 * may change (RSV bits) and about the order of fragments, which is the ends' affair.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum websocket_part {
    WEBSOCKET_BOUNDARY, /* between two frames: the first byte of one is awaited */
    WEBSOCKET_SIZE,     /* MASK and the short length */
    WEBSOCKET_LENGTH,   /* the extended one */
    WEBSOCKET_REST,     /* key and payload */
    WEBSOCKET_BROKEN,   /* these are no frames: nothing more is looked at */
};

/* One direction. Zeroed but for `is_masked` it stands at the beginning. */
struct websocket_scan {
    uint64_t            left_bytes; /* of the rest; while the length comes, what of it is known */
    enum websocket_part part;
    uint8_t             length_left; /* bytes of the extended length */
    uint8_t             opcode;      /* with FIN */
    bool                is_masked;   /* as what clients send is */
    bool                has_closed;  /* a Close has passed, whole */
};

/* Follows `data`. `stops`: up to the first boundary behind its beginning only. Returns how many
 * bytes that was. */
size_t websocket_scan(struct websocket_scan *s, struct slice data, bool stops);

/* Is it amid a Close, or past it? */
bool websocket_is_closing(const struct websocket_scan *s);

enum { WEBSOCKET_GOING_AWAY = 1001, WEBSOCKET_CLOSE_MAX = 8 };

/* A Close with that code; masked by `key`, unless that is NULL. Returns its length. */
size_t websocket_write_close(char to[WEBSOCKET_CLOSE_MAX], unsigned code, const char key[4]);
