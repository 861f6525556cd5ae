/* SPDX-License-Identifier: Apache-2.0
 *
 * The budget of a connection. See h2_budget.h.
 */
#include "http/h2_budget.h"

enum {
    POINTS_MAX = 2000,
    POINTS_PER_SECOND = 200,
    /* Flow control and the probing of a path's capacity: some peers open the stream's and
     * the connection's window for each 4 KiB that they have read. */
    EARNED_PER_FRAME = 2,
    BYTES_PER_EARNED = 1024,
    EARNED_MAX = 8000,
};

/* Resets: 500 at once, as when a page with all its pictures is left, then 50 a second. */
static const struct {
    uint16_t    points;
    bool        may_be_earned;
    const char *reason;
} nuisances[H2_NUISANCE_COUNT] = {
    [H2_NUISANCE_RESET] = { 4, false, "reset_flood" },
    [H2_NUISANCE_PING] = { 2, true, "ping_flood" },
    [H2_NUISANCE_SETTINGS] = { 20, false, "settings_flood" },
    [H2_NUISANCE_PRIORITY] = { 1, false, "priority_flood" },
    [H2_NUISANCE_WINDOW_UPDATE] = { 1, true, "window_update_flood" },
    [H2_NUISANCE_EMPTY_DATA] = { 4, false, "empty_data_flood" },
    [H2_NUISANCE_STALL] = { 200, false, "window_stall" },
    [H2_NUISANCE_CLOSED_STREAM] = { 4, false, "closed_stream_flood" },
    [H2_NUISANCE_CONTINUATION] = { 4, false, "continuation_flood" },
};

void h2_budget_init(struct h2_budget *b, uint64_t now_ms)
{
    *b = (struct h2_budget){ .at_ms = now_ms, .points = POINTS_MAX };
}

void h2_budget_earn(struct h2_budget *b, size_t bytes)
{
    if (b->earned < EARNED_MAX) b->earned += EARNED_PER_FRAME + (uint32_t)bytes / BYTES_PER_EARNED;
}

void h2_budget_reward(struct h2_budget *b)
{
    if (b->points < POINTS_MAX) b->points++;
}

static void give_back(struct h2_budget *b, uint64_t now_ms)
{
    uint64_t more = (now_ms - b->at_ms) * POINTS_PER_SECOND / 1000;
    if (!more) return;
    b->at_ms = now_ms;
    b->points = more >= POINTS_MAX - b->points ? POINTS_MAX : b->points + (uint32_t)more;
}

const char *h2_budget_spend(struct h2_budget *b, enum h2_nuisance what, uint64_t now_ms)
{
    if (nuisances[what].may_be_earned && b->earned) {
        b->earned--;
        return NULL;
    }
    give_back(b, now_ms);
    if (b->points < nuisances[what].points) return nuisances[what].reason;
    b->points -= nuisances[what].points;
    return NULL;
}
