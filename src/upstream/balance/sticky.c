/* SPDX-License-Identifier: Apache-2.0
 *
 * Sessions that stay: a client brings the token of the endpoint that it was
 * given first (a cookie's value). Without one, or when that endpoint may not be
 * chosen, as least_requests.
 *
 * A token is a keyed hash of the upstream's and the endpoint's names: it tells
 * nothing of addresses, is the same on every gateway with the secret, and cannot
 * be made up. What is not the token of an endpoint in the set is no token.
 */
#include <stdlib.h>

#include "base/map.h"
#include "base/memory.h"
#include "io/digest.h"
#include "upstream/balance/balance.h"

enum { TOKEN_BYTES = 16, TOKEN_CHARS = 2 * TOKEN_BYTES };

struct place {
    const struct endpoint *endpoint;
    size_t                 index;
    char                   token[TOKEN_CHARS];
};

struct sticky {
    struct place *places;
    struct map    by_token, by_endpoint; /* to places */
};

static struct slice key_of(const struct endpoint *const *e)
{
    return slice_make((const char *)e, sizeof(*e));
}

static void write_hex(char to[TOKEN_CHARS], const uint8_t from[TOKEN_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < TOKEN_BYTES; i++) {
        to[2 * i] = digits[from[i] >> 4];
        to[2 * i + 1] = digits[from[i] & 15];
    }
}

static void make_token(struct place *p, const struct balance_config *config)
{
    uint8_t sum[DIGEST_SHA256_BYTES];
    size_t  name = config->upstream.len, identity = strlen(p->endpoint->identity);
    char   *message = mem_alloc(name + 1 + identity);
    if (name) memcpy(message, config->upstream.data, name);
    message[name] = '\0';
    memcpy(message + name + 1, p->endpoint->identity, identity);
    digest_hmac_sha256(sum, slice_make((const char *)config->secret, sizeof(config->secret)),
                       slice_make(message, name + 1 + identity));
    write_hex(p->token, sum);
    free(message);
}

static void *table_new(const struct endpoint_tier *tier, const struct balance_config *config)
{
    struct sticky *t = mem_alloc(sizeof(*t));
    t->places = mem_alloc(tier->count * sizeof(*t->places));
    map_init(&t->by_token);
    map_init(&t->by_endpoint);
    for (size_t i = 0; i < tier->count; i++) {
        struct place *p = &t->places[i];
        p->endpoint = tier->items[i];
        p->index = i;
        make_token(p, config);
        map_put(&t->by_token, slice_make(p->token, sizeof(p->token)), p);
        map_put(&t->by_endpoint, key_of(&p->endpoint), p);
    }
    return t;
}

static void table_free(void *table)
{
    struct sticky *t = table;
    map_reset(&t->by_token);
    map_reset(&t->by_endpoint);
    free(t->places);
    free(t);
}

static struct endpoint *choose(void *state, const struct endpoint_set *set,
                               const struct endpoint_tier *tier, const struct balance_ask *ask)
{
    const struct sticky *t = tier->table;
    const struct place  *p = ask->token.len ? map_get(&t->by_token, ask->token) : NULL;
    if (p && balance_may_choose(set, p->endpoint, ask)) return tier->items[p->index];
    return balance_algorithms[BALANCE_LEAST_REQUESTS]->choose(state, set, tier, ask);
}

extern const struct balance_ops balance_sticky;
const struct balance_ops        balance_sticky = {
           .name = "sticky", .table_new = table_new, .table_free = table_free, .choose = choose
};

struct slice balance_token(const struct endpoint_set *set, const struct endpoint *e)
{
    for (unsigned i = 0; set->balance == &balance_sticky && i < TIER_COUNT; i++) {
        const struct sticky *t = set->tiers[i].table;
        const struct place  *p = t ? map_get(&t->by_endpoint, key_of(&e)) : NULL;
        if (p) return slice_make(p->token, sizeof(p->token));
    }
    return slice_make(NULL, 0);
}
