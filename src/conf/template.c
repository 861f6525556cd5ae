/* SPDX-License-Identifier: Apache-2.0
 *
 * Variables and the texts that they stand in. See template.h.
 */
#include "conf/template.h"

#include "base/buffer.h"
#include "conf/nearest.h"

enum { ALWAYS = VARIABLE_OF_REQUEST | VARIABLE_OF_RESPONSE };

const struct variable variable_table[VARIABLE_COUNT] = {
    [VARIABLE_CLIENT_IP] = { "client_ip", false, ALWAYS,
                             "The client's address, as limits and logs have it." },
    [VARIABLE_CLIENT_PORT] = { "client_port", false, ALWAYS,
                               "Its port; empty where a proxy tells the address alone." },
    [VARIABLE_METHOD] = { "method", false, ALWAYS, "`GET`, `POST`, ..." },
    [VARIABLE_SCHEME] = { "scheme", false, ALWAYS,
                          "`https` or `http`, as the client sees it: what a trusted proxy says in "
                          "`X-Forwarded-Proto`, else that of the connection." },
    [VARIABLE_HOST] = { "host", false, ALWAYS,
                        "The host that is asked for, in lower case, without port." },
    [VARIABLE_PATH] = { "path", false, ALWAYS,
                        "The path in its normal form, as the server gets it; percent-encoded." },
    [VARIABLE_QUERY] = { "query", false, ALWAYS, "The query as it came, without `?`." },
    [VARIABLE_URI] = { "uri", false, ALWAYS, "Path and query." },
    [VARIABLE_HEADER] = { "header", true, ALWAYS,
                          "The first of the request's headers of that name." },
    [VARIABLE_COOKIE] = { "cookie", true, ALWAYS,
                          "The first of the request's cookies of that name." },
    [VARIABLE_PARAMETER] = { "query", true, ALWAYS,
                             "The first of the query's parameters of that name, decoded." },
    [VARIABLE_MATCH] = { "match", true, ALWAYS,
                         "What a group of the route's path captured, by its name or its number, "
                         "`${match:1}`; empty where it took no part. Not in `defaults`." },
    [VARIABLE_REQUEST_ID] = { "request_id", false, ALWAYS, "That of logs and `X-Request-ID`." },
    [VARIABLE_LISTENER] = { "listener", false, ALWAYS, "The name of the listener." },
    [VARIABLE_ROUTE] = { "route", false, ALWAYS, "The name of the route." },
    [VARIABLE_UPSTREAM] = { "upstream", false, ALWAYS, "The name of the route's upstream." },
    [VARIABLE_ENDPOINT] = { "endpoint", false, VARIABLE_OF_RESPONSE,
                            "The address of the server that answered, or was asked last." },
    [VARIABLE_TLS_VERSION] = { "tls_version", false, ALWAYS, "`TLSv1.3`; empty without TLS." },
    [VARIABLE_TLS_CIPHER] = { "tls_cipher", false, ALWAYS, "The cipher suite." },
    [VARIABLE_TLS_SNI] = { "tls_sni", false, ALWAYS, "The host that the client named in TLS." },
    [VARIABLE_CLIENT_CERT_SUBJECT] = { "client_cert_subject", false, ALWAYS,
                                       "Subject of the client's certificate, where one was "
                                       "verified." },
    [VARIABLE_CLIENT_CERT_FINGERPRINT] = { "client_cert_fingerprint", false, ALWAYS,
                                           "Its SHA-256, in hexadecimal." },
    [VARIABLE_CLIENT_CERT_SERIAL] = { "client_cert_serial", false, ALWAYS,
                                      "Its serial number, in hexadecimal." },
    [VARIABLE_TIME_ISO] = { "time_iso", false, ALWAYS, "Now: `2026-11-21T07:00:00Z`." },
    [VARIABLE_CSP_NONCE] = { "csp_nonce", false, ALWAYS | VARIABLE_OF_CSP,
                             "128 random bits in base64, new for each request." },
    [VARIABLE_STATUS] = { "status", false, VARIABLE_OF_RESPONSE, "The status of the answer." },
    [VARIABLE_RESPONSE_HEADER] = { "response_header", true, VARIABLE_OF_RESPONSE,
                                   "The first of the response's headers of that name." },
};

/* ---- names ---- */

enum variable_id variable_find(struct slice inside, struct slice *name)
{
    size_t       colon = slice_find(inside, ':');
    bool         has_name = colon + 1 < inside.len;
    struct slice base = slice_make(inside.data, colon);
    if (colon + 1 == inside.len) return VARIABLE_TEXT;
    *name = has_name ? slice_from(inside, colon + 1) : slice_make("", 0);
    for (unsigned id = VARIABLE_TEXT + 1; id < VARIABLE_COUNT; id++)
        if (variable_table[id].takes_name == has_name &&
            slice_eq(base, slice_of(variable_table[id].name)))
            return id;
    return VARIABLE_TEXT;
}

struct slice variable_hint(struct slice inside, struct arena *a)
{
    size_t         colon = slice_find(inside, ':');
    bool           has_name = colon + 1 < inside.len;
    struct nearest near;
    for (size_t i = 0; i < colon; i++) /* as the environment's are called */
        if (inside.data[i] >= 'A' && inside.data[i] <= 'Z') return slice_make("", 0);
    nearest_init(&near, slice_make(inside.data, colon));
    for (unsigned id = VARIABLE_TEXT + 1; id < VARIABLE_COUNT; id++)
        if (variable_table[id].takes_name == has_name)
            nearest_try(&near, slice_of(variable_table[id].name));
    return nearest_hint(&near, a);
}

/* ---- texts ---- */

/* Where "${" begins, or the length. */
static size_t find_start(struct slice s)
{
    const char *at = s.len ? memmem(s.data, s.len, "${", 2) : NULL;
    return at ? (size_t)(at - s.data) : s.len;
}

static struct slice take(struct slice *rest, size_t len)
{
    struct slice head = slice_make(rest->data, len);
    *rest = slice_from(*rest, len);
    return head;
}

bool template_next(struct slice *rest, struct template_piece *piece)
{
    size_t start = find_start(*rest);
    *piece = (struct template_piece){ .id = VARIABLE_TEXT };
    if (!rest->len) return false;
    bool is_escaped = start < rest->len && start && rest->data[start - 1] == '$';
    if (start && !(is_escaped && start == 1)) {
        piece->text = take(rest, start - is_escaped);
        return true;
    }
    if (is_escaped) { /* "$${" */
        take(rest, 1);
        piece->text = take(rest, 2);
        return true;
    }
    size_t close = slice_find(*rest, '}');
    if (close < rest->len)
        piece->id = variable_find(slice_make(rest->data + 2, close - 2), &piece->text);
    if (piece->id == VARIABLE_TEXT) /* conf_expand() has refused it, where it stands in a file */
        piece->text = take(rest, 2);
    else
        take(rest, close + 1);
    return true;
}

static size_t count_pieces(struct slice text, bool *is_fixed)
{
    struct template_piece piece;
    size_t                count = 0;
    *is_fixed = true;
    while (template_next(&text, &piece)) {
        *is_fixed &= piece.id == VARIABLE_TEXT;
        count++;
    }
    return count;
}

void template_build(struct template *t, struct slice text, struct arena *a)
{
    bool                   is_fixed;
    size_t                 count = count_pieces(text, &is_fixed);
    struct template_piece *pieces = arena_alloc(a, count * sizeof(*pieces));
    struct slice          *texts = arena_alloc(a, count * sizeof(*texts));
    *t = (struct template){ pieces, count };
    for (size_t i = 0; i < count; i++) {
        (void)template_next(&text, &pieces[i]);
        texts[i] = pieces[i].text = arena_copy(a, pieces[i].text);
    }
    if (!is_fixed || count < 2) return;
    pieces[0].text = template_join(texts, count, a);
    t->count = 1;
}

struct slice template_join(const struct slice *values, size_t count, struct arena *a)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++) len += values[i].len;
    char *whole = arena_alloc(a, len + 1), *to = whole;
    for (size_t i = 0; i < count; i++) {
        if (values[i].len) memcpy(to, values[i].data, values[i].len);
        to += values[i].len;
    }
    *to = '\0';
    return slice_make(whole, len);
}

struct slice template_escape(struct slice text, struct arena *a)
{
    struct buffer out = BUFFER_INIT;
    size_t        start;
    if (find_start(text) == text.len) return text;
    while ((start = find_start(text)) < text.len) {
        buffer_put_slice(&out, take(&text, start));
        buffer_puts(&out, "$${");
        take(&text, 2);
    }
    buffer_put_slice(&out, text);
    text = arena_copy(a, buffer_slice(&out));
    buffer_reset(&out);
    return text;
}

bool template_unescape(struct slice *text, struct arena *a, struct slice *found)
{
    struct slice          rest = *text, before = rest;
    struct template_piece piece;
    struct buffer         out = BUFFER_INIT;
    bool                  is_plain = true;
    while (is_plain && template_next(&rest, &piece)) {
        is_plain = piece.id == VARIABLE_TEXT;
        *found = slice_make(before.data, (size_t)(rest.data - before.data));
        buffer_put_slice(&out, piece.text);
        before = rest;
    }
    if (is_plain) *text = arena_copy(a, buffer_slice(&out));
    buffer_reset(&out);
    return is_plain;
}
