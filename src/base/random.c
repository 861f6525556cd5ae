/* SPDX-License-Identifier: Apache-2.0
 *
 * Random numbers. See random.h.
 */
#include "base/random.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

void random_secret(void *to, size_t len)
{
    char *at = to;
    while (len) {
        ssize_t n = getrandom(at, len, 0);
        if (n < 0 && errno != EINTR) abort();
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        }
    }
}

void random_init(struct random *r)
{
    random_secret(r->s, sizeof(r->s));
    r->s[0] |= 1;
}

static uint64_t rotate(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

uint64_t random_next(struct random *r)
{
    uint64_t *s = r->s;
    uint64_t  result = rotate(s[1] * 5, 7) * 9;
    uint64_t  t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint32_t random_below(struct random *r, uint32_t bound)
{
    return (uint32_t)(((random_next(r) >> 32) * bound) >> 32);
}
