/* SPDX-License-Identifier: Apache-2.0
 *
 * Collecting what a configuration names. See manifest.h.
 */
#include "control/manifest.h"

#include <stdlib.h>

#include "base/memory.h"
#include "control/sockets.h"

static void add(struct manifest *m, enum manifest_kind kind, struct slice text)
{
    if (!text.len || map_get(&m->names[kind], text)) return;
    map_put(&m->names[kind], arena_copy(&m->arena, text), m);
}

static void add_pages(struct manifest *m, const struct policy_settings *p)
{
    for (size_t i = 0; i < p->error_page_count; i++) add(m, MANIFEST_READ, p->error_pages[i].path);
    if (p->maintenance) add(m, MANIFEST_READ, p->maintenance->page);
}

static void add_listener(struct manifest *m, const struct listener_settings *l)
{
    for (size_t i = 0; i < l->addresses.count; i++)
        add(m, MANIFEST_BIND, sockets_key(&m->arena, l->name, l->addresses.items[i]));
    if (!l->tls) return;
    add(m, MANIFEST_READ, l->tls->client_ca);
    for (size_t i = 0; i < l->tls->certificate_count; i++) {
        add(m, MANIFEST_READ, l->tls->certificates[i].cert);
        add(m, MANIFEST_READ, l->tls->certificates[i].key);
        add(m, MANIFEST_READ, l->tls->certificates[i].ocsp);
    }
}

/* Towards a replica or a Redis; NULL: plain. */
static void add_client_tls(struct manifest *m, const struct upstream_tls_settings *tls)
{
    if (!tls) return;
    add(m, MANIFEST_READ, tls->ca);
    add(m, MANIFEST_READ, tls->cert);
    add(m, MANIFEST_READ, tls->key);
}

static void add_admin(struct manifest *m, const struct admin_settings *a)
{
    add(m, MANIFEST_BIND, sockets_key(&m->arena, S("admin"), a->address));
    if (!a->socket.len || slice_eq(a->socket, S("off"))) return;
    add(m, MANIFEST_BIND, arena_printf(&m->arena, "unix:%.*s", SLICE_ARG(a->socket)));
}

static void add_settings(struct manifest *m, const struct settings *s)
{
    for (size_t i = 0; i < s->listener_count; i++) add_listener(m, &s->listeners[i]);
    for (size_t i = 0; i < s->upstream_count; i++) add_client_tls(m, s->upstreams[i].tls);
    if (s->redis) add_client_tls(m, s->redis->tls);
    add_pages(m, &s->defaults);
    for (size_t i = 0; i < s->route_count; i++) add_pages(m, &s->routes[i].policy);
    add_admin(m, &s->admin);
    add(m, MANIFEST_APPEND, s->log.error);
    add(m, MANIFEST_APPEND, s->log.access);
    m->user = arena_copy(&m->arena, s->user);
    m->group = arena_copy(&m->arena, s->group);
    m->error_log = arena_copy(&m->arena, s->log.error);
    m->pid_file = arena_copy(&m->arena, s->pid_file);
    m->shutdown_grace_ms = s->shutdown_grace;
    m->is_good = true;
}

struct manifest *manifest_load(const char *config_path, const struct conf_reader *reader,
                               struct conf_report *report)
{
    struct manifest         *m = mem_zalloc(sizeof(*m));
    struct snapshot_recorder recorder = { &m->files, reader };
    struct conf_reader       recording = snapshot_record(&recorder);
    snapshot_init(&m->files);
    arena_init(&m->arena, NULL);
    for (int i = 0; i < MANIFEST_KIND_COUNT; i++) map_init(&m->names[i]);
    m->settings = conf_load_file(config_path, &recording, report);
    if (m->settings) add_settings(m, m->settings);
    LIST_EACH (it, &m->files.files) {
        add(m, MANIFEST_READ, slice_of(container_of(it, struct snapshot_file, link)->path));
    }
    return m;
}

void manifest_free(struct manifest *m)
{
    if (!m) return;
    if (m->settings) settings_free(m->settings);
    snapshot_reset(&m->files);
    for (int i = 0; i < MANIFEST_KIND_COUNT; i++) map_reset(&m->names[i]);
    arena_reset(&m->arena);
    free(m);
}

bool manifest_has(const struct manifest *m, enum manifest_kind kind, struct slice text)
{
    return m && text.len && map_get(&m->names[kind], text);
}

bool manifest_has_pattern(const struct manifest *m, struct slice pattern)
{
    if (!m) return false;
    LIST_EACH (it, &m->files.patterns) {
        const struct snapshot_pattern *p = container_of(it, struct snapshot_pattern, link);
        if (slice_eq(slice_of(p->pattern), pattern)) return true;
    }
    return false;
}

struct settings *manifest_take_settings(struct manifest *m)
{
    struct settings *s = m->settings;
    m->settings = NULL;
    return s;
}
