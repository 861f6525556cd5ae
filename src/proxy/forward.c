/* SPDX-License-Identifier: Apache-2.0
 *
 * The client's identity and the forwarding fields. See forward.h.
 */
#include "proxy/forward.h"

#include "proxy/downstream.h"

enum { REQUEST_ID_MAX = 128 };

/* ---- who is it ---- */

/* The last element of a comma-separated list; *list loses it. */
static struct slice take_last(struct slice *list)
{
    size_t at = list->len;
    while (at && list->data[at - 1] != ',') at--;
    struct slice item = slice_from(*list, at);
    list->len = at ? at - 1 : 0;
    while (item.len && (item.data[0] == ' ' || item.data[0] == '\t')) item = slice_from(item, 1);
    while (item.len && (item.data[item.len - 1] == ' ' || item.data[item.len - 1] == '\t'))
        item.len--;
    return item;
}

static bool parse_ip(struct slice text, struct address *a)
{
    struct cidr  c;
    struct error e;
    if (!cidr_parse(&c, text, &e) || c.family == ADDRESS_UNIX) return false;
    if (c.bits != (c.family == ADDRESS_V4 ? 32 : 128)) return false;
    *a = (struct address){ .family = c.family };
    memcpy(a->ip, c.ip, sizeof(a->ip));
    address_unmap(a);
    return true;
}

/* The rightmost address of X-Forwarded-For that is not one of our proxies. What
 * stands left of it is whatever the client wanted to write. */
static void find_client(struct exchange *x, const struct cidr_set *trusted)
{
    const struct http_fields *f = &x->request->fields;
    for (size_t i = f->count; i-- > 0;) {
        if (f->items[i].id != FIELD_X_FORWARDED_FOR || f->items[i].is_dropped) continue;
        struct slice list = f->items[i].value;
        while (list.len) {
            struct address a;
            if (!parse_ip(take_last(&list), &a)) return;
            x->client = a;
            if (!cidr_set_has(trusted, &a)) return;
        }
    }
}

static bool is_usable_id(struct slice id)
{
    if (!id.len || id.len > REQUEST_ID_MAX) return false;
    for (size_t i = 0; i < id.len; i++)
        if (id.data[i] <= ' ' || id.data[i] >= 0x7f || id.data[i] == '"' || id.data[i] == '\\' ||
            id.data[i] == '<' || id.data[i] == '&')
            return false;
    return true;
}

/* Sixteen hexadecimal digits. */
static void put_hex(char *to, uint64_t value)
{
    static const char hex[] = "0123456789abcdef";
    for (unsigned i = 16; i-- > 0; value >>= 4) to[i] = hex[value & 15];
}

/* A worker's random prefix and a count: unique, and cheap. */
void forward_make_id(struct exchange *x)
{
    struct worker *w = x->worker;
    char          *id = arena_alloc(&x->arena, 32);
    if (!w->id_text[0]) put_hex(w->id_text, w->id_prefix);
    memcpy(id, w->id_text, 16);
    put_hex(id + 16, w->id_next++);
    x->request_id = slice_make(id, 32);
}

void forward_identify(struct exchange *x)
{
    const struct plan_listener *l = x->downstream->listener->config;
    x->client = x->downstream->peer;
    if (l->trusted.count == 0 || !cidr_set_has(&l->trusted, &x->client)) return;
    x->is_trusted = true;
    find_client(x, &l->trusted);
    struct slice id = http_fields_value(&x->request->fields, FIELD_X_REQUEST_ID);
    if (is_usable_id(id)) x->request_id = id;
}

/* ---- what the replica is told ---- */

static struct slice forwarded_for(struct exchange *x)
{
    struct slice before = http_fields_value(&x->request->fields, FIELD_X_FORWARDED_FOR);
    if (!x->is_trusted || !before.len) return exchange_client_text(x);
    char text[ADDRESS_TEXT_MAX];
    return arena_printf(&x->arena, "%.*s, %.*s", SLICE_ARG(before),
                        (int)address_format_ip(&x->downstream->peer, text), text);
}

/* Several fields of that name become one, so that nothing is lost. */
static void join_forwarded_for(struct exchange *x)
{
    struct http_fields *f = &x->request->fields;
    struct slice        all = slice_make(NULL, 0);
    for (size_t i = 0; i < f->count; i++) {
        const struct http_field *field = &f->items[i];
        if (field->id != FIELD_X_FORWARDED_FOR || field->is_dropped) continue;
        all = all.len
                  ? arena_printf(&x->arena, "%.*s, %.*s", SLICE_ARG(all), SLICE_ARG(field->value))
                  : field->value;
    }
    if (all.len) http_fields_set(f, &x->arena, FIELD_X_FORWARDED_FOR, all);
}

static struct slice port_of(struct slice authority, bool is_tls)
{
    size_t end = authority.len && authority.data[0] == '[' ? slice_find(authority, ']') : 0;
    size_t colon = end + slice_find(slice_from(authority, end), ':');
    if (colon + 1 < authority.len) return slice_from(authority, colon + 1);
    return is_tls ? S("443") : S("80");
}

static void set(struct exchange *x, enum http_field_id id, struct slice value)
{
    struct http_fields *f = &x->request->fields;
    if (x->is_trusted && http_fields_find(f, id)) return;
    http_fields_set(f, &x->arena, id, value);
}

/* X-Client-Cert-Anything: ours to say. */
static void drop_certificate_fields(struct http_fields *f)
{
    static const struct slice prefix = SLICE("X-Client-Cert");
    for (size_t i = 0; i < f->count; i++) {
        struct slice name = f->items[i].name;
        if (name.len >= prefix.len && (name.data[0] | 0x20) == 'x' &&
            (name.data[2] | 0x20) == 'c' &&
            slice_eq_nocase(slice_make(name.data, prefix.len), prefix))
            f->items[i].is_dropped = true;
    }
}

static void add_certificate_fields(struct exchange *x)
{
    const struct tls   *tls = x->downstream->conn.tls;
    struct http_fields *f = &x->request->fields;
    struct arena       *a = &x->arena;
    if (!tls || !x->route->policy->client_cert_headers || !tls_has_client_cert(tls)) return;
    http_fields_add_named(f, a, S("X-Client-Cert-Verified"), S("SUCCESS"));
    http_fields_add_named(f, a, S("X-Client-Cert-Subject"), tls_client_subject(tls, a));
    http_fields_add_named(f, a, S("X-Client-Cert-Fingerprint"), tls_client_fingerprint(tls, a));
    http_fields_add_named(f, a, S("X-Client-Cert-Serial"), tls_client_serial(tls, a));
}

/* What the path lost, here and, as a trusted proxy says, before. */
static void set_prefix(struct exchange *x)
{
    static const struct slice name = SLICE("X-Forwarded-Prefix");
    struct http_fields       *f = &x->request->fields;
    for (size_t i = 0; i < f->count && !x->is_trusted; i++)
        if (f->items[i].name.len == name.len && slice_eq_nocase(f->items[i].name, name))
            f->items[i].is_dropped = true;
    if (!x->prefix.len) return;
    const struct http_field *before = http_fields_find_named(f, name);
    struct slice             all = x->prefix;
    if (before)
        all = arena_printf(&x->arena, "%.*s%.*s", SLICE_ARG(before->value), SLICE_ARG(x->prefix));
    http_fields_set_named(f, &x->arena, name, all);
}

void forward_rewrite(struct exchange *x)
{
    struct http_head   *head = x->request;
    struct http_fields *f = &head->fields;
    bool                is_tls = exchange_is_tls(x);
    if (x->is_trusted)
        join_forwarded_for(x);
    else
        http_fields_drop(f, FIELD_FORWARDED);
    http_fields_set(f, &x->arena, FIELD_X_FORWARDED_FOR, forwarded_for(x));
    set(x, FIELD_X_FORWARDED_PROTO, is_tls ? S("https") : S("http"));
    set(x, FIELD_X_FORWARDED_HOST, head->authority);
    set(x, FIELD_X_FORWARDED_PORT, port_of(head->authority, is_tls));
    set_prefix(x);
    http_fields_set(f, &x->arena, FIELD_X_REAL_IP, exchange_client_text(x));
    http_fields_set(f, &x->arena, FIELD_X_REQUEST_ID, exchange_request_id(x));
    drop_certificate_fields(f);
    add_certificate_fields(x);
}
