/* SPDX-License-Identifier: Apache-2.0
 *
 * Headers that are edited: which may be, and to what. See types.h.
 */
#include "conf/template.h"
#include "conf/types.h"

/* ---- values with parts of the request ---- */

/* Is each variable one that is known there? */
static bool has_good_variables(struct conf_parser *p, const struct conf_row *row, struct slice text,
                               struct error *e)
{
    struct template_piece piece;
    struct slice          whose;
    unsigned              uses = row->type->template_uses;
    while (template_next(&text, &piece)) {
        const struct variable *v = &variable_table[piece.id];
        bool is_of_header = piece.id == VARIABLE_HEADER || piece.id == VARIABLE_RESPONSE_HEADER;
        if (piece.id == VARIABLE_TEXT) continue;
        if (is_of_header && !conf_field_name.read(p, row, piece.text, &whose, e))
            return error_set(e, "`${%s:...}`: %s is not the name of a header", v->name,
                             conf_quote(&p->report->arena, piece.text));
        if (v->uses & uses) continue;
        if (uses == VARIABLE_OF_CSP) return error_set(e, "`csp` knows `${csp_nonce}` alone");
        return error_set(e, "`${%s%s}` is known once there is a response, not before", v->name,
                         v->takes_name ? ":..." : "");
    }
    return true;
}

static bool read_field_template(struct conf_parser *p, const struct conf_row *row,
                                struct slice text, void *field, struct error *e)
{
    return has_good_variables(p, row, text, e) && conf_field_value.read(p, row, text, field, e);
}

#define FIELD_TEMPLATE(uses)                                                                       \
    .label = "text with [variables](#variables)",                                                  \
    .expected = "the value of a header, one line without spaces at its ends",                      \
    .json = "\"string\", \"number\", \"boolean\"", .read = read_field_template,                    \
    .write = conf_write_text, .template_uses = uses

const struct conf_type conf_request_value = { FIELD_TEMPLATE(VARIABLE_OF_REQUEST) };
const struct conf_type conf_response_value = { FIELD_TEMPLATE(VARIABLE_OF_RESPONSE) };
const struct conf_type conf_csp = { FIELD_TEMPLATE(VARIABLE_OF_CSP) };

/* ---- which headers may be edited ---- */

struct fixed_field {
    const char *name; /* one that ends in "*": all that begin so */
    bool        is_of_response;
    const char *why;
};

static const char framing[] = "it says how a message ends, or is of one connection alone";
static const char handshake[] = "it belongs to the handshake of WebSocket";
static const char identity[] =
    "the gateway says who the client is: `trusted_proxies`, `client_cert_headers`";

static const struct fixed_field fixed_fields[] = {
    { "Connection", true, framing },
    { "Content-Length", true, framing },
    { "Expect", true, framing },
    { "HTTP2-Settings", true, framing },
    { "Keep-Alive", true, framing },
    { "Proxy-Connection", true, framing },
    { "TE", true, framing },
    { "Trailer", true, framing },
    { "Transfer-Encoding", true, framing },
    { "Upgrade", true, framing },
    { "Content-Encoding", true, "it says how the body is coded, which an edit does not change" },
    { "Content-Range", true, "it says which part of the whole the body is" },
    { "Sec-WebSocket-*", true, handshake },
    { "Host", true, "that of a request is `host` of its upstream" },
    { "Forwarded", false, identity },
    { "X-Forwarded-*", false, identity },
    { "X-Real-IP", false, identity },
    { "X-Client-Cert*", false, identity },
    { "X-Request-ID", false, "the gateway gives each request its id" },
};

static const char *why_fixed(struct slice name, bool is_response)
{
    for (size_t i = 0; i < sizeof(fixed_fields) / sizeof(fixed_fields[0]); i++) {
        const struct fixed_field *f = &fixed_fields[i];
        struct slice              fixed = slice_of(f->name), begin = name;
        if (is_response && !f->is_of_response) continue;
        bool is_prefix = fixed.data[fixed.len - 1] == '*';
        fixed.len -= is_prefix;
        if (is_prefix && begin.len > fixed.len) begin.len = fixed.len;
        if (slice_eq_nocase(begin, fixed)) return f->why;
    }
    return NULL;
}

static bool read_edited_name(struct conf_parser *p, const struct conf_row *row, struct slice text,
                             void *field, struct error *e)
{
    const char *why = why_fixed(text, row->type == &conf_response_field);
    if (why)
        return error_set(e, "%s cannot be edited: %s", conf_quote(&p->report->arena, text), why);
    return conf_field_name.read(p, row, text, field, e);
}

#define EDITED_NAME                                                                                \
    .label = "header name", .expected = "the name of a header", .json = "\"string\"",              \
    .pattern = "[!#$%&'*+.^_`|~0-9A-Za-z-]+", .read = read_edited_name, .write = conf_write_text

const struct conf_type conf_request_field = { EDITED_NAME };
const struct conf_type conf_response_field = { EDITED_NAME };
