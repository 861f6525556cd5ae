/* SPDX-License-Identifier: Apache-2.0
 *
 * The admin listeners' origin: metrics, status, limits, explain, reload. What it is asked it asks
 * the control thread by a message, and answers when that comes back; the
 * exchange may have gone meanwhile.
 *
 *   worker: struct admin_ask --mailbox--> control: config->ask(), admin_answer()
 *   worker: exchange_reply  <--mailbox---------------'
 */
#pragma once

#include "base/buffer.h"
#include "io/mailbox.h"
#include "proxy/filter.h"

enum admin_call {
    ADMIN_METRICS,
    ADMIN_STATUS,
    ADMIN_RELOAD,
    ADMIN_EXPLAIN,
    ADMIN_LIMITS,
    ADMIN_MAINTENANCE,
};

/* A question on its way. */
struct admin_ask {
    struct message   message;
    struct mailbox  *reply_to;
    struct exchange *exchange; /* the worker's; NULL: it does not wait any more */
    void (*ask)(struct admin_ask *ask, void *control);
    enum admin_call call;
    bool            wants_text; /* for people, not JSON */
    bool            wants_color;
    char           *query;  /* of ADMIN_EXPLAIN and ADMIN_MAINTENANCE */
    unsigned        status; /* the answer */
    const char     *content_type;
    struct buffer   body;
};

/* The origin's config. */
struct admin_config {
    struct mailbox  *control;
    struct mailbox **workers; /* by index */
    /* Control thread: answers by admin_answer(), now or later. */
    void (*ask)(struct admin_ask *ask, void *control);
    struct slice metrics_path; /* empty: off */
    bool         may_change;   /* the Unix socket: calls that change something */
};

extern const struct origin_ops origin_admin;

/* Control thread: status, content_type and body are set. */
void admin_answer(struct admin_ask *ask);
/* Instead of an answer: nobody waits any more. */
void admin_ask_free(struct admin_ask *ask);
