/* SPDX-License-Identifier: Apache-2.0
 *
 * What counting a request in and out costs: one hot key, and a million keys in
 * turn (each a miss of the cache), by one thread and by two.
 *     tally_micro [pairs]
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/tally.h"

enum { KEYS = 1000000, THREADS_MAX = 2 };

struct run {
    struct tally *table;
    uint64_t      pairs;
    uint64_t      key_count;
    uint64_t      entered;
};

static void *come_and_go(void *arg)
{
    struct run *r = arg;
    for (uint64_t i = 0; i < r->pairs; i++) {
        /* As long as an IPv6 prefix; neighbours lie far apart. */
        uint64_t     number = i * 7919 % r->key_count;
        struct slice key = { (const char *)&number, sizeof(number) };
        uint32_t     place;
        r->entered += tally_enter(r->table, key, 100, &place) == TALLY_ENTERED;
        tally_leave(r->table, place);
    }
    return NULL;
}

static void measure(const char *name, unsigned threads, uint64_t pairs, uint64_t key_count)
{
    struct tally *t = tally_new(64 << 20);
    struct run    runs[THREADS_MAX];
    pthread_t     ids[THREADS_MAX];
    /* The table's pages are there before the clock starts. */
    struct run warm = { t, key_count, key_count, 0 };
    come_and_go(&warm);
    uint64_t start = clock_mono_ns(), entered = 0;
    for (unsigned i = 0; i < threads; i++) {
        runs[i] = (struct run){ t, pairs, key_count, 0 };
        if (pthread_create(&ids[i], NULL, come_and_go, &runs[i]) != 0) abort();
    }
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        entered += runs[i].entered;
    }
    double ns = (double)(clock_mono_ns() - start) / (double)pairs;
    printf("%-28s %6.1f ns in and out, %5.1f %% entered\n", name, ns,
           100.0 * (double)entered / (double)(pairs * threads));
    tally_free(t);
}

int main(int argc, char **argv)
{
    uint64_t pairs = argc > 1 ? strtoull(argv[1], NULL, 10) : 5000000;
    measure("one key, one thread", 1, pairs, 1);
    measure("a million keys, one thread", 1, pairs, KEYS);
    measure("one key, two threads", 2, pairs, 1);
    measure("a million keys, two threads", 2, pairs, KEYS);
    return 0;
}
