/* SPDX-License-Identifier: Apache-2.0
 *
 * The store of a Redis, and the heartbeat. See redis_watch.h.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/random.h"
#include "conf/types.h"
#include "control/redis_watch_parts.h"

enum { BEAT_MS = 1000 };

/* Redis' clock alone counts. The set goes by itself once nobody is left. */
static const char beat_script[] = "local t = redis.call('TIME') "
                                  "local now = t[1] * 1000 + math.floor(t[2] / 1000) "
                                  "redis.call('ZADD', KEYS[1], now, ARGV[1]) "
                                  "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 3000) "
                                  /* Of before the clock was set back. */
                                  "redis.call('ZREMRANGEBYSCORE', KEYS[1], now + 1, '+inf') "
                                  "redis.call('PEXPIRE', KEYS[1], 10000) "
                                  "return redis.call('ZCARD', KEYS[1])";

/* ---- the map ---- */

static const struct redis_node *node_of_beat(struct redis_watch *w)
{
    return redis_map_node(redis_store_map(&w->store), w->key);
}

static void publish(struct redis_watch *w)
{
    const struct redis_map *old = redis_store_map(&w->store);
    struct redis_map       *m = redis_map_copy(w->told);
    redis_names_fill(&w->names, m);
    if (redis_map_eq(old, m)) {
        redis_map_free(m);
        return;
    }
    m->generation = old->generation + 1;
    w->options.retire(w->options.arg,
                      atomic_exchange_explicit(&w->store.map, m, memory_order_acq_rel));
    bool waits = w->beat.at && !w->beat.conn; /* to try again, whoever it is then */
    if (!waits && !redis_link_is_at(&w->beat, node_of_beat(w))) redis_link_move(&w->beat);
}

void redis_watch_tell(struct redis_watch *w, struct redis_map *told)
{
    bool is_news = !redis_map_eq(w->told, told);
    if (is_news && w->guide.master.len)
        log_info(w->options.loop->log, "redis: the master of %.*s is %s",
                 SLICE_ARG(w->guide.master), told->nodes[0].text);
    if (is_news && told->count != w->told->count && w->is_cluster)
        log_info(w->options.loop->log, "redis: the cluster has %u nodes", told->count);
    redis_map_free(is_news ? w->told : told);
    if (!is_news) return;
    w->told = told;
    publish(w);
}

static void on_names(void *arg)
{
    struct redis_watch *w = arg;
    redis_names_fill(&w->names, w->guide.seats);
    publish(w);
}

/* ---- the heartbeat ---- */

void redis_watch_login(const struct redis_watch *w, struct redis_target *to)
{
    to->tls = w->options.tls;
    to->username = w->store.username;
    to->password = w->store.password;
    to->database = w->store.database;
}

static struct redis_watch *of_beat(struct redis_link *l)
{
    return container_of(l, struct redis_watch, beat);
}

static const struct redis_node *aim_beat(struct redis_link *l, struct redis_target *to)
{
    struct redis_watch *w = of_beat(l);
    redis_watch_login(w, to);
    return node_of_beat(w);
}

static void beat(struct redis_watch *w)
{
    const struct slice args[] = { S("EVAL"), S(beat_script), S("1"), w->key, slice_of(w->id) };
    redis_link_ask(&w->beat, args, sizeof(args) / sizeof(args[0]));
    deadline_set(w->options.loop, &w->beat_deadline, BEAT_MS);
}

static void run_beat_deadline(struct deadline *d)
{
    beat(container_of(d, struct redis_watch, beat_deadline));
}

static void on_beat_ready(struct redis_link *l)
{
    beat(of_beat(l));
}

static void hear_number(struct redis_watch *w, int64_t number)
{
    redis_link_be_well(&w->beat);
    w->beat_ms = w->options.loop->clock.now_ms;
    atomic_store_explicit(&w->store.gateways, (unsigned)number, memory_order_relaxed);
}

/* An error may be that it is the master no longer. That it is not the slot's owner is no
 * trouble: the owner will be known soon. */
static void on_beat_reply(struct redis_link *l, const struct redis_reply *r)
{
    struct redis_watch   *w = of_beat(l);
    struct redis_redirect to;
    char                  why[REDIS_TROUBLE_MAX] = "the script does not give a number";
    if (r->kind == REDIS_KIND_INTEGER && r->integer > 0 && r->integer <= UINT32_MAX) {
        hear_number(w, r->integer);
        return;
    }
    if (r->kind == REDIS_KIND_ERROR) snprintf(why, sizeof(why), "%.*s", SLICE_ARG(r->text));
    if (!redis_parse_redirect(r->text, &to)) redis_link_complain(l, why);
    redis_guide_ask_soon(w);
}

static void on_beat_down(struct redis_link *l)
{
    struct redis_watch *w = of_beat(l);
    redis_guide_ask_soon(w);
    if (!l->at) return;
    redis_names_turn(&w->names, l->at->nodes[0].host);
    publish(w);
}

static const struct redis_link_ops beat_ops = {
    .aim = aim_beat,
    .on_ready = on_beat_ready,
    .on_reply = on_beat_reply,
    .on_down = on_beat_down,
};

/* ---- life ---- */

static void hear_moved(struct message *m, void *control)
{
    struct redis_watch *w = container_of(m, struct redis_watch, store.moved);
    (void)control;
    atomic_store(&w->store.is_moved, false);
    redis_guide_ask_soon(w);
}

static struct slice pick(struct arena *a, struct slice first, struct slice second)
{
    return arena_copy(a, first.len ? first : second);
}

static void add_seat(struct redis_watch *w, struct slice text)
{
    char           ip[ADDRESS_TEXT_MAX];
    struct slice   host;
    struct address a;
    struct error   e;
    uint16_t       port;
    if (!address_parse(&a, text, &w->arena, &e)) {
        if (address_split(text, &host, &port)) redis_map_add(w->guide.seats, host, port);
    } else if (a.family == ADDRESS_UNIX) {
        redis_map_add(w->guide.seats, slice_of(a.path), 0);
    } else {
        size_t len = address_format_ip(&a, ip);
        redis_map_add(w->guide.seats, slice_make(ip, len), a.port);
    }
}

static void take_settings(struct redis_watch *w, const struct redis_settings *s,
                          const struct conf_redis_url *url)
{
    struct redis_guide *g = &w->guide;
    w->store.username = pick(&w->arena, s->username, url->username);
    w->store.password = pick(&w->arena, s->password, url->password);
    w->store.prefix = arena_copy(&w->arena, s->prefix);
    w->store.database = url->database;
    w->key = arena_printf(&w->arena, "%.*s:gateways", SLICE_ARG(s->prefix));
    w->is_cluster = s->is_cluster;
    g->seats = redis_map_new(false);
    if (s->is_cluster) redis_map_add(g->seats, url->host, url->port);
    if (!s->sentinel) return;
    g->master = arena_copy(&w->arena, s->sentinel->master);
    g->username = arena_copy(&w->arena, s->sentinel->username);
    g->password = arena_copy(&w->arena, s->sentinel->password);
    for (size_t i = 0; i < s->sentinel->servers.count && i < REDIS_NODES_MAX; i++)
        add_seat(w, s->sentinel->servers.items[i]);
}

struct redis_watch *redis_watch_new(const struct redis_watch_options *o)
{
    struct redis_watch   *w = mem_zalloc(sizeof(*w));
    struct conf_redis_url url;
    uint64_t              id;
    w->options = *o;
    w->options.settings = NULL;
    arena_init(&w->arena, NULL);
    (void)conf_parse_redis_url(o->settings->url, &w->arena, &url); /* checked before */
    take_settings(w, o->settings, &url);
    random_secret(&id, sizeof(id));
    snprintf(w->id, sizeof(w->id), "%016llx", (unsigned long long)id);
    atomic_init(&w->store.map, redis_map_new(w->is_cluster));
    atomic_init(&w->store.gateways, 1);
    w->store.control = o->mailbox;
    w->store.moved.run = hear_moved;
    w->told = redis_map_new(w->is_cluster);
    redis_names_init(&w->names, o->dns, on_names, w);
    redis_link_init(&w->beat, o->loop, "redis", &beat_ops);
    deadline_init(&w->beat_deadline, run_beat_deadline);
    redis_link_move(&w->beat);
    redis_guide_begin(w);
    if (!w->guide.seats->count) redis_watch_tell(w, redis_map_of_one(url.host, url.port));
    return w;
}

void redis_watch_free(struct redis_watch *w)
{
    if (!w) return;
    redis_guide_reset(w);
    redis_link_reset(&w->beat);
    deadline_remove(&w->beat_deadline);
    redis_names_reset(&w->names);
    redis_map_free(w->told);
    redis_map_free(atomic_load(&w->store.map));
    arena_reset(&w->arena);
    free(w);
}

struct redis_store *redis_watch_store(struct redis_watch *w)
{
    return &w->store;
}

static const char *text_of(const struct redis_link *l)
{
    return l->at ? l->at->nodes[0].text : "";
}

void redis_watch_status(const struct redis_watch *w, struct redis_watch_status *s)
{
    const char *trouble = w->beat.trouble;
    if (!*trouble && w->told->count && !w->beat.at)
        trouble = redis_names_trouble(&w->names, w->told->nodes[0].host);
    *s = (struct redis_watch_status){
        .mode = w->is_cluster         ? "cluster"
                : w->guide.master.len ? "sentinel"
                                      : "single",
        .key = w->key.data,
        .id = w->id,
        .at = text_of(&w->beat),
        .guide = text_of(&w->guide.link),
        .trouble = trouble ? trouble : "",
        .guide_trouble = w->guide.link.trouble,
        .is_connected = w->beat.is_up,
        .since_ms = w->beat.since_ms,
        .beat_ms = w->beat_ms,
        .gateways = atomic_load_explicit(&w->store.gateways, memory_order_relaxed),
    };
}
