/* SPDX-License-Identifier: Apache-2.0
 *
 * The message model: what a request or a response says, whatever version of
 * HTTP carried it (RFC 9110). Both directions and every codec share it.
 *
 * All slices point into the arena of the exchange that the head belongs to (or
 * into static storage); nothing here owns memory.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"

enum http_method {
    HTTP_METHOD_OTHER, /* a token that is none of the below: see method_name */
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_DELETE,
    HTTP_CONNECT,
    HTTP_OPTIONS,
    HTTP_TRACE,
    HTTP_PATCH,
};

/* Names that the program itself looks at. FIELD_OTHER is everything else. At
 * most 64, so that a set of them is one word. Their texts: http/field.c. */
enum http_field_id {
    FIELD_OTHER,
    FIELD_ACCEPT,
    FIELD_ACCEPT_ENCODING,
    FIELD_AUTHORIZATION,
    FIELD_CACHE_CONTROL,
    FIELD_CONNECTION,
    FIELD_CONTENT_ENCODING,
    FIELD_CONTENT_LENGTH,
    FIELD_CONTENT_TYPE,
    FIELD_COOKIE,
    FIELD_DATE,
    FIELD_EARLY_DATA,
    FIELD_ETAG,
    FIELD_EXPECT,
    FIELD_FORWARDED,
    FIELD_HOST,
    FIELD_HTTP2_SETTINGS,
    FIELD_IF_MODIFIED_SINCE,
    FIELD_IF_NONE_MATCH,
    FIELD_IF_RANGE,
    FIELD_KEEP_ALIVE,
    FIELD_LAST_MODIFIED,
    FIELD_LOCATION,
    FIELD_ORIGIN,
    FIELD_PRIORITY,
    FIELD_PROXY_AUTHENTICATE,
    FIELD_PROXY_AUTHORIZATION,
    FIELD_PROXY_CONNECTION,
    FIELD_RANGE,
    FIELD_REFERER,
    FIELD_RETRY_AFTER,
    FIELD_SEC_WEBSOCKET_KEY,
    FIELD_SERVER,
    FIELD_SET_COOKIE,
    FIELD_STRICT_TRANSPORT_SECURITY,
    FIELD_TE,
    FIELD_TRAILER,
    FIELD_TRANSFER_ENCODING,
    FIELD_UPGRADE,
    FIELD_USER_AGENT,
    FIELD_VARY,
    FIELD_VIA,
    FIELD_X_FORWARDED_FOR,
    FIELD_X_FORWARDED_HOST,
    FIELD_X_FORWARDED_PORT,
    FIELD_X_FORWARDED_PROTO,
    FIELD_X_POWERED_BY,
    FIELD_X_REAL_IP,
    FIELD_X_REQUEST_ID,
    FIELD_X_CLIENT_CERT, /* and its kin: FIELD_CLIENT_CERT_* are matched by prefix */
    FIELD_ID_COUNT
};

struct http_field {
    struct slice name;       /* as received or as set; compare by id or without case */
    struct slice value;      /* no CR, LF, NUL; no white space at the ends */
    uint16_t     id;         /* enum http_field_id */
    bool         is_dropped; /* removed: skip it (removing moves nothing) */
};

struct http_fields {
    struct http_field *items;
    uint16_t           count; /* dropped ones included */
    uint16_t           capacity;
    uint64_t           present; /* bit per id that was ever added: a hint that never misses */
};

struct http_head {
    /* Of a request. */
    enum http_method method;
    struct slice     method_name;
    struct slice     scheme;    /* "http" or "https", or empty: as the connection is */
    struct slice     authority; /* host[:port] as the client names it; valid by RFC 3986 */
    struct slice     target;    /* origin-form as received: path and query, or "*" */
    struct slice     path;      /* normalised (http/uri.h), what is matched and forwarded */
    struct slice     query;     /* without "?"; has_query tells "" from none */
    bool             has_query;
    bool             expects_continue; /* Expect: 100-continue */
    bool             accepts_trailers; /* TE: trailers */
    /* With `upgrade`, by RFC 8441: the client takes a success for a 101. Of a 101 that came
     * so: it has no proof of WebSocket's. */
    bool must_switch;

    /* Of a response. */
    uint16_t     status;
    struct slice reason; /* may be empty */

    /* Of both. `fields` holds no framing or hop-by-hop field: codecs take
     * Connection (and what it names), Keep-Alive, Transfer-Encoding,
     * Content-Length, TE, Trailer, Upgrade, Proxy-Connection, HTTP2-Settings,
     * Host and Expect out on receiving and write their own on sending. */
    struct http_fields fields;
    /* Length of the body that follows: 0 none, -1 until it ends. For the answer
     * to a HEAD and for 304, what Content-Length said (or -1); no body follows. */
    int64_t      body_bytes;
    struct slice upgrade;  /* value of Upgrade when Connection named it, else empty */
    const char  *protocol; /* "HTTP/1.0", "HTTP/1.1", "HTTP/2.0": for logs only */
};

/* `f` starts as zero. The arena gives the room. */
void http_fields_add(struct http_fields *f, struct arena *a, enum http_field_id id,
                     struct slice name, struct slice value);
/* Looks the name up; for names that come from outside or from configuration. */
void http_fields_add_named(struct http_fields *f, struct arena *a, struct slice name,
                           struct slice value);
/* Replaces every field of that id by one. The name is the id's usual spelling. */
void http_fields_set(struct http_fields *f, struct arena *a, enum http_field_id id,
                     struct slice value);
void http_fields_set_named(struct http_fields *f, struct arena *a, struct slice name,
                           struct slice value);
/* The items as they are, in their order. */
void http_fields_append(struct http_fields *f, struct arena *a, const struct http_field *items,
                        unsigned count);
void http_fields_drop(struct http_fields *f, enum http_field_id id);
/* `id` is that of the name. */
void http_fields_drop_named(struct http_fields *f, enum http_field_id id, struct slice name);
/* The first one that is not dropped, or NULL. */
const struct http_field *http_fields_find(const struct http_fields *f, enum http_field_id id);
const struct http_field *http_fields_find_named(const struct http_fields *f, struct slice name);
/* What speaks for the bytes of a body (RFC 9530, and before it). */
bool http_fields_have_digest(const struct http_fields *f);
void http_fields_drop_digests(struct http_fields *f);
/* Its value, or an empty slice. */
struct slice http_fields_value(const struct http_fields *f, enum http_field_id id);

/* id of a name in any case, FIELD_OTHER when unknown. */
enum http_field_id http_field_lookup(struct slice name);
/* The usual spelling; not for FIELD_OTHER. */
struct slice http_field_name(enum http_field_id id);
/* RFC 9110 section 5.6.2: a non-empty token. */
bool http_is_token(struct slice s);
/* RFC 9110 section 5.5: no CR, LF, NUL or other control byte but HTAB. */
bool http_is_field_value(struct slice s);

enum http_method http_method_lookup(struct slice name);
struct slice     http_method_name(enum http_method m);
/* RFC 9110 section 9.2.2. */
bool http_method_is_idempotent(enum http_method m);

/* The registered reason phrase, or "" (RFC 9110 section 15). */
struct slice http_status_reason(unsigned status);
/* 1xx, 204 and 304 never have a body, nor has an answer to HEAD. */
static inline bool http_status_has_no_body(unsigned status)
{
    return status < 200 || status == 204 || status == 304;
}
