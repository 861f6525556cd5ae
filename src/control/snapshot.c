/* SPDX-License-Identifier: Apache-2.0
 *
 * Remembering configuration files. See snapshot.h.
 */
#include "control/snapshot.h"

#include <stdlib.h>

#include "base/memory.h"

void snapshot_init(struct snapshot *s)
{
    list_init(&s->files);
    map_init(&s->by_path);
    list_init(&s->patterns);
}

static void forget_content(struct snapshot_file *f)
{
    if (f->content.data) explicit_bzero(f->content.data, f->content.len);
    buffer_reset(&f->content);
}

void snapshot_reset(struct snapshot *s)
{
    map_reset(&s->by_path);
    LIST_EACH_SAFE (it, &s->files) {
        struct snapshot_file *f = container_of(it, struct snapshot_file, link);
        list_remove(&f->link);
        forget_content(f);
        free(f->path);
        free(f);
    }
    LIST_EACH_SAFE (it, &s->patterns) {
        struct snapshot_pattern *p = container_of(it, struct snapshot_pattern, link);
        list_remove(&p->link);
        buffer_reset(&p->paths);
        free(p->pattern);
        free(p);
    }
}

static void move_list(struct list *to, struct list *from)
{
    LIST_EACH_SAFE (it, from) {
        list_remove(it);
        list_append(to, it);
    }
}

void snapshot_move(struct snapshot *to, struct snapshot *from)
{
    snapshot_reset(to);
    to->by_path = from->by_path;
    map_init(&from->by_path);
    move_list(&to->files, &from->files);
    move_list(&to->patterns, &from->patterns);
}

bool snapshot_is_empty(const struct snapshot *s)
{
    return list_is_empty(&s->files);
}

static struct snapshot_file *find_file(const struct snapshot *s, const char *path)
{
    return map_get(&s->by_path, slice_of(path));
}

static struct snapshot_pattern *find_pattern(const struct snapshot *s, const char *pattern)
{
    LIST_EACH (it, &s->patterns) {
        struct snapshot_pattern *p = container_of(it, struct snapshot_pattern, link);
        if (strcmp(p->pattern, pattern) == 0) return p;
    }
    return NULL;
}

/* ---- remembering ---- */

static struct snapshot_file *file_for(struct snapshot *s, const char *path)
{
    struct snapshot_file *f = find_file(s, path);
    if (f) {
        forget_content(f);
        return f;
    }
    f = mem_zalloc(sizeof(*f));
    f->path = mem_strdup(path);
    list_append(&s->files, &f->link);
    map_put(&s->by_path, slice_of(f->path), f);
    return f;
}

void snapshot_put(struct snapshot *s, const char *path, struct slice content)
{
    buffer_put_slice(&file_for(s, path)->content, content);
}

bool snapshot_has(const struct snapshot *s, const char *path, struct slice content)
{
    const struct snapshot_file *f = find_file(s, path);
    return f && slice_eq(buffer_slice(&f->content), content);
}

/* A file that could not be read is remembered by name: asking again is allowed. */
static bool record_read(void *arg, const char *path, size_t max_bytes, struct buffer *to,
                        struct error *e)
{
    struct snapshot_recorder *r = arg;
    struct snapshot_file     *f = file_for(r->snapshot, path);
    size_t                    before = to->len;
    if (!r->inner->read(r->inner->arg, path, max_bytes, to, e)) return false;
    buffer_put_slice(&f->content, slice_from(buffer_slice(to), before));
    return true;
}

struct found_relay {
    struct snapshot_pattern *pattern;
    void (*found)(void *to, const char *path);
    void *to;
};

static void relay_found(void *arg, const char *path)
{
    struct found_relay *relay = arg;
    buffer_put(&relay->pattern->paths, path, strlen(path) + 1);
    relay->found(relay->to, path);
}

static bool record_glob(void *arg, const char *pattern, void (*found)(void *, const char *),
                        void *to, struct error *e)
{
    struct snapshot_recorder *r = arg;
    struct snapshot_pattern  *p = find_pattern(r->snapshot, pattern);
    if (!p) {
        p = mem_zalloc(sizeof(*p));
        p->pattern = mem_strdup(pattern);
        list_append(&r->snapshot->patterns, &p->link);
    }
    buffer_reset(&p->paths);
    struct found_relay relay = { p, found, to };
    return r->inner->glob(r->inner->arg, pattern, relay_found, &relay, e);
}

struct conf_reader snapshot_record(struct snapshot_recorder *r)
{
    return (struct conf_reader){ .read = record_read, .glob = record_glob, .arg = r };
}

/* ---- answering ---- */

static bool replay_read(void *arg, const char *path, size_t max_bytes, struct buffer *to,
                        struct error *e)
{
    const struct snapshot_file *f = find_file(arg, path);
    if (!f || f->content.len > max_bytes)
        return error_set(e, "%s: not part of the last good configuration", path);
    buffer_put_slice(to, buffer_slice(&f->content));
    return true;
}

static bool replay_glob(void *arg, const char *pattern, void (*found)(void *, const char *),
                        void *to, struct error *e)
{
    const struct snapshot_pattern *p = find_pattern(arg, pattern);
    if (!p) return error_set(e, "%s: not part of the last good configuration", pattern);
    for (size_t at = 0; at < p->paths.len; at += strlen(p->paths.data + at) + 1)
        found(to, p->paths.data + at);
    return true;
}

struct conf_reader snapshot_replay(struct snapshot *s)
{
    return (struct conf_reader){ .read = replay_read, .glob = replay_glob, .arg = s };
}
