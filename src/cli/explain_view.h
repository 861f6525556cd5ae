/* SPDX-License-Identifier: Apache-2.0
 *
 * An explanation for people: from the gateway's JSON to text. Pure. What may be
 * missing or of another type is left out.
 */
#pragma once

#include "base/buffer.h"
#include "cli/status_data.h"

/* Of a URL, or of a container: lines, each ended by a line feed. */
void explain_view_put(struct buffer *to, const json_t *root, bool has_color);
