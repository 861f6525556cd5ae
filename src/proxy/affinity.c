/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys and cookies of balancing. See affinity.h.
 */
#include "proxy/affinity.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "proxy/downstream.h"

static const char *const same_sites[] = {
    [SAME_SITE_LAX] = "Lax",
    [SAME_SITE_STRICT] = "Strict",
    [SAME_SITE_NONE] = "None",
};

static struct slice trim(struct slice s)
{
    while (s.len && s.data[0] == ' ') s = slice_from(s, 1);
    while (s.len && s.data[s.len - 1] == ' ') s.len--;
    return s;
}

/* RFC 6265 section 4.2.1: "a=1; b=2". */
static bool find_pair(struct slice line, struct slice name, struct slice *value)
{
    while (line.len) {
        size_t       end = slice_find(line, ';');
        struct slice pair = trim(slice_make(line.data, end));
        size_t       equals = slice_find(pair, '=');
        line = slice_from(line, end < line.len ? end + 1 : end);
        if (equals == pair.len || !slice_eq(slice_make(pair.data, equals), name)) continue;
        *value = slice_from(pair, equals + 1);
        return true;
    }
    return false;
}

/* Over HTTP/2 there may be several lines: RFC 9113 section 8.2.3. */
struct slice affinity_cookie(const struct http_head *request, struct slice name)
{
    const struct http_fields *fields = &request->fields;
    struct slice              value = slice_make("", 0);
    for (uint16_t i = 0; i < fields->count; i++) {
        const struct http_field *f = &fields->items[i];
        if (f->is_dropped || !slice_eq_nocase(f->name, S("cookie"))) continue;
        if (find_pair(f->value, name, &value)) break;
    }
    return value;
}

static struct slice find_header(const struct http_head *request, struct slice name)
{
    const struct http_field *f = http_fields_find_named(&request->fields, name);
    return f ? f->value : slice_make("", 0);
}

bool affinity_key(const struct upstream *u, const struct http_head *request, struct slice *key)
{
    switch (u->key) {
    case UPSTREAM_KEY_PATH: *key = request->path; return true;
    case UPSTREAM_KEY_HEADER: *key = find_header(request, u->key_name); return true;
    case UPSTREAM_KEY_COOKIE: *key = affinity_cookie(request, u->key_name); return true;
    case UPSTREAM_KEY_CLIENT: break;
    }
    return false;
}

uint64_t affinity_hash(struct slice key)
{
    return key.len ? XXH3_64bits(key.data, key.len) : 0;
}

void affinity_ask(struct exchange *x)
{
    const struct upstream *u = x->route->upstream;
    if (u->balance->has_key) {
        struct slice key;
        if (!affinity_key(u, x->request, &key)) key = exchange_client_text(x);
        x->ask.has_hash = key.len != 0;
        x->ask.hash = affinity_hash(key);
    }
    if (u->settings->balance.algorithm == BALANCE_STICKY)
        x->ask.token = affinity_cookie(x->request, u->settings->balance.cookie);
}

void affinity_chosen(struct exchange *x, const struct endpoint *e)
{
    const struct upstream *u = x->route->upstream;
    if (u->settings->balance.algorithm != BALANCE_STICKY) return;
    struct slice token = balance_token(atomic_load_explicit(&u->set, memory_order_acquire), e);
    bool         is_known = !token.len || slice_eq(token, x->ask.token);
    /* The set may be gone by the time that the endpoint answers. */
    x->new_token = is_known ? slice_make("", 0) : arena_copy(&x->arena, token);
}

void affinity_respond(struct exchange *x, struct http_head *response)
{
    const struct balance_settings *s = &x->route->upstream->settings->balance;
    struct slice                   age = slice_make("", 0);
    if (!x->new_token.len) return;
    if (s->cookie_ttl)
        age = arena_printf(&x->arena, "; Max-Age=%llu", (unsigned long long)s->cookie_ttl / 1000);
    bool is_secure = exchange_is_tls(x) || s->same_site == SAME_SITE_NONE;
    http_fields_add_named(&response->fields, &x->arena, S("Set-Cookie"),
                          arena_printf(&x->arena, "%.*s=%.*s; Path=/%.*s%s; HttpOnly; SameSite=%s",
                                       SLICE_ARG(s->cookie), SLICE_ARG(x->new_token),
                                       SLICE_ARG(age), is_secure ? "; Secure" : "",
                                       same_sites[s->same_site]));
}
