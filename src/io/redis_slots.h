/* SPDX-License-Identifier: Apache-2.0
 *
 * Which of a Redis Cluster's slots a key is in, and what a node says when it is not its
 * own. Pure.
 */
#pragma once

#include <stdint.h>

#include "base/slice.h"

enum { REDIS_SLOT_COUNT = 16384 };

/* CRC16 of the key, or of what its first "{...}" holds, unless that is empty. */
uint16_t redis_slot(struct slice key);

/* "MOVED 3999 127.0.0.1:6381": the slot has another owner. "ASK ...": of this key that one
 * knows, and is to be asked after ASKING; the slot is still on its way. */
struct redis_redirect {
    bool         is_ask;
    uint16_t     slot;
    struct slice host; /* of the text that was parsed; empty: whom it came from; IPv6 is bare */
    uint16_t     port;
};

/* False: the error is another one. */
bool redis_parse_redirect(struct slice error, struct redis_redirect *to);
