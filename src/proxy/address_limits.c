/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections and handshakes of client addresses. See address_limits.h.
 */
#include "proxy/address_limits.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/tally.h"

/* Room for four times the connections of limits.max_connections' preset, and for some
 * 200,000 addresses that shake hands; touched as it is used. */
enum { CONNECTIONS_BYTES = 2 * 1024 * 1024, HANDSHAKES_BYTES = 2 * 1024 * 1024 };

struct address_limits {
    /* NULL until a plan has such a rule, then there for good: connections of older plans
     * have entered the same one. */
    struct tally      *connections;
    struct gcra_table *handshakes;
    /* Of any worker: what is refused is rare, or costs an attacker more. */
    _Atomic uint64_t refused[ADDRESS_HANDSHAKES + 1]; /* by verdict */
    _Atomic uint64_t untracked;
};

struct address_limits *address_limits_new(void)
{
    return mem_zalloc(sizeof(struct address_limits));
}

void address_limits_free(struct address_limits *l)
{
    if (!l) return;
    tally_free(l->connections);
    gcra_table_free(l->handshakes);
    free(l);
}

struct address_rule address_rule_make(struct address_limits *l, const struct listener_settings *s)
{
    struct address_rule rule = { .connections = s->max_connections_per_address };
    if (rule.connections && !l->connections) l->connections = tally_new(CONNECTIONS_BYTES);
    if (!s->tls || !s->tls->handshake_count) return rule;
    /* As many at once as come in a period. */
    uint64_t count = s->tls->handshake_count;
    rule.handshakes = gcra_rule_make(count, s->tls->handshake_period, (uint32_t)(count - 1));
    if (!l->handshakes) l->handshakes = gcra_table_new(HANDSHAKES_BYTES);
    return rule;
}

static struct slice key_of(const struct address *a)
{
    size_t len = a->family == ADDRESS_V4 ? 4 : a->family == ADDRESS_V6 ? 8 : 0;
    return slice_make((const char *)a->ip, len);
}

static enum address_verdict refuse(struct address_limits *l, enum address_verdict verdict)
{
    atomic_fetch_add_explicit(&l->refused[verdict], 1, memory_order_relaxed);
    return verdict;
}

enum address_verdict address_limits_enter(struct address_limits *l, const struct address_rule *rule,
                                          const struct address *peer, uint64_t now_ns,
                                          uint32_t *place)
{
    struct slice      key = key_of(peer);
    enum tally_result result = TALLY_ENTERED;
    *place = 0;
    if (!key.len) return ADDRESS_ADMITTED;
    if (rule->connections) result = tally_enter(l->connections, key, rule->connections, place);
    if (result == TALLY_FULL) return refuse(l, ADDRESS_CONNECTIONS);
    if (result == TALLY_UNTRACKED)
        atomic_fetch_add_explicit(&l->untracked, 1, memory_order_relaxed);
    if (!rule->handshakes.interval_ns ||
        gcra_take(l->handshakes, key, &rule->handshakes, now_ns).admitted)
        return ADDRESS_ADMITTED;
    address_limits_leave(l, *place);
    *place = 0;
    return refuse(l, ADDRESS_HANDSHAKES);
}

void address_limits_leave(struct address_limits *l, uint32_t place)
{
    if (place) tally_leave(l->connections, place);
}

static uint64_t value_of(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

struct address_limits_counts address_limits_count(const struct address_limits *l)
{
    return (struct address_limits_counts){
        .refused_connections = value_of(&l->refused[ADDRESS_CONNECTIONS]),
        .refused_handshakes = value_of(&l->refused[ADDRESS_HANDSHAKES]),
        .untracked = value_of(&l->untracked),
    };
}
