/* SPDX-License-Identifier: Apache-2.0
 *
 * What a decision of the local rate limiter costs, in CPU time of a thread: one hot key that is
 * admitted or refused, and a million keys in turn (each a miss of the cache), by one thread and
 * by two.
 *     gcra_micro [decisions]
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/gcra.h"

enum { KEYS = 1000000, THREADS_MAX = 2 };

struct run {
    struct gcra_table      *table;
    const struct gcra_rule *rule;
    uint64_t                decisions;
    uint64_t                key_count;
    uint64_t                admitted;
    double                  spent_ns;
};

static double thread_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void *take(void *arg)
{
    struct run *r = arg;
    uint64_t    now = clock_mono_ns();
    double      began_ns = thread_ns();
    for (uint64_t i = 0; i < r->decisions; i++) {
        /* As long as an IPv6 prefix; neighbours lie far apart. */
        uint64_t     number = i * 7919 % r->key_count;
        struct slice key = { (const char *)&number, sizeof(number) };
        r->admitted += gcra_take(r->table, key, r->rule, now + i * 1000).admitted;
    }
    r->spent_ns = thread_ns() - began_ns;
    return NULL;
}

/* `rate`: a second, with a burst that is twice that. */
static void measure(const char *name, unsigned threads, uint64_t decisions, uint64_t key_count,
                    uint32_t rate)
{
    struct gcra_table *t = gcra_table_new(64 << 20);
    struct gcra_rule   rule = gcra_rule_make(rate, 1000, 2 * rate);
    struct run         runs[THREADS_MAX];
    pthread_t          ids[THREADS_MAX];
    if (!t) abort();
    /* The table's pages are there before the clock starts. */
    struct run warm = { t, &rule, key_count, key_count, 0, 0 };
    take(&warm);
    uint64_t admitted = 0;
    double   spent_ns = 0;
    for (unsigned i = 0; i < threads; i++) {
        runs[i] = (struct run){ t, &rule, decisions, key_count, 0, 0 };
        if (pthread_create(&ids[i], NULL, take, &runs[i]) != 0) abort();
    }
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        admitted += runs[i].admitted;
        spent_ns += runs[i].spent_ns;
    }
    printf("%-36s %6.1f ns a decision, %5.1f %% admitted, %llu evicted\n", name,
           spent_ns / (double)(decisions * threads),
           100.0 * (double)admitted / (double)(decisions * threads),
           (unsigned long long)gcra_evictions(t));
    gcra_table_free(t);
}

int main(int argc, char **argv)
{
    uint64_t decisions = argc > 1 ? strtoull(argv[1], NULL, 10) : 5000000;
    measure("one key, refused, one thread", 1, decisions, 1, 10);
    measure("one key, admitted, one thread", 1, decisions, 1, 100000000);
    measure("a million keys, one thread", 1, decisions, KEYS, 10);
    measure("one key, refused, two threads", 2, decisions, 1, 10);
    measure("one key, admitted, two threads", 2, decisions, 1, 100000000);
    measure("a million keys, two threads", 2, decisions, KEYS, 10);
    return 0;
}
