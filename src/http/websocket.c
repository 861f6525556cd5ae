/* SPDX-License-Identifier: Apache-2.0
 *
 * WebSocket's frames. See websocket.h.
 *
 *   0                   1
 *   0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5
 *  +-+-+-+-+-------+-+-------------+- - - - - - - - -+- - - - -+- - - - -
 *  |F|R|R|R| opcode|M|  length     | 126: 2 bytes    | key     | payload
 *  |I|S|S|S|  (4)  |A|   (7)       | 127: 8 bytes    | if MASK |
 *  +-+-+-+-+-------+-+-------------+- - - - - - - - -+- - - - -+- - - - -
 */
#include "http/websocket.h"

#include <string.h>

enum {
    FIN = 0x80,
    OPCODE = 0x0f,
    OPCODES = 0x0707, /* by bit: 0 to 2, and the control frames 8 to 10 */
    CONTROL = 0x08,
    CLOSE = 0x08,
    MASK = 0x80,
    SHORT_LENGTH_MAX = 125,
    KEY_BYTES = 4,
};

static bool is_close(const struct websocket_scan *s)
{
    return (s->opcode & OPCODE) == CLOSE;
}

static void end_frame(struct websocket_scan *s)
{
    s->has_closed |= is_close(s);
    s->part = WEBSOCKET_BOUNDARY;
}

/* The length is known. The key is skipped as the payload is. */
static void begin_rest(struct websocket_scan *s)
{
    s->left_bytes += s->is_masked ? KEY_BYTES : 0;
    s->part = WEBSOCKET_REST;
    if (!s->left_bytes) end_frame(s);
}

static bool is_opcode(unsigned byte)
{
    return OPCODES >> (byte & OPCODE) & 1;
}

static void take_size(struct websocket_scan *s, unsigned byte)
{
    unsigned length = byte & ~MASK & 0xff;
    bool     is_control = s->opcode & CONTROL, is_short = length <= SHORT_LENGTH_MAX;
    s->left_bytes = is_short ? length : 0;
    if (s->is_masked != !!(byte & MASK) || (is_control && (!is_short || !(s->opcode & FIN)))) {
        s->part = WEBSOCKET_BROKEN;
    } else if (is_short) {
        begin_rest(s);
    } else {
        s->length_left = length == SHORT_LENGTH_MAX + 1 ? 2 : 8;
        s->part = WEBSOCKET_LENGTH;
    }
}

static void take_length(struct websocket_scan *s, unsigned byte)
{
    s->left_bytes = s->left_bytes << 8 | byte;
    if (--s->length_left) return;
    if (s->left_bytes >> 63)
        s->part = WEBSOCKET_BROKEN;
    else
        begin_rest(s);
}

/* One byte of a head. */
static void take_head(struct websocket_scan *s, unsigned byte)
{
    if (s->part == WEBSOCKET_BOUNDARY) {
        s->opcode = (uint8_t)byte;
        s->part = is_opcode(byte) ? WEBSOCKET_SIZE : WEBSOCKET_BROKEN;
    } else if (s->part == WEBSOCKET_SIZE) {
        take_size(s, byte);
    } else {
        take_length(s, byte);
    }
}

static size_t skip_rest(struct websocket_scan *s, size_t most)
{
    size_t count = s->left_bytes < most ? (size_t)s->left_bytes : most;
    s->left_bytes -= count;
    if (!s->left_bytes) end_frame(s);
    return count;
}

size_t websocket_scan(struct websocket_scan *s, struct slice data, bool stops)
{
    size_t i = 0;
    while (i < data.len && s->part != WEBSOCKET_BROKEN) {
        if (s->part == WEBSOCKET_REST)
            i += skip_rest(s, data.len - i);
        else
            take_head(s, (unsigned char)data.data[i++]);
        if (stops && s->part == WEBSOCKET_BOUNDARY) return i;
    }
    return data.len;
}

bool websocket_is_closing(const struct websocket_scan *s)
{
    bool is_amid = s->part == WEBSOCKET_SIZE || s->part == WEBSOCKET_REST;
    return s->has_closed || (is_amid && is_close(s));
}

size_t websocket_write_close(char to[WEBSOCKET_CLOSE_MAX], unsigned code, const char key[4])
{
    const char payload[2] = { (char)(code >> 8), (char)code };
    size_t     at = 2;
    to[0] = (char)(FIN | CLOSE);
    to[1] = (char)((key ? MASK : 0) | (int)sizeof(payload));
    if (key) {
        memcpy(&to[at], key, KEY_BYTES);
        at += KEY_BYTES;
    }
    for (size_t i = 0; i < sizeof(payload); i++) to[at++] = (char)(payload[i] ^ (key ? key[i] : 0));
    return at;
}
