/* SPDX-License-Identifier: Apache-2.0
 *
 * What a decision of the local rate limiter costs: one hot key, and a million
 * keys in turn (each a miss of the cache), by one thread and by two.
 *     gcra_micro [decisions]
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/gcra.h"

enum { KEYS = 1000000, THREADS_MAX = 2 };

struct run {
    struct gcra_table *table;
    uint64_t           decisions;
    uint64_t           key_count;
    uint64_t           admitted;
};

static void *take(void *arg)
{
    struct run      *r = arg;
    struct gcra_rule rule = gcra_rule_make(10, 1000, 20);
    uint64_t         now = clock_mono_ns();
    for (uint64_t i = 0; i < r->decisions; i++) {
        /* As long as an IPv6 prefix; neighbours lie far apart. */
        uint64_t     number = i * 7919 % r->key_count;
        struct slice key = { (const char *)&number, sizeof(number) };
        r->admitted += gcra_take(r->table, key, &rule, now + i * 1000).admitted;
    }
    return NULL;
}

static void measure(const char *name, unsigned threads, uint64_t decisions, uint64_t key_count)
{
    struct gcra_table *t = gcra_table_new(64 << 20);
    struct run         runs[THREADS_MAX];
    pthread_t          ids[THREADS_MAX];
    /* The table's pages are there before the clock starts. */
    struct run warm = { t, key_count, key_count, 0 };
    take(&warm);
    uint64_t start = clock_mono_ns(), admitted = 0;
    for (unsigned i = 0; i < threads; i++) {
        runs[i] = (struct run){ t, decisions, key_count, 0 };
        if (pthread_create(&ids[i], NULL, take, &runs[i]) != 0) abort();
    }
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        admitted += runs[i].admitted;
    }
    double ns = (double)(clock_mono_ns() - start) / (double)decisions;
    printf("%-28s %6.1f ns a decision, %5.1f %% admitted, %llu evicted\n", name, ns,
           100.0 * (double)admitted / (double)(decisions * threads),
           (unsigned long long)gcra_evictions(t));
    gcra_table_free(t);
}

int main(int argc, char **argv)
{
    uint64_t decisions = argc > 1 ? strtoull(argv[1], NULL, 10) : 5000000;
    measure("one key, one thread", 1, decisions, 1);
    measure("a million keys, one thread", 1, decisions, KEYS);
    measure("one key, two threads", 2, decisions, 1);
    measure("a million keys, two threads", 2, decisions, KEYS);
    return 0;
}
