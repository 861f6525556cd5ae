/* SPDX-License-Identifier: Apache-2.0
 *
 * Randomness: a fast generator for balancing and jitter (one thread each, not
 * secret), and the kernel's for keys.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct random {
    uint64_t s[4];
};

/* Seeded by the kernel. xoshiro256** (Blackman, Vigna 2018; public domain). */
void     random_init(struct random *r);
uint64_t random_next(struct random *r);
/* In [0, bound); bound > 0. */
uint32_t random_below(struct random *r, uint32_t bound);
/* For secrets: getrandom(2), never fails. */
void random_secret(void *to, size_t len);
