/* SPDX-License-Identifier: Apache-2.0
 *
 * Redirects. See redirect.h.
 */
#include "origin/redirect.h"

#include "conf/settings.h"

static void reply(struct exchange *x, unsigned status, struct slice to, const char *reason)
{
    struct arena     *a = exchange_arena(x);
    struct http_head *head = arena_zalloc(a, sizeof(*head));
    head->status = (uint16_t)status;
    http_fields_add(&head->fields, a, FIELD_LOCATION, S("Location"), to);
    exchange_reply(x, head, slice_make("", 0), reason);
}

static void start_redirect(struct exchange *x, const void *config)
{
    const struct redirect_settings *s = config;
    reply(x, s->status, s->to, "redirect");
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
