/* SPDX-License-Identifier: Apache-2.0
 *
 * What choosing an endpoint costs by each algorithm, with few and with many
 * endpoints of equal and of uneven weights, while 256 requests are in progress;
 * with nine of ten endpoints at their limit; and what building the tables costs.
 *     balance_micro [decisions]
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "upstream/balance/balance.h"

enum { COUNT_MAX = 1000, IN_FLIGHT = 256, LIMIT = 1000000 };

struct bench {
    struct balance_settings settings;
    struct balance_config   config;
    struct endpoint        *endpoints[COUNT_MAX];
    struct endpoint_pick    picks[COUNT_MAX];
    struct random           random;
    uint64_t                decisions;
    uint32_t                load;
};

static void make_endpoints(struct bench *b)
{
    for (size_t i = 0; i < COUNT_MAX; i++) {
        struct endpoint_spec spec = { .address = {
                                          .family = ADDRESS_V4,
                                          .port = 8080,
                                          .ip = { 10, 0, (uint8_t)(i / 256), (uint8_t)i } } };
        b->endpoints[i] = endpoint_new(&spec, NULL);
        endpoint_note_success(b->endpoints[i], 1000 + i, clock_mono_ns());
    }
}

static struct endpoint_set *make_set(struct bench *b, size_t count, bool is_even)
{
    for (size_t i = 0; i < count; i++)
        b->picks[i] = (struct endpoint_pick){ b->endpoints[i],
                                              is_even ? 1 : 1 + (uint32_t)(i * 7 % 10), false };
    return endpoint_set_new(balance_algorithms[b->settings.algorithm], &b->config, b->picks, count);
}

/* Nanoseconds a decision. Each has a key of its own; requests in progress come and go. */
static double decide(struct bench *b, const struct endpoint_set *set, size_t count)
{
    struct balance_state state = { 0 };
    struct endpoint     *busy[IN_FLIGHT] = { 0 };
    struct balance_ask   ask = { .random = &b->random, .has_hash = true, .load = b->load };
    uint64_t             start = clock_mono_ns();
    ask.now_ns = start;
    for (uint64_t i = 0; i < b->decisions; i++) {
        struct endpoint **place = &busy[i % IN_FLIGHT];
        if (*place) atomic_fetch_sub_explicit(&(*place)->live->active, 1, memory_order_relaxed);
        ask.hash = i * 0x9e3779b97f4a7c15u;
        ask.token = balance_token(set, b->endpoints[i * 7919 % count]);
        *place = balance_choose(&state, set, &ask);
        if (!*place) abort();
        atomic_fetch_add_explicit(&(*place)->live->active, 1, memory_order_relaxed);
    }
    double ns = (double)(clock_mono_ns() - start) / (double)b->decisions;
    for (size_t i = 0; i < COUNT_MAX; i++) atomic_store(&b->endpoints[i]->live->active, 0);
    balance_state_reset(&state);
    return ns;
}

/* Of COUNT_MAX, nine of ten are full. */
static double decide_among_few(struct bench *b, bool is_even)
{
    struct endpoint_set *set = make_set(b, COUNT_MAX, is_even);
    set->request_max = LIMIT;
    b->load = IN_FLIGHT + COUNT_MAX / 10 * 9 * LIMIT;
    for (size_t i = 0; i < COUNT_MAX; i++)
        if (i % 10) atomic_store(&b->endpoints[i]->live->active, LIMIT);
    double ns = decide(b, set, COUNT_MAX);
    endpoint_set_free(set);
    b->load = IN_FLIGHT;
    return ns;
}

static void measure(struct bench *b, bool is_even)
{
    static const size_t counts[] = { 1, 2, 10, 100, COUNT_MAX };
    double              build_us = 0;
    printf("%-15s %-7s", balance_algorithms[b->settings.algorithm]->name,
           is_even ? "equal" : "uneven");
    for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
        uint64_t             start = clock_mono_ns();
        struct endpoint_set *set = make_set(b, counts[c], is_even);
        build_us = (double)(clock_mono_ns() - start) / 1000;
        printf(" %7.1f", decide(b, set, counts[c]));
        endpoint_set_free(set);
    }
    printf(" %8.1f %10.0f\n", decide_among_few(b, is_even), build_us);
}

int main(int argc, char **argv)
{
    static struct bench b;
    b.decisions = argc > 1 ? strtoull(argv[1], NULL, 10) : 3000000;
    b.settings.max_load = 125;
    b.config = (struct balance_config){ .settings = &b.settings, .upstream = S("app") };
    b.load = IN_FLIGHT;
    random_init(&b.random);
    make_endpoints(&b);
    printf("ns a decision, of endpoints:\n%-15s %-7s %7d %7d %7d %7d %7d %8s %10s\n", "", "", 1, 2,
           10, 100, 1000, "few left", "build, us");
    for (unsigned k = 0; k <= BALANCE_STICKY; k++) {
        b.settings.algorithm = k;
        measure(&b, true);
        measure(&b, false);
    }
    for (size_t i = 0; i < COUNT_MAX; i++) endpoint_free(b.endpoints[i]);
    return 0;
}
