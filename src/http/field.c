/* SPDX-License-Identifier: Apache-2.0
 *
 * Field names and field lists. A known name is found by one multiplication and
 * one comparison: the hash is perfect over the names below, and its table is
 * checked by tests/unit/http/field_test.c.
 */
#include <assert.h>

#include "http/chars.h"
#include "http/message.h"

_Static_assert(FIELD_ID_COUNT <= 64, "a set of field ids is one word");

static const struct slice names[FIELD_ID_COUNT] = {
    [FIELD_ACCEPT] = SLICE("Accept"),
    [FIELD_ACCEPT_ENCODING] = SLICE("Accept-Encoding"),
    [FIELD_AUTHORIZATION] = SLICE("Authorization"),
    [FIELD_CACHE_CONTROL] = SLICE("Cache-Control"),
    [FIELD_CONNECTION] = SLICE("Connection"),
    [FIELD_CONTENT_ENCODING] = SLICE("Content-Encoding"),
    [FIELD_CONTENT_LENGTH] = SLICE("Content-Length"),
    [FIELD_CONTENT_TYPE] = SLICE("Content-Type"),
    [FIELD_COOKIE] = SLICE("Cookie"),
    [FIELD_DATE] = SLICE("Date"),
    [FIELD_EARLY_DATA] = SLICE("Early-Data"),
    [FIELD_ETAG] = SLICE("ETag"),
    [FIELD_EXPECT] = SLICE("Expect"),
    [FIELD_FORWARDED] = SLICE("Forwarded"),
    [FIELD_HOST] = SLICE("Host"),
    [FIELD_HTTP2_SETTINGS] = SLICE("HTTP2-Settings"),
    [FIELD_IF_MODIFIED_SINCE] = SLICE("If-Modified-Since"),
    [FIELD_IF_NONE_MATCH] = SLICE("If-None-Match"),
    [FIELD_IF_RANGE] = SLICE("If-Range"),
    [FIELD_KEEP_ALIVE] = SLICE("Keep-Alive"),
    [FIELD_LAST_MODIFIED] = SLICE("Last-Modified"),
    [FIELD_LOCATION] = SLICE("Location"),
    [FIELD_ORIGIN] = SLICE("Origin"),
    [FIELD_PRIORITY] = SLICE("Priority"),
    [FIELD_PROXY_AUTHENTICATE] = SLICE("Proxy-Authenticate"),
    [FIELD_PROXY_AUTHORIZATION] = SLICE("Proxy-Authorization"),
    [FIELD_PROXY_CONNECTION] = SLICE("Proxy-Connection"),
    [FIELD_RANGE] = SLICE("Range"),
    [FIELD_REFERER] = SLICE("Referer"),
    [FIELD_RETRY_AFTER] = SLICE("Retry-After"),
    [FIELD_SEC_WEBSOCKET_KEY] = SLICE("Sec-WebSocket-Key"),
    [FIELD_SERVER] = SLICE("Server"),
    [FIELD_SET_COOKIE] = SLICE("Set-Cookie"),
    [FIELD_STRICT_TRANSPORT_SECURITY] = SLICE("Strict-Transport-Security"),
    [FIELD_TE] = SLICE("TE"),
    [FIELD_TRAILER] = SLICE("Trailer"),
    [FIELD_TRANSFER_ENCODING] = SLICE("Transfer-Encoding"),
    [FIELD_UPGRADE] = SLICE("Upgrade"),
    [FIELD_USER_AGENT] = SLICE("User-Agent"),
    [FIELD_VARY] = SLICE("Vary"),
    [FIELD_VIA] = SLICE("Via"),
    [FIELD_X_FORWARDED_FOR] = SLICE("X-Forwarded-For"),
    [FIELD_X_FORWARDED_HOST] = SLICE("X-Forwarded-Host"),
    [FIELD_X_FORWARDED_PORT] = SLICE("X-Forwarded-Port"),
    [FIELD_X_FORWARDED_PROTO] = SLICE("X-Forwarded-Proto"),
    [FIELD_X_POWERED_BY] = SLICE("X-Powered-By"),
    [FIELD_X_REAL_IP] = SLICE("X-Real-IP"),
    [FIELD_X_REQUEST_ID] = SLICE("X-Request-ID"),
    [FIELD_X_CLIENT_CERT] = SLICE("X-Client-Cert"),
};

/* Where a name's hash leads. To add a name: find a multiplier for which the
 * hashes of all names differ, and fill the table anew. */
enum { NAME_BYTES_MAX = 25 };
static const uint32_t hash_multiplier = 0x9f9d0129u;
static const uint8_t  slots[256] = {
     [0] = FIELD_HTTP2_SETTINGS,
     [4] = FIELD_USER_AGENT,
     [8] = FIELD_PROXY_CONNECTION,
     [11] = FIELD_TE,
     [16] = FIELD_ORIGIN,
     [21] = FIELD_CONTENT_ENCODING,
     [29] = FIELD_SEC_WEBSOCKET_KEY,
     [31] = FIELD_SERVER,
     [36] = FIELD_X_CLIENT_CERT,
     [38] = FIELD_HOST,
     [43] = FIELD_KEEP_ALIVE,
     [44] = FIELD_EXPECT,
     [45] = FIELD_IF_MODIFIED_SINCE,
     [49] = FIELD_LOCATION,
     [50] = FIELD_STRICT_TRANSPORT_SECURITY,
     [51] = FIELD_AUTHORIZATION,
     [56] = FIELD_CONNECTION,
     [63] = FIELD_ETAG,
     [80] = FIELD_CONTENT_TYPE,
     [86] = FIELD_X_FORWARDED_FOR,
     [93] = FIELD_X_REAL_IP,
     [96] = FIELD_IF_RANGE,
     [98] = FIELD_SET_COOKIE,
     [99] = FIELD_DATE,
     [109] = FIELD_LAST_MODIFIED,
     [112] = FIELD_CACHE_CONTROL,
     [127] = FIELD_RETRY_AFTER,
     [128] = FIELD_EARLY_DATA,
     [129] = FIELD_RANGE,
     [130] = FIELD_IF_NONE_MATCH,
     [138] = FIELD_COOKIE,
     [145] = FIELD_PROXY_AUTHENTICATE,
     [151] = FIELD_TRANSFER_ENCODING,
     [152] = FIELD_X_FORWARDED_PORT,
     [167] = FIELD_ACCEPT,
     [168] = FIELD_REFERER,
     [173] = FIELD_ACCEPT_ENCODING,
     [176] = FIELD_X_FORWARDED_HOST,
     [187] = FIELD_X_FORWARDED_PROTO,
     [202] = FIELD_X_REQUEST_ID,
     [205] = FIELD_PRIORITY,
     [210] = FIELD_FORWARDED,
     [219] = FIELD_UPGRADE,
     [220] = FIELD_PROXY_AUTHORIZATION,
     [227] = FIELD_X_POWERED_BY,
     [230] = FIELD_CONTENT_LENGTH,
     [231] = FIELD_TRAILER,
     [248] = FIELD_VARY,
     [251] = FIELD_VIA,
};

static unsigned name_hash(const char *name, size_t len)
{
    uint32_t key = (uint32_t)(uint8_t)(name[0] | 0x20) |
                   (uint32_t)(uint8_t)(name[len * 3 / 4] | 0x20) << 8 |
                   (uint32_t)(uint8_t)(name[len - 1] | 0x20) << 16 | (uint32_t)len << 24;
    return key * hash_multiplier >> 24;
}

static uint64_t load64(const char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof(word));
    return word;
}

static uint32_t load32(const char *p)
{
    uint32_t word;
    memcpy(&word, p, sizeof(word));
    return word;
}

/* Bits in which the words differ, the case of letters left aside: both must be
 * equal once the 0x20 bit is set wherever `known` has a letter (bit 0x40). */
static uint64_t differs64(const char *a, const char *known)
{
    uint64_t k = load64(known);
    uint64_t letters = k >> 1 & UINT64_C(0x2020202020202020);
    return (load64(a) | letters) ^ (k | letters);
}

static uint32_t differs32(const char *a, const char *known)
{
    uint32_t k = load32(known);
    uint32_t letters = k >> 1 & 0x20202020u;
    return (load32(a) | letters) ^ (k | letters);
}

/* `known` consists of letters, digits and "-". */
static bool is_name(const char *a, const char *known, size_t len)
{
    if (len >= 8) {
        for (size_t i = 0; i + 8 < len; i += 8)
            if (differs64(a + i, known + i)) return false;
        return !differs64(a + len - 8, known + len - 8);
    }
    if (len >= 4) return !(differs32(a, known) | differs32(a + len - 4, known + len - 4));
    for (size_t i = 0; i < len; i++)
        if ((a[i] | (known[i] >> 1 & 0x20)) != (known[i] | (known[i] >> 1 & 0x20))) return false;
    return true;
}

enum http_field_id http_field_lookup(struct slice name)
{
    if (name.len - 1 >= NAME_BYTES_MAX) return FIELD_OTHER;
    enum http_field_id id = slots[name_hash(name.data, name.len)];
    if (names[id].len != name.len || !is_name(name.data, names[id].data, name.len))
        return FIELD_OTHER;
    return id;
}

struct slice http_field_name(enum http_field_id id)
{
    assert(id != FIELD_OTHER && id < FIELD_ID_COUNT);
    return names[id];
}

static void grow(struct http_fields *f, struct arena *a)
{
    unsigned capacity = f->capacity ? f->capacity * 2u : 16;
    assert(capacity <= UINT16_MAX);
    struct http_field *items = arena_alloc(a, capacity * sizeof(*items));
    if (f->count) memcpy(items, f->items, f->count * sizeof(*items));
    f->items = items;
    f->capacity = (uint16_t)capacity;
}

void http_fields_add(struct http_fields *f, struct arena *a, enum http_field_id id,
                     struct slice name, struct slice value)
{
    if (f->count == f->capacity) grow(f, a);
    f->items[f->count++] = (struct http_field){ name, value, (uint16_t)id, false };
    f->present |= UINT64_C(1) << id;
}

void http_fields_add_named(struct http_fields *f, struct arena *a, struct slice name,
                           struct slice value)
{
    http_fields_add(f, a, http_field_lookup(name), name, value);
}

void http_fields_set(struct http_fields *f, struct arena *a, enum http_field_id id,
                     struct slice value)
{
    http_fields_drop(f, id);
    http_fields_add(f, a, id, http_field_name(id), value);
}

void http_fields_drop(struct http_fields *f, enum http_field_id id)
{
    if (!(f->present >> id & 1)) return;
    for (unsigned i = 0; i < f->count; i++)
        if (f->items[i].id == id) f->items[i].is_dropped = true;
}

const struct http_field *http_fields_find(const struct http_fields *f, enum http_field_id id)
{
    if (!(f->present >> id & 1)) return NULL;
    for (unsigned i = 0; i < f->count; i++)
        if (f->items[i].id == id && !f->items[i].is_dropped) return &f->items[i];
    return NULL;
}

const struct http_field *http_fields_find_named(const struct http_fields *f, struct slice name)
{
    enum http_field_id id = http_field_lookup(name);
    if (id != FIELD_OTHER) return http_fields_find(f, id);
    if (!(f->present >> FIELD_OTHER & 1)) return NULL;
    for (unsigned i = 0; i < f->count; i++) {
        const struct http_field *field = &f->items[i];
        if (field->id == FIELD_OTHER && !field->is_dropped && slice_eq_nocase(field->name, name))
            return field;
    }
    return NULL;
}

struct slice http_fields_value(const struct http_fields *f, enum http_field_id id)
{
    const struct http_field *field = http_fields_find(f, id);
    return field ? field->value : slice_make("", 0);
}

bool http_is_token(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!http_char_is(s.data[i], CHAR_TOKEN)) return false;
    return s.len != 0;
}

bool http_is_field_value(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!http_char_is(s.data[i], CHAR_VALUE)) return false;
    return true;
}
