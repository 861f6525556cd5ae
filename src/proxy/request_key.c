/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys of requests. See request_key.h.
 */
#include "proxy/request_key.h"

#include "conf/types.h"
#include "http/query.h"
#include "proxy/downstream.h"
#include "proxy/exchange.h"

/* ---- the parts of a head ---- */

static struct slice trim(struct slice s)
{
    while (s.len && s.data[0] == ' ') s = slice_from(s, 1);
    while (s.len && s.data[s.len - 1] == ' ') s.len--;
    return s;
}

/* RFC 6265 section 4.2.1: "a=1; b=2". */
static bool find_pair(struct slice line, struct slice name, struct slice *value)
{
    while (line.len) {
        size_t       end = slice_find(line, ';');
        struct slice pair = trim(slice_make(line.data, end));
        size_t       equals = slice_find(pair, '=');
        line = slice_from(line, end < line.len ? end + 1 : end);
        if (equals == pair.len || !slice_eq(slice_make(pair.data, equals), name)) continue;
        *value = slice_from(pair, equals + 1);
        return true;
    }
    return false;
}

/* Over HTTP/2 there may be several lines: RFC 9113 section 8.2.3. */
struct slice request_cookie(const struct http_head *request, struct slice name)
{
    const struct http_fields *fields = &request->fields;
    struct slice              value = slice_make("", 0);
    for (uint16_t i = 0; i < fields->count; i++) {
        const struct http_field *f = &fields->items[i];
        if (f->is_dropped || !slice_eq_nocase(f->name, S("cookie"))) continue;
        if (find_pair(f->value, name, &value)) break;
    }
    return value;
}

struct slice request_header(const struct http_head *request, struct slice name)
{
    const struct http_field *f = http_fields_find_named(&request->fields, name);
    return f ? f->value : slice_make("", 0);
}

static struct slice find_parameter(const struct http_head *request, struct slice name,
                                   struct arena *a)
{
    struct buffer scratch = BUFFER_INIT;
    struct slice  rest = request->query, its, value, found = slice_make("", 0);
    while (query_next(&rest, &its, &value)) {
        if (!slice_eq(query_decode(its, &scratch), name)) continue;
        found = arena_copy(a, query_decode(value, &scratch));
        break;
    }
    buffer_reset(&scratch);
    return found;
}

/* ---- keys ---- */

void request_key_build(struct request_key *key, const struct key_settings *s, struct arena *a)
{
    key->ipv6_prefix = s->ipv6_prefix;
    key->part_count = s->parts.count ? s->parts.count : 1;
    key->parts = arena_zalloc(a, key->part_count * sizeof(*key->parts)); /* KEY_CLIENT_IP is 0 */
    for (size_t i = 0; i < s->parts.count; i++) {
        struct request_key_part *p = &key->parts[i];
        (void)conf_split_key(s->parts.items[i], &p->kind, &p->name);
        p->name = arena_copy(a, p->name);
    }
}

/* As the logs have it; of IPv6 the network, since a client may have all of that. */
static struct slice client_part(struct exchange *x, unsigned ipv6_prefix)
{
    struct slice text = exchange_client_text(x);
    if (x->client.family == ADDRESS_UNIX || x->client.family == ADDRESS_NONE) return S("");
    if (x->client.family == ADDRESS_V4 || ipv6_prefix == 128) return text;
    char *net = arena_alloc(&x->arena, ADDRESS_TEXT_MAX);
    return slice_make(net, address_format_net(&x->client, ipv6_prefix, net));
}

static struct slice subject_part(struct exchange *x)
{
    const struct tls *t = x->downstream->conn.tls;
    return t && tls_has_client_cert(t) ? tls_client_subject(t, &x->arena) : S("");
}

static struct slice part_of(struct exchange *x, const struct request_key *key,
                            const struct request_key_part *p)
{
    switch (p->kind) {
    case KEY_CLIENT_IP: return client_part(x, key->ipv6_prefix);
    case KEY_HOST: return x->host;
    case KEY_PATH: return x->request->path;
    case KEY_ROUTE: return x->route->name;
    case KEY_CLIENT_CERT: return subject_part(x);
    case KEY_HEADER: return request_header(x->request, p->name);
    case KEY_COOKIE: return request_cookie(x->request, p->name);
    case KEY_QUERY: return find_parameter(x->request, p->name, &x->arena);
    }
    return S("");
}

/* NUL parts them: none of them can hold one. */
struct slice exchange_key(struct exchange *x, const struct request_key *key)
{
    struct slice first = part_of(x, key, &key->parts[0]);
    if (key->part_count == 1 || !first.len) return first;
    struct buffer all = BUFFER_INIT;
    buffer_put_slice(&all, first);
    for (size_t i = 1; i < key->part_count; i++) {
        struct slice more = part_of(x, key, &key->parts[i]);
        if (!more.len) {
            all.len = 0;
            break;
        }
        buffer_put_char(&all, 0);
        buffer_put_slice(&all, more);
    }
    struct slice whole = arena_copy(&x->arena, buffer_slice(&all));
    buffer_reset(&all);
    return whole;
}
