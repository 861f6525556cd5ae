/* SPDX-License-Identifier: Apache-2.0
 *
 * Zipf's law over 1 to n, in constant time and memory: rejection-inversion
 * (Hoermann and Derflinger, 1996).
 */
#pragma once

#include <math.h>
#include <stdint.h>

#include "base/random.h"

struct zipf {
    double n, s;
    double first, last; /* the integral's range */
    double near;        /* so close to the number, no second look is needed */
};

/* The integral of x^-s, and back. */
static inline double zipf_integral(const struct zipf *z, double x)
{
    return fabs(z->s - 1) < 1e-9 ? log(x) : (pow(x, 1 - z->s) - 1) / (1 - z->s);
}

static inline double zipf_inverse(const struct zipf *z, double y)
{
    return fabs(z->s - 1) < 1e-9 ? exp(y) : pow(1 + y * (1 - z->s), 1 / (1 - z->s));
}

static inline void zipf_init(struct zipf *z, uint64_t n, double s)
{
    z->n = (double)n;
    z->s = s;
    z->first = zipf_integral(z, 1.5) - 1;
    z->last = zipf_integral(z, z->n + 0.5);
    z->near = 2 - zipf_inverse(z, zipf_integral(z, 2.5) - pow(2, -s));
}

static inline uint64_t zipf_next(const struct zipf *z, struct random *random)
{
    for (;;) {
        double u = (double)(random_next(random) >> 11) / (double)((uint64_t)1 << 53);
        double at = z->last + u * (z->first - z->last);
        double x = zipf_inverse(z, at), k = floor(x + 0.5);
        if (k < 1) k = 1;
        if (k > z->n) k = z->n;
        if (k - x <= z->near || at >= zipf_integral(z, k + 0.5) - pow(k, -z->s)) return (uint64_t)k;
    }
}
