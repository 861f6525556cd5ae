/* SPDX-License-Identifier: Apache-2.0
 *
 * A terminal that shows one picture which is drawn anew in place, on the
 * alternate screen, and that gives back what was there before. It hides termios,
 * signals (one of them suspends) and escape sequences.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <termios.h>

#include "base/buffer.h"
#include "base/error.h"

struct terminal {
    int            wake_fd; /* readable: terminal_read() has something to say */
    int            signal_fd;
    bool           has_keys; /* standard input is a terminal as well */
    struct termios saved;
    sigset_t       saved_mask;
};

enum terminal_event { TERMINAL_NOTHING, TERMINAL_REDRAW, TERMINAL_QUIT };

/* Is standard output one, and able to do this? */
bool terminal_can_draw(void);
/* Of standard output; 80 x 24 where it does not tell. */
void terminal_size(size_t *width, size_t *height);

bool terminal_enter(struct terminal *t, struct error *e);
void terminal_leave(struct terminal *t);
/* Never waits. Keys other than q draw anew. */
enum terminal_event terminal_read(struct terminal *t);
/* Lines that fit, each ended by a line feed. False: the terminal is gone. */
bool terminal_draw(const struct buffer *lines);
