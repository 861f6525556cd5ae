/* SPDX-License-Identifier: Apache-2.0
 *
 * A bucket in Redis. See limit_script.h. tests/e2e/test_limit_script.py reads the
 * text from here, and checks the sum. A key's life begins at the millisecond before
 * now, hence the one more.
 */
#include "filter/limit_script.h"

#include <stdio.h>

const char limit_script_text[] =
    "local interval, span, want = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])\n"
    "local time = redis.call('TIME')\n"
    "local now = time[1] * 1000000 + time[2]\n"
    "local ahead = math.max((tonumber(redis.call('GET', KEYS[1])) or now) - now, 0)\n"
    "local before = ahead\n"
    "ahead = math.min(ahead, span)\n"
    "local granted = math.min(want, math.floor((span - ahead) / interval))\n"
    "ahead = math.max(ahead + granted * interval, 0)\n"
    "if ahead > 0 and ahead ~= before then\n"
    "  redis.call('SET', KEYS[1], now + ahead, 'PX', math.ceil(ahead / 1000) + 1)\n"
    "elseif ahead ~= before then\n"
    "  redis.call('DEL', KEYS[1])\n"
    "end\n"
    "local left = math.floor((span - ahead) / interval)\n"
    "local wait = left > 0 and 0 or math.ceil(interval - (span - ahead))\n"
    "return { granted, left, wait, math.ceil(ahead) }\n";

const char limit_script_sha1[] = "81855cd0bfa5f7ec753013dc7d09bbffc4a6a00c";

#define QUARTERS_MAX ((uint64_t)10 * 366 * 86400 * 1000000 * 4)

static void put(char to[24], uint64_t quarters)
{
    static const char *const parts[] = { "", ".25", ".5", ".75" };
    snprintf(to, 24, "%llu%s", (unsigned long long)(quarters / 4), parts[quarters % 4]);
}

void limit_script_args(struct limit_script_args *args, uint64_t interval_ns, uint32_t burst)
{
    uint64_t interval = interval_ns / 250 + (interval_ns % 250 != 0), span;
    if (interval > QUARTERS_MAX) interval = QUARTERS_MAX;
    if (!interval) interval = 1;
    if (__builtin_mul_overflow(interval, (uint64_t)burst + 1, &span) || span > QUARTERS_MAX)
        span = QUARTERS_MAX;
    put(args->interval, interval);
    put(args->span, span);
}
