/* SPDX-License-Identifier: Apache-2.0
 *
 * The tables of routes and of what `defaults` sets for them.
 */
#include "conf/check.h"
#include "conf/types.h"

/* ---- conditions ---- */

static const struct conf_row header_condition_name = {
    .key = "header",
    .type = &conf_field_name,
    CONF_FIELD(name_value, name),
};
static const struct conf_row query_condition_name = {
    .key = "parameter",
    .type = &conf_query_name,
    CONF_FIELD(name_value, name),
};

/* A header may be how a caller proves who it is. */
static const struct conf_row header_condition_rows[] = {
    { .key = "value",
      .type = &conf_condition,
      CONF_FIELD(name_value, value),
      .flags = CONF_NULLABLE | CONF_SECRET | CONF_FROM_FILE,
      .doc = "What it must be; nothing: any." },
    { 0 },
};
static const struct conf_row query_condition_rows[] = {
    { .key = "value",
      .type = &conf_condition,
      CONF_FIELD(name_value, value),
      .flags = CONF_NULLABLE,
      .doc = "What it must be; nothing: any." },
    { 0 },
};

static const struct conf_section header_condition_section = {
    .what = "a condition",
    .size = sizeof(struct name_value),
    .rows = header_condition_rows,
    .name = &header_condition_name,
    .shorthand = "value",
    .is_scalar = true,
};
static const struct conf_section query_condition_section = {
    .what = "a condition",
    .size = sizeof(struct name_value),
    .rows = query_condition_rows,
    .name = &query_condition_name,
    .shorthand = "value",
    .is_scalar = true,
};

static const struct conf_row match_rows[] = {
    { .key = "host",
      .shape = CONF_MANY,
      .type = &conf_host,
      CONF_FIELD(match_settings, hosts),
      .flags = CONF_NOT_EMPTY,
      .preset_doc = "any",
      .doc = "Host names; `*.example.org` is every name below it.",
      .example = "[example.org, \"*.example.org\"]" },
    { .key = "path",
      .type = &conf_match_path,
      CONF_FIELD(match_settings, path),
      .preset_doc = "any",
      .doc = "`/api`: it and all below, by whole segments; `/api/`: all below; `= /exact`; "
             "`~ pattern` and `~* pattern` (without case): a regular expression.",
      .example = "/api/" },
    { .key = "method",
      .shape = CONF_MANY,
      .type = &conf_method,
      CONF_FIELD(match_settings, methods),
      .flags = CONF_NOT_EMPTY,
      .preset_doc = "any",
      .doc = "Methods, in capitals.",
      .example = "[GET, HEAD]" },
    { .key = "listener",
      .shape = CONF_MANY,
      .type = &conf_name,
      CONF_FIELD(match_settings, listeners),
      .flags = CONF_NOT_EMPTY | CONF_LISTENER,
      .preset_doc = "any",
      .doc = "Names of listeners." },
    { .key = "headers",
      .shape = CONF_MAP,
      .section = &header_condition_section,
      CONF_ITEMS(match_settings, headers, header_count),
      .doc = "Headers and their values; `~ pattern` is a regular expression, nothing is any "
             "value. A value may be `file:/path`; values are never printed." },
    { .key = "query",
      .shape = CONF_MAP,
      .section = &query_condition_section,
      CONF_ITEMS(match_settings, query, query_count),
      .doc = "Query parameters and their values, in the same way." },
    { 0 },
};

const struct conf_section conf_match_section = {
    .title = "routes[].match",
    .what = "`match`",
    .intro = "Which requests a route takes; all conditions must hold. Of the routes that fit, the "
             "most specific one serves: an exact host before `*.suffix` (the longest first) before "
             "none; then an exact path before the longest prefix, before regular expressions in "
             "the order of the file, before `/` or none; then the one with more conditions; then "
             "the one whose name comes first. Paths and hosts are compared after they were "
             "normalised.",
    .example = "routes:\n"
               "  - match:\n"
               "      host: [shop.example.org, \"*.shop.example.org\"]\n"
               "      path: \"~* [.](js|css|png)$\"\n"
               "      method: [GET, HEAD]\n"
               "      headers: { X-Preview: }\n"
               "      query: { version: \"~ ^2\" }\n"
               "    upstream: backend\n",
    .size = sizeof(struct match_settings),
    .rows = match_rows,
};

/* ---- answers of the gateway's own ---- */

static const struct conf_row header_name = {
    .key = "header",
    .type = &conf_field_name,
    CONF_FIELD(name_value, name),
};
static const struct conf_row header_rows[] = {
    { .key = "value",
      .type = &conf_field_value,
      CONF_FIELD(name_value, value),
      .doc = "Its value." },
    { 0 },
};
static const struct conf_section header_section = {
    .what = "a header",
    .size = sizeof(struct name_value),
    .rows = header_rows,
    .name = &header_name,
    .shorthand = "value",
    .is_scalar = true,
};

static const struct conf_row respond_rows[] = {
    { .key = "status",
      .type = &conf_count,
      .min = 200,
      .max = 599,
      CONF_FIELD(respond_settings, status),
      .preset = "200",
      .doc = "Status of the answer." },
    { .key = "body",
      .type = &conf_text,
      .max = 1 << 20,
      CONF_FIELD(respond_settings, body),
      .flags = CONF_FROM_FILE,
      .preset_doc = "empty",
      .doc = "The answer itself, or `file:/path` for that file's content (64 KiB at most).",
      .example = "\"gone fishing\\n\"" },
    { .key = "content_type",
      .type = &conf_field_value,
      CONF_FIELD(respond_settings, content_type),
      .preset = "text/plain; charset=utf-8",
      .doc = "`Content-Type` of the answer." },
    { .key = "headers",
      .shape = CONF_MAP,
      .section = &header_section,
      CONF_ITEMS(respond_settings, headers, header_count),
      .doc = "More headers." },
    { 0 },
};

static const struct conf_section respond_section = {
    .title = "routes[].respond",
    .what = "`respond`",
    .intro = "An answer without any server behind it.",
    .example = "routes:\n"
               "  - match: { path: \"= /robots.txt\" }\n"
               "    respond:\n"
               "      body: \"User-agent: *\\nDisallow: /\\n\"\n"
               "      headers: { Cache-Control: max-age=3600 }\n",
    .size = sizeof(struct respond_settings),
    .rows = respond_rows,
};

/* ---- policies ---- */

static const struct conf_row error_page_name = {
    .key = "status",
    .type = &conf_count,
    CONF_FIELD(error_page_settings, status),
    .min = 400,
    .max = 599,
    .zero = "default",
};
static const struct conf_row error_page_rows[] = {
    { .key = "path",
      .type = &conf_path,
      CONF_FIELD(error_page_settings, path),
      .doc = "The page." },
    { 0 },
};
static const struct conf_section error_page_section = {
    .what = "an error page",
    .size = sizeof(struct error_page_settings),
    .rows = error_page_rows,
    .name = &error_page_name,
    .shorthand = "path",
    .is_scalar = true,
};

static const struct conf_row policy_rows[] = {
    { .key = "rate_limit",
      .shape = CONF_MANY,
      .type = &conf_name,
      CONF_FIELD(policy_settings, rate_limits),
      .flags = CONF_RATE_LIMIT,
      .preset_doc = "none",
      .doc = "The name of a rate limit, or several: they are asked in this order, and the first "
             "that refuses answers.",
      .example = "api" },
    { .key = "concurrency_limit",
      .shape = CONF_MANY,
      .type = &conf_name,
      CONF_FIELD(policy_settings, concurrency_limits),
      .flags = CONF_CONCURRENCY_LIMIT,
      .preset_doc = "none",
      .doc = "The name of a concurrency limit, or several.",
      .example = "downloads" },
    { .key = "max_body",
      .type = &conf_size,
      .min = 1,
      .max = 1ull << 40,
      .zero = "unlimited",
      CONF_FIELD(policy_settings, max_body),
      .preset = "1MiB",
      .doc = "The largest body of a request (413).",
      .example = "50MiB" },
    { .key = "buffer_request",
      .type = &conf_size,
      .min = 1,
      .max = 64ull << 20,
      .zero = "off",
      CONF_FIELD(policy_settings, buffer_request),
      .preset = "off",
      .doc = "A server gets a request once its body is there, or so much of it; the rest streams "
             "then. In memory, for each request that is sending. Not for gRPC and WebSockets.",
      .example = "1MiB" },
    { .key = "timeouts",
      .shape = CONF_INLINE,
      .section = &conf_timeouts_section,
      .only = CONF_PER_ROUTE,
      CONF_FIELD(policy_settings, timeouts),
      .preset_doc = "the top level's",
      .doc = "The timeouts marked *per route*." },
    { .key = "allow_encoded_slash",
      .type = &conf_bool,
      CONF_FIELD(policy_settings, allow_encoded_slash),
      .preset = "false",
      .doc = "Let `%2F`, `%5C` and `..;` in a path pass; otherwise they are refused (400)." },
    { .key = "access_log",
      .type = &conf_bool,
      CONF_FIELD(policy_settings, access_log),
      .preset = "true",
      .doc = "Write a line of the access log for each request." },
    { .key = "client_cert_headers",
      .type = &conf_bool,
      CONF_FIELD(policy_settings, client_cert_headers),
      .preset = "true",
      .doc = "Tell the servers of the client's certificate in `X-Client-Cert-*`." },
    { .key = "upgrade",
      .shape = CONF_MANY,
      .type = &conf_upgrade,
      CONF_FIELD(policy_settings, upgrades),
      .flags = CONF_NOT_EMPTY,
      .preset_doc = "websocket",
      .doc = "Protocols that a client may switch to by `Upgrade`, or by HTTP/2's extended CONNECT; "
             "or `any` (all but `h2c`), or `off` (none). Of others, and with a body, an HTTP/1.1 "
             "request goes on without its `Upgrade`; an HTTP/2 client gets 501.",
      .example = "[websocket, tcp]" },
    { .key = "error_pages",
      .shape = CONF_MAP,
      .section = &error_page_section,
      CONF_ITEMS(policy_settings, error_pages, error_page_count),
      .doc = "Files for the gateway's own error answers, by status or `default`. They replace "
             "those of `defaults` as a whole." },
    { .key = "security_headers",
      .shape = CONF_OPTIONAL,
      .section = &conf_security_section,
      CONF_FIELD(policy_settings, security),
      .preset_doc = "off",
      .doc = "`strict`, `basic`, `off`, or what each header says." },
    { .key = "headers",
      .shape = CONF_OPTIONAL,
      .section = &conf_headers_section,
      CONF_FIELD(policy_settings, headers),
      .doc = "Edits of requests' and responses' headers. A route's come after those of "
             "`defaults`." },
    { .key = "maintenance",
      .shape = CONF_OPTIONAL,
      .section = &conf_maintenance_section,
      CONF_FIELD(policy_settings, maintenance),
      .flags = CONF_SWITCH,
      .preset_doc = "none",
      .doc = "A page for while the site is worked on, and what turns it on." },
    { .key = "canonical_host",
      .type = &conf_host_name,
      CONF_FIELD(policy_settings, canonical_host),
      .preset_doc = "any",
      .doc = "The one name of a site: requests for other hosts get a 308 to it; port, path and "
             "query stay.",
      .example = "example.org" },
    { .key = "trailing_slash",
      .type = &conf_enum,
      .choices = conf_trailing_slashes,
      CONF_FIELD(policy_settings, trailing_slash),
      .preset = "ignore",
      .doc = "`add`: a 308 from `/x` to `/x/`, but not where the last segment has a dot; `remove`: "
             "from `/x/` to `/x`; `ignore`: neither." },
    { .key = "compress",
      .shape = CONF_INLINE,
      .section = &conf_compress_section,
      CONF_FIELD(policy_settings, compress),
      .preset_doc = "off",
      .doc = "Codings of responses, or a section." },
    { 0 },
};

static const struct conf_section policy_section = {
    .size = sizeof(struct policy_settings),
    .rows = policy_rows,
};

static void begin_defaults(struct conf_parser *p, void *base)
{
    struct policy_settings *defaults = base;
    defaults->timeouts = p->settings->timeouts;
}

static void end_defaults(struct conf_parser *p, void *base, const struct conf_place *at)
{
    conf_check_policy(p, base, at);
}

static const struct conf_row no_rows[] = { { 0 } };

const struct conf_section conf_defaults_section = {
    .title = "defaults",
    .what = "`defaults`",
    .intro = "What holds for every route that does not say otherwise, and for requests that no "
             "route takes.",
    .example = "defaults:\n"
               "  max_body: 10MiB\n"
               "  timeouts: { connect: 2s }\n"
               "  error_pages:\n"
               "    404: /srv/errors/404.html\n"
               "    default: /srv/errors/error.html\n",
    .size = sizeof(struct policy_settings),
    .rows = no_rows,
    .also = &policy_section,
    .begin = begin_defaults,
    .end = end_defaults,
};

/* ---- routes ---- */

static const struct conf_row route_rows[] = {
    { .key = "name",
      .type = &conf_label,
      CONF_FIELD(route_settings, name),
      .preset_doc = "host and path",
      .doc = "Name in logs and metrics; unique. One that is made gets `#2` where it would not be.",
      .example = "shop" },
    { .key = "match",
      .shape = CONF_INLINE,
      .section = &conf_match_section,
      CONF_FIELD(route_settings, match),
      .preset_doc = "everything",
      .doc = "Which requests it takes." },
    { .key = "upstream",
      .type = &conf_name,
      CONF_FIELD(route_settings, upstream),
      .flags = CONF_ONE_OF | CONF_UPSTREAM,
      .doc = "The upstream that answers.",
      .example = "backend" },
    { .key = "respond",
      .shape = CONF_OPTIONAL,
      .section = &respond_section,
      CONF_FIELD(route_settings, respond),
      .flags = CONF_ONE_OF,
      .doc = "A fixed answer." },
    { .key = "redirect",
      .shape = CONF_OPTIONAL,
      .section = &conf_redirect_section,
      CONF_FIELD(route_settings, redirect),
      .flags = CONF_ONE_OF,
      .doc = "A redirect." },
    { .key = "files",
      .shape = CONF_OPTIONAL,
      .section = &conf_files_section,
      CONF_FIELD(route_settings, files),
      .flags = CONF_ONE_OF,
      .doc = "Files of a folder." },
    { .key = "rewrite",
      .shape = CONF_OPTIONAL,
      .section = &conf_rewrite_section,
      CONF_FIELD(route_settings, rewrite),
      .doc = "What the path and the query become before the server sees them." },
    { 0 },
};

static void begin_route(struct conf_parser *p, void *base)
{
    struct route_settings *route = base;
    route->policy = p->settings->defaults;
    route->policy.headers = NULL;
}

static void end_route(struct conf_parser *p, void *base, const struct conf_place *at)
{
    const struct route_settings *route = base;
    conf_check_policy(p, &route->policy, at);
    conf_check_rewrite(p, route, at);
}

const struct conf_section conf_route_section = {
    .title = "routes",
    .what = "a route",
    .intro =
        "Which requests go where, and under which policies. A route has exactly one of "
        "`upstream`, `respond`, `redirect` and `files`. All keys of `defaults` may stand here too.",
    .example = "routes:\n"
               "  - match: { host: example.org, path: /api/login }\n"
               "    upstream: backend\n"
               "    rate_limit: login\n"
               "  - name: api\n"
               "    match: { host: example.org, path: /api/ }\n"
               "    upstream: backend\n"
               "    rate_limit: api\n"
               "    max_body: 50MiB\n"
               "    timeouts: { response_header: 5m }\n"
               "  - match: { host: example.org }\n"
               "    upstream: legacy\n",
    .size = sizeof(struct route_settings),
    .rows = route_rows,
    .also = &policy_section,
    .also_offset = offsetof(struct route_settings, policy),
    .has_place = true,
    .begin = begin_route,
    .end = end_route,
};
