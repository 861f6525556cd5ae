/* SPDX-License-Identifier: Apache-2.0
 *
 * The script by which Redis keeps a bucket: the generic cell rate algorithm over
 * one value a key, the theoretical arrival time (TAT) in microseconds of Redis's
 * own clock.
 *
 *   EVALSHA sha1 1 KEY interval span want  ->  granted, left, retry after, reset
 *
 *   interval, span   of limit_script_args
 *   want             tokens; as many as there are of them are granted. Negative: so
 *                    many are given back, which never fills more than the bucket
 *                    and leaves a key that is not there alone. 0: only looks.
 *   granted          minus what was given back
 *   left             in the bucket, after it
 *   retry after      microseconds until there is one; 0 when there is
 *   reset            microseconds until the bucket is full
 *
 * A key lives until its bucket is full, not shorter. A refusal writes nothing; but
 * a TAT that lies further ahead than the bucket is deep (the rule has become
 * smaller, or Redis's clock was set back) is cut to it.
 */
#pragma once

#include <stdint.h>

extern const char limit_script_text[];
extern const char limit_script_sha1[]; /* of the text, in hexadecimal */

struct limit_script_args {
    char interval[24];
    char span[24];
};

/* In quarters of a microsecond, rounded up so that the rate is never exceeded: Lua counts in
 * doubles, which are exact so (until the year 2041). Bounded by ten years. */
void limit_script_args(struct limit_script_args *args, uint64_t interval_ns, uint32_t burst);
