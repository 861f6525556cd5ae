/* SPDX-License-Identifier: Apache-2.0
 *
 * The status on a terminal, anew each second, until a person ends it. A gateway
 * that goes away leaves its last table there, marked.
 */
#pragma once

#include "cli/admin_client.h"
#include "cli/status_view.h"

/* What `wharfgate status` asks. */
extern const struct admin_question status_question;

/* `view` says what to show and how; `root`, the first answer, is taken over. Returns the
 * exit code. */
int status_watch(struct admin_client *client, const struct status_view *view, json_t *root);
