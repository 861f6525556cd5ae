/* SPDX-License-Identifier: Apache-2.0
 *
 * Asking a Docker daemon for its list: whole, or of those containers that events named. A
 * whole list of thousands costs both sides tens of milliseconds, and events come a hundred
 * a second. See docker_private.h.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "discovery/docker_private.h"

enum {
    CALL_MS = 10000,
    LIST_BYTES_MAX = 64 * 1024 * 1024,
    COALESCE_MS = 50,
    SMALL_COUNT = 64,  /* of so few the whole list is as cheap */
    WANTED_MAX = 1024, /* of so many it is cheaper */
    ID_LEN_MAX = 64,
};

/* ---- what is wanted ---- */

void docker_ask_init(struct docker_ask *a)
{
    *a = (struct docker_ask){ 0 };
    map_init(&a->wanted);
}

static void forget_wanted(struct docker_ask *a)
{
    size_t       cursor = 0;
    struct slice id;
    void        *text;
    while (map_next(&a->wanted, &cursor, &id, &text)) free(text);
    map_reset(&a->wanted);
    map_init(&a->wanted);
}

static void forget_asked(struct docker_ask *a)
{
    while (a->asked_count) free(a->asked[--a->asked_count]);
}

void docker_ask_reset(struct docker_ask *a)
{
    forget_wanted(a);
    forget_asked(a);
    a->is_whole_wanted = a->is_filter_unknown = false;
}

/* Hexadecimal, as it is to stand in a URL. */
static bool is_id(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f')) return false;
    }
    return text.len && text.len <= ID_LEN_MAX;
}

void docker_want(struct docker *d, struct slice id)
{
    struct docker_ask *a = &d->ask;
    if (!d->relist.at_ms) deadline_set(d->loop, &d->relist, COALESCE_MS);
    if (a->is_whole_wanted || map_get(&a->wanted, id)) return;
    if (d->known.count <= SMALL_COUNT || a->is_filter_unknown || !is_id(id) ||
        a->wanted.count >= WANTED_MAX) {
        a->is_whole_wanted = true;
        return;
    }
    char *text = mem_slicedup(id);
    map_put(&a->wanted, slice_of(text), text);
}

void docker_want_later(struct docker *d, struct slice id)
{
    if (d->known.count <= SMALL_COUNT) docker_want(d, id);
}

/* ---- what came ---- */

static void save(struct docker *d)
{
    struct error e;
    if (!d->settings.snapshot.len || d->saved_hash == d->known.hash) return;
    bool was_unsaved = d->is_unsaved;
    d->is_unsaved = !docker_snapshot_save(d->settings.snapshot.data, buffer_slice(&d->list_body),
                                          d->known.listed_us, &e);
    if (!d->is_unsaved) d->saved_hash = d->known.hash;
    if (d->is_unsaved && !was_unsaved)
        log_warn(d->loop->log, "the snapshot of containers is not written: %s", e.text);
    else if (was_unsaved && !d->is_unsaved)
        log_info(d->loop->log, "the snapshot of containers is written again");
}

static bool take_whole(struct docker *d, struct error *e)
{
    struct slice body = buffer_slice(&d->list_body);
    bool         is_same = docker_known_is_same(&d->known, body);
    if (!is_same && !docker_known_list(&d->known, body, e)) return false;
    if (d->trouble[0]) log_info(d->loop->log, "the Docker daemon answers");
    bool must_tell = !is_same || d->trouble[0];
    d->trouble[0] = 0;
    if (must_tell) docker_tell_all(d);
    save(d);
    deadline_set(d->loop, &d->refresh, d->settings.refresh);
    return true;
}

static void on_part(void *arg, const struct docker_container *c, bool is_new)
{
    docker_tell_of(arg, c, is_new);
}

/* Parts take memory until the list is whole again. */
static bool take_part(struct docker *d, struct error *e)
{
    if (!docker_known_part(&d->known, buffer_slice(&d->list_body), &d->ask, on_part, d, e))
        return false;
    if (d->known.part_count > d->known.count) docker_want(d, (struct slice){ 0 });
    return true;
}

static void on_list_data(struct http_call *c, struct slice data, void *arg)
{
    struct docker *d = arg;
    (void)c;
    buffer_put(&d->list_body, data.data, data.len);
}

static void on_list_done(struct http_call *c, const char *trouble, void *arg)
{
    struct docker *d = arg;
    struct error   e;
    unsigned       status = http_call_status(c);
    d->list = NULL;
    if (trouble) {
        docker_lose(d, trouble);
    } else if (status != 200) {
        docker_lose_by_status(d, "the list of containers", status);
    } else if (!(d->ask.asked_count ? take_part(d, &e) : take_whole(d, &e))) {
        docker_lose(d, e.text);
    } else {
        d->list_count++;
        d->has_listed = true;
        d->retry_ms = DOCKER_RETRY_MIN_MS;
        forget_asked(&d->ask);
        if (!d->relist.at_ms) docker_ask_list(d);
    }
}

static const struct http_call_ops list_ops = { .on_data = on_list_data, .on_done = on_list_done };

/* ---- asking ---- */

/* One call at a time: what changed after it was made is in the next. */
static void ask(struct docker *d, struct buffer *target)
{
    d->list_body.len = 0;
    d->list = docker_call(d, target->data, &list_ops, CALL_MS, LIST_BYTES_MAX);
}

static void put_path(struct docker *d, struct buffer *target)
{
    buffer_printf(target, "/v%u.%u/containers/json?all=1", d->version / 100, d->version % 100);
}

static void ask_part(struct docker *d)
{
    struct docker_ask *a = &d->ask;
    struct buffer      target = BUFFER_INIT;
    size_t             cursor = 0;
    struct slice       id;
    void              *text;
    put_path(d, &target);
    buffer_puts(&target, "&filters=%7B%22id%22%3A%5B");
    while (a->asked_count < DOCKER_ASK_MAX && map_next(&a->wanted, &cursor, &id, &text)) {
        buffer_printf(&target, "%s%%22%s%%22", a->asked_count ? "%2C" : "", (char *)text);
        a->asked[a->asked_count++] = text;
    }
    buffer_puts(&target, "%5D%7D");
    for (size_t i = 0; i < a->asked_count; i++) map_remove(&a->wanted, slice_of(a->asked[i]));
    ask(d, &target);
    buffer_reset(&target);
}

void docker_ask_whole_list(struct docker *d)
{
    struct buffer target = BUFFER_INIT;
    d->ask.is_whole_wanted = true;
    if (d->list || d->state != DOCKER_FOLLOWS) return;
    forget_wanted(&d->ask); /* it is in the answer */
    d->ask.is_whole_wanted = false;
    put_path(d, &target);
    ask(d, &target);
    buffer_reset(&target);
}

void docker_ask_list(struct docker *d)
{
    if (d->list || d->state != DOCKER_FOLLOWS) return;
    if (d->ask.is_whole_wanted)
        docker_ask_whole_list(d);
    else if (d->ask.wanted.count)
        ask_part(d);
}
