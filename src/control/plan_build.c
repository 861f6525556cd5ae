/* SPDX-License-Identifier: Apache-2.0
 *
 * Building and freeing plans. See plan_build.h.
 */
#include "control/plan_build.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/memory.h"
#include "control/credentials.h"
#include "control/open_file.h"
#include "control/plan_parts.h"

enum {
    CHUNK_EXTENSION_BYTES = 4096,
    INFORMATIONAL_MAX = 16,
    WINDOW_BYTES = 64 * 1024,
};

void plan_maker_init(struct plan_maker *m)
{
    memset(m, 0, sizeof(*m));
    m->worker_count = 1;
    m->registry = registry_new();
}

void plan_maker_reset(struct plan_maker *m)
{
    registry_free(m->registry);
    buffer_reset(&m->own_cert);
    if (m->own_key.data) explicit_bzero(m->own_key.data, m->own_key.len);
    buffer_reset(&m->own_key);
}

/* ---- files ---- */

static bool read_watched(struct build *b, const char *path, struct buffer *to, struct error *e)
{
    int  fd;
    bool is_read = privileged_take(b->maker->privileged, path, PLAN_FILE_BYTES_MAX, &fd, to, e);
    file_watch_note(&b->outcome->files, path, fd);
    if (fd >= 0) close(fd);
    return is_read;
}

static bool read_kept(struct build *b, const char *path, struct buffer *to, struct error *e)
{
    struct conf_reader kept = snapshot_replay(b->maker->kept);
    return kept.read(kept.arg, path, PLAN_FILE_BYTES_MAX, to, e);
}

bool build_read(struct build *b, const struct conf_place *at, struct slice path,
                struct slice *content)
{
    struct arena       *a = &b->plan->arena;
    const struct slice *known = map_get(&b->files, path);
    if (known) {
        *content = *known;
        return known->data != NULL;
    }
    struct buffer text = BUFFER_INIT;
    struct error  e;
    struct slice *fresh = arena_zalloc(a, sizeof(*fresh));
    map_put(&b->files, path, fresh);
    bool is_read = b->maker->reads_kept ? read_kept(b, path.data, &text, &e)
                                        : read_watched(b, path.data, &text, &e);
    if (is_read)
        *fresh = arena_copy(a, buffer_slice(&text));
    else
        conf_report_add(b->report, CONF_ERROR, at, "%s", e.text);
    if (text.data) explicit_bzero(text.data, text.len); /* it may be a key */
    buffer_reset(&text);
    *content = *fresh;
    return is_read;
}

void build_key_content(struct buffer *key, struct slice content)
{
    XXH128_hash_t h = XXH3_128bits(content.data, content.len);
    buffer_printf(key, " %zu:%016llx%016llx", content.len, (unsigned long long)h.high64,
                  (unsigned long long)h.low64);
}

bool build_may_be_expired(const struct build *b, struct slice path, struct slice pem)
{
    const struct plan_maker *m = b->maker;
    return m->takes_expired || (m->served && expiries_has(m->served, path.data, pem)) ||
           (m->kept && snapshot_has(m->kept, path.data, pem));
}

void build_add_part(struct build *b, const struct plan_part_ops *ops, void *part)
{
    struct plan      *p = b->plan;
    size_t            count = p->part_count + 1;
    struct plan_part *more = arena_alloc(&p->arena, count * sizeof(*more)); /* they are few */
    if (p->part_count) memcpy(more, p->parts, p->part_count * sizeof(*more));
    more[p->part_count] = (struct plan_part){ ops, part };
    p->parts = more;
    p->part_count = count;
}

/* ---- the whole ---- */

static bool allows_encoded_slash(const struct settings *s)
{
    bool allows = s->defaults.allow_encoded_slash;
    for (size_t i = 0; i < s->route_count; i++) allows |= s->routes[i].policy.allow_encoded_slash;
    return allows;
}

static struct http_limits limits_of(const struct settings *s)
{
    return (struct http_limits){
        .request_line_bytes = s->limits.request_line,
        .header_bytes = s->limits.header_bytes,
        .header_count = s->limits.header_count,
        .trailer_bytes = s->limits.header_bytes,
        .chunk_extension_bytes = CHUNK_EXTENSION_BYTES,
        .informational_count = INFORMATIONAL_MAX,
        .window_bytes = WINDOW_BYTES,
        .stream_count = s->limits.streams_per_connection,
        .allows_encoded_slash = allows_encoded_slash(s),
        .merges_slashes = true,
    };
}

struct conf_place build_place(const struct build *b)
{
    const struct text_list *files = &b->settings->files;
    return (struct conf_place){ files->count ? files->items[0].data : "", 1, 1 };
}

static void check_user(struct build *b)
{
    struct credentials ignored;
    struct error       e;
    struct conf_place  at = build_place(b);
    if (!credentials_find(&ignored, b->settings->user, b->settings->group, &e))
        conf_report_add(b->report, CONF_ERROR, &at, "%s", e.text);
}

static void build_router(struct build *b)
{
    struct error      e;
    struct conf_place at = build_place(b);
    b->plan->router = router_new(b->settings, &b->plan->arena, &e);
    if (!b->plan->router) conf_report_add(b->report, CONF_ERROR, &at, "%s", e.text);
}

static void build_all(struct build *b)
{
    struct plan *p = b->plan;
    p->limits = limits_of(b->settings);
    p->worker_count = b->maker->worker_count;
    p->logs_access = !slice_eq(b->settings->log.access, S("off"));
    check_user(b);
    build_router(b);
    build_store(b);
    build_upstreams(b);
    build_routes(b);
    build_listeners(b);
    if (b->report->error_count || !b->maker->crew) return;
    build_bind(b);
    b->outcome->is_bind_fault = b->report->error_count > 0;
}

static struct plan *new_plan(struct plan_maker *m, struct settings *s, uint64_t generation)
{
    struct plan *p = mem_zalloc(sizeof(*p));
    arena_init(&p->arena, NULL);
    p->generation = generation;
    p->settings = s;
    p->on_unused = m->on_unused;
    p->on_unused_arg = m->on_unused_arg;
    return p;
}

struct plan *plan_build(struct plan_maker *m, struct settings *s, uint64_t generation,
                        struct conf_report *report, struct plan_outcome *outcome)
{
    struct build b = { .maker = m, .settings = s, .report = report, .outcome = outcome };
    b.plan = new_plan(m, s, generation);
    file_watch_init(&outcome->files);
    expiries_init(&outcome->certificates);
    outcome->is_bind_fault = false;
    map_init(&b.files);
    map_init(&b.upstreams);
    map_init(&b.limits);
    build_all(&b);
    map_reset(&b.files);
    map_reset(&b.upstreams);
    map_reset(&b.limits);
    if (report->error_count == 0) return b.plan;
    plan_free(b.plan);
    return NULL;
}

void plan_outcome_reset(struct plan_outcome *o)
{
    file_watch_reset(&o->files);
    expiries_reset(&o->certificates);
}

void plan_free(struct plan *p)
{
    if (!p) return;
    struct settings *s = p->settings;
    arena_reset(&p->arena); /* lets go of what is in the registry */
    settings_free(s);
    free(p);
}
