/* SPDX-License-Identifier: Apache-2.0
 *
 * How much a peer may annoy us on one connection: points that time gives back.
 * What is of use to it, or is paid for by what it took of us, costs nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum h2_nuisance {
    H2_NUISANCE_RESET, /* a stream reset before it was answered, or a reset provoked */
    H2_NUISANCE_PING,
    H2_NUISANCE_SETTINGS,
    H2_NUISANCE_PRIORITY,
    H2_NUISANCE_WINDOW_UPDATE,
    H2_NUISANCE_EMPTY_DATA,
    H2_NUISANCE_CONTINUATION,
    H2_NUISANCE_CLOSED_STREAM, /* HEADERS on a stream that is over */
    H2_NUISANCE_STALL,         /* a response given up because its client opened no window for it */
    H2_NUISANCE_COUNT,
};

struct h2_budget {
    uint64_t at_ms; /* when time was last given back */
    uint32_t points;
    uint32_t earned; /* PING and WINDOW_UPDATE that frames of ours have paid for */
};

void h2_budget_init(struct h2_budget *b, uint64_t now_ms);
/* A DATA frame of so many bytes went to the peer. */
void h2_budget_earn(struct h2_budget *b, size_t bytes);
/* A request was answered. */
void h2_budget_reward(struct h2_budget *b);
/* NULL, or why it is enough: a constant phrase. */
const char *h2_budget_spend(struct h2_budget *b, enum h2_nuisance what, uint64_t now_ms);
