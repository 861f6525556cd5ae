/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers as decimal digits, where printf would cost more than the request.
 */
#pragma once

#include <stdint.h>

enum { DECIMAL_BYTES_MAX = 20 }; /* of 64 bits */

extern const char decimal_pairs[201]; /* "00" to "99" */

/* No NUL; returns the end. */
char *decimal_put_long(char *to, uint64_t n);

static inline char *decimal_put(char *to, uint64_t n)
{
    if (n >= 10) return decimal_put_long(to, n);
    *to = (char)('0' + n);
    return to + 1;
}
