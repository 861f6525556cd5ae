/* SPDX-License-Identifier: Apache-2.0
 *
 * The store that gateways share, for a plan: kept from the plans before where nothing
 * changed, and left out where no rate limit needs it.
 */
#include "conf/types.h"
#include "control/plan_parts.h"

static void free_store(struct registry_item *item, void *arg)
{
    struct plan_maker  *m = arg;
    struct limit_store *st = item->object;
    if (m->end_store) m->end_store(m->gate, st);
    limit_store_free(st);
}

static bool is_needed(const struct settings *s)
{
    for (size_t i = 0; i < s->rate_limit_count; i++)
        if (s->rate_limits[i].store == STORE_REDIS) return s->redis != NULL;
    return false;
}

/* `tls` NULL: plain. */
static void make_key(const struct redis_settings *s, const struct tls_client_settings *tls,
                     struct buffer *key)
{
    conf_write(&conf_redis_section, 0, s, key);
    if (!tls) return;
    build_key_content(key, tls->ca);
    build_key_content(key, tls->cert);
    build_key_content(key, tls->key);
}

static struct registry_item *find_or_make(struct build *b, const struct tls_client_settings *tls)
{
    const struct redis_settings *s = b->settings->redis;
    struct registry             *r = b->maker->registry;
    struct buffer                key = BUFFER_INIT;
    struct error                 e;
    make_key(s, tls, &key);
    struct registry_item *item = registry_find(r, REGISTRY_STORE, buffer_slice(&key));
    struct limit_store   *st = item ? NULL : limit_store_new(s, tls, b->maker->worker_count, &e);
    if (st) {
        item = registry_add(r, REGISTRY_STORE, buffer_slice(&key), st, free_store, b->maker);
        if (b->maker->begin_store) b->maker->begin_store(b->maker->gate, st);
    } else if (!item) {
        conf_report_add(b->report, CONF_ERROR, &s->at, "redis: %s", e.text);
    }
    buffer_reset(&key);
    return item;
}

void build_store(struct build *b)
{
    static const struct upstream_tls_settings preset = { .verify = true };
    const struct redis_settings              *s = b->settings->redis;
    struct tls_client_settings                tls = { 0 };
    struct conf_redis_url                     url;
    if (!is_needed(b->settings)) return;
    const char *wrong = conf_parse_redis_url(s->url, &b->plan->arena, &url);
    bool        has_tls = !wrong && (s->tls || url.is_tls);
    if (has_tls && !build_client_tls(b, s->tls ? s->tls : &preset, &s->at, &tls)) return;
    struct registry_item *item = find_or_make(b, has_tls ? &tls : NULL);
    if (!item) return;
    registry_hold(b->maker->registry, item, &b->plan->arena);
    b->store = item->object;
    build_add_part(b, &limit_store_part, b->store);
}
