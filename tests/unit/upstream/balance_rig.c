/* SPDX-License-Identifier: Apache-2.0
 *
 * See balance_rig.h.
 */
#include "balance_rig.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

static struct endpoint *make_endpoint(size_t i, uint32_t weight, bool is_backup)
{
    char                 identity[32];
    struct endpoint_spec spec = { .weight = weight, .is_backup = is_backup };
    snprintf(identity, sizeof(identity), "10.0.%zu.%zu:80", i / 256, i % 256);
    spec.identity = slice_of(identity);
    spec.address.family = ADDRESS_V4;
    struct endpoint *e = endpoint_new(&spec, NULL);
    e->slot = (uint32_t)i;
    return e;
}

void rig_init_tiers(struct rig *r, enum setting_balance algorithm, const uint32_t *weights,
                    size_t count, size_t primaries)
{
    *r = (struct rig){ .count = count };
    r->settings.algorithm = algorithm;
    r->config.settings = &r->settings;
    r->config.upstream = S("app");
    memset(r->config.secret, 7, sizeof(r->config.secret));
    r->endpoints = mem_alloc(count * sizeof(struct endpoint *));
    r->weights = mem_alloc(count * sizeof(r->weights[0]));
    r->is_out = mem_zalloc(count * sizeof(r->is_out[0]));
    for (size_t i = 0; i < count; i++) {
        r->weights[i] = weights ? weights[i] : 1;
        r->endpoints[i] = make_endpoint(i, r->weights[i], i >= primaries);
    }
    r->random = (struct random){ { 1, 2, 3, 4 } };
    r->ask.random = &r->random;
    rig_publish(r);
}

void rig_init(struct rig *r, enum setting_balance algorithm, const uint32_t *weights, size_t count)
{
    rig_init_tiers(r, algorithm, weights, count, count);
}

void rig_reset(struct rig *r)
{
    endpoint_set_free(r->set);
    balance_state_reset(&r->state);
    for (size_t i = 0; i < r->count; i++) endpoint_unref(r->endpoints[i]);
    free(r->endpoints);
    free(r->weights);
    free(r->is_out);
}

void rig_publish(struct rig *r)
{
    struct endpoint_pick *picks = mem_alloc(r->count * sizeof(*picks));
    size_t                n = 0;
    uint32_t              request_max = r->set ? r->set->request_max : 0;
    for (size_t i = 0; i < r->count; i++) {
        size_t at = r->is_reversed ? r->count - 1 - i : i;
        if (r->is_out[at]) continue;
        picks[n++] = (struct endpoint_pick){ r->endpoints[at], r->weights[at], false };
    }
    endpoint_set_free(r->set);
    r->set = endpoint_set_new(balance_algorithms[r->settings.algorithm], &r->config, picks, n);
    r->set->request_max = request_max;
    free(picks);
}

int rig_choose(struct rig *r)
{
    const struct endpoint *e = balance_choose(&r->state, r->set, &r->ask);
    return e ? (int)e->slot : RIG_NONE;
}

void rig_count(struct rig *r, unsigned draws, unsigned *seen)
{
    memset(seen, 0, r->count * sizeof(*seen));
    for (unsigned i = 0; i < draws; i++) {
        int at = rig_choose(r);
        assert_true(at >= 0);
        seen[at]++;
    }
}

void rig_set_active(struct rig *r, size_t i, uint32_t active)
{
    atomic_store(&r->endpoints[i]->live->active, active);
}

/* splitmix64 (Steele, Lea, Flood 2014). */
uint64_t rig_hash(uint64_t n)
{
    uint64_t x = (n + 1) * 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

void rig_owners(struct rig *r, int *owners, size_t count)
{
    r->ask.has_hash = true;
    for (size_t i = 0; i < count; i++) {
        r->ask.hash = rig_hash(i);
        owners[i] = rig_choose(r);
    }
}

void rig_assert_shares(const struct rig *r, const unsigned *seen, unsigned draws,
                       unsigned deviations)
{
    double total = 0;
    for (size_t i = 0; i < r->count; i++) total += r->is_out[i] ? 0 : r->weights[i];
    for (size_t i = 0; i < r->count; i++) {
        double p = r->is_out[i] ? 0 : r->weights[i] / total;
        double off = seen[i] - draws * p;
        /* Squared, as a draw of n has variance n p (1 - p). */
        assert_true(off * off <= (double)deviations * deviations * draws * p * (1 - p));
    }
}
