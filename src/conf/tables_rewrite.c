/* SPDX-License-Identifier: Apache-2.0
 *
 * The tables of redirects and rewriting.
 */
#include "conf/check.h"
#include "conf/types.h"

/* ---- redirects ---- */

static const struct conf_choice redirect_statuses[] = {
    { "301", 301 }, { "302", 302 }, { "303", 303 }, { "307", 307 }, { "308", 308 }, { NULL, 0 },
};

static const struct conf_row redirect_rows[] = {
    { .key = "to",
      .type = &conf_target,
      CONF_FIELD(redirect_settings, to),
      .flags = CONF_REQUIRED,
      .doc = "Where to: a URL or a path, with parts of the request: `${path}`, `${query}`, "
             "`${host}`, and what `match` captured. The host is fixed text or `${host}`.",
      .example = "\"https://example.org${path}?${query}\"" },
    { .key = "match",
      .type = &conf_regex,
      CONF_FIELD(redirect_settings, match),
      .preset_doc = "the route's path, where that is an expression",
      .doc = "A regular expression of the path; its groups are `$1` to `$9` and `${match:NAME}`. "
             "A path that it does not match is 404.",
      .example = "\"^/posts/(\\\\d+)$\"" },
    { .key = "status",
      .type = &conf_enum,
      .choices = redirect_statuses,
      CONF_FIELD(redirect_settings, status),
      .preset = "308",
      .doc = "Status of the answer." },
    { 0 },
};

const struct conf_section conf_redirect_section = {
    .title = "routes[].redirect",
    .what = "`redirect`",
    .intro = "Sends the client elsewhere. A text alone is `to`. What comes from the request goes "
             "into path and query alone, and the path is made normal once more: it cannot lead to "
             "a host that is not written here. A path with no normal form is 400.",
    .example = "routes:\n"
               "  - match: { host: old.example.org }\n"
               "    redirect: https://example.org/\n"
               "  - match: { host: old.example.org, path: /shop/ }\n"
               "    redirect: { to: https://shop.example.org/, status: 302 }\n"
               "  - match: { host: example.org, path: \"~ ^/posts/(\\\\d+)$\" }\n"
               "    redirect: /articles/$1\n",
    .size = sizeof(struct redirect_settings),
    .rows = redirect_rows,
    .has_place = true,
    .shorthand = "to",
};

const struct conf_choice conf_trailing_slashes[] = {
    { "ignore", TRAILING_SLASH_IGNORE },
    { "add", TRAILING_SLASH_ADD },
    { "remove", TRAILING_SLASH_REMOVE },
    { NULL, 0 },
};

/* ---- rewriting ---- */

static const struct conf_row rule_rows[] = {
    { .key = "match",
      .type = &conf_regex,
      CONF_FIELD(rewrite_rule_settings, match),
      .flags = CONF_REQUIRED,
      .doc = "A regular expression of the path; `(?i)` in front: in any case.",
      .example = "\"^/old/(.*)$\"" },
    { .key = "to",
      .type = &conf_target,
      CONF_FIELD(rewrite_rule_settings, to),
      .flags = CONF_REQUIRED,
      .doc =
          "What the path becomes: text with `$1` to `$9`, `${match:NAME}`, `${path}`, `${host}`; "
          "`$$` is a `$`. With a `?`, the query too (`${query}` is the one that came); without "
          "one it stays.",
      .example = "\"/new/$1?from=old&${query}\"" },
    { 0 },
};

static const struct conf_section rule_section = {
    .title = "routes[].rewrite.path[]",
    .what = "a rule of rewriting",
    .intro = "Of these rules, the first one whose `match` fits says what the path becomes.",
    .size = sizeof(struct rewrite_rule_settings),
    .rows = rule_rows,
};

static const struct conf_row rewrite_rows[] = {
    { .key = "strip_prefix",
      .type = &conf_url_path,
      CONF_FIELD(rewrite_settings, strip_prefix),
      .preset_doc = "none",
      .doc = "Taken off the path, by whole segments; the server is told in `X-Forwarded-Prefix`.",
      .example = "/api" },
    { .key = "path",
      .shape = CONF_LIST,
      .section = &rule_section,
      CONF_ITEMS(rewrite_settings, paths, path_count),
      .doc = "Then: the first one that matches." },
    { .key = "add_prefix",
      .type = &conf_url_path,
      CONF_FIELD(rewrite_settings, add_prefix),
      .preset_doc = "none",
      .doc = "Then: put before the path.",
      .example = "/v2" },
    { 0 },
};

const struct conf_section conf_rewrite_section = {
    .title = "routes[].rewrite",
    .what = "`rewrite`",
    .intro = "What the path and the query become, after the route was chosen, for the server that "
             "answers; logs keep the path that came. The result is made normal once more, as every "
             "path is: one that is refused (an encoded slash, NUL or line end put together, dots "
             "above the root) is 400.",
    .example = "routes:\n"
               "  - match: { host: example.org, path: /api }\n"
               "    upstream: backend\n"
               "    rewrite:\n"
               "      strip_prefix: /api\n"
               "      path:\n"
               "        - { match: \"^/user-(\\\\d+)$\", to: \"/users?id=$1&${query}\" }\n"
               "      add_prefix: /v2\n",
    .size = sizeof(struct rewrite_settings),
    .rows = rewrite_rows,
    .has_place = true,
};

void conf_check_rewrite(struct conf_parser *p, const struct route_settings *route,
                        const struct conf_place *at)
{
    if (route->rewrite && (route->respond || route->redirect))
        conf_report_add(p->report, CONF_ERROR, at,
                        "`rewrite` does nothing with `respond` or `redirect`");
}
