/* SPDX-License-Identifier: Apache-2.0
 *
 * Redirects: [options][what `to` says]\n[the request's path and query]. Whatever a client sends, it
 * is led to the authority that `to` names, or its own; the path has one slash at its start and is
 * its own normal form; a line end comes of nothing that is none.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "claim.h"
#include "http/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a codec or conf/ lets through at all. */
static bool is_plain(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.data[i] <= ' ' || (unsigned char)s.data[i] >= 0x7f) return false;
    return true;
}

/* As browsers find it: after the scheme, up to what ends an authority. */
static struct slice authority_of(struct slice url)
{
    size_t start = slice_find(url, ':') + 3, end = start;
    while (end < url.len && !memchr("/?#\\", url.data[end], 4)) end++;
    return slice_make(url.data + start, end - start);
}

/* What `to` names: a variable ends it, but that of the host, with which it may begin. */
static struct slice named_authority(struct slice to, struct arena *a)
{
    struct slice named = authority_of(to), host = S("${host}");
    bool         has_host = slice_starts_with(named, host);
    if (has_host) named = slice_from(named, host.len);
    named.len = slice_find(named, '$');
    return arena_printf(a, "%s%.*s", has_host ? "own.example" : "", SLICE_ARG(named));
}

static bool has_scheme(struct slice url)
{
    return slice_starts_with(url, S("https://")) || slice_starts_with(url, S("http://"));
}

static bool has_line_end(struct slice s)
{
    for (size_t i = 0; i + 2 < s.len; i++)
        if (s.data[i] == '%' && s.data[i + 1] == '0' && memchr("aAdD", s.data[i + 2], 4))
            return true;
    return false;
}

static void check_path(const struct target *t, const struct target_ask *ask, struct arena *a)
{
    struct slice path, again;
    if (target_path(t, ask, a, &path)) return;
    CHECK(path.len && path.data[0] == '/');
    CHECK(path.len < 2 || (path.data[1] != '/' && path.data[1] != '\\'));
    CHECK(is_plain(path) && slice_find(path, '\\') == path.len);
    CHECK(!uri_path(path, &ask->rules, a, &again) && slice_eq(path, again));
    CHECK(!has_line_end(path) || has_line_end(ask->path));
}

static void try(struct slice to, struct slice request, struct uri_rules rules, struct arena *a)
{
    static struct pattern_matcher m;
    struct target                 t;
    struct error                  e;
    struct slice                  location;
    size_t                        mark = slice_find(request, '?');
    struct target_ask             ask = { .rules = rules, .host = S("own.example") };
    if (!m.context) pattern_matcher_init(&m);
    pcre2_code *code = pattern_compile(S("^/([^/]*)(?<rest>.*)$"), false, a, &e);
    CHECK(code);
    if (!target_parse(&t, to, code, false, a, &e)) return;
    if (uri_path(slice_make(request.data, mark), &rules, a, &ask.path)) return;
    ask.query = mark < request.len ? slice_from(request, mark + 1) : S("");
    if (pattern_matches(code, ask.path, &m)) pattern_captures(code, &m, ask.path, ask.captures);
    check_path(&t, &ask, a);
    if (target_location(&t, &ask, a, &location)) return;
    CHECK(is_plain(location));
    CHECK(has_scheme(location) == has_scheme(to));
    if (has_scheme(to)) CHECK(slice_eq(authority_of(location), named_authority(to, a)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    struct arena     a;
    struct uri_rules rules = { .allows_encoded_slash = data[0] & 1, .merges_slashes = true };
    size_t           len = size - 1;
    char            *text = mem_alloc(len + !len);
    memcpy(text, data + 1, len);
    size_t       line = slice_find(slice_make(text, len), '\n');
    struct slice to = slice_make(text, line);
    struct slice request = line < len ? slice_make(text + line + 1, len - line - 1) : S("/");
    arena_init(&a, NULL);
    if (is_plain(to) && slice_find(to, '\\') == to.len && is_plain(request))
        try(to, request, rules, &a);
    arena_reset(&a);
    free(text);
    return 0;
}
