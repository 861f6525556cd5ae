/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a route's conditions (methods, listeners, headers, query) hold for a
 * request. See route.h; docs/routing.md tells people.
 */
#include "http/query.h"
#include "proxy/route_table.h"

static bool value_holds(const struct text_test *t, struct slice value, struct router_scratch *s)
{
    switch (t->kind) {
    case TEXT_IS_PRESENT: return true;
    case TEXT_IS_EXACT: return slice_eq(t->value, value);
    case TEXT_MATCHES_REGEX: return pattern_matches(t->regex, value, &s->matcher);
    }
    return false;
}

/* One of several fields of the name is enough. Upgrade is a part of the head: the
 * codec takes it from the fields (http/message.h). */
static bool header_holds(const struct text_test *t, const struct http_head *head,
                         struct router_scratch *s)
{
    if (t->field == FIELD_UPGRADE) return head->upgrade.len && value_holds(t, head->upgrade, s);
    const struct http_fields *fields = &head->fields;
    if (t->field != FIELD_OTHER && !(fields->present >> t->field & 1)) return false;
    for (size_t i = 0; i < fields->count; i++) {
        const struct http_field *f = &fields->items[i];
        if (f->is_dropped || f->id != t->field) continue;
        if (t->field == FIELD_OTHER && !slice_eq_nocase(f->name, t->name)) continue;
        if (value_holds(t, f->value, s)) return true;
    }
    return false;
}

/* One of several parameters of the name is enough. */
static bool query_holds(const struct text_test *t, struct slice query, struct router_scratch *s)
{
    struct slice name, value;
    while (query_next(&query, &name, &value)) {
        if (!slice_eq(query_decode(name, &s->decoded[0]), t->name)) continue;
        if (value_holds(t, query_decode(value, &s->decoded[1]), s)) return true;
    }
    return false;
}

static bool method_holds(const struct route_conditions *c, const struct http_head *head)
{
    if (!c->method_bits && !c->other_method_count) return true;
    if (head->method != HTTP_METHOD_OTHER) return c->method_bits >> head->method & 1;
    for (size_t i = 0; i < c->other_method_count; i++)
        if (slice_eq(c->other_methods[i], head->method_name)) return true;
    return false;
}

static bool listener_holds(const struct route_conditions *c, uint16_t listener)
{
    if (!c->listener_count) return true;
    for (size_t i = 0; i < c->listener_count; i++)
        if (c->listeners[i] == listener) return true;
    return false;
}

enum router_verdict route_conditions_check(const struct route_conditions *c,
                                           const struct router_query *q, struct router_scratch *s,
                                           struct slice *what)
{
    *what = slice_make("", 0);
    if (!listener_holds(c, q->listener)) return ROUTER_LISTENER;
    if (!method_holds(c, q->head)) return ROUTER_METHOD;
    for (size_t i = 0; i < c->header_count; i++) {
        if (header_holds(&c->headers[i], q->head, s)) continue;
        *what = c->headers[i].name;
        return ROUTER_HEADER;
    }
    for (size_t i = 0; i < c->query_count; i++) {
        if (query_holds(&c->query[i], q->head->query, s)) continue;
        *what = c->query[i].name;
        return ROUTER_QUERY;
    }
    return ROUTER_MATCHES;
}
