/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs that tests start: silent, and gone with the test.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* Found by PATH; NULL after the last argument. Returns when somebody listens at the port of
 * loopback; the test fails when the program ends before. */
pid_t child_start(const char *const *argv, uint16_t port);
/* Kills it, stopped by a signal or not. 0: there is none. */
void child_stop(pid_t pid);
