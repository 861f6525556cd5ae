/* SPDX-License-Identifier: Apache-2.0
 *
 * From settings to a plan: routes, filters, origins, upstreams, listeners with
 * their sockets and TLS contexts, pages. Whatever fails goes to the report with
 * its place, all of it in one go. Control thread only.
 */
#pragma once

#include "conf/load.h"
#include "control/crew.h"
#include "control/expiries.h"
#include "control/file_watch.h"
#include "control/registry.h"
#include "control/snapshot.h"
#include "filter/limit_store.h"
#include "origin/admin.h"
#include "proxy/plan.h"

enum { PLAN_FILE_BYTES_MAX = 4 * 1024 * 1024 }; /* a certificate, a key, a page */

/* A route of that name is answered by this instead of what it says. */
struct origin_override {
    const char              *route;
    const struct origin_ops *ops;
    const void              *config;
};

/* What plans are made with. */
struct plan_maker {
    struct log        *log;
    struct registry   *registry;
    struct privileged *privileged;
    struct crew       *crew;    /* NULL: nothing is bound nor published (check) */
    struct mailbox    *control; /* where the admin origin asks */
    void (*ask)(struct admin_ask *ask, void *control);
    void (*on_unused)(struct plan *p); /* any thread */
    void *on_unused_arg;
    /* An upstream was made, or is about to be freed: its endpoints are found, or no longer.
     * NULL: they are not (check). */
    void (*begin_upstream)(void *gate, struct upstream *u);
    void (*end_upstream)(void *gate, struct upstream *u);
    /* The same for the store that gateways share. */
    void (*begin_store)(void *gate, struct limit_store *st);
    void (*end_store)(void *gate, struct limit_store *st);
    void                         *gate;
    unsigned                      worker_count;
    struct tls_ticket_keys       *ticket_keys;
    const struct origin_override *overrides;
    size_t                        override_count;
    /* An expired certificate is a warning where it was in use before, by these, or if all
     * may be; else an error. May be NULL. */
    const struct expiries *served;
    struct snapshot       *kept;
    bool                   takes_expired;
    atomic_bool            is_maintenance_asked; /* plans read it */
    bool                   reads_kept; /* files come from `kept`, not from where they are */
    /* What served before goes on serving: a folder of files that is missing by now is no error. */
    bool          takes_missing;
    struct buffer own_cert; /* of self_signed: made once */
    struct buffer own_key;
};

void plan_maker_init(struct plan_maker *m);
void plan_maker_reset(struct plan_maker *m);

struct plan_outcome {
    struct file_watch files; /* what was read; set even on failure */
    struct expiries   certificates;
    bool              is_bind_fault; /* the configuration is good, an address is not to be had */
};

void plan_outcome_reset(struct plan_outcome *o);

/* `s` becomes the plan's, or is freed on failure (NULL, errors in the report). */
struct plan *plan_build(struct plan_maker *m, struct settings *s, uint64_t generation,
                        struct conf_report *report, struct plan_outcome *outcome);
/* No worker has it (any more). */
void plan_free(struct plan *p);
/* Closes sockets that `current` does not name (NULL: all), here and at the supervisor.
 * Only after all workers have taken it up. */
void plan_retire_sockets(struct plan_maker *m, const struct plan *current);
