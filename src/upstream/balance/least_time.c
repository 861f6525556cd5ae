/* SPDX-License-Identifier: Apache-2.0
 *
 * The quicker of two random choices by weight: the one where the mean latency
 * (peak EWMA) times the requests in progress, this one included, is less. As in
 * Finagle's PeakEwma balancer; the mean fades while nobody asks, so a replica
 * that was slow once is tried again.
 */
#include "upstream/balance/balance.h"

/* Of an endpoint that has requests and no answer yet: as if it took 1,000 s. */
static const double PENALTY_US = 1e9;

/* Requests in progress count for the endpoint's weight against the average one. The one to
 * come counts as one everywhere: draws are by weight already, and idle endpoints of the same
 * latency get what their weights say. */
static double cost(const struct endpoint_tier *tier, size_t i, uint64_t now_ns)
{
    const struct endpoint *e = tier->items[i];
    double                 active = atomic_load_explicit(&e->live->active, memory_order_relaxed);
    double                 latency = endpoint_latency_us(e, now_ns);
    if (latency == 0) return active > 0 ? PENALTY_US + active : 0;
    if (tier->is_even) return latency * (active + 1);
    double share = (double)tier->weights[i] * (double)tier->count / (double)tier->total_weight;
    return latency * (active / share + 1);
}

static struct endpoint *choose(void *state, const struct endpoint_set *set,
                               const struct endpoint_tier *tier, const struct balance_ask *ask)
{
    (void)state;
    size_t two[2];
    if (!balance_draw_two(set, tier, ask, two)) return NULL;
    bool is_second = cost(tier, two[1], ask->now_ns) < cost(tier, two[0], ask->now_ns);
    return tier->items[two[is_second]];
}

extern const struct balance_ops balance_least_time;
const struct balance_ops        balance_least_time = { .name = "least_time", .choose = choose };
