/* SPDX-License-Identifier: Apache-2.0
 *
 * What a status says in one line each: of the gateway, of an upstream.
 */
#pragma once

#include "base/buffer.h"
#include "cli/status_data.h"

/* Without a line feed. */
void status_put_head(struct buffer *to, const json_t *root, double now, bool has_color);
void status_put_heading(struct buffer *to, const json_t *upstream, bool has_color);
