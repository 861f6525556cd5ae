/* SPDX-License-Identifier: Apache-2.0
 *
 * The store of shared limits: its life and its counts. See limit_store.h.
 */
#include "filter/limit_store.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "conf/types.h"
#include "filter/limit_parts.h"

enum { CALLS_KEPT = 4096 };

/* ---- life ---- */

static void take_settings(struct limit_store *st, const struct redis_settings *s)
{
    struct conf_redis_url url;
    st->settings = arena_alloc(&st->arena, sizeof(*st->settings));
    *st->settings = *s;
    conf_own(&conf_redis_section, st->settings, &st->arena);
    (void)conf_parse_redis_url(st->settings->url, &st->arena, &url);
    st->username = st->settings->username.len ? st->settings->username : url.username;
    st->password = st->settings->password.len ? st->settings->password : url.password;
    st->database = url.database;
    st->server_name = url.port ? url.host : S("");
}

static bool make_tls(struct limit_store *st, const struct tls_client_settings *tls, struct error *e)
{
    if (!tls) return true;
    st->tls = mem_zalloc((st->worker_count + 1) * sizeof(struct tls_client *));
    for (unsigned i = 0; i <= st->worker_count; i++)
        if (!(st->tls[i] = tls_client_new(tls, e))) return false;
    return true;
}

static void on_sweep(struct deadline *d)
{
    struct limit_worker *w = container_of(d, struct limit_worker, sweep);
    limit_remote_sweep(w);
    conn_flush_all(w->loop);
}

struct limit_store *limit_store_new(const struct redis_settings      *s,
                                    const struct tls_client_settings *tls, unsigned worker_count,
                                    struct error *e)
{
    struct limit_store *st = mem_zalloc(sizeof(*st));
    arena_init(&st->arena, NULL);
    st->worker_count = worker_count;
    st->workers = mem_zalloc_aligned(alignof(struct limit_worker),
                                     worker_count * sizeof(struct limit_worker));
    take_settings(st, s);
    for (unsigned i = 0; i < worker_count; i++) {
        struct limit_worker *w = &st->workers[i];
        w->store = st;
        w->index = i;
        list_init(&w->nodes);
        list_init(&w->calls);
        list_init(&w->remotes);
        deadline_init(&w->sweep, on_sweep);
        block_pool_init(&w->blocks, sizeof(struct limit_call), CALLS_KEPT);
    }
    if (make_tls(st, tls, e)) return st;
    limit_store_free(st);
    return NULL;
}

void limit_store_free(struct limit_store *st)
{
    if (!st) return;
    for (unsigned i = 0; st->tls && i <= st->worker_count; i++) tls_client_unref(st->tls[i]);
    for (unsigned i = 0; i < st->worker_count; i++) block_pool_reset(&st->workers[i].blocks);
    free(st->tls);
    free(st->workers);
    arena_reset(&st->arena);
    free(st);
}

void limit_store_share(struct limit_store *st, struct redis_store *shared, void *keeper)
{
    st->shared = shared;
    st->keeper = keeper;
}

void *limit_store_keeper(const struct limit_store *st)
{
    return st->keeper;
}

/* ---- workers ---- */

static void adopt(void *part, unsigned index, struct loop *l)
{
    struct limit_store  *st = part;
    struct limit_worker *w = &st->workers[index];
    if (w->use_count++) return;
    w->loop = l;
    limit_nodes_sync(w);
}

static void release(void *part, unsigned index, struct loop *l)
{
    struct limit_store  *st = part;
    struct limit_worker *w = &st->workers[index];
    (void)l;
    if (--w->use_count) return;
    limit_nodes_close(w);
    deadline_remove(&w->sweep);
    w->loop = NULL;
}

const struct plan_part_ops limit_store_part = { .adopt = adopt, .release = release };

void limit_store_sync(struct limit_store *st, unsigned worker)
{
    struct limit_worker *w = &st->workers[worker];
    if (w->use_count) limit_nodes_sync(w);
}

/* ---- for control ---- */

const struct redis_settings *limit_store_settings(const struct limit_store *st)
{
    return st->settings;
}

struct tls_client *limit_store_tls(const struct limit_store *st)
{
    return st->tls ? st->tls[st->worker_count] : NULL;
}

struct limit_store_counts limit_store_count(const struct limit_store *st)
{
    struct limit_store_counts sum = { 0 };
    for (unsigned i = 0; i < st->worker_count; i++) {
        const struct limit_counters *c = &st->workers[i].counters;
        sum.calls += counter_get(&c->calls);
        sum.replies += counter_get(&c->replies);
        sum.late += counter_get(&c->late);
        sum.lost += counter_get(&c->lost);
        sum.errors += counter_get(&c->errors);
        sum.refused += counter_get(&c->refused);
        sum.reply_us += counter_get(&c->reply_us);
        sum.opened += counter_get(&c->opened);
        sum.open += counter_get(&c->open);
        sum.ready += counter_get(&c->ready);
    }
    return sum;
}

void limit_set_trouble(struct limit_store *st, const char *text)
{
    uint64_t words[LIMIT_TROUBLE_BYTES / 8] = { 0 };
    strncpy((char *)words, text, sizeof(words) - 1);
    for (size_t i = 0; i < LIMIT_TROUBLE_BYTES / 8; i++)
        atomic_store_explicit(&st->trouble[i], words[i], memory_order_relaxed);
}

void limit_store_trouble(const struct limit_store *st, char *text, size_t bytes)
{
    uint64_t words[LIMIT_TROUBLE_BYTES / 8];
    for (size_t i = 0; i < LIMIT_TROUBLE_BYTES / 8; i++)
        words[i] = atomic_load_explicit(&st->trouble[i], memory_order_relaxed);
    snprintf(text, bytes, "%.*s", (int)sizeof(words) - 1, (const char *)words);
}
