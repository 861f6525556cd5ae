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

const char *canonical_move(const struct canonical *c, const struct http_head *request,
                           struct slice host, bool is_secure, struct arena *a,
                           struct slice *location)
{
    struct slice path = request->path, origin = S("");
    bool         is_other_host = c->host.len && !slice_eq_nocase(host, c->host);
    *location = (struct slice){ 0 };
    if (!path.len || path.data[0] != '/') return NULL; /* OPTIONS * */
    path = right_path(c, path, a);
    if (!is_other_host && slice_eq(path, request->path)) return NULL;
    if (uri_path(path, &c->rules, a, &path)) return "redirect_refused";
    if (is_other_host)
        origin = arena_printf(a, "%s://%.*s%.*s", is_secure ? "https" : "http", SLICE_ARG(c->host),
                              SLICE_ARG(port_of(request->authority)));
    *location = arena_printf(a, "%.*s%.*s%s%.*s", SLICE_ARG(origin), SLICE_ARG(path),
                             request->has_query ? "?" : "", SLICE_ARG(request->query));
    return is_other_host ? "canonical_host" : "trailing_slash";
}

static enum filter_result on_request(struct exchange *x, const void *config, void **state)
{
    struct arena *a = exchange_arena(x);
    struct slice  location;
    const char   *reason = canonical_move(config, exchange_request(x), exchange_host(x),
                                          exchange_is_secure(x), a, &location);
    (void)state;
    if (!reason) return FILTER_CONTINUE;
    if (!location.data) {
        exchange_reply_status(x, 400, reason);
        return FILTER_REPLY;
    }
    struct http_head *head = arena_zalloc(a, sizeof(*head));
    head->status = CANONICAL_STATUS;
    http_fields_add(&head->fields, a, FIELD_LOCATION, S("Location"), location);
    exchange_reply(x, head, S(""), reason);
    return FILTER_REPLY;
}

const struct filter_ops filter_canonical = { .name = "canonical", .on_request = on_request };
