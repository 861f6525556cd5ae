/* SPDX-License-Identifier: Apache-2.0
 *
 * Text for a terminal, measured in its cells: a letter takes one, an ideograph
 * two. Texts of others are made clean first: what would steer the terminal, or
 * cannot be seen, is shown as an escape. The only sequences in clean text are
 * the colours that we put there ourselves; they take no room.
 */
#pragma once

#include <stdbool.h>

#include "base/buffer.h"

/* Once a process: without it all that is not ASCII is shown as escapes. */
void cells_init(void);

/* Adds `text` clean: "\n", "\x1b", "\xff" for a byte that is no UTF-8, "\u202e". */
void cells_put(struct buffer *to, struct slice text);

/* The rest is for clean text. */
size_t cells_width(struct slice text);
/* Cuts what stands in `to` after `from` so that it takes `width` cells at most, the
 * last one an ellipsis. */
void cells_cut(struct buffer *to, size_t from, size_t width);
/* The same with the ellipsis in the midst: both ends stay. Without colours. */
void cells_cut_midst(struct buffer *to, size_t from, size_t width);
void cells_pad(struct buffer *to, size_t count);
