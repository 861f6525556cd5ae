/* SPDX-License-Identifier: Apache-2.0
 *
 * See fake_exchange.h.
 */
#include "fake_exchange.h"

void fake_exchange_init(struct exchange *x, const char *path)
{
    memset(x, 0, sizeof(*x));
    arena_init(&x->arena, NULL);
    x->clock.now_ns = 1000000000;
    x->request.method = HTTP_GET;
    x->request.method_name = S("GET");
    x->request.target = x->request.path = slice_of(path);
    x->request.authority = S("example.org:8080");
    x->client = (struct address){ .family = ADDRESS_V4, .ip = { 192, 0, 2, 1 } };
}

void fake_exchange_reset(struct exchange *x)
{
    arena_reset(&x->arena);
}

struct slice fake_exchange_field(const struct exchange *x, const char *name)
{
    const struct http_field *f =
        x->head ? http_fields_find_named(&x->head->fields, slice_of(name)) : NULL;
    return f ? f->value : S("");
}

struct http_head *exchange_request(struct exchange *x)
{
    return &x->request;
}

struct arena *exchange_arena(struct exchange *x)
{
    return &x->arena;
}

const struct clock *exchange_clock(const struct exchange *x)
{
    return &x->clock;
}

const struct address *exchange_client(const struct exchange *x)
{
    return &x->client;
}

struct slice exchange_client_text(struct exchange *x)
{
    char text[ADDRESS_TEXT_MAX];
    return arena_copy(&x->arena, slice_make(text, address_format_ip(&x->client, text)));
}

void request_key_build(struct request_key *key, const struct key_settings *s, struct arena *a)
{
    (void)key;
    (void)s;
    (void)a;
}

struct slice exchange_key(struct exchange *x, const struct request_key *key)
{
    (void)key;
    return x->key.data ? x->key : exchange_client_text(x);
}

bool exchange_is_secure(const struct exchange *x)
{
    return x->is_secure;
}

struct slice exchange_csp_nonce(struct exchange *x)
{
    (void)x;
    return S("bm9uY2U=");
}

struct slice exchange_expand(struct exchange *x, const struct template *t,
                             const struct http_head *response)
{
    struct slice values[8];
    (void)response;
    for (size_t i = 0; i < t->count; i++)
        values[i] = t->pieces[i].id == VARIABLE_TEXT        ? t->pieces[i].text
                    : t->pieces[i].id == VARIABLE_CSP_NONCE ? exchange_csp_nonce(x)
                                                            : x->variable;
    return template_join(values, t->count, &x->arena);
}

bool exchange_is_grpc(const struct exchange *x)
{
    (void)x;
    return false;
}

struct slice exchange_host(const struct exchange *x)
{
    return x->host;
}

struct pattern_matcher *exchange_matcher(struct exchange *x)
{
    return x->matcher;
}

void exchange_note_prefix(struct exchange *x, struct slice prefix)
{
    x->prefix = prefix;
}

struct loop *exchange_loop(const struct exchange *x)
{
    return x->loop;
}

void exchange_continue(struct exchange *x)
{
    x->has_continued = true;
}

void exchange_note_limit(struct exchange *x, struct slice name, bool is_dry_run)
{
    *(is_dry_run ? &x->limit_dry_run : &x->limit) = name;
}

struct slice exchange_request_id(struct exchange *x)
{
    (void)x;
    return S("id-1");
}

unsigned exchange_worker_index(const struct exchange *x)
{
    (void)x;
    return 0;
}

void **exchange_origin_state(struct exchange *x)
{
    return &x->origin_state;
}

void exchange_reply_status(struct exchange *x, unsigned status, const char *reason)
{
    x->status = status;
    x->reason = reason;
}

void exchange_reply(struct exchange *x, struct http_head *head, struct slice body,
                    const char *reason)
{
    x->status = head->status;
    x->head = head;
    x->body = body;
    x->reason = reason;
}
