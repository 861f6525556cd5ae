/* SPDX-License-Identifier: Apache-2.0
 *
 * The tables of what messages wear: security headers, and edits of headers by hand.
 */
#include "conf/check.h"
#include "conf/nearest.h"
#include "conf/types.h"

/* ---- security headers ---- */

#define STRICT_HSTS "max-age=63072000; includeSubDomains"
#define BASIC_HSTS "max-age=63072000"
#define STRICT_CSP                                                                                 \
    "default-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'; "            \
    "object-src 'none'"
#define STRICT_PERMISSIONS                                                                         \
    "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"

static const struct conf_choice presets[] = {
    { "strict", SECURITY_STRICT },
    { "basic", SECURITY_BASIC },
    { "off", SECURITY_OFF },
    { NULL, 0 },
};
static const struct conf_alias preset_aliases[] = {
    { "true", "strict" }, { "on", "strict" }, { "yes", "strict" }, { "default", "basic" },
    { "no", "off" },      { "false", "off" }, { "none", "off" },   { NULL, NULL },
};
/* Texts: they stand in the header as they are. */
static const struct conf_choice frame_options[] = {
    { "DENY", 0 }, { "SAMEORIGIN", 0 }, { "off", 0 }, { NULL, 0 }
};
static const struct conf_choice content_type_options[] = { { "nosniff", 0 },
                                                           { "off", 0 },
                                                           { NULL, 0 } };
static const struct conf_choice referrer_policies[] = {
    { "no-referrer", 0 },
    { "no-referrer-when-downgrade", 0 },
    { "same-origin", 0 },
    { "origin", 0 },
    { "strict-origin", 0 },
    { "origin-when-cross-origin", 0 },
    { "strict-origin-when-cross-origin", 0 },
    { "unsafe-url", 0 },
    { "off", 0 },
    { NULL, 0 },
};
static const struct conf_choice opener_policies[] = {
    { "same-origin", 0 },
    { "same-origin-allow-popups", 0 },
    { "noopener-allow-popups", 0 },
    { "unsafe-none", 0 },
    { "off", 0 },
    { NULL, 0 },
};
static const struct conf_choice embedder_policies[] = {
    { "require-corp", 0 }, { "credentialless", 0 }, { "unsafe-none", 0 }, { "off", 0 }, { NULL, 0 },
};
static const struct conf_choice resource_policies[] = {
    { "same-origin", 0 }, { "same-site", 0 }, { "cross-origin", 0 }, { "off", 0 }, { NULL, 0 },
};
static const struct conf_choice kept_names[] = {
    { "Strict-Transport-Security", 0 },
    { "Content-Security-Policy", 0 },
    { "Content-Security-Policy-Report-Only", 0 },
    { "X-Frame-Options", 0 },
    { "X-Content-Type-Options", 0 },
    { "Referrer-Policy", 0 },
    { "Permissions-Policy", 0 },
    { "Cross-Origin-Opener-Policy", 0 },
    { "Cross-Origin-Embedder-Policy", 0 },
    { "Cross-Origin-Resource-Policy", 0 },
    { NULL, 0 },
};

static const struct conf_row security_rows[] = {
    { .key = "preset",
      .type = &conf_enum,
      .choices = presets,
      .aliases = preset_aliases,
      CONF_FIELD(security_settings, preset),
      .preset = "strict",
      .doc = "What the other keys are where they are not given." },
    { .key = "hsts",
      .type = &conf_field_value,
      CONF_FIELD(security_settings, hsts),
      .preset_doc = "the preset's",
      .doc = "`Strict-Transport-Security`, only where the client came by TLS; `off`: none.",
      .example = "max-age=63072000; includeSubDomains; preload" },
    { .key = "csp",
      .type = &conf_csp,
      CONF_FIELD(security_settings, csp),
      .preset_doc = "the preset's",
      .doc = "`Content-Security-Policy`; `off`: none. With `${csp_nonce}` in it each request gets "
             "a nonce of its own, which the server is told in `X-CSP-Nonce`; a 304 has no such "
             "policy, since what the client kept has the nonce of then.",
      .example = "default-src 'self'; script-src 'nonce-${csp_nonce}'" },
    { .key = "report_only",
      .type = &conf_bool,
      CONF_FIELD(security_settings, is_report_only),
      .preset = "false",
      .doc = "Send `csp` as `Content-Security-Policy-Report-Only`: nothing is refused." },
    { .key = "frame_options",
      .type = &conf_enum,
      .choices = frame_options,
      CONF_FIELD(security_settings, frame_options),
      .preset_doc = "the preset's",
      .doc = "`X-Frame-Options`." },
    { .key = "content_type_options",
      .type = &conf_enum,
      .choices = content_type_options,
      CONF_FIELD(security_settings, content_type_options),
      .preset_doc = "the preset's",
      .doc = "`X-Content-Type-Options`." },
    { .key = "referrer_policy",
      .type = &conf_enum,
      .choices = referrer_policies,
      CONF_FIELD(security_settings, referrer_policy),
      .preset_doc = "the preset's",
      .doc = "`Referrer-Policy`." },
    { .key = "permissions_policy",
      .type = &conf_field_value,
      CONF_FIELD(security_settings, permissions_policy),
      .preset_doc = "the preset's",
      .doc = "`Permissions-Policy`; `off`: none.",
      .example = "camera=(self), microphone=()" },
    { .key = "cross_origin_opener_policy",
      .type = &conf_enum,
      .choices = opener_policies,
      CONF_FIELD(security_settings, opener_policy),
      .preset_doc = "the preset's",
      .doc = "`Cross-Origin-Opener-Policy`." },
    { .key = "cross_origin_embedder_policy",
      .type = &conf_enum,
      .choices = embedder_policies,
      CONF_FIELD(security_settings, embedder_policy),
      .preset_doc = "the preset's",
      .doc = "`Cross-Origin-Embedder-Policy`." },
    { .key = "cross_origin_resource_policy",
      .type = &conf_enum,
      .choices = resource_policies,
      CONF_FIELD(security_settings, resource_policy),
      .preset_doc = "the preset's",
      .doc = "`Cross-Origin-Resource-Policy`." },
    { .key = "keep",
      .shape = CONF_MANY,
      .type = &conf_enum,
      .choices = kept_names,
      CONF_FIELD(security_settings, keep),
      .preset_doc = "`Content-Security-Policy`, unless `csp` is given",
      .doc = "Which of these headers stay as the server sent them, where it did; all others are "
             "replaced. `[]`: none stays.",
      .example = "[Content-Security-Policy, X-Frame-Options]" },
    { .key = "hide",
      .shape = CONF_MANY,
      .type = &conf_response_field,
      CONF_FIELD(security_settings, hide),
      .preset_doc = "`[Server, X-Powered-By]`, with `preset: off` none",
      .doc = "Headers of the server's that clients do not get.",
      .example = "[Server, X-Powered-By, X-AspNet-Version]" },
    { 0 },
};

/* The texts of the presets, by their rows' fields. */
static const struct {
    size_t      offset;
    const char *strict, *basic;
} preset_texts[] = {
    { offsetof(struct security_settings, hsts), STRICT_HSTS, BASIC_HSTS },
    { offsetof(struct security_settings, csp), STRICT_CSP, NULL },
    { offsetof(struct security_settings, frame_options), "DENY", "SAMEORIGIN" },
    { offsetof(struct security_settings, content_type_options), "nosniff", "nosniff" },
    { offsetof(struct security_settings, referrer_policy), "same-origin",
      "strict-origin-when-cross-origin" },
    { offsetof(struct security_settings, permissions_policy), STRICT_PERMISSIONS, NULL },
    { offsetof(struct security_settings, opener_policy), "same-origin", NULL },
    { offsetof(struct security_settings, embedder_policy), NULL, NULL },
    { offsetof(struct security_settings, resource_policy), "same-origin", NULL },
};

static struct text_list list_of(struct conf_parser *p, const char *one, const char *two)
{
    struct text_list list = { arena_alloc(p->arena, 2 * sizeof(struct slice)), two ? 2 : 1 };
    list.items[0] = slice_of(one);
    if (two) list.items[1] = slice_of(two);
    return list;
}

/* Browsers take no other for one. */
static void check_hsts(struct conf_parser *p, struct slice hsts, const struct conf_place *at)
{
    if (!hsts.len || memmem(hsts.data, hsts.len, "max-age=", 8)) return;
    conf_report_error(p->report, at, S("`max-age=63072000` is two years"),
                      "`hsts` needs `max-age=`, the seconds that it is to hold");
}

/* What the preset says is put where nothing is said. */
static void end_security(struct conf_parser *p, void *base, const struct conf_place *at)
{
    struct security_settings *s = base;
    bool                      is_off = s->preset == SECURITY_OFF, has_csp = s->csp.data != NULL;
    for (size_t i = 0; i < sizeof(preset_texts) / sizeof(preset_texts[0]); i++) {
        struct slice text;
        char        *field = (char *)base + preset_texts[i].offset;
        const char  *preset =
            s->preset == SECURITY_STRICT ? preset_texts[i].strict : preset_texts[i].basic;
        memcpy(&text, field, sizeof(text));
        if (!text.data && !is_off && preset) text = slice_of(preset);
        if (slice_eq(text, S("off"))) text = (struct slice){ 0 };
        memcpy(field, &text, sizeof(text));
    }
    if (!s->keep.items && !has_csp) s->keep = list_of(p, "Content-Security-Policy", NULL);
    if (!s->hide.items && !is_off) s->hide = list_of(p, "Server", "X-Powered-By");
    check_hsts(p, s->hsts, at);
    if (s->is_report_only && !s->csp.len)
        conf_report_add(p->report, CONF_ERROR, at, "`report_only` needs `csp`");
}

const struct conf_section conf_security_section = {
    .title = "defaults.security_headers",
    .what = "`security_headers`",
    .intro =
        "What browsers are told to refuse, on every final answer, the gateway's own included, of a "
        "route or, in `defaults`, of all. A text alone is `preset`. A route's section replaces "
        "that of `defaults` as a whole. Where nothing is said no header is added or removed.\n\n"
        "| header | `strict` | `basic` |\n"
        "|---|---|---|\n"
        "| `Strict-Transport-Security` | `" STRICT_HSTS "` | `" BASIC_HSTS "` |\n"
        "| `Content-Security-Policy` | `" STRICT_CSP "` | |\n"
        "| `X-Frame-Options` | `DENY` | `SAMEORIGIN` |\n"
        "| `X-Content-Type-Options` | `nosniff` | `nosniff` |\n"
        "| `Referrer-Policy` | `same-origin` | `strict-origin-when-cross-origin` |\n"
        "| `Permissions-Policy` | `" STRICT_PERMISSIONS "` | |\n"
        "| `Cross-Origin-Opener-Policy` | `same-origin` | |\n"
        "| `Cross-Origin-Resource-Policy` | `same-origin` | |\n"
        "| `Server`, `X-Powered-By` | removed | removed |\n\n"
        "`strict` is for pages whose scripts, styles and images are their own files; a page with "
        "inline scripts or a foreign font needs a `csp` of its own. A 101 is left alone. What "
        "`headers` edits comes after and wins.",
    .example = "defaults:\n"
               "  security_headers: strict\n"
               "routes:\n"
               "  - match: { path: /embed }\n"
               "    security_headers: { frame_options: off, csp: \"frame-ancestors "
               "https://partner.example\" }\n"
               "    respond: { body: \"to be framed\" }\n"
               "  - match: { path: / }\n"
               "    security_headers:\n"
               "      csp: \"default-src 'self'; script-src 'nonce-${csp_nonce}'\"\n"
               "      keep: X-Frame-Options\n"
               "    upstream: backend\n",
    .size = sizeof(struct security_settings),
    .rows = security_rows,
    .shorthand = "preset",
    .off = "security_headers: off",
    .end = end_security,
};

/* ---- edits by hand ---- */

static const struct conf_row request_name = {
    .key = "header",
    .type = &conf_request_field,
    CONF_FIELD(name_value, name),
};
static const struct conf_row response_name = {
    .key = "header",
    .type = &conf_response_field,
    CONF_FIELD(name_value, name),
};

#define VALUE_ROWS(of)                                                                             \
    {                                                                                              \
        { .key = "value",                                                                          \
          .type = &conf_##of##_value,                                                              \
          CONF_FIELD(name_value, value),                                                           \
          .flags = CONF_FROM_FILE,                                                                 \
          .doc = "Its value." },                                                                   \
            { 0 },                                                                                 \
    }
#define NEW_NAME_ROWS(of)                                                                          \
    {                                                                                              \
        { .key = "to",                                                                             \
          .type = &conf_##of##_field,                                                              \
          CONF_FIELD(name_value, value),                                                           \
          .doc = "Its new name." },                                                                \
            { 0 },                                                                                 \
    }
#define NAMED(rows_, of, word)                                                                     \
    {                                                                                              \
        .what = "a header", .size = sizeof(struct name_value), .rows = rows_, .name = &of##_name,  \
        .shorthand = word, .is_scalar = true                                                       \
    }

static const struct conf_row     request_values[] = VALUE_ROWS(request);
static const struct conf_row     response_values[] = VALUE_ROWS(response);
static const struct conf_row     request_new_names[] = NEW_NAME_ROWS(request);
static const struct conf_row     response_new_names[] = NEW_NAME_ROWS(response);
static const struct conf_section request_value = NAMED(request_values, request, "value");
static const struct conf_section response_value = NAMED(response_values, response, "value");
static const struct conf_section request_new_name = NAMED(request_new_names, request, "to");
static const struct conf_section response_new_name = NAMED(response_new_names, response, "to");

#define EDIT_ROWS(of)                                                                              \
    {                                                                                              \
        { .key = "remove",                                                                         \
          .shape = CONF_MANY,                                                                      \
          .type = &conf_##of##_field,                                                              \
          CONF_FIELD(header_edit_settings, remove),                                                \
          .doc = "These go.",                                                                      \
          .example = "[X-Debug, X-Internal-User]" },                                               \
            { .key = "rename",                                                                     \
              .shape = CONF_MAP,                                                                   \
              .section = &of##_new_name,                                                           \
              CONF_ITEMS(header_edit_settings, rename, rename_count),                              \
              .doc = "These get another name; what has that name already makes room for them." },  \
            { .key = "set",                                                                        \
              .shape = CONF_MAP,                                                                   \
              .section = &of##_value,                                                              \
              CONF_ITEMS(header_edit_settings, set, set_count),                                    \
              .doc = "These have that value and no other; `$1` is text, a group is `${match:1}`. " \
                     "`file:/path` is a file's content." },                                        \
            { .key = "add",                                                                        \
              .shape = CONF_MAP,                                                                   \
              .section = &of##_value,                                                              \
              CONF_ITEMS(header_edit_settings, add, add_count),                                    \
              .doc = "One more of that name." },                                                   \
            { 0 },                                                                                 \
    }

static const struct conf_row request_rows[] = EDIT_ROWS(request);
static const struct conf_row response_rows[] = EDIT_ROWS(response);

static const struct conf_section request_section = {
    .title = "defaults.headers.request",
    .what = "`request` of `headers`",
    .intro = "Of the request as the server gets it. Not to be edited are those of the connection "
             "and the message's length, `Host` (an upstream's `host` says it), `Content-Encoding`, "
             "`Content-Range`, `Sec-WebSocket-*`, and what the gateway itself says of the client: "
             "`X-Forwarded-*`, `X-Real-IP`, `Forwarded`, `X-Client-Cert*`, `X-Request-ID`. Routes, "
             "limits and the "
             "client's address were settled before; balancing by a header sees the edited one, and "
             "so does the access log.",
    .example = "defaults:\n"
               "  headers:\n"
               "    request:\n"
               "      remove: [X-Internal-User]\n"
               "      rename: { X-Auth: Authorization }\n"
               "      set: { X-Country: \"${header:CF-IPCountry}\", X-Via: \"${listener}\" }\n",
    .size = sizeof(struct header_edit_settings),
    .rows = request_rows,
};

static const struct conf_section response_section = {
    .title = "defaults.headers.response",
    .what = "`response` of `headers`",
    .intro = "Of every answer, the gateway's own included. Not to be edited are those of the "
             "connection and the message's length, `Content-Encoding`, `Content-Range` and "
             "`Sec-WebSocket-*`. Trailers are left alone.",
    .example = "defaults:\n"
               "  headers:\n"
               "    response:\n"
               "      set: { X-Request-ID: \"${request_id}\", X-Served-By: \"${endpoint}\" }\n"
               "      add: { Vary: Origin }\n",
    .size = sizeof(struct header_edit_settings),
    .rows = response_rows,
};

static const struct conf_row headers_rows[] = {
    { .key = "request",
      .shape = CONF_INLINE,
      .section = &request_section,
      CONF_FIELD(headers_settings, request),
      .doc = "What becomes of a request's headers." },
    { .key = "response",
      .shape = CONF_INLINE,
      .section = &response_section,
      CONF_FIELD(headers_settings, response),
      .doc = "What becomes of a response's." },
    { 0 },
};

const struct conf_section conf_headers_section = {
    .title = "defaults.headers",
    .what = "`headers`",
    .intro = "Edits by hand, in the order `remove`, `rename`, `set`, `add`; first those of "
             "`defaults`, then those of the route. Values may have [variables](#variables). A "
             "value that comes out empty is no header: `set` removes it then. One that cannot "
             "stand in a header (a control character, more than 16 KiB) counts as empty, so that "
             "nobody can put in a line.",
    .example = "defaults:\n"
               "  headers:\n"
               "    response: { remove: [X-Runtime] }\n"
               "routes:\n"
               "  - match: { path: /api/ }\n"
               "    headers: { request: { set: { X-Tenant: \"${host}\" } } }\n"
               "    upstream: backend\n",
    .size = sizeof(struct headers_settings),
    .has_place = true,
    .rows = headers_rows,
};
