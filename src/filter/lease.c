/* SPDX-License-Identifier: Apache-2.0
 *
 * Leases and refusals of keys over a fixed table. See lease.h.
 *
 * A set is eight cache lines: one with the tags of seven keys, and one a key. An
 * entry's state, one word, says what is in hand and carries a generation, which
 * grows whenever the entry gets another key. All that happens to tokens is one
 * compare-and-swap of that word, so it can only happen to the key that was found.
 * What need not be exact (when the next request is worth asking for, what is left
 * in Redis) lies beside it, marked with the generation.
 *
 * To bring in a key, a thread marks the entry that makes room as busy, changes the
 * tag, writes the key and ends with the state. Whoever meets a busy entry does not
 * wait: its request asks for itself, as if there were no table.
 */
#include "filter/lease.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/memory.h"
#include "base/random.h"

enum {
    WAYS = 7,
    SECRET_BYTES = 192,
    BYTES_MIN = 4096,
    KEY_WORDS = LEASE_KEY_MAX / 8,
    SIZE_MAX_TOKENS = UINT16_MAX, /* tokens of a lease have 16 bits */
    ID_LENGTH_BITS = 5,
    UNTIL_SHIFT = 14 /* refusals end in units of 16 us, rounded down: the call takes longer */
};

#define WINDOW_NS ((uint64_t)100 * 1000 * 1000)
#define REFUSAL_NS_MAX ((uint64_t)86400 * 1000 * 1000 * 1000)
#define EACH_BYTE ((uint64_t)0x0101010101010101)

/* state: generation 32 | number of the last fetch 14 | it is under way 1 | busy 1 | tokens 16 */
#define GENERATION_SHIFT 32
#define FETCH_SHIFT 18
#define FETCH_BITS 14
#define FETCH_MASK ((((uint64_t)1 << FETCH_BITS) - 1) << FETCH_SHIFT)
#define UNDER_WAY ((uint64_t)1 << 17)
#define BUSY ((uint64_t)1 << 16)
#define TOKENS_MASK ((uint64_t)0xffff)

/* refused_until and left: the generation's low 16 bits | 48 of value */
#define NOTE_BITS 48
#define NOTE_MASK (((uint64_t)1 << NOTE_BITS) - 1)

struct lease_entry {
    _Atomic uint64_t state;
    _Atomic uint64_t id;            /* the key's hash over its length; 0: no key */
    _Atomic uint64_t use;           /* 100 ms: number 32 | requests before 16 | requests 16 */
    _Atomic uint64_t refused_until; /* note */
    _Atomic uint64_t left;          /* in Redis when it last answered; note */
    _Atomic uint64_t key[KEY_WORDS];
};

struct lease_set {
    _Atomic uint64_t   tags; /* seven bytes, 0: free; the highest counts changes */
    uint64_t           unused[7];
    struct lease_entry entries[WAYS];
};

struct lease_table {
    struct lease_set *sets;
    size_t            mask;  /* sets less one */
    _Atomic uint64_t *dirty; /* a byte a set, a bit for each entry with tokens */
    size_t            mapped_bytes;
    _Atomic uint64_t  evictions;
    _Atomic uint64_t  lost_tokens;
    unsigned char     secret[SECRET_BYTES];
};

static_assert(sizeof(struct lease_entry) == 64, "a cache line");
static_assert(sizeof(struct lease_set) == 512, "a power of two");
static_assert(SECRET_BYTES >= XXH3_SECRET_SIZE_MIN, "XXH3 takes the secret");
static_assert(LEASE_KEY_MAX < 1 << ID_LENGTH_BITS, "an id holds the length");

/* A key as an entry keeps it, and where it belongs. */
struct name {
    uint64_t          id;
    uint64_t          words[KEY_WORDS];
    struct lease_set *set;
    uint64_t          tag;
};

/* An entry that holds the key, as long as its state has not changed. */
struct spot {
    struct lease_entry *entry;
    uint64_t            state;
};

struct lease_table *lease_table_new(size_t bytes)
{
    struct lease_table *t = mem_zalloc(sizeof(*t));
    size_t              used = BYTES_MIN;
    while (used <= bytes / 2) used *= 2;
    size_t sets = used / sizeof(*t->sets);
    t->mapped_bytes = used + sets;
    void *map = mmap(NULL, t->mapped_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED) {
        free(t);
        return NULL;
    }
    t->sets = map;
    t->mask = sets - 1;
    t->dirty = (void *)((char *)map + used);
    random_secret(t->secret, sizeof(t->secret));
    return t;
}

void lease_table_free(struct lease_table *t)
{
    if (!t) return;
    munmap(t->sets, t->mapped_bytes);
    free(t);
}

uint32_t lease_size_max(const struct lease_terms *terms)
{
    uint64_t size = terms->burst / (2 * (uint64_t)(terms->gateways ? terms->gateways : 1));
    return size < 1 ? 1 : size > SIZE_MAX_TOKENS ? SIZE_MAX_TOKENS : (uint32_t)size;
}

/* ---- what the words mean ---- */

static uint32_t tokens_of(uint64_t state)
{
    return (uint32_t)(state & TOKENS_MASK);
}

/* As many bits of the generation as there is room for. Never 0: fetches count from 1. */
static uint32_t ticket_of(uint64_t state)
{
    return (uint32_t)(state >> FETCH_SHIFT);
}

static uint64_t begin_fetch(uint64_t state)
{
    uint64_t last = (state & FETCH_MASK) >> FETCH_SHIFT, most = FETCH_MASK >> FETCH_SHIFT;
    return (state & ~FETCH_MASK) | (last % most + 1) << FETCH_SHIFT | UNDER_WAY;
}

static bool same_key(uint64_t state, uint64_t later)
{
    return state >> GENERATION_SHIFT == later >> GENERATION_SHIFT;
}

static void note(_Atomic uint64_t *to, uint64_t state, uint64_t value)
{
    atomic_store(to, state >> GENERATION_SHIFT << NOTE_BITS | (value & NOTE_MASK));
}

/* 0 when it was another key's. */
static uint64_t noted(const _Atomic uint64_t *from, uint64_t state)
{
    uint64_t n = atomic_load(from);
    return (n ^ state >> GENERATION_SHIFT << NOTE_BITS) & ~NOTE_MASK ? 0 : n & NOTE_MASK;
}

static uint64_t refused_for_ns(const struct spot *s, uint64_t now_ns)
{
    uint64_t until_ns = noted(&s->entry->refused_until, s->state) << UNTIL_SHIFT;
    return until_ns > now_ns ? until_ns - now_ns : 0;
}

/* ---- finding a key ---- */

static struct name name_of(const struct lease_table *t, struct slice key)
{
    assert(key.len && key.len <= LEASE_KEY_MAX);
    struct name n = { .words = { 0 } };
    uint64_t    hash = XXH3_64bits_withSecret(key.data, key.len, t->secret, sizeof(t->secret));
    memcpy(n.words, key.data, key.len);
    n.id = hash >> ID_LENGTH_BITS << ID_LENGTH_BITS | key.len;
    n.set = &t->sets[hash >> ID_LENGTH_BITS & t->mask];
    n.tag = hash >> 56 ? hash >> 56 : 1;
    return n;
}

/* The way of a tag, and of those that look like it, from `way` on; WAYS: none. */
static unsigned next_way(uint64_t tags, uint64_t tag, unsigned way)
{
    uint64_t apart = tags ^ tag * EACH_BYTE;
    /* The high bit of each byte that is 0 (and now and then of one above it). */
    uint64_t same = (apart - EACH_BYTE) & ~apart & EACH_BYTE << 7;
    same = same >> (8 * way) << (8 * way) & ~((uint64_t)0xff << 8 * WAYS);
    return same ? (unsigned)__builtin_ctzll(same) / 8 : WAYS;
}

static bool holds(const struct lease_entry *e, const struct name *n)
{
    bool is_it = atomic_load_explicit(&e->id, memory_order_acquire) == n->id;
    for (unsigned i = 0; is_it && i < KEY_WORDS; i++)
        is_it = atomic_load_explicit(&e->key[i], memory_order_acquire) == n->words[i];
    return is_it;
}

enum found { FOUND, MISSING, UNSURE };

static enum found look(const struct name *n, uint64_t tags, struct spot *s)
{
    for (unsigned way = 0; (way = next_way(tags, n->tag, way)) < WAYS; way++) {
        s->entry = &n->set->entries[way];
        s->state = atomic_load(&s->entry->state);
        if (s->state & BUSY) return UNSURE;
        if (!holds(s->entry, n)) continue;
        return same_key(s->state, atomic_load(&s->entry->state)) ? FOUND : UNSURE;
    }
    return MISSING;
}

static bool find(const struct name *n, struct spot *s)
{
    return look(n, atomic_load(&n->set->tags), s) == FOUND;
}

/* ---- bringing one in ---- */

/* A free entry, or who was not used for longest; those with tokens come last. */
static unsigned choose(const struct lease_set *set, uint64_t tags)
{
    unsigned best = 0;
    uint64_t best_use = UINT64_MAX;
    bool     is_best_rich = true;
    for (unsigned way = 0; way < WAYS; way++) {
        if (!(tags >> 8 * way & 0xff)) return way;
        uint64_t use = atomic_load_explicit(&set->entries[way].use, memory_order_relaxed);
        bool     is_rich = tokens_of(atomic_load(&set->entries[way].state)) != 0;
        if (is_rich > is_best_rich || (is_rich == is_best_rich && use >= best_use)) continue;
        best = way;
        best_use = use;
        is_best_rich = is_rich;
    }
    return best;
}

static void count_eviction(struct lease_table *t, const struct spot *s, uint64_t now_ns)
{
    uint32_t tokens = tokens_of(s->state);
    if (!tokens && !(s->state & UNDER_WAY) && !refused_for_ns(s, now_ns)) return;
    atomic_fetch_add_explicit(&t->evictions, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&t->lost_tokens, tokens, memory_order_relaxed);
}

/* Whether the key has an entry now. If not, other threads are at work in the set. */
static bool claim(struct lease_table *t, const struct name *n, uint64_t tags, struct spot *s,
                  uint64_t now_ns)
{
    unsigned            way = choose(n->set, tags), shift = 8 * way;
    struct lease_entry *e = &n->set->entries[way];
    s->entry = e;
    s->state = atomic_load(&e->state);
    uint64_t mine = ((s->state >> GENERATION_SHIFT) + 1) << GENERATION_SHIFT;
    /* The tags once more: whoever came in since they were read stays. */
    if (s->state & BUSY || atomic_load(&n->set->tags) != tags ||
        !atomic_compare_exchange_strong(&e->state, &s->state, mine | BUSY))
        return false;
    count_eviction(t, s, now_ns);
    uint64_t changed =
        ((tags & ~((uint64_t)0xff << shift)) | n->tag << shift) + ((uint64_t)1 << 8 * WAYS);
    bool is_mine = atomic_compare_exchange_strong(&n->set->tags, &tags, changed);
    atomic_store_explicit(&e->id, is_mine ? n->id : 0, memory_order_release);
    for (unsigned i = 0; i < KEY_WORDS; i++)
        atomic_store_explicit(&e->key[i], n->words[i], memory_order_release);
    atomic_store_explicit(&e->use, is_mine ? now_ns / WINDOW_NS << 32 : 0, memory_order_relaxed);
    atomic_store_explicit(&e->refused_until, 0, memory_order_relaxed);
    atomic_store_explicit(&e->left, 0, memory_order_relaxed);
    s->state = mine;
    atomic_store(&e->state, mine);
    return is_mine;
}

/* False: do without. */
static bool find_or_claim(struct lease_table *t, const struct name *n, struct spot *s,
                          uint64_t now_ns)
{
    for (unsigned tries = 0; tries < 3; tries++) {
        uint64_t   tags = atomic_load(&n->set->tags);
        enum found f = look(n, tags, s);
        if (f != MISSING) return f == FOUND;
        if (claim(t, n, tags, s, now_ns)) return true;
    }
    return false;
}

/* ---- how much it is used ---- */

/* What came within the last 100 ms, if the time before that was even. */
static uint32_t use_rate(uint64_t use, uint64_t now_ns)
{
    uint64_t window = now_ns / WINDOW_NS, its = use >> 32;
    uint64_t before = use >> 16 & 0xffff, requests = use & 0xffff;
    if (window > its + 1) return 0;
    if (window == its + 1) {
        before = requests;
        requests = 0;
    }
    return (uint32_t)(requests + before * (WINDOW_NS - now_ns % WINDOW_NS) / WINDOW_NS);
}

static uint32_t count_use(struct lease_entry *e, uint64_t now_ns)
{
    uint64_t window = now_ns / WINDOW_NS, next;
    uint64_t use = atomic_load_explicit(&e->use, memory_order_relaxed);
    do {
        uint64_t its = use >> 32, requests = use & 0xffff;
        if (its >= window)
            next = use + (requests < 0xffff);
        else
            next = window << 32 | (its + 1 == window ? requests : 0) << 16 | 1;
    } while (!atomic_compare_exchange_weak_explicit(&e->use, &use, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    return use_rate(next, now_ns);
}

/* ---- a request ---- */

static uint64_t ms_up(uint64_t ns)
{
    return ns / 1000000 + (ns % 1000000 != 0);
}

static struct lease_take refuse(const struct lease_terms *terms, uint64_t wait_ns)
{
    /* The bucket is empty but for the part of a token that has come since. */
    uint64_t reset_ns;
    if (__builtin_mul_overflow(terms->interval_ns, (uint64_t)terms->burst, &reset_ns) ||
        __builtin_add_overflow(reset_ns, wait_ns, &reset_ns))
        reset_ns = UINT64_MAX;
    return (struct lease_take){ .verdict = LEASE_REFUSED,
                                .retry_after_ms = ms_up(wait_ns),
                                .reset_ms = ms_up(reset_ns) };
}

static struct lease_take admit(const struct spot *s, const struct lease_terms *terms)
{
    uint64_t full = (uint64_t)terms->burst + 1, reset_ns;
    uint64_t remaining = noted(&s->entry->left, s->state) + tokens_of(s->state) - 1;
    if (remaining > terms->burst) remaining = terms->burst;
    if (__builtin_mul_overflow(terms->interval_ns, full - remaining, &reset_ns))
        reset_ns = UINT64_MAX;
    return (struct lease_take){ .verdict = LEASE_ADMITTED,
                                .remaining = (uint32_t)remaining,
                                .reset_ms = ms_up(reset_ns) };
}

/* 0: fetching is not worth it, or not its time. What is in hand and on its way stays under
 * the maximum, so the largest lease is two thirds of it, and comes when one third is left. */
static uint32_t to_fetch(uint64_t state, const struct lease_terms *terms, uint32_t use)
{
    uint32_t max = lease_size_max(terms), tokens = tokens_of(state);
    if (terms->is_exact || state & UNDER_WAY || tokens > use / 2 || tokens > max / 3) return 0;
    uint32_t size = use < max - tokens ? use : max - tokens;
    return size >= 2 ? size : 0;
}

/* *next becomes the entry's state if that is what happens. */
static struct lease_take decide(const struct spot *s, const struct lease_terms *terms, uint32_t use,
                                uint64_t now_ns, uint64_t *next)
{
    uint64_t          wait_ns = refused_for_ns(s, now_ns);
    struct lease_take take = { .verdict = LEASE_ASK, .want = 1 };
    *next = s->state;
    if (tokens_of(s->state)) {
        take = admit(s, terms);
        --*next;
    } else if (wait_ns) {
        return refuse(terms, wait_ns);
    }
    uint32_t size = wait_ns ? 0 : to_fetch(*next, terms, use);
    if (size) {
        *next = begin_fetch(*next);
        take.want = size;
        take.ticket = ticket_of(*next);
    }
    return take;
}

struct lease_take lease_take(struct lease_table *t, struct slice key,
                             const struct lease_terms *terms, uint64_t now_ns)
{
    struct lease_take alone = { .verdict = LEASE_ASK, .want = 1 };
    struct name       n = name_of(t, key);
    struct spot       s;
    /* Exact keys are remembered when they are refused. */
    if (!(terms->is_exact ? find(&n, &s) : find_or_claim(t, &n, &s, now_ns))) return alone;
    uint32_t use = count_use(s.entry, now_ns);
    uint64_t generation = s.state, next;
    do {
        struct lease_take take = decide(&s, terms, use, now_ns, &next);
        if (next == s.state || atomic_compare_exchange_strong(&s.entry->state, &s.state, next))
            return take;
    } while (same_key(generation, s.state) && !(s.state & BUSY));
    return alone;
}

/* ---- answers ---- */

/* How long the key is not worth asking for. */
static uint64_t hold_ns(const struct spot *s, const struct lease_terms *terms,
                        const struct lease_answer *answer, uint64_t now_ns)
{
    uint64_t wait_ns, half_ns;
    if (__builtin_mul_overflow(answer->retry_after_us, (uint64_t)1000, &wait_ns) ||
        wait_ns > REFUSAL_NS_MAX)
        wait_ns = REFUSAL_NS_MAX;
    uint64_t use = atomic_load_explicit(&s->entry->use, memory_order_relaxed);
    if (terms->is_exact || use_rate(use, now_ns) < 2) return wait_ns;
    if (__builtin_mul_overflow(terms->interval_ns, (uint64_t)terms->burst, &half_ns) ||
        half_ns / 2 > WINDOW_NS)
        half_ns = 2 * WINDOW_NS;
    return wait_ns > half_ns / 2 ? wait_ns : half_ns / 2;
}

static void mark_dirty(struct lease_table *t, const struct name *n, const struct lease_entry *e)
{
    size_t            set = (size_t)(n->set - t->sets);
    uint64_t          bit = (uint64_t)1 << (set % 8 * 8 + (size_t)(e - n->set->entries));
    _Atomic uint64_t *word = &t->dirty[set / 8];
    if (!(atomic_load(word) & bit)) atomic_fetch_or(word, bit);
}

/* How many of `granted` are kept. */
static uint32_t keep(struct spot *s, const struct lease_terms *terms, uint32_t ticket,
                     uint32_t granted)
{
    uint32_t max = lease_size_max(terms), kept;
    uint64_t next;
    do {
        if (s->state & BUSY || ticket_of(s->state) != ticket) return 0;
        uint32_t tokens = tokens_of(s->state), room = tokens < max ? max - tokens : 0;
        kept = granted < room ? granted : room;
        next = (s->state & ~UNDER_WAY) + kept;
    } while (!atomic_compare_exchange_strong(&s->entry->state, &s->state, next));
    return kept;
}

uint32_t lease_answered(struct lease_table *t, struct slice key, const struct lease_terms *terms,
                        const struct lease_answer *answer, uint64_t asked_ns)
{
    uint32_t    spare = answer->granted - (answer->is_awaited && answer->granted);
    bool        is_dry = !answer->left && answer->retry_after_us;
    struct name n = name_of(t, key);
    struct spot s;
    if (!(is_dry ? find_or_claim(t, &n, &s, asked_ns) : find(&n, &s))) return spare;
    if (is_dry)
        note(&s.entry->refused_until, s.state,
             (asked_ns + hold_ns(&s, terms, answer, asked_ns)) >> UNTIL_SHIFT);
    note(&s.entry->left, s.state, answer->left);
    if (!answer->ticket) return spare;
    uint32_t kept = keep(&s, terms, answer->ticket, spare);
    if (kept) mark_dirty(t, &n, s.entry);
    return spare - kept;
}

void lease_failed(struct lease_table *t, struct slice key, uint32_t ticket)
{
    struct name n = name_of(t, key);
    struct spot s;
    if (!ticket || !find(&n, &s)) return;
    while (!(s.state & BUSY) && ticket_of(s.state) == ticket &&
           !atomic_compare_exchange_strong(&s.entry->state, &s.state, s.state & ~UNDER_WAY))
        continue;
}

/* ---- giving back ---- */

/* Whether the entry has tokens still, and is to be looked at again. */
static bool sweep_entry(struct lease_entry *e, const struct lease_sweep *sweep)
{
    uint64_t state = atomic_load(&e->state), words[KEY_WORDS];
    if (state & BUSY || !tokens_of(state)) return false;
    uint64_t use = atomic_load_explicit(&e->use, memory_order_relaxed);
    if ((use >> 32) + 1 > sweep->unused_since_ns / WINDOW_NS) return true;
    uint64_t id = atomic_load_explicit(&e->id, memory_order_acquire);
    for (unsigned i = 0; i < KEY_WORDS; i++)
        words[i] = atomic_load_explicit(&e->key[i], memory_order_acquire);
    if (!atomic_compare_exchange_strong(&e->state, &state, state & ~TOKENS_MASK)) return true;
    size_t len = id & ((1 << ID_LENGTH_BITS) - 1);
    sweep->on_unused(sweep->arg, slice_make((const char *)words, len), tokens_of(state));
    return false;
}

bool lease_sweep(struct lease_table *t, const struct lease_sweep *sweep)
{
    bool   has_more = false;
    size_t words = (t->mask + 1) / 8;
    size_t at = words * sweep->part / sweep->part_count;
    size_t end = words * (sweep->part + 1) / sweep->part_count;
    for (; at < end; at++) {
        if (!atomic_load_explicit(&t->dirty[at], memory_order_relaxed)) continue;
        /* First the bits go, then one looks: tokens that come meanwhile set theirs again. */
        uint64_t bits = atomic_exchange(&t->dirty[at], 0), again = 0;
        for (; bits; bits &= bits - 1) {
            unsigned bit = (unsigned)__builtin_ctzll(bits);
            if (sweep_entry(&t->sets[at * 8 + bit / 8].entries[bit % 8], sweep))
                again |= (uint64_t)1 << bit;
        }
        if (again) atomic_fetch_or(&t->dirty[at], again);
        has_more |= again != 0;
    }
    return has_more;
}

struct lease_counts lease_counts(const struct lease_table *t)
{
    return (struct lease_counts){
        .evictions = atomic_load_explicit(&t->evictions, memory_order_relaxed),
        .lost_tokens = atomic_load_explicit(&t->lost_tokens, memory_order_relaxed),
    };
}
