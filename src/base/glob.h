/* SPDX-License-Identifier: Apache-2.0
 *
 * Patterns of names as people write them: `*` any bytes, `?` any byte, once `{a,b}` one of
 * these texts. Any other byte is itself.
 */
#pragma once

#include <stdbool.h>

#include "base/slice.h"

/* Not empty, at most one pair of braces, and in them no `*`, `?` or brace. */
bool glob_is_valid(struct slice pattern);
/* Of a valid pattern. */
bool glob_matches(struct slice pattern, struct slice text);
