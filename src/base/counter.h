/* SPDX-License-Identifier: Apache-2.0
 *
 * A counter that one thread writes and any thread reads: no locked
 * instruction, no torn value.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

struct counter {
    _Atomic uint64_t value;
};

static inline void counter_add(struct counter *c, uint64_t n)
{
    atomic_store_explicit(&c->value, atomic_load_explicit(&c->value, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* For gauges: n may be negative. */
static inline void counter_move(struct counter *c, int64_t n)
{
    counter_add(c, (uint64_t)n);
}

static inline uint64_t counter_get(const struct counter *c)
{
    return atomic_load_explicit(&c->value, memory_order_relaxed);
}
