/* SPDX-License-Identifier: Apache-2.0
 *
 * Asking the running gateway over its admin socket: where that is, one question
 * and its answer, and what a person is told when there is none. What an answer
 * means is the command's affair.
 */
#pragma once

#include <stdbool.h>

#include "base/buffer.h"
#include "conf/load.h"

/* What the command line says of the place. */
struct admin_where {
    const char *command; /* who asks, for messages: "reload" */
    const char *config;  /* the socket is the one that this file names, */
    const char *socket;  /* unless this is not NULL */
    const char *instead; /* "send SIGHUP instead": what to do where the socket is off */
};

struct admin_client {
    const char        *command;
    char              *socket;
    struct conf_report report; /* of the look into the file */

    /* While an answer is waited for: called when there is something to read from
     * `wake_fd`; false ends the waiting. -1: nothing. */
    int wake_fd;
    bool (*on_wake)(void *arg);
    void *wake_arg;
};

struct admin_question {
    const char *path;   /* "/v1/status" */
    const char *accept; /* a media type */
    bool        is_post;
    long        wait_s;
};

struct admin_answer {
    long          status; /* 0: none came */
    struct buffer body;
    struct error  why; /* there is none */
    int           os_error;
};

/* Finds the socket. EXIT_OK, or the exit code after saying why not. Close it in any case. */
int  admin_client_open(struct admin_client *c, const struct admin_where *where);
void admin_client_close(struct admin_client *c);

/* True: an answer came, whatever it says. Reset *a in any case. */
bool admin_client_ask(const struct admin_client *c, const struct admin_question *q,
                      struct admin_answer *a);
void admin_answer_reset(struct admin_answer *a);

/* One question and no more: finds the socket, asks, has `tell` make the exit code of the answer
 * (which may be to give up), and closes. */
int admin_client_put(const struct admin_where *where, const struct admin_question *q,
                     int (*tell)(const struct admin_client *c, struct admin_answer *a,
                                 bool is_json),
                     bool is_json);

/* Tells a person, on standard error, that the question had no answer, or one that the
 * command has no use for. Returns the exit code. */
int admin_client_give_up(const struct admin_client *c, struct admin_answer *a);
