/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys and cookies of balancing. See affinity.h.
 */
#include "proxy/affinity.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "proxy/downstream.h"
#include "proxy/request_key.h"

static const char *const same_sites[] = {
    [SAME_SITE_LAX] = "Lax",
    [SAME_SITE_STRICT] = "Strict",
    [SAME_SITE_NONE] = "None",
};

bool affinity_key(const struct upstream *u, const struct http_head *request, struct slice *key)
{
    switch (u->key) {
    case KEY_HOST: *key = request->authority; return true;
    case KEY_PATH: *key = request->path; return true;
    case KEY_HEADER: *key = request_header(request, u->key_name); return true;
    case KEY_COOKIE: *key = request_cookie(request, u->key_name); return true;
    default: return false;
    }
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
        x->ask.token = request_cookie(x->request, u->settings->balance.cookie);
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
