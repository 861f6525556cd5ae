/* SPDX-License-Identifier: Apache-2.0
 *
 * The connection to a Docker daemon: ping, subscribe, list, follow; again when
 * it ends. See docker.h.
 *
 *   AWAY --retry--> PINGS --version--> SUBSCRIBES --head of the stream--> FOLLOWS
 *     ^                |                   |                                 |
 *     '----------------+-------------------+---------------------------------'
 */
#include "discovery/docker.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "discovery/docker_private.h"

enum {
    VERSION_MAX = 144,
    VERSION_MIN = 124,
    CONNECT_MS = 5000,
    CALL_MS = 10000,
    EVENT_BYTES_MAX = 1024 * 1024,
    RETRY_MAX_MS = 5000,
};

/* {"type":["container","network"]}, as it stands in a URL. */
static const char event_filters[] = "%7B%22type%22%3A%5B%22container%22%2C%22network%22%5D%7D";

const char *docker_trouble(const struct docker *d)
{
    return d->trouble[0] ? d->trouble : NULL;
}

static void run_drain(struct deadline *t)
{
    struct docker *d = container_of(t, struct docker, drain);
    uint64_t       now_ms = d->loop->clock.now_ms;
    bool           has_changed = false;
    uint64_t next_ms = docker_known_expire(&d->known, now_ms, d->settings.drain, &has_changed);
    if (has_changed) docker_tell_again(d);
    if (next_ms) deadline_set(d->loop, &d->drain, next_ms - now_ms);
}

/* ---- the end of a connection ---- */

static void cancel_calls(struct docker *d)
{
    http_call_cancel(d->ping);
    http_call_cancel(d->events);
    http_call_cancel(d->list);
    d->ping = d->events = d->list = NULL;
    d->event_line.len = d->list_body.len = 0;
    docker_ask_reset(&d->ask);
    deadline_clear(&d->relist);
    deadline_clear(&d->refresh);
}

static void load_snapshot(struct docker *d)
{
    struct buffer list = BUFFER_INIT;
    struct error  e;
    int64_t       at_us;
    if (!d->settings.snapshot.len || d->known.listed_us) return;
    if (docker_snapshot_load(d->settings.snapshot.data, &list, &at_us, &e) &&
        docker_known_list(&d->known, buffer_slice(&list), &e)) {
        d->known.listed_us = at_us;
        d->known.is_from_snapshot = true;
        log_warn(d->loop->log, "containers are taken from %s, as they were then",
                 d->settings.snapshot.data);
        docker_tell_all(d);
    } else {
        log_warn(d->loop->log, "no snapshot of containers: %s", e.text);
    }
    buffer_reset(&list);
}

/* What is known stays. The first try after a connection that went well is made at once. */
void docker_lose(struct docker *d, const char *why)
{
    bool was_good = d->has_listed;
    bool is_news = !d->trouble[0];
    cancel_calls(d);
    d->state = DOCKER_AWAY;
    d->has_listed = false;
    d->reconnect_count++;
    if (!d->has_tried) load_snapshot(d);
    d->has_tried = true;
    deadline_set(d->loop, &d->retry, was_good ? 1 : d->retry_ms);
    d->retry_ms = was_good ? DOCKER_RETRY_MIN_MS : d->retry_ms * 2;
    if (d->retry_ms > RETRY_MAX_MS) d->retry_ms = RETRY_MAX_MS;
    /* A proxy of the socket ends idle streams: that is no trouble until the next try fails. */
    if (was_good) return;
    snprintf(d->trouble, sizeof(d->trouble), "the Docker daemon: %s", why);
    if (is_news) log_warn(d->loop->log, "%s; containers stay as they were", d->trouble);
    docker_tell_again(d);
}

void docker_lose_by_status(struct docker *d, const char *what, unsigned status)
{
    char why[128];
    /* As Go's servers answer what comes in the clear to a port with TLS. */
    bool wants_tls = status == 400 && !d->endpoint.unix_socket && !d->endpoint.ca;
    snprintf(why, sizeof(why), "%s was answered with status %u%s", what, status,
             wants_tls ? ": does the port want TLS? It is spoken where `ca` is set" : "");
    docker_lose(d, why);
}

/* ---- calls ---- */

struct http_call *docker_call(struct docker *d, const char *target, const struct http_call_ops *ops,
                              uint64_t total_ms, size_t body_max)
{
    struct http_call_options o = {
        .endpoint = &d->endpoint,
        .target = target,
        .connect_ms = CONNECT_MS,
        .total_ms = total_ms,
        .body_max = body_max,
    };
    return http_call_start(d->http, &o, ops, d);
}

/* ---- events ---- */

static void run_relist(struct deadline *t)
{
    docker_ask_list(container_of(t, struct docker, relist));
}

static void run_refresh(struct deadline *t)
{
    docker_ask_whole_list(container_of(t, struct docker, refresh));
}

static void act_on(struct docker *d, const struct docker_event *event)
{
    enum docker_effect effect = docker_known_event(&d->known, event, d->loop->clock.now_ms);
    if (effect == DOCKER_NOTHING) return;
    if (effect == DOCKER_OVER)
        docker_want_later(d, event->id);
    else
        docker_want(d, event->id);
    if (effect == DOCKER_RELIST) return;
    const struct docker_container *c = docker_known_find(&d->known, event->id);
    if (c) docker_tell_of(d, c, false);
    if (!d->drain.at_ms) run_drain(&d->drain); /* else one that is due earlier has set it */
}

static void take_event(struct docker *d, struct slice line)
{
    struct docker_event event;
    struct arena        arena;
    struct error        e;
    arena_init(&arena, NULL);
    d->event_count++;
    if (docker_parse_event(line, &arena, &event, &e))
        act_on(d, &event);
    else
        docker_want(d, (struct slice){ 0 }); /* it may be anything */
    arena_reset(&arena);
}

/* Objects one a line, which may come in pieces or together. */
static void on_event_data(struct http_call *c, struct slice data, void *arg)
{
    struct docker *d = arg;
    (void)c;
    while (data.len && d->events) {
        size_t end = slice_find(data, '\n');
        bool   is_whole = end < data.len;
        buffer_put(&d->event_line, data.data, end);
        data = slice_from(data, is_whole ? end + 1 : end);
        if (d->event_line.len > EVENT_BYTES_MAX) {
            docker_lose(d, "an event is too long");
            return;
        }
        if (!is_whole) break;
        if (d->event_line.len) take_event(d, buffer_slice(&d->event_line));
        d->event_line.len = 0;
    }
}

static void on_event_head(struct http_call *c, unsigned status, void *arg)
{
    struct docker *d = arg;
    (void)c;
    if (status != 200) return; /* told at its end */
    d->state = DOCKER_FOLLOWS;
    docker_ask_whole_list(d);
}

static void on_event_done(struct http_call *c, const char *trouble, void *arg)
{
    struct docker *d = arg;
    unsigned       status = http_call_status(c);
    d->events = NULL;
    if (!trouble && status != 200)
        docker_lose_by_status(d, "the stream of events", status);
    else
        docker_lose(d, trouble ? trouble : "the stream of events ended");
}

static const struct http_call_ops event_ops = {
    .on_head = on_event_head,
    .on_data = on_event_data,
    .on_done = on_event_done,
};

static void subscribe(struct docker *d)
{
    char   target[224];
    size_t len = (size_t)snprintf(target, sizeof(target), "/v%u.%u/events?filters=%s",
                                  d->version / 100, d->version % 100, event_filters);
    /* What was told meanwhile, and what a daemon that was started anew did first. */
    uint64_t since = d->known.last_nano + 1;
    if (since > 1)
        snprintf(target + len, sizeof(target) - len, "&since=%llu.%09llu",
                 (unsigned long long)(since / 1000000000),
                 (unsigned long long)(since % 1000000000));
    d->state = DOCKER_SUBSCRIBES;
    d->events = docker_call(d, target, &event_ops, 0, 0);
}

/* ---- the version ---- */

static void on_ping_field(struct http_call *c, struct slice name, struct slice value, void *arg)
{
    struct docker *d = arg;
    (void)c;
    if (slice_eq_nocase(name, S("Api-Version"))) d->version = docker_parse_version(value);
}

static void on_ping_data(struct http_call *c, struct slice data, void *arg)
{
    (void)c;
    (void)data;
    (void)arg;
}

static void on_ping_done(struct http_call *c, const char *trouble, void *arg)
{
    struct docker *d = arg;
    unsigned       status = http_call_status(c);
    d->ping = NULL;
    if (trouble) {
        docker_lose(d, trouble);
    } else if (status != 200) {
        docker_lose_by_status(d, "/_ping", status);
    } else if (d->version && d->version < VERSION_MIN) {
        docker_lose(d, "it is older than API 1.24");
    } else {
        if (!d->version || d->version > VERSION_MAX) d->version = VERSION_MAX;
        subscribe(d);
    }
}

static const struct http_call_ops ping_ops = {
    .on_field = on_ping_field,
    .on_data = on_ping_data,
    .on_done = on_ping_done,
};

static void run_retry(struct deadline *t)
{
    struct docker *d = container_of(t, struct docker, retry);
    d->state = DOCKER_PINGS;
    d->version = 0;
    d->ping = docker_call(d, "/_ping", &ping_ops, CALL_MS, 4096);
}

/* ---- status ---- */

struct docker_status docker_status(const struct docker *d)
{
    return (struct docker_status){
        .endpoint = d->settings.endpoint.data,
        .is_connected = d->state == DOCKER_FOLLOWS,
        .is_from_snapshot = d->known.is_from_snapshot,
        .listed_us = d->known.listed_us,
        .version = d->version,
        .trouble = docker_trouble(d),
        .container_count = d->known.count - d->known.gone_count,
        .event_count = d->event_count,
        .list_count = d->list_count,
        .reconnect_count = d->reconnect_count,
    };
}

/* ---- life ---- */

static void take_settings(struct docker *d, const struct docker_daemon_settings *s)
{
    struct arena arena;
    arena_init(&arena, NULL);
    d->settings = *s;
    conf_own(&conf_docker_daemon_section, &d->settings, &arena);
    arena_reset(&d->arena);
    d->arena = arena;
    struct slice where = d->settings.endpoint;
    bool         is_unix = slice_starts_with(where, S("unix://"));
    d->endpoint = (struct http_endpoint){
        .base = is_unix ? "http://docker"
                        : arena_printf(&d->arena, "http%s://%.*s", s->ca.len ? "s" : "",
                                       SLICE_ARG(slice_from(where, 6)))
                              .data,
        .unix_socket = is_unix ? where.data + 7 : NULL,
        .ca = d->settings.ca.data,
        .cert = d->settings.cert.data,
        .key = d->settings.key.len ? d->settings.key.data : d->settings.cert.data,
    };
}

struct docker *docker_new(struct loop *l, struct http_client *http,
                          const struct docker_daemon_settings *s, void (*on_routes)(void *arg),
                          void                                *arg)
{
    struct docker *d = mem_zalloc(sizeof(*d));
    d->loop = l;
    d->http = http;
    d->retry_ms = DOCKER_RETRY_MIN_MS;
    arena_init(&d->arena, NULL);
    take_settings(d, s);
    docker_known_init(&d->known);
    docker_ask_init(&d->ask);
    list_init(&d->follows);
    docker_groups_init(&d->routes, l->log);
    d->routes.hold_ms = d->settings.keep_routes;
    d->on_routes = on_routes;
    d->on_routes_arg = arg;
    arena_init(&d->remarked_arena, NULL);
    map_init(&d->remarked);
    deadline_init(&d->route_deadline, docker_run_routes);
    docker_seed_routes(d);
    job_init(&d->tell, docker_run_tell);
    deadline_init(&d->retry, run_retry);
    deadline_init(&d->relist, run_relist);
    deadline_init(&d->refresh, run_refresh);
    deadline_init(&d->drain, run_drain);
    run_retry(&d->retry);
    return d;
}

bool docker_is_as(const struct docker *d, const struct docker_daemon_settings *s)
{
    struct buffer text[2] = { BUFFER_INIT, BUFFER_INIT };
    conf_write(&conf_docker_daemon_section, 0, &d->settings, &text[0]);
    conf_write(&conf_docker_daemon_section, 0, s, &text[1]);
    bool is_same = slice_eq(buffer_slice(&text[0]), buffer_slice(&text[1]));
    buffer_reset(&text[0]);
    buffer_reset(&text[1]);
    return is_same;
}

void docker_configure(struct docker *d, const struct docker_daemon_settings *s)
{
    cancel_calls(d);
    take_settings(d, s);
    d->routes.hold_ms = d->settings.keep_routes;
    d->state = DOCKER_AWAY;
    d->retry_ms = DOCKER_RETRY_MIN_MS;
    run_retry(&d->retry);
}

void docker_free(struct docker *d)
{
    if (!d) return;
    cancel_calls(d);
    deadline_remove(&d->retry);
    deadline_remove(&d->relist);
    deadline_remove(&d->refresh);
    deadline_remove(&d->drain);
    deadline_remove(&d->route_deadline);
    job_cancel(&d->tell);
    docker_groups_reset(&d->routes);
    map_reset(&d->remarked);
    arena_reset(&d->remarked_arena);
    docker_known_reset(&d->known);
    buffer_reset(&d->list_body);
    buffer_reset(&d->event_line);
    arena_reset(&d->arena);
    free(d);
}
