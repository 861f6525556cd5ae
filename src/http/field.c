/* SPDX-License-Identifier: Apache-2.0
 *
 * Field names and field lists. A known name is found by one multiplication and
 * one comparison (http/names.h).
 */
#include <assert.h>

#include "http/chars.h"
#include "http/names.h"

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

/* To add a name: find a multiplier for which the hashes of all names differ, and
 * fill the table of slots anew. */
const struct http_name_row http_name_rows[FIELD_ID_COUNT] = {
    [FIELD_ACCEPT] = { "accept", 6 },
    [FIELD_ACCEPT_ENCODING] = { "accept-encoding", 15 },
    [FIELD_AUTHORIZATION] = { "authorization", 13 },
    [FIELD_CACHE_CONTROL] = { "cache-control", 13 },
    [FIELD_CONNECTION] = { "connection", 10 },
    [FIELD_CONTENT_ENCODING] = { "content-encoding", 16 },
    [FIELD_CONTENT_LENGTH] = { "content-length", 14 },
    [FIELD_CONTENT_TYPE] = { "content-type", 12 },
    [FIELD_COOKIE] = { "cookie", 6 },
    [FIELD_DATE] = { "date", 4 },
    [FIELD_EARLY_DATA] = { "early-data", 10 },
    [FIELD_ETAG] = { "etag", 4 },
    [FIELD_EXPECT] = { "expect", 6 },
    [FIELD_FORWARDED] = { "forwarded", 9 },
    [FIELD_HOST] = { "host", 4 },
    [FIELD_HTTP2_SETTINGS] = { "http2-settings", 14 },
    [FIELD_IF_MODIFIED_SINCE] = { "if-modified-since", 17 },
    [FIELD_IF_NONE_MATCH] = { "if-none-match", 13 },
    [FIELD_IF_RANGE] = { "if-range", 8 },
    [FIELD_KEEP_ALIVE] = { "keep-alive", 10 },
    [FIELD_LAST_MODIFIED] = { "last-modified", 13 },
    [FIELD_LOCATION] = { "location", 8 },
    [FIELD_ORIGIN] = { "origin", 6 },
    [FIELD_PRIORITY] = { "priority", 8 },
    [FIELD_PROXY_AUTHENTICATE] = { "proxy-authenticate", 18 },
    [FIELD_PROXY_AUTHORIZATION] = { "proxy-authorization", 19 },
    [FIELD_PROXY_CONNECTION] = { "proxy-connection", 16 },
    [FIELD_RANGE] = { "range", 5 },
    [FIELD_REFERER] = { "referer", 7 },
    [FIELD_RETRY_AFTER] = { "retry-after", 11 },
    [FIELD_SEC_WEBSOCKET_KEY] = { "sec-websocket-key", 17 },
    [FIELD_SERVER] = { "server", 6 },
    [FIELD_SET_COOKIE] = { "set-cookie", 10 },
    [FIELD_STRICT_TRANSPORT_SECURITY] = { "strict-transport-security", 25 },
    [FIELD_TE] = { "te", 2 },
    [FIELD_TRAILER] = { "trailer", 7 },
    [FIELD_TRANSFER_ENCODING] = { "transfer-encoding", 17 },
    [FIELD_UPGRADE] = { "upgrade", 7 },
    [FIELD_USER_AGENT] = { "user-agent", 10 },
    [FIELD_VARY] = { "vary", 4 },
    [FIELD_VIA] = { "via", 3 },
    [FIELD_X_FORWARDED_FOR] = { "x-forwarded-for", 15 },
    [FIELD_X_FORWARDED_HOST] = { "x-forwarded-host", 16 },
    [FIELD_X_FORWARDED_PORT] = { "x-forwarded-port", 16 },
    [FIELD_X_FORWARDED_PROTO] = { "x-forwarded-proto", 17 },
    [FIELD_X_POWERED_BY] = { "x-powered-by", 12 },
    [FIELD_X_REAL_IP] = { "x-real-ip", 9 },
    [FIELD_X_REQUEST_ID] = { "x-request-id", 12 },
    [FIELD_X_CLIENT_CERT] = { "x-client-cert", 13 },
};

const uint8_t http_name_slots[256] = {
    [7] = FIELD_SERVER,
    [8] = FIELD_X_FORWARDED_FOR,
    [9] = FIELD_DATE,
    [11] = FIELD_PROXY_CONNECTION,
    [13] = FIELD_EARLY_DATA,
    [15] = FIELD_TRAILER,
    [20] = FIELD_FORWARDED,
    [30] = FIELD_X_REQUEST_ID,
    [31] = FIELD_CONTENT_ENCODING,
    [35] = FIELD_ETAG,
    [39] = FIELD_X_CLIENT_CERT,
    [45] = FIELD_LOCATION,
    [60] = FIELD_PROXY_AUTHENTICATE,
    [72] = FIELD_CONNECTION,
    [76] = FIELD_X_REAL_IP,
    [78] = FIELD_STRICT_TRANSPORT_SECURITY,
    [82] = FIELD_VARY,
    [83] = FIELD_IF_NONE_MATCH,
    [90] = FIELD_UPGRADE,
    [98] = FIELD_RETRY_AFTER,
    [104] = FIELD_CACHE_CONTROL,
    [108] = FIELD_AUTHORIZATION,
    [119] = FIELD_X_FORWARDED_PROTO,
    [120] = FIELD_SEC_WEBSOCKET_KEY,
    [123] = FIELD_LAST_MODIFIED,
    [130] = FIELD_IF_MODIFIED_SINCE,
    [136] = FIELD_HOST,
    [153] = FIELD_X_FORWARDED_PORT,
    [157] = FIELD_REFERER,
    [159] = FIELD_X_POWERED_BY,
    [167] = FIELD_USER_AGENT,
    [169] = FIELD_CONTENT_TYPE,
    [173] = FIELD_PRIORITY,
    [180] = FIELD_X_FORWARDED_HOST,
    [185] = FIELD_RANGE,
    [186] = FIELD_SET_COOKIE,
    [188] = FIELD_HTTP2_SETTINGS,
    [190] = FIELD_PROXY_AUTHORIZATION,
    [193] = FIELD_EXPECT,
    [194] = FIELD_ACCEPT,
    [195] = FIELD_ACCEPT_ENCODING,
    [197] = FIELD_KEEP_ALIVE,
    [205] = FIELD_COOKIE,
    [208] = FIELD_IF_RANGE,
    [210] = FIELD_TRANSFER_ENCODING,
    [219] = FIELD_CONTENT_LENGTH,
    [255] = FIELD_ORIGIN,
};

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

static enum http_field_id candidate(struct slice name)
{
    if (name.len == 2) return FIELD_TE;
    if (name.len == 3) return FIELD_VIA;
    if (name.len < 2 || name.len > HTTP_NAME_BYTES_MAX) return FIELD_OTHER;
    return http_name_slots[http_name_hash(name.data, name.len)];
}

enum http_field_id http_field_lookup(struct slice name)
{
    enum http_field_id          id = candidate(name);
    const struct http_name_row *row = &http_name_rows[id];
    if (row->len != name.len || !is_name(name.data, row->text, name.len)) return FIELD_OTHER;
    return id;
}

struct slice http_field_name(enum http_field_id id)
{
    assert(id != FIELD_OTHER && id < FIELD_ID_COUNT);
    return names[id];
}

static void grow(struct http_fields *f, struct arena *a, unsigned least)
{
    unsigned capacity = f->capacity ? f->capacity * 2u : 16;
    while (capacity < least) capacity *= 2;
    assert(capacity <= UINT16_MAX);
    struct http_field *items = arena_alloc(a, capacity * sizeof(*items));
    if (f->count) memcpy(items, f->items, f->count * sizeof(*items));
    f->items = items;
    f->capacity = (uint16_t)capacity;
}

void http_fields_add(struct http_fields *f, struct arena *a, enum http_field_id id,
                     struct slice name, struct slice value)
{
    if (f->count == f->capacity) grow(f, a, 0);
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

void http_fields_append(struct http_fields *f, struct arena *a, const struct http_field *items,
                        unsigned count)
{
    if (!count) return;
    if (f->count + count > f->capacity) grow(f, a, f->count + count);
    memcpy(&f->items[f->count], items, count * sizeof(*items));
    f->count = (uint16_t)(f->count + count);
    for (unsigned i = 0; i < count; i++) f->present |= UINT64_C(1) << items[i].id;
}

void http_fields_drop_named(struct http_fields *f, enum http_field_id id, struct slice name)
{
    if (!(f->present >> id & 1)) return;
    for (unsigned i = 0; i < f->count; i++)
        if (f->items[i].id == id && slice_eq_nocase(f->items[i].name, name))
            f->items[i].is_dropped = true;
}

void http_fields_set_named(struct http_fields *f, struct arena *a, struct slice name,
                           struct slice value)
{
    enum http_field_id id = http_field_lookup(name);
    http_fields_drop_named(f, id, name);
    http_fields_add(f, a, id, name, value);
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

static const struct slice digests[] = { SLICE("Content-Digest"), SLICE("Repr-Digest"),
                                        SLICE("Digest"), SLICE("Content-MD5") };

enum { DIGEST_COUNT = sizeof(digests) / sizeof(digests[0]) };

bool http_fields_have_digest(const struct http_fields *f)
{
    for (size_t i = 0; i < DIGEST_COUNT; i++)
        if (http_fields_find_named(f, digests[i])) return true;
    return false;
}

void http_fields_drop_digests(struct http_fields *f)
{
    for (size_t i = 0; i < DIGEST_COUNT; i++) http_fields_drop_named(f, FIELD_OTHER, digests[i]);
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
