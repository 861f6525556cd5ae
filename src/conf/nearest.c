/* SPDX-License-Identifier: Apache-2.0
 *
 * Edit distance (insert, delete, replace, swap neighbours) over short names.
 * See nearest.h.
 */
#include "conf/nearest.h"

enum { NAME_MAX_BYTES = 48 };

void nearest_init(struct nearest *n, struct slice wanted)
{
    /* A third of the letters may be wrong, but never all of a short name. */
    *n = (struct nearest){ .wanted = wanted, .distance = (unsigned)(wanted.len + 5) / 3 };
}

static unsigned min_of(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c == '-' ? '_' : c;
}

/* Optimal string alignment with three rolling rows. */
static unsigned distance(struct slice a, struct slice b)
{
    unsigned rows[3][NAME_MAX_BYTES + 1];
    for (unsigned j = 0; j <= b.len; j++) rows[0][j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i - 1) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            char x = lower(a.data[i - 1]), y = lower(b.data[j - 1]);
            row[j] = min_of(above[j - 1] + (x != y), min_of(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && x == lower(b.data[j - 2]) && y == lower(a.data[i - 2]))
                row[j] = min_of(row[j], above2[j - 2] + 1);
        }
    }
    return rows[a.len % 3][b.len];
}

void nearest_try(struct nearest *n, struct slice candidate)
{
    if (candidate.len == 0 || candidate.len > NAME_MAX_BYTES || n->wanted.len > NAME_MAX_BYTES)
        return;
    size_t longer = candidate.len > n->wanted.len ? candidate.len : n->wanted.len;
    size_t shorter = candidate.len > n->wanted.len ? n->wanted.len : candidate.len;
    if (n->distance <= 1 || longer - shorter >= n->distance) return; /* cannot be nearer */
    unsigned d = distance(n->wanted, candidate);
    if (d >= n->distance || d >= candidate.len) return;
    n->distance = d;
    n->best = candidate;
}

struct slice nearest_hint(const struct nearest *n, struct arena *a)
{
    if (!n->best.len) return (struct slice){ 0 };
    return arena_printf(a, "did you mean `%.*s`?", SLICE_ARG(n->best));
}
