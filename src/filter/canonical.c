/* SPDX-License-Identifier: Apache-2.0
 *
 * Canonical hosts and slashes. See canonical.h.
 */
#include "filter/canonical.h"

/* Is its last segment the name of a file? */
static bool has_dot_at_end(struct slice path)
{
    for (size_t i = path.len; i-- > 0 && path.data[i] != '/';)
        if (path.data[i] == '.') return true;
    return false;
}

static bool wants_slash(const struct canonical *c, struct slice path)
{
    return c->slash == TRAILING_SLASH_ADD && path.data[path.len - 1] != '/' &&
           !has_dot_at_end(path);
}

/* The path as it should be; the same one where it is so. */
static struct slice right_path(const struct canonical *c, struct slice path, struct arena *a)
{
    if (wants_slash(c, path)) return arena_printf(a, "%.*s/", SLICE_ARG(path));
    while (c->slash == TRAILING_SLASH_REMOVE && path.len > 1 && path.data[path.len - 1] == '/')
        path.len--;
    return path;
}

/* Behind the host: ":8443", or nothing. */
static struct slice port_of(struct slice authority)
{
    size_t start = authority.len;
    while (start && authority.data[start - 1] >= '0' && authority.data[start - 1] <= '9') start--;
    bool has_port = start && start < authority.len && authority.data[start - 1] == ':';
    return has_port ? slice_from(authority, start - 1) : S("");
}

static enum filter_result redirect(struct exchange *x, const struct canonical *c, struct slice path,
                                   bool is_other_host)
{
    const struct http_head *request = exchange_request(x);
    struct arena           *a = exchange_arena(x);
    struct slice            origin = S("");
    if (uri_path(path, &c->rules, a, &path)) {
        exchange_reply_status(x, 400, "redirect_refused");
        return FILTER_REPLY;
    }
    if (is_other_host)
        origin = arena_printf(a, "%s://%.*s%.*s", exchange_is_secure(x) ? "https" : "http",
                              SLICE_ARG(c->host), SLICE_ARG(port_of(request->authority)));
    struct http_head *head = arena_zalloc(a, sizeof(*head));
    head->status = 308;
    http_fields_add(&head->fields, a, FIELD_LOCATION, S("Location"),
                    arena_printf(a, "%.*s%.*s%s%.*s", SLICE_ARG(origin), SLICE_ARG(path),
                                 request->has_query ? "?" : "", SLICE_ARG(request->query)));
    exchange_reply(x, head, S(""), is_other_host ? "canonical_host" : "trailing_slash");
    return FILTER_REPLY;
}

static enum filter_result on_request(struct exchange *x, const void *config, void **state)
{
    const struct canonical *c = config;
    struct slice            path = exchange_request(x)->path;
    bool                    is_other_host = c->host.len && !slice_eq(exchange_host(x), c->host);
    (void)state;
    if (!path.len || path.data[0] != '/') return FILTER_CONTINUE; /* OPTIONS * */
    struct slice right = right_path(c, path, exchange_arena(x));
    if (!is_other_host && slice_eq(right, path)) return FILTER_CONTINUE;
    return redirect(x, c, right, is_other_host);
}

const struct filter_ops filter_canonical = { .name = "canonical", .on_request = on_request };
