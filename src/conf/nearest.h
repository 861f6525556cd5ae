/* SPDX-License-Identifier: Apache-2.0
 *
 * "Did you mean": the known name that a mistyped one was probably meant to be.
 */
#pragma once

#include "base/arena.h"
#include "base/slice.h"

struct nearest {
    struct slice wanted;
    struct slice best; /* unset: none is near enough */
    unsigned     distance;
};

void nearest_init(struct nearest *n, struct slice wanted);
void nearest_try(struct nearest *n, struct slice candidate);
/* "did you mean `x`?", or empty. */
struct slice nearest_hint(const struct nearest *n, struct arena *a);
