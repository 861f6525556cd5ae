/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a request is rewritten or redirected to. See target.h.
 */
#include "http/target.h"

#include "http/chars.h"

enum {
    PIECES_MAX = 32,
    BYTES_MAX = 64 * 1024, /* of what comes out: pieces repeat what a client sent */
};

/* ---- parsing ---- */

struct parser {
    struct slice      rest;
    const pcre2_code *code;
    struct error     *e;
    unsigned          count; /* pieces of both lists */
    bool              is_in_query;
};

static bool take(struct parser *p, struct slice start)
{
    if (!slice_starts_with(p->rest, start)) return false;
    p->rest = slice_from(p->rest, start.len);
    return true;
}

/* `whole` is how it stands there. */
static bool take_capture(struct parser *p, struct target_piece *to, struct slice name,
                         struct slice whole)
{
    if (!p->code) return error_set(p->e, "`%.*s` needs a pattern in `match`", SLICE_ARG(whole));
    unsigned group = pattern_group(p->code, name);
    if (!group)
        return error_set(p->e, "the pattern of `match` has no group for `%.*s`", SLICE_ARG(whole));
    *to = (struct target_piece){ .kind = TARGET_CAPTURE, .group = group };
    return true;
}

static bool take_variable(struct parser *p, struct target_piece *to)
{
    struct slice whole = slice_make(p->rest.data, slice_find(p->rest, '}') + 1);
    if (whole.len > p->rest.len) return error_set(p->e, "`${` without its `}`");
    struct slice name = slice_make(whole.data + 2, whole.len - 3);
    p->rest = slice_from(p->rest, whole.len);
    if (slice_starts_with(name, S("match:")))
        return take_capture(p, to, slice_from(name, 6), whole);
    *to = (struct target_piece){ .kind = TARGET_HOST };
    if (slice_eq(name, S("path")))
        to->kind = TARGET_PATH;
    else if (slice_eq(name, S("query")))
        to->kind = TARGET_QUERY;
    else if (!slice_eq(name, S("host")))
        return error_set(p->e,
                         "`%.*s`: there are `${path}`, `${query}`, `${host}` and `${match:NAME}`",
                         SLICE_ARG(whole));
    if (to->kind == TARGET_QUERY && !p->is_in_query)
        return error_set(p->e, "`${query}` stands after a `?`");
    return true;
}

/* Up to what means something. A lone `$` is itself. */
static void take_text(struct parser *p, struct target_piece *to)
{
    size_t len = 1;
    while (len < p->rest.len && p->rest.data[len] != '$' && p->rest.data[len] != '#' &&
           (p->is_in_query || p->rest.data[len] != '?'))
        len++;
    *to = (struct target_piece){ .kind = TARGET_TEXT, .text = slice_make(p->rest.data, len) };
    p->rest = slice_from(p->rest, len);
}

static bool take_piece(struct parser *p, struct target_piece *to)
{
    struct slice rest = p->rest;
    char         next = rest.len > 1 && rest.data[0] == '$' ? rest.data[1] : '\0';
    if (next == '{') return take_variable(p, to);
    if (next >= '1' && next <= '9') {
        p->rest = slice_from(rest, 2);
        return take_capture(p, to, slice_make(rest.data + 1, 1), slice_make(rest.data, 2));
    }
    if (next == '$') p->rest = slice_from(rest, 1);
    take_text(p, to);
    return true;
}

/* Up to "?", "#" or the end. */
static bool take_pieces(struct parser *p, struct target_pieces *list, struct arena *a)
{
    list->items = arena_alloc(a, PIECES_MAX * sizeof(*list->items));
    while (p->rest.len && p->rest.data[0] != '#' && (p->is_in_query || p->rest.data[0] != '?')) {
        if (p->count++ == PIECES_MAX)
            return error_set(p->e, "it has more than %d parts", PIECES_MAX);
        if (!take_piece(p, &list->items[list->count++])) return false;
    }
    return true;
}

/* Of the fixed text that follows the scheme or `${host}`. */
static struct slice take_authority(struct parser *p)
{
    size_t len = 0;
    while (len < p->rest.len && !memchr("/?#$\\", p->rest.data[len], 5)) len++;
    struct slice got = slice_make(p->rest.data, len);
    p->rest = slice_from(p->rest, len);
    return got;
}

/* ":8443", or nothing. */
static bool is_port(struct slice text)
{
    enum { PORT_BYTES_MAX = 6 };
    char                 with_host[PORT_BYTES_MAX + 1] = "h";
    struct uri_authority authority;
    if (!text.len) return true;
    if (text.len > PORT_BYTES_MAX || text.data[0] != ':') return false;
    memcpy(with_host + 1, text.data, text.len);
    return uri_authority(slice_make(with_host, text.len + 1), &authority) && authority.port;
}

static bool take_origin(struct parser *p, struct target *t)
{
    struct uri_authority authority;
    const char          *start = p->rest.data;
    if (!take(p, S("https://")) && !take(p, S("http://"))) return true;
    t->origin = slice_make(start, (size_t)(p->rest.data - start));
    t->has_host = take(p, S("${host}"));
    struct slice given = take_authority(p);
    if (t->has_host) {
        t->port = given;
        if (!is_port(given)) return error_set(p->e, "after `${host}` comes a port or a path");
    } else {
        t->origin.len += given.len;
        if (!uri_authority(given, &authority)) return error_set(p->e, "the host is none");
    }
    return !p->rest.len || memchr("/?#$", p->rest.data[0], 4) ||
           error_set(p->e, "after the host comes a path");
}

static bool has_path_start(const struct target *t)
{
    const struct target_piece *first = &t->path.items[0];
    if (!t->path.count) return t->origin.len > 0;
    return first->kind == TARGET_PATH || first->kind == TARGET_CAPTURE ||
           (first->kind == TARGET_TEXT && first->text.data[0] == '/');
}

bool target_parse(struct target *t, struct slice text, const pcre2_code *code, bool is_local,
                  struct arena *a, struct error *e)
{
    struct parser p = { .rest = text, .code = code, .e = e };
    *t = (struct target){ .origin = { "", 0 }, .port = { "", 0 } };
    if (!take_origin(&p, t) || !take_pieces(&p, &t->path, a)) return false;
    p.is_in_query = t->has_query = take(&p, S("?"));
    if (t->has_query && !take_pieces(&p, &t->query, a)) return false;
    t->fragment = p.rest;
    if (is_local && (t->origin.len || t->fragment.len))
        return error_set(e, "it is a path and, after a `?`, a query");
    if (slice_find(t->fragment, '$') < t->fragment.len)
        return error_set(e, "what follows a `#` is fixed text");
    return has_path_start(t) || error_set(e, "its path begins with `/`");
}

/* ---- putting together ---- */

static struct slice piece_text(const struct target_piece *p, const struct target_ask *ask)
{
    switch (p->kind) {
    case TARGET_TEXT: return p->text;
    case TARGET_CAPTURE: return ask->captures[p->group];
    case TARGET_PATH: return ask->path;
    case TARGET_QUERY: return ask->query;
    case TARGET_HOST: return ask->host;
    }
    return slice_make("", 0);
}

/* Of a path in a query: what would end a value there. "%" begins what is encoded already. */
static bool is_encoded_in_query(const struct target_piece *p, char c)
{
    if (p->kind == TARGET_TEXT || p->kind == TARGET_QUERY) return false;
    return !http_char_is(c, CHAR_UNRESERVED) && c != '%' && c != '/';
}

static char *put_piece(char *to, const struct target_piece *p, struct slice text, bool is_in_query)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (is_in_query && is_encoded_in_query(p, text.data[i])) {
            *to++ = '%';
            *to++ = digits[c >> 4];
            *to++ = digits[c & 15];
        } else {
            *to++ = text.data[i];
        }
    }
    return to;
}

/* Unset: it would be too long. */
static struct slice put_together(const struct target_pieces *list, const struct target_ask *ask,
                                 bool is_in_query, struct arena *a)
{
    size_t bytes = 0;
    for (size_t i = 0; i < list->count; i++) bytes += piece_text(&list->items[i], ask).len;
    if (bytes > BYTES_MAX) return slice_make(NULL, 0);
    char *start = arena_alloc(a, 3 * bytes), *to = start;
    for (size_t i = 0; i < list->count; i++)
        to = put_piece(to, &list->items[i], piece_text(&list->items[i], ask), is_in_query);
    return slice_make(start, (size_t)(to - start));
}

static unsigned count_line_ends(struct slice path)
{
    unsigned count = 0;
    for (size_t i = 0; i + 2 < path.len; i++)
        count += path.data[i] == '%' && path.data[i + 1] == '0' &&
                 ((path.data[i + 2] | 0x20) == 'a' || (path.data[i + 2] | 0x20) == 'd');
    return count;
}

const char *target_normal_path(struct slice made, struct slice before,
                               const struct uri_rules *rules, struct arena *a, struct slice *path)
{
    const char *reason = uri_path(made, rules, a, path);
    if (!reason && count_line_ends(*path) && !count_line_ends(before)) return "line_end_in_path";
    return reason;
}

const char *target_path(const struct target *t, const struct target_ask *ask, struct arena *a,
                        struct slice *path)
{
    struct slice made = t->path.count ? put_together(&t->path, ask, false, a) : S("/");
    if (!made.data) return "target_too_long";
    return target_normal_path(made, ask->path, &ask->rules, a, path);
}

/* What is empty leaves no "&" at the ends. */
const char *target_query(const struct target *t, const struct target_ask *ask, struct arena *a,
                         struct slice *query)
{
    struct slice q = put_together(&t->query, ask, true, a);
    if (!q.data) return "target_too_long";
    while (t->query.count > 1 && q.len && q.data[0] == '&') q = slice_from(q, 1);
    while (t->query.count > 1 && q.len && q.data[q.len - 1] == '&') q.len--;
    *query = q;
    return NULL;
}

const char *target_location(const struct target *t, const struct target_ask *ask, struct arena *a,
                            struct slice *location)
{
    struct slice path, query = S("");
    const char  *reason = target_path(t, ask, a, &path);
    if (!reason && t->has_query) reason = target_query(t, ask, a, &query);
    if (reason) return reason;
    if (t->has_host && !ask->host.len) return "redirect_without_host";
    *location = arena_printf(a, "%.*s%.*s%.*s%.*s%s%.*s%.*s", SLICE_ARG(t->origin),
                             SLICE_ARG(t->has_host ? ask->host : S("")), SLICE_ARG(t->port),
                             SLICE_ARG(path), query.len ? "?" : "", SLICE_ARG(query),
                             SLICE_ARG(t->fragment));
    return NULL;
}
