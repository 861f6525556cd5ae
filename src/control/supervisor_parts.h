/* SPDX-License-Identifier: Apache-2.0
 *
 * Private to supervisor*.c.
 */
#pragma once

#include "control/manifest.h"
#include "control/supervisor.h"
#include "control/wire.h"

struct supervisor {
    const struct supervisor_options *options;
    struct log                       log;
    struct socket_table              sockets;
    struct manifest                 *current; /* of what serves */
    struct manifest                 *next;    /* of a reload that is being tried */
    struct snapshot                  kept;    /* files that the plan that serves was built from */
    struct snapshot                  tried;   /* the same of a plan that is being built */
    struct conf_report               report;  /* of the first load */
    struct buffer                    ready;   /* what has come of the ready file */
    int                              signal_fd;
    int                              line; /* to the worker process; -1: there is none */
    pid_t                            child;
    unsigned                         crash_count;
    uint32_t                         generation; /* what served last */
    unsigned                         stop_count;
    uint64_t                         started_ms;    /* the present worker process */
    uint64_t                         restart_at_ms; /* 0: not waited for */
    uint64_t                         kill_at_ms;    /* 0: not yet */
    uint64_t                         backoff_ms;
    int                              exit_code;
    bool                             has_served;
    bool                             is_done;
    bool                             is_child; /* this is the worker process, after the fork */
};

/* ---- supervisor_serve.c ---- */
/* Answers what the worker process has asked. False: the line is closed. */
bool supervisor_serve(struct supervisor *s);

/* ---- supervisor_child.c ---- */
/* Forks. In the child it returns after the gate has ended, with is_child set. */
void supervisor_start_child(struct supervisor *s);
