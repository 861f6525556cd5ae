/* SPDX-License-Identifier: Apache-2.0
 *
 * Slots of a Redis Cluster. See redis_slots.h.
 */
#include "io/redis_slots.h"

/* CRC-16/XMODEM by half bytes: keys are short, and a table of 32 bytes stays in the cache. */
static uint16_t crc16(struct slice s)
{
    static const uint16_t table[16] = { 0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5,
                                        0x60c6, 0x70e7, 0x8108, 0x9129, 0xa14a, 0xb16b,
                                        0xc18c, 0xd1ad, 0xe1ce, 0xf1ef };
    uint16_t              crc = 0;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t byte = (uint8_t)s.data[i];
        crc = (uint16_t)(crc << 4) ^ table[(crc >> 12) ^ (byte >> 4)];
        crc = (uint16_t)(crc << 4) ^ table[(crc >> 12) ^ (byte & 15)];
    }
    return crc;
}

uint16_t redis_slot(struct slice key)
{
    size_t open = slice_find(key, '{');
    if (open < key.len) {
        struct slice tag = slice_from(key, open + 1);
        size_t       close = slice_find(tag, '}');
        if (close && close < tag.len) key = slice_make(tag.data, close);
    }
    return crc16(key) % REDIS_SLOT_COUNT;
}

/* Digits alone. */
static bool parse_number(struct slice text, unsigned max, uint16_t *to)
{
    unsigned value = 0;
    if (!text.len || text.len > 5) return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return false;
        value = value * 10 + (unsigned)(text.data[i] - '0');
    }
    *to = (uint16_t)value;
    return value <= max;
}

bool redis_parse_redirect(struct slice error, struct redis_redirect *to)
{
    size_t verb = slice_find(error, ' ');
    *to = (struct redis_redirect){ .is_ask = slice_starts_with(error, S("ASK ")) };
    if (!to->is_ask && !slice_starts_with(error, S("MOVED "))) return false;
    struct slice rest = slice_from(error, verb + 1);
    size_t       space = slice_find(rest, ' ');
    if (space == rest.len) return false;
    struct slice where = slice_from(rest, space + 1);
    size_t       colon = where.len;
    while (colon && where.data[colon - 1] != ':') colon--;
    if (!colon) return false;
    to->host = slice_make(where.data, colon - 1);
    return parse_number(slice_make(rest.data, space), REDIS_SLOT_COUNT - 1, &to->slot) &&
           parse_number(slice_from(where, colon), UINT16_MAX, &to->port) && to->port;
}
