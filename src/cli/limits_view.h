/* SPDX-License-Identifier: Apache-2.0
 *
 * Limits for people: from the gateway's JSON (/v1/limits) to text. Pure. What may be
 * missing or of another type is left out.
 */
#pragma once

#include "base/buffer.h"
#include "cli/status_data.h"

/* Lines, each ended by a line feed. */
void limits_view_put(struct buffer *to, const json_t *root, bool has_color);
