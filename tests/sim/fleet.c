/* SPDX-License-Identifier: Apache-2.0
 *
 * A fleet of gateways that shares a limit, in simulated time: the real lease tables,
 * a bucket a key for Redis, and a network between them. Requests come by a Poisson
 * process, for keys by Zipf's law, to gateways at random.
 *
 * An ideal bucket, one a key in one place without delay, gets the same requests. What
 * the fleet admits is compared with it, and every window of every key with the bound
 * of src/filter/lease.h: where one breaks it, the exit status is 1.
 *     fleet --help        (without options: a small fleet, in a moment)
 */
#include <assert.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "base/random.h"
#include "bucket.h"
#include "filter/lease.h"
#include "zipf.h"

#define SECOND ((uint64_t)1000000000)
#define START (1000 * SECOND)
#define SWEEP_NS (SECOND / 4)
#define DEADLINE_NS (SECOND / 200)
#define LATE_NS (SECOND / 50)

struct options {
    unsigned gateways, grow_to, deaths; /* the last two at half time */
    uint32_t keys, burst;
    double   rate, load, seconds, zipf_s, skew, latency_us, jitter, late, surge, affine;
    uint64_t seed, table_kib;
    bool     is_exact;
};

/* What is known of a key in one place. */
struct key_state {
    uint64_t redis_tat, ideal_tat;
    int64_t  least; /* of i x interval - time, over its admissions i */
    uint32_t offered, admitted, ideal, calls;
};

enum event_kind { AT_REDIS, AT_GATEWAY, GIVEN_UP };

struct event {
    uint64_t            time_ns, sent_ns;
    enum event_kind     kind;
    uint32_t            key, gateway;
    int64_t             want;
    bool                is_awaited;
    bool                would_pass; /* the ideal bucket admitted it */
    struct lease_answer answer;
};

struct gateway {
    struct lease_table *table; /* NULL: dead, or not there yet */
    uint64_t            calls;
};

struct totals {
    uint64_t requests, from_memory, waited, given_up;
    uint64_t admitted, refused, wrongly_refused, wrongly_admitted;
    uint64_t asks, fetches, returns;
    int64_t  worst; /* excess over rate x w + burst + 1, in ns of interval */
    uint32_t worst_key;
};

struct fleet {
    struct options      opt;
    struct random       random;
    struct zipf         zipf;
    struct lease_terms  terms;
    struct bucket_rule  rule;
    struct key_state   *keys;
    struct gateway     *gateways;
    unsigned            live, most_live;
    uint32_t            most_lease;
    struct event       *heap;
    size_t              event_count, event_room;
    uint64_t            now_ns, end_ns;
    struct totals       sum;
    unsigned            sweeping;
    struct lease_counts dead; /* of tables that are gone */
};

/* ---- chance ---- */

static double uniform(struct fleet *f)
{
    return ((double)(random_next(&f->random) >> 11) + 0.5) / (double)((uint64_t)1 << 53);
}

static void seed(struct random *r, uint64_t number)
{
    for (unsigned i = 0; i < 4; i++) { /* splitmix64 */
        uint64_t z = number += 0x9e3779b97f4a7c15;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        r->s[i] = z ^ z >> 31;
    }
}

static uint64_t one_way_ns(struct fleet *f)
{
    return (uint64_t)(f->opt.latency_us * 500 * (1 + f->opt.jitter * (2 * uniform(f) - 1)));
}

static uint32_t pick_gateway(struct fleet *f, uint32_t key)
{
    uint32_t own = (uint32_t)(key * (uint64_t)2654435761 % f->most_live);
    for (bool is_own = uniform(f) < f->opt.affine;; is_own = false) {
        bool     is_first = uniform(f) < f->opt.skew;
        uint32_t g = is_own ? own : is_first ? 0 : random_below(&f->random, f->most_live);
        if (f->gateways[g].table) return g;
    }
}

/* ---- events ---- */

static bool is_sooner(const struct fleet *f, size_t a, size_t b)
{
    return f->heap[a].time_ns < f->heap[b].time_ns;
}

static void swap(struct fleet *f, size_t a, size_t b)
{
    struct event kept = f->heap[a];
    f->heap[a] = f->heap[b];
    f->heap[b] = kept;
}

static void post(struct fleet *f, const struct event *e)
{
    if (f->event_count == f->event_room) {
        f->event_room = f->event_room ? 2 * f->event_room : 1024;
        f->heap = mem_realloc(f->heap, f->event_room * sizeof(*f->heap));
    }
    size_t at = f->event_count++;
    f->heap[at] = *e;
    for (; at && is_sooner(f, at, (at - 1) / 2); at = (at - 1) / 2) swap(f, at, (at - 1) / 2);
}

static struct event next_event(struct fleet *f)
{
    struct event first = f->heap[0];
    f->heap[0] = f->heap[--f->event_count];
    for (size_t at = 0, child; (child = 2 * at + 1) < f->event_count; at = child) {
        if (child + 1 < f->event_count && is_sooner(f, child + 1, child)) child++;
        if (!is_sooner(f, child, at)) break;
        swap(f, at, child);
    }
    return first;
}

static void call(struct fleet *f, struct event e)
{
    *(e.want < 0 ? &f->sum.returns : e.is_awaited ? &f->sum.asks : &f->sum.fetches) += 1;
    f->gateways[e.gateway].calls++;
    f->keys[e.key].calls++;
    e.kind = AT_REDIS;
    e.sent_ns = f->now_ns;
    e.time_ns = f->now_ns + one_way_ns(f);
    post(f, &e);
}

/* ---- what happens ---- */

static struct slice name_of(const uint32_t *key)
{
    return slice_make((const char *)key, sizeof(*key));
}

static void decided(struct fleet *f, uint32_t key, bool is_admitted, bool would_pass)
{
    struct key_state *k = &f->keys[key];
    if (!is_admitted) {
        f->sum.refused++;
        f->sum.wrongly_refused += would_pass;
        return;
    }
    f->sum.admitted++;
    f->sum.wrongly_admitted += !would_pass;
    int64_t interval = (int64_t)f->rule.interval_ns;
    int64_t from = (int64_t)k->admitted * interval - (int64_t)(f->now_ns - START);
    if (!k->admitted++ || from < k->least) k->least = from;
    int64_t excess = from + interval - k->least - (int64_t)f->rule.span_ns;
    if (excess <= f->sum.worst) return;
    f->sum.worst = excess;
    f->sum.worst_key = key;
}

static void request(struct fleet *f)
{
    uint32_t            key = (uint32_t)zipf_next(&f->zipf, &f->random) - 1;
    uint32_t            g = pick_gateway(f, key);
    struct key_state   *k = &f->keys[key];
    struct lease_answer ideal = bucket_ask(&k->ideal_tat, &f->rule, 1, f->now_ns);
    struct lease_take take = lease_take(f->gateways[g].table, name_of(&key), &f->terms, f->now_ns);
    f->sum.requests++;
    k->offered++;
    k->ideal += ideal.granted;
    if (take.verdict != LEASE_ASK) {
        f->sum.from_memory++;
        decided(f, key, take.verdict == LEASE_ADMITTED, ideal.granted);
    } else {
        f->sum.waited++;
    }
    if (take.want)
        call(f, (struct event){ .key = key,
                                .gateway = g,
                                .want = take.want,
                                .is_awaited = take.verdict == LEASE_ASK,
                                .would_pass = ideal.granted,
                                .answer.ticket = take.ticket });
}

static void at_redis(struct fleet *f, struct event *e)
{
    uint32_t ticket = e->answer.ticket;
    e->answer = bucket_ask(&f->keys[e->key].redis_tat, &f->rule, e->want, f->now_ns);
    e->answer.ticket = ticket;
    if (e->want < 0) return;
    e->kind = AT_GATEWAY;
    e->time_ns = f->now_ns + one_way_ns(f);
    if (f->opt.late > 0 && uniform(f) < f->opt.late) {
        struct event early = *e;
        early.kind = GIVEN_UP;
        early.time_ns = e->sent_ns + DEADLINE_NS;
        post(f, &early);
        e->is_awaited = false;
        e->time_ns = e->sent_ns + LATE_NS;
    }
    post(f, e);
}

static void at_gateway(struct fleet *f, struct event *e)
{
    struct lease_table *t = f->gateways[e->gateway].table;
    if (!t) return;
    e->answer.is_awaited = e->is_awaited;
    if (e->is_awaited) decided(f, e->key, e->answer.granted, e->would_pass);
    uint32_t surplus = lease_answered(t, name_of(&e->key), &f->terms, &e->answer, e->sent_ns);
    if (surplus)
        call(f, (struct event){ .key = e->key, .gateway = e->gateway, .want = -(int64_t)surplus });
}

static void given_up(struct fleet *f, const struct event *e)
{
    struct lease_table *t = f->gateways[e->gateway].table;
    f->sum.given_up++;
    if (!t) return;
    lease_failed(t, name_of(&e->key), e->answer.ticket);
    if (e->is_awaited) decided(f, e->key, false, e->would_pass);
}

static void on_unused(void *arg, struct slice key, uint32_t tokens)
{
    struct fleet *f = arg;
    struct event  e = { .gateway = f->sweeping, .want = -(int64_t)tokens };
    memcpy(&e.key, key.data, sizeof(e.key));
    call(f, e);
}

static void sweep(struct fleet *f)
{
    for (f->sweeping = 0; f->sweeping < f->most_live; f->sweeping++)
        if (f->gateways[f->sweeping].table)
            lease_sweep(f->gateways[f->sweeping].table,
                        &(struct lease_sweep){ 0, 1, f->now_ns - SECOND, on_unused, f });
}

/* What is due before `until`. */
static void run_events(struct fleet *f, uint64_t until)
{
    while (f->event_count && f->heap[0].time_ns <= until) {
        struct event e = next_event(f);
        f->now_ns = e.time_ns;
        if (e.kind == AT_REDIS)
            at_redis(f, &e);
        else if (e.kind == AT_GATEWAY)
            at_gateway(f, &e);
        else
            given_up(f, &e);
    }
    f->now_ns = until;
}

/* ---- who is there ---- */

static void add_counts(struct lease_counts *to, struct lease_counts c)
{
    to->evictions += c.evictions;
    to->lost_tokens += c.lost_tokens;
}

static void start_gateways(struct fleet *f, unsigned count)
{
    for (unsigned g = f->most_live; g < count; g++)
        f->gateways[g].table = lease_table_new(f->opt.table_kib << 10);
    if (count < f->most_live) return;
    f->live += count - f->most_live;
    f->most_live = count;
}

static void kill_gateways(struct fleet *f, unsigned count)
{
    for (unsigned g = f->most_live; count && g-- > 0 && f->live > 1; count--, f->live--) {
        add_counts(&f->dead, lease_counts(f->gateways[g].table));
        lease_table_free(f->gateways[g].table);
        f->gateways[g].table = NULL;
    }
}

/* As the heartbeats tell it: a new one after a second, a dead one after three. */
static void know_gateways(struct fleet *f)
{
    f->terms.gateways = f->live;
    uint32_t lease = lease_size_max(&f->terms);
    if (f->terms.is_exact || lease < 2) lease = 0;
    if (lease > f->most_lease) f->most_lease = lease;
}

static void run(struct fleet *f)
{
    const struct options *o = &f->opt;
    uint64_t              half = START + (f->end_ns - START) / 2, known = UINT64_MAX, swept = START;
    bool                  is_changing = o->grow_to || o->deaths;
    double                next = (double)START;
    double                surge = 1; /* from half time on */
    while ((next += -log(uniform(f)) / (o->load * surge) * 1e9) < (double)f->end_ns) {
        run_events(f, (uint64_t)next);
        if (f->now_ns >= half) surge = o->surge;
        if (is_changing && f->now_ns >= half) {
            is_changing = false;
            if (o->grow_to) start_gateways(f, o->grow_to);
            kill_gateways(f, o->deaths);
            known = half + (o->deaths ? 3 : 1) * SECOND;
        }
        if (f->now_ns >= known) {
            known = UINT64_MAX;
            know_gateways(f);
        }
        if (f->now_ns >= swept + SWEEP_NS) {
            swept += SWEEP_NS;
            sweep(f);
        }
        request(f);
    }
    run_events(f, f->end_ns + SECOND);
}

/* ---- what it says ---- */

static double percent(uint64_t part, uint64_t of)
{
    return of ? 100.0 * (double)part / (double)of : 0;
}

static void report_keys(const struct fleet *f)
{
    uint64_t hot = 0, hot_offered = 0, hot_admitted = 0, hot_ideal = 0, live = 0, seen = 0;
    uint32_t most_calls = 0, hottest = 0;
    for (uint32_t i = 0; i < f->opt.keys; i++) {
        const struct key_state *k = &f->keys[i];
        seen += k->offered != 0;
        live += k->redis_tat > f->end_ns;
        if (k->calls > most_calls) {
            most_calls = k->calls;
            hottest = i;
        }
        if (k->ideal == k->offered) continue; /* never over its limit */
        hot++;
        hot_offered += k->offered;
        hot_admitted += k->admitted;
        hot_ideal += k->ideal;
    }
    printf(
        "keys                     %llu seen, %llu over their limit with %.1f %% of the requests\n",
        (unsigned long long)seen, (unsigned long long)hot, percent(hot_offered, f->sum.requests));
    printf("hot keys: admitted       %.2f %% of what one bucket would have admitted\n",
           percent(hot_admitted, hot_ideal));
    printf("hottest key              %.0f calls/s, %.2f/s a gateway (key %u, %.0f requests/s)\n",
           most_calls / f->opt.seconds, most_calls / f->opt.seconds / f->most_live, hottest + 1,
           f->keys[hottest].offered / f->opt.seconds);
    printf("keys in Redis at the end %llu\n", (unsigned long long)live);
}

static void report_calls(const struct fleet *f)
{
    const struct totals *s = &f->sum;
    uint64_t             calls = s->asks + s->fetches + s->returns, most = 0;
    struct lease_counts  counts = f->dead;
    for (unsigned g = 0; g < f->most_live; g++) {
        if (f->gateways[g].calls > most) most = f->gateways[g].calls;
        if (f->gateways[g].table) add_counts(&counts, lease_counts(f->gateways[g].table));
    }
    printf(
        "calls                    %.0f/s: %.0f ask, %.0f fetch, %.0f give back; %.3f a request\n",
        (double)calls / f->opt.seconds, (double)s->asks / f->opt.seconds,
        (double)s->fetches / f->opt.seconds, (double)s->returns / f->opt.seconds,
        (double)calls / (double)s->requests);
    printf("calls of a gateway       %.1f/s, at most %.1f/s\n",
           (double)calls / f->opt.seconds / f->most_live, (double)most / f->opt.seconds);
    printf("lease tables             %llu KiB a gateway; %llu keys pushed out, %llu tokens lost\n",
           (unsigned long long)f->opt.table_kib, (unsigned long long)counts.evictions,
           (unsigned long long)counts.lost_tokens);
}

/* Whether the bound holds. */
static bool report_bound(const struct fleet *f)
{
    double interval = (double)f->rule.interval_ns;
    double deadline = f->opt.latency_us * 1000 * (1 + f->opt.jitter);
    double leases = (double)f->most_live * f->most_lease;
    double bound = leases + deadline / interval, worst = (double)f->sum.worst / interval;
    printf("worst window             %+.2f tokens over rate x w + burst + 1 (key %u); "
           "the bound is %.2f: %u leases of %u, %.2f under way\n",
           worst, f->sum.worst_key + 1, bound, f->most_live, f->most_lease, deadline / interval);
    bool holds = (double)f->sum.worst <= bound * interval + 1;
    if (!holds) printf("THE BOUND IS BROKEN\n");
    return holds;
}

static bool report(const struct fleet *f)
{
    const struct totals *s = &f->sum;
    printf("requests                 %llu: %.1f %% answered from memory, %.1f %% waited for Redis",
           (unsigned long long)s->requests, percent(s->from_memory, s->requests),
           percent(s->waited, s->requests));
    printf(s->given_up ? ", %llu calls given up\n" : "\n", (unsigned long long)s->given_up);
    uint64_t ideal = s->admitted - s->wrongly_admitted + s->wrongly_refused;
    printf("admitted                 %llu, %.2f %% of what one bucket would have admitted\n",
           (unsigned long long)s->admitted, percent(s->admitted, ideal));
    printf("other than one bucket    %.2f %% refused though it had admitted them, "
           "%.2f %% the other way\n",
           percent(s->wrongly_refused, s->requests), percent(s->wrongly_admitted, s->requests));
    report_keys(f);
    report_calls(f);
    bool holds = report_bound(f);
    printf("CPU time                 %.1f s\n", (double)clock() / CLOCKS_PER_SEC);
    return holds;
}

/* ---- options ---- */

static const struct option names[] = {
    { "gateways", required_argument, NULL, 'g' }, { "keys", required_argument, NULL, 'k' },
    { "rate", required_argument, NULL, 'r' },     { "burst", required_argument, NULL, 'b' },
    { "load", required_argument, NULL, 'l' },     { "seconds", required_argument, NULL, 's' },
    { "zipf", required_argument, NULL, 'z' },     { "seed", required_argument, NULL, 'S' },
    { "skew", required_argument, NULL, 'w' },     { "latency", required_argument, NULL, 'L' },
    { "jitter", required_argument, NULL, 'j' },   { "late", required_argument, NULL, 'o' },
    { "table", required_argument, NULL, 't' },    { "grow-to", required_argument, NULL, 'G' },
    { "deaths", required_argument, NULL, 'd' },   { "exact", no_argument, NULL, 'x' },
    { "affine", required_argument, NULL, 'a' },   { "surge", required_argument, NULL, 'u' },
    { "help", no_argument, NULL, 'h' },           { NULL, 0, NULL, 0 },
};

static const char usage[] =
    "fleet [OPTION]...   a fleet of gateways that shares a limit, in simulated time\n"
    "  --gateways N      20        --keys N          10000\n"
    "  --rate N/s|m|h    10/s      --burst N         20\n"
    "  --load N/s        20000/s   requests, over all gateways\n"
    "  --seconds N       2         --zipf S          1.1\n"
    "  --exact           a call a request, no leases\n"
    "  --latency US      500       there and back    --jitter F  0.4: 300 to 700\n"
    "  --skew F          0         this share goes to one gateway\n"
    "  --affine F        0         this share goes to a gateway that the key chooses\n"
    "  --deaths N        0         so many die at half time, with all that they hold\n"
    "  --grow-to N       0         from half time on there are so many\n"
    "  --surge F         1         the load grows so many times at half time\n"
    "  --late F          0         this share of the answers: refused after 5 ms, come after 20\n"
    "  --table KIB       256       a gateway's; 14 keys a KiB\n"
    "  --seed N          1\n";

/* "10/s", "5/m", "1/h": a second. */
static double a_second(const char *text)
{
    char  *end;
    double count = strtod(text, &end);
    return *end != '/' ? count : end[1] == 'm' ? count / 60 : end[1] == 'h' ? count / 3600 : count;
}

static void set_option(struct options *o, int which, const char *text)
{
    double   number = text ? a_second(text) : 0;
    unsigned whole = (unsigned)number;
    switch (which) {
    case 'g': o->gateways = whole; break;
    case 'k': o->keys = whole; break;
    case 'r': o->rate = number; break;
    case 'b': o->burst = whole; break;
    case 'l': o->load = number; break;
    case 's': o->seconds = number; break;
    case 'z': o->zipf_s = number; break;
    case 'S': o->seed = whole; break;
    case 'w': o->skew = number; break;
    case 'L': o->latency_us = number; break;
    case 'j': o->jitter = number; break;
    case 'o': o->late = number; break;
    case 't': o->table_kib = whole; break;
    case 'G': o->grow_to = whole; break;
    case 'u': o->surge = number; break;
    case 'a': o->affine = number; break;
    case 'd': o->deaths = whole; break;
    case 'x': o->is_exact = true; break;
    default: fputs(usage, which == 'h' ? stdout : stderr); exit(which != 'h');
    }
}

static void init(struct fleet *f)
{
    const struct options *o = &f->opt;
    assert(o->gateways && o->keys && o->rate > 0 && o->load > 0 && o->jitter <= 1);
    f->terms = (struct lease_terms){ .interval_ns = (uint64_t)ceil(1e9 / o->rate),
                                     .burst = o->burst,
                                     .is_exact = o->is_exact };
    f->rule = (struct bucket_rule){ f->terms.interval_ns,
                                    f->terms.interval_ns * ((uint64_t)o->burst + 1) };
    f->keys = mem_zalloc(o->keys * sizeof(*f->keys));
    unsigned most = o->grow_to > o->gateways ? o->grow_to : o->gateways;
    f->gateways = mem_zalloc(most * sizeof(*f->gateways));
    f->now_ns = START;
    f->end_ns = START + (uint64_t)(o->seconds * 1e9);
    f->sum.worst = -(int64_t)f->rule.span_ns;
    seed(&f->random, o->seed);
    zipf_init(&f->zipf, o->keys, o->zipf_s);
    start_gateways(f, o->gateways);
    know_gateways(f);
}

int main(int argc, char **argv)
{
    struct fleet f = { .opt = { .gateways = 20,
                                .keys = 10000,
                                .rate = 10,
                                .burst = 20,
                                .load = 20000,
                                .seconds = 2,
                                .zipf_s = 1.1,
                                .latency_us = 500,
                                .jitter = 0.4,
                                .surge = 1,
                                .table_kib = 256,
                                .seed = 1 } };
    int          which;
    while ((which = getopt_long(argc, argv, "", names, NULL)) != -1)
        set_option(&f.opt, which, optarg);
    init(&f);
    run(&f);
    bool holds = report(&f);
    for (unsigned g = 0; g < f.most_live; g++) lease_table_free(f.gateways[g].table);
    free(f.gateways);
    free(f.keys);
    free(f.heap);
    return !holds;
}
