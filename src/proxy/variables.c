/* SPDX-License-Identifier: Apache-2.0
 *
 * What the variables of conf/template.h are for an exchange. Evaluating writes into its arena;
 * what a client said goes in as it is, so whoever uses the result checks it.
 */
#include <assert.h>

#include "io/digest.h"
#include "proxy/downstream.h"
#include "proxy/exchange.h"
#include "proxy/request_key.h"

enum { NONCE_BYTES = 16 };

static const struct slice nothing = SLICE("");

/* ---- asked by filters too ---- */

bool exchange_is_secure(const struct exchange *x)
{
    if (exchange_is_tls(x)) return true;
    return x->is_trusted && x->request &&
           slice_eq_nocase(http_fields_value(&x->request->fields, FIELD_X_FORWARDED_PROTO),
                           S("https"));
}

struct slice exchange_csp_nonce(struct exchange *x)
{
    char secret[NONCE_BYTES];
    if (x->csp_nonce.len) return x->csp_nonce;
    random_secret(secret, sizeof(secret));
    return x->csp_nonce = digest_base64(&x->arena, slice_make(secret, sizeof(secret)));
}

/* ---- single variables ---- */

static struct slice number_text(struct exchange *x, unsigned n)
{
    return arena_printf(&x->arena, "%u", n);
}

/* Of a Unix socket there is none. */
static struct slice client_port(struct exchange *x)
{
    return x->client.port ? number_text(x, x->client.port) : nothing;
}

static struct slice uri(struct exchange *x, const struct http_head *request)
{
    if (!request->has_query) return request->path;
    const struct slice parts[] = { request->path, S("?"), request->query };
    return template_join(parts, 3, &x->arena);
}

static struct slice text_or_nothing(const char *text)
{
    return text ? slice_of(text) : nothing;
}

static struct slice of_tls(struct exchange *x, enum variable_id id)
{
    const struct tls *t = x->downstream->conn.tls;
    if (!t) return nothing;
    if (id == VARIABLE_TLS_VERSION) return text_or_nothing(tls_version(t));
    if (id == VARIABLE_TLS_CIPHER) return text_or_nothing(tls_cipher(t));
    if (id == VARIABLE_TLS_SNI) return tls_sni(t);
    if (!tls_has_client_cert(t)) return nothing;
    if (id == VARIABLE_CLIENT_CERT_SUBJECT) return tls_client_subject(t, &x->arena);
    if (id == VARIABLE_CLIENT_CERT_FINGERPRINT) return tls_client_fingerprint(t, &x->arena);
    return tls_client_serial(t, &x->arena);
}

static struct slice time_iso(struct exchange *x)
{
    return arena_printf(&x->arena, "%sZ", exchange_clock(x)->iso_seconds);
}

/* Of a request that could not be read there is nothing. */
static struct slice of_request(struct exchange *x, const struct template_piece *piece)
{
    const struct http_head *request = x->request;
    if (!request) return nothing;
    switch (piece->id) {
    case VARIABLE_METHOD: return request->method_name;
    case VARIABLE_PATH: return request->path;
    case VARIABLE_QUERY: return request->query;
    case VARIABLE_URI: return uri(x, request);
    case VARIABLE_HEADER:
        /* The codec has taken it out of the fields. */
        if (slice_eq_nocase(piece->text, S("Host"))) return request->authority;
        return request_header(request, piece->text);
    case VARIABLE_COOKIE: return request_cookie(request, piece->text);
    case VARIABLE_PARAMETER: return request_parameter(request, piece->text, &x->arena);
    default: return nothing;
    }
}

/* A group that has no part in it, or the route no pattern: nothing. */
static struct slice capture(struct exchange *x, struct slice group)
{
    const pcre2_code       *code = x->route->pattern;
    struct pattern_matcher *m = exchange_matcher(x);
    if (!code) return nothing;
    if (!x->captures) {
        x->captures = arena_zalloc(&x->arena, PATTERN_CAPTURES_MAX * sizeof(*x->captures));
        if (pattern_matches(code, x->path, m)) pattern_captures(code, m, x->path, x->captures);
    }
    return x->captures[pattern_group(code, group)];
}

static struct slice of_response(struct exchange *x, const struct template_piece *piece,
                                const struct http_head *response)
{
    assert(response); /* conf/ lets no other template have one of these */
    if (piece->id == VARIABLE_STATUS) return number_text(x, response->status);
    return request_header(response, piece->text);
}

static struct slice value_of(struct exchange *x, const struct template_piece *piece,
                             const struct http_head *response)
{
    switch (piece->id) {
    case VARIABLE_TEXT: return piece->text;
    case VARIABLE_CLIENT_IP: return exchange_client_text(x);
    case VARIABLE_CLIENT_PORT: return client_port(x);
    case VARIABLE_METHOD:
    case VARIABLE_PATH:
    case VARIABLE_QUERY:
    case VARIABLE_URI:
    case VARIABLE_HEADER:
    case VARIABLE_COOKIE:
    case VARIABLE_PARAMETER: return of_request(x, piece);
    case VARIABLE_MATCH: return capture(x, piece->text);
    case VARIABLE_SCHEME: return exchange_is_secure(x) ? S("https") : S("http");
    case VARIABLE_HOST: return x->host;
    case VARIABLE_REQUEST_ID: return exchange_request_id(x);
    case VARIABLE_LISTENER: return exchange_listener(x);
    case VARIABLE_ROUTE: return x->route->name;
    case VARIABLE_UPSTREAM:
        return x->route->upstream ? slice_of(x->route->upstream->name) : nothing;
    case VARIABLE_ENDPOINT: return x->endpoint ? slice_of(x->endpoint->text) : nothing;
    case VARIABLE_TLS_VERSION:
    case VARIABLE_TLS_CIPHER:
    case VARIABLE_TLS_SNI:
    case VARIABLE_CLIENT_CERT_SUBJECT:
    case VARIABLE_CLIENT_CERT_FINGERPRINT:
    case VARIABLE_CLIENT_CERT_SERIAL: return of_tls(x, piece->id);
    case VARIABLE_TIME_ISO: return time_iso(x);
    case VARIABLE_CSP_NONCE: return exchange_csp_nonce(x);
    case VARIABLE_STATUS:
    case VARIABLE_RESPONSE_HEADER: return of_response(x, piece, response);
    case VARIABLE_COUNT: break;
    }
    return nothing;
}

struct slice exchange_expand(struct exchange *x, const struct template *t,
                             const struct http_head *response)
{
    if (!t->count) return nothing;
    if (t->count == 1) return value_of(x, &t->pieces[0], response);
    struct slice *values = arena_alloc(&x->arena, t->count * sizeof(*values));
    for (size_t i = 0; i < t->count; i++) values[i] = value_of(x, &t->pieces[i], response);
    return template_join(values, t->count, &x->arena);
}
