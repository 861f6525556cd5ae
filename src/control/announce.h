/* SPDX-License-Identifier: Apache-2.0
 *
 * Telling the world outside that the gateway serves: the ready file, the pid
 * file, systemd.
 */
#pragma once

#include "base/log.h"
#include "base/slice.h"

/* Sends `state` to $NOTIFY_SOCKET, if there is one (sd_notify(3)). */
void announce_systemd(const char *state);
/* Whole or not at all; failures are logged. An empty path: nothing is written. */
void announce_file(struct log *log, struct slice path, struct slice content);
void announce_pid(struct log *log, struct slice path);
