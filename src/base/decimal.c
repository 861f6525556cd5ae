/* SPDX-License-Identifier: Apache-2.0
 *
 * Decimal digits, two at a time. See decimal.h.
 */
#include "base/decimal.h"

#include <string.h>

const char decimal_pairs[201] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445"
    "46474849505152535455565758596061626364656667686970717273747576777879808182838485868788899091"
    "92939495969798"
    "99";

static unsigned digit_count(uint64_t n)
{
    unsigned count = 1;
    for (; n >= 10000; n /= 10000) count += 4;
    return count + (n >= 10) + (n >= 100) + (n >= 1000);
}

char *decimal_put_long(char *to, uint64_t n)
{
    char *end = to + digit_count(n), *at = end;
    for (; n >= 100; n /= 100) memcpy(at -= 2, decimal_pairs + 2 * (n % 100), 2);
    if (n >= 10)
        memcpy(at - 2, decimal_pairs + 2 * n, 2);
    else
        at[-1] = (char)('0' + n);
    return end;
}
