/* SPDX-License-Identifier: Apache-2.0
 *
 * An upstream's endpoints and which of them a request would get: the very one
 * where the request decides that, by the balancer's own choice from the set that
 * workers have; else how it is chosen.
 */
#include "control/explain_parts.h"
#include "control/gate_parts.h"
#include "proxy/affinity.h"
#include "proxy/request_key.h"

/* ---- the choice ---- */

struct pick {
    const struct upstream     *upstream;
    const struct endpoint_set *set;
    struct random              random;
    struct balance_ask         ask;
    struct slice               why; /* the request decides; empty: it does not */
};

static const char *key_word(enum setting_key key)
{
    switch (key) {
    case KEY_CLIENT_IP: return "the client's address";
    case KEY_HOST: return "the host";
    case KEY_PATH: return "the path";
    case KEY_HEADER: return "the header";
    case KEY_COOKIE: return "the cookie";
    default: return ""; /* balancing knows no others */
    }
}

static void ask_by_key(struct pick *p, const struct explain_request *r)
{
    const struct upstream *u = p->upstream;
    struct slice           key;
    if (!affinity_key(u, &r->head, &key)) key = r->client;
    if (!key.len) return;
    p->ask.has_hash = true;
    p->ask.hash = affinity_hash(key);
    p->ask.load = atomic_load_explicit(&u->load->active, memory_order_relaxed);
    p->why = arena_printf(r->arena, "%s: by %s%s%.*s", u->balance->name, key_word(u->key),
                          u->key_name.len ? " " : "", SLICE_ARG(u->key_name));
}

static void ask_by_cookie(struct pick *p, const struct explain_request *r)
{
    p->ask.token = request_cookie(&r->head, p->upstream->settings->balance.cookie);
    if (p->ask.token.len) p->why = S("sticky: the cookie names it");
}

static const struct endpoint_tier *tier_of(const struct endpoint_set *set)
{
    const struct endpoint_tier *primary = &set->tiers[TIER_PRIMARY];
    return primary->count ? primary : &set->tiers[TIER_BACKUP];
}

static const struct endpoint *choose(struct pick *p)
{
    struct balance_state   state = { 0 };
    const struct endpoint *e = balance_choose(&state, p->set, &p->ask);
    balance_state_reset(&state);
    bool is_sticky = p->ask.token.len > 0;
    if (e && is_sticky && !slice_eq(balance_token(p->set, e), p->ask.token)) return NULL;
    return e;
}

static void put_chosen(struct buffer *to, const struct endpoint *e, struct slice why)
{
    explain_put(to, ",\"choice\":{\"endpoint\"", e ? slice_of(e->text) : S(""));
    explain_put(to, ",\"why\"", why);
    buffer_put_char(to, '}');
}

static struct slice why_any(const struct pick *p, struct arena *a)
{
    const struct upstream *u = p->upstream;
    size_t                 count = tier_of(p->set)->count;
    const char *what = p->set->tiers[TIER_PRIMARY].count ? "ready ones" : "backups, no other ready";
    if (p->ask.has_hash) return S("all have as many requests as they may have: it waits");
    if (p->ask.token.len)
        return arena_printf(a, "the cookie names none of them: one of the %zu %s by least_requests",
                            count, what);
    if (u->balance->has_key && u->key == KEY_CLIENT_IP)
        return arena_printf(a, "one of the %zu %s, by the client's address (--client)", count,
                            what);
    if (u->balance->has_key)
        return arena_printf(a, "the request has no key (%s%s%.*s): any of the %zu %s",
                            key_word(u->key), u->key_name.len ? " " : "", SLICE_ARG(u->key_name),
                            count, what);
    bool is_sticky = u->settings->balance.algorithm == BALANCE_STICKY;
    return arena_printf(a, "one of the %zu %s by %s%s", count, what,
                        is_sticky ? "least_requests" : u->balance->name,
                        is_sticky ? ": the request has no cookie of ours" : "");
}

static struct slice why_none(const struct upstream *u, struct arena *a)
{
    uint64_t wait_ms = u->settings->wait_for_endpoint;
    if (!wait_ms) return S("none is ready: 503");
    return arena_printf(a, "none is ready: waits for up to %llu ms, then 503",
                        (unsigned long long)wait_ms);
}

static void put_choice(const struct upstream *u, const struct explain_request *r, struct buffer *to)
{
    struct pick p = { .upstream = u, .why = S("") };
    p.set = atomic_load_explicit(&u->set, memory_order_acquire);
    size_t count = tier_of(p.set)->count;
    random_init(&p.random);
    p.ask = (struct balance_ask){ .random = &p.random, .now_ns = clock_mono_ns() };
    if (!count) {
        put_chosen(to, NULL, why_none(u, r->arena));
        return;
    }
    if (u->balance->has_key) ask_by_key(&p, r);
    if (u->settings->balance.algorithm == BALANCE_STICKY) ask_by_cookie(&p, r);
    if (count == 1) p.why = S("the only one that is ready");
    const struct endpoint *e = p.why.len ? choose(&p) : NULL;
    if (count == 1 && !e) p.why = S("the only ready one has all the requests that it may have");
    put_chosen(to, e, e || count == 1 ? p.why : why_any(&p, r->arena));
}

/* ---- of a plan that does not run ---- */

static void put_servers(const struct upstream_settings *s, struct buffer *to)
{
    for (size_t i = 0; i < s->server_count; i++) {
        const struct server_settings *server = &s->servers[i];
        explain_put(to, i ? ",{\"address\"" : "{\"address\"",
                    server->address.len ? server->address : server->srv);
        buffer_printf(to, ",\"state\":\"not known\",\"reason\":\"not running\"");
        buffer_printf(to, ",\"weight\":%u,\"backup\":%s}", server->weight,
                      server->backup ? "true" : "false");
    }
}

static void put_configured(const struct upstream *u, const struct explain_request *r,
                           struct buffer *to)
{
    explain_put(to, "{\"name\"", slice_of(u->name));
    explain_put(to, ",\"balance\"", slice_of(u->balance->name));
    if (u->settings->docker)
        explain_put(to, ",\"trouble\"", S("its replicas are containers, which are not looked up"));
    buffer_puts(to, ",\"endpoints\":[");
    put_servers(u->settings, to);
    buffer_put_char(to, ']');
    struct slice by = arena_printf(r->arena, "not known: not running; one by %s", u->balance->name);
    put_chosen(to, NULL, by);
    buffer_put_char(to, '}');
}

void explain_upstream(const struct explain_world *w, const struct upstream *u,
                      const struct explain_request *r, struct buffer *to)
{
    if (!w->is_running) {
        put_configured(u, r, to);
        return;
    }
    roster_flush(u->roster);
    gate_put_upstream(w->docker, to, u);
    to->len--; /* its brace: the choice is a part of it */
    put_choice(u, r, to);
    buffer_put_char(to, '}');
}
