/* SPDX-License-Identifier: Apache-2.0
 *
 * Listeners of a plan and their sockets; the admin listeners come last.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "control/plan_parts.h"
#include "io/listener.h"
#include "origin/redirect.h"

/* ---- sockets ---- */

struct socket_owner {
    struct plan_maker *maker;
    char              *key; /* at the supervisor */
};

static void free_socket(struct registry_item *item, void *arg)
{
    struct listen_socket *s = item->object;
    struct socket_owner  *owner = arg;
    if (s->fds[0] >= 0) privileged_unbind(owner->maker->privileged, owner->key);
    for (unsigned i = 0; i < s->count; i++)
        if (s->fds[i] >= 0) close(s->fds[i]);
    if (s->address.family == ADDRESS_UNIX) free((char *)(uintptr_t)s->address.path);
    free(owner->key);
    free(owner);
    free(s);
}

static void learn_address(struct listen_socket *s, struct slice text)
{
    struct sockaddr_storage sa;
    socklen_t               len = sizeof(sa);
    struct arena            arena;
    struct error            ignored;
    arena_init(&arena, NULL);
    if (address_parse(&s->address, text, &arena, &ignored) && s->address.family == ADDRESS_UNIX)
        s->address.path = mem_strdup(s->address.path);
    else if (getsockname(s->fds[0], (struct sockaddr *)&sa, &len) == 0)
        address_from_sockaddr(&s->address, (struct sockaddr *)&sa, len);
    address_format(&s->address, s->text);
    arena_reset(&arena);
}

static struct registry_item *bind_socket(struct build *b, struct slice key, struct slice text,
                                         struct error *e)
{
    unsigned              count = slice_starts_with(text, S("unix:")) ? 1 : b->maker->worker_count;
    struct listen_socket *s = mem_zalloc(sizeof(*s) + count * sizeof(int));
    if (!privileged_bind(b->maker->privileged, key.data, count, s->fds, e)) {
        free(s);
        return NULL;
    }
    s->count = count;
    learn_address(s, text);
    struct socket_owner *owner = mem_alloc(sizeof(*owner));
    *owner = (struct socket_owner){ b->maker, mem_slicedup(key) };
    return registry_add(b->maker->registry, REGISTRY_SOCKET, key, s, free_socket, owner);
}

/* NULL and *e when the address is not to be had. */
static struct listen_socket *get_socket(struct build *b, struct slice listener, struct slice text,
                                        struct error *e)
{
    struct slice          key = sockets_key(&b->plan->arena, listener, text);
    struct registry_item *item = registry_find(b->maker->registry, REGISTRY_SOCKET, key);
    if (!item) item = bind_socket(b, key, text, e);
    if (!item) return NULL;
    registry_hold(b->maker->registry, item, &b->plan->arena);
    return item->object;
}

/* The admin's socket in the file system is a convenience: a gateway that may not
 * make it there serves all the same. */
static bool is_optional(const struct plan_listener *l, struct slice text)
{
    return l->is_admin && slice_starts_with(text, S("unix:"));
}

static void bind_listener(struct build *b, struct plan_listener *l)
{
    const struct listener_settings *s = l->settings;
    l->sockets = arena_zalloc(&b->plan->arena, (s->addresses.count + 1) * sizeof(*l->sockets));
    for (size_t i = 0; i < s->addresses.count; i++) {
        struct error          e;
        struct slice          text = s->addresses.items[i];
        struct listen_socket *socket = get_socket(b, s->name, text, &e);
        if (socket)
            l->sockets[l->socket_count++] = socket;
        else
            conf_report_add(b->report, is_optional(l, text) ? CONF_WARNING : CONF_ERROR, &s->at,
                            "%s", e.text);
    }
}

static uint16_t first_tls_port(const struct plan *p)
{
    for (size_t i = 0; i < p->listener_count; i++) {
        const struct plan_listener *l = &p->listeners[i];
        if (l->tls && l->socket_count && l->sockets[0]->address.family != ADDRESS_UNIX)
            return l->sockets[0]->address.port;
    }
    return 443;
}

void build_bind(struct build *b)
{
    struct plan *p = b->plan;
    for (size_t i = 0; i < p->listener_count; i++) bind_listener(b, &p->listeners[i]);
    for (size_t i = 0; i < b->settings->listener_count; i++) {
        struct https_redirect *redirect = b->redirects[i];
        if (redirect && !redirect->port) redirect->port = first_tls_port(p);
    }
}

/* ---- retiring ---- */

struct retire {
    struct plan_maker     *maker;
    const struct plan     *current;
    struct registry_item **found;
    size_t                 count;
};

static bool names_socket(const struct plan *p, const struct listen_socket *s)
{
    for (size_t i = 0; i < p->listener_count; i++)
        for (size_t k = 0; k < p->listeners[i].socket_count; k++)
            if (p->listeners[i].sockets[k] == s) return true;
    return false;
}

static void find_retired(void *arg, struct registry_item *item)
{
    struct retire *r = arg;
    if (r->current && names_socket(r->current, item->object)) return;
    r->found = mem_realloc(r->found, (r->count + 1) * sizeof(*r->found));
    r->found[r->count++] = item;
}

static void close_on_worker(struct worker *w, void *fd)
{
    loop_close_fd(w->loop, (int)(intptr_t)fd);
}

static void retire_socket(struct plan_maker *m, struct registry_item *item)
{
    struct listen_socket *s = item->object;
    struct socket_owner  *owner = item->free_arg;
    for (unsigned i = 0; i < s->count; i++) {
        crew_do(m->crew, i, close_on_worker, (void *)(intptr_t)s->fds[i]);
        s->fds[i] = -1;
    }
    privileged_unbind(m->privileged, owner->key);
    registry_forget(m->registry, item);
}

void plan_retire_sockets(struct plan_maker *m, const struct plan *current)
{
    struct retire r = { .maker = m, .current = current };
    registry_each(m->registry, REGISTRY_SOCKET, find_retired, &r);
    for (size_t i = 0; i < r.count; i++) retire_socket(m, r.found[i]);
    free(r.found);
}

/* ---- listeners ---- */

void build_cidrs(struct build *b, const struct conf_place *at, const struct text_list *from,
                 struct cidr_set *to)
{
    struct error e;
    to->items = arena_zalloc(&b->plan->arena, (from->count + 1) * sizeof(*to->items));
    for (size_t i = 0; i < from->count; i++) {
        if (cidr_parse(&to->items[to->count], from->items[i], &e))
            to->count++;
        else
            conf_report_add(b->report, CONF_ERROR, at, "%s", e.text);
    }
}

static struct plan_route *own_route(struct build *b, const char *name)
{
    struct plan_route *route = arena_zalloc(&b->plan->arena, sizeof(*route));
    *route = *b->plan->no_route;
    route->name = slice_of(name);
    return route;
}

static void set_redirect(struct build *b, size_t index, struct plan_listener *to)
{
    struct https_redirect *redirect = arena_zalloc(&b->plan->arena, sizeof(*redirect));
    struct plan_route     *route = own_route(b, "redirect_https");
    redirect->port = to->settings->redirect_port;
    route->origin = &origin_https_redirect;
    route->origin_config = redirect;
    to->only_route = route;
    b->redirects[index] = redirect;
}

static void check_addresses(struct build *b, const struct listener_settings *s, struct map *seen)
{
    struct arena  *a = &b->plan->arena;
    struct address parsed;
    struct error   e;
    for (size_t i = 0; i < s->addresses.count; i++) {
        struct slice text = s->addresses.items[i];
        if (!address_parse(&parsed, text, a, &e)) {
            conf_report_add(b->report, CONF_ERROR, &s->at, "%s", e.text);
            continue;
        }
        const struct slice *other =
            map_put(seen, sockets_key(a, s->name, text), (void *)(uintptr_t)&s->name);
        if (other)
            conf_report_add(b->report, CONF_ERROR, &s->at, "listener %.*s has the address %.*s too",
                            SLICE_ARG(*other), SLICE_ARG(text));
    }
}

static void free_address_limits(struct registry_item *item, void *arg)
{
    (void)arg;
    address_limits_free(item->object);
}

/* By the listener's name alone: whatever a reload changes, who is connected stays counted. */
static void set_address_rule(struct build *b, struct plan_listener *to)
{
    struct registry      *r = b->maker->registry;
    struct registry_item *item = registry_find(r, REGISTRY_ADDRESS_LIMITS, to->name);
    if (!item)
        item = registry_add(r, REGISTRY_ADDRESS_LIMITS, to->name, address_limits_new(),
                            free_address_limits, NULL);
    registry_hold(r, item, &b->plan->arena);
    to->per_address = item->object;
    to->address_rule = address_rule_make(to->per_address, to->settings);
}

static void build_one(struct build *b, size_t index, struct map *seen)
{
    const struct listener_settings *s = &b->settings->listeners[index];
    struct plan_listener           *to = &b->plan->listeners[b->plan->listener_count++];
    to->settings = s;
    to->name = s->name;
    check_addresses(b, s, seen);
    build_cidrs(b, &s->at, &s->trusted_proxies, &to->trusted);
    build_cidrs(b, &s->at, &s->accept_proxy_protocol, &to->proxy_from);
    set_address_rule(b, to);
    if (s->tls) to->tls = build_tls(b, s->tls, s->http2 != HTTP2_OFF);
    if (s->redirects_https) set_redirect(b, index, to);
}

/* ---- the admin's ---- */

static const struct plan_route *admin_route(struct build *b, bool is_local)
{
    struct arena           *a = &b->plan->arena;
    const struct settings  *s = b->settings;
    struct plan_route      *route = own_route(b, "admin");
    struct policy_settings *policy = arena_zalloc(a, sizeof(*policy));
    struct admin_config    *config = arena_zalloc(a, sizeof(*config));
    *policy = s->defaults;
    policy->access_log = false;
    *config = (struct admin_config){
        .control = b->maker->control,
        .workers = b->maker->crew ? b->maker->crew->mailboxes : NULL,
        .ask = b->maker->ask,
        .metrics_path = s->metrics.enabled ? s->metrics.path : slice_make("", 0),
        .may_change = is_local,
    };
    route->policy = policy;
    route->filter_count = 0; /* what sites wear is not for it */
    route->origin = &origin_admin;
    route->origin_config = config;
    return route;
}

static void add_admin(struct build *b, struct slice address, bool is_local)
{
    struct arena             *a = &b->plan->arena;
    struct listener_settings *s = arena_zalloc(a, sizeof(*s));
    struct plan_listener     *to = &b->plan->listeners[b->plan->listener_count++];
    s->at = build_place(b);
    s->name = S("admin");
    s->addresses.items = arena_alloc(a, sizeof(struct slice));
    s->addresses.items[0] = address;
    s->addresses.count = 1;
    to->settings = s;
    to->name = s->name;
    to->is_admin = true;
    to->only_route = admin_route(b, is_local);
}

static bool is_on(struct slice s)
{
    return s.len && !slice_eq(s, S("off"));
}

static void build_admin(struct build *b, struct map *seen)
{
    const struct admin_settings *s = &b->settings->admin;
    struct plan                 *p = b->plan;
    if (is_on(s->address)) {
        add_admin(b, s->address, false);
        check_addresses(b, p->listeners[p->listener_count - 1].settings, seen);
    }
    if (is_on(s->socket))
        add_admin(b, arena_printf(&p->arena, "unix:%.*s", SLICE_ARG(s->socket)), true);
}

void build_listeners(struct build *b)
{
    size_t     count = b->settings->listener_count;
    struct map seen;
    map_init(&seen);
    b->plan->listeners = arena_zalloc(&b->plan->arena, (count + 2) * sizeof(*b->plan->listeners));
    b->redirects = arena_zalloc(&b->plan->arena, (count + 1) * sizeof(*b->redirects));
    for (size_t i = 0; i < count; i++) build_one(b, i, &seen);
    build_admin(b, &seen);
    map_reset(&seen);
}
