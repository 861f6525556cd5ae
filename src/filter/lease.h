/* SPDX-License-Identifier: Apache-2.0
 *
 * What one gateway remembers of a rule that is shared through Redis: tokens in
 * hand, and refusals. A fixed table for all workers, without locks, without an
 * allocation a request, and without any I/O: it says when to ask and how much
 * for, whoever asks tells it the answers. The time is passed in.
 *
 *   exact   each request asks for one token. When an answer said that the bucket
 *           is empty, the key is refused here until the time that it named.
 *   lease   tokens are fetched in advance: what the key used in 100 ms, at most
 *           burst / 2N (N gateways), and anew when half is left; so a hot key asks
 *           ten times a second. One fetch of a key is under way at a time; a request
 *           that comes when nothing is left meanwhile asks for itself. A key with
 *           less than two requests in 100 ms asks as in exact, so nothing idles
 *           in hand. A hot key that has found the bucket empty asks again after
 *           100 ms (or after half the time in which the bucket fills, so nothing
 *           overflows there): what came together meanwhile is fetched at once.
 *
 * How much a fleet admits. Redis grants, less what was given back, at most
 * rate x w + burst + 1 in any window w: a token moves the TAT on by an interval
 * (back when it is returned), time moves it back by w at most, and it lies between now and
 * burst + 1 intervals ahead. A gateway holds, in hand and as a fetch under way
 * together, never more than burst / 2N of a key, one lease. An answer of an older
 * fetch than the last one adds nothing: its tokens are surplus, to be given back.
 * A request that asks for itself is answered within the deadline d or not
 * admitted by Redis's word. So what N gateways admit in a window w was granted in
 * w + d, or in hand when that began:
 *
 *       rate x (w + d) + burst + 1 + N leases
 *
 * whatever is evicted, late or lost: lost tokens were debited, so the fleet only
 * admits less. Where rate x d is at most N - 1 (200 a second for each gateway but
 * one, with 5 ms), this is at most rate x w + burst + N leases + N.
 *
 * What happens to a key:
 *
 *           take: ASK, ticket            answered: tokens in hand
 *   nothing ----------------> fetch under way ---------------> lease
 *      ^                        |   ^                           |  take: ADMITTED
 *      |      failed            |   '------ half is left -------|
 *      |<-----------------------'                               |
 *      |<----------- sweep: unused for a second, give back -----'
 *
 * Keys share sets of seven; when all are in use, the least recently used one
 * without tokens makes room, else with tokens: those are lost, and counted.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct lease_table;

enum { LEASE_KEY_MAX = 24 }; /* bytes; the caller has made a digest of longer ones */

struct lease_terms {
    uint64_t interval_ns; /* between two requests at the full rate */
    uint32_t burst;
    uint32_t gateways; /* live ones that share the rule; 0 counts as 1 */
    bool     is_exact;
};

enum lease_verdict {
    LEASE_ADMITTED, /* want > 0: fetch so many besides; nobody waits for them */
    LEASE_REFUSED,
    LEASE_ASK /* the request waits for the answer to `want`, and one of them is its own */
};

struct lease_take {
    enum lease_verdict verdict;
    uint32_t           want;   /* tokens to ask Redis for, now */
    uint32_t           ticket; /* of the fetch, else 0: goes back with the answer or the failure */
    uint32_t           remaining;      /* as far as it is known here; not with ASK */
    uint64_t           retry_after_ms; /* of a refusal */
    uint64_t           reset_ms;       /* until the bucket is full; not with ASK */
};

/* What the script returned. */
struct lease_answer {
    uint32_t ticket;
    uint32_t granted;
    uint32_t left;           /* in the bucket, after it */
    uint64_t retry_after_us; /* until there is one more than `left`; counts when that is 0 */
    bool     is_awaited;     /* a request still waits: one of the granted is spent by it */
};

struct lease_sweep {
    unsigned part, part_count; /* which part of the table: several threads, or several turns */
    uint64_t unused_since_ns;  /* a second ago; UINT64_MAX gives all back, as one leaves */
    /* To be given back: they are no longer in hand. `key` lasts for the call. */
    void (*on_unused)(void *arg, struct slice key, uint32_t tokens);
    void *arg;
};

struct lease_counts {
    uint64_t evictions;   /* keys forgotten with tokens, a refusal, or a fetch under way */
    uint64_t lost_tokens; /* that evicted keys had in hand */
};

/* At most `bytes` (a power of two is used whole, and at least 4 KiB) and two thousandths more;
 * 512 hold seven keys, and memory is touched as it is used. NULL: the system has
 * not that much. */
struct lease_table *lease_table_new(size_t bytes);
void                lease_table_free(struct lease_table *t);

/* burst / 2N, at least 1. Below 2 there is nothing to lease. */
uint32_t lease_size_max(const struct lease_terms *terms);

/* All below: any thread; `now_ns` is monotonic, threads may differ by a little. A key
 * has 1 to LEASE_KEY_MAX bytes. */
struct lease_take lease_take(struct lease_table *t, struct slice key,
                             const struct lease_terms *terms, uint64_t now_ns);

/* An answer to what lease_take wanted, `asked_ns` when it was sent: a refusal counts from
 * there. Returns how many of the granted tokens cannot be used here and should be given back. */
uint32_t lease_answered(struct lease_table *t, struct slice key, const struct lease_terms *terms,
                        const struct lease_answer *answer, uint64_t asked_ns)
    __attribute__((warn_unused_result));

/* No answer came in time, or an error: another fetch may begin. The answer may still come,
 * and counts until there is another. */
void lease_failed(struct lease_table *t, struct slice key, uint32_t ticket);

/* Costs a bit for each key of the part, and a look at those with tokens. True: some of them
 * are still in use. */
bool lease_sweep(struct lease_table *t, const struct lease_sweep *sweep);

struct lease_counts lease_counts(const struct lease_table *t);
