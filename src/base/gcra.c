/* SPDX-License-Identifier: Apache-2.0
 *
 * GCRA over a fixed table. See gcra.h.
 *
 * A set is half a cache line: one word with the tags of three keys, and their
 * TATs. The tags change by one compare-and-swap, so that a key never gets into
 * a set twice; a TAT is moved by another. Whoever has moved a TAT looks at the
 * tag again: if the key was replaced meanwhile, it starts over in its new place
 * (the newcomer keeps the surplus, which errs towards refusing). A key that is
 * charged in the few nanoseconds in which another one takes its expired place
 * is forgotten, as if evicted.
 */
#include "base/gcra.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/memory.h"
#include "base/random.h"

enum { WAYS = 3, TAG_BITS = 21, SECRET_BYTES = 192, BYTES_MIN = 4096 };

#define TAG_MASK (((uint64_t)1 << TAG_BITS) - 1)
#define NS_MAX (UINT64_MAX / 4) /* sums of two stay far from the end */

struct gcra_set {
    _Atomic uint64_t tags; /* 0: free */
    _Atomic uint64_t tats[WAYS];
};

struct gcra_table {
    struct gcra_set *sets;
    size_t           mask; /* sets less one */
    _Atomic uint64_t evictions;
    unsigned char    secret[SECRET_BYTES];
};

static_assert(sizeof(struct gcra_set) == 32, "two sets a cache line");
static_assert(SECRET_BYTES >= XXH3_SECRET_SIZE_MIN, "XXH3 takes the secret");

struct gcra_rule gcra_rule_make(uint64_t count, uint64_t period_ms, uint32_t burst)
{
    assert(count && period_ms);
    struct gcra_rule r;
    uint64_t         period_ns;
    if (__builtin_mul_overflow(period_ms, (uint64_t)1000000, &period_ns)) period_ns = NS_MAX;
    r.interval_ns = period_ns / count + (period_ns % count != 0);
    if (r.interval_ns > NS_MAX) r.interval_ns = NS_MAX;
    if (__builtin_mul_overflow(r.interval_ns, (uint64_t)burst + 1, &r.span_ns) ||
        r.span_ns > NS_MAX)
        r.span_ns = NS_MAX;
    return r;
}

struct gcra_table *gcra_table_new(size_t bytes)
{
    struct gcra_table *t = mem_zalloc(sizeof(*t));
    size_t             used = BYTES_MIN;
    while (used <= bytes / 2) used *= 2;
    /* Pages count when they are touched. */
    void *sets = mmap(NULL, used, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (sets == MAP_FAILED) {
        free(t);
        return NULL;
    }
    t->sets = sets;
    t->mask = used / sizeof(*t->sets) - 1;
    random_secret(t->secret, sizeof(t->secret));
    return t;
}

void gcra_table_free(struct gcra_table *t)
{
    if (!t) return;
    munmap(t->sets, (t->mask + 1) * sizeof(*t->sets));
    free(t);
}

static uint64_t tag_at(uint64_t tags, unsigned way)
{
    return tags >> (way * TAG_BITS) & TAG_MASK;
}

/* WAYS when it is not there. */
static unsigned find(uint64_t tags, uint64_t tag)
{
    unsigned way = 0;
    while (way < WAYS && tag_at(tags, way) != tag) way++;
    return way;
}

/* A free place (its time is 0), or the one whose bucket is full first. */
static unsigned choose(const struct gcra_set *set, uint64_t *tat)
{
    unsigned best = 0;
    *tat = UINT64_MAX;
    for (unsigned way = 0; way < WAYS; way++) {
        uint64_t its = atomic_load_explicit(&set->tats[way], memory_order_acquire);
        if (its >= *tat) continue;
        best = way;
        *tat = its;
    }
    return best;
}

/* The caller looks again: another thread may have been faster, perhaps with the same key. */
static void claim(struct gcra_table *t, struct gcra_set *set, uint64_t tags, uint64_t tag,
                  uint64_t now_ns)
{
    uint64_t tat;
    unsigned way = choose(set, &tat), shift = way * TAG_BITS;
    uint64_t mine = (tags & ~(TAG_MASK << shift)) | tag << shift;
    if (!atomic_compare_exchange_strong(&set->tags, &tags, mine)) return;
    if (tat <= now_ns) return; /* as good as none */
    atomic_fetch_add_explicit(&t->evictions, 1, memory_order_relaxed);
    atomic_compare_exchange_strong(&set->tats[way], &tat, 0);
}

static uint64_t ms_up(uint64_t ns)
{
    return ns / 1000000 + (ns % 1000000 != 0);
}

/* *tat becomes what it is to be when the request is admitted. */
static struct gcra_decision decide(const struct gcra_rule *rule, uint64_t now_ns, uint64_t *tat)
{
    uint64_t ahead = *tat > now_ns ? *tat - now_ns : 0;
    /* Left by a rule with a larger span. */
    if (ahead > rule->span_ns) ahead = rule->span_ns;
    uint64_t next = ahead + rule->interval_ns;
    if (next > rule->span_ns)
        return (struct gcra_decision){ .admitted = false,
                                       .retry_after_ms = ms_up(next - rule->span_ns),
                                       .reset_ms = ms_up(ahead) };
    uint64_t remaining = (rule->span_ns - next) / rule->interval_ns;
    *tat = now_ns + next;
    return (struct gcra_decision){ .admitted = true,
                                   .remaining =
                                       remaining < UINT32_MAX ? (uint32_t)remaining : UINT32_MAX,
                                   .reset_ms = ms_up(next),
                                   .early_ms = ms_up(ahead) };
}

static uint64_t hash_of(const struct gcra_table *t, struct slice key)
{
    return XXH3_64bits_withSecret(key.data, key.len, t->secret, sizeof(t->secret));
}

static uint64_t tag_of(uint64_t hash)
{
    uint64_t tag = hash >> (64 - TAG_BITS);
    return tag ? tag : 1;
}

struct gcra_decision gcra_peek(const struct gcra_table *t, struct slice key,
                               const struct gcra_rule *rule, uint64_t now_ns)
{
    uint64_t         hash = hash_of(t, key), tat = 0;
    struct gcra_set *set = &t->sets[hash & t->mask];
    unsigned         way = find(atomic_load(&set->tags), tag_of(hash));
    if (way < WAYS) tat = atomic_load(&set->tats[way]);
    struct gcra_decision d = decide(rule, now_ns, &tat);
    if (!d.admitted) return d;
    d.remaining++; /* nothing was taken */
    d.reset_ms = d.early_ms;
    return d;
}

struct gcra_decision gcra_take(struct gcra_table *t, struct slice key, const struct gcra_rule *rule,
                               uint64_t now_ns)
{
    uint64_t         hash = hash_of(t, key), tag = tag_of(hash);
    struct gcra_set *set = &t->sets[hash & t->mask];
    for (;;) {
        uint64_t tags = atomic_load(&set->tags);
        unsigned way = find(tags, tag);
        if (way == WAYS) {
            claim(t, set, tags, tag, now_ns);
            continue;
        }
        uint64_t             tat = atomic_load(&set->tats[way]), next = tat;
        struct gcra_decision d = decide(rule, now_ns, &next);
        if (d.admitted && !atomic_compare_exchange_strong(&set->tats[way], &tat, next)) continue;
        if (tag_at(atomic_load(&set->tags), way) == tag) return d;
    }
}

uint64_t gcra_evictions(const struct gcra_table *t)
{
    return atomic_load_explicit(&t->evictions, memory_order_relaxed);
}
