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

/* RFC 6265 section 4.2.1: "a=1; b=2". The next one of that name; *line is what follows. */
static bool next_pair(struct slice *line, struct slice name, struct slice *value)
{
    while (line->len) {
        size_t       end = slice_find(*line, ';');
        struct slice pair = trim(slice_make(line->data, end));
        size_t       equals = slice_find(pair, '=');
        *line = slice_from(*line, end < line->len ? end + 1 : end);
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
        struct slice             line = f->value;
        if (f->is_dropped || f->id != FIELD_COOKIE) continue;
        if (next_pair(&line, name, &value)) break;
    }
    return value;
}

struct slice request_header(const struct http_head *request, struct slice name)
{
    const struct http_field *f = http_fields_find_named(&request->fields, name);
    return f ? f->value : slice_make("", 0);
}

/* ---- what a request says under a name ---- */

/* Of all values of the name the first, and whether another one differs. */
struct said {
    struct slice value;
    bool         is_there, is_ambiguous;
};

static void say(struct said *s, struct slice value)
{
    if (!s->is_there)
        s->value = value;
    else if (!slice_eq(s->value, value))
        s->is_ambiguous = true;
    s->is_there = true;
}

static void find_headers(const struct http_head *request, struct slice name, struct said *to)
{
    const struct http_fields *fields = &request->fields;
    enum http_field_id        id = http_field_lookup(name);
    if (!(fields->present >> id & 1)) return;
    for (uint16_t i = 0; i < fields->count; i++) {
        const struct http_field *f = &fields->items[i];
        if (f->is_dropped || f->id != id) continue;
        if (id == FIELD_OTHER && !slice_eq_nocase(f->name, name)) continue;
        say(to, f->value);
    }
}

static void find_cookies(const struct http_head *request, struct slice name, struct said *to)
{
    const struct http_fields *fields = &request->fields;
    for (uint16_t i = 0; i < fields->count; i++) {
        const struct http_field *f = &fields->items[i];
        struct slice             line = f->value, value;
        if (f->is_dropped || f->id != FIELD_COOKIE) continue;
        while (next_pair(&line, name, &value)) say(to, value);
    }
}

static struct slice decode(struct slice text, struct arena *a)
{
    if (slice_find(text, '%') == text.len && slice_find(text, '+') == text.len) return text;
    struct buffer room = { arena_alloc(a, text.len + 1), 0, text.len + 1 };
    return query_decode(text, &room);
}

struct slice request_parameter(const struct http_head *request, struct slice name, struct arena *a)
{
    struct slice rest = request->query, its, value;
    while (query_next(&rest, &its, &value))
        if (its.len >= name.len && slice_eq(decode(its, a), name)) return decode(value, a);
    return slice_make("", 0);
}

static void find_parameters(const struct http_head *request, struct slice name, struct arena *a,
                            struct said *to)
{
    struct slice rest = request->query, its, value;
    while (query_next(&rest, &its, &value)) {
        if (its.len < name.len || !slice_eq(decode(its, a), name)) continue;
        say(to, decode(value, a));
    }
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

/* Who says two things under one name chooses what the replica takes, and so would get a
 * bucket for each pair that he makes up: he counts by his address, however many there are. */
static struct slice said_part(struct exchange *x, const struct request_key *key,
                              const struct request_key_part *p)
{
    struct said said = { .value = S("") };
    if (p->kind == KEY_HEADER)
        find_headers(x->request, p->name, &said);
    else if (p->kind == KEY_COOKIE)
        find_cookies(x->request, p->name, &said);
    else
        find_parameters(x->request, p->name, &x->arena, &said);
    return said.is_ambiguous ? client_part(x, key->ipv6_prefix) : said.value;
}

static struct slice part_of(struct exchange *x, const struct request_key *key,
                            const struct request_key_part *p)
{
    switch (p->kind) {
    case KEY_CLIENT_IP: return client_part(x, key->ipv6_prefix);
    case KEY_HOST: return x->host.len ? x->host : S("-"); /* HTTP/1.0 may say none */
    case KEY_PATH: return x->request->path;
    case KEY_ROUTE: return x->route->name;
    case KEY_CLIENT_CERT: return subject_part(x);
    case KEY_HEADER:
    case KEY_COOKIE:
    case KEY_QUERY: return said_part(x, key, p);
    }
    return S("");
}

enum { PART_HEAD_BYTES = 4 };

static char *put_part(char *to, struct slice part)
{
    for (unsigned shift = 32; shift;) *to++ = (char)(part.len >> (shift -= 8));
    memcpy(to, part.data, part.len);
    return to + part.len;
}

/* Each part of several has its length before it: any byte may be in them. */
struct slice exchange_key(struct exchange *x, const struct request_key *key)
{
    if (key->part_count == 1) return part_of(x, key, &key->parts[0]);
    struct slice *parts = arena_alloc(&x->arena, key->part_count * sizeof(*parts));
    size_t        len = 0;
    for (size_t i = 0; i < key->part_count; i++) {
        parts[i] = part_of(x, key, &key->parts[i]);
        if (!parts[i].len) return S("");
        len += PART_HEAD_BYTES + parts[i].len;
    }
    char *whole = arena_alloc(&x->arena, len), *to = whole;
    for (size_t i = 0; i < key->part_count; i++) to = put_part(to, parts[i]);
    return slice_make(whole, len);
}
