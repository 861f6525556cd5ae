/* SPDX-License-Identifier: Apache-2.0
 *
 * What a decision of a shared limit costs while the key has a lease, or is refused:
 * one hot key, and a million keys of which few are hot (Zipf, s = 1.1), by one thread
 * and by two. Answers of Redis come at once, and cost nothing but what is done with them.
 * System calls are counted by `strace -f -c`: there are none but those of the start.
 *     lease_micro [decisions]
 */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "filter/lease.h"

enum { KEYS = 1000000, THREADS_MAX = 2, DRAWN = 1 << 20 };

struct run {
    struct lease_table *table;
    const uint32_t     *drawn; /* DRAWN of them; NULL: always the same key */
    uint64_t            decisions;
    uint64_t            step_ns; /* between two */
    bool                is_dry;  /* Redis has nothing */
    uint64_t            admitted, calls;
};

static void *take(void *arg)
{
    struct run        *r = arg;
    struct lease_terms terms = { 1000, 1000000, 10, false };
    uint64_t           now = clock_mono_ns();
    for (uint64_t i = 0; i < r->decisions; i++, now += r->step_ns) {
        /* As long as an IPv6 prefix. */
        uint64_t          number = r->drawn ? r->drawn[i % DRAWN] : 0;
        struct slice      key = { (const char *)&number, sizeof(number) };
        struct lease_take t = lease_take(r->table, key, &terms, now);
        r->admitted += t.verdict == LEASE_ADMITTED;
        if (!t.want) continue;
        struct lease_answer a = { .ticket = t.ticket, .is_awaited = t.verdict == LEASE_ASK };
        if (r->is_dry)
            a.retry_after_us = 1000000;
        else
            a.granted = t.want, a.left = 100;
        r->calls++;
        if (lease_answered(r->table, key, &terms, &a, now)) abort();
    }
    return NULL;
}

static uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void measure(const char *name, unsigned threads, const struct run *like)
{
    struct lease_table *t = lease_table_new(64 << 20);
    struct run          runs[THREADS_MAX];
    pthread_t           ids[THREADS_MAX];
    uint64_t            admitted = 0, calls = 0;
    struct run          warm = *like;
    warm.table = t;
    take(&warm);
    uint64_t start = cpu_ns();
    for (unsigned i = 0; i < threads; i++) {
        runs[i] = *like;
        runs[i].table = t;
        if (pthread_create(&ids[i], NULL, take, &runs[i]) != 0) abort();
    }
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        admitted += runs[i].admitted;
        calls += runs[i].calls;
    }
    double of = (double)(like->decisions * threads);
    double ns = (double)(cpu_ns() - start) / of;
    printf("%-36s %6.1f ns of CPU a decision, %5.1f %% admitted from memory, %5.2f %% asked\n",
           name, ns, 100.0 * (double)admitted / of, 100.0 * (double)calls / of);
    lease_table_free(t);
}

/* By inversion of the sum of k^-s, which is as good as the law of Zipf here. */
static uint32_t *draw(void)
{
    uint32_t     *drawn = mem_alloc(DRAWN * sizeof(*drawn));
    double        all = pow(KEYS, -0.1) - 1;
    struct random random;
    random_init(&random);
    for (unsigned i = 0; i < DRAWN; i++) {
        double u = (double)(random_next(&random) >> 11) / (double)((uint64_t)1 << 53);
        drawn[i] = (uint32_t)(pow(1 + u * all, -10) * 7919) % KEYS;
    }
    return drawn;
}

int main(int argc, char **argv)
{
    uint64_t   decisions = argc > 1 ? strtoull(argv[1], NULL, 10) : 5000000;
    uint32_t  *drawn = draw();
    struct run hot = { .decisions = decisions, .step_ns = 1000 }, dry = hot, zipf = hot;
    dry.is_dry = true;
    zipf.drawn = drawn;
    measure("one key, one thread", 1, &hot);
    measure("one key, two threads", 2, &hot);
    measure("one refused key, one thread", 1, &dry);
    measure("a million keys (Zipf), one thread", 1, &zipf);
    measure("a million keys (Zipf), two threads", 2, &zipf);
    free(drawn);
    return 0;
}
