/* SPDX-License-Identifier: Apache-2.0
 *
 * WebSocket's frames in any bytes: all at once, byte by byte, and from boundary to boundary
 * must come to the same. The first byte says whose frames they are.
 */
#include <stdlib.h>

#include "http/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) abort();
}

static bool is_same(const struct websocket_scan *a, const struct websocket_scan *b)
{
    return a->part == b->part && a->has_closed == b->has_closed &&
           (a->part == WEBSOCKET_BOUNDARY || a->left_bytes == b->left_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size) return 0;
    struct websocket_scan whole = { .is_masked = data[0] & 1 }, bytes = whole, frames = whole;
    struct slice          all = slice_make((const char *)data + 1, size - 1);
    require(websocket_scan(&whole, all, false) == all.len);
    for (size_t i = 0; i < all.len; i++)
        require(websocket_scan(&bytes, slice_make(all.data + i, 1), true) == 1);
    for (size_t at = 0; at < all.len;) {
        size_t used = websocket_scan(&frames, slice_from(all, at), true);
        require(used && used <= all.len - at);
        at += used;
        require(at == all.len || frames.part == WEBSOCKET_BOUNDARY);
    }
    require(is_same(&whole, &bytes) && is_same(&whole, &frames));
    return 0;
}
