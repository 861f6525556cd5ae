/* SPDX-License-Identifier: Apache-2.0
 *
 * Redirects. See redirect.h.
 */
#include "origin/redirect.h"

#include "conf/settings.h"
#include "http/target.h"

static void reply(struct exchange *x, unsigned status, struct slice to, const char *reason)
{
    struct arena     *a = exchange_arena(x);
    struct http_head *head = arena_zalloc(a, sizeof(*head));
    head->status = (uint16_t)status;
    http_fields_add(&head->fields, a, FIELD_LOCATION, S("Location"), to);
    exchange_reply(x, head, slice_make("", 0), reason);
}

static const char unmatched[] = "redirect_unmatched";

struct redirect {
    uint16_t          status;
    struct slice      fixed; /* where nothing of the request goes in; else empty: */
    const pcre2_code *code;  /* what captures, or NULL */
    struct target     to;
    struct uri_rules  rules;
};

const struct redirect *redirect_build(const struct redirect_settings *s, const pcre2_code *of_route,
                                      const struct uri_rules *rules, struct arena *a,
                                      struct error *e)
{
    struct redirect *r = arena_zalloc(a, sizeof(*r));
    r->status = s->status;
    r->rules = (struct uri_rules){ rules->allows_encoded_slash, .merges_slashes = true };
    r->code = s->match.len ? pattern_compile(s->match, false, a, e) : of_route;
    if (s->match.len && !r->code) return NULL;
    if (!s->match.len && slice_find(s->to, '$') == s->to.len) {
        r->fixed = arena_copy(a, s->to);
        return r;
    }
    return target_parse(&r->to, arena_copy(a, s->to), r->code, false, a, e) ? r : NULL;
}

const char *redirect_location(const struct redirect *r, const struct http_head *request,
                              struct slice host, struct pattern_matcher *m, struct arena *a,
                              struct slice *location)
{
    struct target_ask ask = {
        .path = request->path, .query = request->query, .host = host, .rules = r->rules
    };
    *location = r->fixed;
    if (r->fixed.len) return NULL;
    if (r->code && !pattern_matches(r->code, request->path, m)) return unmatched;
    if (r->code) pattern_captures(r->code, m, request->path, ask.captures);
    return target_location(&r->to, &ask, a, location);
}

static void start_redirect(struct exchange *x, const void *config)
{
    const struct redirect *r = config;
    struct slice           location;
    const char            *refused = redirect_location(r, exchange_request(x), exchange_host(x),
                                                       exchange_matcher(x), exchange_arena(x), &location);
    if (!refused)
        reply(x, r->status, location, "redirect");
    else if (refused == unmatched)
        exchange_reply_status(x, 404, unmatched);
    else
        exchange_reply_status(x, 400, "redirect_refused");
}

const struct origin_ops origin_redirect = { .name = "redirect", .start = start_redirect };

/* The authority without its port. The codec has checked it by RFC 3986. */
static struct slice host_of(struct slice authority)
{
    size_t end = authority.len;
    while (end && authority.data[end - 1] >= '0' && authority.data[end - 1] <= '9') end--;
    bool has_port = end && authority.data[end - 1] == ':';
    return has_port ? slice_make(authority.data, end - 1) : authority;
}

static void start_https(struct exchange *x, const void *config)
{
    const struct https_redirect *s = config;
    const struct http_head      *request = exchange_request(x);
    struct arena                *a = exchange_arena(x);
    struct slice                 host = host_of(request->authority);
    struct slice                 port = S("");
    if (!host.len) {
        /* HTTP/1.0 without Host: there is no URL to name. */
        exchange_reply_status(x, 400, "redirect_without_host");
        return;
    }
    if (s->port != 443) port = arena_printf(a, ":%u", s->port);
    bool is_path = request->path.len && request->path.data[0] == '/';
    reply(x, 308,
          arena_printf(a, "https://%.*s%.*s%.*s%s%.*s", SLICE_ARG(host), SLICE_ARG(port),
                       SLICE_ARG(is_path ? request->path : S("/")), request->has_query ? "?" : "",
                       SLICE_ARG(request->query)),
          "redirect_https");
}

const struct origin_ops origin_https_redirect = { .name = "redirect_https", .start = start_https };
